//! Chat commands: what a message that begins with `/` asks of the gateway.

use serde_json::{Value, json};

use crate::chat::{history, message};
use crate::harness::daemon::{Daemon, Plan, resolved};
use crate::harness::model::Model;
use crate::harness::socket::{Socket, connect_params};

/// Sends a command and gives what it is answered.
async fn says(client: &mut Socket, text: &str, run: &str) -> String {
    let ack = client.call("chat.send", message("main", text, run)).await;
    assert_eq!(ack["status"], "started", "{ack}");
    let end = client.chat(run, "final").await;
    assert_eq!(end["seq"], 1, "{end}");
    end["message"]["content"][0]["text"]
        .as_str()
        .expect("a text")
        .to_owned()
}

#[tokio::test]
async fn commands_are_answered_by_the_gateway_and_no_model_sees_them() {
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    let second = resolved(&model, "m2");
    plan.settings
        .catalogue
        .insert("scripted/m2".into(), Ok(second));
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    assert!(says(&mut client, "/help", "c1").await.contains("`/status`"));
    let status = says(&mut client, "/status", "c2").await;
    assert!(
        status.contains("agent:main:main") && status.contains("Run: none"),
        "{status}"
    );
    assert!(
        says(&mut client, "/model", "c3")
            .await
            .contains("scripted/m2")
    );
    assert!(
        says(&mut client, "/model nothing", "c4")
            .await
            .contains("not configured")
    );
    says(&mut client, "/model scripted/m2", "c5").await;
    says(&mut client, "/queue collect", "c6").await;
    let row = client
        .call("sessions.describe", json!({ "key": "main" }))
        .await;
    assert_eq!(row["session"]["model"], "m2", "{row}");
    assert_eq!(row["session"]["queueMode"], "collect", "{row}");
    assert!(row["session"].get("derivedTitle").is_none(), "{row}");

    client
        .call("chat.send", message("main", "hello", "k1"))
        .await;
    let mut asked = model.asked().await;
    assert_eq!(
        asked.conversation(),
        [("user".to_owned(), "hello".to_owned())]
    );
    assert_eq!(asked.body["model"], "m2");
    assert!(
        says(&mut client, "/status", "c7")
            .await
            .contains("under way")
    );
    asked.text("hi").await;
    asked.done().await;
    client.chat("k1", "final").await;
    let rows = history(&mut client, "main").await;
    assert!(
        rows.iter().any(|(_, text)| text == "/help"),
        "history shows them"
    );

    // The same key again is answered with the same end.
    let again = client
        .call("chat.send", message("main", "/help", "c1"))
        .await;
    assert_eq!(
        (&again["runId"], &again["status"]),
        (&json!("c1"), &json!("ok"))
    );
    // A path is no command, and neither is what the client calls text.
    let mut text = message("main", "/help", "k2");
    text["suppressCommandInterpretation"] = true.into();
    for params in [text, message("main", "/etc/hosts?", "k3")] {
        let run = params["idempotencyKey"].as_str().expect("a key").to_owned();
        client.call("chat.send", params).await;
        model.asked().await.done().await;
        client.chat(&run, "final").await;
    }
}

#[tokio::test]
async fn a_new_conversation_begins_with_what_follows_the_command() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client.call("chat.send", message("main", "old", "k1")).await;
    model.asked().await.done().await;
    client.chat("k1", "final").await;
    says(&mut client, "/new", "c1").await;
    assert!(
        !history(&mut client, "main")
            .await
            .iter()
            .any(|(_, text)| text == "old")
    );
    turn_of(&mut client, &mut model, "/reset fresh", "fresh").await;

    // Whoever may not reset a session may not do it by a message.
    let mut params = connect_params(4);
    params["scopes"] = json!(["operator.read", "operator.write"]);
    let mut writer = daemon.socket().await;
    writer.hello(params).await;
    let refused = writer
        .refused("chat.send", message("main", "/new", "c3"))
        .await;
    assert_eq!(
        refused["details"]["missingScope"], "operator.admin",
        "{refused}"
    );
    says(&mut writer, "/status", "c4").await;
    let stopped = writer
        .call("chat.send", message("main", "/stop", "c5"))
        .await;
    assert_eq!(stopped["aborted"], false, "{stopped}");
}

async fn turn_of(client: &mut Socket, model: &mut Model, text: &str, prompt: &str) {
    client.call("chat.send", message("main", text, "k2")).await;
    let asked = model.asked().await;
    assert_eq!(
        asked.conversation(),
        [("user".to_owned(), prompt.to_owned())]
    );
    asked.done().await;
    client.chat("k2", "final").await;
}

#[tokio::test]
async fn agent_gets_the_answer_of_a_command_as_its_result() {
    let model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    let params = json!({ "message": "/status", "idempotencyKey": "c1" });
    let id = client.ask("agent", params).await;
    assert_eq!(client.answer(&id).await["payload"]["status"], "accepted");
    let end = client.answer(&id).await;
    let text = &end["payload"]["result"]["payloads"][0]["text"];
    assert!(text.as_str().expect("a text").contains("Session"), "{end}");
    let waited = client.call("agent.wait", json!({ "runId": "c1" })).await;
    assert_eq!(waited["status"], "ok", "{waited}");
    let list = client
        .call("commands.list", json!({ "includeArgs": true }))
        .await;
    let names: Vec<&Value> = list["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(
        names,
        [
            "help", "status", "stop", "new", "reset", "compact", "model", "think", "queue"
        ]
    );
}

#[tokio::test]
async fn a_session_says_how_much_its_model_thinks() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    let effort = async |model: &mut Model, client: &mut Socket, params: Value| {
        let run = params["idempotencyKey"].as_str().expect("a run").to_owned();
        client.call("chat.send", params).await;
        let mut ask = model.asked().await;
        let told = ask.body["reasoning_effort"].clone();
        ask.text("ok").await;
        ask.done().await;
        client.chat(&run, "final").await;
        told
    };
    let plain = effort(&mut model, &mut client, message("main", "hi", "k1")).await;
    assert_eq!(
        plain,
        Value::Null,
        "nothing is said where nothing is chosen"
    );
    client
        .call("chat.send", message("main", "/think high", "k2"))
        .await;
    let told = client.chat("k2", "final").await;
    assert!(
        told.to_string().contains("Thinking of this session: high."),
        "{told}"
    );
    let chosen = effort(&mut model, &mut client, message("main", "hi", "k3")).await;
    assert_eq!(chosen, "high");
    let mut own = message("main", "hi", "k4");
    own["thinking"] = "low".into();
    assert_eq!(effort(&mut model, &mut client, own).await, "low");
    let history = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(history["thinkingLevel"], "high");

    let patch = |level: Value| json!({ "key": "main", "thinkingLevel": level });
    let refused = client.refused("sessions.patch", patch("deep".into())).await;
    assert!(
        refused["message"].to_string().contains("/thinkingLevel"),
        "{refused}"
    );
    let patched = client.call("sessions.patch", patch("xhigh".into())).await;
    assert_eq!(patched["entry"]["thinkingLevel"], "xhigh");
    // A model that cannot be told is asked without.
    client.call("chat.send", message("main", "hi", "k5")).await;
    let ask = model.asked().await;
    assert_eq!(ask.body["reasoning_effort"], "xhigh");
    let problem = "Unsupported value: 'reasoning_effort' does not support 'xhigh' with this model.";
    ask.fail("400 Bad Request", "", problem).await;
    let mut ask = model.asked().await;
    assert_eq!(ask.body["reasoning_effort"], Value::Null);
    ask.text("ok").await;
    ask.done().await;
    client.chat("k5", "final").await;
    let patched = client.call("sessions.patch", patch(Value::Null)).await;
    assert_eq!(patched["entry"]["thinkingLevel"], Value::Null);
}
