//! The WebSocket itself: all use of actix-web-actors is here, so that it can be exchanged here.
//!
//! `WebsocketContext` drives the session actor; its outbound side is not used. What the client gets
//! comes from the [`Link`]'s outbox, which [`OutBody`] appends to the actor's (empty) body, because
//! the context's own queue has no bound and stops with its actor when the socket blocks.

use std::cell::{Cell, OnceCell};
use std::net::TcpStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::{Actor, ActorContext as _, AsyncContext as _, Recipient, StreamHandler};
use actix_http::ws::{Codec, Item, Message, ProtocolError};
use actix_web::web::Payload;
use actix_web::{Error, HttpRequest, HttpResponse};
use actix_web_actors::ws::{self, WebsocketContext};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::connect::Challenge;
use openclaw_protocol::frame::{
    FrameError, RequestFrame, response_error, response_error_id, to_bytes,
};
use serde_json::{Value, json};

use super::admission::ADMISSION_LIMIT;
use super::dispatch::{Dispatch, Outcome};
use super::fuse::{Fuse, Verdict};
use super::guard::{FrameGuard, PREAUTH_MAX};
use super::hello::ServerFacts;
use super::hub::Links;
use super::link::{Delivery, Link, Opcode};
use super::notes::Claimed;
use super::peer::Peer;
use super::queue::HubQueue;
use crate::call::{Caller, ConnKey};
use crate::clock::{SharedClock, SharedEntropy};
use crate::gateway::GatewayPort;
use crate::limiter::client::Client;
use crate::limiter::counts::Count;
use crate::limiter::failures::MAX_DELAY;
use crate::limiter::{Delayed, Limiter, Slot};
use crate::pairing::Admit;
use crate::views::Views;

/// Most messages a second before the handshake: a client has one thing to say, in a few pieces at most.
const PREAUTH_FRAMES: u32 = 32;
/// Consecutive calls outside the connection's role after which it is closed.
const MAX_ROLE_STRIKES: u8 = 10;

/// The context that drives a session.
pub(super) type Ctx = WebsocketContext<WsSession>;

/// What every session shares; one for all, because a copy in each would be a kilobyte of every connection.
pub struct SessionShared {
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Published snapshots.
    pub views: Views,
    /// The methods.
    pub dispatch: Arc<Dispatch>,
    /// The pairing registry.
    pub pairing: Recipient<Admit>,
    /// Failed attempts and places before the handshake.
    pub limiter: Limiter,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
    /// What every hello-ok says.
    pub facts: Arc<ServerFacts>,
    /// Limits.
    pub limits: SessionLimits,
}

/// Limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Largest inbound frame after the handshake, bytes.
    pub max_payload: usize,
    /// The same for a v3 client, which expects the smaller figure.
    pub max_payload_v3: usize,
    /// Most unread bytes of a client.
    pub max_buffered: usize,
    /// Most messages a second.
    pub frames_per_second: u32,
    /// Time until `connect` must have come.
    pub handshake: Duration,
    /// Interval of `tick`.
    pub tick: Duration,
}

/// The hub side of the worker that carries a session.
#[derive(Clone)]
pub struct Worker {
    /// The worker's connections.
    pub links: Links,
    /// The worker's queue.
    pub queue: Arc<HubQueue>,
}

pub(super) enum Phase {
    /// Waits for `connect`.
    Greeting { nonce: String, slot: Slot },
    /// Being admitted; inbound frames wait.
    Admission { _slot: Slot },
    /// Refused; the answer is held back for a while.
    Refused { _held: Delayed },
    /// Serves requests.
    Open(Arc<Caller>),
    /// Being closed.
    Over,
}

/// One client connection.
pub struct WsSession {
    pub(super) conn: ConnKey,
    pub(super) shared: Arc<SessionShared>,
    pub(super) worker: Worker,
    pub(super) link: Rc<Link>,
    pub(super) peer: Peer,
    /// Whose attempts its attempts count among.
    pub(super) client: Client,
    pub(super) phase: Phase,
    /// Largest inbound frame now, bytes.
    pub(super) limit: Rc<Cell<usize>>,
    fragments: Option<BytesMut>,
    strikes: u8,
    /// What the client said about itself, for the audit trail.
    pub(super) claimed: Option<Claimed>,
    fuse: Fuse,
    /// The fuse refuses what comes now; after this time it serves again.
    too_fast: Option<Duration>,
    /// Under which of the gateway's secrets its connect is judged.
    pub(super) auth_epoch: u64,
    /// How many trusts had ended before its device is judged.
    pub(super) trust_ends: u64,
    /// The Gateway knows this connection and has to be told of its end.
    pub(super) registered: bool,
}

/// What the HTTP server keeps with a TCP connection until its very end. Its link is looked after as
/// long: a client that is being closed, takes nothing and stays must not hold its backlog for ever.
pub struct Connection {
    socket: Cell<Option<TcpStream>>,
    link: OnceCell<(Links, ConnKey)>,
}

impl Connection {
    /// A connection with a second handle on its socket, to end it from outside when it is blocked.
    pub const fn new(socket: Option<TcpStream>) -> Self {
        Self {
            socket: Cell::new(socket),
            link: OnceCell::new(),
        }
    }

    /// Whether the other side ended it; one that became a `WebSocket` looks after itself.
    pub fn is_over(&self) -> bool {
        let Some(socket) = self.socket.take() else {
            return false;
        };
        let over = match socket.peek(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        self.socket.set(Some(socket));
        over
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some((links, conn)) = self.link.take() {
            links.remove(conn);
        }
    }
}

/// Answers an upgrade request and starts its session.
///
/// # Errors
///
/// When the request is no well-formed WebSocket upgrade, or its connection has no [`Connection`].
pub fn upgrade(
    request: &HttpRequest,
    payload: Payload,
    peer: Peer,
    slot: Slot,
    shared: Arc<SessionShared>,
    worker: Worker,
) -> Result<HttpResponse, Error> {
    let mut response = ws::handshake(request)?;
    let conn = ConnKey::next();
    let connection = request.conn_data::<Connection>().filter(|connection| {
        let link = (worker.links.clone(), conn);
        connection.link.set(link).is_ok()
    });
    let Some(connection) = connection else {
        return Err(actix_web::error::ErrorBadRequest(
            "one WebSocket for each TCP connection",
        ));
    };
    let limit = Rc::new(Cell::new(PREAUTH_MAX));
    let link = Rc::new(Link::new(
        connection.socket.take(),
        shared.limits.max_buffered,
        shared.clock.monotonic(),
    ));
    let patience = shared.limits.handshake + ADMISSION_LIMIT + MAX_DELAY;
    let until = shared.clock.monotonic() + patience;
    worker.links.expect(conn, Rc::clone(&link), until);
    let fuse = Fuse::new(shared.limits.frames_per_second.min(PREAUTH_FRAMES));
    let clock = Arc::clone(&shared.clock);
    let codec = Codec::new().max_size(shared.limits.max_payload);
    let session = WsSession {
        conn,
        client: slot.client().clone(),
        phase: Phase::Greeting {
            nonce: shared.entropy.uuid().to_string(),
            slot,
        },
        shared,
        worker,
        link: Rc::clone(&link),
        peer,
        limit: Rc::clone(&limit),
        fragments: None,
        strikes: 0,
        claimed: None,
        fuse,
        too_fast: None,
        auth_epoch: 0,
        trust_ends: 0,
        registered: false,
    };
    let actor = WebsocketContext::with_codec(
        session,
        FrameGuard::new(payload, limit, Rc::clone(&link), clock),
        codec,
    );
    Ok(response.streaming(OutBody {
        actor: Box::pin(actor),
        link,
    }))
}

/// The response body: drives the actor, then gives what waits in the outbox.
struct OutBody<S> {
    actor: Pin<Box<S>>,
    link: Rc<Link>,
}

impl<S: Stream<Item = Result<Bytes, Error>>> Stream for OutBody<S> {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match this.actor.as_mut().poll_next(cx) {
            Poll::Ready(Some(chunk)) => return Poll::Ready(Some(chunk)),
            Poll::Ready(None) => this.link.end(),
            Poll::Pending => {}
        }
        this.link.poll_take(cx).map(|bytes| bytes.map(Ok))
    }
}

impl Actor for WsSession {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Phase::Greeting { nonce, .. } = &self.phase {
            let challenge = Challenge {
                nonce: nonce.clone(),
                ts: self.shared.clock.now().wire(),
            };
            self.link.write_text(&[&to_bytes(
                &json!({"type": "event", "event": "connect.challenge", "payload": challenge}),
            )]);
        }
        let limit = self.shared.limits.handshake;
        ctx.run_later(limit, move |session, ctx| {
            if matches!(
                session.phase,
                Phase::Greeting { .. } | Phase::Admission { .. }
            ) {
                session.shared.views.counts.add(Count::HandshakeTimeouts);
                session.close(
                    ctx,
                    1008,
                    &format!(
                        "handshake timeout: no connect request within {} ms",
                        limit.as_millis()
                    ),
                );
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.unregister();
        self.link.end();
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for WsSession {
    fn handle(&mut self, item: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        let now = self.shared.clock.monotonic();
        self.link.hear(now);
        self.too_fast = match self.fuse.admit(now) {
            Verdict::Pass => None,
            Verdict::Refuse(wait) => Some(wait),
            Verdict::Blown => return self.flood(ctx, "too many messages"),
        };
        match item {
            Ok(Message::Text(text)) => self.text(&text, ctx),
            // Text in a binary frame is served like any other.
            Ok(Message::Binary(bytes)) => self.bytes(&bytes, ctx),
            Ok(Message::Continuation(item)) => self.fragment(item, ctx),
            Ok(Message::Ping(_)) if self.too_fast.is_some() => {}
            Ok(Message::Ping(bytes)) => self.link.write(Opcode::Pong, &[&bytes]),
            Ok(Message::Pong(_) | Message::Nop) => {}
            Ok(Message::Close(_)) => {
                self.link.close(1000, "");
                self.finish(ctx);
            }
            Err(ProtocolError::Overflow) => self.too_large(ctx),
            Err(ProtocolError::Io(error)) if is_overflow(&error) => self.too_large(ctx),
            Err(_) => self.finish(ctx),
        }
    }
}

/// The frame guard's verdict reaches the session as an IO error around a payload error.
fn is_overflow(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<actix_web::error::PayloadError>())
        .is_some_and(|inner| matches!(inner, actix_web::error::PayloadError::Overflow))
        || error.to_string().contains("size limit")
        || error.to_string().contains("verflow")
}

impl WsSession {
    /// From here on it serves `caller`, in frames of this many bytes.
    pub(super) fn open(&mut self, caller: Arc<Caller>, max_payload: usize) {
        self.phase = Phase::Open(caller);
        self.limit.set(max_payload);
        self.fuse = Fuse::new(self.shared.limits.frames_per_second);
    }

    fn unregister(&mut self) {
        if std::mem::take(&mut self.registered) {
            self.shared.gateway.unregister(self.conn);
        }
    }

    fn bytes(&mut self, bytes: &[u8], ctx: &mut Ctx) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text, ctx),
            Err(_) => self.close(ctx, 1007, "frames must be UTF-8 text"),
        }
    }

    /// Puts a fragmented message together, within the same limit as a whole one.
    fn fragment(&mut self, item: Item, ctx: &mut Ctx) {
        let (piece, last) = match item {
            Item::FirstText(piece) | Item::FirstBinary(piece) => {
                self.fragments = Some(BytesMut::new());
                (piece, false)
            }
            Item::Continue(piece) => (piece, false),
            Item::Last(piece) => (piece, true),
        };
        let Some(whole) = &mut self.fragments else {
            return self.close(ctx, 1002, "continuation without a start");
        };
        if whole.len() + piece.len() > self.limit.get() {
            return self.too_large(ctx);
        }
        whole.extend_from_slice(&piece);
        if last && let Some(whole) = self.fragments.take() {
            self.bytes(&whole, ctx);
        }
    }

    fn text(&mut self, text: &str, ctx: &mut Ctx) {
        if self.link.is_closed() {
            return;
        }
        match &self.phase {
            Phase::Open(caller) => {
                let caller = Arc::clone(caller);
                self.request(text, &caller, ctx);
            }
            // Nobody has so much to say before the first request.
            Phase::Greeting { .. } if self.too_fast.is_some() => {
                self.flood(ctx, "too many messages");
            }
            Phase::Greeting { .. } => self.connect(text, ctx),
            Phase::Admission { .. } | Phase::Refused { .. } | Phase::Over => {}
        }
    }

    fn request(&mut self, text: &str, caller: &Arc<Caller>, ctx: &mut Ctx) {
        let frame = match RequestFrame::parse(text) {
            Ok(frame) => match self.too_fast {
                None => frame,
                Some(wait) => return self.refuse_too_fast(&frame.id, wait, ctx),
            },
            Err(FrameError::TooDeep { id }) => {
                self.shared.views.counts.add(Count::DeepFrames);
                let message = format!("invalid request frame: {}", FrameError::depth_message());
                let id = Value::from(id.as_deref().unwrap_or("invalid"));
                let error = ErrorShape::invalid(message);
                return self.answer(&response_error_id(&id, &error, None), ctx);
            }
            Err(FrameError::NotJson) => {
                tracing::debug!(conn_id = %caller.conn_id, "ignored a frame that is not JSON");
                return;
            }
            Err(FrameError::Invalid { id, message }) => {
                let error = ErrorShape::invalid(format!("invalid request frame: {message}"));
                self.answer(
                    &response_error_id(&id.unwrap_or_else(|| Value::from("invalid")), &error, None),
                    ctx,
                );
                return;
            }
        };
        match self
            .shared
            .dispatch
            .serve(&frame, caller, &self.shared.views, &self.shared.gateway)
        {
            Outcome::Answer(frame) => {
                self.strikes = 0;
                self.answer(&frame, ctx);
            }
            Outcome::Routed => self.strikes = 0,
            Outcome::WrongRole(frame) => {
                self.answer(&frame, ctx);
                self.strikes += 1;
                if self.strikes > MAX_ROLE_STRIKES {
                    self.flood(ctx, "repeated unauthorized calls");
                }
            }
        }
    }

    /// Answers a request that came too fast, without serving it.
    fn refuse_too_fast(&mut self, id: &str, wait: Duration, ctx: &mut Ctx) {
        self.shared.views.counts.add(Count::TooFastRequests);
        let limit = self.shared.limits.frames_per_second;
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        let error = ErrorShape::unavailable(format!(
            "too many messages: at most {limit} a second on one connection (gateway.limits.maxFramesPerSecond)"
        ))
        .retry_after(millis);
        self.answer(&response_error(id, &error, None), ctx);
    }

    /// Closes a connection that goes on with what it was refused.
    fn flood(&mut self, ctx: &mut Ctx, reason: &str) {
        // What was read along with the last straw says nothing new.
        if self.link.is_closed() {
            return;
        }
        self.shared.views.counts.add(Count::FloodsClosed);
        tracing::warn!(client = %self.client, reason, "closed a connection that went on with what it was refused");
        self.close(ctx, 1008, reason);
    }

    fn answer(&mut self, frame: &[u8], ctx: &mut Ctx) {
        if self.link.write_reply(frame) == Delivery::Overrun {
            self.shared.views.counts.add(Count::SlowClosed);
            self.close(ctx, 1008, "slow consumer");
        }
    }

    fn too_large(&mut self, ctx: &mut Ctx) {
        self.shared.views.counts.add(Count::OversizedFrames);
        let reason = format!("frame too large: at most {} bytes", self.limit.get());
        self.close(ctx, 1009, &reason);
    }

    pub(super) fn close(&mut self, ctx: &mut Ctx, code: u16, reason: &str) {
        self.link.close(code, reason);
        self.finish(ctx);
    }

    fn finish(&mut self, ctx: &mut Ctx) {
        self.unregister();
        self.phase = Phase::Over;
        self.link.end();
        ctx.stop();
    }
}
