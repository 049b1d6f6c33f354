//! First frames, and frames of any kind that are no requests (protocol sections 1 and 2).

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::invalid;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::socket::{Inbound, connect_params};

/// Connect parameters with one change.
fn with(generation: u32, change: impl FnOnce(&mut Value)) -> Value {
    let mut params = connect_params(generation);
    change(&mut params);
    params
}

/// A change of connect parameters.
type Change = fn(&mut Value);

#[tokio::test]
async fn a_first_frame_that_is_no_request_is_not_answered() {
    let daemon = Daemon::start(Plan::default().patient());
    let nested = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let connect = |extra: &str| {
        let params = connect_params(4);
        format!(r#"{{"type":"req","id":"1","method":"connect","params":{params}{extra}}}"#)
    };
    // Upstream closes what is no JSON with 1000 and no reason; ours says what is wrong.
    let no_json = "first frame must be JSON: a connect request";
    let no_request = "invalid request frame";
    let too_deep = "invalid request frame: nested more than 64 levels deep";
    let rows = [
        ("hello".to_owned(), 1008, no_json),
        (String::new(), 1008, no_json),
        ("{\"type\":\"req\"".to_owned(), 1008, no_json),
        (connect("") + "x", 1008, no_json),
        (connect(&format!(r#","x":{nested}"#)), 1008, too_deep),
        (connect("").replace("\"1\"", &nested), 1008, too_deep),
        (nested.clone(), 1008, too_deep),
        ("[".repeat(30_000), 1008, no_json),
        ("\"x\"".to_owned(), 1008, no_request),
        ("null".to_owned(), 1008, no_request),
        ("7".to_owned(), 1008, no_request),
        ("[1]".to_owned(), 1008, no_request),
        ("{}".to_owned(), 1008, no_request),
        (connect(r#","extra":1"#), 1008, no_request),
        (connect("").replace("\"req\"", "\"res\""), 1008, no_request),
        (
            connect("").replace("\"id\":\"1\"", "\"id\":1"),
            1008,
            no_request,
        ),
        (
            connect("").replace("\"id\":\"1\"", "\"id\":\"\""),
            1008,
            no_request,
        ),
        (
            json!({ "type": "event", "event": "tick" }).to_string(),
            1008,
            no_request,
        ),
        (
            connect(&format!(r#","traceparent":"{}""#, "x".repeat(65_536))),
            1009,
            "frame too large: at most 65536 bytes",
        ),
    ];
    for (text, code, reason) in rows {
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        socket.send_message(Message::text(text.clone())).await;
        let closed = socket.closed().await;
        assert_eq!(closed, (code, reason.to_owned()), "{text:.200}");
    }
    let mut socket = daemon.socket().await;
    socket.check.off_the_record();
    socket.send_message(Message::binary(vec![0xff, 0xfe])).await;
    assert_eq!(socket.closed().await.0, 1007, "no text");
}

#[tokio::test]
async fn a_first_request_that_is_no_connect_is_answered_and_closed() {
    let daemon = Daemon::start(Plan::default().patient());
    let first = "invalid handshake: first request must be connect";
    for method in ["health", "Connect", "connect ", "chat.send"] {
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        let id = socket.ask(method, json!({})).await;
        let answer = socket.frame().await;
        assert_eq!(answer["id"], id.as_str());
        invalid(first).check(method, &answer["error"]);
        assert_eq!(socket.closed().await, (1008, first.to_owned()), "{method}");
    }
}

#[tokio::test]
async fn wrong_parameters_of_connect_are_named_with_their_place() {
    let daemon = Daemon::start(Plan::default().patient());
    let rows: [(Change, &str); 17] = [
        (|p| *p = json!([]), "at root: must be object"),
        (|p| *p = json!("x"), "at root: must be object"),
        (
            |p| drop(p.as_object_mut().unwrap().remove("client")),
            "must have required property 'client'",
        ),
        (
            |p| drop(p.as_object_mut().unwrap().remove("maxProtocol")),
            "must have required property 'maxProtocol'",
        ),
        (
            |p| p["minProtocol"] = json!("4"),
            "at /minProtocol: must be integer",
        ),
        (
            |p| p["minProtocol"] = json!(0),
            "at /minProtocol: must be >= 1",
        ),
        (
            |p| p["client"]["id"] = json!("ios-node"),
            "at /client/id: must be equal to one of the allowed values",
        ),
        (
            |p| p["client"]["id"] = json!("CLI"),
            "at /client/id: must be equal to one of the allowed values",
        ),
        (
            |p| p["client"]["mode"] = json!("operator"),
            "at /client/mode: must be equal to one of the allowed values",
        ),
        (
            |p| p["client"]["version"] = json!(""),
            "at /client/version: must NOT have fewer than 1 characters",
        ),
        (
            |p| p["role"] = json!(""),
            "at /role: must NOT have fewer than 1 characters",
        ),
        (|p| p["role"] = json!(["node"]), "at /role: must be "),
        (
            |p| p["scopes"] = json!([""]),
            "at /scopes/0: must NOT have fewer than 1 characters",
        ),
        (
            |p| p["scopes"] = json!("operator.admin"),
            "at /scopes: must be ",
        ),
        (
            |p| p["auth"]["token"] = json!(7),
            "at /auth/token: must be ",
        ),
        // Unknown keys are ignored in connect, but not where trust is decided.
        (
            |p| p["auth"]["secret"] = json!("x"),
            "at /auth: unexpected property 'secret'",
        ),
        (
            |p| {
                p["device"] = json!({ "id": "a", "publicKey": "b", "signature": "c", "signedAt": 1, "nonce": "n", "colour": "red" });
            },
            "at /device: unexpected property 'colour'",
        ),
    ];
    for generation in [3, 4] {
        for (change, problem) in rows {
            let mut socket = daemon.socket().await;
            socket.check.off_the_record();
            let refused = socket.turned_away(with(generation, change)).await;
            let message = refused.0["message"].as_str().unwrap().to_owned();
            invalid("invalid connect params: *").closes(problem, &refused);
            assert!(message.contains(problem), "{problem} is not in: {message}");
        }
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        let frame = json!({ "type": "req", "id": "1", "method": "connect" });
        socket.send_message(Message::text(frame.to_string())).await;
        let answer = socket.frame().await;
        invalid("invalid connect params: must be object").check("none at all", &answer["error"]);
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        let nested = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        let frame = format!(r#"{{"type":"req","id":"1","method":"connect","params":{nested}}}"#);
        socket.send_message(Message::text(frame)).await;
        let answer = socket.frame().await;
        invalid("invalid request frame: nested more than 64 levels deep")
            .check("deep", &answer["error"]);
        assert_eq!(socket.closed().await.0, 1008);
        let mut socket = daemon.socket().await;
        let params = with(generation, |p| p["role"] = json!("admin"));
        let refused = socket.turned_away(params).await;
        invalid("invalid role").closes("a role that is none", &refused);
    }
}

#[tokio::test]
async fn versions_that_do_not_meet_are_told_what_is_expected() {
    let daemon = Daemon::start(Plan::default().patient());
    for (min, max) in [(1, 2), (5, 9), (4, 3), (u32::MAX, u32::MAX)] {
        for (mode, role) in [("cli", "operator"), ("probe", "operator"), ("node", "node")] {
            let mut socket = daemon.socket().await;
            let (error, code, reason) = socket
                .turned_away(with(4, |params| {
                    params["minProtocol"] = json!(min);
                    params["maxProtocol"] = json!(max);
                    params["client"]["mode"] = json!(mode);
                    params["role"] = json!(role);
                }))
                .await;
            let place = format!("{min} to {max}");
            invalid("protocol mismatch")
                .details("PROTOCOL_MISMATCH")
                .check(&place, &error);
            assert_eq!(
                (code, reason.as_str()),
                (1002, "protocol mismatch"),
                "{place}"
            );
            let details = &error["details"];
            assert_eq!(details["expectedProtocol"], 4);
            assert_eq!(details["minimumProbeProtocol"], 3);
            assert_eq!(details["clientMinProtocol"], min);
            assert_eq!(details["clientMaxProtocol"], max);
        }
    }
}

#[tokio::test]
async fn workers_are_closed_without_an_answer() {
    let daemon = Daemon::start(Plan::default().patient());
    let claims: [Change; 3] = [
        |params| params["role"] = json!("worker"),
        |params| params["client"]["id"] = json!("openclaw-worker"),
        |params| params["client"]["mode"] = json!("worker"),
    ];
    for generation in [3, 4] {
        for change in claims {
            let mut socket = daemon.socket().await;
            socket.check.off_the_record();
            socket.ask("connect", with(generation, change)).await;
            assert_eq!(
                socket.closed().await,
                (1008, "invalid-handshake".to_owned())
            );
        }
    }
}

#[tokio::test]
async fn who_says_nothing_is_closed_in_time() {
    let mut plan = Plan::default().patient();
    plan.limits.handshake = Duration::from_millis(150);
    let daemon = Daemon::start(plan);
    let mut talker = daemon.client().await;
    let mut silent = daemon.socket().await;
    // Upstream closes with 1000 and no reason.
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
async fn after_the_handshake_a_broken_frame_is_answered_and_the_socket_stays() {
    let daemon = Daemon::start(Plan::default().patient());
    let rows = [
        (
            json!({ "type": "req", "id": "a", "method": "health", "extra": 1 }),
            json!("a"),
            "at root: unexpected property 'extra'",
        ),
        (
            json!({ "type": "req", "id": "b" }),
            json!("b"),
            "at root: must have required property 'method'",
        ),
        (
            json!({ "type": "req", "id": "c", "method": 7 }),
            json!("c"),
            "at /method: must be string",
        ),
        (
            json!({ "type": "req", "id": "d", "method": "" }),
            json!("d"),
            "at /method: must not be empty",
        ),
        (
            json!({ "type": "req", "method": "health" }),
            json!("invalid"),
            "at root: must have required property 'id'",
        ),
        (
            json!({ "type": "req", "id": 7, "method": "health" }),
            json!(7),
            "at /id: must be string",
        ),
        (
            json!({ "type": "event", "event": "tick" }),
            json!("invalid"),
            "at /type: must be \"req\"",
        ),
        (
            json!({ "type": "res", "id": "e", "ok": true }),
            json!("e"),
            "at /type: must be \"req\"",
        ),
        (json!([]), json!("invalid"), "at root: must be object"),
        (json!(null), json!("invalid"), "at root: must be object"),
    ];
    for generation in [3, 4] {
        let mut client = daemon.generation(generation).await;
        client.check.off_the_record();
        for (frame, id, problem) in &rows {
            client.send_message(Message::text(frame.to_string())).await;
            let answer = client.until(|frame| frame["type"] == "res").await;
            assert_eq!(answer["id"], *id, "{frame}");
            assert_eq!(answer["ok"], false, "{frame}");
            let expected = format!("invalid request frame: {problem}");
            assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
            assert_eq!(answer["error"]["message"], expected.as_str(), "{frame}");
        }
        // What is not JSON at all is passed over.
        client.send_message(Message::text("what is this")).await;
        client.call("health", json!({})).await;
    }
}

#[tokio::test]
async fn after_the_handshake_a_frame_over_the_limit_closes() {
    let mut plan = Plan::default().patient();
    plan.limits.max_payload = 70_000;
    plan.limits.max_payload_v3 = 66_000;
    let daemon = Daemon::start(plan);
    for (generation, limit) in [(4, 70_000), (3, 66_000)] {
        let mut client = daemon.generation(generation).await;
        client.check.off_the_record();
        client.send_message(Message::text(" ".repeat(limit))).await;
        client.call("health", json!({})).await;
        client
            .send_message(Message::text(" ".repeat(limit + 1)))
            .await;
        loop {
            match client.next().await {
                Inbound::Frame(_) | Inbound::Pong(_) => {}
                Inbound::Close(code, reason) => {
                    let expected = format!("frame too large: at most {limit} bytes");
                    assert_eq!((code, reason), (1009, expected));
                    break;
                }
                Inbound::Gone => panic!("no close frame"),
            }
        }
    }
}
