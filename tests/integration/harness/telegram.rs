//! A Bot API that keeps a journal, and fails when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::noticed;

/// How one request fails.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This answer.
    Answer(u16, Value),
    /// It takes effect, and half of its answer comes.
    Cut,
    /// It takes effect, and no answer comes while the connection lives.
    Hang,
    /// This one does not.
    Pass,
}

#[derive(Default)]
struct State {
    updates: Vec<Value>,
    /// The number behind which updates are counted.
    base: i64,
    confirmed: i64,
    sent: Vec<Value>,
    calls: BTreeMap<String, usize>,
    polling: usize,
    most_polling: usize,
    faults: BTreeMap<String, VecDeque<Fault>>,
    always: BTreeMap<String, Fault>,
    bodies: Vec<(String, Value)>,
    requests: usize,
    held: usize,
    given: i64,
    webhook: String,
}

/// How far ahead of the newest update a poll may ask.
const FAR: i64 = 10;

/// The platform.
#[derive(Clone)]
pub(crate) struct BotApi {
    /// Its address, for `apiRoot`.
    pub(crate) root: String,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl BotApi {
    /// Starts one on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let api = Self {
            root: format!("http://{}", listener.local_addr().expect("its address")),
            state: Arc::default(),
            changed: Arc::default(),
        };
        let serving = api.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let api = serving.clone();
                tokio::spawn(async move { api.serve(stream).await });
            }
        });
        api
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Somebody writes in their own chat; gives back the number of the update.
    pub(crate) fn write(&self, from: i64, text: &str) -> i64 {
        self.write_in(&json!({ "id": from, "type": "private" }), from, text)
    }

    /// Somebody writes in `chat`.
    pub(crate) fn write_in(&self, chat: &Value, from: i64, text: &str) -> i64 {
        self.post(&json!({ "text": text, "chat": chat,
            "from": { "id": from, "is_bot": false, "first_name": "Ann" } }))
    }

    /// Something else that somebody writes.
    pub(crate) fn post(&self, message: &Value) -> i64 {
        let id = self.with(|state| {
            let count = i64::try_from(state.updates.len()).expect("few updates");
            let id = state.base + count + 1;
            let mut message = message.clone();
            message["message_id"] = id.into();
            message["date"] = 1_795_358_400.into();
            state
                .updates
                .push(json!({ "update_id": id, "message": message }));
            id
        });
        self.changed.notify_waiters();
        id
    }

    /// A week went by without an update: the next one has the number behind `base`.
    pub(crate) fn count_from(&self, base: i64) {
        self.with(|state| {
            state.updates.clear();
            state.base = base;
            state.confirmed = base;
        });
    }

    /// Another program takes the webhook.
    pub(crate) fn take_webhook(&self, url: &str) {
        self.with(|state| url.clone_into(&mut state.webhook));
    }

    /// The next calls of this method fail so.
    pub(crate) fn fail(&self, method: &str, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| {
            let queue = state.faults.entry(method.into()).or_default();
            queue.extend(faults);
        });
    }

    /// After so many calls, one of this method takes effect and is not answered.
    pub(crate) fn hang_after(&self, method: &str, calls: usize) {
        let faults = std::iter::repeat_n(Fault::Pass, calls);
        self.fail(method, faults.chain([Fault::Hang]));
    }

    /// What a method was called with.
    pub(crate) fn bodies(&self, method: &str) -> Vec<Value> {
        self.with(|state| {
            let own = state.bodies.iter().filter(|(own, _)| own == method);
            own.map(|(_, body)| body.clone()).collect()
        })
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    /// How many of them took effect and were not answered.
    pub(crate) fn held(&self) -> usize {
        self.with(|state| state.held)
    }

    /// The newest update that a poll was answered with.
    pub(crate) fn given(&self) -> i64 {
        self.with(|state| state.given)
    }

    /// The newest update.
    pub(crate) fn newest(&self) -> i64 {
        self.with(|state| i64::try_from(state.updates.len()).expect("few updates"))
    }

    /// Every call of this method fails so from now on.
    pub(crate) fn fail_always(&self, method: &str, fault: Fault) {
        self.with(|state| state.always.insert(method.into(), fault));
        self.changed.notify_waiters();
    }

    /// Every failure is over.
    pub(crate) fn heal(&self) {
        self.with(|state| {
            state.always.clear();
            state.faults.clear();
        });
    }

    /// What arrived, in order.
    pub(crate) fn sent(&self) -> Vec<Value> {
        self.with(|state| state.sent.clone())
    }

    /// Texts of what arrived.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |sent: &Value| sent["text"].as_str().unwrap_or_default().to_owned();
        self.sent().iter().map(text).collect()
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.with(|state| state.calls.get(method).copied().unwrap_or_default())
    }

    /// Up to which update was confirmed.
    pub(crate) fn confirmed(&self) -> i64 {
        self.with(|state| state.confirmed)
    }

    /// Most polls at one time.
    pub(crate) fn most_polling(&self) -> usize {
        self.with(|state| state.most_polling)
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        noticed(&self.changed, what, || holds(self)).await;
    }

    /// Waits until this many messages arrived.
    pub(crate) async fn arrived(&self, count: usize) -> Vec<String> {
        let what = format!("{count} messages at the platform");
        self.until(&what, |api| api.sent().len() >= count).await;
        self.texts()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while let Some((method, body)) = request(&mut stream, &mut bytes).await {
            let fault = self.with(|state| {
                *state.calls.entry(method.clone()).or_default() += 1;
                state.requests += 1;
                state.bodies.push((method.clone(), body.clone()));
                let next = state.faults.get_mut(&method).and_then(VecDeque::pop_front);
                let next = next.or_else(|| state.always.get(&method).cloned());
                next.filter(|fault| !matches!(fault, Fault::Pass))
            });
            self.changed.notify_waiters();
            let done = match fault {
                Some(Fault::Pass) => continue,
                Some(Fault::Answer(code, answer)) => write(&mut stream, code, &answer, None).await,
                Some(Fault::Cut) => {
                    let answer = json!({ "ok": true, "result": self.answer(&method, &body) });
                    let _ = write(&mut stream, 200, &answer, Some(8)).await;
                    return;
                }
                Some(Fault::Hang) => {
                    self.answer(&method, &body);
                    self.with(|state| state.held += 1);
                    self.changed.notify_waiters();
                    let mut rest = [0; 1];
                    let _ = stream.read(&mut rest).await;
                    return;
                }
                // The bytes of a file.
                None if method == "red.png" => {
                    let bytes = super::PNG;
                    let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", bytes.len());
                    stream.write_all(&[head.as_bytes(), bytes].concat()).await
                }
                None if method == "getUpdates" => {
                    let answer = self.poll(&body, &mut stream).await;
                    let Some(answer) = answer else { return };
                    let newest = answer
                        .as_array()
                        .and_then(|all| all.last()?["update_id"].as_i64());
                    self.with(|state| state.given = state.given.max(newest.unwrap_or_default()));
                    self.changed.notify_waiters();
                    write(
                        &mut stream,
                        200,
                        &json!({ "ok": true, "result": answer }),
                        None,
                    )
                    .await
                }
                None => {
                    let answer = json!({ "ok": true, "result": self.answer(&method, &body) });
                    write(&mut stream, 200, &answer, None).await
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Holds a poll until there is something; `None` when whoever polls hung up.
    async fn poll(&self, body: &Value, stream: &mut TcpStream) -> Option<Value> {
        struct Polling<'a>(&'a BotApi);
        impl Drop for Polling<'_> {
            fn drop(&mut self) {
                self.0.with(|state| state.polling -= 1);
            }
        }
        let asked = body["offset"].as_i64().unwrap_or_default();
        // A number that is far from the next one is of another count, and confirms nothing; the count may
        // begin anew while a poll waits.
        let offset_in = |base: i64, updates: &[Value]| {
            let count = i64::try_from(updates.len()).expect("few updates");
            if asked > base + count + FAR { 0 } else { asked }
        };
        self.with(|state| {
            let offset = offset_in(state.base, &state.updates);
            state.confirmed = state.confirmed.max(offset - 1);
            state.polling += 1;
            state.most_polling = state.most_polling.max(state.polling);
        });
        let _polling = Polling(self);
        self.changed.notify_waiters();
        let wait = Duration::from_secs(body["timeout"].as_u64().unwrap_or_default());
        let until = tokio::time::Instant::now() + wait;
        let mut rest = [0; 1];
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let found = self.with(|state| {
                let offset = offset_in(state.base, &state.updates);
                let new = |update: &&Value| update["update_id"].as_i64() >= Some(offset);
                state
                    .updates
                    .iter()
                    .filter(new)
                    .cloned()
                    .collect::<Vec<_>>()
            });
            let broken = self.with(|state| state.always.contains_key("getUpdates"));
            if !found.is_empty() || broken {
                return Some(found.into());
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(until) => return Some(json!([])),
                _ = stream.read(&mut rest) => return None,
            }
        }
    }

    fn answer(&self, method: &str, body: &Value) -> Value {
        let answer = match method {
            "getMe" => json!({ "id": 42, "is_bot": true, "first_name": "Helper", "username": "helper_bot" }),
            "sendMessage" => self.with(|state| {
                state.sent.push(body.clone());
                json!({ "message_id": 1_000 + state.sent.len(), "chat": { "id": body["chat_id"] }, "date": 0 })
            }),
            "getFile" => json!({ "file_id": body["file_id"], "file_path": "photos/red.png" }),
            "setWebhook" => self.with(|state| {
                let url = body["url"].as_str().unwrap_or_default();
                url.clone_into(&mut state.webhook);
                json!(true)
            }),
            "getWebhookInfo" => self.with(|state| json!({ "url": state.webhook, "pending_update_count": 0 })),
            "sendPoll" => json!({ "message_id": 500, "chat": { "id": body["chat_id"] }, "date": 0 }),
            _ => json!(true),
        };
        self.changed.notify_waiters();
        answer
    }
}

/// The next request: the method of the Bot API, and its body.
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
    let path = text.split_whitespace().nth(1)?;
    Some((path.rsplit('/').next()?.to_owned(), body))
}

async fn write(
    stream: &mut TcpStream,
    code: u16,
    answer: &Value,
    only: Option<usize>,
) -> std::io::Result<()> {
    let body = answer.to_string();
    let sent = &body[..only.unwrap_or(body.len()).min(body.len())];
    let head = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{sent}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await
}
