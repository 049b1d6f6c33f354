//! What answers took: on the message, by day, by session; it outlives the conversation.

use openclaw_actors::settings::ModelPlan;
use openclaw_actors::usage::Price;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::chat::message;
use crate::harness::daemon::{Daemon, Plan, resolved};
use crate::harness::model::Model;

fn close(value: &Value, want: f64) -> bool {
    value
        .as_f64()
        .is_some_and(|value| (value - want).abs() < 1e-9)
}

#[tokio::test]
async fn answers_are_priced_and_added_up_and_stay_paid_for() {
    // The scripted model takes 7 tokens in and gives 5.
    let model = Model::echoing().await;
    let mut plan = Plan::with_model(&model);
    let mut priced = resolved(&model, "m1");
    priced.price = Some(Price {
        input: 100_000.0,
        output: 200_000.0,
        ..Price::default()
    });
    plan.settings.agents[0].model = ModelPlan::Chain(vec![priced]);
    let home = Arc::new(tempfile::tempdir().unwrap());
    let daemon = Daemon::start_in(Arc::clone(&home), plan);
    let mut client = daemon.client().await;
    for (session, run) in [("main", "k1"), ("main", "k2"), ("agent:main:b", "k3")] {
        client
            .call("chat.send", message(session, "hello", run))
            .await;
        let end = client.chat(run, "final").await;
        let cost = &end["message"]["usage"]["cost"];
        assert!(
            close(&cost["input"], 0.7) && close(&cost["total"], 1.7),
            "{end}"
        );
    }
    let summary = client.call("usage.cost", json!({ "days": 1 })).await;
    assert_eq!(summary["days"], 1, "{summary}");
    assert_eq!(summary["totals"]["totalTokens"], 36, "{summary}");
    assert!(close(&summary["totals"]["totalCost"], 5.1), "{summary}");
    assert_eq!(summary["daily"].as_array().unwrap().len(), 1);

    let family = json!({ "range": "7d", "groupBy": "family" });
    let usage = client.call("sessions.usage", family.clone()).await;
    let row = |usage: &Value, key: &str| {
        let rows = usage["sessions"].as_array().unwrap().iter();
        let mut rows = rows.filter(|row| row["key"] == key);
        rows.next().cloned().unwrap()
    };
    let main = row(&usage, "agent:main:main");
    assert_eq!(main["usage"]["totalTokens"], 24, "{main}");
    assert_eq!(main["usage"]["messageCounts"]["user"], 2, "{main}");
    assert_eq!(main["model"], "m1");
    assert_eq!(usage["aggregates"]["sessionCount"], 2, "{usage}");
    let one = json!({ "key": "agent:main:b" });
    let one = client.call("sessions.usage", one).await;
    assert_eq!(one["totals"]["totalTokens"], 12, "{one}");
    let nobody = client
        .call("usage.cost", json!({ "agentId": "nobody" }))
        .await;
    assert_eq!(nobody["totals"]["totalTokens"], 0, "{nobody}");

    // What is deleted was paid for all the same; so was what a restart forgot of its process.
    let gone = json!({ "key": "agent:main:b", "deleteTranscript": true });
    client.call("sessions.delete", gone).await;
    drop(client);
    drop(daemon);
    let daemon = Daemon::start_in(home, Plan::with_model(&model));
    let mut client = daemon.client().await;
    let usage = client.call("sessions.usage", family).await;
    assert_eq!(usage["totals"]["totalTokens"], 36, "{usage}");
    assert_eq!(row(&usage, "agent:main:b")["usage"]["totalTokens"], 12);
}

#[tokio::test]
async fn an_answer_without_a_price_is_counted_as_such_and_a_wrong_time_is_refused() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client.call("chat.send", message("main", "hi", "k1")).await;
    let end = client.chat("k1", "final").await;
    assert!(end["message"]["usage"].get("cost").is_none(), "{end}");
    let summary = client
        .call("usage.cost", json!({ "agentScope": "all" }))
        .await;
    assert_eq!(summary["totals"]["missingCostEntries"], 1, "{summary}");
    let half = json!({ "startDate": "2026-01-01" });
    let refused = client.refused("usage.cost", half).await;
    assert!(
        refused["message"].as_str().unwrap().contains("together"),
        "{refused}"
    );
    let both = json!({ "agentScope": "all", "key": "main" });
    client.refused("sessions.usage", both).await;
    let status = client.call("usage.status", json!({})).await;
    assert_eq!(status["providers"], json!([]));
}
