//! `agent` (two responses on one id) and `agent.wait`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{
    Attachment, MAX_ATTACHMENTS, MAX_ID, MAX_IDEMPOTENCY_KEY, MAX_INT, MAX_MESSAGE,
    MAX_SESSION_KEY, MAX_TEXT, Nullable,
};
use super::message::Usage;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Starts a run. The first response says that it was accepted, the second how it ended.
    Agent => "agent", Access::Operator(Scope::Write), effect, AgentParams => AgentResult;
    /// Waits for the end of a run.
    AgentWait => "agent.wait", Access::Operator(Scope::Write), read, AgentWaitParams => AgentWaitResult;
}

/// Parameters of `agent`, the union of both generations. What official clients may send and this
/// /// gateway has no use for is accepted and ignored; any other key is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentParams {
    /// What the agent is told.
    #[schemars(length(min = 1, max = MAX_MESSAGE))]
    pub message: String,
    /// Names the run; the same key never runs twice.
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: String,
    /// The agent; the default one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// The session; the agent's main session if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// The session by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub session_id: Option<String>,
    /// Model provider for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub provider: Option<String>,
    /// Model for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub model: Option<String>,
    /// Thinking level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub thinking: Option<String>,
    /// Recipient of the answer, when it is delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub to: Option<String>,
    /// Recipient of the answer, when it differs from `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub reply_to: Option<String>,
    /// Whether the answer goes to a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// Channel of `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub channel: Option<String>,
    /// Channel of `replyTo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub reply_channel: Option<String>,
    /// Account on `channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
    /// Account on `replyChannel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub reply_account_id: Option<String>,
    /// Thread of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub thread_id: Option<String>,
    /// Group the message came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub group_id: Option<String>,
    /// Channel of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub group_channel: Option<String>,
    /// Space of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub group_space: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ATTACHMENTS))]
    pub attachments: Option<Vec<Attachment>>,
    /// Limit of the run, seconds; 0 is the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub timeout: Option<u64>,
    /// Whether the run counts as done when delivery fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort_deliver: Option<bool>,
    /// Added to the system prompt of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub extra_system_prompt: Option<String>,
    /// Name for the session, when the run makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub label: Option<String>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Value>,
    /// Accepted for compatibility (v3); ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_existing_session_id: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_bundle_mcp_on_run_end: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_run: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_mode: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_context_mode: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_context_run_kind: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acp_turn_source: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_runtime_handoff_id: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_execution_identity_retry: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_execution_identity_recovery_attempt: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_approval_followup_expected_session_id: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_events: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_provenance: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_prompt_persistence: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_effects: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_reply_delivery_mode: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_message_tool: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm_collector: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm_output_schema: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_restart_safe_tools: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_code_mode_tools: Option<Value>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_wake_trigger: Option<Value>,
}

/// Either response of `agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AgentResult {
    /// The first one, or the answer to a replay while the run is under way.
    Ack(AgentAck),
    /// The last one, and the answer to a replay after the run.
    Final(Box<AgentFinal>),
}

/// The run was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentAck {
    /// The request's idempotency key.
    pub run_id: String,
    /// Whether it is new.
    pub status: AckStatus,
    /// When, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<u64>,
    /// Canonical key of the session (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The agent (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// Whether an accepted run is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AckStatus {
    /// It is.
    Accepted,
    /// The key is known and its run is under way.
    InFlight,
}

/// The run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentFinal {
    /// The request's idempotency key.
    pub run_id: String,
    /// How it ended.
    pub status: RunStatus,
    /// One line for people: `completed`, `aborted`, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// Why it was stopped (v4): `rpc`, `stop`, `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// What it was waiting for (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_phase: Option<String>,
    /// Whether the model had been asked (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_started: Option<bool>,
    /// When it ended, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// Completed.
    Ok,
    /// Failed.
    Error,
    /// Stopped by its limit or by somebody.
    Timeout,
}

/// What a run gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// Parts of the answer.
    pub payloads: Vec<RunPayload>,
    /// Facts about it.
    pub meta: RunMeta,
}

/// One part of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunPayload {
    /// The text.
    pub text: String,
    /// A file, or null.
    pub media_url: Nullable<String>,
}

/// Facts about a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunMeta {
    /// Milliseconds from acceptance to end.
    pub duration_ms: u64,
    /// Who answered.
    pub agent_meta: AgentMeta,
    /// Whether it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<bool>,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentMeta {
    /// The session.
    pub session_id: String,
    /// Model provider.
    pub provider: String,
    /// Model.
    pub model: String,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Parameters of `agent.wait`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentWaitParams {
    /// The run.
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub run_id: String,
    /// How long to wait at most, milliseconds; 30,000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub timeout_ms: Option<u64>,
}

/// How a run ended, or that it has not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentWaitResult {
    /// The run.
    pub run_id: String,
    /// `timeout` when it is unknown or still under way.
    pub status: RunStatus,
    /// Start, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// End, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was stopped (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}
