//! The handshake of both generations: shapes and credentials. What is refused stands in `refusals`.

use openclaw_actors::gate::AuthMode;
use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};

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
        json!({
            "maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000,
            "attachments": { "maxBytes": 19_464_192, "maxImageBytes": 6_291_456 },
        })
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
