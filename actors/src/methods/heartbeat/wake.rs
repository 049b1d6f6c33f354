//! `wake`: tells an agent something, at once or with its next heartbeat. Where the agent has none, and
//! for a session that is not its main one, it is a run of that session, at once.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::agent::AgentParams;
use openclaw_protocol::methods::common::OkResult;
use openclaw_protocol::methods::heartbeat::{Wake, WakeMode};
use serde_json::json;

use crate::call::Call;
use crate::heartbeat::Heart;
use crate::heartbeat::state::Note;
use crate::session::line::Line;
use crate::sessions::keys;

impl Handler<Call<Wake>> for Heart {
    type Result = ();

    fn handle(&mut self, call: Call<Wake>, ctx: &mut Self::Context) {
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
        let id = format!("wake:{}", self.deps.entropy.uuid());
        let is_main = session.canonical == keys::main_session(&session.agent, &settings);
        if is_main && self.beats(&session.agent) {
            let note = Note {
                id,
                text: params.text,
                tries: 0,
            };
            let at_once = params.mode == WakeMode::Now;
            return self.keep(&session.agent, note, at_once, ctx, |kept| match kept {
                Ok(()) => reply.ok(&OkResult { ok: true }),
                Err(error) => reply.error(ErrorShape::unavailable(error)),
            });
        }
        let asked = json!({
            "message": params.text,
            "idempotencyKey": id,
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
