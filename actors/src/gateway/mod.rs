//! The Gateway: routes requests to their owners, and orders replies and events.
//!
//! It holds the connection registry, the routing table, the event number and the state versions,
//! and nothing else: no IO, no business, no waiting. Irreplaceable; its registry outlives a panic
//! in a slot of its own ([`Kept`]), so that one fails its own message only.

pub mod router;
pub mod state;
pub mod table;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::{Actor, Addr, Context, Handler, Message, Recipient};
use arc_swap::ArcSwap;
use openclaw_protocol::Role;

use crate::call::{Caller, ConnKey};
use crate::event::EventOut;
use crate::kept::Kept;
use crate::presence::{Joined, Left};
use crate::session::queue::{ComposeHello, HubItem, HubQueue, SnapshotParts};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use state::GatewayState;
use table::{Routed, Table};

/// What the Gateway works with.
#[derive(Clone)]
pub struct GatewayDeps {
    /// Survives a rebuild.
    pub state: Kept<GatewayState>,
    /// Filled once every owner runs.
    pub table: Arc<ArcSwap<Table>>,
    /// Who learns of connections that come and go; filled with the table.
    pub doors: Arc<ArcSwap<Doors>>,
    /// Published snapshots, for the snapshot of a new connection.
    pub views: Views,
}

/// Owners that are told of connections.
#[derive(Default)]
pub struct Doors {
    /// Presence learns who came.
    pub joined: Option<Recipient<Joined>>,
    /// Presence learns who left.
    pub left: Option<Recipient<Left>>,
    /// The registry of nodes learns which came.
    pub node_joined: Option<Recipient<Joined>>,
    /// The registry of nodes learns which left.
    pub node_left: Option<Recipient<Left>>,
}

/// The central actor.
pub struct Gateway {
    deps: GatewayDeps,
}

impl Rebuild for Gateway {
    type Deps = GatewayDeps;
    const NAME: &'static str = "gateway";
    const TIER: Tier = Tier::Irreplaceable;
    /// Requests of all connections; each connection's own cap lets in a few dozen.
    const MAILBOX: usize = 16_384;

    fn build(deps: Self::Deps) -> Self {
        // Half-written only if a panic struck inside a change.
        if deps.state.recover(GatewayState::salvaged) {
            tracing::error!(
                "the connection registry was half-changed by a failure; it was counted again"
            );
        }
        Self { deps }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

impl Actor for Gateway {
    type Context = Context<Self>;
}

supervised!(Gateway);

impl Gateway {
    fn count(&self, connections: usize) {
        let published = &self.deps.views.connections;
        published.store(connections, Ordering::Relaxed);
    }
}

/// Adds a connection: snapshot and audience are taken in this one step.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Register {
    /// Who it is.
    pub caller: Arc<Caller>,
    /// Writes its hello-ok.
    pub compose: ComposeHello,
    /// Told when hello-ok is in its outbox.
    pub joined: tokio::sync::oneshot::Sender<()>,
}

impl Handler<Register> for Gateway {
    type Result = ();

    fn handle(&mut self, msg: Register, _: &mut Self::Context) {
        let (versions, connections) = self.deps.state.with(|state| {
            state.join(&msg.caller);
            (state.versions(), state.connections().len())
        });
        self.count(connections);
        self.deps.views.totals.handshake();
        let snapshot = SnapshotParts {
            presence: self.deps.views.presence.load(),
            health: self.deps.views.health.load(),
            versions,
        };
        msg.caller.hub.push(HubItem::Join {
            caller: Arc::clone(&msg.caller),
            snapshot,
            compose: msg.compose,
            joined: msg.joined,
        });
        let doors = self.deps.doors.load();
        if msg.caller.role == Role::Node
            && let Some(nodes) = &doors.node_joined
        {
            #[expect(
                clippy::disallowed_methods,
                reason = "one per connection, and a lost one would leave a node that cannot be reached"
            )]
            nodes.do_send(Joined(Arc::clone(&msg.caller)));
        }
        if msg.caller.is_present()
            && let Some(presence) = &doors.joined
        {
            // Full or restarting: the row is missing until the client's next sign of life.
            let _ = presence.try_send(Joined(msg.caller));
        }
    }
}

/// Removes a connection.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Unregister(pub ConnKey);

impl Handler<Unregister> for Gateway {
    type Result = ();

    fn handle(&mut self, msg: Unregister, _: &mut Self::Context) {
        let left = self.deps.state.with(|state| {
            let caller = state.leave(msg.0);
            caller.map(|caller| (caller, state.connections().len()))
        });
        let Some((caller, connections)) = left else {
            return;
        };
        caller.ended.set();
        caller.hub.forget(caller.conn);
        self.count(connections);
        let doors = self.deps.doors.load();
        if caller.role == Role::Node
            && let Some(nodes) = &doors.node_left
        {
            #[expect(
                clippy::disallowed_methods,
                reason = "a death notice: one per connection, and a lost one would leave a ghost"
            )]
            nodes.do_send(Left(Arc::clone(&caller)));
        }
        if caller.is_present()
            && let Some(presence) = &doors.left
        {
            #[expect(
                clippy::disallowed_methods,
                reason = "a death notice: one per connection, and a lost one would leave a ghost"
            )]
            presence.do_send(Left(caller));
        }
    }
}

/// A request for an owner.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Route(pub Box<dyn Routed>);

impl Handler<Route> for Gateway {
    type Result = ();

    fn handle(&mut self, msg: Route, _: &mut Self::Context) {
        msg.0.route(&self.deps.table.load());
    }
}

/// An event of an owner.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Emit(pub EventOut);

impl Handler<Emit> for Gateway {
    type Result = ();

    fn handle(&mut self, msg: Emit, _: &mut Self::Context) {
        self.deps.views.totals.event();
        let (event, hubs) = self.deps.state.with(|state| {
            let (event, hubs) = state.order(msg.0);
            (event, hubs.cloned().collect::<Vec<_>>())
        });
        // Outside the change: a payload that cannot be written must not cost the registry.
        for hub in hubs {
            hub.push_event(&event);
        }
    }
}

/// An ordered piece for one connection: a reply that stands among the events.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver {
    hub: Arc<HubQueue>,
    item: HubItem,
}

impl Handler<Deliver> for Gateway {
    type Result = ();

    fn handle(&mut self, msg: Deliver, _: &mut Self::Context) {
        msg.hub.push(msg.item);
    }
}

/// Closes connections that match.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct Kick {
    /// Which.
    pub matches: Box<dyn Fn(&Caller) -> bool + Send>,
    /// Close code.
    pub code: u16,
    /// Close reason.
    pub reason: String,
}

impl Handler<Kick> for Gateway {
    type Result = usize;

    fn handle(&mut self, msg: Kick, _: &mut Self::Context) -> usize {
        let mut hit = self
            .deps
            .state
            .with(|state| state.connections().cloned().collect::<Vec<_>>());
        hit.retain(|caller| (msg.matches)(caller));
        for caller in &hit {
            caller.hub.push(HubItem::Close {
                conn: caller.conn,
                code: msg.code,
                reason: msg.reason.clone(),
            });
        }
        hit.len()
    }
}

/// Asks which devices have a connection. The answer is a message to whoever asks: nobody waits for
/// the Gateway.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Connected {
    /// Hands the answer over; must neither block nor wait.
    pub tell: Box<dyn FnOnce(BTreeSet<String>) + Send>,
}

impl Handler<Connected> for Gateway {
    type Result = ();

    fn handle(&mut self, msg: Connected, _: &mut Self::Context) {
        let devices = self.deps.state.with(|state| {
            let callers = state.connections();
            callers
                .filter_map(|caller| caller.device_id.clone())
                .collect()
        });
        (msg.tell)(devices);
    }
}

/// Closes every connection.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseAll {
    /// Close code.
    pub code: u16,
    /// Close reason.
    pub reason: &'static str,
}

impl Handler<CloseAll> for Gateway {
    type Result = ();

    fn handle(&mut self, msg: CloseAll, _: &mut Self::Context) {
        self.deps.state.with(|state| {
            for hub in state.hubs() {
                hub.push(HubItem::CloseAll {
                    code: msg.code,
                    reason: msg.reason,
                });
            }
        });
    }
}

/// How owners and sessions reach the Gateway.
#[derive(Clone)]
pub struct GatewayPort(Addr<Gateway>);

impl GatewayPort {
    /// The way to `gateway`.
    pub const fn new(gateway: Addr<Gateway>) -> Self {
        Self(gateway)
    }

    /// The actor itself, for composition and drains.
    pub const fn addr(&self) -> &Addr<Gateway> {
        &self.0
    }

    /// Routes a request; false when the Gateway's mailbox is full, and the call then answers itself.
    pub fn route(&self, call: Box<dyn Routed>) -> bool {
        self.0.try_send(Route(call)).is_ok()
    }

    /// Emits an event. Never refused: an event lost here would leave no gap in anyone's `seq`. Producers
    /// are bounded: a delta per run and pacing interval, a presence list per 250 ms, a health per
    /// refresh, and otherwise one or two per request that was let in.
    #[expect(clippy::disallowed_methods, reason = "bounded by what is said above")]
    pub fn emit(&self, event: EventOut) {
        self.0.do_send(Emit(event));
    }

    /// Delivers an ordered reply; never refused.
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by the requests that were let in"
    )]
    pub fn deliver(&self, hub: Arc<HubQueue>, item: HubItem) {
        self.0.do_send(Deliver { hub, item });
    }

    /// Registers a connection; false when the Gateway cannot take it now.
    pub fn register(&self, register: Register) -> bool {
        self.0.try_send(register).is_ok()
    }

    /// Reports a closed connection: a death notice, never refused.
    #[expect(clippy::disallowed_methods, reason = "one per connection")]
    pub fn unregister(&self, conn: ConnKey) {
        self.0.do_send(Unregister(conn));
    }
}
