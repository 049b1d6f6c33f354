//! `usage.*` and `sessions.usage`: what answers took, by day, session and model.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{EmptyParams, MAX_ID, MAX_SESSION_KEY};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// What providers say of their own limits.
    UsageStatus => "usage.status", Access::Operator(Scope::Read), read, EmptyParams => UsageStatusResult;
    /// Tokens and cost by day.
    UsageCost => "usage.cost", Access::Operator(Scope::Read), read, UsageParams => UsageCostResult;
    /// Tokens and cost by session, with the sums by day, model and agent.
    SessionsUsage => "sessions.usage", Access::Operator(Scope::Read), read, UsageParams => SessionsUsageResult;
}

/// Sessions that are listed when the client names no number.
pub const DEFAULT_SESSIONS: u32 = 50;
/// Most sessions that are listed.
pub const MAX_SESSIONS: u32 = 1_000;

/// Which time, whose sessions. Unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageParams {
    /// Only this session (`sessions.usage`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub key: Option<String>,
    /// Only this agent; the default one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// All agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_scope: Option<AgentScope>,
    /// First day, `YYYY-MM-DD`; together with the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    pub start_date: Option<String>,
    /// Last day, which counts too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    pub end_date: Option<String>,
    /// The last days, today included; 30 if nothing names a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_600))]
    pub days: Option<u32>,
    /// The same by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<UsageRange>,
    /// Where a day begins; in UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<DayMode>,
    /// IANA name of the zone, for `specific`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// `UTC+2` or `UTC-03:30`, for `specific` without a zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub utc_offset: Option<String>,
    /// Whether conversations that were set aside count for their session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<UsageGrouping>,
    /// Older name of `groupBy: "family"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_historical: Option<bool>,
    /// Most sessions that are listed; 50 if absent. Sums are over all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub limit: Option<u32>,
}

/// Whose sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AgentScope {
    /// Those of every agent.
    All,
}

/// A time until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum UsageRange {
    #[serde(rename = "7d")]
    Week,
    #[serde(rename = "30d")]
    Month,
    #[serde(rename = "90d")]
    Quarter,
    #[serde(rename = "1y")]
    Year,
    #[serde(rename = "all")]
    All,
}

/// Where a day begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DayMode {
    /// In UTC.
    Utc,
    /// Where the gateway is.
    Gateway,
    /// In the zone that the request names.
    Specific,
}

/// What is one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UsageGrouping {
    /// Each conversation.
    Instance,
    /// Each session with all its conversations.
    Family,
}

/// What providers say of their own limits; none is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatusResult {
    /// Milliseconds since the epoch.
    pub updated_at: u64,
    /// The providers.
    pub providers: Vec<Value>,
}

/// Sums of tokens and dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageTotals {
    /// Tokens read, without cached ones.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read from a cache.
    pub cache_read: u64,
    /// Tokens written to it.
    pub cache_write: u64,
    /// All of them.
    pub total_tokens: u64,
    /// Dollars, as far as prices are known.
    pub total_cost: f64,
    /// Of it for tokens read.
    pub input_cost: f64,
    /// Of it for tokens written.
    pub output_cost: f64,
    /// Of it for tokens read from a cache.
    pub cache_read_cost: f64,
    /// Of it for tokens written to it.
    pub cache_write_cost: f64,
    /// Answers whose price is not known.
    pub missing_cost_entries: u64,
}

impl AddAssign<&Self> for UsageTotals {
    fn add_assign(&mut self, other: &Self) {
        self.input += other.input;
        self.output += other.output;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.total_tokens += other.total_tokens;
        self.total_cost += other.total_cost;
        self.input_cost += other.input_cost;
        self.output_cost += other.output_cost;
        self.cache_read_cost += other.cache_read_cost;
        self.cache_write_cost += other.cache_write_cost;
        self.missing_cost_entries += other.missing_cost_entries;
    }
}

/// Answer of `usage.cost`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageCostResult {
    /// Milliseconds since the epoch.
    pub updated_at: u64,
    /// Days that were asked for.
    pub days: u64,
    /// Those on which something was answered, oldest first.
    pub daily: Vec<DailyTotals>,
    /// All of them together.
    pub totals: UsageTotals,
}

/// Sums of a day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DailyTotals {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// Its sums.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// Answer of `sessions.usage`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsUsageResult {
    /// Milliseconds since the epoch.
    pub updated_at: u64,
    /// First day.
    pub start_date: String,
    /// Last day.
    pub end_date: String,
    /// The sessions, that with the newest answer first.
    pub sessions: Vec<SessionUsageRow>,
    /// Sums of all sessions, listed or not.
    pub totals: UsageTotals,
    /// The same by day, model and agent.
    pub aggregates: UsageAggregates,
}

/// What a session took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionUsageRow {
    /// Canonical key.
    pub key: String,
    /// Name that a person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its newest conversation.
    pub session_id: String,
    /// `instance` or `family`.
    pub scope: String,
    /// The conversations that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_session_ids: Option<Vec<String>>,
    /// Its newest answer, milliseconds since the epoch.
    pub updated_at: u64,
    /// Its agent.
    pub agent_id: String,
    /// Provider of the newest answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Model of the newest answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The sums.
    pub usage: SessionUsage,
    /// Always false.
    pub has_context_weight: bool,
}

/// Sums of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionUsage {
    /// Its newest conversation.
    pub session_id: String,
    /// First message, milliseconds since the epoch.
    pub first_activity: u64,
    /// Last one.
    pub last_activity: u64,
    /// Between them.
    pub duration_ms: u64,
    /// Days on which something was said.
    pub activity_dates: Vec<String>,
    /// By day.
    pub daily_breakdown: Vec<DailyUsage>,
    /// Messages by day.
    pub daily_message_counts: Vec<DailyMessages>,
    /// By day and model.
    pub daily_model_usage: Vec<DailyModel>,
    /// Messages.
    pub message_counts: MessageCounts,
    /// Tools.
    pub tool_usage: ToolUsage,
    /// By model.
    pub model_usage: Vec<ModelUsage>,
    /// Tokens and dollars.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// Sums of a day, twice as the contract has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DailyUsage {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// All tokens.
    pub tokens: u64,
    /// Dollars.
    pub cost: f64,
    /// Its sums.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// How many messages there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounts {
    /// All of them.
    pub total: u64,
    /// Of people.
    pub user: u64,
    /// Of models.
    pub assistant: u64,
    /// Calls of tools.
    pub tool_calls: u64,
    /// Their results.
    pub tool_results: u64,
    /// Runs that failed.
    pub errors: u64,
}

impl AddAssign<&Self> for MessageCounts {
    fn add_assign(&mut self, other: &Self) {
        self.total += other.total;
        self.user += other.user;
        self.assistant += other.assistant;
        self.tool_calls += other.tool_calls;
        self.tool_results += other.tool_results;
        self.errors += other.errors;
    }
}

/// Messages of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DailyMessages {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// How many.
    #[serde(flatten)]
    pub counts: MessageCounts,
}

/// Tools that were called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolUsage {
    /// All calls.
    pub total_calls: u64,
    /// How many tools.
    pub unique_tools: u64,
    /// Each of them, the most called first.
    pub tools: Vec<ToolCount>,
}

/// How often a tool was called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCount {
    /// The tool.
    pub name: String,
    /// Its calls.
    pub count: u64,
}

/// Sums of a model or a provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelUsage {
    /// The provider.
    pub provider: String,
    /// The model; absent for a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Answers.
    pub count: u64,
    /// Its sums.
    pub totals: UsageTotals,
}

/// Sums of a model on a day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DailyModel {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// All tokens.
    pub tokens: u64,
    /// Dollars.
    pub cost: f64,
    /// Answers.
    pub count: u64,
}

/// Sums of an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentUsage {
    /// The agent.
    pub agent_id: String,
    /// Its sums.
    pub totals: UsageTotals,
}

/// What happened on a day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DailyActivity {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// All tokens.
    pub tokens: u64,
    /// Dollars.
    pub cost: f64,
    /// Messages.
    pub messages: u64,
    /// Calls of tools.
    pub tool_calls: u64,
    /// Runs that failed.
    pub errors: u64,
}

/// Sums over all sessions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageAggregates {
    /// How many sessions there are.
    pub session_count: u64,
    /// The longest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_session_duration_ms: Option<u64>,
    /// Messages.
    pub messages: MessageCounts,
    /// Tools.
    pub tools: ToolUsage,
    /// By model, the dearest first.
    pub by_model: Vec<ModelUsage>,
    /// By provider.
    pub by_provider: Vec<ModelUsage>,
    /// By agent.
    pub by_agent: Vec<AgentUsage>,
    /// Empty.
    pub by_channel: Vec<Value>,
    /// By day.
    pub cost_daily: Vec<DailyTotals>,
    /// Empty: how long answers took is not kept.
    pub daily_latency: Vec<Value>,
    /// By day and model.
    pub model_daily: Vec<DailyModel>,
    /// What happened, by day.
    pub daily: Vec<DailyActivity>,
}
