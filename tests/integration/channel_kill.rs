//! `kill -9` while a message of a channel is being answered, and what the next start makes of it.

use serde_json::{Value, json};

use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::telegram::BotApi;

/// Somebody who is named in `allowFrom`.
const ANN: i64 = 7;

fn with_telegram(model: &Model, api: &BotApi) -> Value {
    let mut config = config(model);
    config["channels"]["telegram"] = json!({
        "botToken": "42:secret-token", "apiRoot": api.root, "dmPolicy": "allowlist", "allowFrom": ["7"],
    });
    config
}

#[tokio::test]
async fn a_run_that_a_kill_cut_off_is_taken_up_again_and_answered_once() {
    let (api, mut model) = (BotApi::start().await, Model::start().await);
    let home = Home::with(&with_telegram(&model, &api));
    let gateway = Gateway::start(&home).await;
    let update = api.write(ANN, "hello");
    let cut_off = model.asked().await;
    api.until("the confirmation of the update", |api| {
        api.confirmed() == update
    })
    .await;
    gateway.kill().await;
    drop(cut_off);

    let gateway = Gateway::start(&home).await;
    let mut again = model.asked().await;
    assert_eq!(again.prompt, "hello");
    again.text("hi").await;
    again.done().await;
    assert_eq!(api.arrived(1).await, ["hi"]);
    let history = json!({ "sessionKey": "main" });
    let history = gateway.client().await.call("chat.history", history).await;
    let roles: Vec<&str> = history["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["role"].as_str())
        .filter(|role| *role == "user")
        .collect();
    assert_eq!(roles, ["user"], "it was written once: {history}");
    gateway.kill().await;

    let _gateway = Gateway::start(&home).await;
    api.write(ANN, "next");
    let mut next = model.asked().await;
    assert_eq!(next.prompt, "next", "what was answered is not asked again");
    next.text("yes").await;
    next.done().await;
    assert_eq!(api.arrived(2).await, ["hi", "yes"]);
    assert_eq!(model.journal(), ["hello", "hello", "next"]);
}

#[tokio::test]
async fn what_was_shown_of_an_answer_that_a_kill_cut_off_becomes_the_next_one() {
    let (api, mut model) = (BotApi::start().await, Model::start().await);
    let home = Home::with(&with_telegram(&model, &api));
    let gateway = Gateway::start(&home).await;
    api.write(ANN, "tell me a story");
    let mut cut_off = model.asked().await;
    cut_off
        .text("Once upon a time there was a gateway that never slept,")
        .await;
    api.arrived(1).await;
    // It is stored before it grows.
    cut_off.text(" until somebody pulled").await;
    api.until("the draft, grown", |api| api.calls("editMessageText") == 1)
        .await;
    gateway.kill().await;
    drop(cut_off);

    let gateway = Gateway::start(&home).await;
    let mut again = model.asked().await;
    again.text("Once upon a time.").await;
    again.done().await;
    api.until("the answer", |api| api.calls("editMessageText") == 2)
        .await;
    let last = api.bodies("editMessageText").remove(1);
    assert_eq!(
        (&last["message_id"], &last["text"]),
        (&json!(1001), &json!("Once upon a time."))
    );
    gateway.kill().await;

    // It is an answer now: nothing changes it any more.
    let _gateway = Gateway::start(&home).await;
    api.write(ANN, "another one");
    let mut next = model.asked().await;
    next.text("No.").await;
    next.done().await;
    assert_eq!(api.arrived(2).await[1], "No.");
    assert_eq!(
        (api.calls("editMessageText"), api.calls("sendMessage")),
        (2, 2)
    );
}

#[tokio::test]
async fn a_run_that_had_used_tools_is_not_repeated_also_not_when_its_second_try_did() {
    let (api, mut model) = (BotApi::start().await, Model::start().await);
    let home = Home::with(&with_telegram(&model, &api));
    let gateway = Gateway::start(&home).await;
    api.write(ANN, "hello");
    let cut_off = model.asked().await;
    gateway.kill().await;
    drop(cut_off);

    let gateway = Gateway::start(&home).await;
    model.asked().await.call("sessions_list", &json!({})).await;
    let cut_off = model.asked().await;
    assert!(
        cut_off.body.to_string().contains("call_1"),
        "the tool's result: {}",
        cut_off.body
    );
    gateway.kill().await;
    drop(cut_off);

    let _gateway = Gateway::start(&home).await;
    let told = api.arrived(1).await.remove(0);
    assert!(told.contains("tools had been used"), "{told}");
    assert_eq!(model.journal().len(), 3, "nothing was asked again");
}
