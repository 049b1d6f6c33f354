//! One run: from its start to its committed end. Runs outside its actor, so that a panic of the
//! actor does not end it, and a panic here ends nothing else.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::methods::agent::{Agent, RunStatus};
use openclaw_protocol::methods::chat::QueueMode;
use serde_json::Value;
use tokio::sync::watch;

use super::RunnerDeps;
use super::attached;
use super::compact::{Compaction, Trigger};
use super::context::{self, Context};
use super::delivery::Delivery;
use super::emit::Emitter;
use super::end::Outcome;
use super::finish::finish;
use super::generate::{Answer, Ask, NoAnswer, Source};
use super::model::ErrorKind;
use super::model::thinking::Thinking;
use super::prompt;
use super::rounds::{Job, OpenCall};
use super::steer::Steering;
use super::system;
use super::tools::Origin;
use crate::call::Reply;
use crate::dedupe::KeyGuard;
use crate::sessions::keys::SessionKey;
use crate::settings::ModelPlan;

/// Why a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// Somebody asked.
    Asked,
    /// A newer message of its session takes its place.
    Interrupted,
    /// The gateway shuts down.
    Shutdown,
}

impl StopCause {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "rpc",
            Self::Interrupted => "interrupted",
            Self::Shutdown => "restart",
        }
    }
}

/// An accepted request for a run.
pub struct Turn {
    /// Identity inside this process.
    pub serial: u64,
    /// The request's idempotency key.
    pub run_id: Arc<str>,
    /// The session.
    pub session: SessionKey,
    /// Its transcript.
    pub session_id: Arc<str>,
    /// Number of the user's row.
    pub user_seq: u64,
    /// The key's duty.
    pub guard: KeyGuard,
    /// Who asked for it.
    pub origin: Origin,
    /// The duty to answer `agent` a second time.
    pub reply: Option<Reply<Agent>>,
    /// A system prompt of the request.
    pub extra_system: Option<String>,
    /// The model that was chosen for the session when the message came.
    pub model: Option<String>,
    /// How much it thinks: what the message says, else what was chosen for the session then.
    pub thinking: Option<Thinking>,
    /// The run's own time limit.
    pub timeout: Option<Duration>,
    /// What becomes of it while another run of its session is under way.
    pub queue_mode: QueueMode,
    /// Earlier messages that this run answers too.
    pub joined: Vec<Joined>,
    /// Later messages that this run took in.
    pub steering: Steering,
    /// See [`super::Incoming::stored`].
    pub stored: Option<Value>,
    /// See [`super::Incoming::delivery`].
    pub delivery: Option<Arc<dyn Delivery>>,
    /// The text so far, shared with readers.
    pub text: Arc<Mutex<String>>,
    /// Calls of tools that are written down and have no result yet.
    pub open_calls: Arc<Mutex<Vec<OpenCall>>>,
    /// Set when the run is to stop.
    pub stop: watch::Receiver<Option<StopCause>>,
}

impl Turn {
    /// The channel that its message came from.
    pub fn channel(&self) -> &str {
        let delivery = self.delivery.as_deref();
        delivery.map_or("webchat", |delivery| delivery.channel())
    }
}

/// A message that another run answers, and ends with.
pub struct Joined {
    /// Identity of its own run inside this process.
    pub serial: u64,
    /// The request's idempotency key.
    pub run_id: Arc<str>,
    /// Number of its message.
    pub(super) user_seq: u64,
    pub(super) guard: KeyGuard,
    pub(super) reply: Option<Reply<Agent>>,
    pub(super) stored: Option<Value>,
    delivery: Option<Arc<dyn Delivery>>,
}

impl Turn {
    /// Answers the messages of an earlier turn together with its own.
    pub fn join(&mut self, earlier: Self) {
        let mut joined = earlier.into_joined();
        joined.append(&mut self.joined);
        self.joined = joined;
    }

    /// This message and those that it carries, for another run that answers them.
    pub(super) fn into_joined(self) -> Vec<Joined> {
        let mut joined = self.joined;
        joined.push(Joined {
            serial: self.serial,
            run_id: self.run_id,
            user_seq: self.user_seq,
            guard: self.guard,
            reply: self.reply,
            stored: self.stored,
            delivery: self.delivery,
        });
        joined
    }

    /// Whether it may be heard in the middle of a run.
    pub(super) fn steers(&self) -> bool {
        self.queue_mode == QueueMode::Steer && self.timeout.is_none() && self.extra_system.is_none()
    }

    /// The gateway is stopping: the keys stay accepted, and the next start calls them interrupted.
    pub fn leave(self) {
        self.guard.leave();
        for joined in self.joined {
            joined.guard.leave();
        }
    }

    /// Where its end is told beside the transcript, oldest message first.
    pub(super) fn places(&self) -> Vec<Arc<dyn Delivery>> {
        let joined = self.joined.iter().map(|joined| &joined.delivery);
        let all = joined.chain([&self.delivery]);
        all.flatten().cloned().collect()
    }

    /// Whether this turn and the next one in its lane may share a run.
    pub fn may_join(&self, next: &Self) -> bool {
        let shares = |turn: &Self| {
            matches!(turn.queue_mode, QueueMode::Steer | QueueMode::Collect)
                && turn.timeout.is_none()
                && turn.extra_system.is_none()
        };
        // Nobody's message runs with what somebody else may do.
        shares(self)
            && shares(next)
            && self.session_id == next.session_id
            && self.origin.scopes == next.origin.scopes
    }
}

/// Everything that ended with a run: its own end, and those of the messages that joined it.
pub struct Finished {
    /// The run's own end.
    pub ended: Ended,
    /// Those of the joined messages.
    pub joined: Vec<(u64, Ended)>,
}

/// How a run ended, for those who wait for it.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The run.
    pub run_id: String,
    /// How.
    pub status: RunStatus,
    /// Start, milliseconds since the epoch.
    pub started_at: u64,
    /// End, milliseconds since the epoch.
    pub ended_at: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// Why it was stopped.
    pub stop_reason: Option<String>,
}

/// Runs a turn to its end, whatever happens: a lane must never wait for a run that is gone.
pub async fn drive_safely(turn: Turn, deps: RunnerDeps) -> Finished {
    let (run_id, clock) = (turn.run_id.to_string(), Arc::clone(&deps.clock));
    let steering = turn.steering.clone();
    let mut joined: Vec<(u64, Arc<str>)> = turn
        .joined
        .iter()
        .map(|joined| (joined.serial, Arc::clone(&joined.run_id)))
        .collect();
    let driven = AssertUnwindSafe(drive(turn, deps)).catch_unwind().await;
    joined.extend(steering.ids());
    let ended = driven.unwrap_or_else(|_| {
        let now = u64::try_from(clock.now().get()).unwrap_or_default();
        tracing::error!(run_id, "the end of a run panicked; its result is lost");
        Ended {
            run_id,
            status: RunStatus::Error,
            started_at: now,
            ended_at: now,
            error: Some("the run failed inside the gateway".to_owned()),
            stop_reason: None,
        }
    });
    let own_end = |(serial, run_id): (u64, Arc<str>)| {
        let run_id = run_id.to_string();
        (
            serial,
            Ended {
                run_id,
                ..ended.clone()
            },
        )
    };
    Finished {
        joined: joined.into_iter().map(own_end).collect(),
        ended,
    }
}

/// Runs a turn to its committed end.
async fn drive(turn: Turn, deps: RunnerDeps) -> Ended {
    let emitter = Emitter::new(
        deps.gateway.clone(),
        Arc::clone(&deps.clock),
        Arc::clone(&turn.run_id),
        turn.serial,
        Arc::clone(&turn.session.canonical),
        turn.session.agent.clone(),
        Arc::clone(&turn.session_id),
    );
    let started_at = emitter.now();
    emitter.lifecycle(Data::started(started_at));
    let limit = turn
        .timeout
        .unwrap_or_else(|| deps.views.settings.load().run_timeout);
    let mut stop = turn.stop.clone();
    if let Some(place) = turn.places().last() {
        place.begun(&turn.text);
    }
    let work = AssertUnwindSafe(generate(&turn, &deps, &emitter, limit)).catch_unwind();
    let outcome = tokio::select! {
        biased;
        cause = stopped(&mut stop) => Outcome::Stopped(cause.as_str()),
        () = tokio::time::sleep(limit) => Outcome::Stopped("timeout"),
        done = work => match done {
            Ok(Ok(answer)) => Outcome::Completed(answer),
            Ok(Err(error)) => Outcome::Failed(error),
            Err(_) => Outcome::Panicked,
        },
    };
    finish(turn, deps, &emitter, started_at, outcome).await
}

async fn stopped(stop: &mut watch::Receiver<Option<StopCause>>) -> StopCause {
    loop {
        if let Some(cause) = *stop.borrow_and_update() {
            return cause;
        }
        if stop.changed().await.is_err() {
            // Nobody can stop it any more.
            std::future::pending::<()>().await;
        }
    }
}

async fn generate(
    turn: &Turn,
    deps: &RunnerDeps,
    emitter: &Emitter,
    limit: Duration,
) -> Result<Answer, NoAnswer> {
    let settings = deps.views.settings.load();
    let agent = settings.agent(&turn.session.agent).ok_or_else(|| {
        NoAnswer::Setup(format!(
            "agent \"{}\" is no longer configured",
            turn.session.agent
        ))
    })?;
    let (session, session_id, asked) = (&turn.session, &turn.session_id, turn.user_seq);
    let context = context::load(deps, session, session_id, Some(asked)).await;
    let mut context = context.map_err(NoAnswer::Setup)?;
    #[cfg(any(test, feature = "testing"))]
    assert!(
        context
            .messages()
            .last()
            .is_none_or(|row| row.plain_text() != "poison: run"),
        "poisoned run"
    );
    deps.tools.prepare(&settings, turn.origin.scopes).await;
    let job = Job::new(turn, deps, emitter, &settings, agent);
    let mut ask = Ask {
        plan: settings.plan(agent, turn.model.as_deref()),
        system: system::prompt(agent, turn.extra_system.as_deref(), &turn.origin).await,
        summary: None,
        conversation: Vec::new(),
        tools: job.definitions(),
        thinking: turn.thinking.or(agent.thinking),
        room: None,
        http: &deps.http,
        ollama: deps.ollama.clone(),
        deadline: Instant::now() + limit,
        entropy: Arc::clone(&deps.entropy),
    };
    show(&mut ask, &context, deps).await;
    let mut source = Source::of(&ask).await?;
    let shorten = |trigger, plan: &ModelPlan| Compaction {
        deps,
        session,
        session_id,
        run_id: &turn.run_id,
        plan: plan.clone(),
        deadline: Instant::now() + limit,
        trigger,
        focus: None,
    };
    if let Some(room) = source.room()
        && (ask.tokens() > room || context.cut)
    {
        let compaction = shorten(Trigger::Threshold, &ask.plan);
        if let Some(shorter) = compaction.make_room(&context, asked, room, emitter).await {
            context = shorter;
            show(&mut ask, &context, deps).await;
        }
    }
    match job.answer(&mut ask, &mut source).await {
        // The estimate was wrong, or the configured size of the model is.
        Err(NoAnswer::Model(error))
            if error.kind() == ErrorKind::ContextLength && !job.has_begun() =>
        {
            let room = ask.tokens().min(source.room().unwrap_or(u64::MAX)) / 2;
            let compaction = shorten(Trigger::Overflow, &ask.plan);
            let made = compaction.make_room(&context, asked, room, emitter);
            match made.await {
                Some(shorter) => show(&mut ask, &shorter, deps).await,
                None if context.rows.iter().any(|(number, _)| *number < asked) => {}
                None => return Err(NoAnswer::Model(error)),
            }
            tracing::warn!(run_id = %turn.run_id, %error, "asking again with less of the conversation");
            ask.room = Some(room);
            let mut again = Source::of(&ask).await?;
            job.answer(&mut ask, &mut again).await
        }
        outcome => outcome,
    }
}

/// Puts what the run sees of its session into the request.
async fn show(ask: &mut Ask<'_>, context: &Context, deps: &RunnerDeps) {
    let files = attached::load(&deps.media, context.messages()).await;
    ask.summary = context.told();
    ask.conversation = prompt::conversation(context.messages(), &files);
}
