//! Heartbeats over whole sockets: what wakes an agent, and the switch that stops all of them.

use serde_json::{Value, json};

use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;

#[tokio::test]
async fn an_agent_is_woken_at_once_unless_heartbeats_are_stopped() {
    let mut model = Model::start().await;
    let mut config = config(&model);
    config["agents"]["defaults"]["heartbeat"] = json!({ "every": "1h" });
    let home = Home::with(&config);
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let bell = json!({ "mode": "now", "text": "The door bell rang." });
    assert_eq!(client.call("wake", bell.clone()).await["ok"], true);
    let mut asked = model.asked().await;
    assert!(
        asked.body.to_string().contains("The door bell rang."),
        "{}",
        asked.body
    );
    asked.text("Somebody is at the door.").await;
    asked.done().await;
    client.until(|frame| frame["event"] == "heartbeat").await;
    let off = client
        .call("set-heartbeats", json!({ "enabled": false }))
        .await;
    assert_eq!(off, json!({ "ok": true, "enabled": false }));
    let last = client.call("last-heartbeat", json!({})).await;
    assert!(last["ts"].is_u64(), "{last}");
    // With nothing that would tell it later, it is a turn of the main conversation.
    client.call("wake", bell).await;
    let mut asked = model.asked().await;
    asked.text("Again.").await;
    asked.done().await;
    let turn = |frame: &Value| frame["event"] == "chat" && frame["payload"]["state"] == "final";
    client.until(turn).await;
}
