//! `chat.*`: conversations of web, terminal and app clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agents::AgentsListResult;
use super::commands::CommandArg;
use super::common::{
    Attachment, MAX_ATTACHMENTS, MAX_ID, MAX_IDEMPOTENCY_KEY, MAX_INT, MAX_MESSAGE,
    MAX_SESSION_KEY, MAX_TEXT, ModelDefaults, Nullable,
};
pub use super::message::{
    Content, ContentPart, KnownPart, Message, MessageMeta, MessageRole, Usage,
};
use super::models::ModelChoice;
use super::sessions::SessionRow;
use crate::events::SessionMessageEvent;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Sends a message to an agent and starts a run.
    ChatSend => "chat.send", Access::Operator(Scope::Write), effect, ChatSendParams => ChatSendResult;
    /// A page of a transcript.
    ChatHistory => "chat.history", Access::Operator(Scope::Read), read, ChatHistoryParams => ChatHistoryAnswer;
    /// What a chat page needs at its start: history, agents and models.
    ChatStartup => "chat.startup", Access::Operator(Scope::Read), read, ChatHistoryParams => ChatStartupResult;
    /// Stops runs of a session.
    ChatAbort => "chat.abort", Access::Operator(Scope::Write), effect, ChatAbortParams => ChatAbortResult;
    /// Models and commands that a chat offers.
    ChatMetadata => "chat.metadata", Access::Operator(Scope::Read), read, ChatMetadataParams => ChatMetadataResult;
}

/// Parameters of `chat.send`, the union of both generations. What official clients may send and
/// /// this gateway has no use for is accepted and ignored; any other key is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatSendParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: String,
    /// What the agent is told; may be empty with attachments.
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: String,
    /// Names the run; the same key never runs twice.
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: String,
    /// The agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// The transcript that the client shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub session_id: Option<String>,
    /// Thinking level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub thinking: Option<String>,
    /// What to do while a run is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_mode: Option<QueueMode>,
    /// Whether the answer also goes to the session's channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// Channel the message came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub originating_channel: Option<String>,
    /// Recipient there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub originating_to: Option<String>,
    /// Account there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub originating_account_id: Option<String>,
    /// Thread there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub originating_thread_id: Option<String>,
    /// Message that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub reply_to_id: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ATTACHMENTS))]
    pub attachments: Option<Vec<Attachment>>,
    /// Limit of the run, milliseconds; 0 is the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub timeout_ms: Option<u64>,
    /// Take a leading `/` as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_command_interpretation: Option<bool>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_leaf_entry_id: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_session_routing_contract: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_permission_mode: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_tool_overrides: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_mode: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_auto_on_seconds: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_bindings: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_input_provenance: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_provenance_receipt: Option<Value>,
}

impl ChatSendParams {
    /// A message, and nothing else said about it.
    pub const fn new(session_key: String, message: String, idempotency_key: String) -> Self {
        Self {
            session_key,
            message,
            idempotency_key,
            agent_id: None,
            session_id: None,
            thinking: None,
            queue_mode: None,
            deliver: None,
            originating_channel: None,
            originating_to: None,
            originating_account_id: None,
            originating_thread_id: None,
            reply_to_id: None,
            attachments: None,
            timeout_ms: None,
            suppress_command_interpretation: None,
            expected_leaf_entry_id: None,
            expected_session_routing_contract: None,
            expected_permission_mode: None,
            expected_tool_overrides: None,
            intent: None,
            fast_mode: None,
            fast_auto_on_seconds: None,
            tool_bindings: None,
            system_input_provenance: None,
            system_provenance_receipt: None,
        }
    }
}

/// What to do with a message while a run is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum QueueMode {
    /// Give it to the run.
    Steer,
    /// Queue it as a run of its own.
    Followup,
    /// Queue it, together with others.
    Collect,
    /// Stop the run first.
    Interrupt,
}

/// Answer of `chat.send`: a run, or what a stop phrase stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ChatSendResult {
    /// A run.
    Run(ChatRunAck),
    /// The message was a stop phrase.
    Stopped(ChatAbortResult),
}

/// A run was started, or its key is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatRunAck {
    /// The request's idempotency key.
    pub run_id: String,
    /// State of the run.
    pub status: ChatRunStatus,
    /// One line for people, of a run that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Why it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// When it ended, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
}

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatRunStatus {
    /// It is new.
    Started,
    /// It is under way.
    InFlight,
    /// It completed.
    Ok,
    /// It failed.
    Error,
    /// It was stopped.
    Timeout,
}

/// Parameters of `chat.history` and `chat.startup`; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistoryParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: String,
    /// The agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// The transcript that `messageId` belongs to; the current one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub session_id: Option<String>,
    /// Only what came since an earlier answer: its `deltaCursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub cursor: Option<String>,
    /// Most messages; 200 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// Messages to skip, from the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub offset: Option<u64>,
    /// Only what is around this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub message_id: Option<String>,
    /// Longest text of a message, characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500_000))]
    pub max_chars: Option<u32>,
}

/// Answer of `chat.history`: a page, or what came since a cursor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ChatHistoryAnswer {
    /// A page.
    Page(Box<ChatHistoryResult>),
    /// What came since the cursor.
    Delta(Box<ChatHistoryDelta>),
    /// The cursor leads nowhere.
    Reset(ChatHistoryReset),
}

/// What came since a cursor, oldest first. All of it: where that is too much, the answer is a
/// [`ChatHistoryReset`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistoryDelta {
    /// Always `delta`.
    pub kind: DeltaKind,
    /// The messages, as `session.message` would have told them.
    pub messages: Vec<SessionMessageEvent>,
    /// Where the next request goes on.
    pub delta_cursor: String,
    /// The session.
    pub session_info: SessionRow,
    /// Messages that wait for their run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_inputs: Option<PendingInputs>,
    /// The run under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_run: Option<InFlightRun>,
}

/// The one kind of a [`ChatHistoryDelta`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeltaKind {
    /// Messages to add to what the client has.
    Delta,
}

/// The cursor leads nowhere: the conversation began anew, or too much came since. The client asks for
/// the newest page instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatHistoryReset {
    /// Always `reset`.
    pub kind: ResetKind,
}

/// The one kind of a [`ChatHistoryReset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResetKind {
    /// What the client has is out of date.
    Reset,
}

/// A page of a transcript, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistoryResult {
    /// The key as it was asked for.
    pub session_key: String,
    /// Id of the transcript; absent when the session does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The messages.
    pub messages: Vec<Message>,
    /// Thinking level of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    /// Messages that wait for their run (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_inputs: Option<PendingInputs>,
    /// Where to ask for what comes after this page; of the newest page only (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_cursor: Option<String>,
    /// How many messages are newer than this page, of one around a message (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Offset of the next older page (v4).
    #[serde(default)]
    pub next_offset: Nullable<u64>,
    /// Whether there is one (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_more: Option<bool>,
    /// Messages of the whole transcript (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_messages: Option<u64>,
    /// The model of a session that names none (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ModelDefaults>,
    /// The session (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_info: Option<SessionRow>,
    /// The run under way (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_run: Option<InFlightRun>,
}

/// Messages that wait for their run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingInputs {
    /// Oldest first, at most 20.
    pub items: Vec<PendingInput>,
    /// How many there are.
    pub total: u64,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
}

/// A message that waits for its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingInput {
    /// Its entry.
    pub id: String,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The message.
    pub message: Message,
    /// Milliseconds since the epoch.
    pub accepted_at: u64,
    /// What became of it.
    pub state: PendingState,
}

/// What became of a waiting message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PendingState {
    /// It waits.
    Queued,
    /// Somebody took it back.
    Cancelled,
    /// The gateway restarted.
    Interrupted,
}

/// A run under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InFlightRun {
    /// The run.
    pub run_id: String,
    /// Its answer so far.
    pub text: String,
    /// Start, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
}

/// History, agents and models in one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatStartupResult {
    /// The history.
    #[serde(flatten)]
    pub history: ChatHistoryAnswer,
    /// The agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents_list: Option<AgentsListResult>,
    /// Models and commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ChatMetadataResult>,
}

/// Parameters of `chat.metadata`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatMetadataParams {
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
}

/// Models and commands that a chat offers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatMetadataResult {
    /// The models.
    pub models: Vec<ModelChoice>,
    /// The commands.
    pub commands: Vec<ChatCommand>,
}

/// A command that a message can begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatCommand {
    /// Its name without the slash.
    pub name: String,
    /// What a person can type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_aliases: Option<Vec<String>>,
    /// What it does.
    pub description: String,
    /// Where it is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whether text may follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts_args: Option<bool>,
    /// What may follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<CommandArg>>,
}

/// Parameters of `chat.abort`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatAbortParams {
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: String,
    /// The agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Only this run; all of the session if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub run_id: Option<String>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserve_side_runs: Option<Value>,
}

/// What was stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatAbortResult {
    /// Always true.
    pub ok: bool,
    /// Whether anything was.
    pub aborted: bool,
    /// The runs.
    pub run_ids: Vec<String>,
}
