//! An open connection: how frames may be packed, what is ignored, what is answered, what closes.

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Inbound, Socket, connect_params};

async fn fragments(socket: &mut Socket, pieces: &[&str]) {
    for (index, piece) in pieces.iter().enumerate() {
        let kind = if index == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let last = index + 1 == pieces.len();
        let frame = Frame::message(piece.as_bytes().to_vec(), OpCode::Data(kind), last);
        let fed = socket.stream.feed(Message::Frame(frame)).await;
        fed.expect("the gateway takes frames");
    }
    let flushed = socket.stream.flush().await;
    flushed.expect("the gateway takes frames");
}

fn health(id: &str) -> String {
    json!({ "type": "req", "id": id, "method": "health", "params": {} }).to_string()
}

#[tokio::test]
async fn fragmented_and_binary_messages_are_served_like_any_other() {
    let daemon = Daemon::start(Plan::default());
    let mut socket = daemon.socket().await;
    socket.check.off_the_record();
    let connect =
        json!({ "type": "req", "id": "c", "method": "connect", "params": connect_params(4) })
            .to_string();
    let (head, tail) = connect.split_at(20);
    fragments(&mut socket, &[head, "", tail]).await;
    assert_eq!(socket.answer("c").await["ok"], true);

    let text = health("binary");
    socket
        .send_message(Message::binary(text.into_bytes()))
        .await;
    assert_eq!(socket.answer("binary").await["ok"], true);

    // A ping between two pieces is answered at once.
    let text = health("pieces");
    let (head, tail) = text.split_at(text.len() / 2);
    let first = Frame::message(head.as_bytes().to_vec(), OpCode::Data(Data::Text), false);
    let last = Frame::message(tail.as_bytes().to_vec(), OpCode::Data(Data::Continue), true);
    socket.stream.feed(Message::Frame(first)).await.unwrap();
    socket
        .stream
        .feed(Message::Ping("are you there".into()))
        .await
        .unwrap();
    socket.stream.flush().await.unwrap();
    let Inbound::Pong(pong) = socket.next().await else {
        panic!("no pong");
    };
    assert_eq!(pong, b"are you there");
    socket.stream.feed(Message::Frame(last)).await.unwrap();
    socket.stream.flush().await.unwrap();
    assert_eq!(socket.answer("pieces").await["ok"], true);
}

#[tokio::test]
async fn a_later_frame_that_is_not_json_is_ignored() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    client.check.off_the_record();
    client.send_message(Message::text("what is this")).await;
    client.call("health", json!({})).await;
    assert_eq!(
        client.places(|frame| frame["ok"] == false),
        [] as [usize; 0]
    );
}

#[tokio::test]
async fn strange_ids_are_echoed_so_that_their_sender_finds_the_answer() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    client.check.off_the_record();
    for id in [json!(7), json!(""), json!(null), json!({ "a": 1 })] {
        client
            .send_message(Message::text(
                json!({ "type": "req", "id": id, "method": "health" }).to_string(),
            ))
            .await;
        let answer = client.frame().await;
        assert_eq!(answer["ok"], false, "{id}: {answer}");
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
        if id.is_number() {
            assert_eq!(answer["id"], id);
        }
    }
    client
        .send_message(Message::text("{\"type\":\"req\"}"))
        .await;
    assert_eq!(client.frame().await["id"], "invalid");
    client.call("health", json!({})).await;
}

#[tokio::test]
async fn two_requests_with_one_id_get_two_answers() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    client.check.off_the_record();
    for _ in 0..2 {
        client.send_message(Message::text(health("twice"))).await;
    }
    for _ in 0..2 {
        assert_eq!(client.answer("twice").await["ok"], true);
    }
}

#[tokio::test]
async fn an_unknown_method_and_a_second_connect_are_named() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    let error = client.refused("no.such.method", json!({})).await;
    assert_eq!(error["code"], "INVALID_REQUEST");
    assert_eq!(error["message"], "unknown method: no.such.method");
    let error = client.refused("connect", connect_params(4)).await;
    assert_eq!(
        error["message"],
        "connect is only valid as the first request"
    );
}

#[tokio::test]
async fn scopes_are_asked_before_parameters_and_in_the_words_of_the_generation() {
    let daemon = Daemon::start(Plan::default());
    for (generation, code) in [(4, "FORBIDDEN"), (3, "INVALID_REQUEST")] {
        let mut socket = daemon.socket().await;
        let mut params = connect_params(generation);
        params["scopes"] = json!(["operator.read"]);
        socket.hello(params).await;
        socket.call("status", json!({})).await;
        let error = socket.refused("chat.send", json!({ "nonsense": 1 })).await;
        assert_eq!(error["code"], code, "{error}");
        assert_eq!(error["message"], "missing scope: operator.write");
    }
    let mut nothing = daemon.socket().await;
    let mut params = connect_params(4);
    params.as_object_mut().unwrap().remove("scopes");
    let hello = nothing.hello(params).await;
    assert_eq!(
        hello["auth"]["scopes"],
        json!([]),
        "v4: none asked for, none given"
    );
    nothing.call("health", json!({})).await;
    nothing.refused("status", json!({})).await;
}

#[tokio::test]
async fn parameters_are_checked_and_the_place_is_named() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    client.check.off_the_record();
    let error = client
        .refused("chat.send", json!({ "sessionKey": "main", "message": "x" }))
        .await;
    assert_eq!(error["code"], "INVALID_REQUEST");
    assert_eq!(
        error["message"],
        "invalid chat.send params: must have required property 'idempotencyKey'"
    );
    let error = client
        .refused(
            "chat.send",
            json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "k", "colour": "red" }),
        )
        .await;
    assert!(
        error["message"].as_str().unwrap().contains("'colour'"),
        "{error}"
    );
    // A read ignores what it does not know.
    client
        .call(
            "chat.history",
            json!({ "sessionKey": "main", "colour": "red" }),
        )
        .await;
}

fn node_params() -> Value {
    let mut params = connect_params(4);
    params["role"] = json!("node");
    params["scopes"] = json!([]);
    params["client"] =
        json!({ "id": "node-host", "version": "1", "platform": "linux", "mode": "node" });
    params["caps"] = json!(["canvas"]);
    params["commands"] = json!(["canvas.present"]);
    params
}

#[tokio::test]
async fn the_eleventh_call_in_a_row_outside_the_role_closes() {
    let daemon = Daemon::start(Plan::default());
    let device = Device::new(9);
    let mut node = daemon.socket().await;
    let params = device.sign(node_params(), &node);
    node.hello(params).await;
    // A call that is allowed starts the count anew.
    for _ in 0..10 {
        let error = node.refused("status", json!({})).await;
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("unauthorized role: node"),
            "{error}"
        );
    }
    node.call("health", json!({})).await;
    for _ in 0..11 {
        node.refused("status", json!({})).await;
    }
    let closed = node.closed_in_the_end().await.expect("a close frame");
    assert_eq!(closed, (1008, "repeated unauthorized calls".to_owned()));
}

#[tokio::test]
async fn a_message_over_the_limit_of_the_generation_closes() {
    let mut plan = Plan::default();
    plan.limits.max_payload = 200_000;
    plan.limits.max_payload_v3 = 100_000;
    let daemon = Daemon::start(plan);
    for (generation, limit) in [(4, 200_000), (3, 100_000)] {
        let mut client = daemon.generation(generation).await;
        client.check.off_the_record();
        let fits = json!({ "type": "req", "id": "f", "method": "health", "params": { "pad": "x".repeat(limit - 200) } });
        client.send_message(Message::text(fits.to_string())).await;
        assert_eq!(client.answer("f").await["ok"], true, "v{generation}");
        client
            .send_message(Message::text("x".repeat(limit + 1)))
            .await;
        let (code, reason) = client.closed_in_the_end().await.expect("a close frame");
        assert_eq!(code, 1009, "v{generation}");
        assert!(reason.contains(&limit.to_string()), "{reason}");
    }
    // Many small pieces are one message.
    let mut client = daemon.client().await;
    client.check.off_the_record();
    let piece = "x".repeat(90_000);
    fragments(&mut client, &[&piece, &piece, &piece]).await;
    let (code, _) = client.closed_in_the_end().await.expect("a close frame");
    assert_eq!(code, 1009);
}

#[tokio::test]
async fn a_message_over_64_kib_is_too_large_before_the_handshake() {
    let daemon = Daemon::start(Plan::default());
    let mut socket = daemon.socket().await;
    socket.check.off_the_record();
    socket.send_message(Message::text("x".repeat(65_537))).await;
    let (code, reason) = socket.closed_in_the_end().await.expect("a close frame");
    assert_eq!(code, 1009);
    assert!(reason.contains("65536"), "{reason}");
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    client.stream.close(None).await.unwrap();
    let (code, _) = client.closed_in_the_end().await.expect("a close frame");
    assert_eq!(code, 1000);
}

#[tokio::test]
async fn ticks_come_at_the_announced_interval_and_are_numbered() {
    let mut plan = Plan::default();
    plan.limits.tick = std::time::Duration::from_millis(50);
    let daemon = Daemon::start(plan);
    for generation in [3, 4] {
        let mut client = daemon.generation(generation).await;
        for _ in 0..3 {
            let tick = client.until(|frame| frame["event"] == "tick").await;
            assert!(
                tick["payload"]["ts"].is_u64() && tick["seq"].is_u64(),
                "{tick}"
            );
        }
    }
}

#[tokio::test]
async fn who_connects_and_who_leaves_is_seen_by_the_others() {
    let daemon = Daemon::start(Plan::default());
    let mut watcher = daemon.client().await;
    let device = Device::new(11);
    let mut node = daemon.socket().await;
    let params = device.sign(node_params(), &node);
    node.hello(params).await;
    let row = |frame: &Value, reason: &str| {
        frame["event"] == "presence"
            && frame["payload"]["presence"].as_array().is_some_and(|rows| {
                rows.iter()
                    .any(|row| row["deviceId"] == device.id.as_str() && row["reason"] == reason)
            })
    };
    let came = watcher.until(|frame| row(frame, "connect")).await;
    drop(node);
    let left = watcher.until(|frame| row(frame, "disconnect")).await;
    let version = |frame: &Value| frame["stateVersion"]["presence"].as_u64().unwrap();
    assert!(version(&left) > version(&came));
    let rows = watcher.call("system-presence", json!({})).await;
    assert_eq!(
        rows, left["payload"]["presence"],
        "what was told is what is"
    );
}
