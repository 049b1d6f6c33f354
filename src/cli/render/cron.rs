//! `openclaw cron`.

use openclaw_protocol::methods::cron::{
    CronDelivered, CronJob, CronListResult, CronRunEntry, CronRunResult, CronRunsResult,
    CronSchedule, CronStatusName, CronStatusResult, ScheduleKind,
};

use super::Style;
use super::table::Columns;
use super::text::{Tone, count, plain, short};
use super::time::{ago, lasted};

/// Longest beginning of an answer in a list, characters.
const SUMMARY: usize = 60;

/// The jobs as a table.
pub fn list(list: &CronListResult, style: &Style) -> String {
    if list.jobs.is_empty() {
        return "no job; make one with `openclaw cron add --name NAME --every 1h --message TEXT`\n"
            .to_owned();
    }
    let mut table = Columns::new(style, &["job", "name", "when", "next", "last"]);
    for job in &list.jobs {
        let (last, tone) = last(job, style);
        table.toned(&[
            (&short(&job.id), Some(Tone::Faint)),
            (&job.name, Some(Tone::Strong)),
            (&when(&job.schedule), None),
            (&next(job, style), None),
            (&last, tone),
        ]);
    }
    let mut out = table.keep_whole(0).render();
    if list.has_more {
        out += &(list.total - list.jobs.len() as u64).to_string();
        out += " more\n";
    }
    out
}

/// Whether jobs run.
pub fn status(status: &CronStatusResult, style: &Style) -> String {
    let jobs = count(status.jobs, "job");
    if !status.enabled {
        return format!("jobs do not run: cron.enabled is false; {jobs} kept\n");
    }
    match status.next_wake_at_ms.0 {
        Some(next) => format!("{jobs}, the next one is due {}\n", until(next, style)),
        None => format!("{jobs}, none of them is due again\n"),
    }
}

/// A job that was made or changed.
pub fn changed(what: &str, job: &CronJob, style: &Style) -> String {
    let due = match (job.enabled, job.next_run_at_ms) {
        (false, _) => "it does not run".to_owned(),
        (true, Some(next)) => format!("due {}", until(next, style)),
        (true, None) => "it is not due again".to_owned(),
    };
    format!(
        "{what} {} ({}): {}, {due}\n",
        plain(&job.name),
        plain(&job.id),
        plain(&when(&job.schedule))
    )
}

/// What came of asking for a run.
pub fn ran(done: &CronRunResult, job: &str) -> String {
    match (&done.run_id, &done.reason) {
        (Some(_), _) => format!("it runs; see `openclaw cron runs {job}`\n"),
        (None, Some(reason)) => format!("it was not run: {}\n", plain(reason)),
        (None, None) => "it was not run\n".to_owned(),
    }
}

/// The history.
pub fn runs(runs: &CronRunsResult, style: &Style) -> String {
    if runs.entries.is_empty() {
        return "no run yet\n".to_owned();
    }
    let mut table = Columns::new(style, &["when", "job", "how", "took", "what"]);
    for run in &runs.entries {
        let (how, tone) = how(run.status);
        table.toned(&[
            (&ago(style.now_ms, run.run_at_ms.unwrap_or(run.ts)), None),
            (
                run.job_name.as_ref().unwrap_or(&run.job_id),
                Some(Tone::Strong),
            ),
            (how, tone),
            (&run.duration_ms.map_or_else(String::new, lasted), None),
            (&gave(run), None),
        ]);
    }
    let mut out = table.keep_whole(0).render();
    if runs.has_more {
        out += &(runs.total - runs.entries.len() as u64).to_string();
        out += " more; show them with --limit\n";
    }
    out
}

/// The id of the job with this id, the only one whose id begins so, or the only one of this name.
///
/// # Errors
///
/// In words, when there is none or more than one.
pub fn find(jobs: &[CronJob], wanted: &str) -> Result<String, String> {
    if let Some(job) = jobs.iter().find(|job| job.id == wanted) {
        return Ok(job.id.clone());
    }
    let fits = |job: &&CronJob| {
        !wanted.is_empty() && (job.id.starts_with(wanted) || job.name.eq_ignore_ascii_case(wanted))
    };
    let found: Vec<&CronJob> = jobs.iter().filter(fits).collect();
    match found.as_slice() {
        [only] => Ok(only.id.clone()),
        [] => Err(format!("no job `{}`", plain(wanted))),
        _ => Err(format!("`{}` fits {} jobs", plain(wanted), found.len())),
    }
}

fn when(schedule: &CronSchedule) -> String {
    match schedule.kind {
        ScheduleKind::At => {
            let at = schedule.at.clone();
            format!(
                "once, at {}",
                at.unwrap_or_else(|| "an unknown time".into())
            )
        }
        ScheduleKind::Every => {
            let every = schedule.every_ms.unwrap_or_default();
            format!("every {}", lasted(every))
        }
        ScheduleKind::Cron => {
            let expr = schedule.expr.as_deref().unwrap_or_default();
            match schedule.tz.as_deref() {
                Some(zone) if !zone.is_empty() => format!("{expr} ({zone})"),
                _ => expr.to_owned(),
            }
        }
        ScheduleKind::OnExit => "when a program ends".into(),
        ScheduleKind::Stream => "when a program says something".into(),
    }
}

fn next(job: &CronJob, style: &Style) -> String {
    match (job.enabled, job.state.running_at_ms, job.next_run_at_ms) {
        (_, Some(_), _) => "runs now".into(),
        (false, ..) => "does not run".into(),
        (true, None, Some(next)) => until(next, style),
        (true, None, None) => "never".into(),
    }
}

fn until(next: u64, style: &Style) -> String {
    match next.checked_sub(style.now_ms) {
        Some(wait) if wait >= 1_000 => format!("in {}", lasted(wait)),
        _ => "now".into(),
    }
}

fn last(job: &CronJob, style: &Style) -> (String, Option<Tone>) {
    let Some(at) = job.last_run_at_ms else {
        return ("never".into(), None);
    };
    let (how, tone) = how(job.last_run_status);
    let mut text = format!("{how}, {}", ago(style.now_ms, at));
    if job.last_delivery_status == Some(CronDelivered::NotDelivered) {
        text += ", not delivered";
        return (text, Some(Tone::Warn));
    }
    (text, tone)
}

const fn how(status: Option<CronStatusName>) -> (&'static str, Option<Tone>) {
    match status {
        Some(CronStatusName::Ok) => ("ok", Some(Tone::Good)),
        Some(CronStatusName::Error) => ("failed", Some(Tone::Bad)),
        Some(CronStatusName::Skipped) => ("left out", Some(Tone::Warn)),
        None => ("unknown", None),
    }
}

/// What a run gave: why it failed, why its answer was not delivered, or how its answer begins.
fn gave(run: &CronRunEntry) -> String {
    if let Some(error) = &run.error {
        return error.clone();
    }
    if let Some(error) = &run.delivery_error {
        return format!("not delivered: {error}");
    }
    let text = run.summary.as_deref().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(SUMMARY) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn style() -> Style {
        Style {
            colour: false,
            width: None,
            now_ms: NOW,
        }
    }

    fn job(id: &str, name: &str) -> serde_json::Value {
        json!({
            "id": id, "name": name, "enabled": true, "createdAtMs": 1, "updatedAtMs": 1,
            "schedule": { "kind": "cron", "expr": "0 9 * * 1-5", "tz": "Europe/Zurich" },
            "sessionTarget": "isolated", "wakeMode": "now",
            "payload": { "kind": "agentTurn", "message": "go" },
            "state": {}, "nextRunAtMs": NOW + 7_500_000,
        })
    }

    #[test]
    fn jobs_and_their_runs_as_people_read_them() {
        let mut failed = job("bbbbbbbb-1111", "Back\u{1b}[2Jup");
        failed["schedule"] = json!({ "kind": "every", "everyMs": 3_600_000 });
        failed["lastRunAtMs"] = json!(NOW - 120_000);
        failed["lastRunStatus"] = json!("error");
        let mut off = job("cccccccc-2222", "Old");
        off["enabled"] = json!(false);
        off["schedule"] = json!({ "kind": "at", "at": "2027-01-31T09:00:00Z" });
        let page = json!({
            "jobs": [job("aaaaaaaa-0000", "Inbox"), failed, off], "total": 3, "offset": 0, "limit": 50,
            "hasMore": false, "nextOffset": null, "snapshotRevision": "1",
        });
        let page: CronListResult = serde_json::from_value(page).unwrap();
        assert_eq!(
            list(&page, &style()),
            "\
JOB           NAME        WHEN                           NEXT          LAST
aaaaaaaa-000  Inbox       0 9 * * 1-5 (Europe/Zurich)    in 2 h 5 min  never
bbbbbbbb-111  Back\u{fffd}[2Jup  every 1 h 0 min                in 2 h 5 min  failed, 2 min ago
cccccccc-222  Old         once, at 2027-01-31T09:00:00Z  does not run  never
"
        );
        let history = json!({
            "entries": [
                { "ts": NOW, "jobId": "a", "action": "finished", "status": "ok", "summary": "Three letters.\nMore.", "runAtMs": NOW - 60_000, "durationMs": 12_000, "jobName": "Inbox" },
                { "ts": NOW, "jobId": "b", "action": "finished", "status": "error", "error": "no key", "runAtMs": NOW - 120_000, "durationMs": 900 },
            ],
            "total": 3, "offset": 0, "limit": 2, "hasMore": true, "nextOffset": 2,
        });
        let history: CronRunsResult = serde_json::from_value(history).unwrap();
        let text = runs(&history, &style());
        assert!(
            text.contains("Three letters.\n") && text.contains("failed"),
            "{text}"
        );
        assert!(
            text.contains("no key") && text.ends_with("1 more; show them with --limit\n"),
            "{text}"
        );
    }

    #[test]
    fn a_job_is_found_by_its_id_a_beginning_of_it_or_its_name() {
        let jobs: Vec<CronJob> = [
            job("aaaa", "Inbox"),
            job("aabb", "Backup"),
            job("cc", "Backup"),
        ]
        .into_iter()
        .map(|job| serde_json::from_value(job).unwrap())
        .collect();
        assert_eq!(find(&jobs, "aab").as_deref(), Ok("aabb"));
        assert_eq!(find(&jobs, "inbox").as_deref(), Ok("aaaa"));
        assert!(find(&jobs, "aa").unwrap_err().contains("fits 2 jobs"));
        assert!(find(&jobs, "backup").is_err() && find(&jobs, "").is_err());
        assert!(find(&jobs, "x").unwrap_err().contains("no job"));
    }
}
