//! What costs more than a request: a model's stream to many watchers, a page of a long conversation, and commits.

use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::grow::Client;
use super::{LIMIT, Outcome, Target, connect, cpu_us, post, text_of};

/// Bytes of a message of the long conversation.
const MESSAGE: usize = 4_000;
/// The long conversation.
const LONG: &str = "agent:main:long";

/// Answers every chat completion with a stream of this many pieces, until the process is ended.
pub(super) async fn model(port: u16, pieces: u64) -> Outcome<String> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(text_of)?;
    loop {
        let (stream, _) = listener.accept().await.map_err(text_of)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = complete(stream, pieces).await {
                eprintln!("bench-probe model: {error}");
            }
        });
    }
}

async fn complete(stream: TcpStream, pieces: u64) -> Outcome<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0_usize;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.map_err(text_of)? == 0 {
            return Ok(());
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(text_of)?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(text_of)?;
    let mut stream = stream.into_inner();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.map_err(text_of)?;
    for piece in 0..=pieces {
        let (delta, why) = if piece < pieces {
            (json!({ "content": "word " }), json!(null))
        } else {
            (json!({}), json!("stop"))
        };
        let chunk = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m1",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": why }],
        });
        let event = format!("data: {chunk}\n\n");
        stream.write_all(event.as_bytes()).await.map_err(text_of)?;
    }
    stream
        .write_all(b"data: [DONE]\n\n")
        .await
        .map_err(text_of)?;
    stream.shutdown().await.map_err(text_of)
}

/// CPU of the gateway for each piece of a model's stream that this many watch.
pub(super) async fn stream(
    target: &'static Target,
    watchers: usize,
    pieces: u64,
) -> Outcome<String> {
    let (report, mut reports) = mpsc::unbounded_channel();
    for _ in 0..watchers {
        let (mut ws, _) = connect(target, None).await?;
        let report = report.clone();
        tokio::task::spawn_local(async move {
            let mut events = 0_u64;
            while let Some(Ok(message)) = ws.next().await {
                let Message::Text(text) = message else {
                    continue;
                };
                if text.starts_with(r#"{"type":"event","event":"agent""#)
                    || text.starts_with(r#"{"type":"event","event":"chat""#)
                {
                    events += 1;
                }
                if text.contains(r#""state":"final""#) {
                    // Whoever asked has gone.
                    let _ = report.send(events);
                    return;
                }
            }
        });
    }
    let (mut ws, _) = connect(target, None).await?;
    let params =
        json!({ "sessionKey": "main", "message": "go on", "idempotencyKey": "bench-stream" });
    let ask = json!({ "type": "req", "id": "s", "method": "chat.send", "params": params });
    let (start, before) = (Instant::now(), cpu_us(target.pid));
    ws.send(Message::text(ask.to_string()))
        .await
        .map_err(text_of)?;
    let mut events = 0;
    for _ in 0..watchers {
        let seen = tokio::time::timeout(LIMIT, reports.recv())
            .await
            .map_err(|_| "the end of the stream did not arrive within 60 s".to_owned())?;
        events += seen.ok_or("every watcher ended")?;
    }
    let spent = cpu_us(target.pid) - before;
    Ok(format!(
        "mode=stream conns={watchers} pieces={pieces} events={events} secs={:.2} cpu_us_per_piece={:.1} cpu_us_per_op={:.2}",
        start.elapsed().as_secs_f64(),
        spent / pieces as f64,
        spent / events as f64
    ))
}

/// Runs that stream, each in a conversation of its own, and pages of the long conversation, for this long: what others
/// are measured beside.
pub(super) async fn busy(target: &'static Target, runs: usize, seconds: u64) -> Outcome<String> {
    let end = Instant::now() + std::time::Duration::from_secs(seconds);
    let streams: Vec<_> = (0..runs)
        .map(|at| tokio::task::spawn_local(streaming(target, at, end)))
        .collect();
    let mut client = Client::come(target).await?;
    let mut pages = 0;
    while Instant::now() < end {
        let page = json!({ "sessionKey": LONG, "limit": 200 });
        client.all([("chat.history", page)]).await?;
        pages += 1;
    }
    let mut done = 0;
    for stream in streams {
        done += stream.await.map_err(text_of)??;
    }
    Ok(format!("mode=busy runs={done} pages={pages}"))
}

/// One run after the other; how many.
async fn streaming(target: &'static Target, at: usize, end: Instant) -> Outcome<u64> {
    let (mut ws, _) = connect(target, None).await?;
    let mut done = 0;
    while Instant::now() < end {
        let run = format!("busy-{}-{at}-{done}", std::process::id());
        let params = json!({ "sessionKey": format!("agent:main:busy-{at}"), "message": "go on", "idempotencyKey": run });
        let ask = json!({ "type": "req", "id": run, "method": "chat.send", "params": params });
        ws.send(Message::text(ask.to_string()))
            .await
            .map_err(text_of)?;
        loop {
            let frame = super::next_json(&mut ws).await?;
            if frame["id"] == run.as_str() && frame["ok"] != true {
                return Err(frame.to_string());
            }
            let payload = &frame["payload"];
            if payload["runId"] == run.as_str() && payload["state"] == "final" {
                break;
            }
        }
        done += 1;
    }
    Ok(done)
}

/// CPU of the gateway for a page of a conversation of this many megabytes.
pub(super) async fn history(target: &'static Target, megabytes: usize) -> Outcome<String> {
    let mut client = Client::come(target).await?;
    client
        .all([("sessions.create", json!({ "key": LONG }))])
        .await?;
    let text = "ten bytes ".repeat(MESSAGE / 10);
    let start = Instant::now();
    let said = (0..megabytes * 1_000_000 / MESSAGE).map(|at| {
        (
            "chat.inject",
            json!({ "sessionKey": LONG, "message": format!("{at} {text}") }),
        )
    });
    client.all(said).await?;
    let written = start.elapsed().as_secs_f64();
    let page = json!({ "sessionKey": LONG, "limit": 20 });
    let cost = client.cost("chat.history", &page).await?;
    Ok(format!(
        "mode=history megabytes={megabytes} secs={written:.1} cpu_us_per_op={cost:.1}"
    ))
}

/// Messages that are stored before they are acknowledged, of this many clients, each with one under way.
pub(super) async fn commits(
    target: &'static Target,
    clients: usize,
    seconds: u64,
) -> Outcome<String> {
    // One after the other: of sockets without a handshake, one address has only some.
    let mut sockets = Vec::new();
    for _ in 0..clients {
        sockets.push(connect(target, None).await?.0);
    }
    let before = cpu_us(target.pid);
    let start = Instant::now();
    let run = std::process::id();
    let tasks: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(client, mut ws)| {
            tokio::task::spawn_local(async move {
                let mut done = 0_u64;
                while start.elapsed().as_secs() < seconds {
                    let key = format!("commit-{run}-{client}-{done}");
                    ws.send(post("main", &key)).await.map_err(text_of)?;
                    loop {
                        let reply = super::next_json(&mut ws).await?;
                        if reply["id"] == key.as_str() {
                            if reply["ok"] != true {
                                return Err(reply.to_string());
                            }
                            break;
                        }
                    }
                    done += 1;
                }
                Ok::<_, String>(done)
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.map_err(text_of)??;
    }
    Ok(format!(
        "mode=commits conns={clients} commits={done} per_second={:.0} cpu_us_per_op={:.1}",
        done as f64 / start.elapsed().as_secs_f64(),
        (cpu_us(target.pid) - before) / done as f64
    ))
}
