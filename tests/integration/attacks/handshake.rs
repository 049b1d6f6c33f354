//! Attacks on the handshake: claims without proof, proofs of something else, broken upgrades.

use openclaw_actors::gate::AuthMode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::http::raw;
use crate::harness::socket::{Socket, connect_params};
use crate::harness::trust::{accepted, face, pair, refused, strict, with_secret};

/// Every client id and mode that the schema lets through, but for workers.
const IDS: [&str; 16] = [
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "test",
    "fingerprint",
    "openclaw-probe",
];
const MODES: [&str; 7] = ["webchat", "cli", "ui", "backend", "node", "probe", "test"];

fn claiming(generation: u32, id: &str, mode: &str) -> Value {
    let mut params = connect_params(generation);
    params["client"]["id"] = json!(id);
    params["client"]["mode"] = json!(mode);
    params
}

#[tokio::test]
async fn attack_05_any_string_as_token_is_no_token() {
    let daemon = Daemon::start(Plan::default().patient());
    for generation in [3, 4] {
        for token in ["x", "undefined", "null", " ", &TOKEN[..TOKEN.len() - 1]] {
            let mut socket = daemon.socket().await;
            let mut params = connect_params(generation);
            params["auth"]["token"] = json!(token);
            let (error, code, _) = socket.turned_away(params).await;
            assert_eq!(code, 1008);
            assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH", "{token:?}");
            // A program that is not excused from a device is not excused by a string either.
            let mut socket = daemon.socket().await;
            let mut params = claiming(generation, "gateway-client", "ui");
            params["auth"]["token"] = json!(token);
            let (error, ..) = socket.turned_away(params).await;
            let code = error["details"]["code"].as_str();
            assert!(
                matches!(
                    code,
                    Some("AUTH_TOKEN_MISMATCH" | "DEVICE_IDENTITY_REQUIRED")
                ),
                "{error}"
            );
        }
        let mut socket = daemon.socket().await;
        let (error, ..) = socket
            .turned_away(claiming(generation, "gateway-client", "ui"))
            .await;
        assert_eq!(
            error["details"]["code"], "DEVICE_IDENTITY_REQUIRED",
            "the right token"
        );
    }
}

#[tokio::test]
async fn attack_06_scopes_are_bound_to_a_device_or_to_the_local_command_line() {
    let daemon = Daemon::start(Plan::default().patient());
    let own = format!("http://{}", daemon.address);
    let excused = [
        ("cli", "cli"),
        ("cli", "probe"),
        ("gateway-client", "backend"),
    ];
    for (id, mode) in excused {
        // The exception itself, and each of its edges taken away.
        let mut socket = daemon.socket().await;
        let hello = socket.hello(claiming(4, id, mode)).await;
        assert_eq!(hello["auth"]["scopes"], json!(["operator.admin"]));

        let mut page = Socket::open(daemon.address, &[("origin", &own)]).await;
        page.turned_away(claiming(4, id, mode)).await;
        let mut node = daemon.socket().await;
        let mut params = claiming(4, id, mode);
        params["role"] = json!("node");
        let (error, ..) = node.turned_away(params).await;
        assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
        let mut wrong = daemon.socket().await;
        let mut params = claiming(4, id, mode);
        params["auth"]["token"] = json!("wrong");
        let (error, ..) = wrong.turned_away(params).await;
        assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
        let mut nothing = daemon.socket().await;
        let mut params = claiming(4, id, mode);
        params["auth"] = json!({});
        let (error, ..) = nothing.turned_away(params).await;
        assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
    }
    // What is not a scope is not granted, and what was not asked for neither.
    let mut socket = daemon.socket().await;
    let mut params = connect_params(4);
    params["scopes"] = json!(["operator.root", "*", "operator.read"]);
    let hello = socket.hello(params).await;
    assert_eq!(hello["auth"]["scopes"], json!(["operator.read"]));
    let mut socket = daemon.socket().await;
    let mut params = connect_params(4);
    params["scopes"] = json!([]);
    let hello = socket.hello(params).await;
    assert_eq!(hello["auth"]["scopes"], json!([]));
}

#[tokio::test]
async fn attack_08_nobody_comes_back_with_more_than_was_approved() {
    let daemon = strict();
    let device = Device::new(8);
    let token = pair(&daemon, &device, &["operator.read"]).await;
    for generation in [3, 4] {
        // By the shared secret, as a program without a face: a request, never an upgrade.
        for (id, mode) in [
            ("gateway-client", "backend"),
            ("cli", "cli"),
            ("gateway-client", "ui"),
        ] {
            let mut params = with_secret(generation, &["operator.admin"]);
            params["client"]["id"] = json!(id);
            params["client"]["mode"] = json!(mode);
            let (error, code, _) = refused(&daemon, &device, params).await;
            assert_eq!(
                (error["code"].as_str(), code),
                (Some("NOT_PAIRED"), 1008),
                "{id}/{mode}"
            );
            assert!(error["details"]["requestId"].is_string(), "{error}");
        }
        // By its own token.
        let by_token = face(
            generation,
            &["operator.admin"],
            &json!({ "deviceToken": token }),
        );
        let (error, ..) = refused(&daemon, &device, by_token).await;
        assert_eq!(error["details"]["code"], "AUTH_SCOPE_MISMATCH");
    }
    // An old client that names no scopes means all of them: it has to ask, too.
    let (error, ..) = refused(&daemon, &device, with_secret(3, &[])).await;
    assert_eq!(error["code"], "NOT_PAIRED");
    let mut owner = daemon.client().await;
    let list = owner.call("device.pair.list", json!({})).await;
    assert_eq!(list["paired"][0]["scopes"], json!(["operator.read"]));
    assert_eq!(list["pending"][0]["deviceId"], device.id.as_str());
    let (_, hello) = accepted(&daemon, &device, with_secret(4, &["operator.read"])).await;
    assert_eq!(hello["auth"]["scopes"], json!(["operator.read"]));
}

#[tokio::test]
async fn attack_09_a_client_id_alone_grants_nothing() {
    let daemon = Daemon::start(Plan::default().patient());
    let own = format!("http://{}", daemon.address);
    let mut admitted = Vec::new();
    for id in IDS {
        for mode in MODES {
            let mut socket = daemon.socket().await;
            let answer = socket.request("connect", claiming(4, id, mode)).await;
            if answer["ok"] == true {
                admitted.push((id, mode));
            } else {
                let code = answer["error"]["details"]["code"]
                    .as_str()
                    .unwrap_or_default();
                assert!(
                    matches!(
                        code,
                        "DEVICE_IDENTITY_REQUIRED"
                            | "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
                            | "CONTROL_UI_ORIGIN_NOT_ALLOWED"
                    ),
                    "{id}/{mode}: {answer}"
                );
            }
            let mut page = Socket::open(daemon.address, &[("origin", &own)]).await;
            let answer = page.request("connect", claiming(4, id, mode)).await;
            assert_eq!(answer["ok"], false, "{id}/{mode} as a page: {answer}");
        }
    }
    assert_eq!(
        admitted,
        [
            ("cli", "cli"),
            ("cli", "probe"),
            ("gateway-client", "backend")
        ]
    );
    // Without any secret an id is worth still less.
    let open = Daemon::start(Plan::default().patient().gate(AuthMode::None));
    for id in IDS {
        let mut socket = open.socket().await;
        let answer = socket.request("connect", claiming(4, id, "ui")).await;
        assert_eq!(answer["ok"], false, "{id}: {answer}");
    }
}

#[tokio::test]
async fn attack_11_a_malformed_upgrade_is_answered_and_closed_and_frees_its_place() {
    let mut plan = Plan::default().patient();
    plan.arrivals.open_per_client = 2;
    let daemon = Daemon::start(plan);
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let good = format!("sec-websocket-version: 13\r\n{key}");
    let broken = [
        ("GET", format!("upgrade: websocket\r\n{good}")),
        (
            "GET",
            format!("upgrade: websocket\r\nconnection: close\r\n{good}"),
        ),
        (
            "GET",
            format!("upgrade: websocket\r\nconnection: upgrade\r\n{key}"),
        ),
        (
            "GET",
            "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n".to_owned(),
        ),
        (
            "GET",
            format!(
                "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 12\r\n{key}"
            ),
        ),
        (
            "POST",
            format!("upgrade: websocket\r\nconnection: upgrade\r\n{good}"),
        ),
        ("GET", format!("connection: upgrade\r\n{good}")),
        (
            "GET",
            format!("upgrade: h2c\r\nconnection: upgrade\r\n{good}"),
        ),
    ];
    for (method, headers) in &broken {
        let host = daemon.address;
        // Ends only once the gateway has closed.
        let answer = raw(
            host,
            &format!("{method} / HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n"),
        )
        .await;
        assert!(
            answer.status == 200 || (400..=426).contains(&answer.status),
            "{headers}: {}",
            answer.head
        );
        assert_ne!(answer.status, 101, "{headers}");
        assert!(
            answer.header("sec-websocket-accept").is_none(),
            "{headers}: {}",
            answer.head
        );
    }
    // None of them holds a place of the two that an address has before its handshake.
    let (mut first, mut second) = (daemon.socket().await, daemon.socket().await);
    first.hello(connect_params(4)).await;
    second.hello(connect_params(4)).await;
}

/// A change after the signature was made.
type Forgery = fn(&mut Value);

#[tokio::test]
async fn attack_14_a_replayed_or_altered_proof_is_refused_by_its_own_code() {
    let daemon = Daemon::start(Plan::default().patient());
    let device = Device::new(14);
    let other = Device::new(15);
    let forgeries: [(Forgery, &str); 11] = [
        (
            |p| p["scopes"] = json!(["operator.admin"]),
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
        (
            |p| p["role"] = json!("node"),
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
        (
            |p| p["auth"] = json!({ "token": "another" }),
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
        (
            |p| p["auth"] = json!({ "password": TOKEN }),
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
        (
            |p| p["client"]["id"] = json!("node-host"),
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
        (
            |p| p["client"]["mode"] = json!("backend"),
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
        (
            |p| p["device"]["signedAt"] = json!(p["device"]["signedAt"].as_u64().unwrap() + 1),
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
        (
            |p| {
                p["device"]["signedAt"] =
                    json!(p["device"]["signedAt"].as_u64().unwrap() - 601_000);
            },
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
        ),
        (
            |p| {
                p["device"]["signedAt"] =
                    json!(p["device"]["signedAt"].as_u64().unwrap() + 601_000);
            },
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
        ),
        (
            |p| p["device"]["nonce"] = json!("x"),
            "DEVICE_AUTH_NONCE_MISMATCH",
        ),
        (
            |p| p["device"]["id"] = json!("ab".repeat(32)),
            "DEVICE_AUTH_DEVICE_ID_MISMATCH",
        ),
    ];
    for generation in [3, 4] {
        for (forge, code) in forgeries {
            let mut socket = daemon.socket().await;
            let mut params = device.sign(with_secret(generation, &["operator.read"]), &socket);
            forge(&mut params);
            let (error, close, reason) = socket.turned_away(params).await;
            assert_eq!(error["details"]["code"], code, "v{generation}: {error}");
            assert_eq!(
                (close, Some(reason.as_str())),
                (1008, error["message"].as_str())
            );
        }
        // Another's key under this id, and another's signature under this key.
        let mut socket = daemon.socket().await;
        let mut params = device.sign(with_secret(generation, &[]), &socket);
        params["device"]["publicKey"] = json!(other.public_key());
        let (error, ..) = socket.turned_away(params).await;
        assert_eq!(error["details"]["code"], "DEVICE_AUTH_DEVICE_ID_MISMATCH");
        let mut socket = daemon.socket().await;
        let mut params = device.sign(with_secret(generation, &[]), &socket);
        let theirs = other.sign(with_secret(generation, &[]), &socket);
        params["device"]["signature"] = theirs["device"]["signature"].clone();
        let (error, ..) = socket.turned_away(params).await;
        assert_eq!(error["details"]["code"], "DEVICE_AUTH_SIGNATURE_INVALID");

        // A connect that was accepted once, word for word: the nonce is another socket's.
        let mut first = daemon.socket().await;
        let params = device.sign(with_secret(generation, &["operator.read"]), &first);
        first.hello(params.clone()).await;
        for _ in 0..2 {
            let mut replay = daemon.socket().await;
            let (error, ..) = replay.turned_away(params.clone()).await;
            assert_eq!(error["details"]["code"], "DEVICE_AUTH_NONCE_MISMATCH");
        }
        // The nonce of a socket that is open at this moment and was not used yet.
        let waiting = daemon.socket().await;
        let mut socket = daemon.socket().await;
        let params = device.sign(with_secret(generation, &["operator.read"]), &waiting);
        let (error, ..) = socket.turned_away(params).await;
        assert_eq!(error["details"]["code"], "DEVICE_AUTH_NONCE_MISMATCH");
    }
    // What a v4 client may be off is narrower than what an old one may.
    let off: Forgery =
        |p| p["device"]["signedAt"] = json!(p["device"]["signedAt"].as_u64().unwrap() - 130_000);
    for (generation, code) in [
        (4, "DEVICE_AUTH_SIGNATURE_EXPIRED"),
        (3, "DEVICE_AUTH_SIGNATURE_INVALID"),
    ] {
        let mut socket = daemon.socket().await;
        let mut params = device.sign(with_secret(generation, &[]), &socket);
        off(&mut params);
        let (error, ..) = socket.turned_away(params).await;
        assert_eq!(error["details"]["code"], code);
    }
}

#[tokio::test]
async fn attack_15_before_connect_no_method_is_served() {
    let daemon = Daemon::start(Plan::default().patient());
    let mut owner = daemon.socket().await;
    let hello = owner.hello(connect_params(4)).await;
    let before = owner.call("config.get", json!({})).await;
    let mut methods: Vec<String> = hello["features"]["methods"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect();
    // And those of the attack, whether they are here or not.
    for name in [
        "config.apply",
        "config.set",
        "config.patch",
        "exec.approvals.set",
        "update.run",
    ] {
        methods.push(name.to_owned());
    }
    for method in methods {
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        let params =
            json!({ "raw": "{ gateway: { auth: { mode: 'none' } } }", "auth": { "token": TOKEN } });
        let frame = json!({ "type": "req", "id": "1", "method": method, "params": params });
        let connect =
            json!({ "type": "req", "id": "2", "method": "connect", "params": connect_params(4) });
        socket.send_message(Message::text(frame.to_string())).await;
        let answer = socket.frame().await;
        assert_eq!(answer["ok"], false, "{method}");
        assert_eq!(
            answer["error"]["message"], "invalid handshake: first request must be connect",
            "{method}"
        );
        // Nothing makes up for it on this socket.
        let _ = futures_util::SinkExt::send(&mut socket.stream, Message::text(connect.to_string()))
            .await;
        let (code, _) = socket.closed().await;
        assert_eq!(code, 1008, "{method}");
    }
    assert_eq!(owner.call("config.get", json!({})).await, before);
}
