//! Messages to a channel that answer nothing: from clients, from agents, and what became of them.

use serde_json::{Value, json};

use crate::channels::{ANN, account, allowing, in_state, plan, row_when};
use crate::harness::daemon::Daemon;
use crate::harness::model::Model;
use crate::harness::socket::Socket;
use crate::harness::telegram::{BotApi, Fault};

async fn started() -> (BotApi, Model, Daemon, Socket) {
    let (api, model) = (BotApi::start().await, Model::start().await);
    let daemon = Daemon::start(plan(&model, [("default", account(&api, allowing(&["7"])))]));
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    (api, model, daemon, client)
}

fn message(text: &str, key: &str) -> Value {
    json!({ "to": "123", "channel": "telegram", "message": text, "idempotencyKey": key })
}

#[tokio::test]
async fn a_message_is_sent_once_for_its_key_also_after_a_restart() {
    let (api, model, daemon, mut client) = started().await;
    let sent = client.call("send", message("hi **you**", "k1")).await;
    let expected =
        json!({ "runId": "k1", "messageId": "1001", "channel": "telegram", "chatId": "123" });
    assert_eq!(sent, expected);
    assert_eq!(api.texts(), ["hi <b>you</b>"]);
    assert_eq!(api.sent()[0]["chat_id"], 123);
    assert_eq!(
        client.call("send", message("hi **you**", "k1")).await,
        expected
    );
    let other = client.refused("send", message("another", "k1")).await;
    assert_eq!(other["details"]["reason"], "chat-request-conflict");
    let row = row_when(&mut client, "default", |row| row["waitingOutbound"] == 0).await;
    assert!(row["lastOutboundAt"].is_u64(), "{row}");

    let home = daemon.stop().await;
    let plan = plan(&model, [("default", account(&api, allowing(&["7"])))]);
    let daemon = Daemon::start_in(home, plan);
    let mut client = daemon.client().await;
    assert_eq!(
        client.call("send", message("hi **you**", "k1")).await,
        expected
    );
    assert_eq!(api.calls("sendMessage"), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_its_reason() {
    let (api, _model, _daemon, mut client) = started().await;
    let mut refused = async |more: Value| {
        let mut params = message("hi", "k1");
        let (Some(params), Value::Object(more)) = (params.as_object_mut(), more) else {
            panic!("objects")
        };
        params.extend(more);
        let error = client.refused("send", Value::Object(params.clone())).await;
        assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
        error["message"].as_str().expect("a reason").to_owned()
    };
    assert!(
        refused(json!({ "channel": "pigeon" }))
            .await
            .contains("unsupported channel: pigeon (configured: telegram")
    );
    let other = refused(json!({ "accountId": "work" })).await;
    assert!(
        other.contains("no account \"work\" (it has: default)"),
        "{other}"
    );
    assert!(
        refused(json!({ "to": "somebody" }))
            .await
            .contains("\"somebody\" is no Telegram chat")
    );
    assert!(
        refused(json!({ "message": "  " }))
            .await
            .contains("message required")
    );
    assert_eq!(api.calls("sendMessage"), 0);

    let refused =
        json!({ "ok": false, "error_code": 400, "description": "Bad Request: chat not found" });
    api.fail("sendMessage", [Fault::Answer(400, refused)]);
    let error = client.refused("send", message("hi", "k2")).await;
    assert_eq!(error["code"], "UNAVAILABLE");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|why| why.contains("chat not found")),
        "{error}"
    );
    client
        .call("channels.stop", json!({ "channel": "telegram" }))
        .await;
    let error = client.refused("send", message("hi", "k3")).await;
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|why| why.contains("openclaw channels start telegram")),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_leave_yet_is_stored_and_leaves_after_a_restart() {
    let (api, model) = (BotApi::start().await, Model::start().await);
    api.fail_always("getMe", Fault::Answer(502, json!({})));
    let accounts = || [("default", account(&api, allowing(&["7"])))];
    let daemon = Daemon::start(plan(&model, accounts()));
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "backoff").await;
    let error = client.refused("send", message("later", "k1")).await;
    assert_eq!(
        error["details"],
        json!({ "code": "OUTBOUND_DELIVERY_QUEUED" }),
        "{error}"
    );
    let listed = client.call("channels.outbox.list", json!({})).await;
    let id = &listed["messages"][0]["id"];
    assert_eq!(
        (&listed["messages"][0]["state"], id),
        (&json!("queued"), &json!("k1#0")),
        "{listed}"
    );
    let error = client
        .refused("channels.outbox.discard", json!({ "id": id }))
        .await;
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|why| why.contains("still queued")),
        "{error}"
    );
    let home = daemon.stop().await;

    api.heal();
    let daemon = Daemon::start_in(home, plan(&model, accounts()));
    assert_eq!(api.arrived(1).await, ["later"]);
    let mut client = daemon.client().await;
    row_when(&mut client, "default", |row| row["waitingOutbound"] == 0).await;
    let error = client.refused("send", message("later", "k1")).await;
    assert_eq!(
        error["details"]["code"], "OUTBOUND_DELIVERY_QUEUED",
        "it is not sent again: {error}"
    );
    assert_eq!(api.calls("sendMessage"), 1);
}

#[tokio::test]
async fn a_person_decides_about_what_nobody_knows() {
    let (api, _model, _daemon, mut client) = started().await;
    api.fail("sendMessage", [Fault::Cut, Fault::Cut]);
    for key in ["k1", "k2"] {
        let error = client.refused("send", message(key, key)).await;
        assert_eq!(error["details"]["state"], "unknown", "{error}");
    }
    let listed = client
        .call("channels.outbox.list", json!({ "channel": "telegram" }))
        .await;
    let rows = listed["messages"].as_array().expect("rows").clone();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["id"].as_str(),
                row["state"].as_str(),
                row["to"].as_str(),
            )
        })
        .collect();
    let unknown = Some("unknown");
    assert_eq!(
        shown,
        [
            (Some("k1#0"), unknown, Some("123")),
            (Some("k2#0"), unknown, Some("123"))
        ]
    );
    let row = row_when(&mut client, "default", |row| row["undelivered"].is_array()).await;
    assert_eq!(row["undelivered"].as_array().map(Vec::len), Some(2));

    let done = client
        .call("channels.outbox.resend", json!({ "id": "k1#0" }))
        .await;
    assert_eq!(
        (&done["outcome"], &done["to"]),
        (&json!("queued"), &json!("123"))
    );
    assert_eq!(api.arrived(3).await, ["k1", "k2", "k1"]);
    let done = client
        .call("channels.outbox.discard", json!({ "id": "k2#0" }))
        .await;
    assert_eq!(done["outcome"], "discarded");
    let gone = client
        .refused("channels.outbox.resend", json!({ "id": "k2#0" }))
        .await;
    assert!(
        gone["message"]
            .as_str()
            .is_some_and(|why| why.contains("k2#0"))
    );
    row_when(&mut client, "default", |row| {
        row["undelivered"].is_null() && row["waitingOutbound"] == 0
    })
    .await;
    let listed = client.call("channels.outbox.list", json!({})).await;
    assert_eq!(listed["messages"], json!([]));
    assert_eq!(api.calls("sendMessage"), 3);
}

#[tokio::test]
async fn a_send_that_hangs_holds_its_own_chat_only() {
    let (api, _model, _daemon, mut client) = started().await;
    api.fail("sendMessage", [Fault::Hang]);
    let to = |chat: &str, key: &str| json!({ "to": chat, "channel": "telegram", "message": key, "idempotencyKey": key });
    client.ask("send", to("1", "hangs")).await;
    api.arrived(1).await;
    client.ask("send", to("1", "behind it")).await;
    let sent = client.ask("send", to("2", "beside it")).await;
    assert_eq!(client.answer(&sent).await["ok"], true);
    assert_eq!(api.texts(), ["hangs", "beside it"]);
}

#[tokio::test]
async fn an_agent_writes_to_another_chat_of_its_channel_and_to_no_other_channel() {
    let (api, mut model) = (BotApi::start().await, Model::start().await);
    let mut plan = plan(&model, [("default", account(&api, allowing(&["7"])))]);
    // What is configured is what counts here, not what it speaks.
    let mut channels = (*plan.settings.channels).clone();
    let other = openclaw_actors::channel::AccountRef::new("other", "default");
    let mut silent = account(&api, allowing(&["7"]));
    // It would hear the same messages.
    silent.enabled = false;
    channels.accounts.insert(other, std::sync::Arc::new(silent));
    plan.settings.channels = std::sync::Arc::new(channels);
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    let said = json!({ "sessionKey": "elsewhere", "message": "hi", "idempotencyKey": "k0" });
    client.call("chat.send", said).await;
    let mut asked = model.asked().await;
    asked.text("hello").await;
    asked.done().await;
    client.chat("k0", "final").await;
    api.write(ANN, "tell Bob");
    let call = json!({ "target": "8", "message": "Ann says hi" });
    model.asked().await.call("message", &call).await;
    assert_eq!(api.arrived(1).await, ["Ann says hi"]);
    assert_eq!(api.sent()[0]["chat_id"], 8);
    let asked = model.asked().await;
    assert!(
        asked.body.to_string().contains("messageId"),
        "{}",
        asked.body
    );
    let call = json!({ "channel": "other", "target": "8", "message": "psst" });
    asked.call("message", &call).await;
    let asked = model.asked().await;
    let told = asked.body.to_string();
    let refusal = "tools.message.crossContext.allowAcrossProviders";
    assert!(told.contains(refusal), "{told}");
    // Another conversation may not either on its behalf.
    let call = json!({ "sessionKey": "elsewhere", "message": "tell Bob there" });
    asked.call("sessions_send", &call).await;
    let behind = model.asked().await;
    assert!(
        behind.prompt.contains("tell Bob there"),
        "{}",
        behind.prompt
    );
    let call = json!({ "channel": "other", "target": "8", "message": "psst" });
    behind.call("message", &call).await;
    let mut behind = model.asked().await;
    let told = behind.body["messages"].as_array().expect("messages").last();
    assert!(
        told.is_some_and(|told| told.to_string().contains(refusal)),
        "{told:?}"
    );
    behind.text("no").await;
    behind.done().await;
    let mut asked = model.asked().await;
    asked.text("done").await;
    asked.done().await;
    assert_eq!(api.arrived(2).await[1], "done");
}
