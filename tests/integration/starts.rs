//! How conversations begin: made by name, by their first message, or because the earlier one is over.

use std::time::Duration;

use openclaw_actors::sessions::freshness::ResetRule;
use serde_json::json;

use crate::chat::{history, message};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;

#[tokio::test]
async fn a_session_is_made_with_its_name_and_its_first_message() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    let made = client
        .call("sessions.create", json!({ "label": "Errands" }))
        .await;
    let key = made["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("agent:main:dashboard:"), "{made}");
    assert_eq!(
        (&made["runStarted"], &made["entry"]["label"]),
        (&json!(false), &json!("Errands"))
    );
    let taken = client
        .refused("sessions.create", json!({ "label": "Errands" }))
        .await;
    assert!(
        taken["message"]
            .as_str()
            .is_some_and(|told| told.contains(&key)),
        "{taken}"
    );
    let model_error = client
        .refused("sessions.create", json!({ "model": "no/such" }))
        .await;
    assert!(
        model_error["message"]
            .as_str()
            .is_some_and(|told| told.contains("at /model"))
    );

    let first = json!({ "key": "trip", "message": "hello", "idempotencyKey": "k1" });
    let made = client.call("sessions.create", first.clone()).await;
    assert_eq!(
        (&made["key"], &made["runId"], &made["messageSeq"]),
        (&json!("agent:main:trip"), &json!("k1"), &json!(1))
    );
    let mut asked = model.asked().await;
    assert_eq!(asked.prompt, "hello");
    asked.text("hi").await;
    asked.done().await;
    client.chat("k1", "final").await;
    // The same request again is answered with the same session, and nothing runs twice.
    client.call("agent.wait", json!({ "runId": "k1" })).await;
    let again = client.call("sessions.create", first).await;
    assert_eq!(
        (&again["key"], &again["runId"], &again["sessionId"]),
        (&made["key"], &made["runId"], &made["sessionId"])
    );

    let sent = client
        .call("sessions.send", json!({ "key": "trip", "message": "more" }))
        .await;
    assert_eq!(sent["status"], "started", "{sent}");
    let asked = model.asked().await;
    assert_eq!(asked.prompt, "more");
    asked.done().await;
    client
        .chat(sent["runId"].as_str().expect("a run"), "final")
        .await;
    assert_eq!(model.journal().len(), 2);
}

#[tokio::test]
async fn a_message_after_the_quiet_time_begins_a_new_conversation() {
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    plan.settings.resets.general = ResetRule {
        daily_at: None,
        idle: Some(Duration::ZERO),
    };
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    client
        .call("chat.send", message("main", "first", "k1"))
        .await;
    let mut asked = model.asked().await;
    // Nothing is over while a run is under way.
    client
        .call("chat.send", message("main", "second", "k2"))
        .await;
    asked.text("one").await;
    asked.done().await;
    let asked = model.asked().await;
    assert_eq!(
        asked.conversation()[0].1,
        "first",
        "{:?}",
        asked.conversation()
    );
    asked.done().await;
    client.chat("k2", "final").await;
    client.call("agent.wait", json!({ "runId": "k2" })).await;

    client
        .call("chat.send", message("main", "third", "k3"))
        .await;
    let asked = model.asked().await;
    assert_eq!(
        asked.conversation(),
        [("user".to_owned(), "third".to_owned())]
    );
    asked.done().await;
    client.chat("k3", "final").await;
    let rows = history(&mut client, "main").await;
    assert!(!rows.iter().any(|(_, text)| text == "first"), "{rows:?}");
}
