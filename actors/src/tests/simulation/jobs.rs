//! The scheduler: slots in the commit that begins their run, and runs that are asked for by key.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use openclaw_protocol::Scopes;
use openclaw_protocol::methods::cron::{
    CronAddParams, CronDelivered, CronPayload, CronSchedule, CronStatusName, PayloadKind,
    ScheduleKind,
};

use super::disk::{Disk, Durable};
use super::runs::{Asker, Ends, Run};
use super::sim::Sim;
use crate::cron::job::{Definition, Job, Outcome, Running};
use crate::cron::misfire::{Misfire, Misfires};
use crate::cron::state::{Change, Rules, State};
use crate::dedupe::state::{KeyId, Verdict};
use crate::store::Table;

/// Between two slots.
pub(super) const EVERY_MS: u64 = 600_000;
const LOOK: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(5);
const JOB: &str = "job";

type Todo = Box<dyn FnOnce(&mut Sim)>;

/// The scheduler's actor: while it waits for a commit, nothing else is handled.
pub(super) struct JobsSide {
    state: State,
    writing: bool,
    mailbox: VecDeque<Todo>,
    timer: u64,
}

impl JobsSide {
    pub(super) fn load(disk: &Disk) -> Self {
        Self {
            state: State::new(disk.table::<Job>(Table::Cron).into_values()),
            writing: false,
            mailbox: VecDeque::new(),
            timer: 0,
        }
    }
}

fn rules() -> Rules {
    Rules {
        keep: 3,
        zone: TimeZone::UTC,
        lease: Duration::from_hours(12),
        misfires: Arc::new(Misfires {
            usual: Misfire::All,
            ..Misfires::default()
        }),
        alerts: Arc::default(),
    }
}

fn definition() -> Definition {
    Definition::of(CronAddParams {
        name: JOB.into(),
        schedule: CronSchedule {
            kind: ScheduleKind::Every,
            every_ms: Some(EVERY_MS),
            ..CronSchedule::default()
        },
        session_target: "isolated".into(),
        payload: CronPayload {
            kind: PayloadKind::AgentTurn,
            message: Some("go".into()),
            ..CronPayload::default()
        },
        ..CronAddParams::default()
    })
    .unwrap()
}

fn key(run: &str) -> KeyId {
    KeyId {
        method: "agent".into(),
        principal: "client:cron".into(),
        key: run.to_owned(),
    }
}

impl Sim {
    /// Mirrors `Scheduler::started`; the first life makes the job.
    pub(super) fn begin_jobs(&mut self) {
        if self.gateway().jobs.state.get(JOB).is_none() {
            let now = self.now();
            let jobs = &self.gateway().jobs.state;
            let made = jobs.add(JOB.into(), definition(), Scopes::NONE, now, &rules());
            self.write_jobs(vec![made.unwrap()], |sim, _| sim.look());
            return;
        }
        let now = self.now();
        for (job, running) in self.gateway().jobs.state.orphans() {
            assert!(running.lease > now, "half a day is longer than this");
            self.law.counts.resumed += 1;
            self.watch(job, &running);
        }
        self.look();
    }

    fn look(&mut self) {
        let now = self.now();
        let state = &self.gateway().jobs.state;
        let changes: Vec<Change> = state
            .due(now)
            .into_iter()
            .filter_map(|id| {
                let passed = state.pass(&id, now, &rules());
                passed.or_else(|| state.begin(&id, false, now, &rules()))
            })
            .collect();
        if changes.is_empty() {
            return self.sleep();
        }
        self.write_jobs(changes, |sim, written| match written {
            Some(jobs) => {
                for job in jobs {
                    if let Some(running) = &job.running {
                        sim.watch(job.id.clone(), running);
                    }
                }
                sim.sleep();
            }
            None => sim.wake_in(PAUSE),
        });
    }

    fn sleep(&mut self) {
        let now = self.now();
        let next = self.gateway().jobs.state.next_due();
        let wait = next.map_or(
            LOOK,
            |next| if next <= now { LOOK } else { next.since(now) },
        );
        self.wake_in(wait.min(LOOK));
    }

    fn wake_in(&mut self, wait: Duration) {
        let jobs = &mut self.gateway().jobs;
        jobs.timer += 1;
        let timer = jobs.timer;
        self.after(wait, move |sim| {
            sim.jobs_do(Box::new(move |sim| {
                if sim.gateway().jobs.timer == timer {
                    sim.look();
                }
            }));
        });
    }

    fn jobs_do(&mut self, todo: Todo) {
        let jobs = &mut self.gateway().jobs;
        if jobs.writing {
            jobs.mailbox.push_back(todo);
        } else {
            todo(self);
        }
    }

    /// Mirrors `Scheduler::write`.
    fn write_jobs(
        &mut self,
        changes: Vec<Change>,
        then: impl FnOnce(&mut Self, Option<Vec<Job>>) + 'static,
    ) {
        self.gateway().jobs.writing = true;
        let (now, mut ops, mut jobs) = (self.now(), Vec::new(), Vec::new());
        for change in changes {
            ops.extend(change.ops);
            jobs.push(change.job);
        }
        let begun = jobs.clone();
        let durable: Durable = Box::new(move |law| {
            for job in begun {
                if let Some(Running {
                    run_id,
                    slot: Some(slot),
                    ..
                }) = &job.running
                {
                    law.slot(&job.id, *slot, run_id, now.since(*slot) > LOOK);
                }
            }
        });
        let then = move |sim: &mut Self, ok: bool| {
            let side = &mut sim.gateway().jobs;
            side.writing = false;
            if ok {
                for job in &jobs {
                    side.state.put(job.clone());
                }
            }
            then(sim, ok.then_some(jobs));
            while !sim.gateway().jobs.writing {
                let Some(next) = sim.gateway().jobs.mailbox.pop_front() else {
                    break;
                };
                next(sim);
            }
        };
        self.commit_so(ops, Some(durable), Box::new(then));
    }

    fn watch(&mut self, job: String, running: &Running) {
        self.gateway().jobs.state.tend(&running.run_id);
        let run = running.run_id.clone();
        self.soon((0, 40), move |sim| sim.job_asks(job, run));
    }

    /// Asks for the run, as `agent` would be asked.
    fn job_asks(&mut self, job: String, run: String) {
        let asker = Asker::Job(job.clone(), run.clone());
        match self.claim(&key(&run), "digest") {
            Ok(guard) => {
                let session: Arc<str> = format!("agent:main:cron:{job}").into();
                self.accept(guard, session, move |sim, guard, session| match guard {
                    Ok(guard) => sim.submit(Run {
                        session,
                        guard,
                        ends: Ends::Job(asker),
                    }),
                    Err(()) => sim.job_waits(job, run),
                });
            }
            Err(Verdict::Done) => self.job_ended(job, run, true),
            Err(_) => self.job_waits(job, run),
        }
    }

    pub(super) fn job_waits(&mut self, job: String, run: String) {
        self.soon((2_000, 20_000), move |sim| sim.job_asks(job, run));
    }

    /// Mirrors `Handler<Finished>`.
    pub(super) fn job_ended(&mut self, job: String, run: String, ok: bool) {
        self.jobs_do(Box::new(move |sim| {
            let now = sim.now();
            let outcome = Outcome {
                status: if ok {
                    CronStatusName::Ok
                } else {
                    CronStatusName::Error
                },
                error: None,
                summary: None,
                delivery: CronDelivered::NotRequested,
                delivery_error: None,
            };
            let state = &mut sim.gateway().jobs.state;
            let Some((change, _)) = state.finish(&job, &run, outcome, None, now, &rules()) else {
                return state.untend(&run);
            };
            sim.write_jobs(vec![change], move |sim, written| {
                if written.is_some() {
                    sim.gateway().jobs.state.untend(&run);
                    return sim.look();
                }
                sim.after(PAUSE, move |sim| sim.job_ended(job, run, ok));
                sim.sleep();
            });
        }));
    }

    /// Whether a job runs just now, or is about to.
    pub(super) fn is_at_work(&self) -> bool {
        let soon = self.now().plus(PAUSE);
        let jobs = &self.process.as_ref().expect("it runs").jobs;
        let mut all = jobs.state.jobs();
        jobs.writing || all.any(|job| job.running.is_some() || job.next <= Some(soon))
    }

    /// Every slot had its turn, in order, and none is left.
    pub(super) fn judge_jobs(&self, every: u64) {
        let slots = self.law.slots_of(JOB);
        let every = i64::try_from(every).unwrap_or_default();
        for pair in slots.windows(2) {
            assert_eq!(
                pair[1].0 - pair[0].0,
                every,
                "a slot is left out: {slots:?}"
            );
        }
        let process = self.process.as_ref().expect("it runs");
        let job = process.jobs.state.get(JOB).expect("there is one");
        assert!(job.running.is_none(), "{:?}", job.running);
        assert!(
            job.next.is_some_and(|next| next > self.now()),
            "{:?}",
            job.next
        );
    }
}
