//! The HTTP surface: probes, the page, headers, and upgrades on any path.

use serde_json::Value;

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::http::ask;
use crate::harness::socket::{Socket, connect_params, upgrade_at};

#[tokio::test]
async fn every_probe_answers_under_both_names_and_to_head() {
    let daemon = Daemon::start(Plan::default());
    for (paths, key, value) in [
        (["/health", "/healthz"], "status", Value::from("live")),
        (["/ready", "/readyz"], "ready", Value::from(true)),
        (["/startup", "/startupz"], "status", Value::from("started")),
    ] {
        for path in paths {
            let answer = ask(daemon.address, "GET", path, "").await;
            assert_eq!(answer.status, 200, "{path}");
            let body: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!(body[key], value, "{path}: {body}");
            let head = ask(daemon.address, "HEAD", path, "").await;
            assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
            // A supervisor behind a proxy must not be locked out.
            let forwarded = ask(daemon.address, "GET", path, "x-forwarded-for: 10.0.0.1\r\n").await;
            assert_eq!(forwarded.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn the_page_is_served_with_headers_that_bind_its_scripts() {
    let daemon = Daemon::start(Plan::default());
    let page = ask(daemon.address, "GET", "/", "accept: text/html\r\n").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.body.to_lowercase().contains("<!doctype html>"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'") || policy.contains("default-src 'self'"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.header("referrer-policy").is_some());
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let daemon = Daemon::start(Plan::default());
    for (method, path, status) in [
        ("GET", "/no/such/file.js", 404),
        ("POST", "/", 404),
        ("GET", "/..%2f..%2fetc/passwd", 404),
        ("DELETE", "/health", 404),
    ] {
        let answer = ask(daemon.address, method, path, "").await;
        assert!(
            answer.status == status || (status == 404 && answer.status == 405),
            "{method} {path}: {}",
            answer.status
        );
        assert!(!answer.body.contains("root:"), "{path}");
    }
}

#[tokio::test]
async fn a_socket_opens_on_any_path() {
    let daemon = Daemon::start(Plan::default());
    for path in [
        "/",
        "/ws",
        "/chat/agent:main:main",
        "/health",
        "/?session=x",
    ] {
        let mut socket = Socket::open_at(daemon.address, path, &[]).await;
        assert_eq!(
            socket.hello(connect_params(4)).await["protocol"],
            4,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_upgrade_that_is_no_websocket_is_refused() {
    let daemon = Daemon::start(Plan::default());
    let answer = ask(
        daemon.address,
        "GET",
        "/",
        "connection: upgrade\r\nupgrade: websocket\r\n",
    )
    .await;
    assert_eq!(answer.status, 400);
    let refused = upgrade_at(daemon.address, "/", &[("sec-websocket-version", "12")]).await;
    assert_eq!(refused.expect_err("refused").0, 426);
}

#[tokio::test]
async fn every_answer_binds_what_a_browser_may_do_with_it() {
    let daemon = Daemon::start(Plan::default());
    for (method, path, headers, status) in [
        ("GET", "/", "accept: text/html\r\n", 200),
        ("GET", "/healthz", "", 200),
        ("HEAD", "/readyz", "", 200),
        ("GET", "/no/such/file.js", "", 404),
        ("POST", "/", "", 405),
        ("GET", "/%zz", "", 400),
        ("GET", "/?token=abc", "accept: text/html\r\n", 400),
        (
            "GET",
            "/",
            "connection: upgrade\r\nupgrade: websocket\r\nx-forwarded-for: 1.2.3.4\r\n",
            403,
        ),
        (
            "GET",
            "/",
            "connection: upgrade\r\nupgrade: websocket\r\norigin: https://evil.example\r\n",
            403,
        ),
        (
            "GET",
            "/",
            "connection: upgrade\r\nupgrade: websocket\r\n",
            400,
        ),
    ] {
        let answer = ask(daemon.address, method, path, headers).await;
        assert_eq!(answer.status, status, "{method} {path} {headers}");
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.header("cache-control").is_some(), "{method} {path}");
        assert!(!answer.body.contains("abc"), "{path}");
    }
}
