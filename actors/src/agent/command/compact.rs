//! `/compact`: shortens a conversation to a summary.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::message::{Message, MessageRole};
use tokio::sync::oneshot;

use super::{Doing, MODEL, now};
use crate::agent::compact::ByHand;
use crate::agent::{AgentRunner, RunnerDeps, echo};
use crate::event::EventOut;
use crate::methods::injected;
use crate::sessions::Append;
use crate::sessions::keys::SessionKey;
use crate::sessions::state::Draft;

/// How long a command may take before it says that it is under way.
const QUICK: Duration = Duration::from_secs(1);

impl AgentRunner {
    /// A model may take its time for a summary: whoever asked is told at once that it is under way, and
    /// in the conversation what came of it.
    pub(super) fn shorten(&self, session: &SessionKey, rest: &str) -> Doing {
        let focus = Some(rest.to_owned()).filter(|focus| !focus.is_empty());
        let work = match self.compact(session.clone(), None, focus) {
            Ok(work) => work,
            Err(error) => return now(error.message.into_owned()),
        };
        let (deps, session) = (self.deps.clone(), session.clone());
        let (tell, told) = oneshot::channel();
        actix_rt::spawn(async move {
            let (text, events) = outcome(work.await);
            for event in events {
                deps.gateway.emit(event);
            }
            if let Err(text) = tell.send(text) {
                note(&deps, session, text).await;
            }
        });
        Box::pin(async move {
            let text = tokio::time::timeout(QUICK, told).await;
            Ok(match text {
                Ok(Ok(text)) => text,
                _ => "The model is writing a summary of this conversation; what comes of it will be told here.".to_owned(),
            }
            .into())
        })
    }
}

/// What came of a compaction, in words.
fn outcome(done: Result<ByHand, ErrorShape>) -> (String, Vec<EventOut>) {
    match done {
        Ok(ByHand::Nothing(reason)) => (format!("Nothing was compacted: {reason}."), Vec::new()),
        Ok(ByHand::Done {
            figures, events, ..
        }) => {
            let text = format!(
                "The model goes on with a summary of this conversation: about {} tokens instead of {}. The history above stays.",
                figures.tokens_after, figures.tokens_before
            );
            (text, events)
        }
        Ok(ByHand::Failed(problem)) => (not_compacted(&problem), Vec::new()),
        Err(error) => (not_compacted(&error.message), Vec::new()),
    }
}

fn not_compacted(problem: &str) -> String {
    format!("The conversation could not be compacted: {problem}")
}

/// Says something in a conversation after a command was answered; models do not see it.
async fn note(deps: &RunnerDeps, session: SessionKey, text: String) {
    let mut row = Message::text(MessageRole::Assistant, text, deps.now_ms());
    row.provider = Some(echo::PROVIDER.into());
    row.model = Some(MODEL.into());
    row.stop_reason = Some("stop".into());
    row.meta.get_or_insert_default().command = Some(true);
    let run_id = format!("command-{}", deps.entropy.uuid());
    let appending = deps.sessions.send(Append {
        draft: Draft {
            key: Arc::clone(&session.canonical),
            agent_id: session.agent.clone(),
            session_id: None,
            messages: vec![row.clone()],
            last_run: None,
            ops: Vec::new(),
        },
        run_id: Some(run_id.clone()),
        reason: "command",
    });
    match injected::stored(appending).await {
        Ok(appended) => injected::show(&deps.gateway, appended, run_id, session, row),
        Err(error) => tracing::warn!(%error.message, "what came of a command could not be stored"),
    }
}
