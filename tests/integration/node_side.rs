//! What nodes tell and follow, and what waits for them.

use serde_json::{Value, json};

use crate::chat::message;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::model::Model;
use crate::nodes::{approve, connect, is_connected, row_when};

fn subscribe(event: &str, key: &str) -> Value {
    json!({ "event": event, "payloadJSON": json!({ "sessionKey": key }).to_string() })
}

#[tokio::test]
async fn an_approved_node_follows_the_conversations_that_it_asked_for() {
    for generation in [4, 3] {
        let mut model = Model::start().await;
        let daemon = Daemon::start(Plan::with_model(&model));
        let mut owner = daemon.client().await;
        let device = Device::new(1);
        let (mut node, _) =
            connect(daemon.socket().await, &device, generation, &["canvas.hide"]).await;
        row_when(&mut owner, is_connected).await;
        let refused = node
            .refused("node.event", subscribe("chat.subscribe", "main"))
            .await;
        assert!(
            refused["message"]
                .as_str()
                .unwrap()
                .contains("openclaw nodes approve"),
            "{refused}"
        );
        approve(&mut owner).await;
        let taken = node
            .call("node.event", subscribe("chat.subscribe", "main"))
            .await;
        if generation == 4 {
            assert_eq!(
                taken,
                json!({ "ok": true, "event": "chat.subscribe", "handled": true })
            );
        } else {
            assert_eq!(taken, json!({ "ok": true }));
        }
        owner
            .call("chat.send", message("main", "hello", "k1"))
            .await;
        owner
            .call("chat.send", message("other", "secret", "k2"))
            .await;
        for _ in 0..2 {
            let mut asked = model.asked().await;
            asked.text("word").await;
            asked.done().await;
        }
        owner.chat("k1", "final").await;
        owner.chat("k2", "final").await;
        let end = node.chat("k1", "final").await;
        let expected = if generation == 4 {
            "agent:main:main"
        } else {
            "main"
        };
        assert_eq!(end["sessionKey"], expected, "{end}");
        node.call("node.event", subscribe("chat.unsubscribe", "main"))
            .await;
        for frame in &node.log {
            if frame["event"] == "chat" || frame["event"] == "agent" {
                assert!(frame["seq"].is_null(), "{frame}");
                assert_eq!(frame["payload"]["runId"], "k1", "{frame}");
            }
        }
        let told = node
            .call(
                "node.event",
                json!({ "event": "node.host.stats", "payload": {} }),
            )
            .await;
        assert_eq!(told["ok"], true);
        if generation == 4 {
            assert_eq!(
                (&told["handled"], &told["reason"]),
                (&json!(false), &json!("unsupported_event"))
            );
        }
    }
}

#[tokio::test]
async fn what_waits_for_a_node_outlives_a_restart_and_is_given_once() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let enqueue = |kind: &str| json!({ "nodeId": device.id, "type": kind, "priority": "high", "expiresInMs": 60_000 });
    let unknown = owner
        .refused("node.pending.enqueue", enqueue("location.request"))
        .await;
    assert_eq!(unknown["message"], "unknown nodeId");
    let (node, _) = connect(daemon.socket().await, &device, 4, &["location.get"]).await;
    row_when(&mut owner, is_connected).await;
    let queued = owner
        .call("node.pending.enqueue", enqueue("location.request"))
        .await;
    assert_eq!(queued["queued"]["type"], "location.request");
    assert_eq!(queued["wakeTriggered"], false);
    owner
        .call("voicewake.set", json!({ "triggers": ["hey claw"] }))
        .await;
    drop(node);
    let home = daemon.stop().await;

    let daemon = Daemon::start_in(home, Plan::default());
    let (mut node, _) = connect(daemon.socket().await, &device, 4, &["location.get"]).await;
    let words = node
        .until(|frame| frame["event"] == "voicewake.changed")
        .await;
    assert_eq!(words["payload"]["triggers"], json!(["hey claw"]));
    assert!(words["seq"].is_null(), "{words}");
    let drained = node.call("node.pending.drain", json!({})).await;
    assert_eq!(drained["items"][0], queued["queued"], "{drained}");
    assert_eq!(drained["items"][1]["id"], "baseline-status");
    let ids = json!({ "ids": [queued["queued"]["id"]] });
    assert_eq!(
        node.call("node.pending.ack", ids).await["remainingCount"],
        0
    );
    let again = node.call("node.pending.drain", json!({})).await;
    assert_eq!(again["items"].as_array().map(Vec::len), Some(1), "{again}");
    assert_eq!(
        node.call("node.pending.pull", json!({})).await["actions"],
        json!([])
    );
}

#[tokio::test]
async fn the_words_that_wake_a_device_reach_readers_and_nodes() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let (mut node, _) = connect(daemon.socket().await, &device, 3, &["canvas.hide"]).await;
    row_when(&mut owner, is_connected).await;
    let first = owner.call("voicewake.get", json!({})).await;
    assert_eq!(first["triggers"], json!(["openclaw", "claude", "computer"]));
    let set = owner
        .call("voicewake.set", json!({ "triggers": [" hey claw ", ""] }))
        .await;
    assert_eq!(set["triggers"], json!(["hey claw"]));
    let changed = |frame: &Value| {
        frame["event"] == "voicewake.changed" && frame["payload"]["triggers"] == json!(["hey claw"])
    };
    assert!(owner.until(changed).await["seq"].is_u64());
    node.until(changed).await;
    assert_eq!(owner.call("voicewake.get", json!({})).await, set);
    let none = owner.call("voicewake.set", json!({ "triggers": [] })).await;
    assert_eq!(none, first);
}

#[tokio::test]
async fn what_a_node_offers_besides_is_heard_and_refused_where_it_cannot_be() {
    let daemon = Daemon::start(Plan::default());
    let device = Device::new(1);
    let (mut node, _) = connect(daemon.socket().await, &device, 4, &["canvas.hide"]).await;
    for (method, params) in [
        ("node.skills.update", json!({ "skills": [] })),
        ("node.pluginTools.update", json!({ "tools": [] })),
        (
            "node.runnerInventory.update",
            json!({ "protocolFeatures": [] }),
        ),
    ] {
        assert_eq!(
            node.call(method, params).await["nodeId"],
            device.id.as_str()
        );
    }
    assert_eq!(node.call("skills.bins", json!({})).await["bins"], json!([]));
    let refused = node
        .refused("node.pluginSurface.refresh", json!({ "surface": "canvas" }))
        .await;
    assert_eq!(refused["message"], "canvas plugin surface unavailable");
}

#[tokio::test]
async fn a_person_at_an_approved_node_speaks_to_an_agent_and_presses_what_it_drew() {
    for generation in [4, 3] {
        let mut model = Model::start().await;
        let daemon = Daemon::start(Plan::with_model(&model));
        let mut owner = daemon.client().await;
        let device = Device::new(1);
        let (mut node, _) =
            connect(daemon.socket().await, &device, generation, &["canvas.hide"]).await;
        row_when(&mut owner, is_connected).await;
        let event = |name: &str, payload: Value| json!({ "event": name, "payloadJSON": payload.to_string() });
        let pressed = json!({ "userAction": {
            "id": "a1", "name": "book", "surfaceId": "s", "sourceComponentId": "b", "context": { "seats": 2 },
        } });
        let refused = node
            .refused("node.event", event("agent.request", pressed.clone()))
            .await;
        let message = refused["message"].as_str().expect("a reason");
        assert!(message.contains("openclaw nodes approve"), "{refused}");
        approve(&mut owner).await;
        for (name, payload, told) in [
            (
                "agent.request",
                json!({ "message": "what is for dinner?" }),
                "what is for dinner?",
            ),
            (
                "voice.transcript",
                json!({ "text": "lights on", "sessionKey": "main" }),
                "lights on",
            ),
            (
                "agent.request",
                pressed,
                "CANVAS_A2UI action=book surface=s component=b ctx={\"seats\":2}",
            ),
        ] {
            let taken = node.call("node.event", event(name, payload.clone())).await;
            assert_eq!(taken["ok"], true, "{taken}");
            if generation == 4 {
                assert_eq!(taken["handled"], true, "{taken}");
            }
            let mut asked = model.asked().await;
            assert!(asked.prompt.contains(told), "{}", asked.prompt);
            asked.text("done").await;
            asked.done().await;
        }
        // The same action twice is one run; what says nothing is refused.
        let again = json!({ "message": "once", "key": "k" });
        for _ in 0..2 {
            node.call("node.event", event("agent.request", again.clone()))
                .await;
        }
        let mut asked = model.asked().await;
        asked.text("done").await;
        asked.done().await;
        let refused = node
            .refused(
                "node.event",
                event("agent.request", json!({ "message": "" })),
            )
            .await;
        assert_eq!(refused["code"], "INVALID_REQUEST", "{refused}");
        let history = owner
            .call("chat.history", json!({ "sessionKey": "main" }))
            .await;
        let said = history["messages"].to_string();
        assert_eq!(said.matches("\"once\"").count(), 1, "{said}");
    }
}
