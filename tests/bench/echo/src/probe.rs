//! What the load generator cannot do: connect with a signed device identity, and count delivered
//! events with their `seq`. One line of `key=value` per run.
//!
//! `bench-probe port`
//! `bench-probe storm|fanout|seed|inject|grow|model|stream|busy|history|commits PORT TOKEN PID [CONNECTIONS] [SECONDS or BURSTS]`
//!
//! * `port`: prints a free TCP port.
//! * `inject`: the same with `chat.inject`, which writes to the conversation alone.
//! * `seed`: one `send` to the main session, so that it exists.
//! * `grow`: how the cost of requests grows with what there is, as rows of a table (`grow.rs`).
//! * `storm`: CPU of the server per handshake with device proof. The device is paired by the shared
//!   token once; every further handshake presents its device token, which writes nothing.
//! * `model`: a model whose every answer is a stream of BURSTS pieces, on PORT, until it is ended.
//! * `stream`: CPU of the server per piece of such a stream that CONNECTIONS watch.
//! * `history`: CPU of the server per page of a conversation of CONNECTIONS megabytes.
//! * `busy`: CONNECTIONS runs that stream and pages of that conversation, for SECONDS, to measure others beside.
//! * `commits`: messages per second that are stored before they are acknowledged.
//! * `fanout`: CPU of the server per delivered `chat` event. One client posts bursts of messages to
//!   the main session, which all others see; what the posts themselves cost is part of the figure.

mod grow;
mod wide;

use std::fmt::Display;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;
use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

type Ws = WebSocketStream<TcpStream>;
type Outcome<T> = Result<T, String>;

/// Messages of a burst; the gateway lets 128 requests of one connection in.
const BURST: usize = 100;
/// The conversation that events are about.
const SESSION: &str = "agent:main:main";
/// How long one step may take.
const LIMIT: Duration = Duration::from_secs(60);

struct Target {
    port: u16,
    token: String,
    pid: u32,
}

/// A device identity, and the token that its first handshake brought.
struct Device {
    key: SigningKey,
    id: String,
    token: Option<String>,
}

impl Device {
    fn new() -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let seed = Sha256::digest(format!("bench {now} {}", std::process::id()));
        let key = SigningKey::from_bytes(&seed.into());
        let id = Sha256::digest(key.verifying_key().as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            key,
            id,
            token: None,
        }
    }

    /// Adds proof and credentials to the parameters of `connect`.
    fn sign(&self, params: &mut Value, nonce: &str, ts: u64, shared: &str) {
        let (field, secret) = match &self.token {
            Some(token) => ("deviceToken", token.as_str()),
            None => ("token", shared),
        };
        params["auth"] = json!({ field: secret });
        let payload = format!(
            "v3|{}|gateway-client|cli|operator|operator.read|{ts}|{secret}|{nonce}|linux|",
            self.id
        );
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        params["device"] = json!({
            "id": self.id,
            "publicKey": encode(self.key.verifying_key().as_bytes()),
            "signature": encode(&self.key.sign(payload.as_bytes()).to_bytes()),
            "signedAt": ts,
            "nonce": nonce,
        });
    }
}

async fn next_json(ws: &mut Ws) -> Outcome<Value> {
    loop {
        match ws.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text).map_err(text_of);
            }
            Some(Ok(Message::Close(frame))) => return Err(format!("closed: {frame:?}")),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the socket ended".into()),
        }
    }
}

/// One whole handshake; `device` proves itself, no device means the backend exception.
async fn connect(target: &Target, device: Option<&Device>) -> Outcome<(Ws, Value)> {
    connect_as(target, device, &["operator.read", "operator.write"]).await
}

async fn connect_as(
    target: &Target,
    device: Option<&Device>,
    scopes: &[&str],
) -> Outcome<(Ws, Value)> {
    let address = ("127.0.0.1", target.port);
    let tcp = TcpStream::connect(address).await.map_err(text_of)?;
    tcp.set_nodelay(true).map_err(text_of)?;
    let url = format!("ws://127.0.0.1:{}/", target.port);
    let (mut ws, _) = tokio_tungstenite::client_async(url, tcp)
        .await
        .map_err(text_of)?;
    let challenge = next_json(&mut ws).await?;
    let nonce = challenge["payload"]["nonce"].as_str().unwrap_or_default();
    let ts = challenge["payload"]["ts"].as_u64().unwrap_or_default();
    let mut params = json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "caps": [],
        "client": {"id": "gateway-client", "version": "0.0.0", "platform": "linux", "mode": "backend"},
        "scopes": scopes,
        "auth": {"token": target.token},
    });
    if let Some(device) = device {
        params["client"]["mode"] = json!("cli");
        params["scopes"] = json!(["operator.read"]);
        device.sign(&mut params, nonce, ts, &target.token);
    }
    let frame = json!({"type": "req", "id": "c", "method": "connect", "params": params});
    ws.send(Message::text(frame.to_string()))
        .await
        .map_err(text_of)?;
    loop {
        let mut reply = next_json(&mut ws).await?;
        if reply["id"] == "c" {
            return if reply["ok"] == true {
                Ok((ws, reply["payload"].take()))
            } else {
                Err(format!("connect refused: {}", reply["error"]))
            };
        }
    }
}

fn post(session: &str, key: &str) -> Message {
    let params = json!({"to": session, "message": "a line of text of ordinary length, as people write them", "idempotencyKey": key});
    Message::text(json!({"type": "req", "id": key, "method": "send", "params": params}).to_string())
}

async fn seed(target: &Target) -> Outcome<String> {
    let (mut ws, _) = connect(target, None).await?;
    ws.send(post("main", "bench-seed")).await.map_err(text_of)?;
    loop {
        let reply = next_json(&mut ws).await?;
        if reply["id"] == "bench-seed" {
            return if reply["ok"] == true {
                Ok("seeded=1".into())
            } else {
                Err(reply["error"].to_string())
            };
        }
    }
}

async fn storm(target: &'static Target, workers: usize, seconds: u64) -> Outcome<String> {
    let mut device = Device::new();
    let (_, hello) = connect(target, Some(&device)).await?;
    device.token = hello["auth"]["deviceToken"].as_str().map(str::to_owned);
    if device.token.is_none() {
        return Err(format!("hello-ok has no device token: {}", hello["auth"]));
    }
    let device: &'static Device = Box::leak(Box::new(device));
    let before = cpu_us(target.pid);
    let end = Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            tokio::task::spawn_local(async move {
                let mut done = 0_u64;
                while Instant::now() < end {
                    let (mut ws, _) = connect(target, Some(device)).await?;
                    done += 1;
                    let _ = tokio::time::timeout(Duration::from_millis(500), ws.close(None)).await;
                }
                Ok::<_, String>(done)
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.map_err(text_of)??;
    }
    let spent = cpu_us(target.pid) - before;
    Ok(format!(
        "mode=storm conns={workers} handshakes={done} cpu_us_per_op={:.1}",
        spent / done as f64
    ))
}

/// What a watcher saw of a burst.
struct Seen {
    gaps: u64,
}

/// Reads events until the socket ends; reports every `BURST` chat events.
async fn watch(mut ws: Ws, report: mpsc::UnboundedSender<Seen>) {
    let (mut last, mut gaps, mut count) = (None, 0, 0);
    while let Some(Ok(message)) = ws.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        if !text.starts_with(r#"{"type":"event""#) {
            continue;
        }
        let seq = seq_of(&text);
        if let (Some(last), Some(seq)) = (last, seq)
            && seq != last + 1
        {
            gaps += 1;
        }
        last = seq.or(last);
        if text.starts_with(r#"{"type":"event","event":"chat""#) {
            count += 1;
            if count % BURST == 0 && report.send(Seen { gaps }).is_err() {
                return;
            }
        }
    }
}

/// `seq` is the last member of an event frame.
fn seq_of(text: &str) -> Option<u64> {
    let at = text.rfind(r#""seq":"#)?;
    text[at + 6..].trim_end_matches('}').parse().ok()
}

/// The same burst with a request that the official gateway answers without a channel.
fn inject(session: &str, key: &str) -> Message {
    let params = json!({"sessionKey": session, "message": "a line of text of ordinary length, as people write them"});
    Message::text(
        json!({"type": "req", "id": key, "method": "chat.inject", "params": params}).to_string(),
    )
}

async fn fanout(
    target: &'static Target,
    watchers: usize,
    bursts: u64,
    write: fn(&str, &str) -> Message,
) -> Outcome<String> {
    let (report, mut reports) = mpsc::unbounded_channel();
    for _ in 0..watchers {
        let (ws, _) = connect(target, None).await?;
        tokio::task::spawn_local(watch(ws, report.clone()));
    }
    let scopes = ["operator.read", "operator.write", "operator.admin"];
    let (mut ws, _) = connect_as(target, None, &scopes).await?;
    // Both kinds of gateway know it then; one that is there already stays as it is.
    let create = json!({"type": "req", "id": "create", "method": "sessions.create", "params": {"key": SESSION}});
    ws.send(Message::text(create.to_string()))
        .await
        .map_err(text_of)?;
    while next_json(&mut ws).await?["id"] != "create" {}
    let (mut posts, mut replies) = ws.split();
    tokio::task::spawn_local(async move {
        while let Some(Ok(message)) = replies.next().await {
            if let Message::Text(text) = message
                && text.starts_with(r#"{"type":"res""#)
                && text.contains(r#""ok":false"#)
            {
                eprintln!("bench-probe: {text}");
            }
        }
    });
    let run = std::process::id();
    let (mut gaps, start, before) = (0, Instant::now(), cpu_us(target.pid));
    for burst in 0..bursts {
        for number in 0..BURST {
            let key = format!("bench-{run}-{burst}-{number}");
            posts.feed(write(SESSION, &key)).await.map_err(text_of)?;
        }
        posts.flush().await.map_err(text_of)?;
        for _ in 0..watchers {
            let seen = tokio::time::timeout(LIMIT, reports.recv())
                .await
                .map_err(|_| "a burst did not arrive within 60 s".to_owned())?
                .ok_or("every watcher ended")?;
            gaps = gaps.max(seen.gaps);
        }
    }
    let spent = cpu_us(target.pid) - before;
    let deliveries = watchers as u64 * bursts * BURST as u64;
    Ok(format!(
        "mode=fanout conns={watchers} deliveries={deliveries} gaps={gaps} secs={:.1} cpu_us_per_op={:.2}",
        start.elapsed().as_secs_f64(),
        spent / deliveries as f64
    ))
}

/// CPU time of a process since its start, microseconds, threads that have ended included.
fn cpu_us(pid: u32) -> f64 {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap_or_default());
    let clock = ClockId::pid_cpu_clock_id(pid).and_then(ClockId::now);
    clock.map_or(0.0, |spent| spent.num_nanoseconds() as f64 / 1_000.0)
}

fn text_of(error: impl Display) -> String {
    error.to_string()
}

async fn run(mode: &str, target: &'static Target, count: u64, amount: u64) -> Outcome<String> {
    let count = usize::try_from(count).map_err(text_of)?;
    match mode {
        "seed" => seed(target).await,
        "grow" => grow::grow(target).await,
        "model" => wide::model(target.port, amount).await,
        "stream" => wide::stream(target, count, amount).await,
        "busy" => wide::busy(target, count, amount).await,
        "history" => wide::history(target, count).await,
        "commits" => wide::commits(target, count, amount).await,
        "storm" => storm(target, count, amount).await,
        "fanout" => fanout(target, count, amount, post).await,
        "inject" => fanout(target, count, amount, inject).await,
        other => Err(format!("unknown mode {other}")),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        args.get(at).map_or(default, |arg| {
            arg.parse().unwrap_or_else(|_| {
                eprintln!("{arg:?} is not a number");
                std::process::exit(2)
            })
        })
    };
    if args == ["port"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        println!("{}", listener.local_addr().expect("its address").port());
        return;
    }
    if args.len() < 4 {
        eprintln!(
            "usage: bench-probe port | storm|fanout|seed|inject|grow|model|stream|busy|history|commits PORT TOKEN PID [CONNECTIONS] [SECONDS or BURSTS]"
        );
        std::process::exit(2);
    }
    let target: &'static Target = Box::leak(Box::new(Target {
        port: u16::try_from(number(1, 0)).unwrap_or_default(),
        token: args[2].clone(),
        pid: u32::try_from(number(3, 0)).unwrap_or_default(),
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tasks = tokio::task::LocalSet::new();
    let outcome =
        runtime.block_on(tasks.run_until(run(&args[0], target, number(4, 16), number(5, 3))));
    match outcome {
        Ok(line) => println!("{line}"),
        Err(error) => {
            eprintln!("bench-probe: {error}");
            std::process::exit(1);
        }
    }
}
