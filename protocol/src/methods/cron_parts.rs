//! What jobs are made of: when they are due, what they do, where the answer goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{MAX_ID, MAX_INT, MAX_MESSAGE, MAX_TEXT};
use super::cron::MAX_DATE;

/// When a job is due. Which fields belong to a kind is checked by the scheduler, which says what is
/// wrong in words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronSchedule {
    /// Of which kind.
    pub kind: ScheduleKind,
    /// `at`: when, as ISO 8601; local time where it names no zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub at: Option<String>,
    /// `at` of v3: milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_DATE))]
    pub at_ms: Option<u64>,
    /// `every`: milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_DATE))]
    pub every_ms: Option<u64>,
    /// `every`: from when on; from the job's making where unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_DATE))]
    pub anchor_ms: Option<u64>,
    /// `cron`: five fields, or six with seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub expr: Option<String>,
    /// `cron`: an IANA zone; the gateway's own where unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub tz: Option<String>,
    /// `cron`: each job is late by a time of its own, below this, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_DATE))]
    pub stagger_ms: Option<u64>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#match: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_ms: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch_bytes: Option<Value>,
}

/// The kinds of schedules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Once.
    #[default]
    At,
    /// At regular times.
    Every,
    /// By a cron expression.
    Cron,
    /// When a program ends; refused.
    OnExit,
    /// When a program says something; refused.
    Stream,
}

/// What a job does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronPayload {
    /// Of which kind.
    pub kind: PayloadKind,
    /// `systemEvent`: what the agent is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_MESSAGE))]
    pub text: Option<String>,
    /// `agentTurn`: what the agent is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_MESSAGE))]
    pub message: Option<String>,
    /// `agentTurn`: the model, `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub model: Option<String>,
    /// `agentTurn`: how much it should think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub thinking: Option<String>,
    /// Longest run, seconds; 0 is the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub timeout_seconds: Option<f64>,
    /// `agentTurn`: ignored; the agent's own follow its first model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Vec<String>>,
    /// `agentTurn`: ignored; nothing makes foreign text trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_unsafe_external_content: Option<bool>,
    /// `agentTurn`: ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light_context: Option<bool>,
    /// Refused where it is narrower than what the agent has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_allow: Option<Vec<String>>,
    /// Whether nobody wrote `toolsAllow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_allow_is_default: Option<bool>,
    /// v3: whether the answer is delivered; `delivery` takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// v3: see `delivery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub channel: Option<String>,
    /// v3: see `delivery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub to: Option<String>,
    /// v3: see `delivery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort_deliver: Option<bool>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Value>,
    /// Of kinds that this gateway refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// The kinds of payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PayloadKind {
    /// A text for the main session.
    #[default]
    SystemEvent,
    /// A run of its own.
    AgentTurn,
    /// A program; refused.
    Command,
    /// A script; refused.
    Script,
}

/// Where the answer goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronDelivery {
    /// Whether, and how.
    pub mode: DeliveryMode,
    /// The channel; `last` and none are the main session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: Option<String>,
    /// The recipient there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub to: Option<String>,
    /// The account that sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub account_id: Option<String>,
    /// The thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<Value>,
    /// Whether a run counts as done when its answer cannot be delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort: Option<bool>,
    /// Who is told of failures, in place of whoever gets the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_destination: Option<CronDestination>,
    /// A web address that is told of the end besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_destination: Option<CronCompletion>,
}

/// Where a notice goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronDestination {
    /// The channel; `last` and none are the main session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: Option<String>,
    /// The recipient there, or the web address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub to: Option<String>,
    /// The account that sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub account_id: Option<String>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AlertMode>,
}

/// A web address that is told of the end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronCompletion {
    /// Always `webhook`.
    pub mode: CompletionMode,
    /// The address.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub to: String,
}

/// How the end of a run is told besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CompletionMode {
    /// By a post.
    Webhook,
}

/// How somebody is told of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AlertMode {
    /// In a chat.
    Announce,
    /// By a post.
    Webhook,
}

/// Whether somebody is told that a job fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CronAlert {
    /// `false`: nobody.
    #[schemars(extend("const" = false))]
    Off(bool),
    /// By these rules.
    On(CronFailureAlert),
}

/// When and where somebody is told that a job fails. What is absent is as the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronFailureAlert {
    /// After so many failures in a row; 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_INT))]
    pub after: Option<u64>,
    /// The channel; `last` and none are the main session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: Option<String>,
    /// The recipient there, or the web address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub to: Option<String>,
    /// How long another cause waits, milliseconds; an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub cooldown_ms: Option<u64>,
    /// Ignored: what was passed over is never told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_skipped: Option<bool>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AlertMode>,
    /// The account that sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub account_id: Option<String>,
}

/// Whether an answer is delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryMode {
    /// It stays in its session.
    #[default]
    None,
    /// It is sent.
    Announce,
    /// To a web address.
    Webhook,
}
