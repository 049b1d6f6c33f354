//! The agent runner: lanes of runs, one at a time per session.
//!
//! Replaceable. Runs are tasks of their own beside the actor, and lanes and queue outlive a panic
//! in their slot: a panic here fails the message at hand and no run. **Invariant:** a request is
//! acknowledged after one commit that holds the user's row and its key, and no event of its run
//! leaves before that acknowledgement.

mod attached;
mod command;
pub(crate) mod compact;
mod context;
pub mod delivery;
pub mod echo;
pub mod emit;
mod end;
mod finish;
pub mod generate;
mod intake;
pub mod lanes;
pub mod model;
pub mod offer;
pub mod prompt;
mod rounds;
pub mod run;
pub mod state;
mod steer;
pub(crate) mod system;
mod take;
pub mod tools;

pub use command::MODEL as COMMAND_MODEL;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message};
use openclaw_protocol::methods::agent::Agent;
use openclaw_protocol::methods::chat::QueueMode;
use openclaw_protocol::{ErrorShape, Method, Scope};
use serde_json::Value;
use tokio::sync::watch;

use crate::call::Reply;
use crate::clock::{SharedClock, SharedEntropy};
use crate::commands;
use crate::dedupe::KeyGuard;
use crate::event::EventOut;
use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::media::Blobs;
use crate::published::Published;
use crate::sessions::keys::SessionKey;
use crate::sessions::state::Draft;
use crate::sessions::{ActiveRuns, Append, Appended, QueuedRuns, Sessions};
use crate::store::{StoreHandle, StoreReader};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use delivery::Delivery;
use intake::Intake;
use run::{Finished, StopCause, Turn};
use state::RunnerState;
use steer::Steering;
use tools::{Origin, Toolbox};

/// What the runner works with.
#[derive(Clone)]
pub struct RunnerDeps {
    /// Lanes, runs under way and the last that ended; survive a rebuild.
    pub state: Kept<RunnerState>,
    /// The owner of transcripts.
    pub sessions: Addr<Sessions>,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Published snapshots.
    pub views: Views,
    /// Reads transcripts.
    pub reader: StoreReader,
    /// Keeps results of tools that were asked for by name.
    pub store: StoreHandle,
    /// The HTTP client of the models, or why there is none. Made by the first run that needs it: it
    /// loads every trusted certificate of the host.
    pub http: Arc<LazyLock<Result<reqwest::Client, String>>>,
    /// Where Ollama listens while nothing is configured; `None` never looks.
    pub ollama: Option<String>,
    /// What models may call.
    pub tools: Toolbox,
    /// Files that came with messages.
    pub media: Blobs,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

impl RunnerDeps {
    /// Now, milliseconds since the epoch.
    fn now_ms(&self) -> u64 {
        self.clock.now().wire()
    }

    pub(crate) fn tell(&self, event: Option<EventOut>) {
        if let Some(event) = event {
            self.gateway.emit(event);
        }
    }

    fn shown(&self) -> Shown {
        Shown {
            state: self.state.clone(),
            runs: self.views.runs.clone(),
            queued: self.views.queued.clone(),
        }
    }

    fn publish(&self) {
        self.shown().publish();
    }
}

/// The runs, and where they are shown.
struct Shown {
    state: Kept<RunnerState>,
    runs: Published<ActiveRuns>,
    queued: Published<QueuedRuns>,
}

impl Shown {
    fn publish(&self) {
        let (active, queued) = self.state.with(|state| (state.active(), state.queued()));
        self.runs.publish(active);
        self.queued.publish(queued);
    }
}

/// The owner of runs.
pub struct AgentRunner {
    pub(crate) deps: RunnerDeps,
    /// Lost with a panic: whoever waits in it is told.
    intake: Intake,
}

impl Rebuild for AgentRunner {
    type Deps = RunnerDeps;
    const NAME: &'static str = "agent-runner";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 4_096;

    fn build(deps: Self::Deps) -> Self {
        if deps.state.recover(RunnerState::without_runs) {
            tracing::error!(
                "the lanes were rebuilt empty; runs under way go on, queued ones are lost until their keys are asked for"
            );
        }
        Self {
            deps,
            intake: Intake::default(),
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(AgentRunner);

impl Actor for AgentRunner {
    type Context = Context<Self>;
}

/// A message that is to be accepted.
pub(crate) struct Incoming {
    /// The request's idempotency key.
    pub run_id: Arc<str>,
    /// The session.
    pub session: SessionKey,
    /// The user's row.
    pub row: openclaw_protocol::methods::message::Message,
    /// Who sent it; decides which tools its run may use.
    pub origin: Origin,
    /// The key's duty.
    pub guard: KeyGuard,
    /// A system prompt of the request.
    pub extra_system: Option<String>,
    /// The run's own time limit.
    pub timeout: Option<Duration>,
    /// What becomes of it during a run; the session's own mode, or the configured one, when unset.
    pub queue_mode: Option<QueueMode>,
    /// Whether it is text for the agent even where it reads as a command.
    pub as_text: bool,
    /// What its key is answered with once it ended, where that is not the run's own end.
    pub stored: Option<Value>,
    /// Where else its end is told.
    pub delivery: Option<Arc<dyn Delivery>>,
    /// The message is in a transcript already; its run is taken up again.
    pub resumed: Option<Resumed>,
}

impl Incoming {
    /// The channel that it came from.
    fn channel(&self) -> &str {
        let delivery = self.delivery.as_deref();
        delivery.map_or("webchat", |delivery| delivery.channel())
    }
}

/// A message whose run an earlier process left unfinished.
#[derive(Debug, Clone)]
pub(crate) struct Resumed {
    /// Its transcript.
    pub session_id: Arc<str>,
    /// Its number there.
    pub user_seq: u64,
}

/// Who waits to hear that a message was accepted.
pub(crate) trait Asked: 'static {
    /// Whether the run's end is waited for too.
    fn is_answered_twice(&self) -> bool;

    /// Whether they may do what needs this scope.
    fn grants(&self, scope: Scope) -> bool;

    /// It was not accepted. Frees the key first: whoever hears of it may use it again at once.
    fn refuse(self, key: KeyGuard, error: ErrorShape);
}

impl<M: Method> Asked for Reply<M> {
    fn is_answered_twice(&self) -> bool {
        M::NAME == Agent::NAME
    }

    fn grants(&self, scope: Scope) -> bool {
        self.caller().grants(scope)
    }

    fn refuse(self, key: KeyGuard, error: ErrorShape) {
        key.refuse(self, error);
    }
}

impl AgentRunner {
    /// Stores a message with its key, acknowledges it, and queues its run.
    ///
    /// The rest of this happens outside the actor, so that its failure cannot tear a stored message
    /// from its acknowledgement.
    pub(crate) fn accept<A: Asked>(
        &mut self,
        mut incoming: Incoming,
        reply: A,
        acknowledge: impl FnOnce(A, &Appended) -> Option<Reply<Agent>> + 'static,
        ctx: &mut Context<Self>,
    ) {
        if self.deps.state.with(|state| state.is_draining()) {
            let error = ErrorShape::unavailable("gateway restart in progress; try again");
            return reply.refuse(incoming.guard, error.retry_after(2_000));
        }
        if !incoming.as_text {
            let text = incoming.row.plain_text();
            let triggers = &self.deps.views.settings.load().reset_triggers;
            if let Some(found) = commands::parse_with(&text, triggers) {
                return self.obey(incoming, found.spec, found.rest, reply, acknowledge, ctx);
            }
        }
        if let Some(trouble) = self.deps.views.load.load().trouble() {
            let error = ErrorShape::unavailable(trouble).retry_after(10_000);
            return reply.refuse(incoming.guard, error);
        }
        let settings = self.deps.views.settings.load();
        if self.deps.state.with(|state| state.waiting()) >= settings.max_queued {
            return reply.refuse(
                incoming.guard,
                ErrorShape::unavailable("too many messages wait for their run; try again")
                    .retry_after(2_000),
            );
        }
        let key = &incoming.session.canonical;
        let queue = settings.queue;
        let usual_mode = settings.queue_mode(incoming.channel());
        if queue.refuse && self.deps.state.with(|state| state.waiting_in(key)) >= queue.cap {
            return reply.refuse(
                incoming.guard,
                ErrorShape::unavailable(format!(
                    "{} messages of this session wait for their run already, which is the limit (messages.queue.cap); stop the run with /stop, or try again later",
                    queue.cap
                ))
                .retry_after(2_000),
            );
        }
        let op = match incoming
            .guard
            .accept(Some(&incoming.session.canonical), self.deps.clock.now())
        {
            Ok(op) => op,
            Err(error) => {
                return reply.refuse(incoming.guard, crate::methods::store_error(&error));
            }
        };
        let thinking = model::thinking::noted(&incoming.row);
        let draft = Draft {
            key: Arc::clone(&incoming.session.canonical),
            agent_id: incoming.session.agent.clone(),
            messages: match &incoming.resumed {
                Some(_) => Vec::new(),
                None => vec![incoming.row],
            },
            session_id: (incoming.resumed.as_ref()).map(|resumed| Arc::clone(&resumed.session_id)),
            last_run: None,
            ops: vec![op],
        };
        // On its way before this returns, so that messages of one session keep their order.
        let appending = self.deps.sessions.send(Append {
            draft,
            run_id: Some(incoming.run_id.to_string()),
            reason: "send",
        });
        let (gateway, runner) = (self.deps.gateway.clone(), ctx.address());
        let Incoming {
            run_id,
            session,
            origin,
            mut guard,
            extra_system,
            timeout,
            queue_mode,
            stored,
            delivery,
            resumed,
            ..
        } = incoming;
        let (stopper, stop) = watch::channel(None);
        let text = Arc::default();
        let registered = Registered::new(self.deps.shown(), |state| {
            let key = &session.canonical;
            state.register(&run_id, key, &text, stopper, self.deps.now_ms())
        });
        actix_rt::spawn(async move {
            let appended = match appending.await {
                Ok(Ok(appended)) => appended,
                Ok(Err(error)) => {
                    return reply.refuse(guard, crate::methods::store_error(&error));
                }
                Err(_) => {
                    return reply.refuse(
                        guard,
                        ErrorShape::unavailable("the session index is restarting; try again")
                            .retry_after(500),
                    );
                }
            };
            guard.accepted();
            let reply = acknowledge(reply, &appended);
            for event in appended.events {
                gateway.emit(event);
            }
            let turn = Turn {
                serial: registered.passed_on(),
                run_id,
                session,
                session_id: appended.session_id,
                model: appended.model,
                thinking: thinking.or(appended.thinking),
                user_seq: resumed.map_or(appended.last_seq, |resumed| resumed.user_seq),
                guard,
                origin,
                reply,
                extra_system,
                timeout,
                queue_mode: queue_mode.or(appended.queue_mode).unwrap_or(usual_mode),
                joined: Vec::new(),
                steering: Steering::default(),
                stored,
                delivery,
                text,
                open_calls: Arc::default(),
                stop,
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "stored and acknowledged: it must not get lost on a full mailbox"
            )]
            runner.do_send(Submit {
                turn: Box::new(turn),
            });
        });
    }

    fn launch(&self, turns: Vec<Turn>, runner: &Addr<Self>) {
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
    fn end_unstarted(&self, turn: Turn, runner: &Addr<Self>) {
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

/// A run that is known while its message is being stored; forgotten where that fails.
struct Registered {
    shown: Shown,
    serial: Option<u64>,
}

impl Registered {
    fn new(shown: Shown, register: impl FnOnce(&mut RunnerState) -> u64) -> Self {
        let serial = shown.state.with(register);
        shown.publish();
        Self {
            shown,
            serial: Some(serial),
        }
    }

    /// The run's number; from here on its turn stands for it.
    fn passed_on(mut self) -> u64 {
        self.serial.take().unwrap_or_default()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(serial) = self.serial {
            self.shown.state.with(|state| state.withdraw(serial));
            self.shown.publish();
        }
    }
}

/// A stored message whose run may be queued.
#[derive(Message)]
#[rtype(result = "()")]
struct Submit {
    turn: Box<Turn>,
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
