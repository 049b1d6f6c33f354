//! The jobs: which are due, what a run changes. Pure; every change is given back as a new job with
//! the rows to commit, and takes effect when they are.
//!
//! **Invariants.** A job has at most one run under way. A slot is passed in the same commit that
//! begins its run, so that a restart neither repeats nor forgets it. Slots that were missed, because
//! the gateway was down or an earlier run took too long, are made up for by one run, for the last of
//! them, by one each, or not, as the job's rule says; a single time that was missed is made up for
//! however late it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use openclaw_protocol::methods::cron::{CronRunMode, CronStatusName, ScheduleKind};
use openclaw_protocol::{ErrorShape, Scopes};

use super::alert::{self, AlertSettings, Notice};
use super::job::{Definition, Ended, Job, Outcome, Running};
use super::misfire::{GRACE_MS, MOST, Misfire, Misfires};
use super::schedule::Timing;
use crate::clock::Millis;
use crate::store::{Op, Table};

/// Most jobs.
pub const MAX_JOBS: usize = 1_000;
/// Most runs under way; what is due beyond that waits.
pub const MAX_RUNNING: usize = 8;
/// A single time may lie this far back when its job is made.
const MAX_PAST: Duration = Duration::from_mins(1);

/// The jobs, and which of their runs this process looks after.
#[derive(Debug, Default)]
pub struct State {
    jobs: BTreeMap<String, Job>,
    tended: BTreeSet<String>,
    changes: u64,
}

/// A change: the job as it will be, and what is committed for it.
#[derive(Debug)]
pub struct Change {
    /// The job.
    pub job: Job,
    /// The rows.
    pub ops: Vec<Op>,
    /// Who is told of it once it is committed.
    pub notice: Option<Notice>,
}

/// How many runs of a job are kept, and which zone times without one mean.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Most runs.
    pub keep: u64,
    /// The zone.
    pub zone: TimeZone,
    /// How long a run may take until nobody waits for it any more.
    pub lease: Duration,
    /// What becomes of slots that were missed.
    pub misfires: Arc<Misfires>,
    /// Who is told of failures.
    pub alerts: Arc<AlertSettings>,
}

impl State {
    /// The jobs of the store.
    pub fn new(jobs: impl IntoIterator<Item = Job>) -> Self {
        Self {
            jobs: jobs.into_iter().map(|job| (job.id.clone(), job)).collect(),
            ..Self::default()
        }
    }

    /// One job.
    pub fn get(&self, id: &str) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// Every job.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &Job> {
        self.jobs.values()
    }

    /// Another number after every change.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Puts a committed change into effect.
    pub fn put(&mut self, job: Job) {
        self.changes += 1;
        self.jobs.insert(job.id.clone(), job);
    }

    /// Takes a job out, once that is committed.
    pub fn remove(&mut self, id: &str) {
        self.changes += 1;
        self.jobs.remove(id);
    }

    /// Makes a job.
    ///
    /// # Errors
    ///
    /// What is wrong with its schedule, or that there are too many.
    pub fn add(
        &self,
        id: String,
        definition: Definition,
        scopes: Scopes,
        now: Millis,
        rules: &Rules,
    ) -> Result<Change, ErrorShape> {
        if self.jobs.len() >= MAX_JOBS {
            return Err(ErrorShape::invalid(format!(
                "there are {MAX_JOBS} jobs already, which is the limit; end one with `openclaw cron rm ID` first"
            )));
        }
        let mut job = Job {
            id,
            definition,
            made: now,
            changed: now,
            scopes,
            ..Job::default()
        };
        job.next = first(&job, now, rules)
            .map_err(|wrong| ErrorShape::invalid(format!("invalid cron.add params: {wrong}")))?;
        Ok(change(job, Vec::new()))
    }

    /// Changes what a job does. Its next slot is that of its schedule from now on, where that changed. It may do
    /// from then on what it might before and who changes it may too: a job whose text somebody else wrote does
    /// not keep the rights of whoever made it.
    ///
    /// # Errors
    ///
    /// What is wrong with its schedule.
    pub fn redefine(
        &self,
        job: &Job,
        definition: Definition,
        scopes: Scopes,
        now: Millis,
        rules: &Rules,
    ) -> Result<Change, String> {
        let mut new = Job {
            definition,
            scopes: job.scopes.common(scopes),
            changed: now,
            ..job.clone()
        };
        let again = new.definition.schedule != job.definition.schedule
            || new.definition.enabled && !job.definition.enabled;
        if again {
            new.next = first(&new, now, rules)?;
        }
        Ok(change(new, Vec::new()))
    }

    /// The jobs that are due and can begin, those that wait longest first.
    pub fn due(&self, now: Millis) -> Vec<String> {
        let running = self.jobs.values().filter(|job| job.running.is_some());
        let room = MAX_RUNNING.saturating_sub(running.count());
        let mut due: Vec<(Millis, &String)> = self
            .jobs
            .values()
            .filter(|job| job.definition.enabled && job.running.is_none())
            .filter_map(|job| Some((job.next.filter(|next| *next <= now)?, &job.id)))
            .collect();
        due.sort();
        due.into_iter()
            .take(room)
            .map(|(_, id)| id.clone())
            .collect()
    }

    /// When the next job is due that is not running.
    pub fn next_due(&self) -> Option<Millis> {
        self.jobs
            .values()
            .filter(|job| job.definition.enabled && job.running.is_none())
            .filter_map(|job| job.next)
            .min()
    }

    /// Passes over what was missed, where the job's rule says so. `None` where a run begins instead.
    pub fn pass(&self, id: &str, now: Millis, rules: &Rules) -> Option<Change> {
        let mut job = self
            .jobs
            .get(id)
            .filter(|job| job.running.is_none())?
            .clone();
        let once = job.definition.schedule.kind == ScheduleKind::At;
        if once || rules.misfires.of(&job) != Misfire::Skip {
            return None;
        }
        let due = job.next.filter(|next| *next <= now)?;
        let timing = timing(&job, rules)?;
        let last = timing.last_due(due, now);
        if now.0.saturating_sub(last.0) <= GRACE_MS {
            return None;
        }
        job.next = timing.next(now);
        let number = job.runs;
        job.runs += 1;
        let ended = Ended {
            run_id: format!("cron:{id}:{number}"),
            slot: Some(last),
            started: now,
            ended: now,
            outcome: Outcome {
                status: CronStatusName::Skipped,
                ..Outcome::failed("its time was missed, and is passed over (cron.misfire)")
            },
            session: None,
            next: job.next,
        };
        job.last = Some(ended.clone());
        let ops = run_rows(id, number, &ended, rules)?;
        Some(change(job, ops))
    }

    /// Begins the run of the slot that is due, or one that a person asked for.
    pub fn begin(&self, id: &str, asked: bool, now: Millis, rules: &Rules) -> Option<Change> {
        let mut job = self
            .jobs
            .get(id)
            .filter(|job| job.running.is_none())?
            .clone();
        let mut slot = None;
        if !asked {
            let due = job.next.filter(|next| *next <= now)?;
            let timing = timing(&job, rules);
            let each = rules.misfires.of(&job) == Misfire::All;
            let this = timing.as_ref().map_or(due, |timing| {
                if each {
                    timing.oldest_due(due, now, MOST)
                } else {
                    timing.last_due(due, now)
                }
            });
            let from = if each { this } else { this.max(now) };
            job.next = timing.and_then(|timing| timing.next(from));
            slot = Some(this);
        }
        let number = job.runs;
        job.runs += 1;
        job.running = Some(Running {
            number,
            run_id: format!("cron:{id}:{number}"),
            slot,
            started: now,
            lease: now.plus(rules.lease),
        });
        Some(change(job, Vec::new()))
    }

    /// Whether a person may begin a run now; why not.
    pub fn may_run(job: &Job, mode: CronRunMode, now: Millis) -> Result<(), &'static str> {
        if job.running.is_some() {
            return Err("already-running");
        }
        let is_due = job.next.is_some_and(|next| next <= now);
        match mode {
            CronRunMode::Force => Ok(()),
            _ if !job.definition.enabled => Err("disabled"),
            CronRunMode::Due if !is_due => Err("not-due"),
            CronRunMode::Due | CronRunMode::IfEnabled => Ok(()),
        }
    }

    /// Ends a run: its row, and the job as it is afterwards. `None` when it is not under way.
    pub fn finish(
        &self,
        id: &str,
        run_id: &str,
        outcome: Outcome,
        session: Option<String>,
        now: Millis,
        rules: &Rules,
    ) -> Option<(Change, Ended)> {
        let mut job = self.jobs.get(id)?.clone();
        let running = job.running.take_if(|running| running.run_id == run_id)?;
        job.errors = match outcome.status {
            CronStatusName::Error => job.errors + 1,
            CronStatusName::Ok | CronStatusName::Skipped => 0,
        };
        let once = job.definition.schedule.kind == ScheduleKind::At;
        if once && running.slot.is_some() && job.next.is_none() {
            job.definition.enabled = false;
        }
        let ended = Ended {
            run_id: running.run_id,
            slot: running.slot,
            started: running.started,
            ended: now,
            outcome,
            session,
            next: job.next,
        };
        job.last = Some(ended.clone());
        let notice = alert::judge(&mut job, &ended.outcome, &rules.alerts, now);
        let ops = run_rows(id, running.number, &ended, rules)?;
        let change = Change {
            notice,
            ..change(job, ops)
        };
        Some((change, ended))
    }

    /// Whether a job goes with the end of its run.
    pub fn is_over(job: &Job, ended: &Ended) -> bool {
        let asked = job.definition.delete_after_run == Some(true);
        asked && ended.outcome.status == CronStatusName::Ok && job.next.is_none()
    }

    /// The runs under way that nobody looks after: their process ended, or their owner failed.
    pub fn orphans(&self) -> Vec<(String, Running)> {
        let running = |job: &Job| Some((job.id.clone(), job.running.clone()?));
        self.jobs
            .values()
            .filter_map(running)
            .filter(|(_, running)| !self.tended.contains(&running.run_id))
            .collect()
    }

    /// Somebody looks after a run.
    pub fn tend(&mut self, run_id: &str) {
        self.tended.insert(run_id.to_owned());
    }

    /// Nobody does any more.
    pub fn untend(&mut self, run_id: &str) {
        self.tended.remove(run_id);
    }
}

/// The row of a run, and the end of those that are too many.
fn run_rows(id: &str, number: u64, ended: &Ended, rules: &Rules) -> Option<Vec<Op>> {
    let mut ops = vec![Op::put_json(Table::CronRuns, run_key(id, number), ended).ok()?];
    if number >= rules.keep {
        ops.push(Op::DeleteRange {
            table: Table::CronRuns,
            from: run_key(id, 0),
            to: run_key(id, number + 1 - rules.keep),
        });
    }
    Some(ops)
}

/// The key of a run's row.
pub fn run_key(job: &str, number: u64) -> Vec<u8> {
    let mut key = job.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// What goes with a job that is ended.
pub fn removal(id: &str) -> Vec<Op> {
    let mut end = id.as_bytes().to_vec();
    end.push(1);
    vec![
        Op::delete(Table::Cron, id),
        Op::DeleteRange {
            table: Table::CronRuns,
            from: run_key(id, 0),
            to: end,
        },
    ]
}

pub(super) fn change(job: Job, mut ops: Vec<Op>) -> Change {
    let put = Op::put_json(Table::Cron, job.id.as_str(), &job)
        .expect("rows are structs with text keys, which JSON can hold");
    ops.push(put);
    Change {
        job,
        ops,
        notice: None,
    }
}

/// Rules by which a slot can be found, and no run begins.
pub(super) fn rules_of(zone: &TimeZone) -> Rules {
    Rules {
        keep: 1,
        zone: zone.clone(),
        lease: Duration::ZERO,
        misfires: Arc::default(),
        alerts: Arc::default(),
    }
}

fn timing(job: &Job, rules: &Rules) -> Option<Timing> {
    // It was understood when it was made; another release, or other zones, may think otherwise.
    Timing::of(&job.definition.schedule, &job.id, job.made, &rules.zone).ok()
}

/// The first slot of a job's schedule from now on.
pub(super) fn first(job: &Job, now: Millis, rules: &Rules) -> Result<Option<Millis>, String> {
    match Timing::of(&job.definition.schedule, &job.id, job.made, &rules.zone)? {
        Timing::At(at) if at < now.minus(MAX_PAST) && job.definition.enabled => {
            Err("at /schedule/at: lies in the past".into())
        }
        Timing::At(at) => Ok(Some(at)),
        timing => timing
            .next(now)
            .map(Some)
            .ok_or_else(|| "at /schedule: is never due".into()),
    }
}
