//! What comes and goes besides text: files, quotes, reactions, edits, polls, and that somebody types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::channels::{ANN, account, allowing, in_state, plan};
use crate::harness::PNG;
use crate::harness::daemon::Daemon;
use crate::harness::model::Model;
use crate::harness::socket::{Socket, connect_params};
use crate::harness::telegram::{BotApi, Fault};

async fn started() -> (BotApi, Model, Daemon, Socket) {
    let (api, model) = (BotApi::start().await, Model::start().await);
    let daemon = Daemon::start(plan(&model, [("default", account(&api, allowing(&["7"])))]));
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    (api, model, daemon, client)
}

fn from_ann(more: Value) -> Value {
    let mut message = json!({ "chat": { "id": ANN, "type": "private" },
        "from": { "id": ANN, "is_bot": false, "first_name": "Ann" } });
    let (Some(own), Value::Object(more)) = (message.as_object_mut(), more) else {
        panic!("objects")
    };
    own.extend(more);
    message
}

#[tokio::test]
async fn a_photo_reaches_the_model_and_one_that_is_too_large_is_told_in_words() {
    let (api, mut model, _daemon, _client) = started().await;
    let small = json!({ "file_id": "small", "file_size": 10 });
    let large = json!({ "file_id": "large", "file_size": PNG.len() });
    api.post(&from_ann(
        json!({ "photo": [large, small], "caption": "what is this?" }),
    ));
    let mut asked = model.asked().await;
    let body = asked.body.to_string();
    assert!(body.contains(&STANDARD.encode(PNG)), "{body}");
    assert!(body.contains("what is this?"), "{body}");
    assert_eq!(api.bodies("getFile"), [json!({ "file_id": "large" })]);
    asked.text("red").await;
    asked.done().await;
    assert_eq!(api.arrived(1).await, ["red"]);

    let huge = json!({ "file_id": "huge", "file_name": "a.zip", "file_size": 1_u64 << 40 });
    api.post(&from_ann(json!({ "document": huge })));
    let mut asked = model.asked().await;
    assert!(
        asked.body.to_string().contains("mediaMaxMb"),
        "{}",
        asked.body
    );
    asked.text("too large").await;
    asked.done().await;
    assert_eq!(api.arrived(2).await[1], "too large");
    assert_eq!(api.calls("getFile"), 1);
}

#[tokio::test]
async fn what_is_answered_is_quoted_and_typing_goes_on_while_it_is_being_answered() {
    let (api, mut model, _daemon, _client) = started().await;
    let earlier = json!({ "message_id": 3, "text": "Tea or coffee?", "chat": { "id": ANN },
        "from": { "id": 42, "is_bot": true, "first_name": "Helper" } });
    api.post(&from_ann(
        json!({ "text": "tea", "reply_to_message": earlier }),
    ));
    let mut asked = model.asked().await;
    assert!(
        asked
            .body
            .to_string()
            .contains("[in reply to Helper: Tea or coffee?]"),
        "{}",
        asked.body
    );
    api.until("typing, shown again", |api| {
        api.calls("sendChatAction") >= 2
    })
    .await;
    asked.text("fine").await;
    asked.done().await;
    api.arrived(1).await;
}

#[tokio::test]
async fn attack_43_who_asks_for_an_action_is_the_connection_and_nobody_that_it_names() {
    let (api, _model, daemon, _client) = started().await;
    let mut reader = daemon.socket().await;
    let mut params = connect_params(4);
    params["scopes"] = json!(["operator.read"]);
    reader.hello(params).await;
    let pretended = json!({
        "channel": "telegram", "action": "react", "idempotencyKey": "k1",
        "params": { "target": "7", "messageId": 5, "emoji": "👍" },
        "requesterAccountId": "default", "requesterSenderId": "7", "senderIsOwner": true,
    });
    let error = reader.refused("message.action", pretended).await;
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("operator.write"), "{error}");
    assert_eq!(api.calls("setMessageReaction"), 0);
}

#[tokio::test]
async fn messages_are_reacted_to_edited_and_deleted_once_for_each_key() {
    let (api, _model, _daemon, mut client) = started().await;
    let action = |action: &str, params: Value| json!({ "channel": "telegram", "action": action, "params": params, "idempotencyKey": action });
    let react = action(
        "react",
        json!({ "target": "7", "messageId": 5, "emoji": "👍" }),
    );
    let done = client.call("message.action", react.clone()).await;
    assert_eq!(
        done,
        json!({ "runId": "react", "ok": true, "channel": "telegram", "action": "react", "messageId": "5", "chatId": "7" })
    );
    assert_eq!(client.call("message.action", react).await, done);
    let reaction = json!([{ "type": "emoji", "emoji": "👍" }]);
    assert_eq!(
        api.bodies("setMessageReaction"),
        [json!({ "chat_id": 7, "message_id": 5, "reaction": reaction })]
    );
    let edit = action(
        "edit",
        json!({ "to": "7", "messageId": "5", "message": "**new**" }),
    );
    client.call("message.action", edit).await;
    assert_eq!(api.bodies("editMessageText")[0]["text"], "<b>new</b>");
    client
        .call(
            "message.action",
            action("delete", json!({ "target": "7", "messageId": "5" })),
        )
        .await;
    assert_eq!(api.calls("deleteMessage"), 1);
    let sent = client
        .call(
            "message.action",
            action("send", json!({ "target": "7", "message": "hi" })),
        )
        .await;
    assert_eq!(sent["messageId"], "1001");

    let error = client
        .refused(
            "message.action",
            action("set-presence", json!({ "target": "7" })),
        )
        .await;
    let why = error["message"].as_str().unwrap_or_default();
    assert!(
        why.contains("Channel telegram does not support action set-presence"),
        "{error}"
    );
    let error = client
        .refused("message.action", action("react", json!({ "target": "7" })))
        .await;
    assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
}

#[tokio::test]
async fn people_are_asked_to_choose() {
    let (api, _model, _daemon, mut client) = started().await;
    let poll = json!({ "to": "7", "question": "Tea?", "options": ["yes", "no"], "maxSelections": 2, "durationSeconds": 60, "channel": "telegram", "idempotencyKey": "k" });
    let done = client.call("poll", poll.clone()).await;
    assert_eq!(done["messageId"], "500");
    assert_eq!(client.call("poll", poll).await, done);
    let body = &api.bodies("sendPoll")[0];
    assert_eq!(
        (
            api.calls("sendPoll"),
            &body["allows_multiple_answers"],
            &body["open_period"]
        ),
        (1, &json!(true), &json!(60))
    );
    let long = json!({ "to": "7", "question": "Tea?", "options": ["yes", "no"], "durationHours": 24, "channel": "telegram", "idempotencyKey": "l" });
    let error = client.refused("poll", long).await;
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|why| why.contains("5 to 600 seconds")),
        "{error}"
    );
}

#[tokio::test]
async fn an_agent_reacts_to_the_message_that_it_answers() {
    let (api, mut model, _daemon, _client) = started().await;
    let update = api.write(ANN, "thanks!");
    let call = json!({ "action": "react", "emoji": "❤" });
    model.asked().await.call("message", &call).await;
    let mut asked = model.asked().await;
    assert_eq!(api.bodies("setMessageReaction")[0]["message_id"], update);
    asked.text("NO_REPLY").await;
    asked.done().await;
}

#[tokio::test]
async fn an_answer_is_shown_while_it_is_written_and_stays_one_message() {
    let (api, mut model, _daemon, _client) = started().await;
    api.write(ANN, "tell me a story");
    let mut asked = model.asked().await;
    asked
        .text("Once upon a time there was a gateway that never slept,")
        .await;
    let shown = api.arrived(1).await.remove(0);
    assert_eq!(
        shown,
        "Once upon a time there was a gateway that never slept, …"
    );
    asked.text(" and **everybody** was answered.").await;
    api.until("the draft, grown", |api| api.calls("editMessageText") == 1)
        .await;
    asked.done().await;
    api.until("the answer", |api| api.calls("editMessageText") == 2)
        .await;
    let last = api.bodies("editMessageText").remove(1);
    assert_eq!(
        (&last["message_id"], &last["chat_id"]),
        (&json!(1001), &json!(ANN))
    );
    let whole =
        "Once upon a time there was a gateway that never slept, and <b>everybody</b> was answered.";
    assert_eq!(last["text"], whole);
    assert_eq!(api.calls("sendMessage"), 1);
}

#[tokio::test]
async fn a_file_that_does_not_come_holds_up_its_own_chat_only() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let daemon = Daemon::start(plan(
        &model,
        [("default", account(&api, allowing(&["7", "8"])))],
    ));
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    api.fail("getFile", [Fault::Hang]);
    api.post(&from_ann(json!({ "photo": [{ "file_id": "a" }] })));
    api.until("the file asked for", |api| api.calls("getFile") == 1)
        .await;
    api.write(ANN, "behind it");
    api.write(8, "meanwhile");
    assert_eq!(api.arrived(1).await, ["re: meanwhile"]);
    assert_eq!(
        model.journal(),
        ["meanwhile"],
        "in its chat it goes in order"
    );
}
