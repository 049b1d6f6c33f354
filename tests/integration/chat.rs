//! Conversations: from a message to its stored answer, and what listeners see of it.

use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::socket::Socket;

/// Parameters of `chat.send`.
pub(crate) fn message(session: &str, text: &str, key: &str) -> Value {
    json!({ "sessionKey": session, "message": text, "idempotencyKey": key })
}

/// A daemon, the model that a test speaks for, and a client.
pub(crate) async fn scripted() -> (Model, Daemon, Socket) {
    let model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let client = daemon.client().await;
    (model, daemon, client)
}

/// Sends a message; gives the acknowledgement.
pub(crate) async fn say(client: &mut Socket, session: &str, text: &str, key: &str) -> Value {
    client.call("chat.send", message(session, text, key)).await
}

/// Sends a message and waits for the end of its run.
pub(crate) async fn turn(client: &mut Socket, session: &str, text: &str, key: &str) -> Value {
    let ack = say(client, session, text, key).await;
    assert_eq!(ack["status"], "started", "{ack}");
    client.chat(key, "final").await
}

/// The rows of a conversation as (role, text).
pub(crate) async fn history(client: &mut Socket, session: &str) -> Vec<(String, String)> {
    let page = client
        .call(
            "chat.history",
            json!({ "sessionKey": session, "limit": 1000 }),
        )
        .await;
    page["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(row)
        .collect()
}

fn row(message: &Value) -> (String, String) {
    (
        message["role"].as_str().unwrap_or_default().to_owned(),
        text_of(message),
    )
}

/// The text of a message.
pub(crate) fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

/// What must hold for the frames of one run on one connection, once it has ended.
pub(crate) async fn check_order(client: &mut Socket, request: &str, run: &str, state: &str) {
    // Everything of the run is out when its end is known, and on this socket before a later answer
    // that takes the way of the events.
    client.call("agent.wait", json!({ "runId": run })).await;
    client
        .call("chat.abort", json!({ "sessionKey": "nobody" }))
        .await;
    let of_run = |frame: &Value| frame["payload"]["runId"] == run && frame["type"] == "event";
    let ack = client.places(|frame| frame["type"] == "res" && frame["id"] == request)[0];
    let events = client.places(of_run);
    assert!(ack < events[0], "the acknowledgement comes first");
    let ends = client.places(|frame| {
        of_run(frame) && frame["event"] == "chat" && frame["payload"]["state"] == state
    });
    assert_eq!(ends.len(), 1, "one end");
    assert_eq!(
        events.last(),
        ends.first(),
        "nothing of a run follows its end"
    );
    let numbers: Vec<u64> = events
        .iter()
        .map(|place| &client.log[*place])
        .filter(|frame| frame["event"] == "agent")
        .map(|frame| frame["payload"]["seq"].as_u64().expect("a number"))
        .collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected, "the run's own numbers");
}

#[tokio::test]
async fn a_message_is_acknowledged_then_answered_piece_by_piece_then_stored() {
    let (mut model, _daemon, mut client) = scripted().await;
    let request = client
        .ask("chat.send", message("main", "Good morning", "k1"))
        .await;
    let ack = client.answer(&request).await;
    assert_eq!(
        ack["payload"],
        json!({ "runId": "k1", "status": "started" })
    );
    let mut ask = model.asked().await;
    assert_eq!(ask.prompt, "Good morning");
    // The message is in the history while its run goes on, and the run is shown.
    ask.text("Hel").await;
    let first = client.chat("k1", "delta").await;
    assert_eq!(
        (
            first["deltaText"].as_str(),
            text_of(&first["message"]).as_str()
        ),
        (Some("Hel"), "Hel")
    );
    assert_eq!(first["sessionKey"], "agent:main:main");
    let page = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(page["inFlightRun"]["runId"], "k1", "{page}");
    assert_eq!(page["inFlightRun"]["text"], "Hel");
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    ask.text("lo!").await;
    let second = client.chat("k1", "delta").await;
    assert_eq!(
        (
            second["deltaText"].as_str(),
            text_of(&second["message"]).as_str()
        ),
        (Some("lo!"), "Hello!")
    );
    ask.done().await;
    let end = client.chat("k1", "final").await;
    assert_eq!(text_of(&end["message"]), "Hello!");
    check_order(&mut client, &request, "k1", "final").await;
    let page = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    let rows: Vec<_> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(row)
        .collect();
    let expected = [("user", "Good morning"), ("assistant", "Hello!")];
    assert_eq!(
        rows,
        expected.map(|(role, text)| (role.to_owned(), text.to_owned()))
    );
    assert!(page["inFlightRun"].is_null());
    let answer = &page["messages"][1];
    assert_eq!(answer["model"], "m1");
    assert_eq!(answer["provider"], "scripted");
    assert_eq!(answer["usage"]["totalTokens"], 12, "{answer}");
    assert_eq!(model.journal(), ["Good morning"]);
}

#[tokio::test]
async fn the_conversation_so_far_goes_to_the_model_and_other_sessions_do_not() {
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    plan.settings.agents[0].system_prompt = Some("Be brief.".into());
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    for (session, text, key) in [
        ("a", "first", "k1"),
        ("b", "elsewhere", "k2"),
        ("a", "second", "k3"),
    ] {
        say(&mut client, session, text, key).await;
        let mut ask = model.asked().await;
        if key == "k3" {
            let expected = [
                ("system", "Be brief."),
                ("user", "first"),
                ("assistant", "one"),
                ("user", "second"),
            ];
            assert_eq!(
                ask.conversation(),
                expected.map(|(role, text)| (role.to_owned(), text.to_owned()))
            );
        }
        ask.text("one").await;
        ask.done().await;
        client.chat(key, "final").await;
    }
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    for n in 0..4 {
        turn(
            &mut client,
            "pages",
            &format!("message {n}"),
            &format!("k{n}"),
        )
        .await;
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut offset = 0;
    let mut pages = 0;
    loop {
        let page = client
            .call(
                "chat.history",
                json!({ "sessionKey": "pages", "limit": 3, "offset": offset }),
            )
            .await;
        assert_eq!(page["totalMessages"], 8);
        let rows: Vec<_> = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(row)
            .collect();
        seen.splice(0..0, rows);
        pages += 1;
        let next = page["nextOffset"].as_u64();
        assert_eq!(page["hasMore"], next.is_some());
        let Some(next) = next else {
            break;
        };
        offset = next;
    }
    assert_eq!(pages, 3);
    let expected: Vec<(String, String)> = (0..4)
        .flat_map(|n| {
            [
                ("user".into(), format!("message {n}")),
                ("assistant".into(), format!("re: message {n}")),
            ]
        })
        .collect();
    assert_eq!(seen, expected);
    let cut = client
        .call(
            "chat.history",
            json!({ "sessionKey": "pages", "limit": 1, "maxChars": 6 }),
        )
        .await;
    let text = text_of(&cut["messages"][0]);
    assert!(
        text.starts_with("re: me") && text.chars().count() < 12,
        "{text}"
    );
    let beyond = client
        .call(
            "chat.history",
            json!({ "sessionKey": "pages", "offset": 1000 }),
        )
        .await;
    assert_eq!(beyond["messages"], json!([]));
    let nothing = client
        .call("chat.history", json!({ "sessionKey": "nobody-wrote-here" }))
        .await;
    assert_eq!(
        (&nothing["messages"], &nothing["totalMessages"]),
        (&json!([]), &json!(0))
    );
}

/// Texts of what a cursor gave.
fn caught_up(delta: &Value) -> Vec<String> {
    assert_eq!(delta["kind"], "delta", "{delta}");
    let messages = delta["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|told| text_of(&told["message"]))
        .collect()
}

#[tokio::test]
async fn a_client_that_was_away_catches_up_with_each_message_once() {
    let (mut model, daemon, mut client) = scripted().await;
    let mut other = daemon.client().await;
    let ask = |more: Value| {
        let mut params = json!({ "sessionKey": "away" });
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        params
    };
    assert_eq!(
        client
            .call("chat.history", ask(json!({ "cursor": "x" })))
            .await,
        json!({ "kind": "reset" })
    );
    say(&mut client, "away", "one", "k1").await;
    let mut asked = model.asked().await;
    asked.text("half").await;
    let page = client.call("chat.history", ask(json!({}))).await;
    let cursor = page["deltaCursor"].clone();
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1), "{page}");
    asked.text(" and whole").await;
    asked.done().await;
    client.chat("k1", "final").await;
    say(&mut client, "away", "two", "k2").await;
    let second = model.asked().await;
    let delta = other
        .call("chat.history", ask(json!({ "cursor": cursor })))
        .await;
    assert_eq!(caught_up(&delta), ["half and whole", "two"]);
    assert_eq!(delta["inFlightRun"]["runId"], "k2", "{delta}");
    assert_eq!(delta["sessionInfo"]["key"], "agent:main:away");
    let told = &delta["messages"][1];
    assert_eq!(
        (&told["messageSeq"], &told["runId"]),
        (&json!(3), &json!("k2")),
        "{told}"
    );
    assert_eq!(told["messageId"], told["message"]["__openclaw"]["id"]);
    let cursor = delta["deltaCursor"].clone();
    let startup = other
        .call("chat.startup", ask(json!({ "cursor": cursor })))
        .await;
    assert!(caught_up(&startup).is_empty() && startup["agentsList"].is_object());
    second.done().await;
    client.chat("k2", "final").await;

    // Around a message that a search found, also when its conversation was set aside since.
    let around =
        json!({ "messageId": told["messageId"], "limit": 1, "sessionId": page["sessionId"] });
    let found = client.call("chat.history", ask(around.clone())).await;
    assert_eq!(text_of(&found["messages"][0]), "two");
    client
        .call("sessions.reset", json!({ "key": "away" }))
        .await;
    let delta = other
        .call("chat.history", ask(json!({ "cursor": cursor })))
        .await;
    assert_eq!(delta, json!({ "kind": "reset" }));
    let found = client.call("chat.history", ask(around)).await;
    assert_eq!(text_of(&found["messages"][0]), "two");
    assert_eq!(
        (&found["sessionId"], &found["deltaCursor"]),
        (&page["sessionId"], &Value::Null)
    );
    for (odd, said) in [
        (
            json!({ "cursor": "c", "offset": 0 }),
            "cursor cannot be used with offset or messageId",
        ),
        (
            json!({ "messageId": "m", "offset": 0 }),
            "offset and messageId cannot be used together",
        ),
        (json!({ "sessionId": "s" }), "sessionId requires messageId"),
        (
            json!({ "messageId": "m", "sessionId": "s" }),
            "sessionId does not belong to sessionKey",
        ),
    ] {
        let error = client.refused("chat.history", ask(odd)).await;
        assert_eq!(error["message"], said);
    }
    let sent =
        json!({ "channel": "session", "to": "away", "message": "note", "idempotencyKey": "s" });
    let sent = client.call("send", sent).await;
    let around = json!({ "messageId": sent["messageId"] });
    let found = client.call("chat.history", ask(around)).await;
    assert_eq!(text_of(&found["messages"][0]), "note");
    let error = client
        .refused("chat.history", ask(json!({ "messageId": "m" })))
        .await;
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|said| said.contains("messageId")),
        "{error}"
    );
}

#[tokio::test]
async fn a_conversation_outlives_a_restart() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    turn(&mut client, "main", "remember me", "k1").await;
    let before = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    drop(client);
    let home = daemon.stop().await;
    let daemon = Daemon::start_in(home, Plan::with_model(&model));
    let mut client = daemon.client().await;
    let after = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(after["messages"], before["messages"]);
    assert_eq!(after["sessionId"], before["sessionId"]);
    turn(&mut client, "main", "and again", "k2").await;
    assert_eq!(history(&mut client, "main").await.len(), 4);
}

#[tokio::test]
async fn an_old_client_sees_the_session_key_that_it_wrote_and_no_key_that_it_does_not_know() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    // Every frame that it gets is checked by the harness against the closed shapes of v3.
    let mut old = daemon.generation(3).await;
    let mut new = daemon.client().await;
    let request = old.ask("chat.send", message("main", "hi", "k1")).await;
    let ack = old.answer(&request).await;
    assert_eq!(
        ack["payload"],
        json!({ "runId": "k1", "status": "started" })
    );
    let mut ask = model.asked().await;
    ask.text("hello").await;
    let delta = old.chat("k1", "delta").await;
    assert_eq!(delta["sessionKey"], "main");
    assert_eq!(text_of(&delta["message"]), "hello");
    ask.done().await;
    let end = old.chat("k1", "final").await;
    assert_eq!(end["sessionKey"], "main");
    check_order(&mut old, &request, "k1", "final").await;
    assert_eq!(
        new.chat("k1", "final").await["sessionKey"],
        "agent:main:main"
    );
    let agent =
        old.places(|frame| frame["event"] == "agent" && frame["payload"]["stream"] == "assistant");
    assert!(!agent.is_empty());
}

#[tokio::test]
async fn who_subscribes_gets_messages_and_changes_of_sessions_and_nobody_else() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut writer = daemon.client().await;
    let mut listener = daemon.client().await;
    let subscribed = listener.call("sessions.subscribe", json!({})).await;
    assert_eq!(subscribed["subscribed"], true);
    let subscribed = listener
        .call("sessions.messages.subscribe", json!({ "key": "watched" }))
        .await;
    assert_eq!(subscribed["key"], "agent:main:watched");
    turn(&mut writer, "other", "not for you", "k1").await;
    turn(&mut writer, "watched", "for you", "k2").await;
    let mut texts = Vec::new();
    for _ in 0..2 {
        let event = listener
            .until(|frame| frame["event"] == "session.message")
            .await;
        assert_eq!(event["payload"]["sessionKey"], "agent:main:watched");
        texts.push((
            event["payload"]["messageSeq"].as_u64(),
            text_of(&event["payload"]["message"]),
        ));
    }
    assert_eq!(
        texts,
        [
            (Some(1), "for you".to_owned()),
            (Some(2), "re: for you".to_owned())
        ]
    );
    for session in ["other", "watched"] {
        let key = format!("agent:main:{session}");
        let changed = listener
            .until(|frame| {
                frame["event"] == "sessions.changed"
                    && frame["payload"]["sessionKey"] == key.as_str()
            })
            .await;
        assert_eq!(
            changed["payload"]["session"]["key"],
            key.as_str(),
            "{changed}"
        );
    }
    let own = writer.places(|frame| {
        frame["event"] == "session.message" || frame["event"] == "sessions.changed"
    });
    assert!(own.is_empty(), "the writer did not subscribe");
    // Unsubscribing ends it; the barrier is a later answer on the same path.
    listener
        .call("sessions.messages.unsubscribe", json!({ "key": "watched" }))
        .await;
    listener.call("sessions.unsubscribe", json!({})).await;
    let before = listener
        .places(|frame| frame["event"] == "session.message" || frame["event"] == "sessions.changed")
        .len();
    turn(&mut listener, "watched", "quiet", "k3").await;
    let after = listener
        .places(|frame| frame["event"] == "session.message" || frame["event"] == "sessions.changed")
        .len();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_client_with_session_scoped_events_gets_only_the_sessions_that_it_follows() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut scoped = daemon.socket().await;
    let mut params = crate::harness::socket::connect_params(4);
    params["caps"] = json!(["session-scoped-events"]);
    scoped.hello(params).await;
    scoped
        .call("sessions.messages.subscribe", json!({ "key": "mine" }))
        .await;
    let mut other = daemon.client().await;
    turn(&mut other, "theirs", "x", "k1").await;
    turn(&mut other, "mine", "y", "k2").await;
    scoped.chat("k2", "final").await;
    assert!(
        scoped
            .places(|frame| frame["payload"]["runId"] == "k1")
            .is_empty()
    );
}

#[tokio::test]
async fn a_scope_that_may_not_read_sees_no_conversation() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut pairing = daemon.socket().await;
    let mut params = crate::harness::socket::connect_params(4);
    params["scopes"] = json!(["operator.pairing"]);
    pairing.hello(params).await;
    let mut client = daemon.client().await;
    turn(&mut client, "main", "secret", "k1").await;
    // The sequence is contiguous all the same: what is filtered takes no number.
    pairing.call("health", json!({})).await;
    let told = pairing.places(|frame| frame["event"] == "chat" || frame["event"] == "agent");
    assert!(told.is_empty());
}

#[tokio::test]
async fn the_list_of_sessions_shows_what_runs() {
    let (mut model, _daemon, mut client) = scripted().await;
    say(&mut client, "main", "hi", "k1").await;
    let ask = model.asked().await;
    let list = client.call("sessions.list", json!({})).await;
    let session = &list["sessions"][0];
    assert_eq!(
        (session["key"].as_str(), &session["hasActiveRun"]),
        (Some("agent:main:main"), &json!(true)),
        "{list}"
    );
    assert_eq!(session["activeRunIds"], json!(["k1"]));
    ask.done().await;
    client.chat("k1", "final").await;
    let ended = client.call("agent.wait", json!({ "runId": "k1" })).await;
    assert_eq!(ended["status"], "ok", "{ended}");
    let list = client.call("sessions.list", json!({})).await;
    assert_ne!(list["sessions"][0]["hasActiveRun"], true, "{list}");
}

#[tokio::test]
async fn without_any_configuration_the_echo_agent_says_what_it_is() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    let end = turn(&mut client, "main", "knock knock", "k1").await;
    let text = text_of(&end["message"]);
    assert!(
        text.contains("knock knock") && text.contains("only an echo"),
        "{text}"
    );
    assert!(
        text.contains("agents") && text.contains("primary"),
        "it says how to configure a model"
    );
    let deltas =
        client.places(|frame| frame["event"] == "chat" && frame["payload"]["state"] == "delta");
    assert!(deltas.len() > 2, "it streams");
}
