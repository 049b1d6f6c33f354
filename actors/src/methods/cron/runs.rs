//! `cron.runs`: the history, newest first.

use std::ops::ControlFlow;

use actix::Handler;
use openclaw_protocol::methods::cron::{
    CronRunEntry, CronRuns, CronRunsParams, CronRunsResult, CronStatusName,
};

use crate::call::Call;
use crate::cron::Scheduler;
use crate::cron::job::Ended;
use crate::cron::state::run_key;
use crate::methods::store_error;
use crate::store::{StoreError, StoreReader, Table, rows};

/// Rows of a page when the client names no number.
const DEFAULT_PAGE: u32 = 50;

impl Handler<Call<CronRuns>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<CronRuns>, _: &mut Self::Context) {
        let (params, reply) = (call.params, call.reply);
        let one = params.id.clone().or_else(|| params.job_id.clone());
        let one = one.filter(|_| params.scope.as_deref() != Some("all"));
        let known: Vec<(String, String)> = self.deps.state.with(|state| {
            state
                .jobs()
                .filter(|job| one.as_ref().is_none_or(|one| *one == job.id))
                .map(|job| (job.id.clone(), job.definition.name.clone()))
                .collect()
        });
        if let Some(one) = &one
            && known.is_empty()
        {
            return reply.error(super::unknown(one));
        }
        let page = self
            .deps
            .store
            .reader()
            .offload(move |reader| read(reader, &known, &params));
        actix_rt::spawn(async move {
            match page.await {
                Ok(page) => reply.ok(&page),
                Err(error) => reply.error(store_error(&error)),
            }
        });
    }
}

/// Reads every row of the jobs, which retention bounds, and keeps those that the page may have.
fn read(
    reader: &StoreReader,
    jobs: &[(String, String)],
    params: &CronRunsParams,
) -> Result<CronRunsResult, StoreError> {
    let ascending = params.sort_dir.as_deref() == Some("asc");
    let offset = params.offset.unwrap_or_default();
    let limit = u64::from(params.limit.unwrap_or(DEFAULT_PAGE));
    let most = usize::try_from(offset.saturating_add(limit)).unwrap_or(usize::MAX);
    let first = |rows: &mut Vec<(u64, CronRunEntry)>| {
        rows.sort_by_key(|(at, _)| if ascending { *at } else { u64::MAX - *at });
        rows.truncate(most);
    };
    let mut found: Vec<(u64, CronRunEntry)> = Vec::new();
    let mut total: u64 = 0;
    for (id, name) in jobs {
        let (from, to) = (run_key(id, 0), run_key(id, u64::MAX));
        let range = from.as_slice()..to.as_slice();
        reader.scan(Table::CronRuns, range, false, |_, value| {
            let Ok(ended) = rows::decode::<Ended>(Table::CronRuns, value) else {
                return ControlFlow::Continue(());
            };
            let entry = ended.to_wire(id, Some(name));
            if fits(&entry, params) {
                total += 1;
                found.push((entry.ts, entry));
                if found.len() / 2 > most {
                    first(&mut found);
                }
            }
            ControlFlow::Continue(())
        })?;
    }
    first(&mut found);
    let offset = offset.min(total);
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    let entries: Vec<CronRunEntry> = found
        .into_iter()
        .map(|(_, entry)| entry)
        .skip(skipped)
        .collect();
    let end = offset + entries.len() as u64;
    Ok(CronRunsResult {
        entries,
        total,
        offset,
        limit,
        has_more: end < total,
        next_offset: (end < total).then_some(end).into(),
    })
}

fn fits(entry: &CronRunEntry, params: &CronRunsParams) -> bool {
    let wanted = match params.status.as_deref() {
        Some("ok") => Some(CronStatusName::Ok),
        Some("error") => Some(CronStatusName::Error),
        Some("skipped") => Some(CronStatusName::Skipped),
        _ => None,
    };
    let statuses = params.statuses.as_deref();
    wanted.is_none_or(|wanted| entry.status == Some(wanted))
        && statuses.is_none_or(|all| entry.status.is_some_and(|status| all.contains(&status)))
        && params
            .run_id
            .as_ref()
            .is_none_or(|run| entry.run_id.as_ref() == Some(run))
}
