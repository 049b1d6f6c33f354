//! Runs under way: queued once their message is stored, launched, stopped, ended, drained.

use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, AsyncContext as _, Handler, Message};
use openclaw_protocol::methods::chat::QueueMode;
use tokio::sync::watch;

use super::AgentRunner;
use super::run::{self, Finished, StopCause, Turn};
use super::state::RunnerState;

impl AgentRunner {
    pub(super) fn launch(&self, turns: Vec<Turn>, runner: &Addr<Self>) {
        for turn in turns {
            let started_at = self.deps.now_ms();
            self.deps
                .state
                .with(|state| state.started(turn.serial, started_at));
            let (deps, runner) = (self.deps.clone(), runner.clone());
            let (serial, key) = (turn.serial, Arc::clone(&turn.session.canonical));
            actix_rt::spawn(async move {
                let finished = run::drive_safely(turn, deps).await;
                #[expect(clippy::disallowed_methods, reason = "one per run that was let in")]
                runner.do_send(RunDone {
                    serial,
                    key,
                    finished,
                });
            });
        }
        self.deps.publish();
    }

    /// Stops runs of a session; gives back their ids.
    pub(crate) fn stop(
        &mut self,
        key: &str,
        run_id: Option<&str>,
        runner: &Addr<Self>,
    ) -> Vec<String> {
        let (ids, queued) = self
            .deps
            .state
            .with(|state| state.stop(key, run_id, StopCause::Asked));
        for turn in queued {
            self.end_unstarted(turn, runner);
        }
        ids
    }

    /// A run that was stopped before it began still ends like any other: stored, told, answered.
    pub(super) fn end_unstarted(&self, turn: Turn, runner: &Addr<Self>) {
        let (deps, runner) = (self.deps.clone(), runner.clone());
        let (serial, key) = (turn.serial, Arc::clone(&turn.session.canonical));
        actix_rt::spawn(async move {
            let finished = run::drive_safely(turn, deps).await;
            #[expect(clippy::disallowed_methods, reason = "one per run that was let in")]
            runner.do_send(QueuedEnded {
                serial,
                key,
                finished,
            });
        });
    }
}

/// A stored message whose run may be queued.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Submit {
    pub(super) turn: Box<Turn>,
}

impl Handler<Submit> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: Submit, ctx: &mut Self::Context) {
        let turn = *msg.turn;
        if turn.stop.borrow().is_some() {
            self.deps.state.with(|state| state.stored(turn.serial));
            return self.end_unstarted(turn, &ctx.address());
        }
        if self.deps.state.with(|state| state.is_draining()) {
            // Stored and acknowledged; as for those that wait already, the next start calls it
            // interrupted.
            self.deps.state.with(|state| state.withdraw(turn.serial));
            return turn.leave();
        }
        let settings = self.deps.views.settings.load();
        if turn.queue_mode == QueueMode::Interrupt {
            let (key, cause) = (&turn.session.canonical, StopCause::Interrupted);
            let waiting = self
                .deps
                .state
                .with(|state| state.stop_others(key, turn.serial, cause));
            for turn in waiting {
                self.end_unstarted(turn, &ctx.address());
            }
        }
        let (max, cap) = (settings.max_concurrent, settings.queue.cap);
        let turns = self.deps.state.with(|state| state.submit(turn, max, cap));
        self.launch(turns, &ctx.address());
    }
}

/// A run ended, and its end is stored and told.
#[derive(Message)]
#[rtype(result = "()")]
struct RunDone {
    serial: u64,
    key: Arc<str>,
    finished: Finished,
}

impl Handler<RunDone> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: RunDone, ctx: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let quiet = |channel: &str| settings.queue_rest(channel);
        let now = self.deps.now_ms();
        let (turns, wait) = self.deps.state.with(|state| {
            if !state.finished(msg.serial, msg.finished) {
                return (Vec::new(), None);
            }
            let wait = state.unrest(&msg.key, quiet, now);
            let turns = match wait {
                None => state.lane_done(&msg.key),
                Some(_) => state.lane_rests(&msg.key),
            };
            (turns, wait)
        });
        if let Some(wait) = wait {
            go_on_after(wait, msg.key, ctx.address());
        }
        self.launch(turns, &ctx.address());
    }
}

/// What waits in a lane may run once nothing came for long enough.
#[derive(Message)]
#[rtype(result = "()")]
struct GoOn {
    key: Arc<str>,
}

/// Outside of the actor, so that a panic of it leaves no lane resting.
fn go_on_after(wait: Duration, key: Arc<str>, runner: Addr<AgentRunner>) {
    actix_rt::spawn(async move {
        tokio::time::sleep(wait).await;
        #[expect(clippy::disallowed_methods, reason = "one per lane that rests")]
        runner.do_send(GoOn { key });
    });
}

impl Handler<GoOn> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: GoOn, ctx: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let quiet = |channel: &str| settings.queue_rest(channel);
        let now = self.deps.now_ms();
        let (turns, wait) = self.deps.state.with(|state| {
            let wait = state.unrest(&msg.key, quiet, now);
            let goes = wait.is_none() && !state.is_draining();
            let turns = if goes {
                state.lane_goes_on(&msg.key)
            } else {
                Vec::new()
            };
            (turns, wait)
        });
        if let Some(wait) = wait {
            go_on_after(wait, msg.key, ctx.address());
        }
        self.launch(turns, &ctx.address());
    }
}

/// A run that was stopped before it began has ended; its lane never carried it.
#[derive(Message)]
#[rtype(result = "()")]
struct QueuedEnded {
    serial: u64,
    key: Arc<str>,
    finished: Finished,
}

impl Handler<QueuedEnded> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: QueuedEnded, _: &mut Self::Context) {
        tracing::debug!(session = %msg.key, "a queued run was stopped");
        self.deps
            .state
            .with(|state| state.finished(msg.serial, msg.finished));
        self.deps.publish();
    }
}

/// Lets runs under way end by themselves until `limit`, then stops them; answers when none is left.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// How long they may take.
    pub limit: Duration,
}

impl Handler<Drain> for AgentRunner {
    type Result = actix::ResponseFuture<()>;

    fn handle(&mut self, msg: Drain, _: &mut Self::Context) -> Self::Result {
        let state = self.deps.state.clone();
        Box::pin(async move {
            let (mut idle, queued) = state.with(RunnerState::drain);
            // Their keys stay accepted; the next start calls them interrupted.
            for turn in queued {
                turn.leave();
            }
            let wait = |idle: &mut watch::Receiver<usize>| {
                let mut idle = idle.clone();
                async move { idle.wait_for(|active| *active == 0).await.is_ok() }
            };
            if tokio::time::timeout(msg.limit, wait(&mut idle))
                .await
                .is_err()
            {
                state.with(RunnerState::stop_all);
                // Storing the end of a stopped run takes one commit.
                let _ = tokio::time::timeout(Duration::from_secs(5), wait(&mut idle)).await;
            }
        })
    }
}
