//! `sessions.create` and `sessions.send`: sessions by their keys, with or without a first message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chat::ChatSendResult;
use super::common::{
    Attachment, MAX_ATTACHMENTS, MAX_ID, MAX_IDEMPOTENCY_KEY, MAX_INT, MAX_MESSAGE, MAX_SESSION_KEY,
};
use super::session_changes::{Label, ResolvedModelName};
use super::session_row::SessionRow;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Makes a session, or finds the one of that key; with a message, starts its first run.
    SessionsCreate => "sessions.create", Access::Operator(Scope::Write), effect, SessionsCreateParams => SessionsCreateResult;
    /// Sends a message to a session; answered as `chat.send` is.
    SessionsSend => "sessions.send", Access::Operator(Scope::Write), effect, SessionsSendParams => ChatSendResult;
}

/// Parameters of `sessions.create`. Keys of the official gateway that ask for what this one has not
/// (forks, worktrees, working directories, permissions) are refused by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsCreateParams {
    /// Its key; one is made up when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: Option<String>,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Its name for people; no two sessions share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Its model, `provider/model`, one of `models.list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub model: Option<String>,
    /// Its first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: Option<String>,
    /// Another name of `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub task: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ATTACHMENTS))]
    pub attachments: Option<Vec<Attachment>>,
    /// Names the run; the same key never makes two sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: Option<String>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session_key: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emit_command_hooks: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeds_parent: Option<Value>,
}

/// A session that was made or found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsCreateResult {
    /// Always true.
    pub ok: bool,
    /// Canonical key.
    pub key: String,
    /// Identity of its transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The session.
    pub entry: SessionRow,
    /// Whether its first message started a run.
    pub run_started: bool,
    /// That run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Number of that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_seq: Option<u64>,
    /// Which model answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedModelName>,
}

/// Parameters of `sessions.send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsSendParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: String,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// What the agent is told.
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: String,
    /// Thinking level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub thinking: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ATTACHMENTS))]
    pub attachments: Option<Vec<Attachment>>,
    /// Limit of the run, milliseconds; 0 is the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub timeout_ms: Option<u64>,
    /// Names the run; one is made up when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: Option<String>,
}
