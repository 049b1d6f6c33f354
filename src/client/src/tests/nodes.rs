//! A node against a scripted gateway.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::fake::{Peer, hello, options};
use crate::node::{CommandError, Node, NodeLink, NodeReport};
use crate::{Backoff, Connection, DeviceIdentity, DeviceTokenStore, Error, Options, connect_on};

/// Tells when it is dropped.
struct Dropped(mpsc::UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send("dropped").ok();
    }
}

fn node(told: &mpsc::UnboundedSender<&'static str>) -> Node {
    let mut node = Node::default();
    node.cap("test").permission("all", true).limit(2);
    node.command("echo", |mut asked| async move {
        asked.progress.send("one").await;
        asked.progress.send("two").await;
        asked.params::<Value>()
    });
    node.command("fail", |_| async {
        Err(CommandError::new("NO", "not today"))
    });
    node.command("panic", |asked| async move {
        assert!(asked.params.is_null(), "as it was asked to");
        Ok(Value::Null)
    });
    node.command("large", |_| async { Ok(json!("x".repeat(10_000))) });
    let told = told.clone();
    node.command("hang", move |_| {
        let told = told.clone();
        async move {
            let _guard = Dropped(told.clone());
            told.send("begun").ok();
            std::future::pending::<()>().await;
            Ok(Value::Null)
        }
    });
    node
}

struct Bench {
    peer: Peer,
    told: mpsc::UnboundedReceiver<&'static str>,
    serving: tokio::task::JoinHandle<crate::CloseReason>,
}

async fn bench() -> Bench {
    let (sender, told) = mpsc::unbounded_channel();
    let node = node(&sender);
    let (near, far) = tokio::io::duplex(64 * 1024);
    let options = node.declare(options());
    let gateway = async {
        let mut peer = Peer::accept(far).await;
        peer.challenge().await;
        let connect = peer.request().await;
        assert_eq!(connect["params"]["role"], "node");
        assert_eq!(connect["params"]["caps"], json!(["test"]));
        assert_eq!(
            connect["params"]["commands"],
            json!(["echo", "fail", "hang", "large", "panic"])
        );
        let mut welcome = hello();
        welcome["policy"]["maxPayload"] = json!(9_000);
        peer.reply(&connect, welcome).await;
        peer
    };
    let (connection, peer) = tokio::join!(connect_on(near, "ws://gateway", &options), gateway);
    let connection = connection.unwrap();
    let serving = tokio::spawn(async move { node.serve(connection, |_| {}).await });
    Bench {
        peer,
        told,
        serving,
    }
}

impl Bench {
    async fn invoke(&mut self, id: &str, command: &str, params: Option<&str>) {
        let payload = json!({
            "id": id, "nodeId": "n", "command": command, "paramsJSON": params, "timeoutMs": 10_000,
        });
        let frame = json!({ "type": "event", "event": "node.invoke.request", "payload": payload });
        self.peer.send(frame).await;
    }

    /// The next request of the node, which is taken.
    async fn taken(&mut self) -> Value {
        let request = self.peer.request().await;
        self.peer.reply(&request, json!({ "ok": true })).await;
        request
    }

    async fn code(&mut self) -> Value {
        let result = self.taken().await;
        assert_eq!(result["method"], "node.invoke.result");
        assert_eq!(result["params"]["ok"], false, "{result}");
        result["params"]["error"]["code"].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_answers_with_progress_before_its_result() {
    let mut bench = bench().await;
    bench.invoke("i1", "echo", Some(r#"{"a":1}"#)).await;
    for (seq, chunk) in [(0, "one"), (1, "two")] {
        let progress = bench.taken().await;
        assert_eq!(progress["method"], "node.invoke.progress");
        assert_eq!(
            progress["params"],
            json!({ "invokeId": "i1", "nodeId": "n", "seq": seq, "chunk": chunk })
        );
    }
    let result = bench.taken().await;
    assert_eq!(
        result["params"],
        json!({ "id": "i1", "nodeId": "n", "ok": true, "payloadJSON": r#"{"a":1}"# })
    );
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_in_a_command_fails_only_that_command() {
    let mut bench = bench().await;
    for (command, params, code) in [
        ("fail", None, "NO"),
        ("panic", Some("{}"), "INTERNAL"),
        ("large", None, "PAYLOAD_TOO_LARGE"),
        ("other", None, "UNKNOWN_COMMAND"),
        ("fail", Some("{"), "INVALID_REQUEST"),
    ] {
        bench.invoke(&format!("i-{code}"), command, params).await;
        assert_eq!(bench.code().await, code, "{command}");
    }
    bench.invoke("i", "panic", None).await;
    let result = bench.taken().await;
    assert_eq!(
        result["params"],
        json!({ "id": "i", "nodeId": "n", "ok": true }),
        "nothing is given as nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn commands_end_with_their_time_with_a_cancellation_and_with_the_connection() {
    let mut bench = bench().await;
    bench.invoke("i1", "hang", None).await;
    bench.invoke("i2", "hang", None).await;
    bench.invoke("i3", "hang", None).await;
    assert_eq!(bench.code().await, "BUSY", "two run at once");
    assert_eq!(bench.told.recv().await, Some("begun"));
    assert_eq!(bench.told.recv().await, Some("begun"));
    let cancel = json!({ "type": "event", "event": "node.invoke.cancel", "payload": { "invokeId": "i1", "nodeId": "n" } });
    bench.peer.send(cancel).await;
    assert_eq!(bench.told.recv().await, Some("dropped"));
    // Time passes by itself: nothing else happens.
    assert_eq!(bench.code().await, "TIMEOUT");
    assert_eq!(bench.told.recv().await, Some("dropped"));

    bench.invoke("i4", "hang", None).await;
    assert_eq!(bench.told.recv().await, Some("begun"));
    bench.peer.close(1012, "service restart").await;
    assert_eq!(bench.told.recv().await, Some("dropped"));
    assert_eq!(bench.serving.await.unwrap().code, Some(1012));
}

type Dialed = std::pin::Pin<Box<dyn Future<Output = Result<Connection, Error>> + Send>>;

fn dialer() -> (impl FnMut(Options) -> Dialed, mpsc::Receiver<DuplexStream>) {
    let (calls, receiver) = mpsc::channel(4);
    let dial = move |options: Options| {
        let calls = calls.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(64 * 1024);
            calls.send(far).await.unwrap();
            connect_on(near, "ws://gateway", &options).await
        }) as _
    };
    (dial, receiver)
}

/// Turns one attempt away, and gives back what it presented.
async fn turn_away(calls: &mut mpsc::Receiver<DuplexStream>, code: &str) -> Value {
    let mut peer = Peer::accept(calls.recv().await.unwrap()).await;
    peer.challenge().await;
    let connect = peer.request().await;
    let error = json!({ "code": "NOT_PAIRED", "message": "no", "details": { "code": code, "requestId": "r1" } });
    peer.fail(&connect, error).await;
    peer.close(1008, "no").await;
    connect["params"]["auth"].clone()
}

async fn welcome(calls: &mut mpsc::Receiver<DuplexStream>) -> (Peer, Value) {
    let mut peer = Peer::accept(calls.recv().await.unwrap()).await;
    peer.challenge().await;
    let connect = peer.request().await;
    let mut welcome = hello();
    welcome["auth"] = json!({ "role": "node", "scopes": [], "deviceToken": "own" });
    peer.reply(&connect, welcome).await;
    (peer, connect["params"]["auth"].clone())
}

#[tokio::test(start_paused = true)]
async fn a_node_waits_for_its_approval_keeps_its_token_and_stops_for_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.json");
    let link = NodeLink {
        place: "ws://gateway".into(),
        options: Options {
            identity: Some(Arc::new(DeviceIdentity::from_seed([7; 32]))),
            ..options()
        },
        tokens: DeviceTokenStore::open(&tokens).unwrap(),
        backoff: Backoff::default(),
    };
    let (dial, mut calls) = dialer();
    let said = Arc::new(Mutex::new(Vec::new()));
    let says = Arc::clone(&said);
    let running = tokio::spawn(async move {
        let report = move |report: NodeReport<'_>| {
            says.lock().unwrap().push(match report {
                NodeReport::Connected(_) => "connected".to_owned(),
                NodeReport::Waiting { request, .. } => format!("waiting for {request:?}"),
                NodeReport::Disconnected { .. } => "disconnected".to_owned(),
                NodeReport::Done { command, .. } => command.to_owned(),
            });
        };
        Node::default().run(link, dial, report).await
    });
    let shared = json!({ "token": "shared" });
    assert_eq!(turn_away(&mut calls, "PAIRING_REQUIRED").await, shared);
    let (mut peer, auth) = welcome(&mut calls).await;
    assert_eq!(auth, shared);
    peer.close(1012, "service restart").await;
    let own = json!({ "deviceToken": "own" });
    let (mut peer, auth) = welcome(&mut calls).await;
    assert_eq!(auth, own, "its own token from then on");
    peer.close(1006, "").await;
    // A gateway that forgot the device is shown the shared secret again, at once.
    let stale = turn_away(&mut calls, "AUTH_DEVICE_TOKEN_MISMATCH").await;
    assert_eq!(stale, own);
    let (mut peer, auth) = welcome(&mut calls).await;
    assert_eq!(auth, shared);
    peer.close(4001, "replaced by a newer connection of this node")
        .await;
    let ended = tokio::time::timeout(Duration::from_mins(1), running).await;
    assert!(matches!(ended.unwrap().unwrap(), Error::Closed(_)));
    assert_eq!(
        *said.lock().unwrap(),
        [
            "waiting for Some(\"r1\")",
            "connected",
            "disconnected",
            "connected",
            "disconnected",
            "connected",
        ]
    );
}
