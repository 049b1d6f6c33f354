//! `cron`: what becomes of jobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::methods::cron::{CronDelivered, CronJob, CronStatusName};

/// Name of the event.
pub const CRON: &str = "cron";

/// Payload of `cron`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronEvent {
    /// The job.
    pub job_id: String,
    /// What happened.
    pub action: CronAction,
    /// The job as it is now; not when it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<CronJob>>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The session that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// When it began, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at_ms: Option<u64>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CronStatusName>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What became of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_status: Option<CronDelivered>,
    /// When the job is due next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CronAction {
    /// It was made.
    Added,
    /// It was changed.
    Updated,
    /// It was ended.
    Removed,
    /// A run of it began.
    Started,
    /// A run of it ended.
    Finished,
}
