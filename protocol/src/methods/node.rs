//! `node.list` and `node.describe`, and `node.pair.*`: which commands of a node are in effect.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EmptyParams, MAX_ID};
use crate::Generation;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The nodes, connected or not.
    NodeList => "node.list", Access::Operator(Scope::Read), read, EmptyParams => NodeListResult;
    /// One node.
    NodeDescribe => "node.describe", Access::Operator(Scope::Read), read, NodeDescribeParams => NodeDescribeResult;
    /// Surfaces that wait for approval, and those that were approved.
    NodePairList => "node.pair.list", Access::Operator(Scope::Pairing), read, EmptyParams => NodePairListResult;
    /// Approves what a node declared; takes effect on its live connection.
    NodePairApprove => "node.pair.approve", Access::Operator(Scope::Pairing), effect, NodePairApproveParams => NodePairApproveResult;
    /// Turns down what a node declared; what was approved before stays.
    NodePairReject => "node.pair.reject", Access::Operator(Scope::Pairing), effect, NodePairRejectParams => NodePairRejectResult;
    /// Ends the node role of a device: its approval, its tokens and its connections.
    NodePairRemove => "node.pair.remove", Access::Operator(Scope::Pairing), effect, NodePairRemoveParams => NodePairRemoveResult;
    /// Gives a node a name.
    NodeRename => "node.rename", Access::Operator(Scope::Pairing), effect, NodeRenameParams => NodeRenameResult;
}

/// The nodes, connected first, then by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeListResult {
    /// When it was taken, milliseconds since the epoch.
    pub ts: u64,
    /// One row each.
    pub nodes: Vec<NodeRow>,
}

/// Parameters of `node.describe`; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeDescribeParams {
    /// Its device id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
}

/// One node, and when it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDescribeResult {
    /// When it was taken, milliseconds since the epoch.
    pub ts: u64,
    /// The node.
    #[serde(flatten)]
    pub node: NodeRow,
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// Its device id.
    pub node_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Version of its core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_version: Option<String>,
    /// Version of its UI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ui_version: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Program (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How it runs (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// Effective capabilities; of a node that is not connected, the approved ones.
    pub caps: Vec<String>,
    /// Effective commands; of a node that is not connected, the approved ones.
    pub commands: Vec<String>,
    /// Effective permissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// Its `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at_ms: Option<u64>,
    /// When it last connected, milliseconds since the epoch (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_connected_at_ms: Option<u64>,
    /// Milliseconds since the epoch (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// What it was seen doing: `connect` or `disconnect` (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_reason: Option<String>,
    /// When the owner approved its surface, or else its device (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at_ms: Option<u64>,
    /// Whether its surface was approved (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_state: Option<ApprovalState>,
    /// The request that waits for the owner (v4; for those that may decide, and for itself).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_request_id: Option<String>,
    /// Capabilities that wait (v4; for those that may decide).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_declared_caps: Option<Vec<String>>,
    /// Commands that wait (v4; for those that may decide).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_declared_commands: Option<Vec<String>>,
    /// Permissions that wait (v4; for those that may decide).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_declared_permissions: Option<BTreeMap<String, bool>>,
    /// Commands that it offers and that the configuration denies (v4; for those that may decide).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_commands: Option<Vec<String>>,
    /// Whether the device is paired.
    pub paired: bool,
    /// Whether it is connected.
    pub connected: bool,
}

impl NodeRow {
    /// The row as a client of this generation knows it.
    #[must_use]
    pub fn for_generation(self, generation: Generation) -> Self {
        if generation != Generation::V3 {
            return self;
        }
        Self {
            client_id: None,
            client_mode: None,
            last_connected_at_ms: None,
            last_seen_at_ms: None,
            last_seen_reason: None,
            approved_at_ms: None,
            approval_state: None,
            ..self.without_pending()
        }
    }

    /// The row for a client that may not decide about the node.
    #[must_use]
    pub fn without_pending(self) -> Self {
        Self {
            pending_request_id: None,
            pending_declared_caps: None,
            pending_declared_commands: None,
            pending_declared_permissions: None,
            denied_commands: None,
            ..self
        }
    }
}

/// Whether an owner approved what a node declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    /// All of it.
    Approved,
    /// Nothing yet; a request waits.
    PendingApproval,
    /// Some of it; a request for the rest waits.
    PendingReapproval,
    /// Nothing, and nothing waits.
    Unapproved,
}

/// Surfaces of nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodePairListResult {
    /// Requests, newest first.
    pub pending: Vec<NodePairRequest>,
    /// Approved surfaces, newest first.
    pub paired: Vec<PairedNode>,
}

/// A surface that waits for approval: row of `node.pair.list`, payload of `node.pair.requested`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePairRequest {
    /// Names it in approve and reject.
    pub request_id: String,
    /// The node: its device id.
    pub node_id: String,
    /// Program (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How it runs (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Capabilities; all that would be approved.
    pub caps: Vec<String>,
    /// Commands; all that would be approved, none that the configuration denies.
    pub commands: Vec<String>,
    /// Permissions; all that would be approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// Scopes that an approval takes, all of them (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_approve_scopes: Option<Vec<String>>,
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether something of the node was approved before (v3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_repair: Option<bool>,
    /// When it was declared, milliseconds since the epoch.
    pub ts: u64,
}

impl NodePairRequest {
    /// The request as a client of this generation knows it.
    #[must_use]
    pub fn for_generation(mut self, generation: Generation) -> Self {
        if generation == Generation::V3 {
            self.client_id = None;
            self.client_mode = None;
            self.required_approve_scopes = None;
        } else {
            self.is_repair = None;
        }
        self
    }
}

/// An approved surface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairedNode {
    /// The node: its device id.
    pub node_id: String,
    /// Program (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How it runs (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Approved capabilities.
    pub caps: Vec<String>,
    /// Approved commands, none that the configuration denies.
    pub commands: Vec<String>,
    /// Approved permissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// Last address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// When a surface of it was first approved, milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When this surface was approved, milliseconds since the epoch.
    pub approved_at_ms: u64,
    /// When it last connected, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_connected_at_ms: Option<u64>,
}

impl PairedNode {
    /// The node as a client of this generation knows it.
    #[must_use]
    pub fn for_generation(mut self, generation: Generation) -> Self {
        if generation == Generation::V3 {
            self.client_id = None;
            self.client_mode = None;
        }
        self
    }
}

/// Parameters of `node.pair.approve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePairApproveParams {
    /// The request.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub request_id: String,
    /// Only these of its commands; the others go on waiting. Our own addition: without it, all of
    /// them, as other programs ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = MAX_ID)))]
    pub commands: Option<Vec<String>>,
}

/// The surface is approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePairApproveResult {
    /// The request.
    pub request_id: String,
    /// The node, with what is approved now.
    pub node: PairedNode,
}

/// Parameters of `node.pair.reject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePairRejectParams {
    /// The request.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub request_id: String,
}

/// The request is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePairRejectResult {
    /// The request.
    pub request_id: String,
    /// The node.
    pub node_id: String,
}

/// Parameters of `node.pair.remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePairRemoveParams {
    /// The node: its device id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
}

/// The node is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePairRemoveResult {
    /// The node.
    pub node_id: String,
}

/// Parameters of `node.rename`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRenameParams {
    /// The node: its device id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
    /// Its new name.
    #[schemars(length(min = 1, max = 64))]
    pub display_name: String,
}

/// The node has a new name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRenameResult {
    /// The node.
    pub node_id: String,
    /// Its name.
    pub display_name: String,
}
