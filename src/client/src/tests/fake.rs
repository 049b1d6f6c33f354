//! A gateway that says what a test wants.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use openclaw_protocol::{ClientId, ClientMode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::{Connection, Error, Options, client_info, connect_on};

pub(super) const NONCE: &str = "nonce-1";
pub(super) const TS: u64 = 1_790_000_000_000;

pub(super) fn options() -> Options {
    Options {
        token: Some("shared".into()),
        scopes: vec!["operator.read".into()],
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(7),
        ..Options::new(client_info(ClientId::Test, ClientMode::Test, "1"))
    }
}

/// The gateway's end of a socket.
pub(super) struct Peer<S = DuplexStream> {
    pub(super) socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(super) async fn accept(stream: S) -> Self {
        Self {
            socket: accept_async(stream).await.unwrap(),
        }
    }

    pub(super) async fn send(&mut self, frame: Value) {
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    pub(super) async fn challenge(&mut self) {
        self.send(json!({
            "type": "event", "event": "connect.challenge", "payload": { "nonce": NONCE, "ts": TS },
        }))
        .await;
    }

    /// The next message; panics when the socket ended.
    pub(super) async fn message(&mut self) -> Message {
        self.socket.next().await.unwrap().unwrap()
    }

    /// The next request.
    pub(super) async fn request(&mut self) -> Value {
        serde_json::from_str(self.message().await.to_text().unwrap()).unwrap()
    }

    pub(super) async fn reply(&mut self, request: &Value, payload: Value) {
        let frame = json!({ "type": "res", "id": request["id"], "ok": true, "payload": payload });
        self.send(frame).await;
    }

    pub(super) async fn fail(&mut self, request: &Value, error: Value) {
        let frame = json!({ "type": "res", "id": request["id"], "ok": false, "error": error });
        self.send(frame).await;
    }

    pub(super) async fn event(&mut self, seq: u64) {
        self.send(json!({ "type": "event", "event": "tick", "payload": { "ts": TS }, "seq": seq }))
            .await;
    }

    pub(super) async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// Challenge, connect, hello-ok; returns the connect's params.
    pub(super) async fn welcome(&mut self) -> Value {
        self.challenge().await;
        let connect = self.request().await;
        self.reply(&connect, hello()).await;
        connect["params"].clone()
    }
}

pub(super) fn hello() -> Value {
    json!({
        "type": "hello-ok",
        "protocol": 4,
        "server": { "version": "1", "connId": "c-1" },
        "features": { "methods": [], "events": [] },
        "snapshot": {
            "presence": [], "health": {}, "stateVersion": { "presence": 1, "health": 1 }, "uptimeMs": 1,
        },
        "auth": { "role": "operator", "scopes": ["operator.read"], "method": "token" },
        "policy": { "maxPayload": 1000, "maxBufferedBytes": 10_000, "tickIntervalMs": 30_000 },
    })
}

/// A client and its gateway, connected in memory.
pub(super) async fn connected(options: &Options) -> (Connection, Peer) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let gateway = async {
        let mut peer = Peer::accept(far).await;
        peer.welcome().await;
        peer
    };
    let (connection, peer) = tokio::join!(connect_on(near, "ws://gateway", options), gateway);
    (connection.unwrap(), peer)
}

/// Connects to a gateway that follows `script` until the connect ends.
pub(super) async fn refused<F: Future>(script: impl FnOnce(DuplexStream) -> F) -> Error {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let options = options();
    let (connection, _) = tokio::join!(connect_on(near, "ws://gateway", &options), script(far));
    connection.unwrap_err()
}
