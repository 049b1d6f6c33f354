//! WhatsApp's sidecar by itself, as the gateway speaks with it; in the place of Baileys is what a test needs.

use std::path::Path;
use std::process::Stdio;

use openclaw_actors::channel::whatsapp::SCRIPT;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::harness::soon;
use crate::harness::whatsapp::program;

/// A group.
const ROOM: &str = "120363012345678901@g.us";
/// So many messages it hands over before the first is acknowledged.
const AHEAD: u64 = 200;

struct Sidecar {
    child: Child,
    input: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    done: Lines<BufReader<ChildStderr>>,
    folder: TempDir,
    next: u64,
}

impl Sidecar {
    /// One that is connected.
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let baileys = at("node_modules/baileys");
        std::fs::create_dir_all(&baileys).expect("the package's folder");
        let stub = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/integration/harness/whatsapp/stub.mjs");
        std::fs::copy(stub, baileys.join("stub.mjs")).expect("the package");
        let package = json!({ "name": "baileys", "main": "stub.mjs" });
        std::fs::write(baileys.join("package.json"), package.to_string()).expect("its name");
        let own = json!({ "dependencies": { "baileys": "stub" } });
        std::fs::write(at("package.json"), own.to_string()).expect("what it needs");
        std::fs::write(at("sidecar.mjs"), SCRIPT).expect("the sidecar");
        let mut child = Command::new(program())
            .arg(at("sidecar.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let lock = at("session.lock");
        let owner = json!({ "pid": std::process::id(), "sidecar": { "pid": child.id() } });
        std::fs::write(&lock, owner.to_string()).expect("the lock");
        let input = child.stdin.take().expect("its input");
        let said = BufReader::new(child.stdout.take().expect("its output")).lines();
        let done = BufReader::new(child.stderr.take().expect("its log")).lines();
        let mut sidecar = Self {
            child,
            input,
            said,
            done,
            next: 0,
            folder,
        };
        assert_eq!(sidecar.line().await["event"], "hello");
        let device = sidecar.folder.path().join("device");
        let start =
            json!({ "authDir": device, "locks": [lock], "me": null, "name": ["a", "b", "1"] });
        sidecar.begin("start", &start).await;
        let lines = [sidecar.line().await, sidecar.line().await];
        assert!(
            lines.iter().any(|line| line["event"] == "open"),
            "{lines:?}"
        );
        sidecar
    }

    async fn say(&mut self, line: &Value) {
        let text = format!("{line}\n");
        let written = self.input.write_all(text.as_bytes()).await;
        written.expect("it reads");
    }

    /// What it says next.
    async fn line(&mut self) -> Value {
        let line = soon("a line of the sidecar", self.said.next_line()).await;
        serde_json::from_str(&line.expect("text").expect("it lives")).expect("JSON")
    }

    /// What it does next with Baileys.
    async fn deed(&mut self) -> Value {
        let line = soon("a deed of the sidecar", self.done.next_line()).await;
        serde_json::from_str(&line.expect("text").expect("it lives")).expect("JSON")
    }

    async fn begin(&mut self, method: &str, params: &Value) -> u64 {
        self.next += 1;
        let id = self.next;
        let line = json!({ "id": id, "method": method, "params": params });
        self.say(&line).await;
        id
    }

    /// Asks; nothing else may come before the answer.
    async fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.begin(method, params).await;
        let answer = self.line().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// What comes from WhatsApp next.
    async fn comes(&mut self, deed: &Value) {
        let params = json!({ "to": "", "state": deed });
        self.begin("presence", &params).await;
    }

    /// The numbers of so many messages, and no other lines than answers before them.
    async fn messages(&mut self, count: u64) -> Vec<u64> {
        let mut found = Vec::new();
        while (found.len() as u64) < count {
            let line = self.line().await;
            if line["event"] == "message" {
                found.push(line["seq"].as_u64().expect("a number"));
            } else {
                assert_eq!(line["result"], json!({}), "{line}");
            }
        }
        found
    }
}

#[tokio::test]
async fn no_more_is_handed_over_than_is_acknowledged_and_nothing_sent_that_nobody_confirms() {
    let mut sidecar = Sidecar::start().await;
    let send = json!({ "to": ROOM, "content": { "text": "hello" }, "messageId": "3EB0" });
    sidecar.comes(&json!({ "flood": 450, "chat": ROOM })).await;
    let first = sidecar.messages(AHEAD).await;
    assert_eq!(first, (1..=AHEAD).collect::<Vec<_>>());
    // Its name is asked for once, also where that fails; then WhatsApp is not read any more.
    assert_eq!(sidecar.deed().await, json!({ "asked": ROOM }));
    assert_eq!(sidecar.deed().await, json!({ "pause": true }));
    let refused = sidecar.ask("send", &send).await;
    assert_eq!(refused["error"]["class"], "not-sent", "{refused}");
    let ping = sidecar.ask("ping", &json!({})).await;
    assert_eq!(ping["result"]["unacknowledged"], AHEAD);

    sidecar.say(&json!({ "ack": 50 })).await;
    assert_eq!(sidecar.messages(50).await, (201..=250).collect::<Vec<_>>());
    let refused = sidecar.ask("send", &send).await;
    assert_eq!(refused["error"]["class"], "not-sent", "{refused}");
    sidecar.say(&json!({ "ack": 250 })).await;
    assert_eq!(sidecar.messages(200).await.last(), Some(&450));
    sidecar.say(&json!({ "ack": 450 })).await;
    let sent = sidecar.ask("send", &send).await;
    assert_eq!(sent["result"]["id"], "3EB0", "{sent}");
    let mut deeds = Vec::new();
    while deeds.last() != Some(&json!({ "sent": "hello" })) {
        deeds.push(sidecar.deed().await);
    }
    let held: Vec<&Value> = deeds[..deeds.len() - 1].iter().collect();
    assert_eq!(held.last(), Some(&&json!({ "resume": true })), "{held:?}");
    assert!(held.iter().all(|deed| deed["asked"].is_null()), "{held:?}");
}

#[tokio::test]
async fn what_came_is_handed_over_before_the_end_is_told() {
    let mut sidecar = Sidecar::start().await;
    sidecar.comes(&json!({ "flood": 450, "chat": ROOM })).await;
    sidecar.messages(AHEAD).await;
    sidecar.comes(&json!({ "close": 408 })).await;
    let (mut last, mut seen) = (json!(null), AHEAD);
    sidecar.say(&json!({ "ack": seen })).await;
    while last["event"] != "close" {
        last = sidecar.line().await;
        if last["event"] == "message" {
            seen += 1;
            assert_eq!(last["seq"], seen);
            let ack = json!({ "ack": seen });
            sidecar.say(&ack).await;
        }
    }
    assert_eq!((seen, &last["code"]), (450, &json!(408)));
    let ended = soon("its end", sidecar.child.wait()).await;
    assert!(ended.expect("it ends").success());
}

#[tokio::test]
async fn what_whatsapp_was_told_that_it_came_is_handed_over_before_a_stop_ends() {
    let mut sidecar = Sidecar::start().await;
    sidecar.comes(&json!({ "flood": 450, "chat": ROOM })).await;
    sidecar.messages(AHEAD).await;
    // Baileys confirmed these, too, and keeps them for a moment.
    sidecar.comes(&json!({ "hold": 10, "chat": ROOM })).await;
    let stop = sidecar.begin("stop", &json!({})).await;
    sidecar.say(&json!({ "ack": AHEAD })).await;
    let mut seen = AHEAD;
    loop {
        let line = sidecar.line().await;
        if line["event"] == "message" {
            seen += 1;
            assert_eq!(line["seq"], seen);
            sidecar.say(&json!({ "ack": seen })).await;
        } else if line["id"] == stop {
            break;
        }
    }
    assert_eq!(seen, 460);
    let ended = soon("its end", sidecar.child.wait()).await;
    assert!(ended.expect("it ends").success());
    let mut last = json!(null);
    while let Ok(Some(line)) = sidecar.done.next_line().await {
        last = serde_json::from_str(&line).expect("JSON");
    }
    assert_eq!(last, json!({ "ended": true }), "the connection goes last");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_and_ends_nothing() {
    let mut sidecar = Sidecar::start().await;
    let place = |into: &str| sidecar.folder.path().join(into);
    let (missing, file) = (place("no/such/folder"), place("file"));
    let fetch = |into: &Path, most: u64, host: Option<&str>| json!({ "kind": "image", "mediaKey": "a2V5", "directPath": "/v/x", "url": "https://127.0.0.1:1/x", "host": host, "most": most, "into": into });
    let failed = fetch(&missing, 100, Some("mmg.whatsapp.net"));
    let failed = sidecar.ask("fetch", &failed).await;
    let why = failed["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("ENOENT"), "{failed}");
    // The host that the sender wrote is not passed on.
    assert_eq!(
        sidecar.deed().await,
        json!({ "download": "/v/x", "url": null, "kind": "image", "options": { "host": "mmg.whatsapp.net" } })
    );
    let large = sidecar.ask("fetch", &fetch(&file, 9, None)).await;
    assert_eq!(large["error"]["class"], "refused", "{large}");
    assert!(!file.exists(), "nothing stays of it");
    let read = sidecar.ask("fetch", &fetch(&file, 10, None)).await;
    assert_eq!(read["result"]["bytes"], 10, "{read}");
    assert_eq!(std::fs::read(&file).expect("the file").len(), 10);
}
