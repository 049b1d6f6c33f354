//! What hundreds of faults cost: time, and no memory.

use serde_json::{Value, json};

use crate::harness::accounts::row_when;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::socket::Socket;
use crate::harness::telegram::{BotApi, Fault};

/// Faults until everything was needed once.
const FIRST: usize = 150;
/// Faults that are measured.
const MORE: usize = 300;
/// Faults over which the least is looked for: what is on its way at the moment comes and goes.
const WINDOW: usize = 50;
/// What pages that are cut otherwise may cost, kB: 2 kB a fault. A task or a connection that stays is larger.
const NOISE: u64 = 600;

/// What a process has of its own in memory, kB; without what it shares with files.
fn own(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let count = line.and_then(|line| line.split_whitespace().next());
    count
        .and_then(|count| count.parse().ok())
        .expect("its size")
}

/// A poll fails, each time in another way; somebody writes who is not answered; it comes back.
async fn fault(number: usize, api: &BotApi, client: &mut Socket) {
    let fault = match number % 3 {
        0 => Fault::Answer(502, json!({})),
        1 => Fault::Cut,
        _ => Fault::Answer(
            500,
            json!({ "ok": false, "error_code": 500, "description": "Internal" }),
        ),
    };
    api.fail("getUpdates", [fault]);
    let update = api.write(99, "hello?");
    row_when(client, "telegram", |row| row["state"] == "backoff").await;
    // Nobody waits for the next try.
    let again = json!({ "channel": "telegram" });
    client.call("channels.start", again).await;
    row_when(client, "telegram", |row| row["state"] == "connected").await;
    api.until("the confirmation", |api| api.confirmed() >= update)
        .await;
}

#[tokio::test]
async fn hundreds_of_faults_cost_no_memory() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let mut config = config(&model);
    config["channels"]["telegram"] = json!({
        "botToken": "42:secret-token", "apiRoot": api.root, "dmPolicy": "allowlist", "allowFrom": ["7"],
    });
    let home = Home::with(&config);
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    row_when(&mut client, "telegram", |row| row["state"] == "connected").await;
    let (mut before, mut after) = (u64::MAX, u64::MAX);
    for number in 0..FIRST + MORE {
        fault(number, &api, &mut client).await;
        let own = own(gateway.pid());
        if (FIRST - WINDOW..FIRST).contains(&number) {
            before = before.min(own);
        } else if number >= FIRST + MORE - WINDOW {
            after = after.min(own);
        }
    }
    println!("{before} kB, and {after} kB after {MORE} faults more");
    assert!(
        after <= before + NOISE,
        "{before} kB became {after} kB in {MORE} faults"
    );
    let row = row_when(&mut client, "telegram", |row| row["state"] == "connected").await;
    assert_eq!(
        row["undelivered"].as_array().map_or(0, Vec::len),
        0,
        "{row}"
    );
    assert_eq!(row["waitingInbound"], Value::from(0), "{row}");
}
