//! `sessions.delete`: ends a session; owner: agent runner, because it stops the runs. Sessions, which
//! it asks, removes it with its transcripts; what those runs still say is dropped, their results are
//! kept.

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::methods::session_changes::{SessionsDelete, SessionsDeleteResult};

use crate::agent::AgentRunner;
use crate::call::Call;
use crate::methods::index_restarting;
use crate::sessions::end::End;
use crate::sessions::keys;

impl Handler<Call<SessionsDelete>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsDelete>, ctx: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let settings = self.deps.views.settings.load();
        let agent = params.agent_id.as_deref();
        let session = match keys::of_params::<SessionsDelete>(&params.key, agent, &settings) {
            Ok(session) => session,
            Err(error) => return reply.error(error),
        };
        let key = session.canonical.to_string();
        let archived_only = params.archived_only == Some(true);
        let conditional = archived_only || params.expected_session_id.is_some();
        // A session that may not be deleted after all keeps its runs.
        if !conditional && *key != *keys::main_session(&session.agent, &settings) {
            self.stop(&key, None, &ctx.address());
        }
        let ending = self.deps.sessions.send(End {
            session,
            archived_only,
            expected_session_id: params.expected_session_id,
        });
        let gateway = self.deps.gateway.clone();
        actix_rt::spawn(async move {
            match ending.await.unwrap_or_else(|_| Err(index_restarting())) {
                Ok(event) => {
                    reply.ok(&SessionsDeleteResult {
                        ok: true,
                        key,
                        deleted: event.is_some(),
                        archived: Vec::new(),
                    });
                    if let Some(event) = event {
                        gateway.emit(event);
                    }
                }
                Err(error) => reply.error(error),
            }
        });
    }
}
