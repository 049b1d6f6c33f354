//! `chat` and `session.message`: what a conversation shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::methods::message::{Message, Usage};
use crate::methods::sessions::SessionRow;

/// Name of the event.
pub const CHAT: &str = "chat";
/// Name of the event.
pub const SESSION_MESSAGE: &str = "session.message";

/// Payload of `chat`: one step of a run as a conversation shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatEvent {
    /// The run.
    pub run_id: String,
    /// The session: canonical for v4, as the client wrote it for v3.
    pub session_key: String,
    /// Number of the run's event that caused it.
    pub seq: u64,
    /// The agent (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Session that made this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub state: ChatState,
}

/// What happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum ChatState {
    /// It is being prepared (v4 only).
    Status(ChatStatus),
    /// The answer grew.
    Delta(ChatDelta),
    /// It completed.
    Final(ChatFinal),
    /// It was stopped.
    Aborted(ChatAborted),
    /// It failed.
    Error(ChatError),
}

impl ChatState {
    /// The same end without its text, for a message whose answer another run carries.
    #[must_use]
    pub fn without_message(&self) -> Self {
        let mut end = self.clone();
        match &mut end {
            Self::Final(end) => (end.message, end.usage) = (None, None),
            Self::Aborted(end) => end.message = None,
            Self::Error(end) => end.message = None,
            Self::Status(_) | Self::Delta(_) => {}
        }
        end
    }
}

/// A run is being prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatStatus {
    /// What is being done.
    pub phase: ChatPhase,
}

/// What is done before a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatPhase {
    /// Its folder is made ready.
    PreparingWorkspace,
    /// Its context is collected.
    PreparingContext,
    /// The model is asked.
    StartingModel,
}

/// The answer grew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatDelta {
    /// What was added, or the whole text when `replace` is set (v4).
    pub delta_text: String,
    /// The whole answer so far.
    pub message: Message,
    /// Whether `deltaText` replaces what was shown (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
    /// Tokens so far (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// A run completed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatFinal {
    /// The answer; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Tokens (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why the model ended (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}

/// A run was stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatAborted {
    /// What there was of an answer (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Why: `rpc`, `stop`, `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// A run failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatError {
    /// What there was of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// What happened and what to do, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// What kind of failure it is (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<ChatErrorKind>,
    /// Facts for a program (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ChatErrorDetail>,
    /// Why the model ended (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}

/// What kind of failure ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatErrorKind {
    /// The model refused.
    Refusal,
    /// It took too long.
    Timeout,
    /// The provider asked to wait.
    RateLimit,
    /// The conversation is too long for the model.
    ContextLength,
    /// Anything else.
    Unknown,
}

/// Facts about a failed run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatErrorDetail {
    /// Model provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub provider: Option<String>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub model: Option<String>,
    /// What the provider answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub http_status: Option<u16>,
    /// The provider's own word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub provider_error_type: Option<String>,
    /// Beginning of the provider's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub provider_error_message_preview: Option<String>,
}

/// Payload of `session.message`: a message was stored (v4, after `sessions.messages.subscribe`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionMessageEvent {
    /// Canonical key of the session.
    pub session_key: String,
    /// Its agent.
    pub agent_id: String,
    /// The message.
    pub message: Message,
    /// Its entry.
    pub message_id: String,
    /// Its number within the session, from 1.
    pub message_seq: u64,
    /// The session after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRow>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}
