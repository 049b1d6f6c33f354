//! `sessions.abort`: stops runs of a session, or one run; owner: agent runner.

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::session_changes::{SessionsAbort, SessionsAbortResult};

use crate::agent::AgentRunner;
use crate::call::Call;
use crate::sessions::keys;

impl Handler<Call<SessionsAbort>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsAbort>, ctx: &mut Self::Context) {
        let params = &call.params;
        let settings = self.deps.views.settings.load();
        let key = match (&params.key, &params.run_id) {
            (Some(key), _) => {
                let agent = params.agent_id.as_deref();
                match keys::of_params::<SessionsAbort>(key, agent, &settings) {
                    Ok(session) => Some(session.canonical),
                    Err(error) => return call.reply.error(error),
                }
            }
            (None, Some(run_id)) => self.deps.state.with(|state| state.session_of(run_id)),
            (None, None) => {
                return call.reply.error(ErrorShape::invalid(
                    "invalid sessions.abort params: give key or runId",
                ));
            }
        };
        let run_ids = key.map_or_else(Vec::new, |key| {
            self.stop(&key, params.run_id.as_deref(), &ctx.address())
        });
        call.reply.ok(&SessionsAbortResult {
            ok: true,
            aborted: !run_ids.is_empty(),
            run_ids,
        });
    }
}
