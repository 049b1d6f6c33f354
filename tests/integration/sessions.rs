//! Changes of conversations: name and model, beginning anew, deletion, stopping, injected messages.

use serde_json::{Value, json};

use crate::chat::{history, message, turn};
use crate::harness::daemon::{Daemon, Plan, resolved};
use crate::harness::model::Model;

#[tokio::test]
async fn a_session_gets_a_name_and_a_model_and_keeps_them() {
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    let catalogue = &mut plan.settings.catalogue;
    catalogue.insert("scripted/m2".into(), Ok(resolved(&model, "m2")));
    catalogue.insert(
        "scripted/locked".into(),
        Err("models.providers.scripted.apiKey is not set".into()),
    );
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    let patched = client
        .call(
            "sessions.patch",
            json!({ "key": "errand", "label": "Errands", "model": "scripted/m2", "pinned": true }),
        )
        .await;
    assert_eq!(patched["key"], "agent:main:errand");
    assert_eq!(patched["entry"]["label"], "Errands");
    assert_eq!(
        patched["resolved"],
        json!({ "modelProvider": "scripted", "model": "m2" })
    );
    client
        .call("chat.send", message("errand", "hello", "k1"))
        .await;
    let asked = model.asked().await;
    assert_eq!(asked.body["model"], "m2");
    asked.done().await;
    client.chat("k1", "final").await;

    for (change, place) in [
        (json!({ "key": "other", "label": "Errands" }), "at /label"),
        (
            json!({ "key": "other", "model": "scripted/none" }),
            "models.list",
        ),
        (
            json!({ "key": "other", "model": "scripted/locked" }),
            "apiKey",
        ),
        (
            json!({ "key": "errand", "expectedSessionId": "older", "pinned": false }),
            "at /expectedSessionId",
        ),
        (json!({ "key": "errand", "mood": "calm" }), "mood"),
    ] {
        let error = client.refused("sessions.patch", change).await;
        assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
        let told = error["message"].as_str().unwrap();
        assert!(told.contains(place), "{told}");
    }
    let cleared = client
        .call(
            "sessions.patch",
            json!({ "key": "errand", "model": null, "archived": true }),
        )
        .await;
    assert_eq!(cleared["entry"]["label"], "Errands", "absent stays");
    let listed = |list: Value| list["count"].as_u64().unwrap();
    assert_eq!(listed(client.call("sessions.list", json!({})).await), 0);
    let archived = json!({ "archived": true });
    assert_eq!(listed(client.call("sessions.list", archived).await), 1);
    client
        .call("chat.send", message("errand", "again", "k2"))
        .await;
    assert_eq!(model.asked().await.body["model"], "m1");
}

#[tokio::test]
async fn a_reset_stops_the_run_and_begins_with_an_empty_page() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client
        .call("chat.send", message("main", "a long story", "k1"))
        .await;
    let mut asked = model.asked().await;
    asked.text("Once upon a time").await;
    client.chat("k1", "delta").await;
    let before = client
        .call("sessions.describe", json!({ "key": "main" }))
        .await;
    let reset = client
        .call("sessions.reset", json!({ "key": "main" }))
        .await;
    assert_eq!(reset["key"], "agent:main:main");
    assert_ne!(reset["entry"]["sessionId"], before["session"]["sessionId"]);
    asked.hung_up().await;
    let ended = client.call("agent.wait", json!({ "runId": "k1" })).await;
    assert_eq!(ended["status"], "error", "{ended}");
    assert_eq!(history(&mut client, "main").await, []);
    client.call("chat.send", message("main", "hi", "k2")).await;
    let asked = model.asked().await;
    assert_eq!(
        asked.conversation().len(),
        1,
        "the old conversation is no context: {:?}",
        asked.conversation()
    );
    asked.done().await;
    client.chat("k2", "final").await;
    assert_eq!(history(&mut client, "main").await[0].1, "hi");
}

#[tokio::test]
async fn a_deleted_session_is_gone_also_after_a_restart() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    turn(&mut client, "errand", "milk", "k1").await;
    turn(&mut client, "main", "hello", "k2").await;
    let main = client
        .refused("sessions.delete", json!({ "key": "main" }))
        .await;
    assert_eq!(
        main["message"],
        "Cannot delete the main session (agent:main:main)."
    );
    let live = client
        .refused(
            "sessions.delete",
            json!({ "key": "errand", "archivedOnly": true }),
        )
        .await;
    assert!(live["message"].as_str().unwrap().contains("not archived"));
    let deleted = client
        .call("sessions.delete", json!({ "key": "errand" }))
        .await;
    assert_eq!(deleted["deleted"], true);
    let again = client
        .call("sessions.delete", json!({ "key": "errand" }))
        .await;
    assert_eq!(again["deleted"], false);
    let daemon = Daemon::start_in(daemon.stop().await, Plan::with_model(&model));
    let mut client = daemon.client().await;
    let list = client.call("sessions.list", json!({})).await;
    assert_eq!(list["count"], 1, "{list}");
    assert_eq!(history(&mut client, "errand").await, []);
    assert_eq!(history(&mut client, "main").await.len(), 2);
    // A replayed key still has its answer.
    let replay = client
        .request("chat.send", message("errand", "milk", "k1"))
        .await;
    assert_eq!(replay["payload"]["status"], "ok", "{replay}");
}

#[tokio::test]
async fn a_run_is_stopped_by_its_session_or_by_its_id() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    for (key, by) in [
        ("k1", json!({ "runId": "k1" })),
        ("k2", json!({ "key": "main" })),
    ] {
        client.call("chat.send", message("main", "wait", key)).await;
        let asked = model.asked().await;
        let stopped = client.call("sessions.abort", by).await;
        assert_eq!(stopped["runIds"], json!([key]));
        asked.hung_up().await;
        client.chat(key, "aborted").await;
    }
    let nothing = client
        .call("sessions.abort", json!({ "runId": "k1" }))
        .await;
    assert_eq!(nothing["aborted"], false);
    let unclear = client.refused("sessions.abort", json!({})).await;
    assert!(
        unclear["message"]
            .as_str()
            .unwrap()
            .contains("key or runId")
    );
}

#[tokio::test]
async fn an_injected_message_is_shown_and_stored_and_starts_nothing() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    let params = json!({ "sessionKey": "main", "message": "Backup done", "label": "cron" });
    let missing = client.refused("chat.inject", params.clone()).await;
    assert_eq!(missing["message"], "session not found");
    turn(&mut client, "main", "hello", "k1").await;
    let injected = client.call("chat.inject", params).await;
    let run = format!("inject-{}", injected["messageId"].as_str().unwrap());
    let shown = client.chat(&run, "final").await;
    assert_eq!(shown["stopReason"], "injected");
    let rows = history(&mut client, "main").await;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2].1, "[cron]\n\nBackup done");
    assert_eq!(model.journal().len(), 1);
}

#[tokio::test]
async fn messages_are_found_by_their_words_in_every_session() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    turn(&mut client, "main", "when does the blue train leave?", "k1").await;
    turn(
        &mut client,
        "errand",
        "buy a train ticket, a blue one",
        "k2",
    )
    .await;
    turn(&mut client, "main", "/status blue train", "c1").await;
    let hits = |found: &Value| -> Vec<(String, String)> {
        let rows = found["results"].as_array().expect("results").iter();
        rows.filter(|row| row["role"] == "user")
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                (text("sessionKey"), text("snippet"))
            })
            .collect()
    };
    let found = client
        .call("sessions.search", json!({ "query": "Blue TRAIN" }))
        .await;
    let (main, errand) = ("agent:main:main", "agent:main:errand");
    let expected = [
        (main, "when does the blue train leave?"),
        (errand, "buy a train ticket, a blue one"),
    ];
    let expected = expected.map(|(key, text)| (key.to_owned(), text.to_owned()));
    assert_eq!(hits(&found), expected, "the phrase first: {found}");
    let found = client
        .call(
            "sessions.search",
            json!({ "query": "train", "sessionKeys": ["errand"], "limit": 1 }),
        )
        .await;
    assert_eq!(
        found["results"].as_array().map(Vec::len),
        Some(1),
        "{found}"
    );
    assert_eq!(found["results"][0]["sessionKey"], errand);
    let none = client
        .call("sessions.search", json!({ "query": "train green" }))
        .await;
    assert_eq!(none["results"], json!([]));
    client
        .refused("sessions.search", json!({ "query": " " }))
        .await;
}
