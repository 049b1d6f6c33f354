//! One run: from its start to its committed end. Runs outside its actor, so that a panic of the
//! actor does not end it, and a panic here ends nothing else.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::events::ChatState;
use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::events::chat::ChatError;
use openclaw_protocol::methods::agent::{Agent, AgentFinal, RunStatus};
use openclaw_protocol::methods::chat::QueueMode;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::RunnerDeps;
use super::attached;
use super::emit::Emitter;
use super::end::{End, Outcome};
use super::generate::{Answer, Ask, NoAnswer};
use super::prompt;
use super::rounds::{self, Job, OpenCall};
use super::system;
use super::tools::Origin;
use crate::call::Reply;
use crate::clock::Millis;
use crate::dedupe::KeyGuard;
use crate::dedupe::state::Stored;
use crate::sessions::keys::SessionKey;
use crate::sessions::state::{Draft, LastRun};
use crate::sessions::{Append, Appended, history};

/// Rows of a transcript that are looked at for a run's context.
const CONTEXT_ROWS: usize = 400;

/// How long the end of a run that cannot be stored is tried again.
const PATIENCE: Duration = Duration::from_mins(1);
/// Before the second try.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Between the later ones.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

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
    /// The run's own time limit.
    pub timeout: Option<Duration>,
    /// What becomes of it while another run of its session is under way.
    pub queue_mode: QueueMode,
    /// Earlier messages that this run answers too.
    pub joined: Vec<Joined>,
    /// See [`super::Incoming::stored`].
    pub stored: Option<Value>,
    /// The text so far, shared with readers.
    pub text: Arc<Mutex<String>>,
    /// Calls of tools that are written down and have no result yet.
    pub open_calls: Arc<Mutex<Vec<OpenCall>>>,
    /// Set when the run is to stop.
    pub stop: watch::Receiver<Option<StopCause>>,
}

/// A message that another run answers, and ends with.
pub struct Joined {
    /// Identity of its own run inside this process.
    pub serial: u64,
    /// The request's idempotency key.
    pub run_id: Arc<str>,
    guard: KeyGuard,
    reply: Option<Reply<Agent>>,
    stored: Option<Value>,
}

/// What a key is answered with from now on.
fn stored_end(own: Option<&Value>, end: &End, answered_twice: bool) -> Stored {
    own.map_or_else(
        || end.stored(answered_twice),
        |payload| Stored {
            ok: true,
            payload: Some(payload.clone()),
            error: None,
        },
    )
}

impl Turn {
    /// Answers the messages of an earlier turn together with its own.
    pub fn join(&mut self, earlier: Self) {
        let mut joined = earlier.joined;
        joined.push(Joined {
            serial: earlier.serial,
            run_id: earlier.run_id,
            guard: earlier.guard,
            reply: earlier.reply,
            stored: earlier.stored,
        });
        joined.append(&mut self.joined);
        self.joined = joined;
    }

    /// The gateway is stopping: the keys stay accepted, and the next start calls them interrupted.
    pub fn leave(self) {
        self.guard.leave();
        for joined in self.joined {
            joined.guard.leave();
        }
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
    let joined: Vec<(u64, Arc<str>)> = turn
        .joined
        .iter()
        .map(|joined| (joined.serial, Arc::clone(&joined.run_id)))
        .collect();
    let driven = AssertUnwindSafe(drive(turn, deps)).catch_unwind().await;
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
    let (session_id, asked) = (Arc::clone(&turn.session_id), turn.user_seq);
    let rows = deps
        .reader
        .offload(move |reader| {
            let mut rows = history::recent(reader, &session_id, 1..asked + 1, CONTEXT_ROWS)?;
            // A message that waited has the answers to earlier ones behind it.
            let behind = asked + 1..u64::MAX;
            rows.extend(history::recent(reader, &session_id, behind, CONTEXT_ROWS)?);
            Ok(rows)
        })
        .await;
    let rows =
        rows.map_err(|error| NoAnswer::Setup(format!("cannot read the conversation: {error}")))?;
    let rows = prompt::in_turns(rows, asked);
    #[cfg(any(test, feature = "testing"))]
    assert!(
        rows.last()
            .is_none_or(|row| row.plain_text() != "poison: run"),
        "poisoned run"
    );
    let files = attached::load(&deps.media, &rows).await;
    let system = system::prompt(agent, turn.extra_system.as_deref()).await;
    let ask = Ask {
        plan: settings.plan(agent, turn.model.as_deref()),
        system,
        conversation: prompt::conversation(&rows, &files),
        tools: Vec::new(),
        http: &deps.http,
        ollama: deps.ollama.clone(),
        deadline: Instant::now() + limit,
        entropy: Arc::clone(&deps.entropy),
    };
    Job::new(turn, deps, emitter, &settings, agent)
        .answer(ask)
        .await
}

/// Commits the end, then tells everyone.
async fn finish(
    turn: Turn,
    deps: RunnerDeps,
    emitter: &Emitter,
    started_at: u64,
    outcome: Outcome,
) -> Ended {
    let ended_at = emitter.now();
    let text = turn
        .text
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let open = std::mem::take(
        &mut *turn
            .open_calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
    for call in &open {
        emitter.tool(rounds::cut_off_event(call));
    }
    let mut end = End::of(&turn, outcome, &text, started_at, ended_at);
    end.cut_off = open
        .iter()
        .map(|call| rounds::cut_off_row(call, ended_at))
        .collect();
    for row in &mut end.cut_off {
        row.meta.get_or_insert_default().run_id = Some(turn.run_id.to_string());
    }
    let stored = stored_end(turn.stored.as_ref(), &end, turn.reply.is_some());
    let committed = commit_patiently(&turn, &deps, &end, &stored).await;
    let Turn {
        guard,
        reply,
        run_id,
        joined,
        ..
    } = turn;
    let mut ended = Ended {
        run_id: run_id.to_string(),
        status: end.status,
        started_at,
        ended_at,
        error: end.error.as_ref().map(|error| error.message.to_string()),
        stop_reason: end.stop_reason.clone(),
    };
    match committed {
        Ok(appended) => {
            guard.finished();
            emitter.pass_on(appended.events);
            emitter.lifecycle(end.lifecycle);
            let told = end.chat.without_message();
            emitter.end(end.chat);
            answer(reply, &end.agent_final, end.error.as_ref());
            for message in joined {
                message.guard.finished();
                emitter.end_joined(&message.run_id, message.serial, told.clone());
                let own = AgentFinal {
                    run_id: message.run_id.to_string(),
                    ..end.agent_final.clone()
                };
                answer(message.reply, &own, end.error.as_ref());
            }
        }
        Err(error) => {
            // On the disk the key stays accepted: the next start calls this run interrupted.
            guard.lost();
            for message in joined {
                message.guard.lost();
                if let Some(reply) = message.reply {
                    reply.error(error.clone());
                }
            }
            tracing::error!(run_id = %run_id, error = %error.message, "the end of a run could not be stored");
            emitter.lifecycle(Data::failed(ended_at, &error.message));
            emitter.end(ChatState::Error(ChatError {
                error_message: Some(error.message.to_string()),
                ..ChatError::default()
            }));
            ended.status = RunStatus::Error;
            ended.error = Some(error.message.to_string());
            if let Some(reply) = reply {
                let payload =
                    json!({ "runId": *run_id, "status": "error", "summary": error.message });
                reply.refuse(error, Some(&payload));
            }
        }
    }
    ended
}

/// Answers `agent` a second time.
fn answer(reply: Option<Reply<Agent>>, end: &AgentFinal, error: Option<&ErrorShape>) {
    match (reply, error) {
        (Some(reply), None) => reply.ok_as(end),
        (Some(reply), Some(error)) => {
            reply.refuse(error.clone(), serde_json::to_value(end).ok().as_ref());
        }
        (None, _) => {}
    }
}

/// Stores the end of a run. An answer that was waited and paid for is not given up because the disk
/// is full or the store reopens for a moment.
async fn commit_patiently(
    turn: &Turn,
    deps: &RunnerDeps,
    end: &End,
    stored: &Stored,
) -> Result<Appended, ErrorShape> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    let mut wait = FIRST_WAIT;
    loop {
        let error = match commit(turn, deps, end, stored).await {
            Ok(appended) => return Ok(appended),
            Err(error) => error,
        };
        if error.retryable != Some(true) || tokio::time::Instant::now() + wait > give_up {
            return Err(error);
        }
        tracing::warn!(run_id = %turn.run_id, error = %error.message, wait_ms = wait.as_millis(), "the end of a run is not stored yet; trying again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
        // A commit that failed to report may have landed, and must not be made twice.
        if let Ok(true) = turn.guard.is_stored(&deps.reader) {
            return Ok(Appended {
                session_id: Arc::clone(&turn.session_id),
                last_seq: 0,
                model: None,
                queue_mode: None,
                events: Vec::new(),
            });
        }
    }
}

async fn commit(
    turn: &Turn,
    deps: &RunnerDeps,
    end: &End,
    stored: &Stored,
) -> Result<Appended, ErrorShape> {
    let now: Millis = deps.clock.now();
    let op = turn
        .guard
        .finish(stored.clone(), now)
        .map_err(|error| crate::methods::store_error(&error))?;
    let mut ops = vec![op];
    for joined in &turn.joined {
        let own = joined.guard.finish(
            stored_end(joined.stored.as_ref(), end, joined.reply.is_some()).of_run(&joined.run_id),
            now,
        );
        ops.push(own.map_err(|error| crate::methods::store_error(&error))?);
    }
    let draft = Draft {
        key: Arc::clone(&turn.session.canonical),
        agent_id: turn.session.agent.clone(),
        messages: end.cut_off.iter().chain(&end.row).cloned().collect(),
        session_id: Some(Arc::clone(&turn.session_id)),
        last_run: Some(LastRun {
            run_id: turn.run_id.to_string(),
            status: end.session_status,
            error: end.error.as_ref().map(|error| error.message.to_string()),
            provider: Some(end.answer.provider.clone()).filter(|name| !name.is_empty()),
            model: Some(end.answer.model.clone()).filter(|name| !name.is_empty()),
        }),
        ops,
    };
    let append = Append {
        draft,
        run_id: Some(turn.run_id.to_string()),
        reason: "end",
    };
    match deps.sessions.send(append).await {
        Ok(done) => done.map_err(|error| crate::methods::store_error(&error)),
        Err(_) => Err(ErrorShape::unavailable(
            "the session index is restarting; the end of this run was not stored",
        )),
    }
}
