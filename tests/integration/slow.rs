//! A client that does not read: it goes, its neighbours notice nothing, and memory stays bounded.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::chat::message;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::device::Device;
use crate::harness::model::Model;
use crate::harness::socket::{Socket, connect_params};
use crate::harness::soon;

/// Unread bytes that the gateway keeps for a client.
const MAX_BUFFERED: u64 = 1024 * 1024;

/// Sends messages whose answers are long, a few at a time, and reads everything.
async fn load(client: &mut Socket, round: usize) {
    let text = "x".repeat(20_000);
    for wave in 0..10 {
        let runs: Vec<String> = (0..4).map(|n| format!("r{round}-{wave}-{n}")).collect();
        // Each in a session of its own, so that no round is heavier than the one before.
        for run in &runs {
            client.ask("chat.send", message(run, &text, run)).await;
        }
        for run in &runs {
            client.chat(run, "final").await;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_costs_its_limit_at_most() {
    let model = Model::echoing().await;
    let mut settings = config(&model);
    settings["gateway"]["limits"] = json!({ "maxBufferedBytes": MAX_BUFFERED });
    let home = Home::with(&settings);
    let gateway = Gateway::start(&home).await;
    let mut neighbour = gateway.client().await;
    load(&mut neighbour, 0).await;
    load(&mut neighbour, 1).await;
    gateway.forget_peak();
    load(&mut neighbour, 2).await;
    let without = gateway.peak();

    // A small window, so that little hides in the kernel.
    let tcp = TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(4096).unwrap();
    let tcp = soon(
        "the connection",
        tcp.connect(([127, 0, 0, 1], gateway.port).into()),
    )
    .await
    .unwrap();
    let mut slow = Socket::over(tcp).await;
    let device = Device::new(7);
    let mut params = connect_params(4);
    params["client"] =
        json!({ "id": "gateway-client", "version": "1", "platform": "linux", "mode": "ui" });
    let params = device.sign(params, &slow);
    slow.hello(params).await;
    gateway.forget_peak();
    let gone = |frame: &Value| {
        frame["event"] == "presence"
            && frame["payload"]["presence"].as_array().is_some_and(|rows| {
                rows.iter().any(|row| {
                    row["deviceId"] == device.id.as_str() && row["reason"] == "disconnect"
                })
            })
    };
    let began = Instant::now();
    let mut rounds = 0;
    while neighbour.places(gone).is_empty() {
        rounds += 1;
        assert!(
            rounds < 10,
            "the slow client is still there after {:?}",
            began.elapsed()
        );
        load(&mut neighbour, 2 + rounds).await;
    }
    let growth = gateway.peak().saturating_sub(without);
    // Measured: 1.3 to 1.9 MB.
    assert!(growth < MAX_BUFFERED + 2_000_000, "{growth} bytes");
    // The neighbour's numbers are checked frame by frame; it is still served.
    neighbour.call("health", json!({})).await;
    drop(slow);
}
