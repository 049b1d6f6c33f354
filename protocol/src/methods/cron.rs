//! `cron.*`: jobs that run by the clock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{EmptyParams, MAX_ID, MAX_INT, MAX_SESSION_KEY, MAX_TEXT, Nullable};
pub use super::cron_parts::*;
use super::heartbeat::WakeMode;
use crate::method::Access;
use crate::scope::Scope;

/// Most rows of one page.
pub const MAX_CRON_PAGE: u32 = 200;
/// The last point of time that a schedule can name, milliseconds since the epoch.
pub const MAX_DATE: u64 = 8_640_000_000_000_000;

crate::methods! {
    /// A page of the jobs.
    CronList => "cron.list", Access::Operator(Scope::Read), read, CronListParams => CronListResult;
    /// Whether jobs run, how many there are, and when the next is due.
    CronStatus => "cron.status", Access::Operator(Scope::Read), read, EmptyParams => CronStatusResult;
    /// One job.
    CronGet => "cron.get", Access::Operator(Scope::Read), read, CronGetParams => CronJob;
    /// A page of the runs that ended.
    CronRuns => "cron.runs", Access::Operator(Scope::Read), read, CronRunsParams => CronRunsResult;
    /// Makes a job.
    CronAdd => "cron.add", Access::Operator(Scope::Admin), effect, CronAddParams => CronJob;
    /// Changes a job.
    CronUpdate => "cron.update", Access::Operator(Scope::Admin), effect, CronUpdateParams => CronJob;
    /// Ends a job; its history goes with it.
    CronRemove => "cron.remove", Access::Operator(Scope::Admin), effect, CronJobParams => CronRemoveResult;
    /// Runs a job now.
    CronRun => "cron.run", Access::Operator(Scope::Admin), effect, CronRunParams => CronRunResult;
}

/// Parameters of `cron.add`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronAddParams {
    /// Its name for people.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub description: Option<String>,
    /// Its name in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub display_name: Option<String>,
    /// Whether it runs; it does when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it goes after a run that went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// The agent; the default one when unset.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Nullable<String>")]
    pub agent_id: Option<Nullable<String>>,
    /// The session that `current` means, and that a text for the main session goes to.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Nullable<String>")]
    pub session_key: Option<Nullable<String>>,
    /// When it is due.
    pub schedule: CronSchedule,
    /// `main`, `isolated`, `current`, or `session:` and a key.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_target: String,
    /// When a text for the main session is told.
    pub wake_mode: WakeMode,
    /// What it does.
    pub payload: CronPayload,
    /// Where the answer goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<CronDelivery>,
    /// Who is told that it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_alert: Option<CronAlert>,
    /// Refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub declaration_key: Option<String>,
    /// Ignored: whoever makes a job owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Value>,
    /// Refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pacing: Option<Value>,
    /// Refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Value>,
    /// v3; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Value>,
}

/// Names a job as [`CronJobParams`] do; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronGetParams {
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: Option<String>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub job_id: Option<String>,
}

/// Names a job by `id`, or by its older name `jobId`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronJobParams {
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: Option<String>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub job_id: Option<String>,
}

/// Parameters of `cron.update`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronUpdateParams {
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: Option<String>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub job_id: Option<String>,
    /// What becomes of it.
    pub patch: CronPatch,
    /// Only while this is its `configRevision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub expected_config_revision: Option<String>,
}

/// A change of a job. What is absent stays, null clears, objects of one kind are merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronPatch {
    /// See [`CronAddParams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub name: Option<String>,
    /// See [`CronAddParams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub description: Option<String>,
    /// See [`CronAddParams`].
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Nullable<String>")]
    pub display_name: Option<Nullable<String>>,
    /// See [`CronAddParams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// See [`CronAddParams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// See [`CronAddParams`].
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Nullable<String>")]
    pub agent_id: Option<Nullable<String>>,
    /// See [`CronAddParams`].
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Nullable<String>")]
    pub session_key: Option<Nullable<String>>,
    /// See [`CronAddParams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CronSchedule>,
    /// See [`CronAddParams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_target: Option<String>,
    /// See [`CronAddParams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_mode: Option<WakeMode>,
    /// Merged where the kind stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Value>,
    /// See [`CronAddParams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_alert: Option<Value>,
    /// Refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pacing: Option<Value>,
    /// Refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Value>,
    /// Ignored: the scheduler keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
}

fn present<'de, D, T>(deserializer: D) -> Result<Option<Nullable<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Nullable::deserialize(deserializer).map(Some)
}

/// Parameters of `cron.list`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronListParams {
    /// Whether jobs that do not run are listed too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_disabled: Option<bool>,
    /// Most rows; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_CRON_PAGE))]
    pub limit: Option<u32>,
    /// Rows to leave out first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub offset: Option<u64>,
    /// Words of its name, description or text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub query: Option<String>,
    /// `all`, `enabled` or `disabled`; wins over `includeDisabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub enabled: Option<String>,
    /// `all`, or a kind of schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub schedule_kind: Option<String>,
    /// `all`, `ok`, `error`, `skipped`, or `unknown` for those that never ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub last_run_status: Option<String>,
    /// `nextRunAtMs` (the default), `updatedAtMs` or `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub sort_by: Option<String>,
    /// `asc` (the default) or `desc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub sort_dir: Option<String>,
    /// Only jobs of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
}

/// A page of jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronListResult {
    /// The rows.
    pub jobs: Vec<CronJob>,
    /// Rows of all pages.
    pub total: u64,
    /// Where this page begins.
    pub offset: u64,
    /// Most rows of a page.
    pub limit: u64,
    /// Whether another page follows.
    pub has_more: bool,
    /// Where it begins.
    pub next_offset: Nullable<u64>,
    /// Another one after every change of a job.
    pub snapshot_revision: String,
}

/// Whether jobs run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronStatusResult {
    /// Whether they do (`cron.enabled`).
    pub enabled: bool,
    /// Where they are kept.
    pub store_path: String,
    /// How many there are.
    pub jobs: u64,
    /// When the next one is due, milliseconds since the epoch.
    pub next_wake_at_ms: Nullable<u64>,
    /// Always false: there are no condition scripts.
    pub triggers_enabled: bool,
}

/// A job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronJob {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its name in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The agent that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The agent that runs it; in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_agent_id: Option<String>,
    /// The session that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Whether it runs.
    pub enabled: bool,
    /// Whether it goes after a run that went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// When it was made, milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it was changed last.
    pub updated_at_ms: u64,
    /// Another one after every change of what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_revision: Option<String>,
    /// When it is due.
    pub schedule: CronSchedule,
    /// Where it runs.
    pub session_target: String,
    /// When a text for the main session is told.
    pub wake_mode: WakeMode,
    /// What it does.
    pub payload: CronPayload,
    /// Where the answer goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<CronDelivery>,
    /// Who is told that it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_alert: Option<CronAlert>,
    /// How it went so far.
    pub state: CronJobState,
    /// As in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    /// As in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_at_ms: Option<u64>,
    /// As in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_status: Option<CronStatusName>,
    /// As in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_error: Option<String>,
    /// As in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivered: Option<bool>,
    /// As in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery_status: Option<CronDelivered>,
    /// As in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery_error: Option<String>,
}

/// How a job went so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronJobState {
    /// When it is due, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    /// Since when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_at_ms: Option<u64>,
    /// When it began last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_at_ms: Option<u64>,
    /// How that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_status: Option<CronStatusName>,
    /// The same under its older name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<CronStatusName>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<u64>,
    /// Failures since it last went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive_errors: Option<u64>,
    /// Whether its answer was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivered: Option<bool>,
    /// What became of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery_status: Option<CronDelivered>,
    /// Why it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery_error: Option<String>,
    /// When somebody was told that it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_alert_at_ms: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CronStatusName {
    /// Well.
    Ok,
    /// It failed.
    Error,
    /// It was left out.
    Skipped,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CronDelivered {
    /// It was sent.
    Delivered,
    /// It was not.
    NotDelivered,
    /// Nobody knows.
    Unknown,
    /// Nobody asked for it.
    NotRequested,
}

/// Parameters of `cron.run`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronRunParams {
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: Option<String>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub job_id: Option<String>,
    /// Whether it runs although it is not due, or not enabled; it does when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CronRunMode>,
    /// Only by the process with this boot id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub expected_process_instance_id: Option<String>,
}

/// When `cron.run` runs a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CronRunMode {
    /// When it is due.
    Due,
    /// Always.
    #[default]
    Force,
    /// When it is enabled.
    IfEnabled,
}

/// What `cron.run` did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronRunResult {
    /// Always true.
    pub ok: bool,
    /// Whether it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enqueued: Option<bool>,
    /// The run; `cron.runs` has its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// False when it was not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<bool>,
    /// Why not: `not-due`, `already-running` or `disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What `cron.remove` did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CronRemoveResult {
    /// Always true.
    pub ok: bool,
    /// Always true.
    pub removed: bool,
}

/// Parameters of `cron.runs`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronRunsParams {
    /// `job` or `all`; `all` where no job is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub scope: Option<String>,
    /// Only runs of this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: Option<String>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub job_id: Option<String>,
    /// Only this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub run_id: Option<String>,
    /// Most rows; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_CRON_PAGE))]
    pub limit: Option<u32>,
    /// Rows to leave out first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub offset: Option<u64>,
    /// Only runs that ended like this: `all`, `ok`, `error` or `skipped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub status: Option<String>,
    /// Only runs that ended in one of these ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    pub statuses: Option<Vec<CronStatusName>>,
    /// `desc` (the default) or `asc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub sort_dir: Option<String>,
}

/// A page of runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronRunsResult {
    /// The rows.
    pub entries: Vec<CronRunEntry>,
    /// Rows of all pages.
    pub total: u64,
    /// Where this page begins.
    pub offset: u64,
    /// Most rows of a page.
    pub limit: u64,
    /// Whether another page follows.
    pub has_more: bool,
    /// Where it begins.
    pub next_offset: Nullable<u64>,
}

/// A run that ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronRunEntry {
    /// When it ended, milliseconds since the epoch.
    pub ts: u64,
    /// The job.
    pub job_id: String,
    /// Always `finished`.
    pub action: String,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CronStatusName>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Whether the answer was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
    /// What became of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_status: Option<CronDelivered>,
    /// Why it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_error: Option<String>,
    /// The session that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at_ms: Option<u64>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When the job was due next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    /// The job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
}
