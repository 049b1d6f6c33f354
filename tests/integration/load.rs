//! A gateway that is short of memory: what it lets go of, what it says, and that it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openclaw_actors::health::load::Memory;
use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::socket::Socket;

/// Memory in use, of 100 MB.
struct Told(AtomicU64);

impl Memory for Told {
    fn resident(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed))
    }

    fn limit(&self) -> Option<u64> {
        Some(100_000_000)
    }
}

fn is_health(frame: &Value, state: &Value) -> bool {
    frame["event"] == "health" && frame["payload"]["load"]["state"] == *state
}

#[tokio::test]
async fn a_gateway_short_of_memory_lets_go_of_presence_then_of_runs_and_comes_back() {
    let mut model = Model::start().await;
    let memory = Arc::new(Told(AtomicU64::new(10_000_000)));
    let daemon = Daemon::start(Plan {
        memory: Arc::clone(&memory) as Arc<dyn Memory>,
        ..Plan::with_model(&model)
    });
    let mut owner = daemon.client().await;
    let said =
        |key: &str| json!({ "sessionKey": "main", "message": "hello", "idempotencyKey": key });

    memory.0.store(80_000_000, Ordering::Relaxed);
    // It is well all the same, and says so in the shape that clients know; who asks is told what is let go of.
    let high = loop {
        let told = owner.until(|frame| frame["event"] == "health").await;
        assert_eq!(told["payload"]["ok"], true, "{told}");
        let asked = owner.call("health", json!({})).await;
        if asked["load"].is_object() {
            break asked["load"].clone();
        }
    };
    assert_eq!(
        (&high["state"], &high["sheds"]),
        (&json!("high"), &json!(["presence"]))
    );
    let said_there = json!({ "text": "here", "instanceId": "somebody" });
    owner.call("system-event", said_there).await;
    let here = owner.call("system-presence", json!({})).await;
    assert!(
        here.to_string().contains("somebody"),
        "who asks is told: {here}"
    );

    memory.0.store(95_000_000, Ordering::Relaxed);
    let told = |owner: &Socket| owner.places(|frame| frame["event"] == "presence").len();
    let before = told(&owner);
    let full = owner.until(|frame| is_health(frame, &json!("full"))).await;
    assert_eq!(told(&owner), before, "nobody is told who came");
    assert_eq!(full["payload"]["ok"], false, "{full}");
    let reason = full["payload"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("gateway.limits.memoryBytes"), "{reason}");
    let refused = owner.refused("chat.send", said("one")).await;
    assert_eq!(refused["code"], "UNAVAILABLE", "{refused}");
    assert_eq!(refused["retryable"], true, "{refused}");

    memory.0.store(10_000_000, Ordering::Relaxed);
    while told(&owner) == before {
        owner.frame().await;
    }
    // The same key: what was refused was never begun.
    owner.call("chat.send", said("one")).await;
    let mut asked = model.asked().await;
    asked.text("hello").await;
    asked.done().await;
    owner
        .until(|frame| frame["event"] == "chat" && frame["payload"]["state"] == "final")
        .await;
}
