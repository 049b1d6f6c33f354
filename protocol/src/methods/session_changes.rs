//! `sessions.*` that change a conversation, and `chat.inject`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::common::{MAX_ID, MAX_IDEMPOTENCY_KEY, MAX_INT, MAX_SESSION_KEY, MAX_TEXT, Nullable};
use super::session_row::SessionRow;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Changes label, model and marks of a session; makes it where there is none.
    SessionsPatch => "sessions.patch", Access::Operator(Scope::Write), effect, SessionsPatchParams => SessionsPatchResult;
    /// Begins a session anew: its runs stop, its transcript is set aside.
    SessionsReset => "sessions.reset", Access::Operator(Scope::Admin), effect, SessionsResetParams => SessionsResetResult;
    /// Shortens what models see of a session to a summary and its newest messages. History stays whole.
    SessionsCompact => "sessions.compact", Access::Operator(Scope::Admin), effect, SessionsCompactParams => SessionsCompactResult;
    /// Ends a session: its runs stop, and its transcripts go with it.
    SessionsDelete => "sessions.delete", Access::Operator(Scope::Admin), effect, SessionsDeleteParams => SessionsDeleteResult;
    /// Stops runs of a session, or one run.
    SessionsAbort => "sessions.abort", Access::Operator(Scope::Write), effect, SessionsAbortParams => SessionsAbortResult;
    /// Puts a message of the gateway into a session; no run follows.
    ChatInject => "chat.inject", Access::Operator(Scope::Admin), effect, ChatInjectParams => ChatInjectResult;
}

/// Longest label of a session, characters.
pub const MAX_LABEL: usize = 512;

/// Parameters of `sessions.patch`. What is absent stays as it is; null clears.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsPatchParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: String,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Only while this is its transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub expected_session_id: Option<String>,
    /// Its name for people; no two sessions share one.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Nullable<Label>")]
    pub label: Option<Nullable<Label>>,
    /// Its model, `provider/model`, one of `models.list`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Nullable<String>")]
    pub model: Option<Nullable<String>>,
    /// How much models think in it: off, minimal, low, medium, high, xhigh, adaptive or max.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Nullable<String>")]
    pub thinking_level: Option<Nullable<String>>,
    /// Whether lists leave it out unless asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Whether lists show it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
}

/// A session's name for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Label(#[schemars(length(min = 1, max = MAX_LABEL))] pub String);

/// Tells null, which clears, from absent, which leaves.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// What a patch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsPatchResult {
    /// Always true.
    pub ok: bool,
    /// Where it is stored.
    pub path: String,
    /// Canonical key.
    pub key: String,
    /// The session after the change.
    pub entry: SessionRow,
    /// Which model answers from now on (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedModelName>,
}

/// The model that answers in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedModelName {
    /// Its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Its name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Parameters of `sessions.reset`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsResetParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: String,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Why, for listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ResetReason>,
}

/// Why a session begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResetReason {
    /// A new conversation.
    New,
    /// The old one is to be forgotten.
    Reset,
}

/// A session that began anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsResetResult {
    /// Always true.
    pub ok: bool,
    /// Canonical key.
    pub key: String,
    /// The session after the reset.
    pub entry: SessionRow,
}

/// Parameters of `sessions.compact`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsCompactParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: String,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Without a summary: models go on seeing about this many of the newest messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_INT))]
    pub max_lines: Option<u64>,
}

/// What a compaction came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsCompactResult {
    /// Whether it did not fail.
    pub ok: bool,
    /// Canonical key.
    pub key: String,
    /// Whether models see less from now on.
    pub compacted: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With `maxLines`: how many messages they still see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    /// How much shorter it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<CompactionFigures>,
}

/// How much shorter a compaction made what models see; tokens are estimates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompactionFigures {
    /// What stands in the place of the older messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The oldest message that models still see, by its number.
    pub first_kept_seq: u64,
    /// Before.
    pub tokens_before: u64,
    /// After.
    pub tokens_after: u64,
}

/// Parameters of `sessions.delete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsDeleteParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: String,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Accepted for compatibility; a transcript always goes with its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_transcript: Option<bool>,
    /// Only while this is its transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub expected_session_id: Option<String>,
    /// Only if it is archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_only: Option<bool>,
    /// Accepted for compatibility; there are no hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emit_lifecycle_hooks: Option<bool>,
}

/// What a delete came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsDeleteResult {
    /// Always true.
    pub ok: bool,
    /// Canonical key.
    pub key: String,
    /// Whether there was such a session.
    pub deleted: bool,
    /// Files that the transcript was moved to: none.
    pub archived: Vec<String>,
}

/// Parameters of `sessions.abort`: a session, a run, or both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsAbortParams {
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: Option<String>,
    /// Only this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub run_id: Option<String>,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Accepted for compatibility; queued runs are stopped with the one under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear_queued: Option<bool>,
}

/// What was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsAbortResult {
    /// Always true.
    pub ok: bool,
    /// Whether anything was.
    pub aborted: bool,
    /// The runs.
    pub run_ids: Vec<String>,
}

/// Parameters of `chat.inject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatInjectParams {
    /// The session; it has to exist.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: String,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// What it says.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub message: String,
    /// Stands in brackets before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub label: Option<String>,
}

/// An injected message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatInjectResult {
    /// Always true.
    pub ok: bool,
    /// Its id.
    pub message_id: String,
}
