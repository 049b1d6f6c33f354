//! The WebSocket itself: all use of actix-web-actors is here, so that it can be exchanged here.
//!
//! `WebsocketContext` drives the session actor; its outbound side is not used. What the client gets
//! comes from the [`Link`]'s outbox, which [`OutBody`] appends to the actor's (empty) body, because
//! the context's own queue has no bound and stops with its actor when the socket blocks.

use std::cell::Cell;
use std::net::TcpStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Recipient, StreamHandler,
    WrapFuture as _,
};
use actix_http::ws::{Codec, Item, Message, ProtocolError};
use actix_web::web::Payload;
use actix_web::{Error, HttpRequest, HttpResponse};
use actix_web_actors::ws::{self, WebsocketContext};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use openclaw_protocol::connect::{Challenge, Policy};
use openclaw_protocol::frame::{
    FrameError, RequestFrame, response_error, response_error_id, to_bytes,
};
use openclaw_protocol::{ErrorShape, Generation};
use serde_json::{Value, json};

use super::dispatch::{Dispatch, Outcome};
use super::guard::{FrameGuard, PREAUTH_MAX};
use super::handshake::{self, Candidate, ConnectRequest, Peer, Refusal};
use super::hello::{self, ServerFacts};
use super::hub::Links;
use super::link::{Delivery, Link, Opcode};
use super::preauth::Slot;
use super::queue::HubQueue;
use crate::call::{Caller, ConnKey};
use crate::clock::{SharedClock, SharedEntropy};
use crate::gateway::{GatewayPort, Register};
use crate::pairing::{Admission, Admit, NodeClaims};
use crate::views::Views;

/// Consecutive calls outside the connection's role after which it is closed.
const MAX_ROLE_STRIKES: u8 = 10;
/// How long pairing and registration may take together.
const ADMISSION_LIMIT: Duration = Duration::from_secs(10);

/// What every session of a worker shares.
#[derive(Clone)]
pub struct SessionShared {
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Published snapshots.
    pub views: Views,
    /// The methods.
    pub dispatch: Arc<Dispatch>,
    /// The pairing registry.
    pub pairing: Recipient<Admit>,
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

enum Phase {
    /// Waits for `connect`.
    Greeting { nonce: String, slot: Slot },
    /// Being admitted; inbound frames wait.
    Admission { _slot: Slot },
    /// Serves requests.
    Open(Arc<Caller>),
    /// Being closed.
    Over,
}

/// One client connection.
pub struct WsSession {
    conn: ConnKey,
    shared: SessionShared,
    worker: Worker,
    link: Rc<Link>,
    peer: Peer,
    phase: Phase,
    limit: Rc<Cell<usize>>,
    fragments: Option<BytesMut>,
    strikes: u8,
    /// The Gateway knows this connection and has to be told of its end.
    registered: bool,
}

/// Answers an upgrade request and starts its session.
///
/// # Errors
///
/// When the request is no well-formed WebSocket upgrade.
pub fn upgrade(
    request: &HttpRequest,
    payload: Payload,
    peer: Peer,
    socket: Option<TcpStream>,
    slot: Slot,
    shared: SessionShared,
    worker: Worker,
) -> Result<HttpResponse, Error> {
    let mut response = ws::handshake(request)?;
    let conn = ConnKey::next();
    let limit = Rc::new(Cell::new(PREAUTH_MAX));
    let link = Rc::new(Link::new(
        socket,
        shared.limits.max_buffered,
        shared.clock.monotonic(),
    ));
    worker.links.insert(conn, Rc::clone(&link));
    let codec = Codec::new().max_size(shared.limits.max_payload);
    let session = WsSession {
        conn,
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
        registered: false,
    };
    let actor = WebsocketContext::with_codec(session, FrameGuard::new(payload, limit), codec);
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
                ts: epoch_ms(&self.shared.clock),
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
        self.worker.links.remove(self.conn);
        self.unregister();
        self.link.end();
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for WsSession {
    fn handle(&mut self, item: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        self.link.hear(self.shared.clock.monotonic());
        match item {
            Ok(Message::Text(text)) => self.text(&text, ctx),
            // Text in a binary frame is served like any other.
            Ok(Message::Binary(bytes)) => self.bytes(&bytes, ctx),
            Ok(Message::Continuation(item)) => self.fragment(item, ctx),
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
    fn unregister(&mut self) {
        if std::mem::take(&mut self.registered) {
            self.shared.gateway.unregister(self.conn);
        }
    }

    fn bytes(&mut self, bytes: &[u8], ctx: &mut WebsocketContext<Self>) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text, ctx),
            Err(_) => self.close(ctx, 1007, "frames must be UTF-8 text"),
        }
    }

    /// Puts a fragmented message together, within the same limit as a whole one.
    fn fragment(&mut self, item: Item, ctx: &mut WebsocketContext<Self>) {
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

    fn text(&mut self, text: &str, ctx: &mut WebsocketContext<Self>) {
        if self.link.is_closed() {
            return;
        }
        match &self.phase {
            Phase::Open(caller) => {
                let caller = Arc::clone(caller);
                self.request(text, &caller, ctx);
            }
            Phase::Greeting { .. } => self.connect(text, ctx),
            Phase::Admission { .. } | Phase::Over => {}
        }
    }

    fn request(&mut self, text: &str, caller: &Arc<Caller>, ctx: &mut WebsocketContext<Self>) {
        let frame = match RequestFrame::parse(text) {
            Ok(frame) => frame,
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
                    self.close(ctx, 1008, "repeated unauthorized calls");
                }
            }
        }
    }

    fn answer(&mut self, frame: &[u8], ctx: &mut WebsocketContext<Self>) {
        if self.link.write_reply(frame) == Delivery::Overrun {
            self.close(ctx, 1008, "slow consumer");
        }
    }

    fn connect(&mut self, text: &str, ctx: &mut WebsocketContext<Self>) {
        let Phase::Greeting { nonce, slot } = std::mem::replace(&mut self.phase, Phase::Over)
        else {
            return;
        };
        let request = match handshake::read_connect(text) {
            Ok(request) => request,
            Err(rejected) => {
                return self.refuse(rejected.id.as_deref(), None, rejected.refusal, ctx);
            }
        };
        if request.ignored > 0 {
            tracing::debug!(
                count = request.ignored,
                client = request.params.client.id.as_str(),
                "ignored unknown keys in connect"
            );
        }
        let gate = self.shared.views.gate.load();
        match handshake::evaluate(
            &request.params,
            &self.peer,
            &gate,
            &nonce,
            epoch_ms(&self.shared.clock),
        ) {
            Ok(candidate) => {
                self.phase = Phase::Admission { _slot: slot };
                self.admit(request, candidate, ctx);
            }
            Err(refusal) => {
                let generation =
                    Generation::negotiate(request.params.min_protocol, request.params.max_protocol);
                self.refuse(Some(&request.id), generation, refusal, ctx);
            }
        }
    }

    /// Asks the pairing registry about a device, or lets the device-less exception pass.
    fn admit(
        &mut self,
        request: ConnectRequest,
        candidate: Candidate,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let Some(device) = candidate.device.clone() else {
            let method = match &candidate.gate {
                handshake::GateOne::Shared(method) => (*method).to_owned(),
                handshake::GateOne::DeviceToken { .. } => "device-token".to_owned(),
            };
            let admission = Admission {
                scopes: candidate.scopes,
                method,
                token: None,
            };
            return self.register(request, &candidate, admission, ctx);
        };
        let ask = Admit {
            device,
            role: candidate.role,
            scopes: candidate.scopes,
            gate: candidate.gate.clone(),
            silent: candidate.silent,
            client: request.params.client.clone(),
            generation: candidate.generation,
            remote_ip: self.remote_ip(),
            claims: NodeClaims {
                caps: request.params.caps.clone(),
                commands: request.params.commands.clone(),
            },
        };
        let answer = self.shared.pairing.send(ask);
        let answer = async move { tokio::time::timeout(ADMISSION_LIMIT, answer).await };
        ctx.wait(answer.into_actor(self).map(move |answer, session, ctx| {
            let generation = Some(candidate.generation);
            match answer {
                Ok(Ok(Ok(admission))) => session.register(request, &candidate, admission, ctx),
                Ok(Ok(Err(error))) => {
                    let refusal = pairing_refusal(error, candidate.generation);
                    session.refuse(Some(&request.id), generation, refusal, ctx);
                }
                Ok(Err(_)) | Err(_) => {
                    let error =
                        ErrorShape::unavailable("the pairing registry is restarting; try again")
                            .retry_after(1_000);
                    let refusal = Refusal {
                        code: 1013,
                        ..Refusal::answered(error)
                    };
                    session.refuse(Some(&request.id), generation, refusal, ctx);
                }
            }
        }));
    }

    /// Joins the order of events; requests are served once hello-ok is in the outbox.
    fn register(
        &mut self,
        request: ConnectRequest,
        candidate: &Candidate,
        admission: Admission,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let ConnectRequest { id, params, .. } = request;
        let limits = self.shared.limits;
        let max_payload = if candidate.generation == Generation::V3 {
            limits.max_payload_v3
        } else {
            limits.max_payload
        };
        let caller = Arc::new(Caller {
            conn: self.conn,
            conn_id: self.shared.entropy.uuid().to_string(),
            role: candidate.role,
            scopes: admission.scopes,
            generation: candidate.generation,
            client: params.client,
            caps: params.caps,
            device_id: candidate.device.as_ref().map(|device| device.id.clone()),
            remote_ip: self.remote_ip(),
            hub: Arc::clone(&self.worker.queue),
            in_flight: std::sync::atomic::AtomicU32::new(0),
        });
        let policy = Policy {
            max_payload: max_payload as u64,
            max_buffered_bytes: limits.max_buffered as u64,
            tick_interval_ms: u64::try_from(limits.tick.as_millis()).unwrap_or(u64::MAX),
        };
        tracing::debug!(
            conn = caller.conn_id,
            client = ?caller.client.id,
            auth = admission.method,
            "connected"
        );
        let compose = hello::compose(
            id.clone(),
            &caller,
            admission.token,
            Arc::clone(&self.shared.facts),
            self.shared.views.clone(),
            policy,
        );
        let (joined, joining) = tokio::sync::oneshot::channel();
        self.worker.links.identify(Arc::clone(&caller));
        let generation = Some(candidate.generation);
        if !self.shared.gateway.register(Register {
            caller: Arc::clone(&caller),
            compose,
            joined,
        }) {
            let error =
                ErrorShape::unavailable("the gateway is busy; try again").retry_after(1_000);
            return self.refuse(
                Some(&id),
                generation,
                Refusal {
                    code: 1013,
                    ..Refusal::answered(error)
                },
                ctx,
            );
        }
        self.registered = true;
        let joining = async move { tokio::time::timeout(ADMISSION_LIMIT, joining).await };
        ctx.wait(joining.into_actor(self).map(move |joined, session, ctx| {
            // From here on the Gateway knows the connection, also when it never joined.
            session.phase = Phase::Open(Arc::clone(&caller));
            session.limit.set(max_payload);
            if matches!(joined, Ok(Ok(()))) {
                tracing::debug!(conn_id = %caller.conn_id, client = caller.client.id.as_str(), role = caller.role.as_str(), "client connected");
            } else {
                session.close(ctx, 1013, "gateway restarting; try again");
            }
        }));
    }

    fn remote_ip(&self) -> Option<String> {
        (!self.peer.local).then(|| self.peer.ip.to_canonical().to_string())
    }

    fn refuse(
        &mut self,
        id: Option<&str>,
        generation: Option<Generation>,
        refusal: Refusal,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let code = refusal
            .error
            .as_ref()
            .and_then(|error| error.details.as_ref())
            .and_then(|details| details["code"].as_str())
            .unwrap_or_default()
            .to_owned();
        tracing::info!(peer = %self.peer.ip, code, reason = %refusal.reason, "connection refused");
        if let (Some(id), Some(error)) = (id, refusal.error) {
            let error = error.for_generation(generation.unwrap_or(Generation::V4));
            self.link.write_text(&[&response_error(id, &error, None)]);
        }
        self.close(ctx, refusal.code, &refusal.reason);
    }

    fn too_large(&mut self, ctx: &mut WebsocketContext<Self>) {
        let reason = format!("frame too large: at most {} bytes", self.limit.get());
        self.close(ctx, 1009, &reason);
    }

    fn close(&mut self, ctx: &mut WebsocketContext<Self>, code: u16, reason: &str) {
        self.link.close(code, reason);
        self.finish(ctx);
    }

    fn finish(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.unregister();
        self.phase = Phase::Over;
        self.link.end();
        ctx.stop();
    }
}

/// The request id belongs into the close reason, for people who only see that; v3 clients look for
/// the bare words.
fn pairing_refusal(error: ErrorShape, generation: Generation) -> Refusal {
    let request_id = error
        .details
        .as_ref()
        .and_then(|details| details["requestId"].as_str())
        .map(str::to_owned);
    let mut refusal = Refusal::answered(error);
    if let (Generation::V4, Some(id)) = (generation, request_id) {
        refusal.reason = format!("{} (requestId: {id})", refusal.reason);
    }
    refusal
}

fn epoch_ms(clock: &SharedClock) -> u64 {
    u64::try_from(clock.now().get()).unwrap_or_default()
}
