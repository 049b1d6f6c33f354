//! Presence: who is here. Owns the rows; publishes every change at once for readers, and tells
//! clients at most four times a second, with the newest rows.
//!
//! Replaceable. A restart loses nothing: the rows outlive a panic in their slot.

pub mod state;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context, Handler, Message};
use bytes::Bytes;
use openclaw_protocol::Scope;
use openclaw_protocol::presence::PresenceEntry;

use crate::call::Caller;
use crate::clock::SharedClock;
use crate::event::{Audience, Bump, Class, EventOut, Ready};
use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::published::Rendered;
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use state::PresenceState;

/// Shortest time between two presence events.
const COALESCE: Duration = Duration::from_millis(250);
/// While memory is short, it is looked this often whether they can be told again.
const LATER: Duration = Duration::from_secs(2);
/// How often rows are checked for their age.
const EXPIRE: Duration = Duration::from_secs(30);

/// What presence works with.
#[derive(Clone)]
pub struct PresenceDeps {
    /// The rows; survive a rebuild.
    pub state: Kept<PresenceState>,
    /// The gateway's own row.
    pub own: PresenceEntry,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Where the list is published.
    pub views: Views,
    /// Time.
    pub clock: SharedClock,
}

/// The owner of the presence list.
pub struct Presence {
    deps: PresenceDeps,
    /// A presence event is due.
    scheduled: bool,
}

impl Rebuild for Presence {
    type Deps = PresenceDeps;
    const NAME: &'static str = "presence";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 8_192;

    fn build(deps: Self::Deps) -> Self {
        deps.state.recover(|_| PresenceState::new(deps.own.clone()));
        Self {
            deps,
            scheduled: false,
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Presence);

impl Actor for Presence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(EXPIRE, |presence, ctx| {
            let now = presence.deps.clock.now();
            if presence.deps.state.with(|state| state.expire(now)) {
                presence.changed(ctx);
            }
        });
        self.changed(ctx);
    }
}

impl Presence {
    /// Publishes for readers now, for listeners soon.
    pub(crate) fn changed(&mut self, ctx: &mut Context<Self>) {
        let now = self.deps.clock.now();
        let list = self.deps.state.with(|state| state.list(now));
        self.deps.views.presence.publish(Rendered::new(list));
        if !self.scheduled {
            self.scheduled = true;
            ctx.run_later(COALESCE, Self::announce);
        }
    }

    fn announce(&mut self, ctx: &mut Context<Self>) {
        if !self.deps.views.load.load().tells_presence() {
            // Readers see who is here; listeners hear it when there is memory for it again.
            ctx.run_later(LATER, Self::announce);
            return;
        }
        self.scheduled = false;
        let list = self.deps.views.presence.load();
        let mut payload = Vec::with_capacity(list.json().len() + 16);
        payload.extend_from_slice(br#"{"presence":"#);
        payload.extend_from_slice(list.json());
        payload.push(b'}');
        let event = EventOut::new(
            "presence",
            Audience::Operators(Scope::Read),
            Ready(Bytes::from(payload)),
        );
        self.deps
            .gateway
            .emit(event.class(Class::Droppable).bump(Bump::Presence));
    }

    /// Changes the rows, then tells everyone.
    pub(crate) fn change(
        &mut self,
        ctx: &mut Context<Self>,
        f: impl FnOnce(&mut PresenceState, crate::clock::Millis),
    ) {
        let now = self.deps.clock.now();
        self.deps.state.with(|state| f(state, now));
        self.changed(ctx);
    }
}

/// A client connected.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Joined(pub Arc<Caller>);

impl Handler<Joined> for Presence {
    type Result = ();

    fn handle(&mut self, msg: Joined, ctx: &mut Self::Context) {
        self.change(ctx, |state, now| state.joined(&msg.0, now));
    }
}

/// A client disconnected.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Left(pub Arc<Caller>);

impl Handler<Left> for Presence {
    type Result = ();

    fn handle(&mut self, msg: Left, ctx: &mut Self::Context) {
        self.change(ctx, |state, now| {
            state.left(&msg.0, now);
        });
    }
}
