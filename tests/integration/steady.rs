//! What thousands of clients that come and go leave behind: nothing.

use serde_json::json;

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};
use crate::harness::socket::{Socket, connect_params};

/// Descriptors and threads of a process.
fn held(pid: u32) -> (usize, usize) {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/{pid}/{what}"))
            .expect("it runs")
            .count()
    };
    (count("fd"), count("task"))
}

/// Comes, is let in or turned away, and goes, in one of the ways in which clients do.
async fn visit(gateway: &Gateway, number: usize) {
    let address = ([127, 0, 0, 1], gateway.port).into();
    let mut socket = Socket::open(address, &[]).await;
    match number % 3 {
        // Without a word.
        0 => {}
        1 => socket.send(&json!({ "type": "nonsense" })).await,
        _ => {
            socket.hello(connect_params(4)).await;
        }
    }
}

#[tokio::test]
async fn descriptors_and_threads_are_flat_over_many_connections() {
    let many = std::env::var("OPENCLAW_DEEP").is_ok();
    let visits = if many { 10_000 } else { 1_000 };
    let home = Home::with(&json!({ "gateway": {
        "auth": { "mode": "token", "token": TOKEN },
        "limits": { "handshakesPerSecondPerIp": 1_000_000 },
    } }));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    for number in 0..50 {
        visit(&gateway, number).await;
    }
    owner.call("health", json!({})).await;
    let before = held(gateway.pid());
    for number in 0..visits {
        visit(&gateway, number).await;
    }
    // The last ones go while this is asked.
    let mut after = held(gateway.pid());
    for _ in 0..200 {
        if after.0 <= before.0 && after.1 <= before.1 {
            return;
        }
        owner.call("health", json!({ "probe": true })).await;
        tokio::task::yield_now().await;
        after = held(gateway.pid());
    }
    assert!(
        after.0 <= before.0 + 2 && after.1 <= before.1,
        "descriptors and threads: {before:?} before, {after:?} after {visits} connections"
    );
}
