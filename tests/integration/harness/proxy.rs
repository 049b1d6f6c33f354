//! A proxy on loopback that breaks what passes through it, in front of a platform that speaks HTTP, and
//! `WebSockets` where messages come by them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{
    ErrorResponse, Request as Opening, Response as Opened,
};

use super::faults::{Break, Faults};

/// What is particular about the platform behind it.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Ends of the paths by which messages are received, or a socket for them is asked for.
    pub(crate) receives: &'static [&'static str],
    /// The end of the path by which they are sent.
    pub(crate) sends: &'static str,
    /// Headers and body of an answer that asks for patience.
    pub(crate) too_many: fn(u64) -> (String, Value),
    /// Status and body of an answer to whoever comes with a secret that is none any more.
    pub(crate) revoked: fn() -> (u16, Value),
    /// The messages of an answer.
    pub(crate) batch: fn(&mut Value) -> Option<&mut Vec<Value>>,
    /// Whether a frame of a WebSocket brings a message.
    pub(crate) brings: fn(&Value) -> bool,
}

/// The end of the path of a stream of events.
const STREAM: &str = "/events";
/// Between two of its heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(300);

/// The proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Its address.
    pub(crate) root: String,
    /// What it breaks.
    pub(crate) faults: Faults,
    upstream: SocketAddr,
    /// What the platform calls itself, beside that.
    names: Vec<String>,
    shape: Shape,
    last: Arc<Mutex<Option<Vec<Value>>>>,
}

struct Request {
    path: String,
    bytes: Vec<u8>,
}

impl Proxy {
    /// Starts one in front of `upstream`. Addresses of that in what it says become the proxy's own.
    pub(crate) async fn start(upstream: SocketAddr, shape: Shape) -> Self {
        Self::with_names(upstream, &[], shape).await
    }

    /// The same for a platform that calls itself so, too.
    pub(crate) async fn with_names(
        upstream: SocketAddr,
        names: &[SocketAddr],
        shape: Shape,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let proxy = Self {
            root: format!("http://{}", listener.local_addr().expect("its address")),
            faults: Faults::default(),
            upstream,
            names: names
                .iter()
                .chain([&upstream])
                .map(ToString::to_string)
                .collect(),
            shape,
            last: Arc::default(),
        };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = serving.clone();
                tokio::spawn(async move { proxy.serve(stream).await });
            }
        });
        proxy
    }

    async fn serve(&self, mut stream: TcpStream) {
        if self.faults.receiving() == Some(Break::Refuse) {
            self.faults.meet();
            return;
        }
        if is_upgrade(&stream).await {
            return self.relay(stream).await;
        }
        let mut bytes = Vec::new();
        while let Some(request) = read(&mut stream, &mut bytes).await {
            let ends = |end: &&str| request.path.ends_with(*end);
            let receives = self.shape.receives.iter().any(ends);
            let revoked = self.faults.receiving() == Some(Break::Revoked);
            let how = if request.path.ends_with(self.shape.sends) {
                self.faults.next_send()
            } else if receives || revoked {
                self.faults.meet()
            } else {
                None
            };
            if how.is_none_or(|how| !how.ends()) && request.path.ends_with(STREAM) {
                return self.pass(stream, &request).await;
            }
            let _receiving = receives.then(|| self.faults.begin());
            let Some(answer) = self.answer(&request, how, receives, &mut stream).await else {
                return;
            };
            if receives {
                self.faults.beat();
            }
            if stream.write_all(&answer).await.is_err() || how == Some(Break::CloseMidBody) {
                return;
            }
        }
    }

    /// What is answered; `None` closes the connection.
    async fn answer(
        &self,
        request: &Request,
        how: Option<Break>,
        receives: bool,
        stream: &mut TcpStream,
    ) -> Option<Vec<u8>> {
        match how {
            Some(Break::TooMany(seconds)) => {
                let (headers, body) = (self.shape.too_many)(seconds);
                Some(response(429, &headers, body.to_string().as_bytes()))
            }
            Some(Break::Revoked) => {
                let (code, body) = (self.shape.revoked)();
                Some(response(code, "", body.to_string().as_bytes()))
            }
            Some(Break::BadGateway) => Some(response(502, "", b"<html>Bad Gateway</html>")),
            Some(Break::Refuse) => None,
            Some(Break::Hang) => {
                closed(stream).await;
                None
            }
            Some(Break::HalfOpen) => {
                self.ask(request).await;
                closed(stream).await;
                None
            }
            Some(Break::CloseMidBody) => {
                let (code, body) = self.ask(request).await?;
                let mut whole = response(code, "", &body);
                whole.truncate(whole.len() - body.len() / 2 - 1);
                Some(whole)
            }
            Some(how @ (Break::Duplicate | Break::Reorder)) => {
                self.twisted(request, how, stream).await
            }
            Some(Break::Dribble) | None => {
                // What breaks while a request waits breaks that one, too.
                let broken = async {
                    if !receives {
                        std::future::pending::<()>().await;
                    }
                    self.faults.broken().await
                };
                let (code, body) = tokio::select! {
                    answer = self.ask(request) => answer?,
                    how = broken => {
                        if matches!(how, Break::Hang | Break::HalfOpen) {
                            closed(stream).await;
                        }
                        return None;
                    }
                    () = closed(stream) => return None,
                };
                Some(response(code, "", &body))
            }
        }
    }

    async fn twisted(
        &self,
        request: &Request,
        how: Break,
        stream: &mut TcpStream,
    ) -> Option<Vec<u8>> {
        let (code, body) = tokio::select! {
            answer = self.ask(request) => answer?,
            () = closed(stream) => return None,
        };
        let mut answer: Value = serde_json::from_slice(&body).ok()?;
        if let Some(batch) = (self.shape.batch)(&mut answer) {
            if how == Break::Reorder {
                batch.reverse();
            } else {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                let before = last.take();
                *last = Some(batch.clone()).filter(|batch| !batch.is_empty());
                drop(last);
                let own = std::mem::take(batch);
                batch.extend(before.into_iter().flatten());
                batch.extend(own.iter().cloned());
                batch.extend(own);
            }
        }
        Some(response(code, "", answer.to_string().as_bytes()))
    }

    /// Passes a stream of events on until it ends, or is broken. Its heartbeat is faster than the platform's:
    /// a chunk with a comment.
    async fn pass(&self, mut client: TcpStream, request: &Request) {
        let Ok(mut platform) = TcpStream::connect(self.upstream).await else {
            return;
        };
        if platform.write_all(&request.bytes).await.is_err() {
            return;
        }
        let _receiving = self.faults.begin();
        let (mut began, mut held) = (false, None::<Vec<u8>>);
        let (mut bytes, mut rest) = (vec![0; 64 * 1024], [0; 64]);
        loop {
            let out = tokio::select! {
                how = self.faults.broken() => {
                    match how {
                        Break::Hang | Break::HalfOpen => closed(&mut client).await,
                        Break::CloseMidBody => {
                            let _ = client.write_all(b"40\r\nevent:receive\ndata:{").await;
                        }
                        _ => {}
                    }
                    return;
                }
                read = platform.read(&mut bytes) => {
                    let Ok(read @ 1..) = read else { return };
                    began = true;
                    let part = bytes[..read].to_vec();
                    let brings = String::from_utf8_lossy(&part).contains("event:receive");
                    match self.faults.receiving().filter(|_| brings) {
                        Some(Break::Duplicate) => {
                            self.faults.meet();
                            [part.clone(), part].concat()
                        }
                        Some(Break::Reorder) if held.is_none() => {
                            self.faults.meet();
                            held = Some(part);
                            continue;
                        }
                        _ => part.into_iter().chain(held.take().into_iter().flatten()).collect(),
                    }
                }
                read = client.read(&mut rest) => match read {
                    Ok(1..) => continue,
                    _ => return,
                },
                () = tokio::time::sleep(HEARTBEAT), if began => {
                    self.faults.beat();
                    let late = held.take().into_iter().flatten();
                    b"2\r\n:\n\r\n".iter().copied().chain(late).collect()
                }
            };
            if client.write_all(&out).await.is_err() {
                return;
            }
        }
    }

    /// Passes the frames of a WebSocket on until it ends, or is broken.
    async fn relay(&self, mut stream: TcpStream) {
        if let Some(how) = self.faults.receiving().filter(|how| how.ends()) {
            self.faults.meet();
            return match how {
                Break::Hang | Break::HalfOpen => closed(&mut stream).await,
                Break::TooMany(_) | Break::BadGateway | Break::Revoked => {
                    let _ = stream.write_all(&response(502, "", b"")).await;
                }
                _ => {}
            };
        }
        let mut path = String::new();
        #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let noted = |request: &Opening, answer: Opened| -> Result<Opened, ErrorResponse> {
            path = request.uri().to_string();
            Ok(answer)
        };
        let Ok(mut client) = tokio_tungstenite::accept_hdr_async(stream, noted).await else {
            return;
        };
        let address = format!("ws://{}{path}", self.upstream);
        let Ok((mut platform, _)) = tokio_tungstenite::connect_async(address).await else {
            return;
        };
        let _receiving = self.faults.begin();
        let mut held = None;
        loop {
            tokio::select! {
                how = self.faults.broken() => {
                    let raw = client.get_mut();
                    match how {
                        Break::Hang | Break::HalfOpen => closed(raw).await,
                        // The head of a frame of 256 bytes, and the first of them.
                        Break::CloseMidBody => {
                            let _ = raw.write_all(&[0x81, 0x7e, 0x01, 0x00, b'{']).await;
                        }
                        _ => {}
                    }
                    return;
                }
                message = client.next() => {
                    let Some(Ok(message)) = message else { return };
                    self.faults.beat();
                    let is_talk = message.is_text() || message.is_binary();
                    if is_talk && platform.send(message).await.is_err() {
                        return;
                    }
                }
                message = platform.next() => {
                    let Some(Ok(message)) = message else { return };
                    for message in self.frames(message, &mut held) {
                        if client.send(message).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// What becomes of a frame of the platform.
    fn frames(&self, message: Message, held: &mut Option<Message>) -> Vec<Message> {
        let Message::Text(text) = message else {
            return vec![message];
        };
        let text = self.as_ours(text.to_string());
        let brings = serde_json::from_str(&text).is_ok_and(|frame| (self.shape.brings)(&frame));
        let message = Message::text(text);
        match self.faults.receiving().filter(|_| brings) {
            Some(Break::Duplicate) => {
                self.faults.meet();
                vec![message.clone(), message]
            }
            Some(Break::Reorder) => {
                self.faults.meet();
                if let Some(before) = held.take() {
                    return vec![message, before];
                }
                *held = Some(message);
                Vec::new()
            }
            _ => held.take().into_iter().chain([message]).collect(),
        }
    }

    /// Asks the platform, on a connection of its own.
    async fn ask(&self, request: &Request) -> Option<(u16, Vec<u8>)> {
        let mut upstream = TcpStream::connect(self.upstream).await.ok()?;
        upstream.write_all(&request.bytes).await.ok()?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).await.ok()?;
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
        let code = text.split_whitespace().nth(1)?.parse().ok()?;
        let mut body = answer.split_off(head);
        if text.contains("transfer-encoding: chunked") {
            body = unchunked(&body)?;
        }
        match String::from_utf8(body) {
            Ok(text) => Some((code, self.as_ours(text).into_bytes())),
            Err(bytes) => Some((code, bytes.into_bytes())),
        }
    }

    /// What the platform says, with our address in place of its own.
    fn as_ours(&self, mut text: String) -> String {
        let own = self.root.trim_start_matches("http://");
        for name in &self.names {
            text = text.replace(name, own);
        }
        text
    }
}

/// Whether a WebSocket is asked for; nothing is read yet.
async fn is_upgrade(stream: &TcpStream) -> bool {
    let mut head = vec![0; 8 * 1024];
    // Half of a head may be all that comes, and a peek does not see that.
    for _ in 0..500 {
        let Ok(read @ 1..) = stream.peek(&mut head).await else {
            return false;
        };
        let text = String::from_utf8_lossy(&head[..read]).to_lowercase();
        if text.contains("\r\n\r\n") || read == head.len() {
            return text.contains("upgrade: websocket");
        }
        super::look_again().await;
    }
    false
}

/// Waits until the other side closes.
pub(crate) async fn closed(stream: &mut TcpStream) {
    let mut rest = [0; 64];
    while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}

fn response(code: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

/// The next request, as it is sent on.
async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Request> {
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
        let is = name.eq_ignore_ascii_case("content-length");
        is.then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head + length.unwrap_or_default();
    while bytes.len() < end {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    let path = text.split_whitespace().nth(1)?;
    let path = path.split('?').next()?.to_owned();
    // One request, one connection: the answer ends where the connection does.
    let (line, headers) = text.split_once("\r\n")?;
    let mut forwarded = format!("{line}\r\nconnection: close\r\n{headers}").into_bytes();
    forwarded.extend_from_slice(&bytes[head..end]);
    bytes.drain(..end);
    Some(Request {
        path,
        bytes: forwarded,
    })
}
