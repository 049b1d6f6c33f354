//! `heartbeat`, `last-heartbeat`, `set-heartbeats` and `wake`: agents that look after things by themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EmptyParams, MAX_ID, MAX_MESSAGE, MAX_SESSION_KEY, Nullable, OkResult};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The last heartbeat event, or null.
    LastHeartbeat => "last-heartbeat", Access::Operator(Scope::Read), read, EmptyParams => Nullable<HeartbeatEvent>;
    /// Lets heartbeats run, or stops them all, until it is said otherwise.
    SetHeartbeats => "set-heartbeats", Access::Operator(Scope::Admin), effect, SetHeartbeatsParams => SetHeartbeatsResult;
    /// Tells an agent something: at once, or with its next heartbeat.
    Wake => "wake", Access::Operator(Scope::Write), effect, WakeParams => OkResult;
}

/// Parameters of `set-heartbeats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetHeartbeatsParams {
    /// Whether they run.
    pub enabled: bool,
}

/// Result of `set-heartbeats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SetHeartbeatsResult {
    /// Always true.
    pub ok: bool,
    /// Whether they run.
    pub enabled: bool,
}

/// When a text for the main session is told. Where the agent has no heartbeat, both are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WakeMode {
    /// With the next heartbeat.
    NextHeartbeat,
    /// At once.
    #[default]
    Now,
}

/// Parameters of `wake`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WakeParams {
    /// When it is told.
    pub mode: WakeMode,
    /// What the agent is told.
    #[schemars(length(min = 1, max = MAX_MESSAGE))]
    pub text: String,
    /// The session; the agent's main session when unset. Any other is told at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// The agent; the default one when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
}

/// One heartbeat of an agent: payload of `heartbeat`, result of `last-heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatEvent {
    /// When it ended, milliseconds since the epoch.
    pub ts: u64,
    /// How it ended.
    pub status: HeartbeatStatus,
    /// Recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Beginning of what was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it was skipped or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whether nobody was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// What an indicator should show: `ok`, `alert` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator_type: Option<String>,
}

/// How a heartbeat ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HeartbeatStatus {
    /// Something was sent.
    Sent,
    /// The agent had nothing to say.
    OkEmpty,
    /// The agent answered with the agreed token.
    OkToken,
    /// It did not run.
    Skipped,
    /// It failed.
    Failed,
}
