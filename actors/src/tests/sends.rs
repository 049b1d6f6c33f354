//! Conversations that tell one another something, and messages that wait for quiet.

use std::time::Duration;

use futures_util::stream;
use serde_json::{Value, json};

use super::peer::{Peer, Who, is_event};
use super::world::{Setup, World, paused};
use crate::agent::model::{ModelEvent, ModelStream, StopReason, ToolCall};
use crate::settings::{ModelPlan, QueueMode};

/// Sends what follows `SEND <session>` in the newest words there; answers anything else.
fn script(newest: &str) -> ModelStream {
    let order = newest.lines().find_map(|line| line.strip_prefix("SEND "));
    let mut events = Vec::new();
    if let Some((session, message)) = order.and_then(|order| order.split_once(' ')) {
        events.push(ModelEvent::ToolCall(ToolCall {
            id: String::new(),
            name: "sessions_send".into(),
            arguments: json!({ "sessionKey": session, "message": message }),
            signature: None,
        }));
        events.push(ModelEvent::Stop(StopReason::ToolUse));
    } else {
        events.push(ModelEvent::Text(format!("<{newest}>")));
        events.push(ModelEvent::Stop(StopReason::EndTurn));
    }
    ModelStream::from_stream(stream::iter(events.into_iter().map(Ok)))
}

async fn admin(world: &World) -> Peer {
    Peer::connect(&world.core, &world.worker(), &Who::admin()).await
}

async fn ended(peer: &mut Peer, run: &str) -> String {
    let frames = peer
        .until(|frame| {
            is_event(frame, "chat")
                && frame["payload"]["runId"] == run
                && matches!(frame["payload"]["state"].as_str(), Some("final" | "error"))
        })
        .await;
    let message = &frames.last().unwrap()["payload"]["message"];
    message["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn say(peer: &mut Peer, session: &str, message: &str, key: &str) {
    let params = json!({ "sessionKey": session, "message": message, "idempotencyKey": key });
    let ack = peer.ask("chat.send", &params).await;
    assert_eq!(ack["payload"]["status"], "started", "{ack}");
}

async fn turn(peer: &mut Peer, session: &str, message: &str, key: &str) -> String {
    say(peer, session, message, key).await;
    ended(peer, key).await
}

async fn texts(peer: &mut Peer, session: &str) -> Vec<(String, String)> {
    let page = peer
        .ask("chat.history", &json!({ "sessionKey": session }))
        .await;
    let rows = page["payload"]["messages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| (text(&row["role"]), text(&row["content"][0]["text"]));
    rows.iter().map(row).collect()
}

#[test]
fn a_conversation_asks_another_and_goes_on_with_its_answer() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(script)).start().await;
        let mut peer = admin(&world).await;
        turn(&mut peer, "there", "hello", "k0").await;
        let answer = turn(&mut peer, "main", "SEND there what is new?", "k1").await;
        assert!(answer.contains("\"status\":\"ok\""), "{answer}");
        assert!(answer.contains("what is new?"), "{answer}");
        let rows = texts(&mut peer, "there").await;
        let sent = "[From the conversation agent:main:main]\nwhat is new?";
        assert_eq!(rows[2], ("user".into(), sent.into()));
        assert_eq!(rows[3], ("assistant".into(), format!("<{sent}>")));
    });
}

#[test]
fn conversations_do_not_wait_for_themselves_nor_lead_on_without_end() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(script)).start().await;
        let mut peer = admin(&world).await;
        for (at, session) in ["a", "b", "c", "d"].into_iter().enumerate() {
            turn(&mut peer, session, "hello", &format!("k{at}")).await;
        }
        let said = turn(&mut peer, "a", "SEND a me", "s1").await;
        assert!(said.contains("that is this conversation"), "{said}");
        // The second line is what the conversation that is asked does with it.
        let said = turn(&mut peer, "a", "SEND b SEND a back", "s2").await;
        assert!(
            said.contains("that conversation waits for this one"),
            "{said}"
        );
        turn(&mut peer, "a", "SEND b SEND c SEND d too far", "s3").await;
        let rows = texts(&mut peer, "c").await;
        let refused = rows
            .iter()
            .any(|(_, text)| text.contains("which is the limit"));
        assert!(refused, "{rows:?}");
        assert_eq!(texts(&mut peer, "d").await.len(), 2, "nothing arrived");
        let said = turn(&mut peer, "a", "SEND nowhere hello", "s4").await;
        assert!(said.contains("sessions_list lists them"), "{said}");
    });
}

#[test]
fn messages_that_waited_get_their_run_once_nothing_came_for_a_while() {
    fn slow(newest: &str) -> ModelStream {
        let text = format!("<{newest}>");
        ModelStream::from_stream(stream::unfold(Some(text), |text| async move {
            let text = text?;
            tokio::time::sleep(Duration::from_secs(10)).await;
            Some((Ok(ModelEvent::Text(text)), None))
        }))
    }
    paused(async {
        let mut setup = Setup::here(ModelPlan::Scripted(slow));
        setup.settings.queue.mode = QueueMode::Collect;
        setup.settings.queue.debounce = Duration::from_mins(1);
        // What the channel has for itself counts; clients are the channel `webchat`.
        setup.settings.queue_rests = [("webchat".to_owned(), Duration::from_secs(5))].into();
        let world = setup.start().await;
        let mut peer = admin(&world).await;
        say(&mut peer, "main", "one", "k1").await;
        peer.rest(Duration::from_secs(8)).await;
        say(&mut peer, "main", "two", "k2").await;
        ended(&mut peer, "k1").await;
        // Two seconds ago something came; while this lane rests, others run, and more may come.
        say(&mut peer, "other", "else", "o1").await;
        peer.rest(Duration::from_secs(1)).await;
        say(&mut peer, "main", "three", "k3").await;
        let begun = tokio::time::Instant::now();
        ended(&mut peer, "o1").await;
        let said = ended(&mut peer, "k3").await;
        assert_eq!(said, "<three>");
        let waited = begun.elapsed();
        assert!(
            waited >= Duration::from_secs(15) && waited < Duration::from_secs(17),
            "{waited:?}"
        );
        // One run answered both.
        let rows = texts(&mut peer, "main").await;
        let said: Vec<&str> = rows.iter().map(|(_, text)| &**text).collect();
        assert_eq!(said, ["one", "two", "<one>", "three", "<three>"]);
    });
}
