//! Frames in every order, whole and broken, against the built program: whatever one client says, the gateway goes on,
//! answers each request once at most, closes with a reason, and serves the others.
//!
//! `OPENCLAW_SEED=N` runs one sequence again; a deep run (`OPENCLAW_DEEP`) makes many more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::socket::{Inbound, Socket};

/// Frames of a sequence.
const STEPS: usize = 40;

/// What would end the test's own way in, or another program: these have tests of their own.
const LEFT_OUT: [&str; 4] = ["config.apply", "config.patch", "config.set", "connect"];

/// Every golden request, good and bad.
fn goldens() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frames");
    let mut all = Vec::new();
    for method in std::fs::read_dir(folder).expect("the golden frames") {
        for file in std::fs::read_dir(method.expect("an entry").path()).expect("frames") {
            let path = file.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("request") || name.starts_with("invalid") {
                let text = std::fs::read_to_string(&path).expect("a frame");
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                if !LEFT_OUT.contains(&frame["method"].as_str().unwrap_or_default()) {
                    all.push((path, frame));
                }
            }
        }
    }
    // Folders come in any order; a seed means the same everywhere.
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all.into_iter().map(|(_, frame)| frame).collect()
}

fn odd(rng: &mut StdRng) -> Value {
    let deep = || serde_json::from_str(&format!("{}{}", "[".repeat(60), "]".repeat(60)));
    match rng.random_range(0..11) {
        0 => json!(null),
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1e300),
        4 => json!(u64::MAX),
        5 => json!(""),
        6 => json!("\u{0}\u{202e}../../etc/passwd"),
        7 => json!("x".repeat(20_000)),
        8 => json!({}),
        9 => json!([[], {}, "a"]),
        _ => deep().expect("JSON"),
    }
}

/// Changes one place somewhere below.
fn spoil(value: &mut Value, rng: &mut StdRng) {
    match value {
        Value::Object(all) if !all.is_empty() && rng.random_bool(0.8) => {
            let keys: Vec<String> = all.keys().cloned().collect();
            let key = keys.choose(rng).expect("some").clone();
            match rng.random_range(0..6) {
                0 => drop(all.remove(&key)),
                1 => drop(all.insert("unheardOf".into(), odd(rng))),
                _ => spoil(all.get_mut(&key).expect("it is there"), rng),
            }
        }
        Value::Array(all) if !all.is_empty() && rng.random_bool(0.8) => {
            let at = rng.random_range(0..all.len());
            spoil(&mut all[at], rng);
        }
        place => *place = odd(rng),
    }
}

/// The next text, and the id of its request where it has one.
fn frame(goldens: &[Value], step: usize, rng: &mut StdRng) -> (Message, Option<String>) {
    let mut frame = goldens.choose(rng).expect("some").clone();
    let id = format!("s{step}");
    frame["id"] = json!(id);
    match rng.random_range(0..10) {
        0..4 => {}
        4..8 => spoil(&mut frame["params"], rng),
        8 => spoil(&mut frame, rng),
        _ => {
            let text = frame.to_string();
            let cut = text.floor_char_boundary(rng.random_range(0..text.len()));
            return (Message::text(&text[..cut]), None);
        }
    }
    let id = (frame["id"] == id.as_str()).then_some(id);
    (Message::text(frame.to_string()), id)
}

/// Says all of it, and listens until all that can be answered at once is.
async fn sequence(gateway: &Gateway, goldens: &[Value], seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut client: Socket = gateway.client().await;
    client.check.off_the_record();
    let mut sent = BTreeMap::new();
    for step in 0..STEPS {
        let (message, id) = frame(goldens, step, &mut rng);
        if let Some(id) = id {
            sent.insert(id, message.to_string());
        }
        // It may have closed already: what it said before is still there to be read.
        if futures_util::SinkExt::send(&mut client.stream, message)
            .await
            .is_err()
        {
            break;
        }
    }
    let end = json!({ "type": "req", "id": "end", "method": "health", "params": {} });
    let _ = futures_util::SinkExt::send(&mut client.stream, Message::text(end.to_string())).await;
    let mut answered = BTreeSet::new();
    loop {
        match client.next().await {
            Inbound::Frame(frame) if frame["type"] == "res" => {
                let id = frame["id"].as_str().unwrap_or_default().to_owned();
                if id == "end" {
                    return;
                }
                let more = frame["payload"]["status"] == "accepted";
                // What had no id, or none that could be read, is answered with a word of the gateway's own.
                let own = sent.contains_key(&id);
                assert!(
                    !own || more || answered.insert(id.clone()),
                    "answered twice: {frame} to {:?}",
                    sent.get(&id)
                );
                if frame["ok"] == false {
                    let said = frame["error"]["message"].as_str().unwrap_or_default();
                    assert!(!said.is_empty(), "a refusal without a word: {frame}");
                }
            }
            Inbound::Frame(_) | Inbound::Pong(_) => {}
            Inbound::Close(code, reason) => {
                assert!(
                    (1000..5000).contains(&code) && !reason.is_empty(),
                    "closed without a reason: {code}"
                );
                return;
            }
            Inbound::Gone => panic!("it went without a close"),
        }
    }
}

#[tokio::test]
async fn whatever_one_client_says_the_gateway_goes_on() {
    let model = Model::echoing().await;
    let mut config = config(&model);
    config["gateway"]["limits"] = json!({ "handshakesPerSecondPerIp": 1_000_000 });
    let home = Home::with(&config);
    let gateway = Gateway::start(&home).await;
    let mut other = gateway.client().await;
    let goldens = goldens();
    let seeds = match std::env::var("OPENCLAW_SEED").map(|seed| seed.parse::<u64>()) {
        Ok(seed) => {
            let seed = seed.expect("OPENCLAW_SEED is a number");
            seed..seed + 1
        }
        Err(_) if std::env::var_os("OPENCLAW_DEEP").is_some() => 0..2_000,
        Err(_) => 0..60,
    };
    for seed in seeds {
        eprintln!("OPENCLAW_SEED={seed}");
        sequence(&gateway, &goldens, seed).await;
        assert_eq!(other.call("health", json!({})).await["ok"], true);
    }
    let log = home.log();
    assert!(!log.contains("panick"), "{log}");
    gateway.terminate();
    let (status, output) = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{output}");
}
