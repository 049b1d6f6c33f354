//! Who may open a socket at all: caps before the handshake, proxies, pages of browsers.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use openclaw_actors::limiter::arrivals::ArrivalLimits;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params, upgrade, upgrade_at};
use crate::harness::soon;

#[tokio::test]
async fn sockets_before_their_handshake_are_bounded_per_address() {
    let mut plan = Plan::default();
    plan.arrivals.open_per_client = 2;
    let daemon = Daemon::start(plan);
    let mut first = daemon.socket().await;
    let _second = daemon.socket().await;
    let (status, body) = upgrade(daemon.address, &[]).await.expect_err("no place");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("try again"), "{body}");
    // A client that is through its handshake makes room.
    first.hello(connect_params(4)).await;
    first.call("health", json!({})).await;
    let mut third = daemon.socket().await;
    third.hello(connect_params(4)).await;
}

#[tokio::test]
async fn attack_10_sockets_that_say_nothing_are_bounded_and_timed_out() {
    let mut plan = Plan {
        arrivals: ArrivalLimits::default(),
        ..Plan::default()
    };
    plan.limits.handshake = Duration::from_secs(3);
    let daemon = Daemon::start(plan);
    let mut admin = daemon.client().await;
    admin.call("health", json!({})).await;
    let began = Instant::now();
    let mut idle = Vec::new();
    let mut refused = 0;
    while refused < 300 {
        match upgrade(daemon.address, &[]).await {
            Ok(socket) => idle.push(socket),
            Err((status, _)) => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                refused += 1;
            }
        }
        // On a slow machine the first places come back before the last socket asks.
        assert!(idle.len() <= 32 || began.elapsed() > Duration::from_secs(3));
    }
    // A page of this machine's browser takes no place of the programs, nor the other way round.
    let own = format!("http://{}", daemon.address);
    Socket::open(daemon.address, &[("origin", &own)]).await;
    // Whoever is in notices nothing, and sees it.
    let status = admin.call("status", json!({})).await;
    let limits = &status["gateway"]["limits"];
    assert!(
        limits["tooManyBeforeHandshake"].as_u64() >= Some(300),
        "{limits}"
    );
    // The timer of each was running.
    for mut socket in idle {
        let closed = soon("the end of an idle socket", async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(Some(close)))) => return close,
                    Some(Ok(_)) => {}
                    other => panic!("no close frame: {other:?}"),
                }
            }
        });
        let closed = closed.await;
        assert_eq!(u16::from(closed.code), 1008);
        assert!(closed.reason.contains("handshake timeout"), "{closed:?}");
    }
    daemon.client().await;
}

#[tokio::test]
async fn a_forwarded_request_is_refused_because_its_sender_is_unknown() {
    let daemon = Daemon::start(Plan::default());
    for header in [
        "forwarded",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-anything",
        "tailscale-user-login",
    ] {
        let (status, body) = upgrade(daemon.address, &[(header, "10.0.0.1")])
            .await
            .expect_err("refused");
        assert_eq!(status, StatusCode::FORBIDDEN, "{header}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["error"]["type"], "proxy_attribution_required");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(header) && message.contains("gateway.trustedProxies"),
            "{message}"
        );
    }
}

async fn browser(
    daemon: &Daemon,
    origin: Option<&str>,
    id: &str,
    mode: &str,
    seed: u8,
) -> Result<(), String> {
    browser_at(daemon, origin, None, id, mode, seed).await
}

async fn browser_at(
    daemon: &Daemon,
    origin: Option<&str>,
    host: Option<&str>,
    id: &str,
    mode: &str,
    seed: u8,
) -> Result<(), String> {
    let mut headers: Vec<(&str, &str)> = Vec::new();
    headers.extend(origin.map(|origin| ("origin", origin)));
    headers.extend(host.map(|host| ("host", host)));
    let mut socket = match upgrade(daemon.address, &headers).await {
        Ok(stream) => Socket::greeted(stream).await,
        Err((status, body)) => {
            let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            let kind = body["error"]["type"].as_str().unwrap_or_default();
            return Err(format!("{} {kind}", status.as_u16()));
        }
    };
    let mut params = connect_params(4);
    params["client"]["id"] = json!(id);
    params["client"]["mode"] = json!(mode);
    let params = Device::new(seed).sign(params, &socket);
    let answer = socket.request("connect", params).await;
    if answer["ok"] == true {
        return Ok(());
    }
    let (code, _) = socket.closed().await;
    assert_eq!(code, 1008);
    Err(answer["error"]["details"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

#[tokio::test]
async fn a_page_may_connect_when_it_is_ours_or_listed() {
    let mut plan = Plan::default();
    plan.gate.allowed_origins = vec!["https://ui.example".into()];
    let daemon = Daemon::start(plan);
    let own = format!("http://{}", daemon.address);
    let foreign = Err("403 origin_not_allowed".to_owned());
    let refused = Err("CONTROL_UI_ORIGIN_NOT_ALLOWED".to_owned());
    for (origin, expected) in [
        (Some(own.as_str()), Ok(())),
        (Some("https://ui.example"), Ok(())),
        (Some("https://evil.example"), foreign.clone()),
        (Some("null"), foreign.clone()),
        (None, refused.clone()),
    ] {
        let answer = browser(&daemon, origin, "webchat-ui", "webchat", 1).await;
        assert_eq!(answer, expected, "{origin:?}");
    }
    // A command line that carries an Origin is a page that calls itself a command line.
    let answer = browser(&daemon, Some("https://evil.example"), "cli", "cli", 2).await;
    assert_eq!(answer, foreign);
    // Our own page under a name that has to be allowed first is told so where it can read it.
    let (origin, host) = (Some("http://gw.example:1"), Some("gw.example:1"));
    for (id, mode) in [("webchat-ui", "webchat"), ("cli", "cli")] {
        let answer = browser_at(&daemon, origin, host, id, mode, 2).await;
        assert_eq!(answer, refused, "{id}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_takes_no_place_of_anyone() {
    let mut plan = Plan::default();
    plan.arrivals.open_per_client = 1;
    let daemon = Daemon::start(plan);
    for _ in 0..3 {
        let (status, _) = upgrade(daemon.address, &[("origin", "https://evil.example")])
            .await
            .expect_err("refused");
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    daemon.client().await;
}

#[tokio::test]
async fn a_secret_in_an_address_is_refused_for_sockets_and_pages() {
    let daemon = Daemon::start(Plan::default());
    for path in ["/?token=abc", "/ws?a=1&password=abc", "/?%74oken=abc"] {
        let refused = upgrade_at(daemon.address, path, &[]).await;
        let (status, body) = refused.expect_err("refused");
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(body.contains("behind #") && !body.contains("abc"), "{body}");
    }
}

#[tokio::test]
async fn another_page_on_this_machine_is_not_paired_silently() {
    let daemon = Daemon::start(Plan::default());
    let answer = browser(
        &daemon,
        Some("http://localhost:1"),
        "webchat-ui",
        "webchat",
        3,
    )
    .await;
    assert_eq!(answer, Err("PAIRING_REQUIRED".to_owned()));
}

#[tokio::test]
async fn a_page_of_this_machine_has_no_way_in_without_a_device() {
    let daemon = Daemon::start(Plan::default());
    let own = format!("http://{}", daemon.address);
    let mut socket = Socket::open(daemon.address, &[("origin", &own)]).await;
    let mut params = connect_params(4);
    params["auth"] = json!({ "token": TOKEN });
    let (error, code, _) = socket.turned_away(params).await;
    assert_eq!(
        (error["details"]["code"].as_str(), code),
        (Some("DEVICE_IDENTITY_REQUIRED"), 1008)
    );
}
