//! Heartbeats as clients know them, in virtual time.

use std::time::Duration;

use futures_util::stream;
use openclaw_protocol::{Scope, Scopes};
use serde_json::{Value, json};

use super::peer::{Peer, Who, is_event};
use super::world::{Setup, World, paused};
use crate::agent::model::{ModelEvent, ModelStream, StopReason};
use crate::heartbeat::state::{Plan, Target};
use crate::heartbeat::{ACK_MAX_CHARS, PROMPT};
use crate::settings::ModelPlan;

/// Has something to tell when it hears of the door.
fn script(newest: &str) -> ModelStream {
    let text = if newest.contains("door") {
        "The door is open.".to_owned()
    } else {
        "HEARTBEAT_OK".to_owned()
    };
    let events = vec![
        ModelEvent::Text(text),
        ModelEvent::Stop(StopReason::EndTurn),
    ];
    ModelStream::from_stream(stream::iter(events.into_iter().map(Ok)))
}

fn setup(target: Target) -> Setup {
    let mut setup = Setup::here(ModelPlan::Scripted(script));
    setup.settings.agents[0].heartbeat = Some(Plan {
        every: Duration::from_mins(30),
        hours: None,
        prompt: PROMPT.into(),
        model: None,
        ack_max_chars: ACK_MAX_CHARS,
        target,
    });
    setup
}

async fn start(target: Target) -> (World, Peer) {
    let world = setup(target).start().await;
    let peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
    (world, peer)
}

async fn beat(peer: &mut Peer) -> Value {
    let frames = peer
        .until(|frame: &Value| is_event(frame, "heartbeat"))
        .await;
    frames.last().unwrap()["payload"].clone()
}

async fn main_history(peer: &mut Peer) -> String {
    let asked = json!({"sessionKey": "main"});
    peer.ask("chat.history", &asked).await["payload"].to_string()
}

#[test]
fn an_agent_with_nothing_to_tell_is_quiet_every_half_hour() {
    paused(async {
        let (world, mut peer) = start(Target::Main).await;
        assert_eq!(
            peer.ask("last-heartbeat", &json!({})).await["payload"],
            Value::Null
        );
        let started = world.core.clock.now();
        for number in 1..=3 {
            let event = beat(&mut peer).await;
            assert_eq!(
                (&event["status"], &event["silent"]),
                (&json!("ok-token"), &json!(true))
            );
            let passed = world.core.clock.now().since(started).as_secs();
            let due = number * 1_800;
            assert!((due..due + 2).contains(&passed), "{passed}");
        }
        let last = peer.ask("last-heartbeat", &json!({})).await["payload"].clone();
        assert_eq!(last["status"], "ok-token");
        assert!(!main_history(&mut peer).await.contains("HEARTBEAT"));
        let health = peer.ask("health", &json!({"probe": true})).await["payload"].clone();
        assert_eq!(health["heartbeatSeconds"], 1_800, "{health}");
        let status = peer.ask("status", &json!({})).await["payload"]["heartbeat"].clone();
        assert_eq!(status["agents"][0]["every"], "30m", "{status}");
    });
}

#[test]
fn what_waits_is_told_with_the_next_one_and_its_answer_in_the_main_conversation() {
    paused(async {
        let (world, mut peer) = start(Target::Main).await;
        let started = world.core.clock.now();
        let wake = json!({"mode": "next-heartbeat", "text": "the door bell"});
        assert_eq!(
            peer.ask("wake", &wake).await["payload"],
            json!({"ok": true})
        );
        let event = beat(&mut peer).await;
        assert_eq!(
            (&event["status"], &event["channel"]),
            (&json!("sent"), &json!("session"))
        );
        assert_eq!(event.get("preview"), None, "everybody hears the event");
        assert!(world.core.clock.now().since(started) >= Duration::from_mins(30));
        let last = peer.ask("last-heartbeat", &json!({})).await["payload"].clone();
        assert_eq!(last["preview"], "The door is open.");
        assert!(main_history(&mut peer).await.contains("The door is open."));
        // It does not wait any more.
        assert_eq!(beat(&mut peer).await["status"], "ok-token");
        // The same answer a second time is not told.
        assert_eq!(
            peer.ask("wake", &wake).await["payload"],
            json!({"ok": true})
        );
        let again = beat(&mut peer).await;
        assert_eq!(
            (&again["status"], &again["reason"]),
            (&json!("skipped"), &json!("duplicate"))
        );
    });
}

#[test]
fn now_is_now_and_outlives_a_restart_where_it_was_only_noted() {
    paused(async {
        let (world, mut peer) = start(Target::Nobody).await;
        let started = world.core.clock.now();
        peer.ask("wake", &json!({"mode": "now", "text": "the door bell"}))
            .await;
        let event = beat(&mut peer).await;
        assert_eq!(
            (&event["status"], &event["reason"]),
            (&json!("sent"), &json!("target-none"))
        );
        assert!(world.core.clock.now().since(started) < Duration::from_secs(5));
        assert!(!main_history(&mut peer).await.contains("The door"));
        peer.ask(
            "wake",
            &json!({"mode": "next-heartbeat", "text": "the other door"}),
        )
        .await;
        let clock = world.core.clock.clone();
        drop(peer);
        let medium = world.stop().await;
        let setup = Setup {
            clock,
            ..setup(Target::Main).on(&medium)
        };
        let world = setup.start().await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        let last = peer.ask("last-heartbeat", &json!({})).await["payload"].clone();
        assert_eq!(last["status"], "sent", "{last}");
        let event = beat(&mut peer).await;
        assert_eq!(event["reason"], "duplicate", "it was heard: {event}");
        let passed = world.core.clock.now().since(started);
        assert!(
            passed >= Duration::from_mins(30) && passed < Duration::from_mins(31),
            "{passed:?}"
        );
    });
}

#[test]
fn heartbeats_are_stopped_over_a_restart_and_then_nothing_waits_for_them() {
    paused(async {
        let (world, mut peer) = start(Target::Main).await;
        let set = peer.ask("set-heartbeats", &json!({"enabled": false})).await;
        assert_eq!(set["payload"], json!({"ok": true, "enabled": false}));
        let clock = world.core.clock.clone();
        drop(peer);
        let medium = world.stop().await;
        let again = Setup {
            clock,
            ..setup(Target::Main).on(&medium)
        };
        let world = again.start().await;
        tokio::time::sleep(Duration::from_hours(3)).await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        let status = peer.ask("status", &json!({})).await["payload"]["heartbeat"].clone();
        assert_eq!(status["agents"][0]["enabled"], false, "{status}");
        assert_eq!(
            peer.ask("last-heartbeat", &json!({})).await["payload"],
            Value::Null
        );
        // With nobody to hear it later, it is told now.
        peer.ask(
            "wake",
            &json!({"mode": "next-heartbeat", "text": "the door bell"}),
        )
        .await;
        let fits = |frame: &Value| is_event(frame, "chat") && frame["payload"]["state"] == "final";
        peer.until(fits).await;
        assert!(main_history(&mut peer).await.contains("The door is open."));
        peer.ask("set-heartbeats", &json!({"enabled": true})).await;
        assert_eq!(beat(&mut peer).await["status"], "ok-token");
        let who = Who {
            scopes: Scopes::of(&[Scope::Write]),
            ..Who::admin()
        };
        let mut writer = Peer::connect(&world.core, &world.worker(), &who).await;
        let refused = writer
            .ask("set-heartbeats", &json!({"enabled": false}))
            .await;
        assert_eq!(
            refused["error"]["details"]["missingScope"],
            "operator.admin"
        );
    });
}

#[test]
fn an_agent_follows_its_list_and_an_empty_one_costs_nothing() {
    paused(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("HEARTBEAT.md");
        std::fs::write(&file, "# Heartbeat\n\n- [ ]\n").unwrap();
        let mut setup = setup(Target::Main);
        setup.settings.agents[0].workspace = Some(folder.path().to_owned());
        let world = setup.start().await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        let event = beat(&mut peer).await;
        assert_eq!(
            (&event["status"], &event["reason"]),
            (&json!("skipped"), &json!("empty-heartbeat-file"))
        );
        std::fs::write(&file, "- look at the door\n").unwrap();
        assert_eq!(beat(&mut peer).await["status"], "sent");
    });
}

#[test]
fn a_job_leaves_its_text_to_the_next_heartbeat() {
    paused(async {
        let (_world, mut peer) = start(Target::Main).await;
        let job = json!({
            "name": "bell", "sessionTarget": "main", "wakeMode": "next-heartbeat",
            "schedule": {"kind": "every", "everyMs": 86_400_000_u64},
            "payload": {"kind": "systemEvent", "text": "the door bell"},
        });
        let job = peer.ask("cron.add", &job).await["payload"].clone();
        peer.ask("cron.run", &json!({"id": job["id"], "mode": "force"}))
            .await;
        let fits =
            |frame: &Value| is_event(frame, "cron") && frame["payload"]["action"] == "finished";
        let frames = peer.until(fits).await;
        let end = &frames.last().unwrap()["payload"];
        assert_eq!(
            end["summary"], "it is told with the next heartbeat",
            "{end}"
        );
        assert_eq!(beat(&mut peer).await["status"], "sent");
    });
}
