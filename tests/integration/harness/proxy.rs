//! A proxy on loopback that breaks what passes through it, in front of a platform that speaks HTTP.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::soon;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The platform wants to be left alone for so many seconds; nothing reaches it.
    TooMany(u64),
    /// Something in between is down; nothing reaches the platform.
    BadGateway,
    /// Connections are closed before anything is read.
    Refuse,
    /// Requests are read, and nothing follows.
    Hang,
    /// Requests reach the platform, and no answer comes back.
    HalfOpen,
    /// Requests reach the platform, and half of its answer comes back.
    CloseMidBody,
    /// What was answered comes a second time.
    Duplicate,
    /// What comes together comes in another order.
    Reorder,
}

/// What is particular about the platform behind it.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// The end of the path by which messages are received.
    pub(crate) receives: &'static str,
    /// The end of the path by which they are sent.
    pub(crate) sends: &'static str,
    /// Headers and body of an answer that asks for patience.
    pub(crate) too_many: fn(u64) -> (String, Value),
    /// The messages of an answer.
    pub(crate) batch: fn(&mut Value) -> Option<&mut Vec<Value>>,
}

#[derive(Default)]
struct State {
    receiving: Option<Break>,
    sending: VecDeque<Break>,
    hits: usize,
    last: Option<Vec<Value>>,
    open: usize,
    most_open: usize,
}

/// The proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Its address.
    pub(crate) root: String,
    upstream: SocketAddr,
    shape: Shape,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

struct Request {
    path: String,
    bytes: Vec<u8>,
}

impl Proxy {
    /// Starts one in front of `upstream`.
    pub(crate) async fn start(upstream: SocketAddr, shape: Shape) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let proxy = Self {
            root: format!("http://{}", listener.local_addr().expect("its address")),
            upstream,
            shape,
            state: Arc::default(),
            changed: Arc::default(),
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

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let done = f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
        done
    }

    /// Receiving is broken from now on; what is under way, too.
    pub(crate) fn break_receiving(&self, how: Break) {
        self.with(|state| {
            state.receiving = Some(how);
            state.hits = 0;
        });
    }

    /// The next sending is broken.
    pub(crate) fn break_next_send(&self, how: Break) {
        self.with(|state| state.sending.push_back(how));
    }

    /// Nothing is broken any more.
    pub(crate) fn heal(&self) {
        self.with(|state| {
            state.receiving = None;
            state.sending.clear();
        });
    }

    /// Most connections at a time on which messages were being received.
    pub(crate) fn most_receiving(&self) -> usize {
        self.with(|state| state.most_open)
    }

    /// Waits until what is broken was met.
    pub(crate) async fn met(&self) {
        self.until("what is broken, met", |state| state.hits > 0)
            .await;
    }

    async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        soon(what, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if holds(&self.state.lock().unwrap_or_else(PoisonError::into_inner)) {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    async fn serve(&self, mut stream: TcpStream) {
        if self.with(|state| state.receiving == Some(Break::Refuse)) {
            return self.with(|state| state.hits += 1);
        }
        let mut bytes = Vec::new();
        while let Some(request) = read(&mut stream, &mut bytes).await {
            let receives = request.path.ends_with(self.shape.receives);
            let how = self.with(|state| {
                if request.path.ends_with(self.shape.sends) {
                    return state.sending.pop_front();
                }
                let how = state.receiving.filter(|_| receives);
                state.hits += usize::from(how.is_some());
                how
            });
            let _receiving = receives.then(|| Receiving::begin(self));
            let Some(answer) = self.answer(&request, how, receives, &mut stream).await else {
                return;
            };
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
            None => {
                // What breaks while a request waits breaks that one, too.
                let (code, body) = tokio::select! {
                    answer = self.ask(request) => answer?,
                    how = self.broken(receives) => {
                        self.with(|state| state.hits += 1);
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
                let before = self.with(|state| {
                    let before = state.last.take();
                    state.last = Some(batch.clone()).filter(|batch| !batch.is_empty());
                    before
                });
                let own = std::mem::take(batch);
                batch.extend(before.into_iter().flatten());
                batch.extend(own.iter().cloned());
                batch.extend(own);
            }
        }
        Some(response(code, "", answer.to_string().as_bytes()))
    }

    fn receiving(&self) -> Option<Break> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.receiving
    }

    /// Ends when receiving is broken in a way that ends what waits.
    async fn broken(&self, receives: bool) -> Break {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let ends = |how: &Break| !matches!(how, Break::Duplicate | Break::Reorder);
            let receiving = self.receiving().filter(|how| receives && ends(how));
            if let Some(how) = receiving {
                return how;
            }
            changed.await;
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
        let body = answer.split_off(head);
        if text.contains("transfer-encoding: chunked") {
            return Some((code, unchunked(&body)?));
        }
        Some((code, body))
    }
}

/// A connection on which messages are being received.
struct Receiving<'a>(&'a Proxy);

impl<'a> Receiving<'a> {
    fn begin(proxy: &'a Proxy) -> Self {
        proxy.with(|state| {
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
        });
        Self(proxy)
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.open -= 1);
    }
}

/// Waits until the other side closes.
async fn closed(stream: &mut TcpStream) {
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
