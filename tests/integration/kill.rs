//! `kill -9` in the middle of many turns, and what the next start makes of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::chat::{history, message};
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::{Ask, Model};
use crate::harness::socket::{Inbound, Socket};

/// Turns that are acknowledged before the kill.
const TURNS: usize = 50;
/// Turns that are sent right before it, without waiting for an acknowledgement.
const LATE: usize = 20;
/// Runs at one time, as the configuration says.
const AT_ONCE: usize = 25;
/// Turns that are finished before the kill.
const FINISHED: usize = 10;

fn agent(n: usize) -> Value {
    json!({ "sessionKey": format!("s{n}"), "message": format!("m{n}"), "idempotencyKey": format!("k{n}") })
}

/// Every fifth turn comes through `agent`, the others through `chat.send`.
fn request(n: usize) -> (&'static str, Value) {
    if n % 5 == 4 && n < TURNS {
        ("agent", agent(n))
    } else {
        (
            "chat.send",
            message(&format!("s{n}"), &format!("m{n}"), &format!("k{n}")),
        )
    }
}

fn number(ask: &Ask) -> usize {
    ask.prompt
        .trim_start_matches('m')
        .parse()
        .expect("a number")
}

/// Reads what still arrives after the kill; gives the turns that were acknowledged.
async fn acknowledged(mut client: Socket, late: &[String]) -> BTreeSet<usize> {
    while let Inbound::Frame(_) = client.next().await {}
    let got = |id: &String| {
        client
            .log
            .iter()
            .any(|frame| frame["id"] == id.as_str() && frame["ok"] == true)
    };
    let late = late.iter().enumerate().filter(|(_, id)| got(id));
    (0..TURNS)
        .chain(late.map(|(index, _)| TURNS + index))
        .collect()
}

#[tokio::test]
async fn a_kill_during_fifty_turns_loses_nothing_and_repeats_nothing() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    for n in 0..TURNS {
        let (method, params) = request(n);
        client.call(method, params).await;
    }
    let mut running: Vec<Ask> = Vec::new();
    for _ in 0..AT_ONCE {
        running.push(model.asked().await);
    }
    let mut finished = BTreeSet::new();
    for mut ask in running.drain(..FINISHED) {
        let n = number(&ask);
        ask.text(&format!("answer {n}")).await;
        ask.done().await;
        client.chat(&format!("k{n}"), "final").await;
        finished.insert(n);
    }
    // As many that waited have begun in their place.
    for _ in 0..FINISHED {
        running.push(model.asked().await);
    }
    for ask in running.iter_mut().take(10) {
        ask.text("half an ans").await;
        client.chat(&format!("k{}", number(ask)), "delta").await;
    }
    let mut late = Vec::new();
    for n in TURNS..TURNS + LATE {
        let (method, params) = request(n);
        late.push(client.ask(method, params).await);
    }
    gateway.kill().await;
    let acknowledged = acknowledged(client, &late).await;

    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let list = client.call("sessions.list", json!({ "limit": 1000 })).await;
    for session in list["sessions"].as_array().unwrap() {
        assert_ne!(session["hasActiveRun"], true, "{session}");
        assert_ne!(session["status"], "running", "{session}");
    }
    for n in 0..TURNS + LATE {
        let session = format!("s{n}");
        let rows = history(&mut client, &session).await;
        let users = rows
            .iter()
            .filter(|(role, text)| role == "user" && *text == format!("m{n}"))
            .count();
        let expected = if acknowledged.contains(&n) {
            1..=1
        } else {
            0..=1
        };
        assert!(
            expected.contains(&users),
            "{users} rows of turn {n}: {rows:?}"
        );
        let answers = rows
            .iter()
            .filter(|(role, text)| role == "assistant" && *text == format!("answer {n}"))
            .count();
        assert_eq!(
            answers,
            usize::from(finished.contains(&n)),
            "turn {n}: {rows:?}"
        );
        let page = client
            .call("chat.history", json!({ "sessionKey": session }))
            .await;
        assert!(page["inFlightRun"].is_null(), "turn {n}");
    }

    // Every key is asked for again.
    let mut began = BTreeSet::new();
    for n in 0..TURNS + LATE {
        let (method, params) = request(n);
        let replay = client.request(method, params).await;
        if finished.contains(&n) {
            assert_eq!(
                (&replay["ok"], &replay["payload"]["status"]),
                (&json!(true), &json!("ok")),
                "turn {n}: {replay}"
            );
        } else if acknowledged.contains(&n) || replay["payload"]["status"] != "started" {
            assert_eq!(replay["ok"], false, "turn {n}: {replay}");
            assert_eq!(
                replay["error"]["message"],
                "interrupted by a gateway restart"
            );
        } else {
            // Never stored, never acknowledged: this is its first run.
            began.insert(n);
        }
    }
    // The sessions are free: a new message in one that was interrupted runs.
    client
        .call("chat.send", message("s49", "m1000", "k1000"))
        .await;
    began.insert(1_000);
    for _ in 0..began.len() {
        let ask = model.asked().await;
        assert!(
            began.contains(&number(&ask)),
            "{} runs a second time",
            ask.prompt
        );
        ask.done().await;
    }
    client.chat("k1000", "final").await;
    let mut journal = model.journal();
    journal.sort();
    let all = journal.len();
    journal.dedup();
    assert_eq!(journal.len(), all, "one request per key");
}

#[tokio::test]
async fn a_device_stays_paired_over_a_kill() {
    let model = Model::echoing().await;
    let home = Home::with(&config(&model));
    let device = crate::harness::device::Device::new(1);
    let mut token = None;
    for _ in 0..2 {
        let gateway = Gateway::start(&home).await;
        let mut socket = gateway.socket().await;
        let mut params = crate::harness::socket::connect_params(4);
        if let Some(token) = &token {
            params["auth"] = json!({ "deviceToken": token });
        }
        let params = device.sign(params, &socket);
        let hello = socket.hello(params).await;
        token = hello["auth"]["deviceToken"].as_str().map(str::to_owned);
        assert!(token.is_some(), "{hello}");
        gateway.kill().await;
    }
}
