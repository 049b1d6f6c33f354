//! `tick`, `health`, `presence`, `shutdown` and `heartbeat`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::presence::PresenceEntry;

/// Name of the event; its payload is [`crate::connect::Challenge`].
pub const CONNECT_CHALLENGE: &str = "connect.challenge";
/// Name of the event.
pub const TICK: &str = "tick";
/// Name of the event; its payload is [`crate::methods::system::HealthSummary`].
pub const HEALTH: &str = "health";
/// Name of the event.
pub const PRESENCE: &str = "presence";
/// Name of the event.
pub const SHUTDOWN: &str = "shutdown";
/// Name of the event; its payload is [`crate::methods::heartbeat::HeartbeatEvent`].
pub const HEARTBEAT: &str = "heartbeat";

/// Name of the event.
pub const CONFIG_CHANGED: &str = "config.changed";

/// Payload of `config.changed`: another configuration is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChangedEvent {
    /// The configuration file.
    pub path: String,
    /// Hash of its text, as `config.get` gives it.
    pub hash: String,
    /// When, milliseconds since the epoch.
    pub ts: u64,
}

/// Payload of `tick`: the gateway lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TickEvent {
    /// The gateway's time, milliseconds since the epoch.
    pub ts: u64,
}

/// Payload of `presence`: everyone present.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceEvent {
    /// The whole list, newest first.
    pub presence: Vec<PresenceEntry>,
}

/// Payload of `shutdown`, the last event before sockets are closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShutdownEvent {
    /// Why.
    pub reason: String,
    /// When the gateway should be back, milliseconds from now; absent when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_expected_ms: Option<u64>,
}
