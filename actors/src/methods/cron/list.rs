//! `cron.list`, `cron.get` and `cron.status`.

use actix::Handler;
use openclaw_protocol::methods::cron::{
    CronGet, CronJob, CronList, CronListParams, CronListResult, CronStatus, CronStatusName,
    CronStatusResult,
};

use crate::call::Call;
use crate::clock::Millis;
use crate::cron::Scheduler;
use crate::cron::job::Job;

/// Rows of a page when the client names no number.
const DEFAULT_PAGE: u32 = 50;

impl Handler<Call<CronList>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<CronList>, _: &mut Self::Context) {
        let (params, reply) = (call.params, call.reply);
        let generation = reply.caller().generation;
        let default = self.deps.views.settings.load().default_agent.clone();
        let (rows, changes) = self.deps.state.with(|state| {
            let mut rows: Vec<Job> = state
                .jobs()
                .filter(|job| fits(job, &params, &default))
                .cloned()
                .collect();
            sort(&mut rows, &params);
            (rows, state.changes())
        });
        let limit = u64::from(params.limit.unwrap_or(DEFAULT_PAGE));
        let total = rows.len() as u64;
        let offset = params.offset.unwrap_or_default().min(total);
        let page = rows
            .iter()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX));
        let jobs: Vec<CronJob> = page
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|job| CronJob {
                effective_agent_id: Some(
                    job.definition
                        .agent_id
                        .clone()
                        .unwrap_or_else(|| default.clone()),
                ),
                ..job.to_wire(generation)
            })
            .collect();
        let end = offset + jobs.len() as u64;
        reply.ok(&CronListResult {
            jobs,
            total,
            offset,
            limit,
            has_more: end < total,
            next_offset: (end < total).then_some(end).into(),
            snapshot_revision: changes.to_string(),
        });
    }
}

fn fits(job: &Job, params: &CronListParams, default: &str) -> bool {
    let definition = &job.definition;
    let enabled = match params.enabled.as_deref() {
        Some("all") => true,
        Some("disabled") => !definition.enabled,
        Some("enabled") => definition.enabled,
        _ => definition.enabled || params.include_disabled == Some(true),
    };
    let kind = serde_json::to_value(definition.schedule.kind).unwrap_or_default();
    let of_kind = match params.schedule_kind.as_deref() {
        None | Some("all") => true,
        Some(wanted) => kind == *wanted,
    };
    let last = job.last.as_ref().map(|last| last.outcome.status);
    let ended = match params.last_run_status.as_deref() {
        Some("ok") => last == Some(CronStatusName::Ok),
        Some("error") => last == Some(CronStatusName::Error),
        Some("skipped") => last == Some(CronStatusName::Skipped),
        Some("unknown") => last.is_none(),
        _ => true,
    };
    let agent = definition.agent_id.as_deref().unwrap_or(default);
    let of_agent = params
        .agent_id
        .as_deref()
        .is_none_or(|wanted| wanted == agent);
    let words = params.query.as_deref().unwrap_or_default().to_lowercase();
    let texts = [
        job.id.as_str(),
        &definition.name,
        definition.description.as_deref().unwrap_or_default(),
        definition.message(),
    ];
    let said = words.trim().is_empty()
        || texts
            .iter()
            .any(|text| text.to_lowercase().contains(words.trim()));
    enabled && of_kind && ended && of_agent && said
}

fn sort(rows: &mut [Job], params: &CronListParams) {
    match params.sort_by.as_deref() {
        Some("name") => rows.sort_by_cached_key(|job| job.definition.name.to_lowercase()),
        Some("updatedAtMs") => rows.sort_by_key(|job| job.changed),
        // Those that are never due again stand at the end.
        _ => rows.sort_by_key(|job| (job.next.is_none(), job.next)),
    }
    if params.sort_dir.as_deref() == Some("desc") {
        rows.reverse();
    }
}

impl Handler<Call<CronGet>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<CronGet>, _: &mut Self::Context) {
        let generation = call.reply.caller().generation;
        let found = self.job::<CronGet>(call.params.id, call.params.job_id);
        call.reply.settle(found.map(|job| job.to_wire(generation)));
    }
}

impl Handler<Call<CronStatus>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<CronStatus>, _: &mut Self::Context) {
        let enabled = self.deps.views.settings.load().cron.enabled;
        let (jobs, next) = self
            .deps
            .state
            .with(|state| (state.jobs().len() as u64, state.next_due()));
        call.reply.ok(&CronStatusResult {
            enabled,
            store_path: "store:cron".into(),
            jobs,
            next_wake_at_ms: next.filter(|_| enabled).map(Millis::wire).into(),
            triggers_enabled: false,
        });
    }
}
