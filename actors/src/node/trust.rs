//! What the pairing registry publishes about nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_protocol::Role;

use super::policy::Surface;
use crate::clock::Millis;
use crate::pairing::node_record::{NodeRecord, Program};
use crate::pairing::records::{About, Device};

/// The devices that hold the role of a node, by their id.
pub type NodeTrustMap = BTreeMap<Arc<str>, Arc<NodeTrust>>;

/// What is known of a paired node, without its secrets.
#[derive(Debug, Clone)]
pub struct NodeTrust {
    /// What the device is.
    pub about: About,
    /// The name that it is shown by.
    pub name: Option<String>,
    /// What may be in effect, and what waits.
    pub record: NodeRecord,
    /// When the device got the role.
    pub approved_at_ms: Millis,
}

impl NodeTrust {
    /// What is known of a device; `None` when it does not hold the role.
    pub fn of(device: &Device) -> Option<Self> {
        let grant = device.grant(Role::Node)?;
        Some(Self {
            about: device.about.clone(),
            name: device.shown_name(),
            record: device.node.clone().unwrap_or_default(),
            approved_at_ms: grant.approved_at_ms,
        })
    }

    /// What an owner approved.
    pub fn approved(&self) -> Option<&Surface> {
        let approved = self.record.approved.as_ref()?;
        Some(&approved.surface)
    }

    /// The program, as it was last declared or approved.
    pub fn program(&self) -> Option<&Program> {
        let pending = self.record.pending.as_ref();
        pending.map(|pending| &pending.program).or_else(|| {
            self.record
                .approved
                .as_ref()
                .map(|approved| &approved.program)
        })
    }
}
