//! One lane per session: messages of a session run one after the other, sessions side by side.

use serde_json::json;

use crate::chat::{history, message};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;

#[tokio::test]
async fn a_second_message_waits_for_the_first() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client
        .call("chat.send", message("main", "first", "k1"))
        .await;
    let mut first = model.asked().await;
    client
        .call("chat.send", message("main", "second", "k2"))
        .await;
    client
        .call("chat.send", message("other", "elsewhere", "k3"))
        .await;
    let elsewhere = model.asked().await;
    assert_eq!(
        elsewhere.prompt, "elsewhere",
        "another session does not wait"
    );
    first.text("one").await;
    first.done().await;
    let second = model.asked().await;
    // It was stored before the first was answered; its run sees that answer all the same.
    let turns = [("user", "first"), ("assistant", "one"), ("user", "second")];
    assert_eq!(
        second.conversation(),
        turns.map(|(role, text)| (role.to_owned(), text.to_owned()))
    );
    second.done().await;
    elsewhere.done().await;
    client.chat("k2", "final").await;
    let end = |run: &str| {
        client.places(|frame| {
            frame["event"] == "chat"
                && frame["payload"]["runId"] == run
                && frame["payload"]["state"] == "final"
        })[0]
    };
    let begin =
        client.places(|frame| frame["event"] == "agent" && frame["payload"]["runId"] == "k2")[0];
    assert!(
        end("k1") < begin,
        "the second begins after the end of the first"
    );
}

#[tokio::test]
async fn no_more_runs_than_the_limit_and_nobody_starves() {
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    plan.settings.max_concurrent = 2;
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    for n in 0..5 {
        client
            .call(
                "chat.send",
                message(&format!("s{n}"), &format!("m{n}"), &format!("k{n}")),
            )
            .await;
    }
    let mut running = vec![model.asked().await, model.asked().await];
    // A later answer of the runner says that it has seen every message.
    client
        .call("chat.abort", json!({ "sessionKey": "nobody" }))
        .await;
    assert_eq!(model.journal().len(), 2, "two at a time");
    for next in 2..5 {
        let done = running.remove(0);
        done.done().await;
        let asked = model.asked().await;
        assert_eq!(asked.prompt, format!("m{next}"), "in the order of arrival");
        assert_eq!(model.journal().len(), next + 1);
        running.push(asked);
    }
    for last in running {
        last.done().await;
    }
    for n in 0..5 {
        client.chat(&format!("k{n}"), "final").await;
    }
}

#[tokio::test]
async fn a_full_queue_refuses_what_it_did_not_store() {
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    plan.settings.max_queued = 2;
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    client.call("chat.send", message("main", "m0", "k0")).await;
    let mut running = model.asked().await;
    for n in 1..3 {
        client
            .call(
                "chat.send",
                message("main", &format!("m{n}"), &format!("k{n}")),
            )
            .await;
        client
            .call("chat.abort", json!({ "sessionKey": "nobody" }))
            .await;
    }
    let error = client
        .refused("chat.send", message("main", "m3", "k3"))
        .await;
    assert_eq!(
        (error["code"].as_str(), &error["retryable"]),
        (Some("UNAVAILABLE"), &json!(true))
    );
    assert!(
        !history(&mut client, "main")
            .await
            .iter()
            .any(|(_, text)| text == "m3")
    );
    // Its key is free, and there is room once a run has ended.
    for n in 0..2 {
        running.text("ok").await;
        running.done().await;
        client.chat(&format!("k{n}"), "final").await;
        running = model.asked().await;
    }
    client.call("chat.send", message("main", "m3", "k3")).await;
}

#[tokio::test]
async fn what_was_acknowledged_can_be_stopped() {
    let model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    for n in 0..40 {
        let (session, run) = (format!("s{n}"), format!("k{n}"));
        client
            .call("chat.send", message(&session, "hello", &run))
            .await;
        let stopped = client
            .call("chat.abort", json!({ "sessionKey": session }))
            .await;
        assert_eq!(stopped["runIds"], json!([run]), "{stopped}");
        client.chat(&run, "aborted").await;
    }
}
