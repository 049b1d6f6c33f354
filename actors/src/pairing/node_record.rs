//! What is kept about the node role of a device, beside its tokens: what it may offer and what it
//! asks for; and how both look on the wire.

use openclaw_protocol::Scope;
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::methods::node::{NodePairRequest, PairedNode};
use serde::{Deserialize, Serialize};

use super::records::{Device, clip};
use crate::clock::Millis;
use crate::node::policy::{CommandPolicy, Surface};

/// Longest version and model that are kept, characters.
const MAX_KIND: usize = 64;

/// The node role of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// What an owner approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovedSurface>,
    /// What waits for an owner; one at a time, until it is decided or declared no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingSurface>,
    /// When it last connected; written with a delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_connected_at_ms: Option<Millis>,
}

/// What an owner approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedSurface {
    /// Counts the approvals of this node, from 1.
    pub revision: u64,
    /// Everything that may be in effect.
    #[serde(flatten)]
    pub surface: Surface,
    /// What the node said about itself.
    #[serde(flatten)]
    pub program: Program,
    /// When a surface of this node was first approved.
    pub created_at_ms: Millis,
    /// When this one was.
    pub approved_at_ms: Millis,
}

/// What waits for an owner: the whole declaration, also what was approved before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingSurface {
    /// Names it in approve and reject.
    pub request_id: String,
    /// What would be approved; nothing that the configuration denied when it was declared.
    #[serde(flatten)]
    pub surface: Surface,
    /// What the node says about itself.
    #[serde(flatten)]
    pub program: Program,
    /// When it was declared.
    pub ts: Millis,
}

/// The program of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
}

impl Program {
    /// What a node says in its connect.
    pub fn of(client: &ClientInfo) -> Self {
        Self {
            version: clip(Some(&client.version), MAX_KIND),
            model_identifier: clip(client.model_identifier.as_deref(), MAX_KIND),
        }
    }
}

fn names(surface: &Surface, policy: &CommandPolicy) -> (Vec<String>, Vec<String>) {
    let offered = policy.offered(surface);
    (
        offered.caps.into_iter().collect(),
        offered.commands.into_iter().collect(),
    )
}

/// The wire names of scopes, in this order.
pub fn scope_names(scopes: &[Scope]) -> Vec<String> {
    scopes
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect()
}

impl PendingSurface {
    /// The row of `node.pair.list` and the payload of `node.pair.requested`.
    pub fn to_wire(&self, id: &str, device: &Device, policy: &CommandPolicy) -> NodePairRequest {
        let (caps, commands) = names(&self.surface, policy);
        let scopes = policy.approve_scopes(&policy.offered(&self.surface));
        let about = &device.about;
        NodePairRequest {
            request_id: self.request_id.clone(),
            node_id: id.to_owned(),
            client_id: Some(about.client_id.clone()),
            client_mode: Some(about.client_mode.clone()),
            display_name: device.shown_name(),
            platform: about.platform.clone(),
            version: self.program.version.clone(),
            device_family: about.device_family.clone(),
            model_identifier: self.program.model_identifier.clone(),
            caps,
            commands,
            permissions: self.surface.wire_permissions(),
            required_approve_scopes: Some(scope_names(&scopes)),
            remote_ip: about.remote_ip.clone(),
            is_repair: device
                .node
                .as_ref()
                .is_some_and(|node| node.approved.is_some())
                .then_some(true),
            ts: self.ts.wire(),
        }
    }
}

impl ApprovedSurface {
    /// The row of `node.pair.list`.
    pub fn to_wire(&self, id: &str, device: &Device, policy: &CommandPolicy) -> PairedNode {
        let (caps, commands) = names(&self.surface, policy);
        let about = &device.about;
        PairedNode {
            node_id: id.to_owned(),
            client_id: Some(about.client_id.clone()),
            client_mode: Some(about.client_mode.clone()),
            display_name: device.shown_name(),
            platform: about.platform.clone(),
            version: self.program.version.clone(),
            device_family: about.device_family.clone(),
            model_identifier: self.program.model_identifier.clone(),
            caps,
            commands,
            permissions: self.surface.wire_permissions(),
            remote_ip: about.remote_ip.clone(),
            created_at_ms: self.created_at_ms.wire(),
            approved_at_ms: self.approved_at_ms.wire(),
            last_connected_at_ms: device
                .node
                .as_ref()
                .and_then(|node| node.last_connected_at_ms)
                .map(Millis::wire),
        }
    }
}
