//! The scheduler: runs jobs by the clock.
//!
//! Replaceable; jobs outlive a panic in their slot, and a restart in the store. A run is begun in one
//! commit with the slot that it is for, then asked for like any other (`agent`, under its own
//! idempotency key): a restart between the two asks again under the same key, so that it runs once,
//! and one that was cut off by a restart ends as interrupted. Runs are watched by tasks beside the
//! actor. **Invariant:** nothing begins that is not committed.

pub mod alert;
pub mod import;
pub mod job;
pub mod misfire;
pub(crate) mod run;
pub mod schedule;
pub mod state;
#[cfg(test)]
mod tests;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, Recipient,
    SpawnHandle, WrapFuture as _,
};
use jiff::tz::TimeZone;
use openclaw_protocol::events::{CRON, CronAction, CronEvent};
use openclaw_protocol::methods::agent::Agent;
use openclaw_protocol::methods::messaging::Send as SendMethod;
use openclaw_protocol::methods::session_changes::SessionsReset;
use openclaw_protocol::{Generation, Scope};

use crate::call::Call;
use crate::clock::{Millis, SharedClock, SharedEntropy};
use crate::event::{Audience, Class, EventOut, Plain};
use crate::gateway::GatewayPort;
use crate::heartbeat::Tell;
use crate::kept::Kept;
use crate::store::{Op, StoreError, StoreHandle, StoreReader, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use job::{Ended, Job, Outcome, Running};
use state::{Change, Rules, State};

/// It looks at the clock at least this often, because a host's clock can be set.
const LOOK: Duration = Duration::from_mins(1);
/// How long a failing disk is left alone.
const PAUSE: Duration = Duration::from_secs(5);
/// What a run may take besides its own limit: the wait for its turn, and the delivery.
const SLACK: Duration = Duration::from_hours(6);

/// What the scheduler works with.
#[derive(Clone)]
pub struct SchedulerDeps {
    /// The jobs; survive a rebuild.
    pub state: Kept<State>,
    /// The store.
    pub store: StoreHandle,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Published snapshots.
    pub views: Views,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
    /// The zone of times that name none.
    pub zone: TimeZone,
    /// Takes runs.
    pub agent: Recipient<Call<Agent>>,
    /// Begins conversations anew.
    pub reset: Recipient<Call<SessionsReset>>,
    /// Takes answers that are sent somewhere.
    pub send: Recipient<Call<SendMethod>>,
    /// Keeps texts for the next heartbeat.
    pub heart: Recipient<Tell>,
}

/// The owner of jobs.
pub struct Scheduler {
    pub(crate) deps: SchedulerDeps,
    timer: Option<SpawnHandle>,
}

/// Reads the jobs. One that cannot be understood is left out and named in the log.
///
/// # Errors
///
/// When the store cannot be read.
pub fn load(reader: &StoreReader) -> Result<State, StoreError> {
    let mut jobs: Vec<Job> = Vec::new();
    reader.readable(Table::Cron, |job| jobs.push(job))?;
    Ok(State::new(jobs))
}

impl Rebuild for Scheduler {
    type Deps = SchedulerDeps;
    const NAME: &'static str = "scheduler";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 1_024;

    fn build(deps: Self::Deps) -> Self {
        let reader = deps.store.reader().clone();
        deps.state
            .recover(|broken| load(&reader).unwrap_or_else(|_| State::new(broken.jobs().cloned())));
        Self { deps, timer: None }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Scheduler);

impl Actor for Scheduler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.resume(ctx);
        self.look(ctx);
    }
}

impl Scheduler {
    pub(crate) fn now(&self) -> Millis {
        self.deps.clock.now()
    }

    pub(crate) fn rules(&self) -> Rules {
        let settings = self.deps.views.settings.load();
        Rules {
            keep: settings.cron.keep,
            zone: self.deps.zone.clone(),
            lease: settings.run_timeout.saturating_add(SLACK),
            misfires: Arc::clone(&settings.cron.misfires),
            alerts: Arc::clone(&settings.cron.alerts),
        }
    }

    /// Takes up runs that nobody looks after. One whose time is over ends; any other is asked for again,
    /// under its key.
    fn resume(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let orphans = self.deps.state.with(|state| state.orphans());
        for (id, running) in orphans {
            if running.lease > now {
                self.watch(&id, &running, false, ctx);
            } else {
                let outcome = Outcome::failed(
                    "interrupted by a gateway restart, and too long ago to be taken up again",
                );
                ctx.notify(Finished {
                    job: id,
                    run_id: running.run_id,
                    end: Some((outcome, None)),
                });
            }
        }
    }

    /// Begins what is due, and looks again when the next is.
    pub(crate) fn look(&mut self, ctx: &mut Context<Self>) {
        let (now, rules) = (self.now(), self.rules());
        let begun: Vec<Change> = if self.deps.views.settings.load().cron.enabled {
            self.deps.state.with(|state| {
                let due = state.due(now).into_iter();
                due.filter_map(|id| {
                    let passed = state.pass(&id, now, &rules);
                    passed.or_else(|| state.begin(&id, false, now, &rules))
                })
                .collect()
            })
        } else {
            Vec::new()
        };
        if begun.is_empty() {
            return self.sleep(ctx);
        }
        self.write(begun, ctx, |scheduler, written, ctx| match written {
            Ok(jobs) => {
                for job in jobs {
                    scheduler.launch(&job, ctx);
                }
                scheduler.sleep(ctx);
            }
            Err(error) => {
                tracing::error!(%error, "jobs that are due cannot begin, because that cannot be written down");
                scheduler.wake_in(PAUSE, ctx);
            }
        });
    }

    fn sleep(&mut self, ctx: &mut Context<Self>) {
        let next = self.deps.state.with(|state| state.next_due());
        let now = self.now();
        // What is due and found no room waits for the end of another run.
        let wait = next.map_or(
            LOOK,
            |next| {
                if next <= now { LOOK } else { next.since(now) }
            },
        );
        self.wake_in(wait.min(LOOK), ctx);
    }

    fn wake_in(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(wait, |scheduler, ctx| {
            scheduler.timer = None;
            scheduler.look(ctx);
        }));
    }

    /// Commits changes and puts them into effect; nothing else is handled meanwhile.
    pub(crate) fn write(
        &mut self,
        changes: Vec<Change>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Result<Vec<Job>, StoreError>, &mut Context<Self>) + 'static,
    ) {
        let (mut ops, mut jobs): (Vec<Op>, Vec<Job>) = (Vec::new(), Vec::new());
        for change in changes {
            ops.extend(change.ops);
            jobs.push(change.job);
        }
        let commit = self.deps.store.commit(ops);
        ctx.wait(commit.into_actor(self).map(move |written, scheduler, ctx| {
            let written = written.map(|()| {
                scheduler.deps.state.with(|state| {
                    for job in &jobs {
                        state.put(job.clone());
                    }
                });
                jobs
            });
            then(scheduler, written, ctx);
        }));
    }

    /// Starts the run that a job was just committed with.
    pub(crate) fn launch(&mut self, job: &Job, ctx: &mut Context<Self>) {
        let Some(running) = &job.running else {
            // Its slot was passed over.
            return self.tell(event(job, CronAction::Updated));
        };
        self.watch(&job.id, running, true, ctx);
        let mut event = event(job, CronAction::Started);
        event.run_id = Some(running.run_id.clone());
        event.run_at_ms = Some(running.started.wire());
        self.tell(event);
    }

    fn watch(&mut self, id: &str, running: &Running, first: bool, ctx: &mut Context<Self>) {
        let Some(job) = self.deps.state.with(|state| {
            state.tend(&running.run_id);
            state.get(id).cloned()
        }) else {
            return;
        };
        run::spawn(&self.deps, job, running.clone(), first, ctx.address());
    }

    /// Tells everyone who may know.
    pub(crate) fn tell(&self, event: CronEvent) {
        let out = EventOut::new(CRON, Audience::Operators(Scope::Read), Plain(event));
        self.deps.gateway.emit(out.class(Class::Droppable));
    }
}

/// An event about a job as it is now.
pub(crate) fn event(job: &Job, action: CronAction) -> CronEvent {
    CronEvent {
        job_id: job.id.clone(),
        action,
        next_run_at_ms: job.next.map(Millis::wire),
        job: (action != CronAction::Removed).then(|| job.to_wire(Generation::V4).into()),
        run_id: None,
        session_key: None,
        run_at_ms: None,
        duration_ms: None,
        status: None,
        error: None,
        summary: None,
        delivery_status: None,
    }
}

/// A run is over, or nobody looks after it any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Finished {
    job: String,
    run_id: String,
    /// How it ended, and in which session; `None` when the gateway stops, and the next start takes it up.
    end: Option<(Outcome, Option<String>)>,
}

impl Handler<Finished> for Scheduler {
    type Result = ();

    fn handle(&mut self, msg: Finished, ctx: &mut Self::Context) {
        let Finished { job, run_id, end } = msg;
        let Some((outcome, session)) = end else {
            return self.deps.state.with(|state| state.untend(&run_id));
        };
        let (now, rules) = (self.now(), self.rules());
        let finished = self.deps.state.with(|state| {
            state.finish(&job, &run_id, outcome.clone(), session.clone(), now, &rules)
        });
        let Some((change, ended)) = finished else {
            // Its job was ended meanwhile.
            return self.deps.state.with(|state| state.untend(&run_id));
        };
        let mut change = change;
        let notice = change.notice.take();
        let over = State::is_over(&change.job, &ended);
        if over {
            change.ops = state::removal(&job);
        }
        self.write(vec![change], ctx, move |scheduler, written, ctx| match written {
            Ok(jobs) => {
                scheduler.deps.state.with(|state| state.untend(&run_id));
                for job in &jobs {
                    scheduler.ended(job, &ended, over);
                    if let Some(notice) = &notice {
                        run::notify(&scheduler.deps, job, &ended, notice.clone());
                    }
                }
                scheduler.look(ctx);
            }
            Err(error) => {
                tracing::error!(%error, job, "the end of a run cannot be written down; it is tried again");
                let again = Finished {
                    job,
                    run_id,
                    end: Some((outcome, session)),
                };
                ctx.notify_later(again, PAUSE);
                scheduler.sleep(ctx);
            }
        });
    }
}

impl Scheduler {
    fn ended(&self, job: &Job, ended: &Ended, over: bool) {
        let row = ended.to_wire(&job.id, None);
        tracing::info!(
            job = %job.id,
            name = %job.definition.name,
            run = %ended.run_id,
            status = ?ended.outcome.status,
            error = ended.outcome.error,
            "a job ran"
        );
        let mut finished = event(job, CronAction::Finished);
        finished.run_id = row.run_id;
        finished.session_key = row.session_key;
        finished.run_at_ms = row.run_at_ms;
        finished.duration_ms = row.duration_ms;
        finished.status = row.status;
        finished.error = row.error;
        finished.summary = row.summary;
        finished.delivery_status = row.delivery_status;
        self.tell(finished);
        if over {
            self.deps.state.with(|state| state.remove(&job.id));
            self.tell(event(job, CronAction::Removed));
        }
    }
}
