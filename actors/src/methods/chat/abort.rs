//! `chat.abort`: stops runs of a session; owner: agent runner.

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::methods::chat::{ChatAbort, ChatAbortResult};

use crate::agent::AgentRunner;
use crate::call::Call;
use crate::sessions::keys;

impl Handler<Call<ChatAbort>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<ChatAbort>, ctx: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let (key, agent) = (&call.params.session_key, call.params.agent_id.as_deref());
        let session = match keys::of_params::<ChatAbort>(key, agent, &settings) {
            Ok(session) => session,
            Err(error) => return call.reply.error(error),
        };
        let run_ids = self.stop(
            &session.canonical,
            call.params.run_id.as_deref(),
            &ctx.address(),
        );
        let reply = call
            .reply
            .alias(&session.canonical, &call.params.session_key);
        reply.ok(&ChatAbortResult {
            ok: true,
            aborted: !run_ids.is_empty(),
            run_ids,
        });
    }
}
