//! `sessions.compact` and `/compact`: somebody wants a conversation to be shortened.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use openclaw_protocol::ErrorShape;
use openclaw_protocol::events::sessions::{OperationPhase, SessionOperation};
use openclaw_protocol::events::{SESSION_OPERATION, SessionOperationEvent};
use openclaw_protocol::methods::session_changes::CompactionFigures;

use super::plan;
use super::{Busy, Compaction, Shortened, Trigger};
use crate::agent::context::{self, Context};
use crate::agent::{AgentRunner, RunnerDeps};
use crate::event::{Audience, Class, EventOut, PlainV4};
use crate::methods::index_restarting;
use crate::sessions::ask::Find;
use crate::sessions::keys::SessionKey;

/// What came of it.
pub(crate) enum ByHand {
    /// There is nothing to shorten; why.
    Nothing(&'static str),
    /// It failed, and nothing changed; why.
    Failed(String),
    /// It is shorter.
    Done {
        /// By how much.
        figures: CompactionFigures,
        /// How many messages models still see as they are.
        kept: u64,
        /// What listeners have to be told behind the answer.
        events: Vec<EventOut>,
    },
}

impl AgentRunner {
    /// Shortens a conversation to a summary and its newest messages, or with `lines` to about so many
    /// of them without a summary.
    ///
    /// # Errors
    ///
    /// `INVALID_REQUEST` while something runs or waits in the session, or shortens it.
    pub(crate) fn compact(
        &self,
        session: SessionKey,
        lines: Option<u64>,
        focus: Option<String>,
    ) -> Result<impl Future<Output = Result<ByHand, ErrorShape>> + use<>, ErrorShape> {
        let key = &session.canonical;
        let deps = self.deps.clone();
        if deps.state.with(|state| state.is_active(key)) {
            return Err(ErrorShape::invalid(format!(
                "Session {key} has an active run; retry after it finishes."
            )));
        }
        let busy = Busy::begin(&deps, &session).ok_or_else(|| {
            ErrorShape::invalid(format!("Session {key} is being compacted already."))
        })?;
        Ok(async move {
            let _busy = busy;
            run(&deps, &session, lines, focus.as_deref()).await
        })
    }
}

async fn run(
    deps: &RunnerDeps,
    session: &SessionKey,
    lines: Option<u64>,
    focus: Option<&str>,
) -> Result<ByHand, ErrorShape> {
    let found = deps.sessions.send(Find(Arc::clone(&session.canonical)));
    let Some(record) = found.await.map_err(|_| index_restarting())? else {
        return Ok(ByHand::Nothing("no sessionId"));
    };
    let session_id = Arc::clone(&record.session_id);
    let read = context::load(deps, session, &session_id, None).await;
    let context = read.map_err(ErrorShape::unavailable)?;
    if context.rows.is_empty() && context.summary.is_empty() {
        return Ok(ByHand::Nothing("no transcript"));
    }
    let settings = deps.views.settings.load();
    let agent = settings.agent(&session.agent).ok_or_else(|| {
        ErrorShape::invalid(format!(
            "agent \"{}\" is no longer configured",
            session.agent
        ))
    })?;
    let operation = deps.entropy.uuid().to_string();
    let compaction = Compaction {
        deps,
        session,
        session_id: &session_id,
        run_id: &operation,
        plan: settings.plan(agent, record.model.as_deref()),
        deadline: Instant::now() + settings.run_timeout,
        trigger: Trigger::Manual,
        focus,
    };
    let cut = match lines {
        Some(lines) => plan::cut_to(
            &context.rows,
            usize::try_from(lines).unwrap_or(usize::MAX),
            context.next_seq,
        ),
        // Whoever asks wants it shorter, also where all of it would fit.
        None => plan::cut(&context.rows, None, 0, context.next_seq),
    };
    let Some(cut) = cut else {
        return Ok(nothing(&context));
    };
    let kept = (context.rows.len() - cut.old) as u64;
    tell(deps, session, &operation, None);
    let work = async {
        if lines.is_some() {
            compaction.leave_out(&context, cut).await
        } else {
            compaction.shorten(&context, cut).await
        }
    };
    let outcome = tokio::time::timeout(settings.run_timeout, work).await;
    let outcome = outcome.unwrap_or_else(|_| Err("the summary took too long".into()));
    let end = outcome.as_ref().map(|_| ()).map_err(String::as_str);
    tell(deps, session, &operation, Some(end));
    Ok(match outcome {
        Ok(Shortened { figures, events }) => {
            compaction.settle(None);
            ByHand::Done {
                figures,
                kept,
                events,
            }
        }
        Err(problem) => {
            tracing::warn!(session = %session.canonical, %problem, "a conversation could not be compacted");
            ByHand::Failed(problem)
        }
    })
}

fn nothing(context: &Context) -> ByHand {
    ByHand::Nothing(if context.compacted.is_some() {
        "Already compacted"
    } else {
        "Nothing to compact (session too small)"
    })
}

/// Tells those who watch the list that the operation begins, or how it ended.
fn tell(deps: &RunnerDeps, session: &SessionKey, operation: &str, end: Option<Result<(), &str>>) {
    let event = SessionOperationEvent {
        operation_id: operation.to_owned(),
        operation: SessionOperation::Compact,
        phase: if end.is_some() {
            OperationPhase::End
        } else {
            OperationPhase::Start
        },
        session_key: session.canonical.to_string(),
        agent_id: Some(session.agent.clone()),
        ts: deps.now_ms(),
        completed: end.map(|end| end.is_ok()),
        reason: end.and_then(|end| end.err().map(str::to_owned)),
    };
    let audience = Audience::SessionIndex;
    deps.gateway
        .emit(EventOut::new(SESSION_OPERATION, audience, PlainV4(event)).class(Class::Droppable));
}
