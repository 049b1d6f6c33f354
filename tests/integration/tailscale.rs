//! `gateway.tailscale.mode`, with a `tailscale` program and a tailscaled of our own, whose words are those of
//! the real ones (`cmd/tailscale/cli/serve_v2.go` and the `LocalAPI` of release 1.90).

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};
use crate::modes::{SERVED, page};

/// Keeps what it was told, as tailscaled does.
const PROGRAM: &str = r#"#!/bin/sh
here=$(dirname "$0")
case $1 in --socket=*) shift ;; esac
echo "$*" >> "$here/calls"
if [ -f "$here/denied" ] && [ "$2" != status ]; then
  echo "sending serve config: Access denied: serve config denied" >&2
  exit 1
fi
web() {
  printf '{"TCP":{"443":{"HTTPS":true}},"Web":{"pi.tail1.ts.net:443":{"Handlers":{"/":{"Proxy":"%s"}}}}%s}\n' "$1" "$2"
}
case "$1 $2" in
"serve status")
  cat "$here/config.json" 2>/dev/null || echo "null" ;;
"serve --bg")
  web "$5" > "$here/config.json"
  printf 'Available within your tailnet:\n\nhttps://pi.tail1.ts.net/\n|-- proxy %s\n\nServe started and running in the background.\nTo disable the proxy, run: tailscale serve --https=443 off\n' "$5" ;;
"funnel --bg")
  web "$5" ',"AllowFunnel":{"pi.tail1.ts.net:443":true}' > "$here/config.json"
  printf 'Available on the internet:\n\nhttps://pi.tail1.ts.net/\n|-- proxy %s\n\nFunnel started and running in the background.\nTo disable the proxy, run: tailscale funnel --https=443 off\n' "$5" ;;
"serve --yes")
  rm "$here/config.json" ;;
*)
  echo "unknown subcommand" >&2
  exit 2 ;;
esac
"#;

/// A host with a tailnet.
struct Tailnet {
    home: Home,
    folder: PathBuf,
}

impl Tailnet {
    fn new() -> Self {
        let mut home = Home::new();
        let folder = home.runtime().join("bin");
        std::fs::create_dir(&folder).expect("a folder for the program");
        let program = folder.join("tailscale");
        std::fs::write(&program, PROGRAM).expect("the program");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
            .expect("it can be run");
        let path = format!("{}:/usr/bin:/bin", folder.display());
        home.variables.push(("PATH", path.into()));
        tailscaled(&folder.join("tailscaled.sock"));
        Self { home, folder }
    }

    fn configure(&self, auth: &Value, mode: &str, reset: bool) {
        self.home
            .configure(&json!({ "gateway": { "auth": auth, "tailscale": {
            "mode": mode, "resetOnExit": reset, "socketPath": self.folder.join("tailscaled.sock"),
        } } }));
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("a file for the program");
    }

    /// What the program was told since the last time, without questions.
    fn told(&self) -> Vec<String> {
        let calls = self.read("calls");
        self.write("calls", "");
        let told = calls.lines().filter(|line| *line != "serve status --json");
        told.map(str::to_owned).collect()
    }
}

/// A tailscaled that knows one peer.
fn tailscaled(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("a socket");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    break;
                };
                head.push(byte);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let (code, body) = if head.contains("/status") {
                let own = json!(["100.101.1.1"]);
                (
                    200,
                    json!({ "TUN": true, "BackendState": "Running", "TailscaleIPs": own }),
                )
            } else if head.contains("addr=100.101.1.9") {
                let login = json!({ "LoginName": "alice@example.com" });
                (
                    200,
                    json!({ "Node": { "Addresses": ["100.101.1.9/32"] }, "UserProfile": login }),
                )
            } else {
                (404, json!("no match for IP:port"))
            };
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {code} OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            // The gateway may have gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
}

fn token() -> Value {
    json!({ "mode": "token", "token": TOKEN })
}

/// What a client at this gateway's port is answered who comes with these headers.
async fn asks(gateway: &Gateway, headers: &[(&str, &str)], seed: u8, params: Value) -> Value {
    let address = SocketAddr::from(([127, 0, 0, 1], gateway.port));
    let mut socket = Socket::open(address, headers).await;
    let params = Device::new(seed).sign(params, &socket);
    socket.turned_away(params).await.0
}

#[tokio::test]
async fn the_gateway_is_served_in_the_tailnet_and_taken_back_at_the_end() {
    let tailnet = Tailnet::new();
    tailnet.configure(&token(), "serve", true);
    let mut gateway = Gateway::start(&tailnet.home).await;
    gateway.says("tailscale serves this gateway").await;
    let target = format!("http://127.0.0.1:{}", gateway.port);
    let made = format!("serve --bg --yes --https=443 {target}");
    assert_eq!(tailnet.told(), [made]);
    let mut owner = gateway.client().await;
    let status = owner.call("status", json!({})).await;
    let shown = json!({ "mode": "serve", "url": "https://pi.tail1.ts.net/" });
    assert_eq!(status["gateway"]["tailscale"], shown);

    // Its page needs no secret where tailscaled vouches for the person, and an owner's yes.
    let error = asks(&gateway, &SERVED, 4, page(4)).await;
    assert_eq!(error["details"]["code"], "PAIRING_REQUIRED", "{error}");
    let list = owner.call("device.pair.list", json!({})).await;
    assert_eq!(list["pending"][0]["remoteIp"], "100.101.1.9", "{list}");
    let mut other = SERVED;
    other[3].1 = "100.101.1.8";
    let error = asks(&gateway, &other, 4, page(4)).await;
    assert_eq!(
        error["details"]["authReason"], "tailscale_whois_failed",
        "{error}"
    );

    drop(owner);
    gateway.terminate();
    let (status, _) = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(tailnet.told(), ["serve --yes --https=443 --set-path=/ off"]);
    assert_eq!(tailnet.read("config.json"), "");
}

#[tokio::test]
async fn a_killed_gateway_finds_its_route_and_one_that_is_not_ours_stays() {
    let tailnet = Tailnet::new();
    tailnet.configure(&token(), "serve", false);
    let mut gateway = Gateway::start(&tailnet.home).await;
    gateway.says("tailscale serves this gateway").await;
    let port = gateway.port.to_string();
    gateway.kill().await;
    let config = tailnet.read("config.json");
    tailnet.told();
    let mut gateway = Gateway::start_with(&tailnet.home, &["--port", &port]).await;
    gateway.says("tailscale serves this gateway").await;
    gateway.terminate();
    gateway.ended().await;
    assert_eq!(tailnet.told(), [""; 0], "it is there, and stays");
    assert_eq!(tailnet.read("config.json"), config);

    // Somebody else's: the gateway serves, and says what to do.
    let other = config.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:3000");
    tailnet.write("config.json", &other);
    tailnet.configure(&token(), "serve", true);
    let mut gateway = Gateway::start(&tailnet.home).await;
    gateway.says("http://127.0.0.1:3000").await;
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    for (command, text) in [
        ("status", "tailscale serve --https=443 off"),
        ("doctor", "http://127.0.0.1:3000"),
    ] {
        let args = [command, "--url", &url, "--token", TOKEN];
        let (_, out, error) = tailnet.home.run(&args).await;
        assert!(out.contains(text), "{command}: {out}{error}");
    }
    gateway.terminate();
    gateway.ended().await;
    assert_eq!(tailnet.told(), [""; 0]);
    assert_eq!(tailnet.read("config.json"), other);

    // What may not be done.
    tailnet.write("config.json", "{}");
    tailnet.write("denied", "");
    let mut gateway = Gateway::start(&tailnet.home).await;
    gateway.says("sudo tailscale set --operator=$USER").await;
    gateway.client().await;
}

#[tokio::test]
async fn a_funnel_needs_a_password_and_whoever_comes_through_it_is_remote() {
    let tailnet = Tailnet::new();
    tailnet.configure(&token(), "funnel", true);
    let (code, out, error) = tailnet.home.run(&["gateway", "--port", "0"]).await;
    assert_eq!(code, Some(78), "{out}{error}");
    assert!(error.contains("gateway.auth.password"), "{error}");
    assert_eq!(tailnet.told(), [""; 0]);

    tailnet.configure(
        &json!({ "mode": "password", "password": TOKEN }),
        "funnel",
        true,
    );
    let mut gateway = Gateway::start(&tailnet.home).await;
    gateway.says("tailscale serves this gateway").await;
    let told = tailnet.told();
    assert!(
        told[0].starts_with("funnel --bg --yes --https=443 http://"),
        "{told:?}"
    );
    assert_eq!(told.len(), 1);

    let public = [
        ("host", "pi.tail1.ts.net"),
        ("origin", "https://pi.tail1.ts.net"),
        ("x-forwarded-host", "pi.tail1.ts.net"),
        ("x-forwarded-for", "203.0.113.7"),
        ("tailscale-funnel-request", "?1"),
    ];
    let mut known = page(4);
    known["auth"] = json!({ "password": TOKEN });
    // The funnel's password, from the internet and from the tailnet; a login opens nothing.
    for headers in [public, SERVED] {
        let error = asks(&gateway, &headers, 4, page(4)).await;
        assert_eq!(error["details"]["code"], "AUTH_PASSWORD_MISSING", "{error}");
        let error = asks(&gateway, &headers, 4, known.clone()).await;
        assert_eq!(error["details"]["code"], "PAIRING_REQUIRED", "{error}");
    }
    let mut owner = gateway.socket().await;
    let mut params = connect_params(4);
    params["auth"] = json!({ "password": TOKEN });
    owner.hello(params).await;
    let list = owner.call("device.pair.list", json!({})).await;
    let from = list["pending"][0]["remoteIp"].as_str().unwrap_or_default();
    assert!(["203.0.113.7", "100.101.1.9"].contains(&from), "{list}");
    drop(owner);
    gateway.terminate();
    gateway.ended().await;
    assert_eq!(tailnet.read("config.json"), "");
}
