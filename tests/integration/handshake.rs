//! The handshake of both generations: shapes, credentials, and what every wrong first frame gets.

use std::time::Duration;

use openclaw_actors::gate::AuthMode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};

/// A change of connect parameters.
type Change = fn(&mut Value);

/// Connect parameters with one change.
fn with(generation: u32, change: impl FnOnce(&mut Value)) -> Value {
    let mut params = connect_params(generation);
    change(&mut params);
    params
}

#[tokio::test]
async fn a_v4_client_gets_everything_that_it_needs_in_hello_ok() {
    let daemon = Daemon::start(Plan::default());
    let mut socket = daemon.socket().await;
    assert!(socket.ts > 1_700_000_000_000, "{}", socket.ts);
    assert!(socket.nonce.len() >= 16);
    let hello = socket.hello(connect_params(4)).await;
    assert_eq!(hello["type"], "hello-ok");
    assert_eq!(hello["protocol"], 4);
    assert_eq!(hello["server"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(hello["server"]["bootId"].is_string());
    assert_eq!(hello["auth"]["role"], "operator");
    assert_eq!(hello["auth"]["scopes"], json!(["operator.admin"]));
    assert_eq!(
        hello["policy"],
        json!({ "maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000 })
    );
    let snapshot = &hello["snapshot"];
    assert_eq!(snapshot["presence"][0]["reason"], "self");
    assert_eq!(snapshot["health"]["ok"], true, "{snapshot}");
    assert!(snapshot["stateVersion"]["presence"].as_u64() >= Some(1));
    assert!(snapshot["stateVersion"]["health"].as_u64() >= Some(1));
    assert_eq!(
        snapshot["sessionDefaults"]["mainSessionKey"],
        "agent:main:main"
    );
    assert_eq!(snapshot["authMode"], "token");
    assert!(snapshot["stateDir"].is_string());
    // What is announced is what there is.
    let methods: Vec<&str> = hello["features"]["methods"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for method in [
        "health",
        "status",
        "system-presence",
        "send",
        "agent",
        "agent.wait",
        "chat.send",
        "chat.history",
        "chat.abort",
        "sessions.list",
    ] {
        assert!(methods.contains(&method), "{method}");
    }
    for method in methods {
        let answer = socket.request(method, json!({})).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.contains("unknown method"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn two_sockets_never_share_a_nonce_or_a_connection_id() {
    let daemon = Daemon::start(Plan::default());
    let (mut first, mut second) = (daemon.socket().await, daemon.socket().await);
    assert_ne!(first.nonce, second.nonce);
    let first = first.hello(connect_params(4)).await;
    let second = second.hello(connect_params(4)).await;
    assert_ne!(first["server"]["connId"], second["server"]["connId"]);
    assert_eq!(first["server"]["bootId"], second["server"]["bootId"]);
}

#[tokio::test]
async fn a_v3_client_gets_the_shape_of_its_generation() {
    let daemon = Daemon::start(Plan::default());
    let mut socket = daemon.socket().await;
    // The old command line asks for no scopes and means all.
    let params = with(3, |params| {
        params.as_object_mut().unwrap().remove("scopes");
    });
    let hello = socket.hello(params).await;
    assert_eq!(hello["protocol"], 3);
    assert!(hello["server"]["host"].is_string());
    assert!(hello["server"]["bootId"].is_null());
    assert!(hello["auth"].is_null(), "only along with a device token");
    assert_eq!(hello["policy"]["maxPayload"], 524_288);
    assert!(hello["snapshot"]["stateDir"].is_string(), "v3 means admin");
    assert!(hello["snapshot"]["authMode"].is_null());
    socket.call("config.get", json!({})).await;
}

#[tokio::test]
async fn the_newest_common_protocol_is_spoken() {
    let daemon = Daemon::start(Plan::default());
    for (min, max, spoken) in [(1, 3, 3), (3, 4, 4), (4, 9, 4), (2, 9, 4)] {
        let mut socket = daemon.socket().await;
        let hello = socket
            .hello(with(4, |params| {
                params["minProtocol"] = json!(min);
                params["maxProtocol"] = json!(max);
            }))
            .await;
        assert_eq!(hello["protocol"], spoken, "{min}..{max}");
    }
    for (min, max) in [(1, 2), (5, 9), (4, 3)] {
        let mut socket = daemon.socket().await;
        let (error, code, reason) = socket
            .turned_away(with(4, |params| {
                params["minProtocol"] = json!(min);
                params["maxProtocol"] = json!(max);
            }))
            .await;
        assert_eq!((code, reason.as_str()), (1002, "protocol mismatch"));
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert_eq!(error["details"]["code"], "PROTOCOL_MISMATCH");
        assert_eq!(error["details"]["expectedProtocol"], 4);
        assert_eq!(error["details"]["clientMaxProtocol"], max);
    }
}

#[tokio::test]
async fn the_secret_of_the_mode_is_taken_from_either_field() {
    let modes = [
        (AuthMode::Token(TOKEN.into()), "token"),
        (AuthMode::Password(TOKEN.into()), "password"),
    ];
    for (mode, name) in modes {
        let daemon = Daemon::start(Plan::default().gate(mode));
        for field in ["token", "password"] {
            let mut socket = daemon.socket().await;
            let hello = socket
                .hello(with(4, |params| params["auth"] = json!({ field: TOKEN })))
                .await;
            assert_eq!(hello["snapshot"]["authMode"], name, "{field}");
        }
    }
    // Without any secret only a local program of the gateway's own comes in without a device.
    let open = Daemon::start(Plan::default().gate(AuthMode::None));
    for (id, mode, admitted) in [("gateway-client", "backend", true), ("cli", "cli", false)] {
        let mut socket = open.socket().await;
        let params = with(4, |params| {
            params.as_object_mut().unwrap().remove("auth");
            params["client"]["id"] = json!(id);
            params["client"]["mode"] = json!(mode);
        });
        if admitted {
            let hello = socket.hello(params).await;
            assert_eq!(hello["snapshot"]["authMode"], "none");
        } else {
            let (error, ..) = socket.turned_away(params).await;
            assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
        }
    }
}

#[tokio::test]
async fn a_wrong_or_missing_secret_is_refused_with_what_to_do() {
    let daemon = Daemon::start(Plan::default().patient());
    let device = Device::new(1);
    // (auth, with a device, code, details.code, next step, retry with a device token)
    let cases = [
        (
            json!({}),
            false,
            "NOT_PAIRED",
            "DEVICE_IDENTITY_REQUIRED",
            None,
            None,
        ),
        (
            json!({}),
            true,
            "INVALID_REQUEST",
            "AUTH_TOKEN_MISSING",
            Some("update_auth_configuration"),
            Some(false),
        ),
        (
            json!({ "token": "wrong" }),
            false,
            "INVALID_REQUEST",
            "AUTH_TOKEN_MISMATCH",
            Some("update_auth_credentials"),
            Some(false),
        ),
        (
            json!({ "token": "wrong" }),
            true,
            "INVALID_REQUEST",
            "AUTH_TOKEN_MISMATCH",
            Some("retry_with_device_token"),
            Some(true),
        ),
        (
            json!({ "deviceToken": "wrong" }),
            true,
            "INVALID_REQUEST",
            "AUTH_DEVICE_TOKEN_MISMATCH",
            Some("update_auth_credentials"),
            Some(false),
        ),
    ];
    for (auth, with_device, code, details, next, retry) in cases {
        for generation in [3, 4] {
            let mut socket = daemon.socket().await;
            let mut params = with(generation, |params| params["auth"] = auth.clone());
            if with_device {
                params = device.sign(params, &socket);
            }
            let (error, close, reason) = socket.turned_away(params).await;
            let place = format!("{auth} device {with_device} v{generation}: {error}");
            assert_eq!(close, 1008, "{place}");
            assert_eq!(error["code"], code, "{place}");
            assert_eq!(error["details"]["code"], details, "{place}");
            if let Some(next) = next {
                assert_eq!(error["details"]["recommendedNextStep"], next, "{place}");
            }
            if let Some(retry) = retry {
                assert_eq!(
                    error["details"]["canRetryWithDeviceToken"], retry,
                    "{place}"
                );
            }
            let message = error["message"].as_str().unwrap();
            assert!(message.starts_with(&reason), "{reason} is not {message}");
        }
    }
    let password = Daemon::start(Plan::default().gate(AuthMode::Password(TOKEN.into())));
    let mut socket = password.socket().await;
    let params = with(4, |params| params["auth"] = json!({ "password": "wrong" }));
    let (error, ..) = socket.turned_away(params).await;
    assert_eq!(error["details"]["code"], "AUTH_PASSWORD_MISMATCH");
}

#[tokio::test]
async fn nobody_but_the_local_command_line_comes_in_without_a_device() {
    let daemon = Daemon::start(Plan::default());
    for (id, mode, admitted) in [
        ("cli", "cli", true),
        ("cli", "probe", true),
        ("gateway-client", "backend", true),
        ("gateway-client", "ui", false),
        ("cli", "backend", false),
        ("test", "test", false),
        ("openclaw-macos", "ui", false),
    ] {
        let mut socket = daemon.socket().await;
        let params = with(4, |params| {
            params["client"]["id"] = json!(id);
            params["client"]["mode"] = json!(mode);
        });
        if admitted {
            let hello = socket.hello(params).await;
            assert_eq!(hello["auth"]["scopes"], json!(["operator.admin"]), "{id}");
        } else {
            let (error, code, _) = socket.turned_away(params).await;
            assert_eq!((error["code"].as_str(), code), (Some("NOT_PAIRED"), 1008));
            assert_eq!(
                error["details"]["code"], "DEVICE_IDENTITY_REQUIRED",
                "{id}/{mode}"
            );
        }
    }
    let mut node = daemon.socket().await;
    let (error, ..) = node
        .turned_away(with(4, |params| params["role"] = json!("node")))
        .await;
    assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
}

#[tokio::test]
async fn a_device_is_paired_here_gets_a_token_and_comes_back_with_it() {
    let daemon = Daemon::start(Plan::default().patient());
    for generation in [3, 4] {
        let device = Device::new(u8::try_from(generation).unwrap());
        let ui = |auth: Value| {
            with(generation, |params| {
                params["client"] = json!({ "id": "gateway-client", "version": "1", "platform": "Linux", "mode": "ui" });
                params["auth"] = auth;
            })
        };
        let mut socket = daemon.socket().await;
        let params = device.sign(ui(json!({ "token": TOKEN })), &socket);
        let hello = socket.hello(params).await;
        let token = hello["auth"]["deviceToken"]
            .as_str()
            .expect("a device token");
        assert_ne!(token, TOKEN);
        assert_eq!(hello["auth"]["role"], "operator");
        // A v3 client puts its device token where the shared one goes.
        let field = if generation == 3 {
            "token"
        } else {
            "deviceToken"
        };
        let mut again = daemon.socket().await;
        let params = device.sign(ui(json!({ field: token })), &again);
        let hello = again.hello(params).await;
        assert_eq!(hello["auth"]["deviceToken"], token);
        // Another device cannot use it.
        let thief = Device::new(99);
        let mut stolen = daemon.socket().await;
        let params = thief.sign(ui(json!({ field: token })), &stolen);
        let (error, code, _) = stolen.turned_away(params).await;
        assert_eq!(
            (error["code"].as_str(), code),
            (Some("INVALID_REQUEST"), 1008)
        );
    }
}

#[tokio::test]
async fn a_device_whose_proof_fails_is_told_which_part_failed() {
    let daemon = Daemon::start(Plan::default().patient());
    let device = Device::new(5);
    let cases: [(Change, &str); 6] = [
        (
            |claim| claim["id"] = json!("ab".repeat(32)),
            "DEVICE_AUTH_DEVICE_ID_MISMATCH",
        ),
        (
            |claim| claim["publicKey"] = json!("not a key"),
            "DEVICE_AUTH_DEVICE_ID_MISMATCH",
        ),
        (
            |claim| claim["signedAt"] = json!(claim["signedAt"].as_u64().unwrap() - 700_000),
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
        ),
        (
            |claim| claim["nonce"] = json!("  "),
            "DEVICE_AUTH_NONCE_REQUIRED",
        ),
        (
            |claim| claim["nonce"] = json!("another"),
            "DEVICE_AUTH_NONCE_MISMATCH",
        ),
        (
            |claim| claim["signature"] = json!("AAAA"),
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
    ];
    for (change, code) in cases {
        let mut socket = daemon.socket().await;
        // The token is wrong too: the proof is reported first.
        let params = with(4, |params| params["auth"]["token"] = json!("wrong"));
        let mut params = device.sign(params, &socket);
        change(&mut params["device"]);
        let (error, close, reason) = socket.turned_away(params).await;
        assert_eq!(error["details"]["code"], code, "{error}");
        assert_eq!(close, 1008);
        assert_eq!(error["message"], reason.as_str());
    }
}

#[tokio::test]
async fn wrong_parameters_are_named_with_their_place() {
    let daemon = Daemon::start(Plan::default());
    let cases: [(Change, &str); 8] = [
        (
            |params| params["client"]["id"] = json!("ios-node"),
            "/client/id",
        ),
        (
            |params| params["client"]["mode"] = json!("operator"),
            "/client/mode",
        ),
        (
            |params| drop(params.as_object_mut().unwrap().remove("client")),
            "'client'",
        ),
        (|params| params["minProtocol"] = json!("4"), "/minProtocol"),
        (|params| params["scopes"] = json!([""]), "/scopes/0"),
        (|params| params["auth"]["secret"] = json!("x"), "'secret'"),
        (
            |params| params["device"] = json!({ "id": "a", "publicKey": "b", "signature": "c", "signedAt": 1, "nonce": "n", "colour": "red" }),
            "'colour'",
        ),
        (|params| *params = json!([]), "object"),
    ];
    for (change, place) in cases {
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        let (error, code, reason) = socket.turned_away(with(4, change)).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("invalid connect params"), "{message}");
        assert!(message.contains(place), "{place} is not in: {message}");
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert_eq!(code, 1008);
        assert!(message.starts_with(&reason), "{reason}");
    }
    let mut socket = daemon.socket().await;
    let (error, code, _) = socket
        .turned_away(with(4, |params| params["role"] = json!("admin")))
        .await;
    assert_eq!(
        (error["message"].as_str(), code),
        (Some("invalid role"), 1008)
    );
}

#[tokio::test]
async fn unknown_keys_of_newer_clients_are_ignored() {
    let daemon = Daemon::start(Plan::default());
    let mut socket = daemon.socket().await;
    socket.check.off_the_record();
    let params = with(4, |params| {
        params["somethingNew"] = json!({ "deep": true });
        params["client"]["colour"] = json!("red");
        params["workerRuns"] = json!({});
    });
    assert_eq!(socket.hello(params).await["protocol"], 4);
}

#[tokio::test]
async fn a_first_frame_that_is_no_connect_closes_with_a_reason() {
    let daemon = Daemon::start(Plan::default());
    let silent = [
        ("hello", "JSON"),
        ("{\"type\":\"req\"", "JSON"),
        ("{}", "invalid request frame"),
        ("[1]", "invalid request frame"),
        (
            "{\"type\":\"event\",\"event\":\"tick\"}",
            "invalid request frame",
        ),
    ];
    for (text, expected) in silent {
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        socket.send_message(Message::text(text)).await;
        let (code, reason) = socket.closed().await;
        assert_eq!(code, 1008, "{text}");
        assert!(reason.contains(expected), "{text}: {reason}");
    }
    let mut socket = daemon.socket().await;
    let id = socket.ask("health", json!({})).await;
    let answer = socket.frame().await;
    assert_eq!(
        (answer["id"].as_str(), &answer["ok"]),
        (Some(id.as_str()), &json!(false))
    );
    assert_eq!(
        answer["error"]["message"],
        "invalid handshake: first request must be connect"
    );
    let (code, reason) = socket.closed().await;
    assert_eq!(
        (code, reason.as_str()),
        (1008, "invalid handshake: first request must be connect")
    );
}

#[tokio::test]
async fn workers_are_not_let_in() {
    let daemon = Daemon::start(Plan::default());
    let claims: [Change; 3] = [
        |params| params["role"] = json!("worker"),
        |params| params["client"]["id"] = json!("openclaw-worker"),
        |params| params["client"]["mode"] = json!("worker"),
    ];
    for change in claims {
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        socket.ask("connect", with(4, change)).await;
        let (code, reason) = socket.closed().await;
        assert_eq!((code, reason.as_str()), (1008, "invalid-handshake"));
    }
}

#[tokio::test]
async fn who_says_nothing_is_closed_in_time() {
    let mut plan = Plan::default();
    plan.limits.handshake = Duration::from_millis(150);
    let daemon = Daemon::start(plan);
    let mut talker = daemon.client().await;
    let mut silent = daemon.socket().await;
    let (code, reason) = silent.closed().await;
    assert_eq!(code, 1008);
    assert!(
        reason.contains("handshake timeout") && reason.contains("150 ms"),
        "{reason}"
    );
    // The limit is over for this one as well, and it is still served.
    assert_eq!(talker.call("health", json!({})).await["ok"], true);
}

#[tokio::test]
async fn a_pipelined_request_is_served_after_hello_ok() {
    let daemon = Daemon::start(Plan::default());
    let mut socket: Socket = daemon.socket().await;
    let connect = socket.ask("connect", connect_params(4)).await;
    let health = socket.ask("health", json!({})).await;
    let first = socket.frame().await;
    assert_eq!(first["id"], connect.as_str());
    assert_eq!(first["ok"], true, "{first}");
    assert_eq!(socket.answer(&health).await["ok"], true);
}
