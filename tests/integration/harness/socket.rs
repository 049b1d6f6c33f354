//! A client that sees every frame in its order, and nothing is done for it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frames::FrameCheck;
use super::{TOKEN, soon};

/// What came next.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A frame.
    Frame(Value),
    /// The gateway closed, with code and reason.
    Close(u16, String),
    /// A pong.
    Pong(Vec<u8>),
    /// The connection ended without a close frame.
    Gone,
}

/// One connection.
pub(crate) struct Socket {
    /// The WebSocket, for what the helpers below do not do.
    pub(crate) stream: WebSocketStream<TcpStream>,
    /// The challenge's nonce.
    pub(crate) nonce: String,
    /// The challenge's time.
    pub(crate) ts: u64,
    /// Every frame so far, in order.
    pub(crate) log: Vec<Value>,
    /// What must hold for every frame.
    pub(crate) check: FrameCheck,
    /// Frames that were read while something else was waited for.
    pending: VecDeque<Value>,
    next_id: u64,
}

/// Parameters of the local command line, with every scope.
pub(crate) fn connect_params(generation: u32) -> Value {
    json!({
        "minProtocol": generation,
        "maxProtocol": generation,
        "client": { "id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli" },
        "role": "operator",
        "scopes": ["operator.admin"],
        "auth": { "token": TOKEN },
    })
}

/// Opens a WebSocket, or gives the HTTP status that was answered instead.
pub(crate) async fn upgrade(
    address: SocketAddr,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<TcpStream>, (StatusCode, String)> {
    upgrade_at(address, "/", headers).await
}

/// The same on another path.
pub(crate) async fn upgrade_at(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<TcpStream>, (StatusCode, String)> {
    let tcp = soon("the TCP connection", TcpStream::connect(address))
        .await
        .expect("the gateway listens");
    upgrade_over(tcp, address, path, headers).await
}

/// The same over a connection that exists already.
pub(crate) async fn upgrade_over(
    tcp: TcpStream,
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<TcpStream>, (StatusCode, String)> {
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .expect("a valid address");
    for (name, value) in headers {
        request.headers_mut().insert(
            HeaderName::try_from(*name).expect("a header name"),
            HeaderValue::try_from(*value).expect("a header value"),
        );
    }
    match soon("the upgrade", tokio_tungstenite::client_async(request, tcp)).await {
        Ok((stream, _)) => Ok(stream),
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            Err((
                response.status(),
                String::from_utf8_lossy(&body).into_owned(),
            ))
        }
        Err(error) => panic!("the upgrade failed: {error}"),
    }
}

impl Socket {
    /// Opens a socket and takes its challenge.
    pub(crate) async fn open(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        Self::open_at(address, "/", headers).await
    }

    /// The same on another path.
    pub(crate) async fn open_at(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let stream = upgrade_at(address, path, headers)
            .await
            .expect("the upgrade is accepted");
        Self::greeted(stream).await
    }

    /// Opens a socket over a connection that exists already.
    pub(crate) async fn over(tcp: TcpStream) -> Self {
        let address = tcp.peer_addr().expect("it is connected");
        let upgrade = tokio_tungstenite::client_async(format!("ws://{address}/"), tcp);
        let (stream, _) = soon("the upgrade", upgrade)
            .await
            .expect("the upgrade is accepted");
        Self::greeted(stream).await
    }

    /// Takes the challenge of a socket that was just opened.
    pub(crate) async fn greeted(stream: WebSocketStream<TcpStream>) -> Self {
        let mut socket = Self {
            stream,
            nonce: String::new(),
            ts: 0,
            log: Vec::new(),
            check: FrameCheck::new(),
            pending: VecDeque::new(),
            next_id: 0,
        };
        let challenge = socket.frame().await;
        assert_eq!(challenge["event"], "connect.challenge", "{challenge}");
        challenge["payload"]["nonce"]
            .as_str()
            .expect("a nonce")
            .clone_into(&mut socket.nonce);
        socket.ts = challenge["payload"]["ts"].as_u64().expect("a time");
        socket
    }

    /// Sends a WebSocket message.
    pub(crate) async fn send_message(&mut self, message: Message) {
        soon("sending", self.stream.send(message))
            .await
            .expect("the gateway takes messages");
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: &Value) {
        let text = frame.to_string();
        self.check.outbound(&text);
        self.send_message(Message::text(text)).await;
    }

    /// Sends a request and gives its id.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> String {
        self.next_id += 1;
        let id = format!("r{}", self.next_id);
        self.send(&json!({ "type": "req", "id": id, "method": method, "params": params }))
            .await;
        id
    }

    /// What comes next from the gateway.
    pub(crate) async fn next(&mut self) -> Inbound {
        loop {
            match soon("something from the gateway", self.stream.next()).await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                    self.check.inbound(&text, &frame);
                    self.log.push(frame.clone());
                    return Inbound::Frame(frame);
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    return Inbound::Close(close.code.into(), close.reason.to_string());
                }
                Some(Ok(Message::Close(None))) => return Inbound::Close(1005, String::new()),
                Some(Ok(Message::Pong(bytes))) => return Inbound::Pong(bytes.to_vec()),
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(bytes))) => panic!("a binary frame: {bytes:?}"),
                Some(Err(_)) | None => return Inbound::Gone,
            }
        }
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Value {
        match self.next().await {
            Inbound::Frame(frame) => frame,
            other => panic!(
                "expected a frame, got {other:?}; before: {:?}",
                self.log.last()
            ),
        }
    }

    /// The first frame, from here on, that fits; others are kept for later calls.
    pub(crate) async fn until(&mut self, mut fits: impl FnMut(&Value) -> bool) -> Value {
        if let Some(index) = self.pending.iter().position(&mut fits) {
            return self.pending.remove(index).expect("it was just found");
        }
        // Ticks go on for ever; waiting does not.
        soon("the frame that was waited for", async {
            loop {
                let frame = self.frame().await;
                if fits(&frame) {
                    return frame;
                }
                self.pending.push_back(frame);
            }
        })
        .await
    }

    /// The answer to a request.
    pub(crate) async fn answer(&mut self, id: &str) -> Value {
        self.until(|frame| frame["type"] == "res" && frame["id"] == id)
            .await
    }

    /// Sends a request and gives its answer.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.answer(&id).await
    }

    /// Sends a request that must succeed and gives its payload.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params).await;
        assert_eq!(answer["ok"], true, "{method}: {answer}");
        answer["payload"].clone()
    }

    /// Sends a request that must fail and gives its error.
    pub(crate) async fn refused(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params).await;
        assert_eq!(answer["ok"], false, "{method}: {answer}");
        answer["error"].clone()
    }

    /// A chat event of a run in this state.
    pub(crate) async fn chat(&mut self, run: &str, state: &str) -> Value {
        let frame = self
            .until(|frame| {
                frame["event"] == "chat"
                    && frame["payload"]["runId"] == run
                    && frame["payload"]["state"] == state
            })
            .await;
        frame["payload"].clone()
    }

    /// Sends `connect`, which must succeed, and gives hello-ok.
    pub(crate) async fn hello(&mut self, params: Value) -> Value {
        let answer = self.request("connect", params).await;
        assert_eq!(answer["ok"], true, "{answer}");
        answer["payload"].clone()
    }

    /// Sends `connect`, which must be refused; gives the error, the close code and its reason.
    pub(crate) async fn turned_away(&mut self, params: Value) -> (Value, u16, String) {
        let id = self.ask("connect", params).await;
        let answer = self.frame().await;
        assert_eq!(answer["id"], id.as_str(), "{answer}");
        assert_eq!(answer["ok"], false, "{answer}");
        let (code, reason) = self.closed().await;
        (answer["error"].clone(), code, reason)
    }

    /// The close, which must be what comes next.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        match self.next().await {
            Inbound::Close(code, reason) => (code, reason),
            other => panic!("expected a close, got {other:?}"),
        }
    }

    /// The close, whatever frames come before it; `None` when the connection ended without one.
    pub(crate) async fn closed_in_the_end(&mut self) -> Option<(u16, String)> {
        soon("the close", async {
            loop {
                match self.next().await {
                    Inbound::Close(code, reason) => return Some((code, reason)),
                    Inbound::Gone => return None,
                    Inbound::Frame(_) | Inbound::Pong(_) => {}
                }
            }
        })
        .await
    }

    /// Positions in the log of the frames that fit.
    pub(crate) fn places(&self, fits: impl Fn(&Value) -> bool) -> Vec<usize> {
        (0..self.log.len())
            .filter(|index| fits(&self.log[*index]))
            .collect()
    }
}
