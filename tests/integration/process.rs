//! The program as a process: starts, refusals, signals, and what an unknown peer may cost it.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::chat::{history, message};
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::socket::connect_params;
use crate::harness::{TOKEN, soon};

fn plain() -> Value {
    json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } })
}

#[tokio::test]
async fn the_first_start_shows_its_address_with_the_token_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let gateway = Gateway::start(&home).await;
    let shown: Vec<&str> = gateway
        .output
        .lines()
        .filter(|line| line.contains("#token="))
        .collect();
    assert_eq!(shown.len(), 1, "{}", gateway.output);
    let token = shown[0].split_once("#token=").unwrap().1.trim().to_owned();
    assert!(token.len() >= 32, "{token}");
    let config = home.state().join("openclaw.json");
    assert!(std::fs::read_to_string(&config).unwrap().contains(&token));
    assert_eq!(
        config.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let mut socket = gateway.socket().await;
    let mut params = connect_params(4);
    params["auth"]["token"] = json!(token);
    socket.hello(params.clone()).await;
    let tail = socket.call("logs.tail", json!({})).await;
    assert!(!tail.to_string().contains(&token));
    gateway.terminate();
    let (status, output) = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(output.matches(&token).count(), 1, "{output}");

    let gateway = Gateway::start(&home).await;
    gateway.socket().await.hello(params).await;
    gateway.terminate();
    let (_, output) = gateway.ended().await;
    assert!(!output.contains(&token), "{output}");
    assert!(
        output.contains("openclaw dashboard"),
        "it says where to find it: {output}"
    );
    let log = home.log();
    assert!(log.contains("gateway ready") && !log.contains(&token));
}

#[tokio::test]
async fn a_second_gateway_is_refused_and_told_whom_it_met() {
    let home = Home::with(&plain());
    let gateway = Gateway::start(&home).await;
    let pid = format!("pid {}", gateway.pid());
    let (code, _, error) = home.run(&["gateway", "--port", "0"]).await;
    assert_eq!(code, Some(78), "{error}");
    assert!(error.contains(&pid) && error.contains("stop it"), "{error}");

    // Another state directory of the same user on the same host.
    let other = Home::with(&plain());
    let mut command = other.command(&["gateway", "--port", "0"]);
    command.env("XDG_RUNTIME_DIR", home.runtime());
    let output = soon("the refusal", command.output()).await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{error}");
    assert!(error.contains(&pid), "{error}");

    // The port of the first one.
    let port = gateway.port.to_string();
    let (code, _, error) = other.run(&["gateway", "--port", &port]).await;
    assert_eq!(code, Some(78), "{error}");
    assert!(
        error.contains(&pid) && error.contains(&port) && error.contains("--port"),
        "{error}"
    );

    // The first one did not notice, and its end frees everything, however it ends.
    gateway.client().await.call("health", json!({})).await;
    gateway.kill().await;
    Gateway::start(&home).await;
}

#[tokio::test]
async fn a_start_that_would_be_unsafe_or_unclear_is_refused_with_the_place() {
    let with = |gateway: Value| json!({ "gateway": gateway });
    let strong = "a-long-random-secret-0123456789abcdef";
    for (config, flags, places) in [
        (
            with(json!({ "port": "eighteen" })),
            vec![],
            vec!["gateway.port"],
        ),
        (
            with(json!({ "auth": { "mode": "sometimes" } })),
            vec![],
            vec!["gateway.auth.mode"],
        ),
        (
            json!({ "agents": { "defaults": { "maxConcurrent": 0.5 } } }),
            vec![],
            vec!["agents.defaults.maxConcurrent"],
        ),
        (
            with(json!({ "bind": "lan", "auth": { "mode": "none" } })),
            vec![],
            vec!["gateway.auth"],
        ),
        (
            with(json!({ "bind": "lan", "auth": { "mode": "token", "token": "short" } })),
            vec![],
            vec!["gateway.auth.token"],
        ),
        (
            with(json!({ "auth": { "mode": "password", "password": "1234" } })),
            vec!["--bind", "lan"],
            vec!["gateway.auth.password"],
        ),
        (
            with(
                json!({ "auth": { "mode": "token", "token": strong }, "bind": "custom", "customBindHost": "not an address" }),
            ),
            vec![],
            vec!["gateway.customBindHost"],
        ),
    ] {
        let home = Home::with(&config);
        let mut args = vec!["gateway"];
        // A flag would hide a wrong port in the file.
        if config["gateway"]["port"].is_null() {
            args.extend(["--port", "0"]);
        }
        args.extend(flags);
        let (code, output, error) = home.run(&args).await;
        assert_eq!(code, Some(78), "{config}: {output}{error}");
        for place in places {
            assert!(error.contains(place), "{place} is not in: {error}");
        }
        assert!(!output.contains("#token="), "nothing was started");
    }
}

#[tokio::test]
async fn sigterm_tells_everyone_and_ends_in_order() {
    let home = Home::with(&plain());
    let gateway = Gateway::start(&home).await;
    let mut clients = vec![gateway.client().await, gateway.client().await];
    gateway.terminate();
    for client in &mut clients {
        let shutdown = client.until(|frame| frame["event"] == "shutdown").await;
        assert_eq!(shutdown["payload"]["reason"], "gateway stopping");
        let closed = client.closed_in_the_end().await;
        assert_eq!(closed, Some((1012, "service restart".to_owned())));
    }
    let (status, _) = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn sigterm_lets_a_run_end_and_keeps_its_answer() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    client
        .call("chat.send", message("main", "quick", "k1"))
        .await;
    let mut ask = model.asked().await;
    ask.text("almost").await;
    client.chat("k1", "delta").await;
    gateway.terminate();
    client.until(|frame| frame["event"] == "shutdown").await;
    // Reads are still served, and the run is still there.
    for _ in 0..50 {
        let page = client
            .call("chat.history", json!({ "sessionKey": "main" }))
            .await;
        assert_eq!(page["inFlightRun"]["runId"], "k1", "{page}");
    }
    ask.text(" done").await;
    ask.done().await;
    client.chat("k1", "final").await;
    assert_eq!(
        client.closed_in_the_end().await,
        Some((1012, "service restart".to_owned()))
    );
    let (status, _) = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let rows = history(&mut client, "main").await;
    assert_eq!(rows[1], ("assistant".to_owned(), "almost done".to_owned()));
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_a_run() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    client
        .call("chat.send", message("main", "for ever", "k1"))
        .await;
    let _held = model.asked().await;
    gateway.terminate();
    client.until(|frame| frame["event"] == "shutdown").await;
    gateway.terminate();
    gateway.ended().await;
    let log = home.log();
    assert!(log.contains("stopped at once by a second signal"), "{log}");
}

/// A socket that has not proven anything, after its upgrade.
async fn stranger(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("the gateway listens");
    let upgrade = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream
        .write_all(upgrade.as_bytes())
        .await
        .expect("the gateway reads");
    let mut head = [0; 1024];
    let length = soon("the upgrade", stream.read(&mut head))
        .await
        .expect("an answer");
    assert!(head[..length].starts_with(b"HTTP/1.1 101"));
    stream
}

/// Announces a frame of 1 GiB, sends 50 MB of it, and gives what the gateway says to that until it
/// ends the connection.
async fn flood(mut stream: TcpStream) -> Vec<u8> {
    let mut header = vec![0x81, 0x80 | 127];
    header.extend((1_u64 << 30).to_be_bytes());
    header.extend([1, 2, 3, 4]);
    let chunk = vec![b'x'; 64 * 1024];
    let mut said = Vec::new();
    let flooding = async {
        // The gateway may end the connection at any point.
        let mut open = stream.write_all(&header).await.is_ok();
        for _ in 0..800 {
            open = open && stream.write_all(&chunk).await.is_ok();
        }
        while let Ok(1..) = stream.read_buf(&mut said).await {}
    };
    soon("the end of the connection", flooding).await;
    said
}

#[tokio::test]
async fn an_unknown_peer_that_announces_a_gibibyte_costs_less_than_a_megabyte() {
    let home = Home::with(&plain());
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    // What the first such socket needs for good (code, buffers) is not what each one costs.
    flood(stranger(gateway.port).await).await;
    client.call("health", json!({})).await;
    gateway.forget_peak();
    let before = gateway.peak();
    let said = flood(stranger(gateway.port).await).await;
    client.call("health", json!({})).await;
    let cost = gateway.peak().saturating_sub(before);
    assert!(cost < 1_000_000, "{cost} bytes");
    let closed = said.windows(2).any(|code| code == 1009_u16.to_be_bytes());
    assert!(closed, "{}", String::from_utf8_lossy(&said));
}
