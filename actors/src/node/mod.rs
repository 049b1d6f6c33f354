//! Nodes: the devices that are connected to offer commands. Owns who they are and publishes it.
//!
//! What they may offer is not decided here: [`policy`] combines a node's declaration, the owner's
//! approval (published by the pairing registry) and the configuration whenever somebody asks, so that
//! an approval and a changed configuration take effect on live connections at once.
//!
//! `node.invoke` passes the gate of idempotency keys, then [`invoke`]: the node is here, the command is
//! in effect, the caller may use it, a program was approved, the node has room. Its key is committed
//! before the node is sent anything, its end before the caller is told. What is under way belongs to the
//! [`actor::Node`] of the connection: results are matched by id and connection, late ones are counted,
//! and everything fails at once when the connection ends, is replaced, or does not answer pings.
//!
//! Replaceable. A restart loses nothing: the nodes outlive a panic in their slot.

pub mod actor;
pub mod invoke;
pub mod invokes;
pub mod pending;
pub mod policy;
pub mod refusal;
pub mod rows;
pub mod state;
pub mod system_run;
#[cfg(test)]
mod tests;
pub mod trust;

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use openclaw_protocol::Role;
use openclaw_protocol::connect::ConnectParams;
use openclaw_protocol::events::VOICEWAKE_CHANGED;

use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::placement::Place;
use crate::presence::{Joined, Left};
use crate::session::queue::HubItem;
use crate::store::StoreHandle;
use crate::supervised;
use crate::supervision::{DeathWatch, Rebuild, RestartPolicy, Tier, supervise};
use crate::views::Views;
use actor::{Node, NodeDeps};
use invoke::InvokeDeps;
use policy::Surface;
use state::{LiveNode, LiveNodes};
pub use trust::{NodeTrust, NodeTrustMap};

/// Longest `PATH` that is kept, bytes.
const MAX_PATH: usize = 4_096;
/// Close code of a connection that a newer one of the same node takes the place of.
const REPLACED: u16 = 4001;

/// What a node said of itself in its connect: claims, all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declaration {
    /// What it offers.
    pub surface: Surface,
    /// Its `PATH`.
    pub path_env: Option<String>,
}

impl Declaration {
    /// What a connect declares; operators declare nothing.
    pub fn of(role: Role, params: &ConnectParams) -> Option<Self> {
        (role == Role::Node).then(|| Self {
            surface: Surface::declared(&params.caps, &params.commands, params.permissions.as_ref()),
            path_env: params
                .path_env
                .clone()
                .filter(|path| path.len() <= MAX_PATH),
        })
    }
}

/// What the registry of nodes works with.
#[derive(Clone)]
pub struct NodesDeps {
    /// The nodes; survive a rebuild.
    pub state: Kept<LiveNodes>,
    /// The store: keys and results of invocations, what waits for nodes, what wakes them.
    pub store: StoreHandle,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// What invocations work with.
    pub invoke: InvokeDeps,
    /// Where the actors of nodes run.
    pub place: Place,
    /// Who looks after them.
    pub watch: DeathWatch,
}

/// The owner of the connected nodes.
pub struct Nodes {
    pub(crate) deps: NodesDeps,
}

impl Rebuild for Nodes {
    type Deps = NodesDeps;
    const NAME: &'static str = "nodes";
    const TIER: Tier = Tier::Replaceable;
    /// Connections that come and go; none of them is refused.
    const MAILBOX: usize = 4_096;

    fn build(deps: Self::Deps) -> Self {
        // A map that a change was cut short in is still a map of connections.
        deps.state.recover(Clone::clone);
        Self { deps }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Nodes);

impl Actor for Nodes {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.publish();
    }
}

impl Nodes {
    fn publish(&self) {
        let nodes = self.deps.state.with(|nodes| nodes.clone());
        self.deps.invoke.views.nodes.publish(nodes);
    }

    /// Lets the actor of a connection end; what it has under way fails.
    fn retire(&self, node: &LiveNode) {
        if let Some(actor) = &node.actor {
            self.deps.watch.retire(actor);
        }
    }
}

impl Handler<Joined> for Nodes {
    type Result = ();

    fn handle(&mut self, msg: Joined, _: &mut Self::Context) {
        let Joined(caller) = msg;
        let NodesDeps { invoke, place, .. } = &self.deps;
        let now = invoke.clock.now();
        let deps = NodeDeps {
            caller: Arc::clone(&caller),
            invokes: Kept::default(),
            clock: Arc::clone(&invoke.clock),
        };
        let actor = supervise::<Node>(place, RestartPolicy::CORE, &self.deps.watch, deps);
        let older = self
            .deps
            .state
            .with(|nodes| nodes.joined(&caller, Some(actor), now));
        self.publish();
        match self.voicewake() {
            Ok(words) => caller.tell(VOICEWAKE_CHANGED, &words),
            Err(error) => tracing::debug!(%error, "a node is not told what wakes it"),
        }
        let Some(older) = older else { return };
        self.retire(&older);
        let older = &older.caller;
        tracing::info!(
            node = caller.device_id.as_deref(),
            older = older.conn_id,
            newer = caller.conn_id,
            "a node connected again; its older connection is closed"
        );
        older.hub.push(HubItem::Close {
            conn: older.conn,
            code: REPLACED,
            reason: "replaced by a newer connection of this node".to_owned(),
        });
    }
}

impl Handler<Left> for Nodes {
    type Result = ();

    fn handle(&mut self, msg: Left, _: &mut Self::Context) {
        let now = self.deps.invoke.clock.now();
        if let Some(node) = self.deps.state.with(|nodes| nodes.departed(&msg.0, now)) {
            self.publish();
            self.retire(&node);
        }
    }
}

/// What of a connected node's declaration is in effect now; `None` when it is not connected.
pub fn effective(views: &Views, id: &str) -> Option<Surface> {
    let nodes = views.nodes.load();
    let declared = &nodes.get(id)?.declared()?.surface;
    let trust = views.node_trust.load();
    let approved = trust.get(id).and_then(|trust| trust.approved());
    Some(views.settings.load().nodes.effective(declared, approved))
}
