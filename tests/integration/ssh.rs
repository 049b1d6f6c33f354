//! Through ssh: the real client and the real server, each connection an `ssh -W`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::harness::child::{Gateway, Home, Shown};
use crate::harness::device::Device;
use crate::harness::http::ask;
use crate::harness::socket::{Socket, connect_params, upgrade};
use crate::harness::{TOKEN, look_again, soon};

/// An sshd that listens on a port that the system chose, and what a client needs to log in.
struct Server {
    folder: TempDir,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn key(path: &Path) {
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path);
    let status = soon("a key", command.status())
        .await
        .expect("ssh-keygen is installed");
    assert!(status.success());
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |name: &str| folder.path().join(name);
        key(&at("host")).await;
        key(&at("user")).await;
        let public = fs::read(at("user.pub")).expect("a public key");
        fs::write(at("authorized"), public).expect("the key is let in");
        // The server wants it, and only an init system makes it.
        let _ = fs::create_dir_all("/run/sshd");
        let config = format!(
            "HostKey {host}\nAuthorizedKeysFile {keys}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n",
            host = at("host").display(),
            keys = at("authorized").display(),
        );
        fs::write(at("sshd_config"), config).expect("its configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let client = format!(
            "Host gateway-host\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {user}\n  IdentitiesOnly yes\n  BatchMode yes\n  StrictHostKeyChecking accept-new\n  UserKnownHostsFile {known}\n  ControlMaster auto\n  ControlPath {users}\n  ControlPersist 30\n",
            users = at("users-own").display(),
            user = at("user").display(),
            known = at("known").display(),
        );
        fs::write(at("ssh_config"), client).expect("the client's configuration");
        let program = at("ssh");
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n",
            at("ssh_config").display()
        );
        fs::write(&program, script).expect("the client");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is a program");
        let config = at("sshd_config");
        let accepting = tokio::spawn(async move {
            // Gone with this task: a login that is kept for the next command outlives no test.
            let mut logins = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut child = serve(stream.into_std().expect("a socket"), &config);
                logins.spawn(async move { child.wait().await });
            }
        });
        Self { folder, accepting }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// One connection: sshd as an inetd would start it.
fn serve(stream: std::net::TcpStream, config: &Path) -> Child {
    stream.set_nonblocking(false).expect("a blocking socket");
    let output = stream.try_clone().expect("a second handle");
    Command::new("/usr/sbin/sshd")
        .arg("-i")
        .arg("-f")
        .arg(config)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(stream)))
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(output)))
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("sshd is installed")
}

/// The control sockets that our commands made in this home.
fn logins(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.runtime().join("openclaw"))
        .into_iter()
        .flatten();
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("ssh-"))
        })
        .collect()
}

/// Runs `openclaw` with the ssh of the test.
async fn run(home: &Home, server: &Server, args: &[&str]) -> (Option<i32>, String, String) {
    let path = format!("{}:/usr/bin:/bin", server.path().display());
    let mut command = home.command(args);
    command.env("PATH", path);
    let output = soon("the end of the program", command.output())
        .await
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test]
async fn a_gateway_behind_ssh_is_reached_with_the_same_handshake() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } }));
    let gateway = Gateway::start(&home).await;
    let server = Server::start().await;
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    // Another home: a machine that is not the gateway's host.
    let laptop = Home::new();
    let through = ["--ssh", "gateway-host", "--url", &url, "--json"];
    let with = |command: &[&str], more: &[&str]| -> Vec<String> {
        command
            .iter()
            .chain(&through)
            .chain(more)
            .map(|text| (*text).to_owned())
            .collect()
    };
    let ask = |args: Vec<String>| {
        let (laptop, server) = (&laptop, &server);
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run(laptop, server, &args).await
        }
    };
    let (code, out, err) = ask(with(&["health"], &["--token", TOKEN])).await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        serde_json::from_str::<Value>(&out).expect("JSON")["ok"],
        true
    );

    let (code, _, err) = ask(with(&["health"], &["--token", "wrong-token-0123456789"])).await;
    assert_eq!(code, Some(77), "{err}");

    let probed = with(&["gateway", "probe"], &["--token", TOKEN]);
    let (code, out, err) = ask(probed).await;
    assert_eq!(code, Some(0), "{out}{err}");

    // As the configured remote gateway.
    let remote = Home::with(&json!({ "gateway": { "mode": "remote", "remote": {
        "transport": "ssh", "sshTarget": "gateway-host", "url": url, "token": TOKEN,
    } } }));
    let (code, _, err) = run(&remote, &server, &["health"]).await;
    assert_eq!(code, Some(0), "{err}");

    // One login for all that this machine asked, on a socket that is not the user's own.
    assert_eq!(logins(&laptop).len(), 1);
    let folder = fs::metadata(laptop.runtime().join("openclaw")).expect("the folder");
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    assert!(!server.path().join("users-own").exists());

    // The host may stand before the command.
    let args = [
        "--ssh",
        "gateway-host",
        "health",
        "--url",
        &url,
        "--token",
        TOKEN,
    ];
    let (code, _, err) = run(&laptop, &server, &args).await;
    assert_eq!(code, Some(0), "{err}");
}

#[tokio::test]
async fn a_gateway_with_tls_behind_ssh_is_known_by_its_certificate() {
    let home = Home::with(&json!({ "gateway": {
        "auth": { "mode": "token", "token": TOKEN }, "tls": { "enabled": true },
    } }));
    let gateway = Gateway::start(&home).await;
    let server = Server::start().await;
    let url = format!("wss://127.0.0.1:{}", gateway.port);
    let (_, pin, _) = home.run(&["gateway", "tls", "fingerprint"]).await;
    let (pin, wrong) = (pin.trim(), "AB".repeat(32));
    let laptop = Home::new();
    let health = |url: &str, pin: Option<&str>| {
        let mut args = vec![
            "health",
            "--ssh",
            "gateway-host",
            "--url",
            url,
            "--token",
            TOKEN,
        ];
        args.extend(pin.iter().flat_map(|pin| ["--tls-fingerprint", pin]));
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let (laptop, server) = (&laptop, &server);
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run(laptop, server, &args).await
        }
    };
    let (code, out, err) = health(&url, Some(pin)).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, _, err) = health(&url, Some(&wrong)).await;
    assert_eq!(code, Some(77), "{err}");
    assert!(err.contains("expected AB:AB") && err.contains(pin), "{err}");
    let (code, _, err) = health(&url, None).await;
    assert_eq!(code, Some(77), "{err}");
    assert!(
        err.contains(pin) && err.contains("--tls-fingerprint"),
        "{err}"
    );
    // The port says itself that it speaks TLS, and the command says how to ask for it.
    let (code, _, err) = health(&url.replace("wss:", "ws:"), None).await;
    assert_eq!(code, Some(77), "{err}");
    assert!(
        err.contains("speaks TLS") && err.contains(&format!("try {url}")),
        "{err}"
    );

    let remote = |pin: &str| {
        Home::with(&json!({ "gateway": { "mode": "remote", "remote": {
            "transport": "ssh", "sshTarget": "gateway-host", "url": url, "token": TOKEN,
            "tlsFingerprint": pin,
        } } }))
    };
    let (code, _, err) = run(&remote(pin), &server, &["health"]).await;
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = run(&remote(&wrong), &server, &["health"]).await;
    assert_eq!(code, Some(77), "{err}");
}

/// A home whose commands call the ssh of the test.
fn with_ssh(server: &Server) -> Home {
    let mut home = Home::new();
    let path = format!("{}:/usr/bin:/bin", server.path().display());
    home.variables.push(("PATH", path.into()));
    home
}

#[tokio::test]
async fn a_node_comes_through_ssh() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } }));
    let gateway = Gateway::start(&home).await;
    let server = Server::start().await;
    let attic = with_ssh(&server);
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let args = [
        "--ssh",
        "gateway-host",
        "node",
        "run",
        "--no-programs",
        "--url",
        &url,
    ];
    let args = [args.as_slice(), &["--token", TOKEN]].concat();
    let mut node = Shown::start(&attic, &args);
    node.until(&format!("connected to {url}")).await;
}

#[tokio::test]
async fn the_tunnel_of_the_documentation_serves_the_page_the_commands_and_a_node() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } }));
    let gateway = Gateway::start(&home).await;
    let server = Server::start().await;
    // ssh cannot choose a port and say so.
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let near = free.local_addr().expect("its address");
    drop(free);
    let forward = format!("{near}:127.0.0.1:{}", gateway.port);
    let _tunnel = Command::new(server.path().join("ssh"))
        .args([
            "-o",
            "ControlPath=none",
            "-N",
            "-L",
            &forward,
            "gateway-host",
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ssh is installed");
    soon("the tunnel", async {
        while TcpStream::connect(near).await.is_err() {
            look_again().await;
        }
    })
    .await;

    let page = ask(near, "GET", "/", "").await;
    assert_eq!(page.status, 200, "{}", page.head);
    assert!(
        page.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    let origin = format!("http://{near}");
    let mut socket = Socket::open(near, &[("origin", &origin)]).await;
    let mut params = connect_params(4);
    params["client"]["id"] = json!("gateway-client");
    params["client"]["mode"] = json!("ui");
    let params = Device::new(9).sign(params, &socket);
    let answer = socket.request("connect", params).await;
    assert_eq!(answer["ok"], true, "{answer}");
    // Another site's page gets nothing from the same tunnel.
    let foreign = upgrade(near, &[("origin", "https://evil.example")]).await;
    assert_eq!(foreign.expect_err("it is refused").0, StatusCode::FORBIDDEN);

    let laptop = Home::new();
    let url = format!("ws://{near}");
    let (code, out, err) = laptop
        .run(&["health", "--url", &url, "--token", TOKEN])
        .await;
    assert_eq!(code, Some(0), "{out}{err}");
    let run = [
        "node",
        "run",
        "--no-programs",
        "--url",
        &url,
        "--token",
        TOKEN,
    ];
    Shown::start(&laptop, &run)
        .until(&format!("connected to {url}"))
        .await;
}

#[tokio::test]
async fn what_ssh_says_is_what_the_person_reads() {
    let server = Server::start().await;
    let laptop = Home::new();
    let args = [
        "health",
        "--ssh",
        "gateway-host",
        "--url",
        "ws://127.0.0.1:1",
        "--token",
        TOKEN,
    ];
    let (code, _, err) = run(&laptop, &server, &args).await;
    assert_eq!(code, Some(69), "{err}");
    assert!(
        err.contains("ssh gateway-host:") && err.contains("nothing listens at 127.0.0.1:1 there"),
        "{err}"
    );
    assert!(err.contains("try `ssh gateway-host true`"), "{err}");
    // Nothing is said to have gone well that ssh never came to.
    let probe = ["gateway", "probe", "--ssh", "nobody.invalid", "--json"];
    let (code, out, _) = run(&laptop, &server, &probe).await;
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (code, answer["steps"].as_array().map(Vec::len)),
        (Some(69), Some(2))
    );
    assert_eq!(answer["steps"][1]["step"], "tcp");

    let args = ["health", "--ssh", "nobody.invalid", "--token", TOKEN];
    let (code, _, err) = run(&laptop, &server, &args).await;
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("nobody.invalid"), "{err}");

    let args = ["health", "--ssh=-oProxyCommand=id", "--token", TOKEN];
    let (code, _, err) = run(&laptop, &server, &args).await;
    assert_eq!(code, Some(2), "{err}");
}
