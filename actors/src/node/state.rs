//! Which nodes are connected. Pure.
//!
//! **Invariant:** a node has one connection: the one that joined last.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Addr;

use super::Declaration;
use super::actor::Node;
use crate::call::{Caller, ConnKey};
use crate::clock::Millis;

/// Most nodes whose leaving is remembered; the one that left longest ago goes.
pub const MAX_LEFT: usize = 1_024;

/// A node with its connection.
pub struct LiveNode {
    /// The connection.
    pub caller: Arc<Caller>,
    /// When it joined.
    pub since: Millis,
    /// Who looks after what it has under way; closed when it left.
    pub actor: Option<Addr<Node>>,
}

impl LiveNode {
    /// What it declared.
    pub fn declared(&self) -> Option<&Declaration> {
        self.caller.node.as_ref()
    }
}

/// The connected nodes by their id, which is that of their device, and when others left.
#[derive(Clone, Default)]
pub struct LiveNodes {
    live: BTreeMap<Arc<str>, Arc<LiveNode>>,
    left: BTreeMap<Arc<str>, Millis>,
}

impl LiveNodes {
    /// The node, if it is connected.
    pub fn get(&self, id: &str) -> Option<&Arc<LiveNode>> {
        self.live.get(id)
    }

    /// Every connected node.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LiveNode)> {
        self.live.iter().map(|(id, node)| (&**id, &**node))
    }

    /// When a node that is not connected left, as far as that is remembered.
    pub fn left_at(&self, id: &str) -> Option<Millis> {
        self.left.get(id).copied()
    }

    /// Adds a connection; gives back the one whose place it takes.
    pub fn joined(
        &mut self,
        caller: &Arc<Caller>,
        actor: Option<Addr<Node>>,
        now: Millis,
    ) -> Option<Arc<LiveNode>> {
        let id: Arc<str> = caller.device_id.as_deref()?.into();
        self.left.remove(&id);
        let node = LiveNode {
            caller: Arc::clone(caller),
            since: now,
            actor,
        };
        self.live
            .insert(id, Arc::new(node))
            .filter(|older| older.caller.conn != caller.conn)
    }

    /// Removes a connection; `None` when it was not its node's own any more.
    pub fn departed(&mut self, caller: &Caller, now: Millis) -> Option<Arc<LiveNode>> {
        let id = caller.device_id.as_deref()?;
        if self.conn_of(id) != Some(caller.conn) {
            return None;
        }
        let node = self.live.remove(id);
        if self.left.len() >= MAX_LEFT {
            let oldest = self.left.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(id, _)| Arc::clone(id)) {
                self.left.remove(&oldest);
            }
        }
        self.left.insert(id.into(), now);
        node
    }

    fn conn_of(&self, id: &str) -> Option<ConnKey> {
        self.live.get(id).map(|node| node.caller.conn)
    }
}
