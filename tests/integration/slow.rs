//! A client that does not read: it goes, its neighbours notice nothing, and memory stays bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use openclaw_actors::clock::TestClock;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;

use crate::chat::message;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::daemon::{Daemon, Plan};
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

/// The state of the gateway's side of a connection, as the kernel writes it (`01` is established).
fn tcp_state(gateway: SocketAddr, client: SocketAddr) -> Option<String> {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the list of connections");
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let here = fields[1].ends_with(&port(gateway)) && fields[2].ends_with(&port(client));
        here.then(|| fields[3].to_owned())
    })
}

#[tokio::test]
async fn a_client_that_says_goodbye_and_takes_nothing_is_cut_off() {
    let clock = Arc::new(TestClock::frozen());
    let daemon = Daemon::start(Plan {
        workers: 1,
        clock: Arc::clone(&clock) as _,
        ..Plan::default()
    });
    let tcp = TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(4096).unwrap();
    let tcp = soon("the connection", tcp.connect(daemon.address))
        .await
        .unwrap();
    let address = tcp.local_addr().unwrap();
    let mut leaving = Socket::over(tcp).await;
    leaving.hello(connect_params(4)).await;
    let mut neighbour = daemon.client().await;
    for client in [&mut leaving, &mut neighbour] {
        let main = json!({ "key": "main" });
        client.call("sessions.messages.subscribe", main).await;
    }
    // More than the kernel takes for it.
    for n in 0..16 {
        let text = "x".repeat(900_000);
        let send = json!({ "to": "main", "message": text, "idempotencyKey": format!("k{n}") });
        neighbour.call("send", send).await;
        neighbour
            .until(|frame| frame["event"] == "session.message")
            .await;
    }
    leaving.stream.send(Message::Close(None)).await.unwrap();
    // Once the goodbye is read, the connection is no longer counted; the session of a blocked socket
    // may not get to read it, and is cut off all the same.
    let connections = |status: Value| status["gateway"]["connections"].as_u64();
    for _ in 0..500 {
        if connections(neighbour.call("status", json!({})).await) == Some(1) {
            break;
        }
    }
    assert_eq!(tcp_state(daemon.address, address).as_deref(), Some("01"));
    // In two steps, so that the neighbour is heard in between.
    clock.advance(Duration::from_secs(30));
    neighbour.call("health", json!({})).await;
    clock.advance(Duration::from_secs(26));
    let cut = async {
        while tcp_state(daemon.address, address).as_deref() == Some("01") {
            neighbour.call("health", json!({})).await;
        }
    };
    soon("the end of the connection", cut).await;
    drop(leaving);
}
