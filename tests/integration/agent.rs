//! `agent`, `agent.wait`, stopping, time limits, and runs that fail.

use serde_json::{Value, json};

use crate::chat::{check_order, history, message, say, scripted, text_of, turn};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;

fn ask(text: &str, key: &str) -> Value {
    json!({ "message": text, "idempotencyKey": key, "sessionKey": "main" })
}

#[tokio::test]
async fn an_agent_request_is_answered_twice_with_its_events_between() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    for generation in [4, 3] {
        let mut client = daemon.generation(generation).await;
        client.check.off_the_record();
        let run = format!("run-{generation}");
        let id = client.ask("agent", ask("compute", &run)).await;
        let accepted = client.answer(&id).await;
        assert_eq!(accepted["payload"]["runId"], run.as_str());
        assert_eq!(accepted["payload"]["status"], "accepted");
        assert!(accepted["payload"]["acceptedAt"].is_u64());
        let mut asked = model.asked().await;
        asked.text("42").await;
        asked.done().await;
        let end = client.answer(&id).await;
        assert_eq!(end["ok"], true, "{end}");
        assert_eq!(end["payload"]["runId"], run.as_str());
        assert_eq!(end["payload"]["status"], "ok");
        assert!(end["payload"]["summary"].is_string());
        assert_eq!(end["payload"]["result"]["payloads"][0]["text"], "42");
        let answers = client.places(|frame| frame["id"] == id.as_str());
        assert_eq!(answers.len(), 2);
        let events = client
            .places(|frame| frame["type"] == "event" && frame["payload"]["runId"] == run.as_str());
        assert!(
            answers[0] < events[0],
            "the acknowledgement is before the first event"
        );
        assert!(
            events.last() < answers.last(),
            "no event follows the final answer"
        );
        let phases: Vec<&str> = client
            .places(|frame| frame["event"] == "agent" && frame["payload"]["stream"] == "lifecycle")
            .iter()
            .filter_map(|place| client.log[*place]["payload"]["data"]["phase"].as_str())
            .collect();
        assert_eq!(
            (phases.first(), phases.last()),
            (Some(&"start"), Some(&"end"))
        );
    }
}

#[tokio::test]
async fn who_waits_for_a_run_is_told_its_end() {
    let (mut model, daemon, mut client) = scripted().await;
    let mut other = daemon.client().await;
    say(&mut client, "main", "hi", "k1").await;
    let asked = model.asked().await;
    let early = other
        .call("agent.wait", json!({ "runId": "k1", "timeoutMs": 1 }))
        .await;
    assert_eq!(early["status"], "timeout");
    let waiting = other.ask("agent.wait", json!({ "runId": "k1" })).await;
    // Handled in order: the wait is known once a later request is answered.
    other.call("sessions.list", json!({})).await;
    asked.done().await;
    let ended = other.answer(&waiting).await["payload"].clone();
    assert_eq!(ended["status"], "ok", "{ended}");
    assert!(ended["endedAt"].as_u64() >= ended["startedAt"].as_u64());
    let late = other.call("agent.wait", json!({ "runId": "k1" })).await;
    assert_eq!(late, ended);
    let unknown = other
        .call("agent.wait", json!({ "runId": "nobody", "timeoutMs": 1 }))
        .await;
    assert_eq!(unknown["status"], "timeout");
}

#[tokio::test]
async fn a_run_is_stopped_and_keeps_what_it_had_said() {
    let (mut model, _daemon, mut client) = scripted().await;
    let request = client
        .ask("chat.send", message("main", "tell me a story", "k1"))
        .await;
    let mut asked = model.asked().await;
    asked.text("Once upon a time").await;
    client.chat("k1", "delta").await;
    let stopped = client
        .call("chat.abort", json!({ "sessionKey": "main", "runId": "k1" }))
        .await;
    assert_eq!(
        stopped,
        json!({ "ok": true, "aborted": true, "runIds": ["k1"] })
    );
    let end = client.chat("k1", "aborted").await;
    assert_eq!(end["stopReason"], "rpc");
    assert_eq!(text_of(&end["message"]), "Once upon a time");
    check_order(&mut client, &request, "k1", "aborted").await;
    // The model's answer is no longer paid for.
    asked.hung_up().await;
    let rows = history(&mut client, "main").await;
    assert_eq!(rows.last().unwrap().1, "Once upon a time");
    let again = client
        .call("chat.abort", json!({ "sessionKey": "main", "runId": "k1" }))
        .await;
    assert_eq!(
        (&again["aborted"], &again["runIds"]),
        (&json!(false), &json!([]))
    );
    let replay = say(&mut client, "main", "tell me a story", "k1").await;
    assert_eq!(
        (replay["status"].as_str(), replay["summary"].as_str()),
        (Some("timeout"), Some("aborted"))
    );
    // The session is free.
    say(&mut client, "main", "go on", "k2").await;
    model.asked().await.done().await;
    client.chat("k2", "final").await;
}

#[tokio::test]
async fn a_queued_run_is_stopped_before_it_begins() {
    let (mut model, _daemon, mut client) = scripted().await;
    say(&mut client, "main", "first", "k1").await;
    let first = model.asked().await;
    let queued = client.ask("agent", ask("second", "k2")).await;
    assert_eq!(
        client.answer(&queued).await["payload"]["status"],
        "accepted"
    );
    let stopped = client
        .call("chat.abort", json!({ "sessionKey": "main", "runId": "k2" }))
        .await;
    assert_eq!(stopped["runIds"], json!(["k2"]));
    client.chat("k2", "aborted").await;
    let end = client.answer(&queued).await;
    assert_eq!(
        (&end["ok"], end["payload"]["status"].as_str()),
        (&json!(true), Some("timeout")),
        "{end}"
    );
    assert_eq!(end["payload"]["stopReason"], "rpc");
    first.done().await;
    client.chat("k1", "final").await;
    say(&mut client, "main", "third", "k3").await;
    model.asked().await.done().await;
    client.chat("k3", "final").await;
    assert_eq!(
        model.journal(),
        ["first", "third"],
        "the stopped one was never asked"
    );
}

#[tokio::test]
async fn a_word_stops_everything_in_its_session() {
    let (mut model, _daemon, mut client) = scripted().await;
    say(&mut client, "main", "first", "k1").await;
    let running = model.asked().await;
    say(&mut client, "main", "second", "k2").await;
    say(&mut client, "other", "elsewhere", "k3").await;
    let elsewhere = model.asked().await;
    let stopped = say(&mut client, "main", " /STOP ", "k4").await;
    assert_eq!(stopped["aborted"], true);
    let mut ids: Vec<&str> = stopped["runIds"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["k1", "k2"]);
    client.chat("k1", "aborted").await;
    client.chat("k2", "aborted").await;
    running.hung_up().await;
    elsewhere.done().await;
    client.chat("k3", "final").await;
    let rows = history(&mut client, "main").await;
    assert!(
        !rows.iter().any(|(_, text)| text.contains("STOP")),
        "the word is no message"
    );
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended() {
    let (mut model, _daemon, mut client) = scripted().await;
    let mut params = message("main", "slow", "k1");
    params["timeoutMs"] = json!(300);
    client.call("chat.send", params).await;
    let mut asked = model.asked().await;
    asked.text("thinking").await;
    let end = client.chat("k1", "aborted").await;
    assert_eq!(end["stopReason"], "timeout");
    asked.hung_up().await;
    let id = client.ask("agent", json!({ "message": "slow", "idempotencyKey": "k2", "sessionKey": "main", "timeout": 1 })).await;
    client.answer(&id).await;
    let end = client.answer(&id).await;
    assert_eq!(
        (&end["ok"], end["payload"]["status"].as_str()),
        (&json!(true), Some("timeout")),
        "{end}"
    );
    let waited = client.call("agent.wait", json!({ "runId": "k2" })).await;
    assert_eq!(waited["status"], "timeout");
}

#[tokio::test]
async fn a_run_that_panics_fails_alone() {
    let (mut model, _daemon, mut client) = scripted().await;
    say(&mut client, "healthy", "stay", "k1").await;
    let healthy = model.asked().await;
    let id = client
        .ask(
            "agent",
            json!({ "message": "poison: run", "idempotencyKey": "k2", "sessionKey": "sick" }),
        )
        .await;
    assert_eq!(client.answer(&id).await["payload"]["status"], "accepted");
    let end = client.answer(&id).await;
    assert_eq!(
        (&end["ok"], end["error"]["code"].as_str()),
        (&json!(false), Some("UNAVAILABLE")),
        "{end}"
    );
    assert_eq!(end["payload"]["status"], "error");
    let told = client.chat("k2", "error").await;
    assert!(
        told["errorMessage"]
            .as_str()
            .unwrap()
            .contains("Other runs are not affected")
    );
    healthy.done().await;
    client.chat("k1", "final").await;
    // The session of the failed run is free, and the gateway is well.
    say(&mut client, "sick", "better?", "k3").await;
    model.asked().await.done().await;
    client.chat("k3", "final").await;
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    let replay = client
        .refused(
            "agent",
            json!({ "message": "poison: run", "idempotencyKey": "k2", "sessionKey": "sick" }),
        )
        .await;
    assert_eq!(replay["message"], end["error"]["message"]);
}

#[tokio::test]
async fn an_agent_request_without_a_session_goes_to_the_main_one() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    turn(&mut client, "main", "one", "k1").await;
    let id = client
        .ask("agent", json!({ "message": "two", "idempotencyKey": "k2" }))
        .await;
    client.answer(&id).await;
    assert_eq!(client.answer(&id).await["payload"]["status"], "ok");
    assert_eq!(history(&mut client, "agent:main:main").await.len(), 4);
    let error = client
        .refused(
            "agent",
            json!({ "message": "x", "idempotencyKey": "k3", "agentId": "nobody" }),
        )
        .await;
    assert!(
        error["message"].as_str().unwrap().contains("nobody"),
        "{error}"
    );
}
