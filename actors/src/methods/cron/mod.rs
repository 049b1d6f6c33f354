//! `cron.*`; owner: scheduler.

mod change;
mod list;
mod run;
mod runs;

use openclaw_protocol::{ErrorShape, Method};
use serde_json::json;

use crate::cron::Scheduler;
use crate::cron::job::Job;

/// The id that a request names.
fn named<M: Method>(id: Option<String>, job_id: Option<String>) -> Result<String, ErrorShape> {
    id.or(job_id).ok_or_else(|| {
        ErrorShape::invalid(format!(
            "invalid {} params: id or jobId is required",
            M::NAME
        ))
    })
}

impl Scheduler {
    /// The job that a request means.
    fn job<M: Method>(
        &self,
        id: Option<String>,
        job_id: Option<String>,
    ) -> Result<Job, ErrorShape> {
        let id = named::<M>(id, job_id)?;
        let found = self.deps.state.with(|state| state.get(&id).cloned());
        found.ok_or_else(|| unknown(&id))
    }
}

fn unknown(id: &str) -> ErrorShape {
    ErrorShape::invalid(format!("cron job not found: {id}")).with_details(json!({
        "code": "CRON_JOB_NOT_FOUND",
        "jobId": id,
    }))
}
