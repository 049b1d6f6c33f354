//! One run: from its start to its committed end. Runs outside its actor, so that a panic of the
//! actor does not end it, and a panic here ends nothing else.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use openclaw_protocol::events::ChatState;
use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::events::chat::{
    ChatAborted, ChatError, ChatErrorDetail, ChatErrorKind, ChatFinal,
};
use openclaw_protocol::methods::agent::{
    Agent, AgentFinal, AgentMeta, RunMeta, RunPayload, RunResult, RunStatus,
};
use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::sessions::SessionStatus;
use openclaw_protocol::{ErrorCode, ErrorShape};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::RunnerDeps;
use super::emit::Emitter;
use super::generate::{self, Answer, Ask, NoAnswer};
use super::model::ErrorKind;
use crate::call::Reply;
use crate::clock::Millis;
use crate::dedupe::KeyGuard;
use crate::dedupe::state::Stored;
use crate::sessions::keys::SessionKey;
use crate::sessions::state::{Draft, LastRun};
use crate::sessions::{Append, Appended, history};

/// Rows of a transcript that are looked at for a run's context.
const CONTEXT_ROWS: usize = 400;

/// Why a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// Somebody asked.
    Asked,
    /// The gateway shuts down.
    Shutdown,
}

impl StopCause {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "rpc",
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
    /// The duty to answer `agent` a second time.
    pub reply: Option<Reply<Agent>>,
    /// A system prompt of the request.
    pub extra_system: Option<String>,
    /// The run's own time limit.
    pub timeout: Option<Duration>,
    /// The text so far, shared with readers.
    pub text: Arc<Mutex<String>>,
    /// Set when the run is to stop.
    pub stop: watch::Receiver<Option<StopCause>>,
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

enum Outcome {
    Completed(Answer),
    Stopped(&'static str),
    Failed(NoAnswer),
    Panicked,
}

/// Runs a turn to its end, whatever happens: a lane must never wait for a run that is gone.
pub async fn drive_safely(turn: Turn, deps: RunnerDeps) -> Ended {
    let (run_id, clock) = (turn.run_id.to_string(), Arc::clone(&deps.clock));
    let driven = AssertUnwindSafe(drive(turn, deps)).catch_unwind().await;
    driven.unwrap_or_else(|_| {
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
    })
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
    let rows = generate::in_turns(rows, asked);
    #[cfg(any(test, feature = "testing"))]
    assert!(
        rows.last()
            .is_none_or(|row| row.plain_text() != "poison: run"),
        "poisoned run"
    );
    let system = match (agent.system_prompt.clone(), turn.extra_system.clone()) {
        (Some(own), Some(extra)) => Some(format!("{own}\n\n{extra}")),
        (own, extra) => own.or(extra),
    };
    let ask = Ask {
        plan: agent.model.clone(),
        system,
        conversation: generate::conversation(&rows),
        http: &deps.http,
        ollama: deps.ollama.clone(),
        deadline: Instant::now() + limit,
        entropy: Arc::clone(&deps.entropy),
    };
    generate::answer(ask, emitter, &turn.text).await
}

/// What the end of a run looks like from every side.
struct End {
    status: RunStatus,
    row: Option<Message>,
    session_status: SessionStatus,
    stored_chat: Stored,
    agent_final: AgentFinal,
    error: Option<ErrorShape>,
    lifecycle: serde_json::Map<String, Value>,
    chat: ChatState,
    answer: Answer,
    stop_reason: Option<String>,
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
    let end = End::of(&turn, outcome, &text, started_at, ended_at);
    let stored = if turn.reply.is_some() {
        Stored {
            ok: end.error.is_none(),
            payload: serde_json::to_value(&end.agent_final).ok(),
            error: end.error.clone(),
        }
    } else {
        end.stored_chat.clone()
    };
    let committed = commit(&turn, &deps, &end, stored).await;
    let Turn {
        guard,
        reply,
        run_id,
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
            emitter.end(end.chat);
            if let Some(reply) = reply {
                match end.error {
                    None => reply.ok_as(&end.agent_final),
                    Some(error) => {
                        reply.refuse(error, serde_json::to_value(&end.agent_final).ok().as_ref());
                    }
                }
            }
        }
        Err(error) => {
            // On the disk the key stays accepted: the next start calls this run interrupted.
            guard.lost();
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

async fn commit(
    turn: &Turn,
    deps: &RunnerDeps,
    end: &End,
    stored: Stored,
) -> Result<Appended, ErrorShape> {
    let now: Millis = deps.clock.now();
    let op = turn
        .guard
        .finish(stored, now)
        .map_err(|error| crate::methods::store_error(&error))?;
    let draft = Draft {
        key: Arc::clone(&turn.session.canonical),
        agent_id: turn.session.agent.clone(),
        messages: end.row.clone().into_iter().collect(),
        last_run: Some(LastRun {
            run_id: turn.run_id.to_string(),
            status: end.session_status,
            error: end.error.as_ref().map(|error| error.message.to_string()),
            provider: Some(end.answer.provider.clone()).filter(|name| !name.is_empty()),
            model: Some(end.answer.model.clone()).filter(|name| !name.is_empty()),
        }),
        ops: vec![op],
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

impl End {
    fn of(turn: &Turn, outcome: Outcome, text: &str, started_at: u64, ended_at: u64) -> Self {
        match outcome {
            Outcome::Completed(answer) => Self::completed(turn, answer, text, started_at, ended_at),
            Outcome::Stopped(reason) => Self::stopped(turn, reason, text, started_at, ended_at),
            Outcome::Failed(NoAnswer::Model(error)) => {
                let kind = match error.kind() {
                    ErrorKind::Refusal => ChatErrorKind::Refusal,
                    ErrorKind::Timeout => ChatErrorKind::Timeout,
                    ErrorKind::RateLimit => ChatErrorKind::RateLimit,
                    ErrorKind::ContextLength => ChatErrorKind::ContextLength,
                    ErrorKind::Unknown => ChatErrorKind::Unknown,
                };
                let detail = ChatErrorDetail {
                    provider: Some(error.provider.clone()),
                    model: Some(error.model.clone()),
                    ..ChatErrorDetail::default()
                };
                Self::failed(turn, &error.to_string(), kind, Some(detail), text, ended_at)
            }
            Outcome::Failed(NoAnswer::Setup(message)) => {
                Self::failed(turn, &message, ChatErrorKind::Unknown, None, text, ended_at)
            }
            Outcome::Panicked => {
                let message = "the run failed inside the gateway; the log has the place. Other runs are not affected; send the message again";
                Self::failed(turn, message, ChatErrorKind::Unknown, None, text, ended_at)
            }
        }
    }

    fn completed(turn: &Turn, answer: Answer, text: &str, started_at: u64, ended_at: u64) -> Self {
        let stop_reason = if answer.cut { "length" } else { "stop" };
        let mut row = Message::text(MessageRole::Assistant, text, ended_at);
        row.provider = Some(answer.provider.clone());
        row.model = Some(answer.model.clone());
        row.usage.clone_from(&answer.usage);
        row.stop_reason = Some(stop_reason.to_owned());
        mark(&mut row, turn);
        let chat = ChatFinal {
            message: Some(row.clone()),
            usage: answer.usage.clone(),
            stop_reason: Some(stop_reason.to_owned()),
        };
        Self {
            status: RunStatus::Ok,
            session_status: SessionStatus::Done,
            stored_chat: Stored {
                ok: true,
                payload: Some(json!({ "runId": *turn.run_id, "status": "ok" })),
                error: None,
            },
            agent_final: AgentFinal {
                run_id: turn.run_id.to_string(),
                status: RunStatus::Ok,
                summary: Some("completed".into()),
                result: Some(result_of(turn, &answer, text, started_at, ended_at, None)),
                stop_reason: None,
                timeout_phase: None,
                provider_started: None,
                ended_at: None,
            },
            error: None,
            lifecycle: Data::ended(started_at, ended_at, Some(stop_reason)),
            chat: ChatState::Final(chat),
            row: Some(row),
            answer,
            stop_reason: None,
        }
    }

    fn stopped(
        turn: &Turn,
        reason: &'static str,
        text: &str,
        started_at: u64,
        ended_at: u64,
    ) -> Self {
        let timed_out = reason == "timeout";
        let row = (!text.is_empty()).then(|| {
            let mut row = Message::text(MessageRole::Assistant, text, ended_at);
            row.stop_reason = Some("aborted".into());
            mark(&mut row, turn);
            row
        });
        let answer = Answer::default();
        Self {
            status: RunStatus::Timeout,
            session_status: if timed_out {
                SessionStatus::Timeout
            } else {
                SessionStatus::Killed
            },
            stored_chat: Stored {
                ok: true,
                payload: Some(
                    json!({ "runId": *turn.run_id, "status": "timeout", "summary": "aborted", "stopReason": reason, "endedAt": ended_at }),
                ),
                error: None,
            },
            agent_final: AgentFinal {
                run_id: turn.run_id.to_string(),
                status: RunStatus::Timeout,
                summary: Some("aborted".into()),
                result: timed_out
                    .then(|| result_of(turn, &answer, text, started_at, ended_at, Some(true))),
                stop_reason: (!timed_out).then(|| reason.to_owned()),
                timeout_phase: timed_out.then(|| "provider".to_owned()),
                provider_started: timed_out.then_some(true),
                ended_at: Some(ended_at),
            },
            error: None,
            lifecycle: {
                let mut data = Data::ended(started_at, ended_at, Some(reason));
                data.insert("aborted".into(), Value::Bool(true));
                data
            },
            chat: ChatState::Aborted(ChatAborted {
                message: row.clone(),
                stop_reason: Some(reason.to_owned()),
                error_message: None,
            }),
            row,
            answer,
            stop_reason: Some(reason.to_owned()),
        }
    }

    fn failed(
        turn: &Turn,
        message: &str,
        kind: ChatErrorKind,
        detail: Option<ChatErrorDetail>,
        text: &str,
        ended_at: u64,
    ) -> Self {
        let error = ErrorShape::new(ErrorCode::Unavailable, message.to_owned());
        let mut row = Message::text(MessageRole::Custom, text, ended_at);
        row.custom_type = Some("run-failed-before-reply".into());
        row.error_message = Some(message.to_owned());
        row.is_error = Some(true);
        mark(&mut row, turn);
        Self {
            status: RunStatus::Error,
            session_status: SessionStatus::Failed,
            stored_chat: Stored {
                ok: false,
                payload: Some(
                    json!({ "runId": *turn.run_id, "status": "error", "summary": message }),
                ),
                error: Some(error.clone()),
            },
            agent_final: AgentFinal {
                run_id: turn.run_id.to_string(),
                status: RunStatus::Error,
                summary: Some(message.to_owned()),
                result: None,
                stop_reason: None,
                timeout_phase: None,
                provider_started: None,
                ended_at: None,
            },
            error: Some(error),
            lifecycle: Data::failed(ended_at, message),
            chat: ChatState::Error(ChatError {
                message: None,
                error_message: Some(message.to_owned()),
                error_kind: Some(kind),
                error_detail: detail,
                stop_reason: None,
            }),
            row: Some(row),
            answer: Answer::default(),
            stop_reason: None,
        }
    }
}

fn mark(row: &mut Message, turn: &Turn) {
    row.meta.get_or_insert_default().run_id = Some(turn.run_id.to_string());
}

fn result_of(
    turn: &Turn,
    answer: &Answer,
    text: &str,
    started_at: u64,
    ended_at: u64,
    aborted: Option<bool>,
) -> RunResult {
    let payload = RunPayload {
        text: text.to_owned(),
        media_url: None.into(),
    };
    RunResult {
        payloads: if text.is_empty() {
            Vec::new()
        } else {
            vec![payload]
        },
        meta: RunMeta {
            duration_ms: ended_at.saturating_sub(started_at),
            agent_meta: AgentMeta {
                session_id: turn.session_id.to_string(),
                provider: answer.provider.clone(),
                model: answer.model.clone(),
                usage: answer.usage.clone(),
            },
            aborted,
        },
    }
}
