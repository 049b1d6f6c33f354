//! Through ssh: the real client and the real server, each connection an `ssh -W`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::harness::child::{Gateway, Home};
use crate::harness::{TOKEN, soon};

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
            "Host gateway-host\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {user}\n  IdentitiesOnly yes\n  BatchMode yes\n  StrictHostKeyChecking accept-new\n  UserKnownHostsFile {known}\n",
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
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream.into_std().expect("a socket"), &config);
            }
        });
        Self { folder, accepting }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// One connection: sshd as an inetd would start it.
fn serve(stream: std::net::TcpStream, config: &Path) {
    stream.set_nonblocking(false).expect("a blocking socket");
    let output = stream.try_clone().expect("a second handle");
    let child = Command::new("/usr/sbin/sshd")
        .arg("-i")
        .arg("-f")
        .arg(config)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(stream)))
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(output)))
        .stderr(Stdio::null())
        .spawn()
        .expect("sshd is installed");
    tokio::spawn(async move {
        let mut child = child;
        let _ = child.wait().await;
    });
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
        err.contains("ssh gateway-host:") && err.contains("refused"),
        "{err}"
    );

    let args = ["health", "--ssh", "nobody.invalid", "--token", TOKEN];
    let (code, _, err) = run(&laptop, &server, &args).await;
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("nobody.invalid"), "{err}");

    let args = ["health", "--ssh=-oProxyCommand=id", "--token", TOKEN];
    let (code, _, err) = run(&laptop, &server, &args).await;
    assert_eq!(code, Some(2), "{err}");
}
