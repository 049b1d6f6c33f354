//! `node.pair.requested` and `node.pair.resolved`; what one node alone is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the event; its payload is [`crate::methods::node::NodePairRequest`].
pub const NODE_PAIR_REQUESTED: &str = "node.pair.requested";
/// Name of the event.
pub const NODE_PAIR_RESOLVED: &str = "node.pair.resolved";

/// Name of the event; its payload is [`crate::methods::node_side::Voicewake`]. Nodes get it too, each for
/// itself.
pub const VOICEWAKE_CHANGED: &str = "voicewake.changed";
/// Name of the event.
pub const NODE_INVOKE_REQUEST: &str = "node.invoke.request";
/// Name of the event.
pub const NODE_INVOKE_CANCEL: &str = "node.invoke.cancel";

/// Payload of `node.invoke.request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvokeRequestEvent {
    /// Names the invocation in its result.
    pub id: String,
    /// The node itself.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// What it takes, as JSON text.
    #[serde(
        rename = "paramsJSON",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub params_json: Option<String>,
    /// How long is left, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The key of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// Payload of `node.invoke.cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvokeCancelEvent {
    /// Which invocation nobody waits for any more.
    pub invoke_id: String,
    /// The node itself.
    pub node_id: String,
}

/// Payload of `node.pair.resolved`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePairResolvedEvent {
    /// The request; empty when a node was removed.
    pub request_id: String,
    /// The node: its device id.
    pub node_id: String,
    /// What was decided.
    pub decision: NodePairDecision,
    /// When, milliseconds since the epoch.
    pub ts: u64,
}

/// What was decided about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NodePairDecision {
    /// What it declared is in effect.
    Approved,
    /// It is not, or another request took its place, or the node declares it no more.
    Rejected,
    /// The device is no node any more.
    Removed,
}
