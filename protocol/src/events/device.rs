//! `device.pair.requested`, `device.pair.resolved`, and how setup codes ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the event; its payload is [`crate::methods::device::PairRequest`].
pub const DEVICE_PAIR_REQUESTED: &str = "device.pair.requested";
/// Name of the event.
pub const DEVICE_PAIR_RESOLVED: &str = "device.pair.resolved";
/// Name of the event; its payload is [`crate::methods::device_setup::SetupCompletion`].
pub const DEVICE_PAIR_SETUP_COMPLETED: &str = "device.pair.setup.completed";
/// Name of the event: a device was let in by a setup code, and its connection ended before it was known
/// to have been told. Its payload is [`crate::methods::device_setup::SetupCompletion`].
pub const DEVICE_PAIR_SETUP_UNCERTAIN: &str = "device.pair.setup.deliveryUncertain";

/// Payload of `device.pair.resolved`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairResolvedEvent {
    /// The request.
    pub request_id: String,
    /// The device.
    pub device_id: String,
    /// What was decided.
    pub decision: PairDecision,
    /// When, milliseconds since the epoch.
    pub ts: u64,
}

/// What was decided about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PairDecision {
    /// It is paired.
    Approved,
    /// It is not, or another request took its place.
    Rejected,
}
