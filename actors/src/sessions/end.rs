//! The end of a session, as the owner of `sessions.delete` asks for it.

use actix::{Handler, Message, ResponseFuture};
use openclaw_protocol::ErrorShape;

use super::Sessions;
use super::keys::{self, SessionKey};
use crate::event::EventOut;
use crate::methods::store_error;

/// Ends a session, and removes its transcripts. Gives what listeners have to be told after the asking
/// owner's own reply; `None` where there was no such session.
#[derive(Message)]
#[rtype(result = "Result<Option<EventOut>, ErrorShape>")]
pub struct End {
    /// The session.
    pub session: SessionKey,
    /// Only if it is archived.
    pub archived_only: bool,
    /// Only while this is its transcript.
    pub expected_session_id: Option<String>,
}

impl Handler<End> for Sessions {
    type Result = ResponseFuture<Result<Option<EventOut>, ErrorShape>>;

    fn handle(&mut self, msg: End, _: &mut Self::Context) -> Self::Result {
        if let Err(error) = self.may_end(&msg) {
            return Box::pin(async move { Err(error) });
        }
        let session = msg.session;
        let ending = self
            .deps
            .index
            .with(|index| index.delete(&session.canonical));
        let Some(mut ending) = ending else {
            return Box::pin(async { Ok(None) });
        };
        let commit = self.deps.store.commit(std::mem::take(&mut ending.ops));
        let deps = self.deps.clone();
        Box::pin(async move {
            let outcome = commit.await;
            deps.index
                .with(|index| index.settle_end(ending, outcome.is_ok()));
            deps.publish();
            outcome.map_err(|error| store_error(&error))?;
            Ok(Some(deps.changed(
                &session.canonical,
                &session.agent,
                "delete",
            )))
        })
    }
}

impl Sessions {
    fn may_end(&self, ask: &End) -> Result<(), ErrorShape> {
        let invalid = |problem: &str| {
            ErrorShape::invalid(format!("invalid sessions.delete params: {problem}"))
        };
        let session = &ask.session;
        let settings = self.deps.views.settings.load();
        if *session.canonical == *keys::main_session(&session.agent, &settings) {
            return Err(ErrorShape::invalid(format!(
                "Cannot delete the main session ({}).",
                session.canonical
            )));
        }
        let record = self
            .deps
            .index
            .with(|index| index.get(&session.canonical).cloned());
        let Some(record) = record else {
            return Ok(());
        };
        if ask.archived_only && !record.archived {
            return Err(invalid("at /archivedOnly: it is not archived"));
        }
        if let Some(expected) = &ask.expected_session_id
            && **expected != *record.session_id
        {
            return Err(invalid(
                "at /expectedSessionId: the session began anew since; read it again",
            ));
        }
        Ok(())
    }
}
