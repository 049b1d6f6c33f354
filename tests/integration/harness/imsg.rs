//! An `imsg rpc` on a Mac that there is not: it follows the table `fixtures/imsg/protocol.json` to the
//! letter, and breaks as its page says that it may. The program that the gateway starts is a shell that
//! carries lines; the Mac behind it is here, and outlives it.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast, mpsc};

use super::faults::{Break, Faults};
use super::noticed;
use super::proxy::closed;

/// The table.
pub(crate) static TABLE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../fixtures/imsg/protocol.json")).expect("a table")
});

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is refused with this number, and this data.
    Refuse(i64, Value),
    /// Nothing is done, and the program ends.
    End,
    /// It is done, and the program ends before it says so.
    DoneAndEnd,
    /// It is done, and nobody says so.
    Hang,
}

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fault that a test switches on by itself"
)]
struct State {
    /// Rows of the database.
    rows: Vec<Value>,
    /// Every request: the method and its params.
    calls: Vec<(String, Value)>,
    faults: Vec<(String, VecDeque<Fault>)>,
    /// Watches tell nothing.
    stalled: bool,
    /// What is sent comes back as somebody else's first.
    echoes: bool,
    /// What is sent gets no id.
    no_receipts: bool,
    /// Lines come in parts, and several at once.
    in_parts: bool,
    /// Why the database cannot be read.
    no_database: Option<String>,
    /// Whether what needs Messages itself works.
    bridge: bool,
    /// Files that were sent: their names, what was in them then, and what was written beside them.
    files: Vec<(String, Vec<u8>, String)>,
    begun: usize,
    living: usize,
    most_living: usize,
}

/// The begin of a line of the protocol.
const HALF: &str = r#"{"jsonrpc":"2.0","id":1,"res"#;

enum Push {
    Row(Value),
    /// Tells that too much came behind this row.
    Overflow(i64),
    Raw(String),
    End,
}

/// The Mac.
#[derive(Clone)]
pub(crate) struct Mac {
    /// What the gateway starts.
    pub(crate) program: PathBuf,
    folder: Arc<TempDir>,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    push: broadcast::Sender<Arc<Push>>,
    /// What breaks as it does with every channel.
    pub(crate) faults: Faults,
}

/// Carries lines in both directions until either ends.
const CARRIER: &str = r#"#!/bin/bash
[ "$1" = rpc ] || { echo "unknown command $1" >&2; exit 64; }
echo "imsg: a word on stderr" >&2
exec 3<>/dev/tcp/127.0.0.1/PORT || exit 1
exec 4<&0
( cat <&4 >&3; kill 0 ) &
cat <&3
kill 0
"#;

impl Mac {
    /// One with Messages, and nothing in it.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let folder = TempDir::new().expect("a folder");
        let program = folder.path().join("imsg");
        std::fs::write(&program, CARRIER.replace("PORT", &port.to_string())).expect("a program");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700))
            .expect("its permissions");
        let own = Self {
            program,
            folder: Arc::new(folder),
            state: Arc::default(),
            changed: Arc::default(),
            push: broadcast::Sender::new(1_024),
            faults: Faults::default(),
        };
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
        let done = work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
        done
    }

    /// Looks without a word to those who wait for a change: they look themselves.
    fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A folder of it.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Somebody writes; gives back the row.
    pub(crate) fn write(&self, from: &str, text: &str) -> i64 {
        self.post(&json!({ "sender": from, "chat_identifier": from, "text": text }))
    }

    /// A row with these differences.
    pub(crate) fn post(&self, more: &Value) -> i64 {
        let row = self.with(|state| add(state, more));
        let id = row["id"].as_i64().expect("a number");
        self.tell(row);
        id
    }

    fn tell(&self, row: Value) {
        if !self.with(|state| state.stalled) {
            let _ = self.push.send(Arc::new(Push::Row(row)));
        }
    }

    /// The next requests of a method fail so.
    pub(crate) fn fail(&self, method: &str, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().collect();
        self.with(|state| state.faults.push((method.to_owned(), faults)));
    }

    /// Watches tell nothing more, or do again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.with(|state| state.stalled = stalled);
    }

    /// What is sent comes back as somebody else's first, where `early`; without an id where `no_receipts`.
    pub(crate) fn echo(&self, early: bool, no_receipts: bool) {
        self.with(|state| {
            state.echoes = early;
            state.no_receipts = no_receipts;
        });
    }

    /// Lines come in parts, and several at once.
    pub(crate) fn in_parts(&self) {
        self.with(|state| state.in_parts = true);
    }

    /// The database cannot be read, or can.
    pub(crate) fn database(&self, fault: Option<&str>) {
        self.with(|state| state.no_database = fault.map(str::to_owned));
    }

    /// What needs Messages itself works.
    pub(crate) fn bridge(&self) {
        self.with(|state| state.bridge = true);
    }

    /// Every watch ends, because too much came behind this row.
    pub(crate) fn overflow(&self, row: i64) {
        let _ = self.push.send(Arc::new(Push::Overflow(row)));
    }

    /// Writes this to every program's output.
    pub(crate) fn raw(&self, text: &str) {
        let _ = self.push.send(Arc::new(Push::Raw(text.to_owned())));
    }

    /// Every program ends.
    pub(crate) fn end(&self) {
        let _ = self.push.send(Arc::new(Push::End));
    }

    /// Params of every request of a method that was done.
    pub(crate) fn calls(&self, method: &str) -> Vec<Value> {
        self.look(|state| {
            let own = state.calls.iter().filter(|(name, _)| name == method);
            own.map(|(_, params)| params.clone()).collect()
        })
    }

    /// Texts that were sent.
    pub(crate) fn sent(&self) -> Vec<String> {
        let texts = self
            .calls("send")
            .into_iter()
            .chain(self.calls("send.rich"));
        texts
            .map(|params| params["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Files that were sent: their names, what was in them, and what was written beside them.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>, String)> {
        self.look(|state| state.files.clone())
    }

    /// How many programs were started, and most of them at a time.
    pub(crate) fn programs(&self) -> (usize, usize) {
        self.look(|state| (state.begun, state.most_living))
    }

    /// Waits until this holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        noticed(&self.changed, what, || holds(self)).await;
    }

    async fn serve(&self, mut stream: TcpStream) {
        struct Living<'a>(&'a Mac);
        impl Drop for Living<'_> {
            fn drop(&mut self) {
                self.0.with(|state| state.living -= 1);
            }
        }
        self.with(|state| {
            state.begun += 1;
            state.living += 1;
            state.most_living = state.most_living.max(state.living);
        });
        let _living = Living(self);
        // That is said when it is asked how it is.
        let revoked = self.faults.receiving() == Some(Break::Revoked);
        let broken = |how: &Break| how.ends() && !revoked;
        if let Some(how) = self.faults.receiving().filter(broken) {
            self.faults.meet();
            match how {
                Break::Hang | Break::HalfOpen => closed(&mut stream).await,
                Break::CloseMidBody => {
                    let _ = stream.write_all(HALF.as_bytes()).await;
                }
                _ => {}
            }
            return;
        }
        let _receiving = self.faults.begin();
        let mut pushed = self.push.subscribe();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let (out, mut waiting) = mpsc::unbounded_channel::<String>();
        let (parts, faults) = (self.with(|state| state.in_parts), self.faults.clone());
        let writing = tokio::spawn(async move {
            while let Some(mut text) = waiting.recv().await {
                while let Ok(more) = waiting.try_recv() {
                    text.push_str(&more);
                }
                let parts = parts || faults.receiving() == Some(Break::Dribble);
                let step = if parts { 7 } else { text.len().max(1) };
                for part in text.as_bytes().chunks(step) {
                    if write.write_all(part).await.is_err() || write.flush().await.is_err() {
                        return;
                    }
                }
            }
        });
        let mut watch: Option<u64> = None;
        let mut watches = 0;
        loop {
            let text = tokio::select! {
                how = self.faults.broken(), if !revoked => {
                    if how == Break::CloseMidBody {
                        let _ = out.send(HALF.to_owned());
                    } else if matches!(how, Break::Hang | Break::HalfOpen) {
                        while let Ok(Some(_)) = lines.next_line().await {}
                    }
                    drop(out);
                    let _ = writing.await;
                    return;
                }
                line = lines.next_line() => {
                    let Ok(Some(line)) = line else { break };
                    match self.answer(&line) {
                        Reply::Text(answer, subscribes) => {
                            let mut answer = answer;
                            let mut text = String::new();
                            if let Some(from) = subscribes {
                                watches += 1;
                                watch = Some(watches);
                                answer["result"]["subscription"] = watches.into();
                                text = self.backlog(from, watches);
                            }
                            Some(format!("{answer}\n{text}"))
                        }
                        Reply::Nothing => None,
                        Reply::End => break,
                    }
                }
                push = pushed.recv() => {
                    let Ok(push) = push else { break };
                    match (&*push, watch) {
                        (Push::Row(row), Some(watch)) => {
                            let row = notification(watch, row);
                            let twice = self.faults.receiving() == Some(Break::Duplicate);
                            twice.then(|| self.faults.meet());
                            Some(if twice { row.repeat(2) } else { row })
                        }
                        (Push::Overflow(row), Some(number)) => {
                            watch = None;
                            let params = json!({ "subscription": number, "resume_after_rowid": row,
                                "reason": "buffer_limit_exceeded", "terminal": true });
                            Some(format!("{}\n", json!({ "jsonrpc": "2.0", "method": "watch.overflow", "params": params })))
                        }
                        (Push::Raw(text), _) => Some(text.clone()),
                        (Push::End, _) => break,
                        (Push::Row(_) | Push::Overflow(_), None) => None,
                    }
                }
            };
            if let Some(text) = text {
                let _ = out.send(text);
            }
        }
        writing.abort();
    }

    /// What a watch tells first: the rows behind the one from which it goes on.
    fn backlog(&self, from: i64, watch: u64) -> String {
        let rows = self.with(|state| {
            let behind = |row: &&Value| from > 0 && row["id"].as_i64() > Some(from);
            let known = state.rows.iter().filter(behind);
            if state.stalled {
                Vec::new()
            } else {
                known.cloned().collect()
            }
        });
        rows.iter().map(|row| notification(watch, row)).collect()
    }

    fn answer(&self, line: &str) -> Reply {
        let Ok(request) = serde_json::from_str::<Value>(line) else {
            return Reply::Text(refusal(&Value::Null, -32700, &Value::Null), None);
        };
        let id = &request["id"];
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        let known = ["jsonrpc", "id", "method", "params"];
        let is_strict = request["jsonrpc"] == "2.0"
            && request
                .as_object()
                .is_some_and(|own| own.keys().all(|key| known.contains(&key.as_str())));
        assert!(is_strict, "no request of JSON-RPC 2.0: {line}");
        let rule = &TABLE["methods"][&method];
        assert!(
            rule.is_object(),
            "{method} is not in the table of the protocol"
        );
        let params = request["params"].clone();
        if let Err(why) = fits(rule, &params) {
            panic!("{method} is asked with what the protocol does not have: {why}: {params}");
        }
        let fault = self.with(|state| {
            let own = state
                .faults
                .iter_mut()
                .find(|(name, faults)| *name == method && !faults.is_empty());
            own.and_then(|(_, faults)| faults.pop_front())
        });
        self.faults.beat();
        if method == "status" && self.faults.receiving() == Some(Break::Revoked) {
            self.faults.meet();
            return Reply::Text(
                json!({ "jsonrpc": "2.0", "id": id, "result": { "protocol_version": 2 } }),
                None,
            );
        }
        let sends = method.starts_with("send");
        let broken = sends.then(|| self.faults.next_send()).flatten();
        let fault = fault.or(match broken {
            Some(Break::TooMany(_)) => Some(Fault::Refuse(-32000, json!("Server busy"))),
            Some(Break::BadGateway) => Some(Fault::Refuse(-32603, json!("Automation failed"))),
            Some(Break::HalfOpen | Break::CloseMidBody) => Some(Fault::DoneAndEnd),
            Some(_) => Some(Fault::End),
            None => None,
        });
        match fault {
            Some(Fault::Refuse(code, data)) => return Reply::Text(refusal(id, code, &data), None),
            Some(Fault::End) => return Reply::End,
            Some(Fault::DoneAndEnd) => {
                self.result(&method, &params);
                return Reply::End;
            }
            Some(Fault::Hang) => {
                self.result(&method, &params);
                return Reply::Nothing;
            }
            None => {}
        }
        let (no_database, bridge) = self.with(|state| (state.no_database.clone(), state.bridge));
        if let (Some(why), false) = (no_database, method == "status") {
            return Reply::Text(refusal(id, -32002, &json!(why)), None);
        }
        if rule["bridge"] == true && !bridge {
            return Reply::Text(
                refusal(id, -32003, &json!("The bridge is not started")),
                None,
            );
        }
        let result = self.result(&method, &params);
        for key in rule["reply"].as_array().into_iter().flatten() {
            assert!(
                !result[key.as_str().expect("a name")].is_null(),
                "{method}: {key} is missing here"
            );
        }
        let from = params["since_rowid"].as_i64().unwrap_or_default();
        let subscribes = (method == "watch.subscribe").then_some(from);
        Reply::Text(
            json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            subscribes,
        )
    }

    /// Does what a request asks.
    fn result(&self, method: &str, params: &Value) -> Value {
        self.with(|state| state.calls.push((method.to_owned(), params.clone())));
        let limit = usize::try_from(params["limit"].as_u64().unwrap_or(50)).expect("a number");
        match method {
            "status" => self.with(|state| status(state)),
            "chats.list" => self.with(|state| {
                let last = state.rows.last();
                let chats: Vec<Value> = last
                    .map(|row| json!({ "id": row["chat_id"], "identifier": row["chat_identifier"], "guid": row["chat_guid"],
                        "name": "", "service": "iMessage", "is_group": row["is_group"], "participants": [], "account_login": "E:bot@example.org" }))
                    .into_iter().collect();
                json!({ "chats": chats })
            }),
            "messages.history" => self.with(|state| {
                let own = |row: &&Value| row["chat_id"] == params["chat_id"];
                let rows: Vec<Value> = state.rows.iter().rev().filter(own).take(limit).map(bare).collect();
                json!({ "messages": rows })
            }),
            "messages.after" => self.with(|state| {
                let from = params["since_rowid"].as_i64();
                let behind = |row: &&Value| row["id"].as_i64() > from;
                let all: Vec<Value> = state.rows.iter().filter(behind).map(bare).collect();
                let rows: Vec<Value> = all.iter().take(limit).cloned().collect();
                let next = rows.last().map_or(from, |row| row["id"].as_i64());
                json!({ "messages": rows, "next_rowid": next, "has_more": all.len() > rows.len() })
            }),
            "watch.subscribe" => json!({ "subscription": 0, "buffer_limit": 256 }),
            "send" | "send.rich" | "send.attachment" => self.deliver(params),
            _ => json!({ "ok": true }),
        }
    }

    fn deliver(&self, params: &Value) -> Value {
        let chat = params["to"].as_str().or(params["chat_identifier"].as_str());
        let mut more = json!({ "text": params["text"], "is_from_me": true, "sender": "",
            "chat_id": params["chat_id"], "chat_identifier": chat });
        if let Some(path) = params["file"].as_str() {
            let bytes = std::fs::read(path).expect("a file that is sent lies there");
            let name = path.rsplit('/').next().unwrap_or_default();
            let text = params["text"].as_str().unwrap_or_default();
            more["attachments"] = json!([{ "path": path, "mime_type": "image/png", "transfer_name": name,
                "byte_size": bytes.len(), "missing": false, "is_sticker": false }]);
            self.with(|state| state.files.push((name.to_owned(), bytes, text.to_owned())));
        }
        let (row, echoes, no_receipts) = self.with(|state| {
            let row = add(state, &more);
            (row, state.echoes, state.no_receipts)
        });
        if echoes {
            // As Messages has it when it is written, before it knows whose it is.
            let mut early = row.clone();
            early["is_from_me"] = false.into();
            early["sender"] = early["chat_identifier"].clone();
            self.tell(early);
        }
        self.tell(row.clone());
        if no_receipts {
            json!({ "ok": true })
        } else {
            json!({ "ok": true, "id": row["id"], "guid": row["guid"] })
        }
    }
}

enum Reply {
    /// The answer; from which row on a watch tells, where it begins one.
    Text(Value, Option<i64>),
    Nothing,
    End,
}

fn refusal(id: &Value, code: i64, data: &Value) -> Value {
    let rule = &TABLE["errors"][code.to_string()];
    assert!(
        rule.is_object(),
        "{code} is not in the table of the protocol"
    );
    for key in rule["data"].as_array().into_iter().flatten() {
        assert!(
            !data[key.as_str().expect("a name")].is_null(),
            "{code}: its data has {key}"
        );
    }
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": rule["message"], "data": data } })
}

fn notification(watch: u64, row: &Value) -> String {
    let params = json!({ "subscription": watch, "message": row });
    format!(
        "{}\n",
        json!({ "jsonrpc": "2.0", "method": "message", "params": params })
    )
}

fn bare(row: &Value) -> Value {
    let mut row = row.clone();
    // Only a watch has it.
    row.as_object_mut().expect("an object").remove("cursor");
    row
}

fn add(state: &mut State, more: &Value) -> Value {
    let id = state.rows.len() + 1;
    let mut row = json!({ "id": id, "cursor": id, "chat_id": 42, "chat_identifier": "+447700900123", "chat_guid": "iMessage;-;chat",
        "chat_name": "", "participants": [], "is_group": false, "guid": format!("GUID-{id}"), "sender": "",
        "is_from_me": false, "text": "", "created_at": jiff::Timestamp::now().to_string(), "attachments": [] });
    for (key, value) in more.as_object().into_iter().flatten() {
        if !value.is_null() {
            row[key] = value.clone();
        }
    }
    state.rows.push(row.clone());
    row
}

fn status(state: &State) -> Value {
    let all = TABLE["methods"].as_object().expect("methods");
    let works = |rule: &Value| rule["bridge"] != true || state.bridge;
    let methods: Vec<&String> = all
        .iter()
        .filter(|(_, rule)| works(rule))
        .map(|(name, _)| name)
        .collect();
    json!({ "version": "0.15.10", "protocol_version": 1,
        "database": { "path": "/Users/bot/Library/Messages/chat.db", "ready": state.no_database.is_none(),
            "error": state.no_database, "features": {} },
        "bridge": { "ready": state.bridge }, "contacts": { "available": true }, "methods": methods,
        "supported_methods": all.keys().collect::<Vec<_>>(), "capabilities": { "features": { "tapback.emoji": 2 } } })
}

/// Whether params are of the form that the page gives.
fn fits(rule: &Value, params: &Value) -> Result<(), String> {
    let empty = serde_json::Map::new();
    let params = match params {
        Value::Null => &empty,
        Value::Object(params) => params,
        _ => return Err("params are no object".into()),
    };
    let known = rule["params"].as_object().expect("params");
    for (key, value) in params {
        let kind = known
            .get(key)
            .and_then(Value::as_str)
            .ok_or(format!("{key} is unknown"))?;
        let is = match kind.trim_end_matches('!') {
            "int" => value.is_i64() || value.is_u64(),
            "positive" => value.as_u64().is_some_and(|number| number > 0),
            "bool" => value.is_boolean(),
            "string" => value.is_string(),
            "strings" => value
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_string)),
            choice => value
                .as_str()
                .is_some_and(|own| choice.split('|').any(|known| known == own)),
        };
        let most = rule["most"][key].as_u64();
        if !is || most.is_some_and(|most| value.as_u64() > Some(most)) {
            return Err(format!("{key} is no {kind}"));
        }
    }
    for (key, kind) in known {
        if kind.as_str().is_some_and(|kind| kind.ends_with('!')) && !params.contains_key(key) {
            return Err(format!("{key} is missing"));
        }
    }
    if let Some(choice) = rule["one_of"].as_array() {
        let given = choice
            .iter()
            .filter(|key| params.contains_key(key.as_str().expect("a name")));
        if given.count() != 1 {
            return Err("exactly one place is named".into());
        }
    }
    Ok(())
}
