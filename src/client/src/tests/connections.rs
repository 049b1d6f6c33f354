use openclaw_protocol::methods::system::EmptyParams;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use futures_util::{SinkExt, StreamExt};

use super::fake::{connected, options};
use crate::{Event, Options};

fn seqs(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            Event::Message(message) => message.seq.unwrap().to_string(),
            Event::Gap { missed } => format!("gap of {missed}"),
        })
        .collect()
}

#[tokio::test]
async fn missing_numbers_are_told_before_the_next_event() {
    let (mut connection, mut peer) = connected(&options()).await;
    for seq in [1, 4, 5] {
        peer.event(seq).await;
    }
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(connection.next_event().await.unwrap());
    }
    assert_eq!(seqs(&events), ["1", "gap of 2", "4", "5"]);
}

#[tokio::test]
async fn events_that_a_slow_reader_missed_are_told_as_a_gap() {
    let options = Options {
        event_capacity: 2,
        ..options()
    };
    let (mut connection, mut peer) = connected(&options).await;
    for seq in 1..=5 {
        peer.event(seq).await;
    }
    // The answer comes behind the events: they have been taken in when it is here.
    let gateway = async {
        let request = peer.request().await;
        peer.reply(&request, json!(null)).await;
        peer
    };
    let client = connection.client().clone();
    let (answer, mut peer) = tokio::join!(client.request_value("health", &EmptyParams {}), gateway);
    answer.unwrap();

    let mut events = vec![
        connection.next_event().await.unwrap(),
        connection.next_event().await.unwrap(),
    ];
    peer.event(6).await;
    events.push(connection.next_event().await.unwrap());
    events.push(connection.next_event().await.unwrap());
    assert_eq!(seqs(&events), ["1", "2", "gap of 3", "6"]);
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let (_connection, mut peer) = connected(&options()).await;
    peer.socket
        .send(Message::Ping("hello".into()))
        .await
        .unwrap();
    assert_eq!(peer.message().await, Message::Pong("hello".into()));
}

#[tokio::test]
async fn frames_that_are_not_understood_do_not_end_the_connection() {
    let (mut connection, mut peer) = connected(&options()).await;
    peer.socket.send(Message::text("nonsense")).await.unwrap();
    peer.socket
        .send(Message::binary(vec![0xff, 0xfe]))
        .await
        .unwrap();
    peer.event(1).await;
    assert!(matches!(
        connection.next_event().await,
        Some(Event::Message(_))
    ));
}

#[tokio::test]
async fn closing_says_goodbye_and_ends_the_events() {
    let (connection, mut peer) = connected(&options()).await;
    let (client, mut events) = connection.into_parts();
    let gateway = async {
        match peer.message().await {
            Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1000),
            other => panic!("{other:?}"),
        }
        while peer.socket.next().await.is_some() {}
    };
    tokio::join!(client.close(), gateway);
    assert_eq!(events.next().await, None);
    assert_eq!(client.close_reason().unwrap().code, Some(1000));
}

#[tokio::test]
async fn a_connection_closes_when_both_halves_are_dropped() {
    let (connection, mut peer) = connected(&options()).await;
    let (client, events) = connection.into_parts();
    drop(client);
    peer.event(1).await;
    drop(events);
    assert!(matches!(peer.message().await, Message::Close(_)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_gateway_is_left_after_two_ticks() {
    let (mut connection, mut peer) = connected(&options()).await;
    let started = tokio::time::Instant::now();
    assert_eq!(connection.next_event().await, None);
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(connection.client().closed().await.code, Some(4000));
    match peer.message().await {
        Message::Close(Some(frame)) => assert_eq!(frame.reason.as_str(), "tick timeout"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn any_frame_keeps_a_connection_alive() {
    let (mut connection, mut peer) = connected(&options()).await;
    for seq in 1..=4 {
        // A slow gateway, in virtual time.
        tokio::time::sleep(std::time::Duration::from_secs(50)).await;
        peer.event(seq).await;
        assert!(connection.next_event().await.is_some());
    }
}
