//! Floods on an open connection: depth, and messages a second.

use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt as _;
use openclaw_actors::clock::TestClock;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::socket::{Inbound, Socket, connect_params};

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn a_frame_that_is_nested_too_deeply_is_refused_by_the_limit() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    client.check.off_the_record();
    let frame = |levels: usize| {
        let params = nested(levels);
        Message::text(format!(
            r#"{{"type":"req","id":"d","method":"health","params":{params}}}"#
        ))
    };
    client.send_message(frame(63)).await;
    assert_eq!(client.answer("d").await["ok"], true);
    // A million levels would take the stack of a parser that follows them.
    for levels in [64, 127, 200, 1_000_000] {
        client.send_message(frame(levels)).await;
        let answer = client.answer("d").await;
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
        assert_eq!(
            answer["error"]["message"],
            "invalid request frame: nested more than 64 levels deep"
        );
    }
    let status = client.call("status", json!({})).await;
    assert_eq!(status["gateway"]["limits"]["deepFrames"], 4);
    // Before the handshake as well.
    let mut socket = daemon.socket().await;
    socket.check.off_the_record();
    let connect = format!(
        r#"{{"type":"req","id":"c","method":"connect","params":{}}}"#,
        nested(100)
    );
    socket.send_message(Message::text(connect)).await;
    assert_eq!(socket.frame().await["id"], "c");
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 1008);
    assert!(reason.contains("64 levels"), "{reason}");
}

/// Sends this many requests at once; gives the answers in order.
async fn burst(client: &mut Socket, count: usize) -> Vec<Value> {
    for _ in 0..count {
        let text = json!({ "type": "req", "id": "b", "method": "health" }).to_string();
        let fed = client.stream.feed(Message::text(text)).await;
        fed.expect("the gateway takes frames");
    }
    let flushed = client.stream.flush().await;
    flushed.expect("the gateway takes frames");
    let mut answers = Vec::new();
    while answers.len() < count {
        match client.next().await {
            Inbound::Frame(frame) if frame["id"] == "b" => answers.push(frame),
            Inbound::Frame(_) => {}
            _ => break,
        }
    }
    answers
}

#[tokio::test]
async fn too_many_messages_a_second_are_refused_first_and_closed_only_when_that_goes_on() {
    let clock = Arc::new(TestClock::frozen());
    let mut plan = Plan {
        clock: Arc::<TestClock>::clone(&clock),
        ..Plan::default()
    };
    plan.limits.frames_per_second = 100;
    let daemon = Daemon::start(plan);
    let mut neighbour = daemon.client().await;
    clock.advance(Duration::from_secs(10));
    let mut client = daemon.client().await;
    client.check.off_the_record();
    for second in 0..5 {
        clock.advance(Duration::from_secs(1));
        let answers = burst(&mut client, 150).await;
        let served = answers.iter().filter(|answer| answer["ok"] == true).count();
        assert_eq!((answers.len(), served), (150, 100), "second {second}");
        let error = &answers[149]["error"];
        assert_eq!(error["code"], "UNAVAILABLE", "{error}");
        assert_eq!(error["retryable"], true);
        assert_eq!(error["retryAfterMs"], 1_000);
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("100 a second")
                && message.contains("gateway.limits.maxFramesPerSecond"),
            "{message}"
        );
    }
    clock.advance(Duration::from_secs(1));
    let answers = burst(&mut client, 150).await;
    assert_eq!(answers.len(), 100, "the last straw");
    let limits = neighbour.call("status", json!({})).await["gateway"]["limits"].clone();
    assert_eq!(limits["tooFastRequests"], 250);
    assert_eq!(limits["floodsClosed"], 1);
    // Who slows down in time is forgiven.
    let mut honest = daemon.client().await;
    honest.check.off_the_record();
    for _ in 0..10 {
        clock.advance(Duration::from_secs(2));
        burst(&mut honest, 120).await;
    }
    clock.advance(Duration::from_secs(2));
    honest.call("health", json!({})).await;
}

#[tokio::test]
async fn pings_before_the_handshake_count_too() {
    let mut plan = Plan {
        clock: Arc::new(TestClock::frozen()),
        ..Plan::default()
    };
    plan.limits.frames_per_second = 20;
    let daemon = Daemon::start(plan);
    let mut socket = daemon.socket().await;
    for _ in 0..60 {
        let ping = Message::Ping("x".into());
        if socket.stream.feed(ping).await.is_err() {
            break;
        }
    }
    // The gateway may have closed before it was all written.
    let _ = socket.stream.flush().await;
    let request = connect_params(4);
    let text = json!({ "type": "req", "id": "c", "method": "connect", "params": request });
    let _ = socket.stream.send(Message::text(text.to_string())).await;
    if let Some(closed) = socket.closed_in_the_end().await {
        assert_eq!(closed, (1008, "too many messages".to_owned()));
    }
    let mut admin = daemon.client().await;
    let limits = admin.call("status", json!({})).await["gateway"]["limits"].clone();
    assert_eq!(limits["floodsClosed"], 1);
}
