//! `sessions.*`: the index of conversations and who listens to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{
    EmptyParams, MAX_ID, MAX_INT, MAX_SESSION_KEY, MAX_TEXT, ModelDefaults, Nullable,
};
pub use super::session_row::{ChatType, SessionKind, SessionRow, SessionStatus};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// A page of sessions.
    SessionsList => "sessions.list", Access::Operator(Scope::Read), read, SessionsListParams => SessionsListResult;
    /// Starts `sessions.changed` events for this connection; with list parameters, also gives that list.
    SessionsSubscribe => "sessions.subscribe", Access::Operator(Scope::Read), read, SessionsListParams => SessionsSubscribeResult;
    /// Ends them.
    SessionsUnsubscribe => "sessions.unsubscribe", Access::Operator(Scope::Read), read, EmptyParams => SessionsSubscribeResult;
    /// Starts `session.message` events of one session for this connection.
    SessionsMessagesSubscribe => "sessions.messages.subscribe", Access::Operator(Scope::Read), read, SessionKeyParams => SessionsMessagesSubscribeResult;
    /// Ends them.
    SessionsMessagesUnsubscribe => "sessions.messages.unsubscribe", Access::Operator(Scope::Read), read, SessionKeyParams => SessionsMessagesSubscribeResult;
    /// One session.
    SessionsDescribe => "sessions.describe", Access::Operator(Scope::Read), read, SessionsDescribeParams => SessionsDescribeResult;
    /// The canonical key of a session.
    SessionsResolve => "sessions.resolve", Access::Operator(Scope::Read), read, SessionsResolveParams => SessionsResolveResult;
    /// The last lines of some sessions.
    SessionsPreview => "sessions.preview", Access::Operator(Scope::Read), read, SessionsPreviewParams => SessionsPreviewResult;
}

/// Parameters of `sessions.list`; all filters must hold, unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsListParams {
    /// Most rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub limit: Option<u32>,
    /// Rows to skip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub offset: Option<u64>,
    /// Only sessions that changed in this many minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_INT))]
    pub active_minutes: Option<u64>,
    /// Only sessions that work: a run is under way, or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_only: Option<bool>,
    /// Order, newest first; those that are pinned come first, but by `activity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_by: Option<SessionSort>,
    /// With the global session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_global: Option<bool>,
    /// With sessions of no known kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_unknown: Option<bool>,
    /// With titles taken from the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_derived_titles: Option<bool>,
    /// With a preview of the last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_last_message: Option<bool>,
    /// Only sessions with this label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub label: Option<String>,
    /// Only sessions that this session made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub spawned_by: Option<String>,
    /// Only sessions of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Only sessions whose key, label or title contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub search: Option<String>,
    /// Archived sessions: false (default), true or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<ArchivedFilter>,
}

/// Order of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionSort {
    /// By last change.
    UpdatedAt,
    /// By last message of a person.
    LastInteractionAt,
    /// By what happened last, pinned or not.
    Activity,
}

/// Which sessions by archived state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ArchivedFilter {
    /// Only archived (true) or only live (false) ones.
    Only(bool),
    /// Both.
    All(ArchivedAll),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ArchivedAll {
    /// Both.
    All,
}

/// A page of sessions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsListResult {
    /// When it was taken, milliseconds since the epoch.
    pub ts: u64,
    /// Where they are stored.
    pub path: String,
    /// Rows on this page.
    pub count: u64,
    /// The model of a session that names none.
    pub defaults: ModelDefaults,
    /// The rows.
    pub sessions: Vec<SessionRow>,
    /// Rows on all pages (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_count: Option<u64>,
    /// Most rows of a page (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_applied: Option<u64>,
    /// Offset of the next page (v4).
    #[serde(default)]
    pub next_offset: Nullable<u64>,
    /// Whether there is one (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_more: Option<bool>,
}

/// Whether this connection gets `sessions.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsSubscribeResult {
    /// Whether it does.
    pub subscribed: bool,
    /// The list, when list parameters were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<SessionsListResult>,
}

/// Parameters of `sessions.messages.subscribe` and `.unsubscribe`; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionKeyParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: String,
    /// Its agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
}

/// Whether this connection gets `session.message` of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsMessagesSubscribeResult {
    /// Whether it does.
    pub subscribed: bool,
    /// Canonical key of the session.
    pub key: String,
}

/// Parameters of `sessions.describe`; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsDescribeParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: String,
    /// With a title taken from the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_derived_titles: Option<bool>,
    /// With a preview of the last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_last_message: Option<bool>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsDescribeResult {
    /// The row, or null if there is none.
    pub session: Nullable<SessionRow>,
}

/// Parameters of `sessions.resolve`: exactly one of key, sessionId, label and shortId.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsResolveParams {
    /// A key in any form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: Option<String>,
    /// The id of the transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub session_id: Option<String>,
    /// The label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub label: Option<String>,
    /// The beginning of the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub short_id: Option<String>,
    /// Only sessions of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Only sessions that this session made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub spawned_by: Option<String>,
    /// With the global session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_global: Option<bool>,
    /// With sessions of no known kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_unknown: Option<bool>,
    /// Answer `ok: false` instead of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_missing: Option<bool>,
}

/// The canonical key of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsResolveResult {
    /// Whether there is exactly one.
    pub ok: bool,
    /// Its canonical key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its agent (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// What it could be, when it is not clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Vec<SessionCandidate>>,
}

/// A session that could be meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCandidate {
    /// Its canonical key.
    pub key: String,
    /// Its agent.
    pub agent_id: String,
    /// Name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

/// Parameters of `sessions.preview`; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsPreviewParams {
    /// The sessions.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = MAX_SESSION_KEY)))]
    pub keys: Vec<String>,
    /// Most lines each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// Most characters a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 20, max = 10_000))]
    pub max_chars: Option<u32>,
}

/// The last lines of some sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsPreviewResult {
    /// When it was taken, milliseconds since the epoch.
    pub ts: u64,
    /// In the order of the keys.
    pub previews: Vec<SessionPreview>,
}

/// The last lines of one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionPreview {
    /// The key as it was asked for.
    pub key: String,
    /// Whether there are any.
    pub status: PreviewStatus,
    /// The lines, oldest first.
    pub items: Vec<PreviewItem>,
}

/// One line of a preview.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewItem {
    /// Who said it.
    pub role: String,
    /// What was said.
    pub text: String,
}

/// Whether a preview has lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PreviewStatus {
    /// It has.
    Ok,
    /// The session has none.
    Empty,
    /// There is no such session.
    Missing,
    /// It could not be read.
    Error,
}
