//! Attacks through HTTP: paths, forwarding headers, sockets in corners, text for the log.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::http::ask;
use crate::harness::socket::{Socket, connect_params, upgrade, upgrade_at};

#[tokio::test]
async fn attack_28_a_path_has_one_reading() {
    let daemon = Daemon::start(Plan::default().patient());
    // What cannot be decoded is refused, whoever would have served it.
    for path in [
        "/%",
        "/%zz",
        "/%2",
        "/a%ff",
        "/%c0%af",
        "/health%",
        "/%00",
        "/health%00.js",
    ] {
        let answer = ask(daemon.address, "GET", path, "accept: text/html\r\n").await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.head);
        let refused = upgrade_at(daemon.address, path, &[]).await;
        assert_eq!(
            refused.expect_err("no socket").0,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    // Another spelling of a probe is the probe or nothing, and never something else of ours.
    for (path, status) in [
        ("/health", 200),
        ("/%68ealth", 200),
        ("/HEALTH", 404),
        ("/%2568ealth", 404),
        ("/health%252f..%252freadyz", 404),
        ("//health", 404),
        ("/x/../health", 404),
        ("/x/%2e%2e/health", 404),
        ("/%252e%252e%252fetc%252fpasswd", 404),
        ("/..%2f..%2fetc%2fpasswd", 404),
        ("/assets/..%5c..%5cetc", 404),
        ("/.%2e/.%2E/etc/passwd", 404),
        ("/Assets/%252e%252e/index.html", 404),
    ] {
        let answer = ask(daemon.address, "GET", path, "").await;
        assert_eq!(answer.status, status, "{path}: {}", answer.head);
        assert!(!answer.body.contains("root:"), "{path}");
    }
}

#[tokio::test]
async fn attack_31_a_forwarded_request_is_never_local() {
    let daemon = Daemon::start(Plan::default().patient());
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("X-Forwarded-For", "127.0.0.1, 10.0.0.1"),
        ("X-FORWARDED-PROTO", "https"),
        ("x-forwarded-host", "localhost"),
        ("x-real-ip", "::1"),
        ("Forwarded", "for=127.0.0.1"),
        ("x-forwarded-for", ""),
    ] {
        let (status, body) = upgrade(daemon.address, &[(name, value)])
            .await
            .expect_err("its sender is not who asks");
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(body.contains("gateway.trustedProxies"), "{body}");
    }
}

#[tokio::test]
async fn attack_37_every_socket_passes_the_same_gate() {
    let daemon = Daemon::start(Plan::default().patient());
    for path in [
        "/cdp",
        "/devtools/browser/1",
        "/hooks",
        "/health",
        "/assets/index.js",
        "/api/sessions/main/events",
    ] {
        // A stranger learns the challenge and nothing else.
        let mut socket = Socket::open_at(daemon.address, path, &[]).await;
        socket.check.off_the_record();
        socket
            .send_message(Message::text(
                json!({ "id": 1, "method": "Target.getTargets" }).to_string(),
            ))
            .await;
        let (code, reason) = socket.closed().await;
        assert_eq!(
            (code, reason.as_str()),
            (1008, "invalid request frame"),
            "{path}"
        );
        // A page of another site does not come in with the right secret and a device.
        let page = upgrade_at(daemon.address, path, &[("origin", "https://evil.example")]).await;
        let (status, body) = page.expect_err("no socket for it");
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(body.contains("origin_not_allowed"), "{path}: {body}");
        // A secret in the address opens nothing.
        let wrong = upgrade_at(daemon.address, &format!("{path}?token={TOKEN}"), &[]).await;
        let (status, body) = wrong.expect_err("no socket for it");
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(!body.contains(TOKEN), "{path}: {body}");
    }
}

#[tokio::test]
async fn attack_38_what_a_client_calls_itself_cannot_forge_a_log_line() {
    let home = Home::with(&json!({
        "gateway": {
            "auth": { "mode": "token", "token": TOKEN },
            "nodes": { "pairing": { "autoApproveLocal": false } },
        },
        "logging": { "level": "debug" },
    }));
    let gateway = Gateway::start(&home).await;
    let evil = format!(
        "pad\r\n{{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"info\",\"message\":\"forged\"}}\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{7}\u{0}\u{202e}{}",
        "A".repeat(5_000)
    );
    let mut params = connect_params(4);
    for key in [
        "displayName",
        "version",
        "platform",
        "deviceFamily",
        "instanceId",
    ] {
        params["client"][key] = json!(evil);
    }
    params["userAgent"] = json!(evil);
    params["client"]["mode"] = json!("ui");
    params["client"]["id"] = json!("gateway-client");
    let mut socket = gateway.socket().await;
    let signed = Device::new(38).sign(params.clone(), &socket);
    let (error, _, reason) = socket.turned_away(signed).await;
    assert_eq!(error["code"], "NOT_PAIRED", "{error}");
    assert!(
        reason.len() <= 123 && !reason.contains(char::is_control),
        "{reason:?}"
    );
    // Approved, its name is spoken of once more; and a method of that name is asked for.
    let mut owner = gateway.client().await;
    let id = error["details"]["requestId"].clone();
    owner
        .call("device.pair.approve", json!({ "requestId": id }))
        .await;
    owner.refused(&evil[..200], json!({})).await;
    let mut socket = gateway.socket().await;
    let signed = Device::new(38).sign(params, &socket);
    socket.hello(signed).await;
    // Header text too.
    let long = "a".repeat(6_000);
    for (name, value) in [
        ("origin", long.as_str()),
        ("user-agent", &long),
        ("x-forwarded-for", &long),
    ] {
        let address = ([127, 0, 0, 1], gateway.port).into();
        if let Ok(stream) = upgrade(address, &[(name, value)]).await {
            drop(stream);
        }
    }
    gateway.terminate();
    let (_, output) = gateway.ended().await;

    let log = home.log();
    let mut about = 0;
    for line in log.lines() {
        let row: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("a line of the log is no JSON ({error}): {line:.300}"));
        let message = row["message"].as_str().expect("a message");
        assert!(!message.starts_with("forged"), "{message:.300}");
        assert!(
            !message.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "control characters in: {message:?}"
        );
        assert!(
            line.len() < 4_096,
            "a line of {} bytes: {line:.300}",
            line.len()
        );
        about += usize::from(message.contains("forged"));
    }
    assert!(
        about > 0,
        "the name was never logged, and this test shows nothing"
    );
    for line in output.lines() {
        assert!(
            !line.contains(|c: char| (c.is_control() && c != '\t') || c == '\u{202e}'),
            "control characters on the terminal: {line:?}"
        );
        assert!(!line.starts_with("2026-01-01"), "{line}");
        assert!(line.len() < 4_096, "a line of {} bytes", line.len());
    }
}
