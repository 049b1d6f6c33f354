//! `sessions.reset`: begins a session anew. The runner stops its runs, then sessions, the owner, sets
//! the transcript aside; what those runs still say ends there.

use std::sync::Arc;

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::methods::session_changes::{
    ResetReason, SessionsReset, SessionsResetResult,
};

use crate::agent::AgentRunner;
use crate::call::Call;
use crate::methods::store_error;
use crate::sessions::{Sessions, keys, row};

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

    fn handle(&mut self, call: Call<SessionsReset>, _: &mut Self::Context) {
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
        let entropy = Arc::clone(&self.deps.entropy);
        let now = self.deps.clock.now();
        let prepared = self.deps.index.with(|index| {
            index.reset(
                (&session.canonical, &session.agent),
                || entropy.uuid().to_string(),
                now,
            )
        });
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return reply.error(store_error(&error)),
        };
        let reason = match params.reason {
            Some(ResetReason::New) => "new",
            Some(ResetReason::Reset) | None => "reset",
        };
        let commit = self.deps.store.commit(prepared.ops);
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let record = prepared.record;
            if let Err(error) = deps.settle(record.clone(), commit.await) {
                return reply.error(store_error(&error));
            }
            if let Some(record) = record {
                reply.ok(&SessionsResetResult {
                    ok: true,
                    key: session.canonical.to_string(),
                    entry: row(&deps.views, &record),
                });
            }
            let changed = deps.changed(&session.canonical, &session.agent, reason);
            deps.gateway.emit(changed);
        });
    }
}
