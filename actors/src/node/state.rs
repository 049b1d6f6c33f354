//! Which nodes are connected. Pure.
//!
//! **Invariant:** a node has one connection: the one that joined last.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Declaration;
use crate::call::{Caller, ConnKey};
use crate::clock::Millis;

/// Most nodes whose leaving is remembered; the one that left longest ago goes.
pub const MAX_LEFT: usize = 1_024;

/// A node with its connection.
#[derive(Debug)]
pub struct LiveNode {
    /// The connection.
    pub caller: Arc<Caller>,
    /// When it joined.
    pub since: Millis,
}

impl LiveNode {
    /// What it declared.
    pub fn declared(&self) -> Option<&Declaration> {
        self.caller.node.as_ref()
    }
}

/// The connected nodes by their id, which is that of their device, and when others left.
#[derive(Debug, Clone, Default)]
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
    pub fn joined(&mut self, caller: &Arc<Caller>, now: Millis) -> Option<Arc<Caller>> {
        let id: Arc<str> = caller.device_id.as_deref()?.into();
        self.left.remove(&id);
        let node = LiveNode {
            caller: Arc::clone(caller),
            since: now,
        };
        self.live
            .insert(id, Arc::new(node))
            .map(|older| Arc::clone(&older.caller))
            .filter(|older| older.conn != caller.conn)
    }

    /// Removes a connection; false when it was not its node's own any more.
    pub fn departed(&mut self, caller: &Caller, now: Millis) -> bool {
        let Some(id) = caller.device_id.as_deref() else {
            return false;
        };
        if self.conn_of(id) != Some(caller.conn) {
            return false;
        }
        self.live.remove(id);
        if self.left.len() >= MAX_LEFT {
            let oldest = self.left.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(id, _)| Arc::clone(id)) {
                self.left.remove(&oldest);
            }
        }
        self.left.insert(id.into(), now);
        true
    }

    fn conn_of(&self, id: &str) -> Option<ConnKey> {
        self.live.get(id).map(|node| node.caller.conn)
    }
}
