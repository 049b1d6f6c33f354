//! WhatsApp, whole: the real sidecar with stock Baileys, crabline's server, the daemon, a model.

use std::time::Duration;

use openclaw_actors::channel::whatsapp::{Timing, WhatsAppSetup};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::accounts::{in_state, plan, row_when};
use crate::harness::daemon::Daemon;
use crate::harness::model::Model;
use crate::harness::whatsapp::{Scripted, Server};
use crate::harness::{ended, soon};

/// Ann.
const ANN: &str = "15550001111@s.whatsapp.net";
const NUMBER: &[&str] = &["+15550001111"];
/// A group.
const ROOM: &str = "120363012345678901@g.us";

async fn until(what: &str, holds: impl Fn() -> bool) {
    soon(what, async {
        while !holds() {
            crate::harness::look_again().await;
        }
    })
    .await;
}

#[tokio::test]
async fn people_are_answered_and_groups_and_voices_heard() {
    let (server, model) = (Server::start().await, Model::echoing().await);
    let mut setup = server.setup();
    // What goes to a group is never confirmed there, and what follows waits for that.
    setup.timing.answer = Duration::from_secs(5);
    let daemon = Daemon::start(plan(&model, setup, NUMBER));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "whatsapp", "connected").await;
    assert_eq!(row["linked"], true);
    let us = format!("+{} (Home)", server.number());
    assert_eq!(row["probe"]["bot"]["username"], us);

    server.write(ANN, ANN, "hello **you**").await;
    server.has("re: hello *you*").await;
    assert_eq!(server.arrived()[0].0, ANN);

    // In groups it answers who names it; the server speaks no group's cipher, so that nobody hears it.
    server.write(ROOM, ANN, "nobody is meant").await;
    let named = format!("@{} are you there?", server.number());
    server.write(ROOM, ANN, &named).await;
    until("the group's message", || model.journal().len() >= 2).await;
    let heard = model.journal();
    assert!(heard[1].contains("are you there?"), "{heard:?}");

    let voice = json!({ "chatJid": ANN, "senderJid": ANN, "pushName": "Ann",
        "audio": { "contentBase64": "T2dnUwACAAAAAAAAAAA=", "mimeType": "audio/ogg; codecs=opus", "ptt": true } });
    server.platform.write(&voice).await;
    until("the voice message", || server.arrived().len() >= 2).await;
    let history = client
        .call("chat.history", json!({ "sessionKey": "main", "limit": 50 }))
        .await;
    // It was fetched and decrypted; what models take of it is the same for all channels.
    assert!(history.to_string().contains("voice message"), "{history}");

    // A voice of ours is one there, too, and not a file.
    let ours = json!({ "channel": "whatsapp", "to": NUMBER[0], "buffer": "T2dnUwACAAAAAAAAAAA=", "filename": "hello.ogg",
        "asVoice": true, "idempotencyKey": "voice" });
    client.call("send", ours).await;
    let files = server.files();
    let kind = |key: &str| files[0][key].clone();
    assert_eq!((kind("file"), kind("voice")), (json!("audio"), json!(true)));
    assert_eq!(kind("mime"), "audio/ogg; codecs=opus", "{files:?}");

    // What is read is shown as read, and that somebody writes.
    let said = |tag: &'static str, kind: &'static str| {
        let nodes = server.nodes();
        nodes
            .iter()
            .any(|node| node["tag"] == tag && (kind.is_empty() || node["attrs"]["type"] == kind))
    };
    until("a receipt", || said("receipt", "read")).await;
    until("a presence", || said("chatstate", "")).await;
    assert_eq!(server.connections(), (1, 1));

    // A stranger is asked to pair.
    let bob = "15550002222@s.whatsapp.net";
    server.write(bob, bob, "let me in").await;
    until("the code", || {
        let arrived = server.arrived();
        arrived
            .iter()
            .any(|(to, text)| to == bob && text.contains("openclaw pairing approve whatsapp"))
    })
    .await;
    assert_eq!(model.journal().len(), 3);
}

#[tokio::test]
async fn a_lost_connection_comes_back_and_a_restart_is_at_once() {
    let (server, model) = (Server::start().await, Model::echoing().await);
    let mut setup = server.setup();
    setup.timing.lived = Duration::ZERO;
    let daemon = Daemon::start(plan(&model, setup, NUMBER));
    let mut client = daemon.client().await;
    in_state(&mut client, "whatsapp", "connected").await;
    server.write(ANN, ANN, "one").await;
    server.has("re: one").await;

    // 515: another connection in its place, without a word to anybody.
    server.stream_error(515).await;
    until("another connection", || server.connections().0 >= 2).await;
    server.write(ANN, ANN, "two").await;
    server.has("re: two").await;
    let row = in_state(&mut client, "whatsapp", "connected").await;
    assert_eq!(
        (&row["generation"], &row["lastError"]),
        (&json!(1), &Value::Null)
    );

    server.order(&json!({ "cut": true })).await;
    let row = row_when(&mut client, "whatsapp", |row| row["lastError"].is_string()).await;
    assert_eq!(row["state"], "backoff", "{row}");
    server.write(ANN, ANN, "three").await;
    server.has("re: three").await;
    let row = in_state(&mut client, "whatsapp", "connected").await;
    assert_eq!(row["lastError"], Value::Null);
    let (opened, most) = server.connections();
    assert!((3..=6).contains(&opened), "tries are bounded: {opened}");
    assert_eq!(most, 1, "never two sessions");
    for text in ["re: one", "re: two", "re: three"] {
        let count = server
            .arrived()
            .iter()
            .filter(|(_, own)| own == text)
            .count();
        assert_eq!(count, 1, "{text}");
    }
}

#[tokio::test]
async fn a_session_that_was_ended_waits_for_a_person() {
    for (code, remedy) in [
        (440, "openclaw channels start whatsapp"),
        (401, "openclaw channels login whatsapp"),
    ] {
        let (server, model) = (Server::start().await, Model::echoing().await);
        let daemon = Daemon::start(plan(&model, server.setup(), NUMBER));
        let mut client = daemon.client().await;
        in_state(&mut client, "whatsapp", "connected").await;
        server.stream_error(code).await;
        let row = in_state(&mut client, "whatsapp", "parked").await;
        let why = row["lastError"].as_str().unwrap_or_default();
        assert!(
            why.contains(&code.to_string()) && why.contains(remedy),
            "{why}"
        );
        assert_eq!(server.connections().0, 1, "it is left alone");
        // A person says so: the keys are there still.
        let params = json!({ "channel": "whatsapp" });
        client.call("channels.start", params).await;
        in_state(&mut client, "whatsapp", "connected").await;
        assert_eq!(server.connections(), (2, 1));
    }
}

/// The process of the connection, as the lock names it.
fn sidecar_of(setup: &WhatsAppSetup) -> Pid {
    let text = std::fs::read(setup.auth_dir.join("session.lock")).expect("the lock");
    let owner: Value = serde_json::from_slice(&text).expect("its owner");
    assert_eq!(owner["pid"], std::process::id());
    let pid = owner["sidecar"]["pid"].as_i64().expect("its process");
    Pid::from_raw(i32::try_from(pid).expect("a number")).expect("a process")
}

#[tokio::test]
async fn a_sidecar_that_is_killed_or_hangs_is_replaced() {
    let (server, model) = (Server::start().await, Model::echoing().await);
    let mut setup = server.setup();
    setup.timing = Timing {
        ask: Duration::from_millis(300),
        answer: Duration::from_secs(6),
        ..setup.timing
    };
    let daemon = Daemon::start(plan(&model, setup.clone(), NUMBER));
    let mut client = daemon.client().await;
    in_state(&mut client, "whatsapp", "connected").await;
    for (signal, why) in [(Signal::KILL, "is gone"), (Signal::STOP, "hangs")] {
        let pid = sidecar_of(&setup);
        kill_process(pid, signal).expect("it runs");
        let row = row_when(&mut client, "whatsapp", |row| row["lastError"].is_string()).await;
        assert!(row["lastError"].to_string().contains(why), "{row}");
        let row = in_state(&mut client, "whatsapp", "connected").await;
        assert_eq!(row["lastError"], Value::Null);
        ended(pid).await;
        let text = format!("after {why}");
        server.write(ANN, ANN, &text).await;
        server.has(&format!("re: {text}")).await;
    }
    assert_eq!(server.connections().1, 1, "never two sessions");
}

#[tokio::test]
async fn torn_credentials_are_those_of_the_last_start() {
    let (server, model) = (Server::start().await, Model::echoing().await);
    let setup = server.setup();
    let creds = setup.auth_dir.join("creds.json");
    let daemon = Daemon::start(plan(&model, setup.clone(), NUMBER));
    let mut client = daemon.client().await;
    in_state(&mut client, "whatsapp", "connected").await;
    drop(client);
    let home = daemon.stop().await;
    let whole = std::fs::read(&creds).expect("the keys");
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&creds, &whole[..cut]).expect("torn keys");
        let daemon = Daemon::start_in(
            std::sync::Arc::clone(&home),
            plan(&model, setup.clone(), NUMBER),
        );
        let mut client = daemon.client().await;
        let row = in_state(&mut client, "whatsapp", "connected").await;
        assert_eq!(row["linked"], true, "cut at {cut}");
        drop(client);
        daemon.stop().await;
    }
    assert_eq!(server.connections(), (5, 1));
}

/// A scripted connection that is taken in.
fn opened() -> Vec<Value> {
    vec![
        json!({ "event": "hello", "protocol": 1, "baileys": "scripted" }),
        json!({ "answer": "start" }),
        json!({ "event": "open", "me": { "id": "15550009999:7@s.whatsapp.net", "name": "Ann" } }),
    ]
}

fn run(steps: &[Value]) -> Value {
    let mut run = opened();
    run.extend_from_slice(steps);
    Value::Array(run)
}

#[tokio::test]
async fn a_sidecar_that_breaks_its_word_is_ended_and_another_begun() {
    let hello = |protocol: u64| json!([{ "event": "hello", "protocol": protocol }]);
    let long = "x".repeat(4 * 1024 * 1024 + 2);
    for (first, why) in [
        (
            run(&[
                json!({ "raw": "{\"event\":\"message\",\"se" }),
                json!({ "exit": 0 }),
            ]),
            "it ended within a line",
        ),
        (
            run(&[json!({ "raw": "no json\n" })]),
            "it wrote a line that is no JSON",
        ),
        (
            run(&[json!({ "raw": long })]),
            "it wrote a line that is too long",
        ),
        (run(&[json!({ "exit": 3 })]), "it ended"),
        (hello(2), "speaks version 2, and this gateway 1"),
        (json!([{ "exit": 1 }]), "did not start"),
        (
            json!([{ "event": "qr", "code": "x" }]),
            "does not say hello",
        ),
        (
            json!([opened()[0], { "answer": "start", "error": { "class": "refused", "message": "no keys" } }]),
            "no keys",
        ),
    ] {
        let model = Model::echoing().await;
        let sidecar = Scripted::new(&json!([first, run(&[])]));
        let daemon = Daemon::start(plan(&model, sidecar.linked(), NUMBER));
        let mut client = daemon.client().await;
        let row = row_when(&mut client, "whatsapp", |row| row["lastError"].is_string()).await;
        assert!(row["lastError"].to_string().contains(why), "{why}: {row}");
        let row = in_state(&mut client, "whatsapp", "connected").await;
        assert_eq!(row["lastError"], Value::Null, "{why}");
    }
}

#[tokio::test]
async fn a_flood_is_acknowledged_when_it_is_stored_and_one_without_end_is_cut() {
    let model = Model::echoing().await;
    let flood = |count: u64| json!({ "flood": count, "chat": "15550003333@s.whatsapp.net" });
    let sidecar = Scripted::new(&json!([run(&[flood(150)])]));
    let mut setup = sidecar.linked();
    setup.read_receipts = false;
    // Nobody is let in: what is stored of it is nothing, and all is acknowledged.
    let daemon = Daemon::start(plan(&model, setup, NUMBER));
    let mut client = daemon.client().await;
    let acknowledged = || {
        let heard = sidecar.heard();
        let acks = heard.iter().filter_map(|line| line["ack"].as_u64());
        acks.max() == Some(150)
    };
    until("the acknowledgements", acknowledged).await;
    let acks: Vec<u64> = sidecar
        .heard()
        .iter()
        .filter_map(|line| line["ack"].as_u64())
        .collect();
    assert!(acks.is_sorted(), "{acks:?}");
    let row = in_state(&mut client, "whatsapp", "connected").await;
    assert_eq!(row["generation"], 1);
}

#[tokio::test]
async fn what_came_before_a_connection_failed_is_answered() {
    let model = Model::echoing().await;
    let failing = json!([opened()[0], { "flood": 10, "chat": ANN },
        { "answer": "start", "error": { "class": "refused", "message": "no keys" } }]);
    let sidecar = Scripted::new(&json!([failing, run(&[])]));
    let daemon = Daemon::start(plan(&model, sidecar.linked(), NUMBER));
    let _client = daemon.client().await;
    let heard = || {
        let heard = model.journal().concat();
        (1..=10).all(|number| heard.contains(&format!("flood {number}")))
    };
    until("every message", heard).await;
}

#[tokio::test]
async fn what_came_before_a_stop_is_answered_after_the_next_start() {
    let model = Model::echoing().await;
    // What the sidecar says once it hears of the stop: Baileys has confirmed it, and WhatsApp keeps none of it.
    let late = json!({ "stopping": [{ "flood": 40, "from": 21, "chat": ANN }] });
    let first = run(&[json!({ "flood": 20, "chat": ANN }), late]);
    let sidecar = Scripted::new(&json!([first, run(&[])]));
    let daemon = Daemon::start(plan(&model, sidecar.linked(), NUMBER));
    let mut client = daemon.client().await;
    in_state(&mut client, "whatsapp", "connected").await;
    let params = json!({ "channel": "whatsapp" });
    client.call("channels.stop", params.clone()).await;
    in_state(&mut client, "whatsapp", "stopped").await;
    client.call("channels.start", params).await;
    in_state(&mut client, "whatsapp", "connected").await;
    let heard = || {
        let heard = model.journal().join("\n") + "\n";
        (1..=60).all(|number| heard.contains(&format!("flood {number}\n")))
    };
    until("every message", heard).await;
}

#[tokio::test]
async fn what_is_not_confirmed_is_unknown_and_never_sent_again() {
    let model = Model::echoing().await;
    let runs = json!([
        run(&[
            json!({ "answer": "send", "error": { "class": "refused", "message": "no such person" } }),
            json!({ "await": "send" }),
            json!({ "exit": 1 }),
        ]),
        run(&[json!({ "answer": "send", "result": { "id": "3EB0CC" } })]),
    ]);
    let sidecar = Scripted::new(&runs);
    let daemon = Daemon::start(plan(&model, sidecar.linked(), NUMBER));
    let mut client = daemon.client().await;
    in_state(&mut client, "whatsapp", "connected").await;
    let send = |text: &str| json!({ "channel": "whatsapp", "to": "+15550001111", "message": text, "idempotencyKey": text });
    let refused = client.request("send", send("refused")).await;
    assert!(
        refused["error"]["message"]
            .to_string()
            .contains("no such person"),
        "{refused}"
    );
    let lost = client.request("send", send("lost")).await;
    assert_eq!(lost["error"]["details"]["state"], "unknown", "{lost}");
    row_when(&mut client, "whatsapp", |row| {
        row["generation"] == 2 && row["state"] == "connected"
    })
    .await;
    let sent = client.request("send", send("sent")).await;
    assert_eq!(sent["payload"]["messageId"], "me/3EB0CC", "{sent}");
    let heard = sidecar.heard();
    let texts: Vec<&str> = heard
        .iter()
        .filter(|line| line["method"] == "send")
        .filter_map(|line| line["params"]["content"]["text"].as_str())
        .collect();
    assert_eq!(texts, ["refused", "lost", "sent"]);
}
