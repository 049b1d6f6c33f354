//! One whole turn, with every actor on one thread and paused time.

use std::time::Duration;

use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::peer::{Peer, Who, is_event};
use super::world::{Setup, World, paused};
use crate::agent::model::{ModelEvent, ModelStream, StopReason};
use crate::settings::ModelPlan;
use crate::store::faults::Fault;

/// A client that hears everything that its turns cause.
async fn listener(world: &World, who: &Who) -> Peer {
    let mut peer = Peer::connect(&world.core, &world.worker(), who).await;
    peer.ask("sessions.subscribe", &json!({})).await;
    peer.ask("sessions.messages.subscribe", &json!({"key": "main"}))
        .await;
    peer
}

fn chat(key: &str) -> Value {
    json!({"sessionKey": "main", "message": "one two three four five six seven eight", "idempotencyKey": key})
}

fn agent(key: &str) -> Value {
    json!({"sessionKey": "main", "message": "one two three four five six seven eight", "idempotencyKey": key})
}

/// What a frame of a turn is, in one word; `None` for the gateway's pulse.
fn kind(frame: &Value) -> Option<String> {
    let payload = &frame["payload"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if frame["type"] == "res" {
        return Some(format!("res {}", text(&payload["status"])));
    }
    Some(match frame["event"].as_str()? {
        "agent" if payload["stream"] == "lifecycle" => {
            format!("agent {}", text(&payload["data"]["phase"]))
        }
        "agent" => format!("agent {}", text(&payload["stream"])),
        "chat" => format!("chat {}", text(&payload["state"])),
        "session.message" => format!("message {}", text(&payload["message"]["role"])),
        "sessions.changed" => format!("changed {}", text(&payload["reason"])),
        "tick" | "health" | "presence" => return None,
        other => other.to_owned(),
    })
}

/// The kinds of `frames`, a pair of deltas once.
fn order(frames: &[Value]) -> Vec<String> {
    let mut order: Vec<String> = frames.iter().filter_map(kind).collect();
    let mut at = 0;
    while at + 3 < order.len() {
        if order[at..at + 2] == order[at + 2..at + 4] && order[at] == "agent assistant" {
            order.drain(at..at + 2);
        } else {
            at += 1;
        }
    }
    order
}

fn contiguous(frames: &[Value]) {
    let seqs: Vec<u64> = frames
        .iter()
        .filter_map(|frame| frame["seq"].as_u64())
        .collect();
    assert!(
        seqs.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{seqs:?}"
    );
}

#[test]
fn chat_send_is_acknowledged_streamed_committed_and_told_in_this_order() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = listener(&world, &Who::admin()).await;
        let id = peer.request("chat.send", &chat("turn-1"));
        let frames = peer
            .until(|frame| frame["payload"]["state"] == "final")
            .await;
        assert_eq!(frames[0]["id"], id.as_str());
        assert_eq!(
            order(&frames),
            [
                "res started",
                "message user",
                "changed send",
                "agent start",
                "agent assistant",
                "chat delta",
                "message assistant",
                "changed end",
                "agent end",
                "chat final"
            ]
        );
        contiguous(&frames);
        let last = &frames.last().unwrap()["payload"];
        let text = last["message"]["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("You said: one two"), "{text}");
        let history = peer
            .ask("chat.history", &json!({"sessionKey": "main"}))
            .await;
        let rows = history["payload"]["messages"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1]["content"][0]["text"], text);
        let again = peer.ask("chat.send", &chat("turn-1")).await;
        assert_eq!(again["payload"], json!({"runId": "turn-1", "status": "ok"}));
    });
}

#[test]
fn a_conversation_that_begins_with_words_is_not_overtaken_by_the_next_message() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = listener(&world, &Who::admin()).await;
        let say = |key: &str, text: &str| json!({"sessionKey": "main", "message": text, "idempotencyKey": key});
        peer.request("chat.send", &say("one", "/new first words"));
        peer.request("chat.send", &say("two", "second words"));
        peer.request("chat.send", &say("three", "/help"));
        peer.request("chat.send", &say("four", "last words"));
        peer.until(|frame| {
            frame["event"] == "session.message" && frame.to_string().contains("last words")
        })
        .await;
        let history = peer
            .ask("chat.history", &json!({"sessionKey": "main"}))
            .await;
        let rows = history["payload"]["messages"].as_array().unwrap();
        let said: Vec<&str> = (rows.iter().filter(|row| row["role"] == "user"))
            .map(|row| row["content"][0]["text"].as_str().unwrap())
            .collect();
        assert_eq!(said, ["first words", "second words", "/help", "last words"]);
    });
}

#[test]
fn a_message_that_could_not_be_stored_is_not_shown_as_waiting() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = listener(&world, &Who::admin()).await;
        let kind = std::io::ErrorKind::StorageFull;
        world.medium.fail(Fault::Writes(kind), 0);
        let refused = peer.ask("chat.send", &chat("full")).await;
        assert_eq!(refused["ok"], false, "{refused}");
        assert!(world.core.views.queued.load().is_empty());
    });
}

#[test]
fn agent_is_answered_twice_with_every_event_of_its_run_between() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = listener(&world, &Who::admin()).await;
        let id = peer.request("agent", &agent("turn-2"));
        let frames = peer
            .until(|frame| frame["type"] == "res" && frame["payload"]["status"] != "accepted")
            .await;
        assert!(
            frames
                .iter()
                .filter(|frame| frame["type"] == "res")
                .all(|frame| frame["id"] == id.as_str())
        );
        assert_eq!(
            order(&frames),
            [
                "res accepted",
                "message user",
                "changed send",
                "agent start",
                "agent assistant",
                "chat delta",
                "message assistant",
                "changed end",
                "agent end",
                "chat final",
                "res ok"
            ]
        );
        contiguous(&frames);
        let again = peer.ask("agent", &agent("turn-2")).await;
        assert_eq!(again["payload"], frames.last().unwrap()["payload"]);
    });
}

#[test]
fn an_older_client_sees_the_same_turn_in_its_own_words() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = listener(&world, &Who::v3()).await;
        peer.request("chat.send", &chat("turn-3"));
        let frames = peer
            .until(|frame| frame["payload"]["state"] == "final")
            .await;
        assert_eq!(
            order(&frames),
            [
                "res started",
                "agent start",
                "agent assistant",
                "chat delta",
                "agent end",
                "chat final"
            ]
        );
        contiguous(&frames);
        for frame in frames
            .iter()
            .filter(|frame| is_event(frame, "chat") || is_event(frame, "agent"))
        {
            assert_eq!(frame["payload"]["sessionKey"], "main", "{frame}");
            for newer in ["agentId", "sessionId", "deltaText", "replace"] {
                assert!(frame["payload"].get(newer).is_none(), "{frame}");
            }
        }
    });
}

#[test]
fn pieces_of_an_answer_leave_75_ms_apart() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = listener(&world, &Who::admin()).await;
        peer.request("chat.send", &chat("turn-4"));
        let (mut at, mut whole) = (Vec::new(), String::new());
        loop {
            let frame = peer.next().await;
            if frame["payload"]["state"] == "delta" {
                at.push(Instant::now());
                whole.push_str(frame["payload"]["deltaText"].as_str().unwrap());
                assert_eq!(
                    frame["payload"]["message"]["content"][0]["text"],
                    whole.as_str()
                );
            }
            if frame["payload"]["state"] == "final" {
                assert_eq!(
                    frame["payload"]["message"]["content"][0]["text"],
                    whole.as_str()
                );
                break;
            }
        }
        let gaps: Vec<u128> = at
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_millis())
            .collect();
        let (last, paced) = gaps.split_last().unwrap();
        assert!(paced.len() > 5, "{gaps:?}");
        // tokio's timers are accurate to a millisecond.
        assert!(paced.iter().all(|gap| (75..=76).contains(gap)), "{gaps:?}");
        assert!(*last <= 76, "{gaps:?}");
    });
}

/// Twenty pieces at once, a pause, and one more.
fn burst(_: &str) -> ModelStream {
    ModelStream::from_stream(stream::unfold(0, |step| async move {
        if step == 20 {
            // A slow model, in virtual time.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let event = match step {
            0..=20 => ModelEvent::Text(format!("{step} ")),
            21 => ModelEvent::Stop(StopReason::EndTurn),
            _ => return None,
        };
        Some((Ok(event), step + 1))
    }))
}

#[test]
fn a_burst_becomes_two_pieces_and_nothing_waits_longer_than_the_pace() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(burst)).start().await;
        let mut peer = listener(&world, &Who::admin()).await;
        peer.request("chat.send", &chat("turn-5"));
        let mut deltas = Vec::new();
        loop {
            let frame = peer.next().await;
            if frame["payload"]["state"] == "delta" {
                deltas.push((
                    Instant::now(),
                    frame["payload"]["deltaText"].as_str().unwrap().to_owned(),
                ));
            }
            if frame["payload"]["state"] == "final" {
                break;
            }
        }
        let texts: Vec<&str> = deltas.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert_eq!((texts[0], texts[2]), ("0 ", "20 "));
        assert!((75..=76).contains(&(deltas[1].0 - deltas[0].0).as_millis()));
    });
}

#[test]
fn an_end_that_cannot_be_stored_for_a_moment_is_stored_once_it_can() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = listener(&world, &Who::admin()).await;
        let id = peer.request("agent", &agent("turn-5"));
        peer.until(|frame| frame["payload"]["state"] == "delta")
            .await;
        world
            .medium
            .fail(Fault::Writes(std::io::ErrorKind::StorageFull), 0);
        let mut status = world.store.watch_status();
        status.wait_for(|status| !status.ok).await.unwrap();
        world.medium.heal();
        let frames = peer
            .until(|frame| frame["type"] == "res" && frame["id"] == id.as_str())
            .await;
        assert_eq!(frames.last().unwrap()["ok"], true);
        let page = peer
            .ask("chat.history", &json!({ "sessionKey": "main" }))
            .await;
        let rows = page["payload"]["messages"].as_array().unwrap();
        assert_eq!(rows.len(), 2, "{page}");
    });
}

#[test]
fn an_end_that_cannot_be_stored_is_an_error_and_the_next_start_calls_it_interrupted() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = listener(&world, &Who::admin()).await;
        let id = peer.request("agent", &agent("turn-6"));
        peer.until(|frame| frame["payload"]["state"] == "delta")
            .await;
        world
            .medium
            .fail(Fault::Writes(std::io::ErrorKind::StorageFull), 0);
        let frames = peer
            .until(|frame| frame["type"] == "res" && frame["id"] == id.as_str())
            .await;
        let told = order(&frames);
        assert_eq!(
            told[told.len() - 3..],
            ["agent error", "chat error", "res error"]
        );
        assert!(
            !told
                .iter()
                .any(|kind| kind == "message assistant" || kind == "chat final"),
            "{told:?}"
        );
        let last = frames.last().unwrap();
        assert_eq!(
            (&last["ok"], &last["error"]["code"]),
            (&json!(false), &json!("UNAVAILABLE"))
        );
        assert_eq!(last["error"]["details"]["code"], "store-unavailable");
        // Neither done nor free.
        let refused = peer.ask("agent", &agent("turn-6")).await;
        assert_eq!(refused["error"]["code"], "UNAVAILABLE", "{refused}");

        world.medium.heal();
        world
            .store
            .watch_status()
            .wait_for(|status| status.ok)
            .await
            .unwrap();
        let medium = world.stop().await;
        let world = Setup::here(ModelPlan::Unconfigured)
            .on(&medium)
            .start()
            .await;
        assert_eq!(world.interrupted, ["turn-6"]);
        let mut peer = listener(&world, &Who::admin()).await;
        let replayed = peer.ask("agent", &agent("turn-6")).await;
        assert_eq!(replayed["ok"], false);
        assert_eq!(
            replayed["error"]["message"],
            "interrupted by a gateway restart"
        );
        let history = peer
            .ask("chat.history", &json!({"sessionKey": "main"}))
            .await;
        let rows = history["payload"]["messages"].as_array().unwrap();
        assert_eq!(rows.iter().filter(|row| row["role"] == "user").count(), 1);
        assert!(rows.iter().all(|row| row["role"] != "assistant"));
    });
}
