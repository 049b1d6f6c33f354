//! The recipes of `deploy/proxy/`, in the programs that they are for. On a host of their own: nobody
//! forwards for a loopback address, so that the client needs another one.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use openclaw_client::{
    ClientId, ClientMode, DeviceIdentity, Error, Fingerprint, Options, client_info, connect,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::harness::child::{Gateway, Home};
use crate::harness::daemon::provider;
use crate::harness::hosts::{GATEWAY, Hosts};
use crate::harness::{TOKEN, soon};

/// A recipe of the repository.
fn recipe(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy/proxy")
        .join(name);
    fs::read_to_string(path).expect("the recipe is there")
}

/// A port that was free a moment ago: these programs cannot choose one and say so.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A certificate for the proxy; its fingerprint.
async fn certificate(folder: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let (key, cert) = (at("privkey.pem"), at("fullchain.pem"));
    let openssl = |args: Vec<String>| async move {
        let output = Command::new("openssl").args(args).output().await;
        let output = output.expect("openssl is installed");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let make = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=gateway.example -addext subjectAltName=DNS:gateway.example,IP:{GATEWAY} -keyout {key} -out {cert}"
    );
    openssl(words(&make)).await;
    let shown = openssl(words(&format!(
        "x509 -in {cert} -noout -fingerprint -sha256"
    )))
    .await;
    shown
        .split('=')
        .nth(1)
        .expect("a fingerprint")
        .trim()
        .to_owned()
}

/// Waits until a port takes connections, or the program ended.
async fn listening(child: &mut Child, port: u16) {
    let connected = async {
        loop {
            if TcpStream::connect((GATEWAY, port)).await.is_ok() {
                return;
            }
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the proxy ended: {status}");
            }
            crate::harness::look_again().await;
        }
    };
    soon("the proxy", connected).await;
}

/// What a person gets through the proxy at this port: a remote device waits, and comes in once it is
/// approved; the page is served; a forged address is of no use.
async fn works_through(home: &Home, port: u16, pin: &str) {
    provider();
    let url = format!("wss://{GATEWAY}:{port}");
    let options = Options {
        token: Some(TOKEN.into()),
        scopes: vec!["operator.read".into()],
        identity: Some(std::sync::Arc::new(DeviceIdentity::generate())),
        tls_fingerprint: Fingerprint::parse(pin),
        ..Options::new(client_info(
            ClientId::GatewayClient,
            ClientMode::Backend,
            "1",
        ))
    };
    let waiting = soon("the connect", connect(&url, &options)).await;
    let refusal = match waiting {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refusal.detail_code(),
        Some("PAIRING_REQUIRED"),
        "{refusal:?}"
    );
    let id = refusal.request_id().expect("a request").to_owned();
    let (code, _, err) = home.run(&["devices", "approve", &id]).await;
    assert_eq!(code, Some(0), "{err}");
    let connection = soon("the connect", connect(&url, &options))
        .await
        .expect("it is approved");
    connection.close().await;

    // The page of this address gets its socket, and no other page by naming another host.
    let own = format!("https://{GATEWAY}:{port}");
    assert!(upgraded(port, &own, "").await.contains(" 101 "));
    let other = upgraded(port, "https://evil.example", "").await;
    assert!(other.contains(" 403 "), "{other}");
    for forged in [
        "X-Forwarded-Host: evil.example",
        "Forwarded: host=evil.example",
    ] {
        let answer = upgraded(port, "https://evil.example", forged).await;
        assert!(answer.contains(" 403 "), "{forged}: {answer}");
        let answer = upgraded(port, &own, forged).await;
        assert!(answer.contains(" 101 "), "{forged}: {answer}");
    }

    let args = [
        "-sk",
        "-H",
        "X-Forwarded-For: 127.0.0.1",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
    ];
    let page = format!("https://{GATEWAY}:{port}/healthz");
    let output = Command::new("curl").args(args).arg(&page).output().await;
    let output = output.expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
}

/// The first line of the answer to a page that asks for a socket.
async fn upgraded(port: u16, origin: &str, more: &str) -> String {
    let origin = format!("origin: {origin}");
    let mut curl = Command::new("curl");
    curl.args(["-sSikN", "--http1.1"]);
    for header in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        &origin,
        more,
    ] {
        curl.args(["-H", header]);
    }
    let mut child = curl
        .arg(format!("https://{GATEWAY}:{port}/"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("curl is installed");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = soon("an answer", lines.next_line()).await.expect("text");
    line.expect("a status line") + " "
}

async fn behind_a_proxy() -> (Home, Gateway) {
    let port = free_port().await;
    let home = Home::with(&json!({ "gateway": {
        "port": port,
        "auth": { "mode": "token", "token": TOKEN },
        "trustedProxies": ["127.0.0.1"],
    } }));
    let port = port.to_string();
    let gateway = Gateway::start_with(&home, &["--port", &port]).await;
    (home, gateway)
}

fn start(program: &str, args: &[&str], folder: &TempDir) -> Child {
    Command::new(program)
        .args(args)
        .env("HOME", folder.path())
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is installed: {error}"))
}

#[test]
fn the_recipe_for_nginx_works() {
    if let Some(hosts) = Hosts::make("the_recipe_for_nginx_works") {
        hosts.on_gateway(nginx_works);
    }
}

async fn nginx_works() {
    let (home, gateway) = behind_a_proxy().await;
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pin = certificate(folder.path()).await;
    let port = free_port().await;
    let here = folder.path().display();
    let server = recipe("nginx.conf")
        .replace("listen 443 ssl", &format!("listen {GATEWAY}:{port} ssl"))
        .replace("/etc/letsencrypt/live/gateway.example", &here.to_string())
        .replace("127.0.0.1:18789", &format!("127.0.0.1:{}", gateway.port));
    let whole = format!(
        "daemon off; pid {here}/pid; error_log {here}/error.log; worker_processes 1;\nevents {{}}\nhttp {{ access_log off; client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;\n{server}\n}}\n"
    );
    let path = folder.path().join("nginx.conf");
    fs::write(&path, whole).expect("the configuration");
    let path = path.display().to_string();
    let mut nginx = start("/usr/sbin/nginx", &["-c", &path], &folder);
    listening(&mut nginx, port).await;
    works_through(&home, port, &pin).await;
}

#[test]
fn the_recipe_for_caddy_works() {
    if let Some(hosts) = Hosts::make("the_recipe_for_caddy_works") {
        hosts.on_gateway(caddy_works);
    }
}

async fn caddy_works() {
    let (home, gateway) = behind_a_proxy().await;
    let folder = tempfile::tempdir().expect("a folder for the test");
    let pin = certificate(folder.path()).await;
    let port = free_port().await;
    let here = folder.path().display();
    // The name is of this host, and the certificate is at hand: nobody is asked for one.
    let site = recipe("Caddyfile")
        .replace(
            "gateway.example {",
            &format!("https://{GATEWAY}:{port} {{\n\ttls {here}/fullchain.pem {here}/privkey.pem"),
        )
        .replace("127.0.0.1:18789", &format!("127.0.0.1:{}", gateway.port));
    let path = folder.path().join("Caddyfile");
    fs::write(
        &path,
        format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}"),
    )
    .expect("the configuration");
    let path = path.display().to_string();
    let args = ["run", "--config", &path, "--adapter", "caddyfile"];
    let mut caddy = start("/usr/bin/caddy", &args, &folder);
    listening(&mut caddy, port).await;
    works_through(&home, port, &pin).await;
}
