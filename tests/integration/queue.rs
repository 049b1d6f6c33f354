//! What becomes of a message that comes while a run of its session is under way.

use serde_json::{Value, json};

use crate::chat::message;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::socket::Socket;

fn with_mode(text: &str, run: &str, mode: &str) -> Value {
    let mut params = message("main", text, run);
    params["queueMode"] = mode.into();
    params
}

/// A later answer of the runner says that it has every message before it in its lanes.
async fn settled(client: &mut Socket) {
    client
        .call("chat.abort", json!({ "sessionKey": "nobody" }))
        .await;
}

fn said(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

#[tokio::test]
async fn waiting_messages_share_one_run_and_all_of_them_end() {
    for mode in ["steer", "collect"] {
        let mut model = Model::start().await;
        let daemon = Daemon::start(Plan::with_model(&model));
        let mut client = daemon.client().await;
        client
            .call("chat.send", with_mode("first", "k1", mode))
            .await;
        let mut first = model.asked().await;
        for (text, run) in [("second", "k2"), ("third", "k3")] {
            client.call("chat.send", with_mode(text, run, mode)).await;
        }
        settled(&mut client).await;
        let waiting = client
            .call("chat.history", json!({ "sessionKey": "main" }))
            .await;
        let pending = &waiting["pendingInputs"];
        assert_eq!(pending["total"], 2, "{pending}");
        assert_eq!(pending["items"][1]["runId"], "k3");
        assert_eq!(
            pending["items"][0]["message"]["content"][0]["text"],
            "second"
        );
        assert_eq!(waiting["sessionInfo"]["queuedCount"], 2, "{waiting}");

        first.text("one").await;
        first.done().await;
        let mut both = model.asked().await;
        assert_eq!(
            both.conversation(),
            [
                said("user", "first"),
                said("assistant", "one"),
                said("user", "second\n\nthird")
            ]
        );
        let now = client
            .call("chat.history", json!({ "sessionKey": "main" }))
            .await;
        assert_eq!(now["pendingInputs"]["total"], 0, "{now}");
        both.text("two").await;
        both.done().await;
        let carried = client.chat("k2", "final").await;
        assert!(carried.get("message").is_none(), "{carried}");
        let end = client.chat("k3", "final").await;
        assert_eq!(end["message"]["content"][0]["text"], "two");
        for run in ["k2", "k3"] {
            let ended = client.call("agent.wait", json!({ "runId": run })).await;
            assert_eq!(ended["status"], "ok", "{ended}");
            let again = client
                .call(
                    "chat.send",
                    with_mode(if run == "k2" { "second" } else { "third" }, run, mode),
                )
                .await;
            assert_eq!(
                (&again["runId"], &again["status"]),
                (&json!(run), &json!("ok"))
            );
        }
        assert_eq!(model.journal().len(), 2, "two runs for three messages");
    }
}

#[tokio::test]
async fn followups_keep_their_own_runs() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    for (text, run) in [("first", "k1"), ("second", "k2"), ("third", "k3")] {
        client
            .call("chat.send", with_mode(text, run, "followup"))
            .await;
    }
    for run in ["k1", "k2", "k3"] {
        let mut asked = model.asked().await;
        asked.text(run).await;
        asked.done().await;
        let end = client.chat(run, "final").await;
        assert_eq!(end["message"]["content"][0]["text"], run);
    }
}

#[tokio::test]
async fn an_interrupting_message_takes_the_place_of_all_others() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client
        .call("chat.send", with_mode("first", "k1", "steer"))
        .await;
    let mut first = model.asked().await;
    first.text("half").await;
    client.chat("k1", "delta").await;
    client
        .call("chat.send", with_mode("second", "k2", "followup"))
        .await;
    settled(&mut client).await;
    client
        .call("chat.send", with_mode("now", "k3", "interrupt"))
        .await;
    for run in ["k1", "k2"] {
        let aborted = client.chat(run, "aborted").await;
        assert_eq!(aborted["stopReason"], "interrupted", "{aborted}");
    }
    let mut asked = model.asked().await;
    assert_eq!(asked.prompt, "now");
    asked.text("yes").await;
    asked.done().await;
    client.chat("k3", "final").await;
}

#[tokio::test]
async fn a_session_has_its_own_mode_and_a_bound() {
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    plan.settings.queue.cap = 2;
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    client
        .call("chat.send", message("main", "/queue collect", "c0"))
        .await;
    client.chat("c0", "final").await;
    client.call("chat.send", message("main", "m0", "k0")).await;
    let mut first = model.asked().await;
    for n in 1..3 {
        let (text, run) = (format!("m{n}"), format!("k{n}"));
        client.call("chat.send", message("main", &text, &run)).await;
    }
    let full = client
        .refused("chat.send", message("main", "m3", "k3"))
        .await;
    let says = full["message"].as_str().unwrap_or_default();
    assert!(says.contains("messages.queue.cap"), "{full}");
    assert_eq!(full["retryable"], true);
    client
        .call("chat.send", message("other", "elsewhere", "k4"))
        .await;
    model.asked().await.done().await;

    // Whoever stops a message that another one's run answers stops that run.
    first.text("ok").await;
    first.done().await;
    let both = model.asked().await;
    let stopped = client
        .call("chat.abort", json!({ "sessionKey": "main", "runId": "k1" }))
        .await;
    assert_eq!(stopped["runIds"], json!(["k1"]));
    client.chat("k1", "aborted").await;
    both.hung_up().await;
}

#[tokio::test]
async fn where_nothing_is_refused_the_oldest_share_a_run() {
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    (plan.settings.queue.cap, plan.settings.queue.refuse) = (1, false);
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    for n in 0..4 {
        let (text, run) = (format!("m{n}"), format!("k{n}"));
        client.call("chat.send", message("main", &text, &run)).await;
    }
    settled(&mut client).await;
    for prompt in ["m0", "m3"] {
        let mut asked = model.asked().await;
        assert_eq!(asked.prompt, prompt);
        asked.text("ok").await;
        asked.done().await;
    }
    for run in ["k0", "k1", "k2", "k3"] {
        client.chat(run, "final").await;
    }
    assert_eq!(model.journal().len(), 2);
}

#[tokio::test]
async fn a_steering_message_is_heard_with_the_results_of_tools() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client
        .call("chat.send", with_mode("first", "k1", "steer"))
        .await;
    let ask = model.asked().await;
    for (text, run, mode) in [
        ("rather that", "k2", "steer"),
        ("in a run of its own", "k3", "followup"),
        ("behind that", "k4", "steer"),
    ] {
        client.call("chat.send", with_mode(text, run, mode)).await;
    }
    settled(&mut client).await;
    ask.call("sessions_list", &json!({})).await;
    let mut ask = model.asked().await;
    let roles = |ask: &crate::harness::model::Ask| -> Vec<String> {
        ask.conversation()
            .into_iter()
            .map(|(role, _)| role)
            .collect()
    };
    assert_eq!(roles(&ask), ["user", "assistant", "tool", "user"]);
    assert_eq!(ask.prompt, "rather that");
    let waiting = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(waiting["pendingInputs"]["total"], 2, "{waiting}");
    ask.text("as you like").await;
    ask.done().await;
    let end = client.chat("k1", "final").await;
    assert_eq!(end["message"]["content"][0]["text"], "as you like");
    let taken_in = client.chat("k2", "final").await;
    assert!(taken_in.get("message").is_none(), "{taken_in}");
    for run in ["k1", "k2"] {
        let ended = client.call("agent.wait", json!({ "runId": run })).await;
        assert_eq!(ended["status"], "ok", "{ended}");
    }
    // Later runs see it where it was heard.
    let mut ask = model.asked().await;
    assert_eq!(
        roles(&ask),
        ["user", "assistant", "tool", "user", "assistant", "user"]
    );
    assert_eq!(ask.conversation()[3].1, "rather that");
    assert_eq!(ask.prompt, "in a run of its own");
    ask.text("three").await;
    ask.done().await;
    client.chat("k3", "final").await;
    let mut ask = model.asked().await;
    ask.text("four").await;
    ask.done().await;
    client.chat("k4", "final").await;
}
