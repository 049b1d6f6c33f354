//! A request on its way to its owner, and the way its answer takes back.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix::Message;
use openclaw_protocol::client::{ClientMode, Role};
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::frame::{response_error, response_ok};
use openclaw_protocol::{ClientId, ErrorShape, Generation, Method, Scope, Scopes};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use crate::agent::tools::Chat;
use crate::canvas::address::Address;
use crate::event::targeted;
use crate::gateway::GatewayPort;
use crate::node::Declaration;
use crate::session::queue::{HubItem, HubQueue};

/// Identity of a connection inside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnKey(u64);

impl ConnKey {
    /// A key that was never given out before.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who is behind a connection, as far as it was proven at its handshake.
#[derive(Debug)]
pub struct Caller {
    /// The connection.
    pub conn: ConnKey,
    /// Its wire identity.
    pub conn_id: String,
    /// Its role.
    pub role: Role,
    /// Its granted scopes.
    pub scopes: Scopes,
    /// The negotiated generation.
    pub generation: Generation,
    /// The client program.
    pub client: ClientInfo,
    /// What the client can take.
    pub caps: Vec<String>,
    /// What it declared, if it is a node; a claim, see [`crate::node::effective`].
    pub node: Option<Declaration>,
    /// The proven device.
    pub device_id: Option<String>,
    /// The conversations whose calls of tools led to it, the earliest first; clients have none.
    pub chain: Vec<Arc<str>>,
    /// The chat that the first of them was led by; its limits hold for all that follows.
    pub chat: Option<Chat>,
    /// The peer's address, `None` for this machine.
    pub remote_ip: Option<String>,
    /// Under which of the gateway's secrets it came in ([`crate::views::AuthEpoch`]); `None` when it
    /// has a trust of its own, which outlives the secret.
    pub auth_epoch: Option<u64>,
    /// The worker's hub that writes to its socket.
    pub hub: Arc<HubQueue>,
    /// Requests in flight; bounds what one connection can queue.
    pub in_flight: AtomicU32,
    /// Set when the connection is over.
    pub ended: Ended,
    /// Sessions whose messages it subscribed to; bounds what its worker keeps for it.
    pub subscriptions: Subscriptions,
    /// Where it found this gateway, for addresses that it is given.
    pub address: Option<Address>,
}

/// Whether a connection is over, for those who wait on its behalf.
#[derive(Debug, Default)]
pub struct Ended {
    over: AtomicBool,
    told: Notify,
}

impl Ended {
    /// It is over.
    pub fn set(&self) {
        self.over.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Waits until it is over.
    pub async fn wait(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        if !self.over.load(Ordering::Acquire) {
            told.await;
        }
    }
}

/// Most sessions that one connection can listen to.
pub const MAX_SUBSCRIPTIONS: usize = 1_000;

/// Sessions that a connection subscribed to (canonical keys), as their owner admitted them; only that
/// owner locks it.
#[derive(Debug, Default)]
pub struct Subscriptions(Mutex<HashSet<Arc<str>>>);

impl Subscriptions {
    /// Adds or removes a session.
    ///
    /// # Errors
    ///
    /// When there are [`MAX_SUBSCRIPTIONS`] others.
    pub fn change(&self, session: &Arc<str>, on: bool) -> Result<(), ErrorShape> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !on {
            sessions.remove(session);
            return Ok(());
        }
        if sessions.len() >= MAX_SUBSCRIPTIONS && !sessions.contains(session) {
            return Err(ErrorShape::invalid(format!(
                "this connection is subscribed to {MAX_SUBSCRIPTIONS} sessions, which is the limit; end one with sessions.messages.unsubscribe first"
            )));
        }
        sessions.insert(Arc::clone(session));
        Ok(())
    }
}

impl Caller {
    /// A part of the gateway itself, as an operator with a connection of its own that no client is
    /// behind. Its key is new, its wire identity empty.
    pub(crate) fn own(name: String, scopes: Scopes, hub: Arc<HubQueue>) -> Self {
        Self {
            conn: ConnKey::next(),
            conn_id: String::new(),
            role: Role::Operator,
            scopes,
            generation: Generation::V4,
            client: ClientInfo {
                id: ClientId::GatewayClient,
                display_name: Some(name),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                build_id: None,
                platform: std::env::consts::OS.to_owned(),
                device_family: None,
                model_identifier: None,
                time_zone: None,
                mode: ClientMode::Backend,
                instance_id: None,
            },
            caps: Vec::new(),
            node: None,
            device_id: None,
            chain: Vec::new(),
            chat: None,
            remote_ip: None,
            auth_epoch: None,
            hub,
            in_flight: AtomicU32::new(0),
            ended: Ended::default(),
            subscriptions: Subscriptions::default(),
            address: None,
        }
    }

    /// The owner of idempotency keys: the device where there is one, else the client program.
    pub fn principal(&self) -> String {
        self.device_id.as_ref().map_or_else(
            || format!("client:{}", self.client.id.as_str()),
            |id| format!("device:{id}"),
        )
    }

    /// Whether the client announced this capability.
    pub fn has_cap(&self, cap: &str) -> bool {
        self.caps.iter().any(|own| own == cap)
    }

    /// Whether presence shows this connection.
    pub fn is_present(&self) -> bool {
        !self.client.mode.is_ephemeral()
            && self.client.mode != ClientMode::Test
            && self.client.id != ClientId::Probe
    }

    /// Sends this connection a ready frame, behind everything that its worker was given before.
    pub fn send(&self, frame: Vec<u8>) {
        self.hub.push(HubItem::Reply {
            conn: self.conn,
            frame,
            listen: Vec::new(),
        });
    }

    /// Tells this connection alone an event, without a `seq`.
    pub fn tell<T: Serialize>(&self, event: &str, payload: &T) {
        self.send(targeted(event, payload));
    }

    /// Whether the scope is granted.
    pub const fn grants(&self, scope: Scope) -> bool {
        self.scopes.grants(scope)
    }
}

/// A change of what a connection listens to; takes effect where its reply stands in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// The session list.
    SessionIndex(bool),
    /// Messages of a session (canonical key).
    Session(Arc<str>, bool),
    /// A v3 client wrote the canonical key like this.
    Alias {
        /// Canonical key.
        canonical: Arc<str>,
        /// As the client wrote it.
        written: Arc<str>,
    },
}

/// A decoded request for one method's owner.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Call<M: Method> {
    /// What was asked.
    pub params: M::Params,
    /// By whom.
    pub caller: Arc<Caller>,
    /// Where the answer goes.
    pub reply: Reply<M>,
}

/// The duty to answer one request. Dropped unanswered (a panic, a full mailbox, a dead owner), it
/// answers UNAVAILABLE by itself, so that no request is ever left hanging.
pub struct Reply<M: Method> {
    open: Open,
    method: PhantomData<fn() -> M>,
}

struct Open {
    method: &'static str,
    id: String,
    caller: Arc<Caller>,
    /// Ordered replies take the Gateway's path, with the events.
    ordered: Option<GatewayPort>,
    listen: Vec<Listen>,
    done: bool,
    /// It still counts among the requests in flight.
    counted: bool,
}

impl<M: Method> fmt::Debug for Reply<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} {})", M::NAME, self.open.id)
    }
}

impl<M: Method> Reply<M> {
    /// The duty to answer request `id` of `caller`.
    pub fn new(id: String, caller: Arc<Caller>, gateway: &GatewayPort) -> Self {
        caller.in_flight.fetch_add(1, Ordering::Relaxed);
        let ordered = M::EFFECT.then(|| gateway.clone());
        Self {
            open: Open {
                method: M::NAME,
                id,
                caller,
                ordered,
                listen: Vec::new(),
                done: false,
                counted: true,
            },
            method: PhantomData,
        }
    }

    /// Who asked.
    pub fn caller(&self) -> &Caller {
        &self.open.caller
    }

    /// Changes what the connection listens to, together with the next answer.
    #[must_use]
    pub fn listen(mut self, change: Listen) -> Self {
        self.open.listen.push(change);
        self
    }

    /// Tells a v3 client's own spelling of a session key, together with the next answer.
    #[must_use]
    pub fn alias(self, canonical: &Arc<str>, written: &str) -> Self {
        if self.open.caller.generation == Generation::V3 && **canonical != *written {
            return self.listen(Listen::Alias {
                canonical: Arc::clone(canonical),
                written: written.into(),
            });
        }
        self
    }

    /// Answers.
    pub fn ok(self, result: &M::Result) {
        self.ok_as(result);
    }

    /// Answers with a payload whose shape is the method's result in another form (raw, borrowed).
    pub fn ok_as<T: Serialize + ?Sized>(mut self, payload: &T) {
        let frame = response_ok(&self.open.id, payload);
        self.open.finish(frame);
    }

    /// Refuses.
    pub fn error(self, error: ErrorShape) {
        self.refuse(error, None);
    }

    /// Fails with a payload beside the error, as a failed run does.
    pub fn refuse(mut self, error: ErrorShape, payload: Option<&Value>) {
        let error = error.for_generation(self.open.caller.generation);
        let frame = response_error(&self.open.id, &error, payload);
        self.open.finish(frame);
    }

    /// Sends a first answer and keeps the duty for the final one.
    pub fn interim<T: Serialize>(&mut self, payload: &T) {
        let frame = response_ok(&self.open.id, payload);
        self.open.send(frame);
        // A run under way has bounds of its own, and must not keep its client from stopping it.
        self.open.release();
    }

    /// The same duty under another method's name; both answer the same request id.
    pub(crate) fn cast<N: Method>(self) -> Reply<N> {
        Reply {
            open: self.open,
            method: PhantomData,
        }
    }

    /// Answers with a result, or refuses.
    pub fn settle(self, result: Result<M::Result, ErrorShape>) {
        match result {
            Ok(result) => self.ok(&result),
            Err(error) => self.error(error),
        }
    }
}

impl Open {
    fn release(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.caller.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn finish(&mut self, frame: Vec<u8>) {
        self.done = true;
        self.send(frame);
    }

    fn send(&mut self, frame: Vec<u8>) {
        let item = HubItem::Reply {
            conn: self.caller.conn,
            frame,
            listen: std::mem::take(&mut self.listen),
        };
        match &self.ordered {
            Some(gateway) => gateway.deliver(Arc::clone(&self.caller.hub), item),
            None => self.caller.hub.push(item),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.done {
            let error = ErrorShape::unavailable(format!(
                "the gateway failed while handling {}; try again",
                self.method
            ));
            let frame = response_error(&self.id, &error, None);
            self.finish(frame);
        }
        self.release();
    }
}
