//! Nodes: the devices that are connected to offer commands. Owns who they are and publishes it.
//!
//! What they may offer is not decided here: [`policy`] combines a node's declaration, the owner's
//! approval (published by the pairing registry) and the configuration whenever somebody asks, so that
//! an approval and a changed configuration take effect on live connections at once.
//!
//! Replaceable. A restart loses nothing: the nodes outlive a panic in their slot.

pub mod policy;
pub mod rows;
pub mod state;
#[cfg(test)]
mod tests;
pub mod trust;

use actix::{Actor, Context, Handler};
use openclaw_protocol::Role;
use openclaw_protocol::connect::ConnectParams;

use crate::clock::SharedClock;
use crate::kept::Kept;
use crate::presence::{Joined, Left};
use crate::session::queue::HubItem;
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use policy::Surface;
use state::LiveNodes;
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
    /// Where they are published.
    pub views: Views,
    /// Time.
    pub clock: SharedClock,
}

/// The owner of the connected nodes.
pub struct Nodes {
    deps: NodesDeps,
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
        self.deps.views.nodes.publish(nodes);
    }
}

impl Handler<Joined> for Nodes {
    type Result = ();

    fn handle(&mut self, msg: Joined, _: &mut Self::Context) {
        let Joined(caller) = msg;
        let now = self.deps.clock.now();
        let older = self.deps.state.with(|nodes| nodes.joined(&caller, now));
        self.publish();
        let Some(older) = older else { return };
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
        let now = self.deps.clock.now();
        if self.deps.state.with(|nodes| nodes.departed(&msg.0, now)) {
            self.publish();
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
