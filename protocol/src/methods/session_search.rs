//! `sessions.search`: messages of all conversations by their words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{MAX_ID, MAX_SESSION_KEY};
use super::message::MessageRole;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Messages that contain every word of the query.
    SessionsSearch => "sessions.search", Access::Operator(Scope::Read), read, SessionsSearchParams => SessionsSearchResult;
}

/// Most hits.
pub const MAX_HITS: u32 = 25;

/// Parameters of `sessions.search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsSearchParams {
    /// Words, all of which a message has to contain, in any case and order.
    #[schemars(length(min = 1, max = 4_096))]
    pub query: String,
    /// Only sessions of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Only these sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), inner(length(min = 1, max = MAX_SESSION_KEY)))]
    pub session_keys: Option<Vec<String>>,
    /// Most hits; 10 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_HITS))]
    pub limit: Option<u32>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsSearchResult {
    /// The best first.
    pub results: Vec<SearchHit>,
    /// Whether there is more than was looked at or is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchHit {
    /// Its session.
    pub session_key: String,
    /// Its transcript.
    pub session_id: String,
    /// Its entry.
    pub message_id: String,
    /// Who it is from: `user` or `assistant`.
    pub role: MessageRole,
    /// Milliseconds since the epoch.
    pub timestamp: u64,
    /// What stands around the first word.
    pub snippet: String,
    /// How well it fits; larger is better.
    pub score: f64,
}
