//! `sessions.changed`: the index of conversations changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::methods::sessions::SessionRow;

/// Name of the event.
pub const SESSIONS_CHANGED: &str = "sessions.changed";

/// Payload of `sessions.changed` (v4, after `sessions.subscribe`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsChangedEvent {
    /// Canonical key of the session.
    pub session_key: String,
    /// Its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// What changed it: `send`, `patch`, `create`, `delete`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where its run stands: `start`, `model`, `end`, `error`, `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// When, milliseconds since the epoch.
    pub ts: u64,
    /// The session after it; absent when it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRow>,
}
