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

/// Name of the event.
pub const SESSION_OPERATION: &str = "session.operation";

/// Payload of `session.operation` (v4, after `sessions.subscribe`): work on a session that is no run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionOperationEvent {
    /// Tells it from others.
    pub operation_id: String,
    /// What is done.
    pub operation: SessionOperation,
    /// Whether it begins or ended.
    pub phase: OperationPhase,
    /// Canonical key of the session.
    pub session_key: String,
    /// Its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When, milliseconds since the epoch.
    pub ts: u64,
    /// At its end: whether it did what it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<bool>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is done to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionOperation {
    /// `sessions.compact`.
    Compact,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OperationPhase {
    /// It begins.
    Start,
    /// It ended.
    End,
}
