//! `wake`: tells an agent something in its main session. There is no heartbeat yet, so that both modes
//! are now.

use actix::Handler;
use openclaw_protocol::methods::agent::AgentParams;
use openclaw_protocol::methods::common::OkResult;
use openclaw_protocol::methods::cron::Wake;
use serde_json::json;

use crate::call::Call;
use crate::cron::Scheduler;
use crate::cron::line::Line;
use crate::sessions::keys;

impl Handler<Call<Wake>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<Wake>, _: &mut Self::Context) {
        let Call {
            params,
            caller,
            reply,
        } = call;
        let settings = self.deps.views.settings.load();
        let (key, agent) = (params.session_key.as_deref(), params.agent_id.as_deref());
        let session = match keys::of_params::<Wake>(key.unwrap_or("main"), agent, &settings) {
            Ok(session) => session,
            Err(error) => return reply.error(error),
        };
        let asked = json!({
            "message": params.text,
            "idempotencyKey": format!("wake:{}", self.deps.entropy.uuid()),
            "sessionKey": &*session.canonical,
            "deliver": false,
        });
        let Ok(asked) = serde_json::from_value::<AgentParams>(asked) else {
            return;
        };
        // What it starts may do what its caller may.
        let mut line = Line::new(caller.scopes, self.deps.gateway.clone());
        line.ask(&self.deps.agent, asked);
        actix_rt::spawn(async move {
            // Accepted, or refused; how it ends stands in the session.
            match line.next().await {
                Ok(_) => reply.ok(&OkResult { ok: true }),
                Err(error) => reply.error(error),
            }
        });
    }
}
