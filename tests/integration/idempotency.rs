//! One key is one message: while it runs, when it is done, after a restart, and never another text.

use serde_json::json;

use crate::chat::{history, message, say, scripted, turn};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::model::Model;
use crate::harness::socket::connect_params;

#[tokio::test]
async fn a_key_is_answered_in_flight_when_done_and_after_a_restart() {
    let (mut model, daemon, mut client) = scripted().await;
    let first = message("main", "pay the bill", "k1");
    client.call("chat.send", first.clone()).await;
    let asked = model.asked().await;
    let again = client.call("chat.send", first.clone()).await;
    assert_eq!(again, json!({ "runId": "k1", "status": "in_flight" }));
    let other = client
        .refused("chat.send", message("main", "pay it twice", "k1"))
        .await;
    assert_eq!(other["code"], "INVALID_REQUEST");
    assert_eq!(other["details"]["reason"], "chat-request-conflict");
    asked.done().await;
    client.chat("k1", "final").await;
    let done = client.call("chat.send", first.clone()).await;
    assert_eq!(done, json!({ "runId": "k1", "status": "ok" }));
    client
        .refused("chat.send", message("main", "pay it twice", "k1"))
        .await;
    assert_eq!(history(&mut client, "main").await.len(), 2);
    drop(client);
    let home = daemon.stop().await;

    let daemon = Daemon::start_in(home, Plan::with_model(&model));
    let mut client = daemon.client().await;
    let done = client.call("chat.send", first).await;
    assert_eq!(done, json!({ "runId": "k1", "status": "ok" }));
    client
        .refused("chat.send", message("main", "pay it twice", "k1"))
        .await;
    assert_eq!(history(&mut client, "main").await.len(), 2);
    assert_eq!(model.journal(), ["pay the bill"]);
}

#[tokio::test]
async fn an_agent_key_gives_its_final_answer_again() {
    let (mut model, daemon, mut client) = scripted().await;
    let params = json!({ "message": "compute", "idempotencyKey": "k1", "sessionKey": "main" });
    let id = client.ask("agent", params.clone()).await;
    client.answer(&id).await;
    let mut asked = model.asked().await;
    let again = client.call("agent", params.clone()).await;
    assert_eq!(
        (again["runId"].as_str(), again["status"].as_str()),
        (Some("k1"), Some("in_flight"))
    );
    asked.text("42").await;
    asked.done().await;
    let end = client.answer(&id).await["payload"].clone();
    let replay = client.call("agent", params.clone()).await;
    assert_eq!(replay, end);
    drop(client);
    let home = daemon.stop().await;
    let daemon = Daemon::start_in(home, Plan::with_model(&model));
    let mut client = daemon.client().await;
    assert_eq!(client.call("agent", params).await, end);
    assert_eq!(model.journal(), ["compute"]);
}

#[tokio::test]
async fn a_run_that_a_restart_interrupts_says_so_and_is_not_run_again() {
    let (mut model, daemon, mut client) = scripted().await;
    say(&mut client, "main", "first", "k1").await;
    let _held = model.asked().await;
    say(&mut client, "main", "second", "k2").await;
    drop(client);
    let home = daemon.stop().await;
    let daemon = Daemon::start_in(home, Plan::with_model(&model));
    let mut client = daemon.client().await;
    let page = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert!(page["inFlightRun"].is_null());
    let users = history(&mut client, "main")
        .await
        .into_iter()
        .filter(|(role, _)| role == "user");
    assert_eq!(
        users.map(|(_, text)| text).collect::<Vec<_>>(),
        ["first", "second"]
    );
    // The one that ran was stopped by the shutdown, the queued one never began.
    let stopped = client
        .request("chat.send", message("main", "first", "k1"))
        .await;
    assert_ne!(stopped["payload"]["status"], "started", "{stopped}");
    let queued = client
        .request("chat.send", message("main", "second", "k2"))
        .await;
    assert_eq!(queued["ok"], false, "{queued}");
    assert_eq!(
        queued["error"]["message"],
        "interrupted by a gateway restart"
    );
    say(&mut client, "main", "third", "k3").await;
    model.asked().await.done().await;
    client.chat("k3", "final").await;
    assert_eq!(model.journal(), ["first", "third"]);
}

#[tokio::test]
async fn a_refused_message_does_not_use_up_its_key() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client
        .refused("chat.send", message("main", "   ", "k1"))
        .await;
    turn(&mut client, "main", "a real text", "k1").await;
}

#[tokio::test]
async fn two_devices_may_choose_the_same_key() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    for seed in [1, 2] {
        let mut socket = daemon.socket().await;
        let params = Device::new(seed).sign(connect_params(4), &socket);
        socket.hello(params).await;
        turn(
            &mut socket,
            &format!("s{seed}"),
            &format!("from {seed}"),
            "same-key",
        )
        .await;
    }
    assert_eq!(model.journal(), ["from 1", "from 2"]);
}

#[tokio::test]
async fn a_hundred_copies_of_one_request_are_one_run() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let (mut one, mut two) = (daemon.client().await, daemon.client().await);
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(one.ask("chat.send", message("main", "once", "k1")).await);
        two.ask("chat.send", message("main", "once", "k1")).await;
    }
    one.chat("k1", "final").await;
    for id in ids {
        let answer = one.answer(&id).await;
        let status = answer["payload"]["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            ["started", "in_flight", "ok"].contains(&status.as_str()),
            "{answer}"
        );
    }
    two.call("health", json!({})).await;
    assert_eq!(model.journal(), ["once"]);
    assert_eq!(history(&mut one, "main").await.len(), 2);
}

#[tokio::test]
async fn send_puts_a_message_into_a_session_once() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    let params =
        json!({ "to": "main", "message": "note", "channel": "webchat", "idempotencyKey": "k1" });
    let first = client.call("send", params.clone()).await;
    assert_eq!(client.call("send", params.clone()).await, first);
    let rows = history(&mut client, "main").await;
    assert_eq!(
        rows.iter().filter(|(_, text)| text == "note").count(),
        1,
        "{rows:?}"
    );
    let mut unknown = params;
    unknown["channel"] = json!("carrier-pigeon");
    unknown["idempotencyKey"] = json!("k2");
    let error = client.refused("send", unknown).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("carrier-pigeon"),
        "{error}"
    );
}
