//! `/metrics`, read by Prometheus' own client library.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::child::{Gateway, Home};
use crate::harness::{TOKEN, soon};

/// Asks for the figures; status line and body.
async fn figures(gateway: &Gateway, headers: &str) -> (String, String) {
    figures_of("127.0.0.1", gateway, headers).await
}

/// The same of a host by this name.
async fn figures_of(host: &str, gateway: &Gateway, headers: &str) -> (String, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", gateway.port))
        .await
        .expect("it works in a test");
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    socket
        .write_all(request.as_bytes())
        .await
        .expect("it works in a test");
    let mut answer = String::new();
    soon("the figures", socket.read_to_string(&mut answer))
        .await
        .expect("it works in a test");
    let (head, body) = answer.split_once("\r\n\r\n").expect("it works in a test");
    (
        head.lines().next().expect("it works in a test").to_owned(),
        body.to_owned(),
    )
}

/// What Prometheus' own parser makes of a text: name and type of each family, and the samples.
fn parsed(text: &str) -> Value {
    let script = "import json,sys\nfrom prometheus_client.parser import text_string_to_metric_families as p\nprint(json.dumps([[f.name,f.type,[[s.name,s.labels,s.value] for s in f.samples]] for f in p(sys.stdin.read())]))";
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it works in a test");
    let mut input = python.stdin.take().expect("it works in a test");
    std::io::Write::write_all(&mut input, text.as_bytes()).expect("it works in a test");
    drop(input);
    let done = python.wait_with_output().expect("it works in a test");
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success(),
        "{error}; apt-get install python3-prometheus-client"
    );
    serde_json::from_slice(&done.stdout).expect("it works in a test")
}

fn value(families: &Value, name: &str) -> f64 {
    let samples = families
        .as_array()
        .expect("it works in a test")
        .iter()
        .flat_map(|family| family[2].as_array().expect("it works in a test"));
    let sample = samples.into_iter().find(|sample| sample[0] == name);
    sample.unwrap_or_else(|| panic!("no {name} in {families}"))[2]
        .as_f64()
        .expect("it works in a test")
}

#[tokio::test]
async fn prometheus_reads_the_figures_and_strangers_do_not() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } }));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    // It is answered once it is committed.
    owner
        .call("sessions.create", json!({ "label": "Counted" }))
        .await;
    let (status, text) = figures(&gateway, "").await;
    assert_eq!(status, "HTTP/1.1 200 OK", "{text}");
    let families = parsed(&text);
    assert!((0.5..1.5).contains(&value(&families, "openclaw_connections")));
    assert!(value(&families, "openclaw_healthy") > 0.5);
    assert!(value(&families, "openclaw_store_commits_total") >= 1.0);
    assert!(value(&families, "process_resident_memory_bytes") > 1e6);
    assert!(value(&families, "process_open_fds") > 5.0);
    assert!(value(&families, "openclaw_handshakes_total") >= 1.0);
    assert!(value(&families, "openclaw_events_total") >= 1.0);
    assert!(value(&families, "openclaw_store_commit_seconds_total") > 0.0);
    let known: Vec<&str> = families
        .as_array()
        .expect("it works in a test")
        .iter()
        .filter_map(|family| family[1].as_str())
        .collect();
    assert!(
        known.iter().all(|kind| ["counter", "gauge"].contains(kind)),
        "{known:?}"
    );
    // The dashboard asks for nothing that is not there.
    let dashboard = include_str!("../../deploy/grafana/openclaw.json");
    let dashboard: Value = serde_json::from_str(dashboard).expect("it works in a test");
    let panels = dashboard["panels"].as_array().expect("it works in a test");
    assert!(panels.len() >= 8);
    for panel in panels {
        for target in panel["targets"].as_array().expect("it works in a test") {
            let asked = target["expr"].as_str().expect("it works in a test");
            let words = asked.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let names: Vec<&str> = words
                .filter(|word| word.starts_with("openclaw_") || word.starts_with("process_"))
                .collect();
            assert!(!names.is_empty(), "{asked}");
            for name in names {
                assert!(
                    text.contains(&format!("# TYPE {name} ")),
                    "{name} is not there"
                );
            }
        }
    }
    // Through a proxy that nobody trusts, from a page, or with a wrong secret: no.
    let (status, _) = figures(&gateway, "Origin: https://evil.example\r\n").await;
    assert!(status.contains(" 403 "), "{status}");
    let (status, _) = figures(&gateway, "X-Forwarded-For: 203.0.113.7\r\n").await;
    assert!(status.contains(" 40"), "{status}");
}

/// A page whose own name was pointed at this host is of one origin with it: the browser sends no `Origin`,
/// and lets the page read the answer. What tells it apart is the name that it asks for.
#[tokio::test]
async fn a_name_that_was_pointed_here_reads_no_figures() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } }));
    let gateway = Gateway::start(&home).await;
    let port = gateway.port;
    for host in ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let (status, text) = figures_of(&host, &gateway, "").await;
            assert_eq!(status, "HTTP/1.1 200 OK", "{host}");
            assert!(text.contains("openclaw_connections"), "{host}");
        }
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "127.0.0.1@evil.example",
        "0.0.0.0",
    ] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            for headers in ["", "Sec-Fetch-Site: same-origin\r\n"] {
                let (status, text) = figures_of(&host, &gateway, headers).await;
                assert!(
                    status.contains(" 401 ") || status.contains(" 400 "),
                    "{host}: {status}"
                );
                assert!(!text.contains("openclaw_"), "{host}: {text}");
            }
        }
    }
    // Who knows the secret is no such page, whatever it calls this host.
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let (status, _) = figures_of("gateway.example", &gateway, &bearer).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
}
