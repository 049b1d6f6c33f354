//! `sessions.delete`: ends a session. The runner stops its runs, then sessions, the owner, removes it
//! with its transcripts; what those runs still say is dropped, their results are kept.

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::session_changes::{SessionsDelete, SessionsDeleteResult};

use crate::agent::AgentRunner;
use crate::call::Call;
use crate::methods::store_error;
use crate::sessions::keys::SessionKey;
use crate::sessions::{Sessions, keys};

impl Handler<Call<SessionsDelete>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsDelete>, ctx: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let params = &call.params;
        match keys::of_params::<SessionsDelete>(&params.key, params.agent_id.as_deref(), &settings)
        {
            Ok(session) => {
                let conditional =
                    params.archived_only == Some(true) || params.expected_session_id.is_some();
                // A session that may not be deleted after all keeps its runs.
                if !conditional
                    && *session.canonical != *keys::main_session(&session.agent, &settings)
                {
                    self.stop(&session.canonical, None, &ctx.address());
                }
                // A full mailbox drops the call, which answers for itself.
                drop(self.deps.sessions.try_send(call));
            }
            Err(error) => call.reply.error(error),
        }
    }
}

impl Handler<Call<SessionsDelete>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsDelete>, _: &mut Self::Context) {
        let session = match self.may_delete(&call) {
            Ok(session) => session,
            Err(error) => return call.reply.error(error),
        };
        let reply = call.reply;
        let key = session.canonical.to_string();
        let result = move |deleted| SessionsDeleteResult {
            ok: true,
            key,
            deleted,
            archived: Vec::new(),
        };
        let ending = self
            .deps
            .index
            .with(|index| index.delete(&session.canonical));
        let Some(mut ending) = ending else {
            return reply.ok(&result(false));
        };
        let commit = self.deps.store.commit(std::mem::take(&mut ending.ops));
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let outcome = commit.await;
            deps.index
                .with(|index| index.settle_end(ending, outcome.is_ok()));
            deps.publish();
            if let Err(error) = outcome {
                return reply.error(store_error(&error));
            }
            reply.ok(&result(true));
            let changed = deps.changed(&session.canonical, &session.agent, "delete");
            deps.gateway.emit(changed);
        });
    }
}

impl Sessions {
    fn may_delete(&self, call: &Call<SessionsDelete>) -> Result<SessionKey, ErrorShape> {
        let invalid = |problem: String| {
            ErrorShape::invalid(format!("invalid sessions.delete params: {problem}"))
        };
        let params = &call.params;
        let settings = self.deps.views.settings.load();
        let session =
            keys::of_params::<SessionsDelete>(&params.key, params.agent_id.as_deref(), &settings)?;
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
            return Ok(session);
        };
        if params.archived_only == Some(true) && !record.archived {
            return Err(invalid("at /archivedOnly: it is not archived".into()));
        }
        if let Some(expected) = &params.expected_session_id
            && **expected != *record.session_id
        {
            return Err(invalid(
                "at /expectedSessionId: the session began anew since; read it again".into(),
            ));
        }
        Ok(session)
    }
}
