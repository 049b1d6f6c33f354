//! A signal-cli whose stream and answers are the test's, for what no peer does on request: envelopes that
//! nobody can read, silence, accounts that are gone, an end in the middle. The real one and crabline's
//! are the peers elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast};

use super::noticed;

#[derive(Default)]
struct State {
    /// Answers of methods from now on.
    answers: BTreeMap<String, Value>,
    /// Every call: the method and its params.
    calls: Vec<(String, Value)>,
    /// The status with which streams open, where not 200.
    refusals: VecDeque<u16>,
    /// What streams were asked with.
    opened: Vec<String>,
    open: usize,
    most_open: usize,
    /// Streams have no heartbeat.
    silent: bool,
    /// Methods whose answers wait.
    held: BTreeSet<String>,
}

/// Between two heartbeats of a stream.
const HEARTBEAT: Duration = Duration::from_millis(200);

/// One that runs.
#[derive(Clone)]
pub(crate) struct SignalCli {
    /// Where it listens.
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    stream: broadcast::Sender<Option<String>>,
}

struct Open<'a>(&'a SignalCli);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.open -= 1);
        self.0.changed.notify_waiters();
    }
}

impl SignalCli {
    /// Starts one with these accounts.
    pub(crate) async fn start(accounts: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let own = Self {
            url: format!("http://127.0.0.1:{port}"),
            state: Arc::default(),
            changed: Arc::default(),
            stream: broadcast::Sender::new(64),
        };
        let rows: Vec<Value> = accounts
            .iter()
            .map(|number| json!({ "number": number }))
            .collect();
        own.answer("listAccounts", json!({ "result": rows }));
        let served = own.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = served.clone();
                tokio::spawn(async move { own.serve(stream).await });
            }
        });
        own
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A method answers so from now on: an object with `result` or `error`.
    pub(crate) fn answer(&self, method: &str, answer: Value) {
        self.with(|state| state.answers.insert(method.to_owned(), answer));
    }

    /// The answers of a method wait until it is let go.
    pub(crate) fn hold(&self, method: &str) {
        self.with(|state| state.held.insert(method.to_owned()));
    }

    /// They wait no longer.
    pub(crate) fn let_go(&self, method: &str) {
        self.with(|state| state.held.remove(method));
        self.changed.notify_waiters();
    }

    /// Streams have no heartbeat, or have one again.
    pub(crate) fn silent(&self, silent: bool) {
        self.with(|state| state.silent = silent);
    }

    /// The next streams are refused with these.
    pub(crate) fn refuse(&self, status: &[u16]) {
        self.with(|state| state.refusals.extend(status));
    }

    /// Writes this on every open stream.
    pub(crate) fn stream(&self, text: &str) {
        let _ = self.stream.send(Some(text.to_owned()));
    }

    /// An event on every open stream.
    pub(crate) fn event(&self, event: &Value) {
        self.stream(&format!("event:receive\ndata:{event}\n\n"));
    }

    /// Ends every open stream.
    pub(crate) fn end(&self) {
        let _ = self.stream.send(None);
    }

    /// Params of every call of a method.
    pub(crate) fn calls(&self, method: &str) -> Vec<Value> {
        self.with(|state| {
            let own = state.calls.iter().filter(|(name, _)| name == method);
            own.map(|(_, params)| params.clone()).collect()
        })
    }

    /// What streams were asked with: the first line and the headers of each.
    pub(crate) fn opened(&self) -> Vec<String> {
        self.with(|state| state.opened.clone())
    }

    /// Most streams that were open at a time.
    pub(crate) fn most_open(&self) -> usize {
        self.with(|state| state.most_open)
    }

    /// Waits until this holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        noticed(&self.changed, what, || holds(self)).await;
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while let Some((head, body)) = request(&mut stream, &mut bytes).await {
            let path = head
                .split_whitespace()
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            let done = if path.starts_with("/api/v1/check") {
                respond(&mut stream, 200, "").await
            } else if path.starts_with("/api/v1/events") {
                return self.events(stream, head).await;
            } else {
                let method = body["method"].as_str().unwrap_or_default().to_owned();
                loop {
                    let changed = self.changed.notified();
                    tokio::pin!(changed);
                    changed.as_mut().enable();
                    if !self.with(|state| state.held.contains(&method)) {
                        break;
                    }
                    changed.await;
                }
                let answer = self.call(&body);
                respond(&mut stream, 200, &answer.to_string()).await
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn call(&self, body: &Value) -> Value {
        let method = body["method"].as_str().unwrap_or_default().to_owned();
        let known = self.with(|state| {
            state.calls.push((method.clone(), body["params"].clone()));
            state.answers.get(&method).cloned()
        });
        let at = 1_000 + self.calls(&method).len();
        let mut answer = known.unwrap_or_else(|| match method.as_str() {
            "send" | "sendReaction" | "remoteDelete" => json!({ "result": { "timestamp": at } }),
            "sendTyping" | "sendReceipt" => json!({ "result": {} }),
            _ => {
                json!({ "error": { "code": -32601, "message": "Method not implemented", "data": null } })
            }
        });
        answer["jsonrpc"] = "2.0".into();
        answer["id"] = body["id"].clone();
        self.changed.notify_waiters();
        answer
    }

    async fn events(&self, mut stream: TcpStream, head: String) {
        let refused = self.with(|state| {
            state.opened.push(head);
            state.refusals.pop_front()
        });
        self.changed.notify_waiters();
        if let Some(status) = refused {
            let _ = respond(&mut stream, status, "").await;
            return;
        }
        let mut told = self.stream.subscribe();
        self.with(|state| {
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
        });
        let _open = Open(self);
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n:\n";
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        let mut rest = [0; 64];
        loop {
            tokio::select! {
                text = told.recv() => {
                    let Ok(Some(text)) = text else { return };
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                _ = stream.read(&mut rest) => return,
                () = tokio::time::sleep(HEARTBEAT) => {
                    if !self.with(|state| state.silent) && stream.write_all(b":\n").await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, Value)> {
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head + length.unwrap_or_default();
    while bytes.len() < end {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head..end]).unwrap_or_default();
    bytes.drain(..end);
    Some((text, body))
}

async fn respond(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await
}
