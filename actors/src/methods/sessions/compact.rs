//! `sessions.compact`: shortens what models see of a session; owner: agent runner, because it asks a
//! model.

use actix::Handler;
use openclaw_protocol::methods::session_changes::{SessionsCompact, SessionsCompactResult};

use crate::agent::AgentRunner;
use crate::agent::compact::ByHand;
use crate::call::Call;
use crate::sessions::keys;

impl Handler<Call<SessionsCompact>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsCompact>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let settings = self.deps.views.settings.load();
        let agent = params.agent_id.as_deref();
        let session = match keys::of_params::<SessionsCompact>(&params.key, agent, &settings) {
            Ok(session) => session,
            Err(error) => return reply.error(error),
        };
        let key = session.canonical.to_string();
        let work = match self.compact(session, params.max_lines, None) {
            Ok(work) => work,
            Err(error) => return reply.error(error),
        };
        let (gateway, by_lines) = (self.deps.gateway.clone(), params.max_lines.is_some());
        actix_rt::spawn(async move {
            let result = SessionsCompactResult {
                ok: true,
                key,
                ..SessionsCompactResult::default()
            };
            match work.await {
                Err(error) => reply.error(error),
                Ok(ByHand::Nothing(reason)) => reply.ok(&SessionsCompactResult {
                    reason: Some(reason.into()),
                    ..result
                }),
                Ok(ByHand::Failed(problem)) => reply.ok(&SessionsCompactResult {
                    ok: false,
                    reason: Some(problem),
                    ..result
                }),
                Ok(ByHand::Done {
                    figures,
                    kept,
                    events,
                }) => {
                    reply.ok(&SessionsCompactResult {
                        compacted: true,
                        kept: by_lines.then_some(kept),
                        result: Some(figures),
                        ..result
                    });
                    for event in events {
                        gateway.emit(event);
                    }
                }
            }
        });
    }
}
