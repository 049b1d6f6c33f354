//! The end of a run: committed first, then told and answered.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openclaw_protocol::ErrorShape;
use openclaw_protocol::events::ChatState;
use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::events::chat::ChatError;
use openclaw_protocol::methods::agent::{Agent, AgentFinal, RunStatus};
use serde_json::{Value, json};

use super::RunnerDeps;
use super::delivery;
use super::emit::Emitter;
use super::end::{End, Outcome};
use super::rounds;
use super::run::{Ended, StopCause, Turn};
use crate::call::Reply;
use crate::clock::Millis;
use crate::dedupe::state::Stored;
use crate::sessions::state::{Draft, LastRun};
use crate::sessions::{Append, Appended};
use crate::totals::{RunDone, RunEnd};

/// How long the end of a run that cannot be stored is tried again.
const PATIENCE: Duration = Duration::from_mins(1);
/// Before the second try.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Between the later ones.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

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

/// Commits the end, then tells everyone.
pub(super) async fn finish(
    mut turn: Turn,
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
    if let Some(row) = &mut end.row {
        turn.steering.mark(row);
    }
    turn.joined.extend(turn.steering.duties());
    let stored = stored_end(turn.stored.as_ref(), &end, turn.reply.is_some());
    let committed = commit_patiently(&turn, &deps, &end, &stored).await;
    let places = turn.places();
    let Turn {
        guard,
        reply,
        run_id,
        joined,
        ..
    } = turn;
    deps.views.totals.run(&RunDone {
        run_id: &run_id,
        agent: &turn.session.agent,
        provider: &end.answer.provider,
        model: &end.answer.model,
        end: match end.status {
            RunStatus::Ok => RunEnd::Ok,
            RunStatus::Timeout => RunEnd::Stopped,
            RunStatus::Error => RunEnd::Failed,
        },
        started_at,
        ended_at,
    });
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
            let over = end.stop_reason.as_deref() != Some(StopCause::Shutdown.as_str());
            for place in places {
                place.committed(over);
            }
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
                thinking: None,
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
    let mut ops = delivery::ops(&turn.places(), end.said(), now)
        .map_err(|error| crate::methods::store_error(&error))?;
    ops.push(op);
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
