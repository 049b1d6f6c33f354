//! The two ways to ask tailscaled, against a fake daemon and a fake command.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::super::ask::{AskError, FirstOf, Identity, Status, Subject, Tailscale};
use super::super::command::TailscaleCommand;
use super::super::local_api::LocalApi;
use super::ip;

const STATUS: &str = r#"{"Version":"1.90.6","TUN":false,"BackendState":"Running","HaveNodeKey":true,"AuthURL":"",
  "TailscaleIPs":["100.101.1.2","fd7a:115c:a1e0::2"],"Self":{"ID":"n1","HostName":"pi","TailscaleIPs":["100.101.1.2"]},
  "Health":[],"MagicDNSSuffix":"tail1.ts.net","Peer":null,"User":null}"#;
const ALICE: &str = r#"{"Node":{"ID":7,"Name":"phone.tail1.ts.net.","Addresses":["100.101.1.9/32","fd7a:115c:a1e0::9/128"],
  "Hostinfo":{"OS":"iOS"}},"UserProfile":{"ID":3,"LoginName":"Alice@example.com","DisplayName":"Alice"},"CapMap":null}"#;
const TAGGED: &str = r#"{"Node":{"Addresses":["100.101.1.8/32"],"Tags":["tag:server"]},
  "UserProfile":{"ID":1,"LoginName":"tagged-devices","DisplayName":"Tagged Devices"}}"#;

fn alice() -> Identity {
    Identity {
        login: Some("Alice@example.com".into()),
        addresses: vec![ip("100.101.1.9"), ip("fd7a:115c:a1e0::9")],
    }
}

/// A daemon's socket; what it was asked is in the list.
fn daemon(folder: &Path) -> (LocalApi, Arc<Mutex<Vec<String>>>) {
    let socket = folder.join("tailscaled.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    break;
                };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let (status, body) = match path.as_str() {
                _ if !head.contains("host: local-tailscaled.sock\r\n") => {
                    ("403 Forbidden", "invalid localapi request")
                }
                "/localapi/v0/status?peers=false" => ("200 OK", STATUS),
                "/localapi/v0/whois?proto=tcp&addr=127.0.0.1:40001"
                | "/localapi/v0/whois?proto=tcp&addr=%5b::1%5d:40001"
                | "/localapi/v0/whois?proto=tcp&addr=100.101.1.9" => ("200 OK", ALICE),
                "/localapi/v0/whois?proto=tcp&addr=100.101.1.8" => ("200 OK", TAGGED),
                "/localapi/v0/whois?proto=tcp&addr=100.101.1.7" => {
                    ("500 Internal Server Error", "no netmap")
                }
                "/localapi/v0/whois?proto=tcp&addr=100.101.1.6" => ("200 OK", "[1]"),
                _ => ("404 Not Found", "no match for IP:port\n"),
            };
            log.lock().unwrap().push(path);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nTailscale-Version: 1.90.6\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (LocalApi::new(socket), asked)
}

/// A `tailscale` command in a folder of its own.
fn command(folder: &Path, script: &str) -> TailscaleCommand {
    let path = folder.join("tailscale");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    TailscaleCommand::on_path(Some(folder.as_os_str()))
}

fn documented(folder: &Path) -> TailscaleCommand {
    std::fs::write(folder.join("status.json"), STATUS).unwrap();
    std::fs::write(folder.join("alice.json"), ALICE).unwrap();
    let folder_text = folder.display();
    command(
        folder,
        &format!(
            r#"case "$*" in
"status --json --peers=false") cat "{folder_text}/status.json" ;;
"whois --json 127.0.0.1:40001" | "whois --json 100.101.1.9") cat "{folder_text}/alice.json" ;;
"whois --json 100.101.1.7") echo "something else" >&2; exit 1 ;;
*) echo "peer not found" >&2; exit 1 ;;
esac"#
        ),
    )
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn answers_as_documented(way: &dyn Tailscale) {
    let status = Status {
        interface: false,
        own: vec![ip("100.101.1.2"), ip("fd7a:115c:a1e0::2")],
    };
    assert_eq!(way.status().await, Ok(status));
    let connection = |text: &str| Subject::Connection(text.parse().unwrap());
    let peer = way.whois(connection("127.0.0.1:40001")).await;
    assert_eq!(peer, Ok(Some(alice())));
    let local = way.whois(connection("127.0.0.1:40002")).await;
    assert_eq!(local, Ok(None));
    let known = way.whois(Subject::Address(ip("100.101.1.9"))).await;
    assert_eq!(known, Ok(Some(alice())));
    let failed = way.whois(Subject::Address(ip("100.101.1.7"))).await;
    assert!(matches!(failed, Err(AskError::Failed(_))), "{failed:?}");
}

#[tokio::test]
async fn the_daemon_is_asked_over_its_socket() {
    let folder = folder();
    let (way, asked) = daemon(folder.path());
    assert!(way.seems_up());
    answers_as_documented(&way).await;
    let tagged = way.whois(Subject::Address(ip("100.101.1.8"))).await;
    assert_eq!(tagged.unwrap().unwrap().login, None, "a tag is nobody");
    let odd = way.whois(Subject::Address(ip("100.101.1.6"))).await;
    assert!(matches!(odd, Err(AskError::Failed(_))), "{odd:?}");
    let six = way
        .whois(Subject::Connection("[::1]:40001".parse().unwrap()))
        .await;
    assert_eq!(six, Ok(Some(alice())));
    assert_eq!(asked.lock().unwrap().len(), 8);
}

#[tokio::test]
async fn the_daemon_is_asked_by_its_command() {
    let folder = folder();
    answers_as_documented(&documented(folder.path())).await;
}

#[tokio::test]
async fn no_daemon_is_no_failure() {
    let folder = folder();
    let socket = folder.path().join("tailscaled.sock");
    let way = LocalApi::new(socket.clone());
    assert!(!way.seems_up());
    assert_eq!(way.status().await, Err(AskError::Absent));
    // What a daemon that ended leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(way.status().await, Err(AskError::Absent));
    let nowhere = TailscaleCommand::on_path(Some(folder.path().as_os_str()));
    assert_eq!(nowhere.status().await, Err(AskError::Absent));
    let stopped = command(
        folder.path(),
        r#"echo 'failed to connect to local tailscaled; it doesn'"'"'t appear to be running' >&2; exit 1"#,
    );
    assert_eq!(stopped.status().await, Err(AskError::Absent));
    let neither = FirstOf::new(vec![Arc::new(way), Arc::new(stopped)]);
    assert_eq!(neither.status().await, Err(AskError::Absent));
    assert_eq!(FirstOf::default().status().await, Err(AskError::Absent));
}

#[tokio::test]
async fn the_command_is_asked_where_the_socket_gives_no_answer() {
    let folder = folder();
    let (socket, _) = daemon(folder.path());
    let subject = Subject::Address(ip("100.101.1.7"));
    let command = documented(folder.path());
    let both = FirstOf::new(vec![
        Arc::new(LocalApi::new(folder.path().join("gone.sock"))),
        Arc::new(command.clone()),
    ]);
    answers_as_documented(&both).await;
    // Neither answers: that is a failure, and not "nobody".
    let both = FirstOf::new(vec![Arc::new(socket), Arc::new(command)]);
    assert!(matches!(
        both.whois(subject).await,
        Err(AskError::Failed(_))
    ));
}

#[tokio::test]
async fn a_daemon_that_is_not_logged_in_has_no_addresses() {
    let folder = folder();
    let way = command(
        folder.path(),
        r#"echo '{"TUN":true,"BackendState":"NeedsLogin","TailscaleIPs":["100.101.1.2"]}'"#,
    );
    let status = way.status().await.unwrap();
    assert_eq!((status.interface, status.own), (true, Vec::new()));
}
