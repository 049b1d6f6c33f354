//! `node.pair.requested` and `node.pair.resolved`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the event; its payload is [`crate::methods::node::NodePairRequest`].
pub const NODE_PAIR_REQUESTED: &str = "node.pair.requested";
/// Name of the event.
pub const NODE_PAIR_RESOLVED: &str = "node.pair.resolved";

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
