//! Credentials and pages (protocol section 4).

use openclaw_actors::gate::AuthMode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::{Expected, invalid, not_paired};
use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params, upgrade};
use crate::harness::trust::{accepted, face, pair, refused, strict};

const NO_DEVICE: Expected =
    not_paired("device identity required").details("DEVICE_IDENTITY_REQUIRED");
const NO_TOKEN: Expected = invalid("unauthorized: gateway token missing (*")
    .details("AUTH_TOKEN_MISSING")
    .reason("token_missing")
    .next("update_auth_configuration");
const WRONG_TOKEN: Expected = invalid("unauthorized: gateway token mismatch (*")
    .details("AUTH_TOKEN_MISMATCH")
    .reason("token_mismatch")
    .next("update_auth_credentials");
const NO_PASSWORD: Expected = invalid("unauthorized: gateway password missing (*")
    .details("AUTH_PASSWORD_MISSING")
    .reason("password_missing")
    .next("update_auth_configuration");
const WRONG_PASSWORD: Expected = invalid("unauthorized: gateway password mismatch (*")
    .details("AUTH_PASSWORD_MISMATCH")
    .reason("password_mismatch")
    .next("update_auth_credentials");
const WRONG_DEVICE_TOKEN: Expected =
    invalid("unauthorized: device token mismatch (rotate/reissue device token*")
        .details("AUTH_DEVICE_TOKEN_MISMATCH")
        .reason("device_token_mismatch")
        .next("update_auth_credentials");
const SCOPE_MISMATCH: Expected = invalid("unauthorized: device token scope mismatch *")
    .details("AUTH_SCOPE_MISMATCH")
    .reason("scope_mismatch")
    .next("review_auth_configuration");
const WITH_DEVICE_TOKEN: &str = "retry_with_device_token";

/// The local command line with these credentials.
fn cli(generation: u32, auth: &Value) -> Value {
    let mut params = connect_params(generation);
    params["auth"] = auth.clone();
    params
}

#[tokio::test]
async fn credentials_are_refused_with_what_to_do() {
    let modes: [(AuthMode, Expected, Expected, &str); 2] = [
        (
            AuthMode::Token(TOKEN.into()),
            NO_TOKEN,
            WRONG_TOKEN,
            WITH_DEVICE_TOKEN,
        ),
        (
            AuthMode::Password(TOKEN.into()),
            NO_PASSWORD,
            WRONG_PASSWORD,
            "update_auth_credentials",
        ),
    ];
    for (mode, missing, wrong, next_with_device) in modes {
        let daemon = Daemon::start(Plan::default().patient().gate(mode));
        let device = Device::new(1);
        // (auth, with a device, expected, whether a device token may be tried next)
        let rows = [
            (json!({}), false, NO_DEVICE, None),
            (json!({ "token": "" }), false, NO_DEVICE, None),
            (json!({}), true, missing, Some(false)),
            (json!({ "token": "" }), true, missing, Some(false)),
            (json!({ "password": "" }), true, missing, Some(false)),
            (json!({ "token": "wrong" }), false, wrong, Some(false)),
            (json!({ "password": "wrong" }), false, wrong, Some(false)),
            (json!({ "deviceToken": "wrong" }), false, NO_DEVICE, None),
            (
                json!({ "token": "wrong" }),
                true,
                wrong.next(next_with_device),
                Some(next_with_device == WITH_DEVICE_TOKEN),
            ),
            (
                json!({ "deviceToken": "wrong" }),
                true,
                WRONG_DEVICE_TOKEN,
                Some(false),
            ),
        ];
        for generation in [3, 4] {
            for (auth, with_device, expected, retry) in &rows {
                let place = format!("{auth}, device {with_device}, v{generation}");
                let mut socket = daemon.socket().await;
                let mut params = cli(generation, auth);
                if *with_device {
                    params = device.sign(params, &socket);
                }
                let refused = socket.turned_away(params).await;
                expected.closes(&place, &refused);
                let may_retry = &refused.0["details"]["canRetryWithDeviceToken"];
                assert_eq!(may_retry.as_bool(), *retry, "{place}: {}", refused.0);
            }
        }
    }
}

#[tokio::test]
async fn the_hint_fits_the_program_that_was_refused() {
    let daemon = Daemon::start(Plan::default().patient());
    let own = format!("http://{}", daemon.address);
    for (id, mode, hint) in [
        (
            "cli",
            "cli",
            "use this gateway's gateway.auth.token or pair the device",
        ),
        ("webchat-ui", "webchat", "openclaw dashboard"),
        ("openclaw-macos", "ui", "provide gateway auth token"),
    ] {
        let headers = [("origin", own.as_str())];
        let page = mode == "webchat";
        let mut socket = Socket::open(daemon.address, if page { &headers[..] } else { &[] }).await;
        let mut params = cli(4, &json!({ "token": "wrong" }));
        params["client"]["id"] = json!(id);
        params["client"]["mode"] = json!(mode);
        let (error, ..) = socket
            .turned_away(Device::new(2).sign(params, &socket))
            .await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(hint), "{id}: {message}");
    }
}

#[tokio::test]
async fn device_tokens_are_refused_when_they_are_anothers_or_too_narrow() {
    let daemon = strict();
    let (device, thief) = (Device::new(3), Device::new(4));
    let token = pair(&daemon, &device, &["operator.read"]).await;
    let foreign = pair(&daemon, &thief, &["operator.read"]).await;
    let by = |field: &str, token: &str| json!({ field: token });
    // (what is sent, scopes, what comes of it). In auth.token a wrong device token is first of all
    // a wrong shared one.
    let rows = [
        (by("deviceToken", &token), &["operator.read"][..], None),
        (by("token", &token), &["operator.read"], None),
        (
            by("deviceToken", &token),
            &["operator.admin"],
            Some(SCOPE_MISMATCH),
        ),
        (
            by("token", &token),
            &["operator.write"],
            Some(SCOPE_MISMATCH),
        ),
        (
            by("deviceToken", &foreign),
            &["operator.read"],
            Some(WRONG_DEVICE_TOKEN),
        ),
        (
            by("token", &foreign),
            &["operator.read"],
            Some(WRONG_TOKEN.next(WITH_DEVICE_TOKEN)),
        ),
        (
            by("deviceToken", TOKEN),
            &["operator.read"],
            Some(WRONG_DEVICE_TOKEN),
        ),
    ];
    for generation in [3, 4] {
        for (auth, scopes, expected) in &rows {
            let params = face(generation, scopes, auth);
            let place = format!("{auth} for {scopes:?}, v{generation}");
            if let Some(expected) = expected {
                expected.closes(&place, &refused(&daemon, &device, params).await);
            } else {
                let (_, hello) = accepted(&daemon, &device, params).await;
                assert_eq!(hello["auth"]["deviceToken"], token.as_str(), "{place}");
            }
        }
        // As a node it has no token at all.
        let mut params = face(generation, &[], &by("deviceToken", &token));
        params["role"] = json!("node");
        WRONG_DEVICE_TOKEN.closes("another role", &refused(&daemon, &device, params).await);
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_before_any_credential() {
    let mut plan = Plan::default().patient();
    plan.gate.allowed_origins = vec!["https://ui.example".into()];
    let daemon = Daemon::start(plan);
    let own = format!("http://{}", daemon.address);
    let port = daemon.address.port();
    let refusal = |reason: &'static str| {
        Some(
            invalid("origin not allowed (*")
                .details("CONTROL_UI_ORIGIN_NOT_ALLOWED")
                .reason(reason),
        )
    };
    let foreign = refusal("origin not allowed");
    let missing = refusal("origin missing or invalid");
    let elsewhere = format!("http://gw.example:{port}");
    // (origin, host, id, mode, what comes of it)
    let rows = [
        (None, None, "webchat-ui", "webchat", missing),
        (None, None, "openclaw-control-ui", "webchat", missing),
        (None, None, "openclaw-macos", "webchat", missing),
        (None, None, "openclaw-macos", "ui", None),
        (Some("null"), None, "webchat-ui", "webchat", missing),
        (
            Some("file:///tmp/x.html"),
            None,
            "webchat-ui",
            "webchat",
            missing,
        ),
        (
            Some("https://evil.example"),
            None,
            "webchat-ui",
            "webchat",
            foreign,
        ),
        (Some("https://evil.example"), None, "cli", "cli", foreign),
        (
            Some("https://ui.example.evil"),
            None,
            "webchat-ui",
            "webchat",
            foreign,
        ),
        (
            Some("http://ui.example"),
            None,
            "webchat-ui",
            "webchat",
            foreign,
        ),
        // A name that an attacker's DNS points here: same host, and not a private one.
        (
            Some(elsewhere.as_str()),
            Some("gw.example"),
            "webchat-ui",
            "webchat",
            foreign,
        ),
        (
            Some("http://127.0.0.1.evil.example"),
            None,
            "webchat-ui",
            "webchat",
            foreign,
        ),
        (
            Some("http://localhost@evil.example"),
            None,
            "webchat-ui",
            "webchat",
            missing,
        ),
        (
            Some("https://ui.example"),
            None,
            "webchat-ui",
            "webchat",
            None,
        ),
        (Some(own.as_str()), None, "webchat-ui", "webchat", None),
    ];
    for generation in [3, 4] {
        for (origin, host, id, mode, expected) in rows {
            let host = host.map(|name: &str| format!("{name}:{port}"));
            let headers: Vec<(&str, &str)> = origin
                .map(|origin| ("origin", origin))
                .into_iter()
                .chain(host.as_deref().map(|host| ("host", host)))
                .collect();
            let place = format!("{origin:?} for {id}/{mode}, v{generation}");
            let stream = upgrade(daemon.address, &headers).await;
            // Another site gets no socket at all. Our own page under a name that is not trusted, and
            // a client that should have named its page, are told in a frame that they can show.
            if origin.is_some() && host.is_none() && expected.is_some() {
                let (status, body) = stream.expect_err("no socket");
                assert_eq!(status, StatusCode::FORBIDDEN, "{place}");
                assert!(body.contains("origin_not_allowed"), "{place}: {body}");
                continue;
            }
            let mut socket = Socket::greeted(stream.expect("the upgrade is accepted")).await;
            // For the refused the token is wrong as well: the page is judged first.
            let token = if expected.is_some() { "wrong" } else { TOKEN };
            let mut params = cli(generation, &json!({ "token": token }));
            params["client"]["id"] = json!(id);
            params["client"]["mode"] = json!(mode);
            let params = Device::new(9).sign(params, &socket);
            match expected {
                Some(expected) => {
                    let refused = socket.turned_away(params).await;
                    expected.closes(&place, &refused);
                    let message = refused.0["message"].as_str().unwrap();
                    assert!(
                        message.contains("gateway.controlUi.allowedOrigins"),
                        "{message}"
                    );
                }
                None => {
                    socket.hello(params).await;
                }
            }
        }
    }
}
