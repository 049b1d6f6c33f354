//! Discord: crabline, and in front of its gateway the memory that it has not: a session whose connection
//! ended goes on being listened to, and whoever resumes it is given what came meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::crabline::Crabline;

/// Events of a session, in order.
#[derive(Clone, Default)]
struct Journal {
    events: Arc<Mutex<Vec<Value>>>,
    changed: Arc<Notify>,
}

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The platform.
#[derive(Clone)]
pub(crate) struct Discord {
    /// REST, and the gateway that forgets.
    pub(crate) platform: Arc<Crabline>,
    /// Where it is, with its memory in front of it.
    pub(crate) address: SocketAddr,
    sessions: Arc<Mutex<BTreeMap<String, Journal>>>,
    /// Milliseconds between two heartbeats, of connections from now on.
    beat: Arc<AtomicU64>,
}

type Client = WebSocketStream<TcpStream>;

impl Discord {
    /// Starts one.
    pub(crate) async fn start(beat: u64) -> Self {
        let platform = Arc::new(Crabline::start("discord").await);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let discord = Self {
            platform,
            address: listener.local_addr().expect("its address"),
            sessions: Arc::default(),
            beat: Arc::new(AtomicU64::new(beat)),
        };
        let serving = discord.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let discord = serving.clone();
                tokio::spawn(async move { discord.serve(stream).await });
            }
        });
        discord
    }

    /// So many milliseconds are between two heartbeats of connections from now on.
    pub(crate) fn beat(&self, beat: u64) {
        self.beat.store(beat, Ordering::Relaxed);
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut head = vec![0; 4 * 1024];
        let read = stream.peek(&mut head).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&head[..read]).to_lowercase();
        if !text.contains("upgrade: websocket") {
            let upstream = TcpStream::connect(self.platform.address()).await;
            let mut upstream = upstream.expect("it listens");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
            let _ = stream.shutdown().await;
            return;
        }
        let Ok(mut client) = tokio_tungstenite::accept_async(stream).await else {
            return;
        };
        let beat = self.beat.load(Ordering::Relaxed);
        let hello = json!({ "op": 10, "d": { "heartbeat_interval": beat } });
        say(&mut client, &hello).await;
        while let Some(frame) = next(&mut client).await {
            match frame["op"].as_u64() {
                Some(1) => say(&mut client, &json!({ "op": 11, "d": null })).await,
                Some(2) => {
                    let journal = self.identify(&frame).await;
                    return go_on(client, journal, 0).await;
                }
                Some(6) => {
                    let session = frame["d"]["session_id"].as_str().unwrap_or_default();
                    let journal = self.lock().get(session).cloned();
                    if let Some(journal) = journal {
                        let seq = frame["d"]["seq"].as_u64().unwrap_or_default();
                        let last = journal.lock().last().map(|event| event["s"].clone());
                        let resumed = json!({ "op": 0, "t": "RESUMED", "s": last, "d": {} });
                        let from = behind(&journal, seq);
                        let missed: Vec<Value> = journal.lock()[from..].to_vec();
                        for event in &missed {
                            say(&mut client, event).await;
                        }
                        say(&mut client, &resumed).await;
                        return go_on(client, journal, from + missed.len()).await;
                    }
                    say(&mut client, &json!({ "op": 9, "d": false })).await;
                }
                _ => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Journal>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session of the platform, listened to from here on.
    async fn identify(&self, identify: &Value) -> Journal {
        let address = format!(
            "ws://{}/gateway?v=10&encoding=json",
            self.platform.address()
        );
        let opened = tokio_tungstenite::connect_async(address).await;
        let (mut upstream, _) = opened.expect("the gateway listens");
        let text = Message::text(identify.to_string());
        upstream.send(text).await.expect("it reads");
        let journal = Journal::default();
        let (noted, sessions, own) = (journal.clone(), self.clone(), self.address.to_string());
        let forgets = self.platform.address().to_string();
        tokio::spawn(async move {
            while let Some(Ok(message)) = upstream.next().await {
                let Message::Text(text) = message else {
                    continue;
                };
                let event: Value =
                    serde_json::from_str(&text.replace(&forgets, &own)).expect("JSON");
                if event["op"] != 0 {
                    continue;
                }
                if let Some(session) = event["d"]["session_id"].as_str() {
                    sessions.lock().insert(session.to_owned(), noted.clone());
                }
                noted.lock().push(event);
                noted.changed.notify_waiters();
            }
        });
        journal
    }
}

/// How many events of a journal somebody has who saw this one last.
fn behind(journal: &Journal, seq: u64) -> usize {
    let events = journal.lock();
    let seen = |event: &&Value| event["s"].as_u64().unwrap_or_default() <= seq;
    events.iter().take_while(seen).count()
}

/// Gives events to a client, and takes its heartbeats, until it leaves.
async fn go_on(mut client: Client, journal: Journal, mut from: usize) {
    loop {
        let changed = journal.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let new: Vec<Value> = journal.lock()[from..].to_vec();
        from += new.len();
        for event in &new {
            say(&mut client, event).await;
        }
        tokio::select! {
            () = changed => {}
            frame = next(&mut client) => match frame {
                Some(frame) if frame["op"] == 1 => say(&mut client, &json!({ "op": 11, "d": null })).await,
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// Says something to whoever may be gone.
async fn say(client: &mut Client, frame: &Value) {
    let _ = client.send(Message::text(frame.to_string())).await;
}

/// The next frame of a client, until it leaves.
async fn next(client: &mut Client) -> Option<Value> {
    loop {
        match client.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}
