//! Attacks through somebody who passes requests on: a reverse proxy, `tailscale serve`.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::http::ask;
use crate::harness::socket::{Socket, connect_params, upgrade};
use crate::modes::{SERVED, by_proxy, in_a_tailnet, page, plan};

#[tokio::test]
async fn attack_02_a_page_of_another_site_gets_no_socket_behind_a_trusted_proxy_either() {
    let user = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-sso", "1"),
        ("x-sso-user", "alice"),
        ("x-forwarded-host", "gw.local"),
    ];
    for mode in [
        openclaw_actors::gate::AuthMode::Token(TOKEN.into()),
        by_proxy(true, None),
    ] {
        let daemon = Daemon::start(plan(mode));
        for origin in [
            "https://evil.example",
            "https://gw.local.evil.example",
            "null",
        ] {
            let mut headers = user.to_vec();
            headers.push(("origin", origin));
            let (status, body) = upgrade(daemon.address, &headers)
                .await
                .expect_err("refused");
            assert_eq!(status, StatusCode::FORBIDDEN, "{origin}");
            assert!(body.contains("origin_not_allowed"), "{origin}: {body}");
        }
        // The page that the proxy serves is let in as far as its device.
        let mut headers = user.to_vec();
        headers.push(("origin", "https://gw.local"));
        let mut socket = Socket::open(daemon.address, &headers).await;
        let mut params = page(4);
        params["auth"] = json!({ "token": TOKEN });
        let params = Device::new(2).sign(params, &socket);
        let (error, ..) = socket.turned_away(params).await;
        assert_eq!(error["details"]["code"], "PAIRING_REQUIRED", "{error}");
    }
}

#[tokio::test]
async fn attack_07_a_proxys_user_has_no_more_than_the_device_was_approved_for() {
    let daemon = Daemon::start(plan(by_proxy(true, Some(TOKEN))));
    let user = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-sso", "1"),
        ("x-sso-user", "alice"),
    ];
    let device = Device::new(7);
    let asking = |scopes: &[&str]| {
        let mut params = connect_params(4);
        params["client"]["id"] = json!("gateway-client");
        params["client"]["mode"] = json!("ui");
        params["auth"] = json!({});
        params["scopes"] = json!(scopes);
        params
    };
    let connect = async |scopes: &[&str]| -> (Socket, Value) {
        let mut socket = Socket::open(daemon.address, &user).await;
        let params = device.sign(asking(scopes), &socket);
        let answer = socket.request("connect", params).await;
        (socket, answer)
    };
    let (_, answer) = connect(&["operator.read"]).await;
    let request = answer["error"]["details"]["requestId"].clone();
    let mut owner = daemon.socket().await;
    let mut params = connect_params(4);
    params["auth"] = json!({ "password": TOKEN });
    owner.hello(params).await;
    owner
        .call("device.pair.approve", json!({ "requestId": request }))
        .await;

    // Declared before and after, more is another request, and stays with nobody.
    let (_, answer) = connect(&["operator.admin"]).await;
    assert_eq!(
        answer["error"]["details"]["reason"], "scope-upgrade",
        "{answer}"
    );
    let (mut socket, answer) = connect(&["operator.read"]).await;
    assert_eq!(
        answer["payload"]["auth"]["scopes"],
        json!(["operator.read"])
    );
    let error = socket.refused("device.pair.list", json!({})).await;
    assert_eq!(error["code"], "FORBIDDEN", "{error}");
    let (_, answer) = connect(&["operator.admin"]).await;
    assert_eq!(
        answer["error"]["details"]["reason"], "scope-upgrade",
        "{answer}"
    );
}

#[tokio::test]
async fn attack_30_a_tailscale_login_counts_nowhere_but_for_the_page_and_with_proof() {
    let login = "tailscale-user-login: alice@example.com\r\nx-forwarded-for: 100.101.1.9\r\nx-forwarded-host: pi.tail1.ts.net\r\n";
    for allowed in [true, false] {
        let daemon = Daemon::start(in_a_tailnet(false, allowed));
        // Over HTTP it changes nothing.
        for (method, path) in [
            ("GET", "/readyz"),
            ("GET", "/"),
            ("GET", "/v1/models"),
            ("POST", "/hooks/wake"),
        ] {
            let plain = ask(daemon.address, method, path, "").await;
            let named = ask(daemon.address, method, path, login).await;
            assert_eq!(plain.status, named.status, "{method} {path}");
        }
        // Where a secret is asked for, it is none.
        let named = ask(daemon.address, "POST", "/tools/invoke", login).await;
        assert!(matches!(named.status, 401 | 403), "{}", named.body);
    }
    // On a socket it is no secret of a program, and no device.
    let daemon = Daemon::start(in_a_tailnet(false, true));
    for (id, mode, code) in [
        ("cli", "cli", "DEVICE_IDENTITY_REQUIRED"),
        ("gateway-client", "backend", "DEVICE_IDENTITY_REQUIRED"),
        ("webchat-ui", "webchat", "DEVICE_IDENTITY_REQUIRED"),
        (
            "openclaw-control-ui",
            "ui",
            "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        ),
    ] {
        let mut socket = Socket::open(daemon.address, &SERVED).await;
        let mut params = page(4);
        params["client"]["id"] = json!(id);
        params["client"]["mode"] = json!(mode);
        let (error, ..) = socket.turned_away(params).await;
        assert_eq!(error["details"]["code"], code, "{id}: {error}");
    }
    // Without tailscale on this host nobody vouches for it.
    let mut plan = Plan::default();
    plan.gate.allow_tailscale = true;
    let daemon = Daemon::start(plan);
    let mut socket = Socket::open(daemon.address, &SERVED).await;
    let params = Device::new(3).sign(page(4), &socket);
    let (error, ..) = socket.turned_away(params).await;
    assert_eq!(
        error["details"]["code"], "AUTH_TAILSCALE_WHOIS_FAILED",
        "{error}"
    );
}
