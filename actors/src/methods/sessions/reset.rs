//! `sessions.reset`: begins a session anew; owner: agent runner, because it stops the runs. Sessions,
//! which it asks, sets the transcript aside; what those runs still say ends there.

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::methods::session_changes::{
    ResetReason, SessionsReset, SessionsResetResult,
};

use crate::agent::AgentRunner;
use crate::call::Call;
use crate::methods::index_restarting;
use crate::sessions::change::{BeginAnew, Changed};
use crate::sessions::keys;

impl Handler<Call<SessionsReset>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsReset>, ctx: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let settings = self.deps.views.settings.load();
        let agent = params.agent_id.as_deref();
        let session = match keys::of_params::<SessionsReset>(&params.key, agent, &settings) {
            Ok(session) => session,
            Err(error) => return reply.error(error),
        };
        let reason = match params.reason {
            Some(ResetReason::New) => "new",
            Some(ResetReason::Reset) | None => "reset",
        };
        let key = session.canonical.to_string();
        self.stop(&session.canonical, None, &ctx.address());
        let beginning = self.deps.sessions.send(BeginAnew { session, reason });
        let gateway = self.deps.gateway.clone();
        actix_rt::spawn(async move {
            match beginning.await.unwrap_or_else(|_| Err(index_restarting())) {
                Ok(Changed { entry, event }) => {
                    reply.ok(&SessionsResetResult {
                        ok: true,
                        key,
                        entry,
                    });
                    gateway.emit(event);
                }
                Err(error) => reply.error(error),
            }
        });
    }
}
