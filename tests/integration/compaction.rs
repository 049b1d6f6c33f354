//! Conversations that become too long for their model: summarised by themselves and by hand, and what
//! is left when that fails or the gateway is killed meanwhile.

use serde_json::{Value, json};

use crate::chat::message;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::daemon::{Daemon, Plan, resolved};
use crate::harness::model::{Ask, Model};
use crate::harness::socket::Socket;
use openclaw_actors::agent::tools::{Layer, Policy};
use openclaw_actors::settings::ModelPlan;

/// Context of the model, tokens: three of the long messages fit with their answers, four do not.
const CONTEXT: usize = 12_000;

/// A message of about 2,500 tokens.
fn long(n: usize) -> String {
    format!("turn {n} {}", "x".repeat(10_000))
}

fn small_model(model: &Model) -> Plan {
    let mut small = resolved(model, "m1");
    small.context_tokens = CONTEXT;
    let mut plan = Plan::default().model(ModelPlan::Chain(vec![small]));
    // What tools say of themselves would take a share that grows with their number.
    let nothing = Layer {
        deny: vec!["*".into()],
        ..Layer::default()
    };
    for agent in &mut plan.settings.agents {
        agent.tools = Policy(vec![nothing.clone()]);
    }
    plan
}

fn is_summary(ask: &Ask) -> bool {
    let first = &ask.body["messages"][0];
    first["role"] == "system"
        && first["content"]
            .as_str()
            .is_some_and(|text| text.starts_with("You shorten a conversation"))
}

/// Three turns that fit.
async fn fill(model: &mut Model, client: &mut Socket) {
    for n in 1..=3 {
        let run = format!("k{n}");
        client
            .call("chat.send", message("main", &long(n), &run))
            .await;
        let mut ask = model.asked().await;
        assert!(!is_summary(&ask), "turn {n} fits");
        ask.text(&format!("answer {n}")).await;
        ask.done().await;
        client.chat(&run, "final").await;
    }
}

async fn history(client: &mut Socket) -> Value {
    let params = json!({ "sessionKey": "main" });
    client.call("chat.history", params).await
}

fn text_of(ask: &Ask) -> String {
    ask.body["messages"].to_string()
}

/// Answers the requests for a summary: a long past is read in pieces, each with what is known so far.
/// Gives what was asked.
async fn summarise(model: &mut Model, pieces: usize, text: &str) -> String {
    let mut asked = String::new();
    for piece in 1..=pieces {
        let mut ask = model.asked().await;
        assert!(is_summary(&ask), "piece {piece}: {}", text_of(&ask));
        let question = text_of(&ask);
        let follows = question.contains(&format!("so-far>\\nafter {}\\n<", piece - 1));
        assert_eq!(follows, piece > 1, "{question}");
        asked.push_str(&question);
        if piece == pieces {
            ask.text(text).await;
        } else {
            ask.text(&format!("after {piece}")).await;
        }
        ask.done().await;
    }
    asked
}

fn rows_of(history: &Value, kind: &str) -> Vec<Value> {
    let rows = history["messages"].as_array().expect("messages");
    rows.iter()
        .filter(|row| row["customType"] == kind)
        .cloned()
        .collect()
}

const SUMMARY: &str = "openclaw.context-compaction";

#[tokio::test]
async fn a_conversation_that_is_too_long_goes_on_with_a_summary_and_history_stays_whole() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(small_model(&model));
    let mut client = daemon.client().await;
    fill(&mut model, &mut client).await;
    client
        .call("chat.send", message("main", &long(4), "k4"))
        .await;
    let asked = summarise(&mut model, 3, "They talked about x.").await;
    assert!(asked.contains("turn 1") && asked.contains("answer 3"));
    assert!(!asked.contains("turn 4"), "the question stays as it is");

    let mut ask = model.asked().await;
    let seen = text_of(&ask);
    assert!(
        seen.contains("<summary>\\nThey talked about x.\\n</summary>"),
        "{seen}"
    );
    assert!(seen.contains("turn 4") && !seen.contains("turn 3"));
    ask.text("answer 4").await;
    ask.done().await;
    client.chat("k4", "final").await;
    let steps: Vec<Value> = client
        .log
        .iter()
        .filter(|frame| frame["payload"]["stream"] == "compaction")
        .map(|frame| frame["payload"]["data"].clone())
        .collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert_eq!(
        (&steps[0]["phase"], &steps[0]["reason"]),
        (&json!("start"), &json!("threshold"))
    );
    assert_eq!(
        (&steps[1]["phase"], &steps[1]["completed"]),
        (&json!("end"), &json!(true))
    );
    let shown = client.log.iter().any(|frame| {
        frame["event"] == "chat" && frame["payload"].to_string().contains("They talked")
    });
    assert!(!shown, "the summary is no answer");

    let all = history(&mut client).await;
    assert_eq!(all["totalMessages"], 9, "eight messages and the summary");
    let row = &rows_of(&all, SUMMARY)[0];
    assert_eq!(row["__openclaw"]["kind"], "compaction");
    assert!(row["__openclaw"]["tokensAfter"].as_u64() < row["__openclaw"]["tokensBefore"].as_u64());
    let preview = all["sessionInfo"]["lastMessagePreview"].as_str();
    assert_eq!(preview, Some("answer 4"));

    // The next run has the summary and the tail; nothing is summarised again.
    client
        .call("chat.send", message("main", "and now?", "k5"))
        .await;
    let mut ask = model.asked().await;
    let seen = text_of(&ask);
    assert!(seen.contains("They talked about x.") && seen.contains("turn 4"));
    assert!(seen.contains("answer 4") && seen.contains("and now?"));
    ask.text("five").await;
    ask.done().await;
    client.chat("k5", "final").await;
}

#[tokio::test]
async fn without_a_summary_the_oldest_messages_are_left_out_and_the_conversation_says_so() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(small_model(&model));
    let mut client = daemon.client().await;
    fill(&mut model, &mut client).await;
    client
        .call("chat.send", message("main", &long(4), "k4"))
        .await;
    let ask = model.asked().await;
    assert!(is_summary(&ask));
    ask.fail("400 Bad Request", "", "no summaries today").await;
    let mut ask = model.asked().await;
    let seen = text_of(&ask);
    assert!(
        seen.contains("turn 4") && !seen.contains("turn 1"),
        "the newest that fit"
    );
    ask.text("answer 4").await;
    ask.done().await;
    client.chat("k4", "final").await;
    let all = history(&mut client).await;
    let failed = &rows_of(&all, "compaction-failed")[0];
    let told = failed["errorMessage"].as_str().expect("a message");
    assert!(
        told.contains("no summaries today") && told.contains("/compact"),
        "{told}"
    );
    assert!(rows_of(&all, SUMMARY).is_empty());

    // Not at every message again.
    client
        .call("chat.send", message("main", "next", "k5"))
        .await;
    let mut ask = model.asked().await;
    assert!(!is_summary(&ask));
    ask.text("five").await;
    ask.done().await;
    client.chat("k5", "final").await;

    // By hand it is tried at once.
    client
        .ask("chat.send", message("main", "/compact", "k6"))
        .await;
    let asked = summarise(&mut model, 4, "All of it.").await;
    assert!(asked.contains("turn 1") && asked.contains("answer 4"));
    let end = client.chat("k6", "final").await;
    let told = end["message"]["content"][0]["text"].as_str();
    assert!(
        told.is_some_and(|told| told.starts_with("The model goes on with a summary")),
        "{end}"
    );
}

#[tokio::test]
async fn a_summary_that_takes_long_is_announced_and_told_in_the_conversation() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client
        .call("chat.send", message("main", "hello", "k1"))
        .await;
    let mut ask = model.asked().await;
    ask.text("hi").await;
    ask.done().await;
    client.chat("k1", "final").await;
    client.call("agent.wait", json!({ "runId": "k1" })).await;
    client
        .call("chat.send", message("main", "/compact names", "k2"))
        .await;
    let end = client.chat("k2", "final").await;
    let told = end["message"]["content"][0]["text"].as_str();
    assert!(
        told.is_some_and(|told| told.contains("will be told here")),
        "{end}"
    );
    let again = client
        .call("chat.send", message("main", "/compact", "k3"))
        .await;
    assert_eq!(again["status"], "started", "{again}");
    let end = client.chat("k3", "final").await;
    assert!(end.to_string().contains("being compacted already"), "{end}");
    let mut ask = model.asked().await;
    assert!(is_summary(&ask) && text_of(&ask).contains("Keep above all: names"));
    ask.text("They greeted.").await;
    ask.done().await;
    let told = client
        .until(|frame| {
            frame["event"] == "chat"
                && frame["payload"]["runId"]
                    .as_str()
                    .is_some_and(|run| run.starts_with("command-"))
        })
        .await;
    assert!(
        told.to_string().contains("goes on with a summary"),
        "{told}"
    );
}

#[tokio::test]
async fn what_the_provider_finds_too_long_is_shortened_and_asked_again() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    fill(&mut model, &mut client).await;
    client
        .call("chat.send", message("main", &long(4), "k4"))
        .await;
    let ask = model.asked().await;
    assert!(!is_summary(&ask), "by its own word the model takes it");
    ask.fail(
        "400 Bad Request",
        "",
        "This model's maximum context length is 9000 tokens. However, your messages resulted in 10100 tokens.",
    )
    .await;
    let mut ask = model.asked().await;
    assert!(is_summary(&ask));
    ask.text("In short.").await;
    ask.done().await;
    let mut ask = model.asked().await;
    let seen = text_of(&ask);
    assert!(seen.contains("In short.") && seen.contains("turn 4") && !seen.contains("turn 2"));
    ask.text("answer 4").await;
    ask.done().await;
    let end = client.chat("k4", "final").await;
    assert_eq!(end["message"]["content"][0]["text"], "answer 4");
}

#[tokio::test]
async fn a_conversation_is_compacted_by_hand() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    let key = json!({ "key": "main" });
    let nothing = client.call("sessions.compact", key.clone()).await;
    assert_eq!(
        (&nothing["ok"], &nothing["compacted"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(nothing["reason"], "no sessionId");
    client.call("sessions.subscribe", json!({})).await;
    client
        .call("chat.send", message("main", "hello", "k1"))
        .await;
    let mut first = model.asked().await;
    let refused = client.refused("sessions.compact", key.clone()).await;
    assert_eq!(
        refused["message"],
        "Session agent:main:main has an active run; retry after it finishes."
    );
    first.text("hi").await;
    first.done().await;
    client.chat("k1", "final").await;
    client.call("agent.wait", json!({ "runId": "k1" })).await;

    let id = client.ask("sessions.compact", key.clone()).await;
    let mut ask = model.asked().await;
    assert!(is_summary(&ask));
    // A message may come meanwhile; it is not in the summary and stays.
    client
        .call("chat.send", message("main", "meanwhile", "k2"))
        .await;
    let mut other = model.asked().await;
    other.text("ok").await;
    other.done().await;
    client.chat("k2", "final").await;
    ask.text("They greeted.").await;
    ask.done().await;
    let done = client.answer(&id).await;
    let done = &done["payload"];
    assert_eq!(done["compacted"], true, "{done}");
    assert_eq!(done["result"]["summary"], "They greeted.");
    let phases: Vec<&Value> = client
        .log
        .iter()
        .filter(|frame| frame["event"] == "session.operation")
        .map(|frame| &frame["payload"]["phase"])
        .collect();
    assert_eq!(phases, ["start", "end"]);
    client
        .until(|frame| {
            frame["event"] == "sessions.changed" && frame["payload"]["reason"] == "compact"
        })
        .await;

    client
        .call("chat.send", message("main", "go on", "k3"))
        .await;
    let mut ask = model.asked().await;
    let seen = text_of(&ask);
    assert!(
        seen.contains("They greeted.") && seen.contains("meanwhile") && !seen.contains("hello")
    );
    ask.text("yes").await;
    ask.done().await;
    client.chat("k3", "final").await;
    client.call("agent.wait", json!({ "runId": "k3" })).await;

    // Without a model: only the newest stay, and the summary is kept.
    let lines = json!({ "key": "main", "maxLines": 2 });
    let done = client.call("sessions.compact", lines.clone()).await;
    assert_eq!(
        (&done["compacted"], &done["kept"]),
        (&json!(true), &json!(2)),
        "{done}"
    );
    let done = client.call("sessions.compact", lines).await;
    assert_eq!(done["compacted"], false, "{done}");
    client
        .call("chat.send", message("main", "last", "k4"))
        .await;
    let ask = model.asked().await;
    let seen = text_of(&ask);
    assert!(
        seen.contains("They greeted.") && seen.contains("go on") && !seen.contains("meanwhile")
    );
}

#[tokio::test]
async fn a_kill_before_the_commit_loses_no_message_and_one_after_it_no_summary() {
    let mut model = Model::start().await;
    let mut config = config(&model);
    config["models"]["providers"]["scripted"]["models"][0]["contextWindow"] = CONTEXT.into();
    config["tools"]["deny"] = json!(["*"]);
    let home = Home::with(&config);
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    fill(&mut model, &mut client).await;
    client
        .call("chat.send", message("main", &long(4), "k4"))
        .await;
    let mut ask = model.asked().await;
    assert!(is_summary(&ask));
    ask.text("half a summ").await;
    gateway.kill().await;

    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let all = history(&mut client).await;
    assert!(rows_of(&all, SUMMARY).is_empty(), "no half summary");
    let rows = all["messages"].as_array().expect("messages");
    let users = rows.iter().filter(|row| row["role"] == "user").count();
    assert_eq!(users, 4, "every message is there");
    client
        .call("chat.send", message("main", "again", "k5"))
        .await;
    summarise(&mut model, 4, "a whole summary").await;
    // Asked with the summary: it is committed.
    let ask = model.asked().await;
    assert!(text_of(&ask).contains("a whole summary"));
    gateway.kill().await;

    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    client
        .call("chat.send", message("main", "once more", "k6"))
        .await;
    let ask = model.asked().await;
    assert!(!is_summary(&ask) && text_of(&ask).contains("a whole summary"));
    let all = history(&mut client).await;
    assert_eq!(rows_of(&all, SUMMARY).len(), 1);
    gateway.kill().await;
}
