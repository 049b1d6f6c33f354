//! `sessions.reset`: begins a session anew. The runner stops its runs, then sessions, the owner, sets
//! the transcript aside; what those runs still say ends there.

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::methods::session_changes::{
    ResetReason, SessionsReset, SessionsResetResult,
};

use crate::agent::AgentRunner;
use crate::call::Call;
use crate::sessions::change::{BeginAnew, Changed};
use crate::sessions::{Sessions, keys};

impl Handler<Call<SessionsReset>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsReset>, ctx: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let params = &call.params;
        match keys::of_params::<SessionsReset>(&params.key, params.agent_id.as_deref(), &settings) {
            Ok(session) => {
                self.stop(&session.canonical, None, &ctx.address());
                // A full mailbox drops the call, which answers for itself.
                drop(self.deps.sessions.try_send(call));
            }
            Err(error) => call.reply.error(error),
        }
    }
}

impl Handler<Call<SessionsReset>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsReset>, ctx: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let settings = self.deps.views.settings.load();
        let session = match keys::of_params::<SessionsReset>(
            &params.key,
            params.agent_id.as_deref(),
            &settings,
        ) {
            Ok(session) => session,
            Err(error) => return reply.error(error),
        };
        let reason = match params.reason {
            Some(ResetReason::New) => "new",
            Some(ResetReason::Reset) | None => "reset",
        };
        let key = session.canonical.to_string();
        let beginning = self.handle(BeginAnew { session, reason }, ctx);
        let gateway = self.deps.gateway.clone();
        actix_rt::spawn(async move {
            let Changed { entry, event } = match beginning.await {
                Ok(changed) => changed,
                Err(error) => return reply.error(error),
            };
            reply.ok(&SessionsResetResult {
                ok: true,
                key,
                entry,
            });
            gateway.emit(event);
        });
    }
}
