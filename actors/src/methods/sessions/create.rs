//! `sessions.create`: makes a session, or finds it; owner: agent runner, because it begins the run of its
//! first message. Sessions, which it asks, makes the row.

use actix::{ActorFutureExt as _, AsyncContext as _, Handler, WrapFuture as _};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::session_changes::ResolvedModelName;
use openclaw_protocol::methods::session_starts::{
    SessionsCreate, SessionsCreateParams, SessionsCreateResult,
};
use openclaw_protocol::methods::sessions::SessionRow;

use super::patch::{known_model, rename};
use crate::agent::tools::Origin;
use crate::agent::{AgentRunner, Incoming};
use crate::dedupe::Admitted;
use crate::methods::chat::spoken;
use crate::methods::index_restarting;
use crate::sessions::change::{Apply, Change, Changed};
use crate::sessions::keys;
use crate::settings::Settings;

impl Handler<Admitted<SessionsCreate>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: Admitted<SessionsCreate>, ctx: &mut Self::Context) {
        let Admitted { call, guard } = msg;
        let (mut params, reply) = (call.params, call.reply);
        let run_id = params.idempotency_key.clone().unwrap_or_default();
        let settings = self.deps.views.settings.load();
        // Named after the request where it has no name: the same request finds it again.
        let written = params
            .key
            .clone()
            .unwrap_or_else(|| format!("dashboard:{run_id}"));
        let agent = params.agent_id.as_deref();
        let session = match keys::of_params::<SessionsCreate>(&written, agent, &settings) {
            Ok(session) => session,
            Err(error) => return guard.refuse(reply, error),
        };
        let first = params.message.clone().or_else(|| params.task.clone());
        let attachments = params.attachments.take().unwrap_or_default();
        // Files alone are a message too.
        let first = first.filter(|text| !text.trim().is_empty());
        let first = first.or_else(|| (!attachments.is_empty()).then(String::new));
        let making = self.deps.sessions.send(Change {
            session: session.clone(),
            reason: "create",
            apply: apply(params, settings),
        });
        ctx.spawn(making.into_actor(self).map(move |made, act, ctx| {
            let Changed { entry, event } = match made {
                Ok(Ok(changed)) => changed,
                Ok(Err(error)) => return guard.refuse(reply, error),
                Err(_) => return guard.refuse(reply, index_restarting()),
            };
            let mut result = result_of(entry);
            let Some(text) = first else {
                reply.ok(&result);
                return act.deps.tell(Some(event));
            };
            (result.run_started, result.run_id) = (true, Some(run_id.clone()));
            let mut row = spoken(text, act.deps.clock.now().wire());
            row.idempotency_key = Some(run_id.clone());
            row.meta.get_or_insert_default().run_id = Some(run_id.clone());
            let gateway = act.deps.gateway.clone();
            let mut incoming = Incoming {
                run_id: run_id.into(),
                session,
                row,
                origin: Origin::of(reply.caller()),
                guard,
                extra_system: None,
                timeout: None,
                queue_mode: None,
                as_text: true,
                stored: serde_json::to_value(&result).ok(),
                delivery: None,
                resumed: None,
            };
            let key = std::sync::Arc::clone(&incoming.session.canonical);
            act.take_in(
                &key,
                Some(attachments),
                reply,
                ctx,
                move |act, reply, files, ctx| {
                    incoming.row.add(files);
                    act.accept(
                        incoming,
                        reply,
                        move |reply, appended| {
                            result.message_seq = Some(appended.last_seq);
                            reply.ok(&result);
                            gateway.emit(event);
                            None
                        },
                        ctx,
                    );
                },
            );
        }));
    }
}

fn apply(params: SessionsCreateParams, settings: std::sync::Arc<Settings>) -> Apply {
    let invalid =
        |problem: String| ErrorShape::invalid(format!("invalid sessions.create params: {problem}"));
    Box::new(move |index, record| {
        if let Some(label) = &params.label {
            rename(index, record, Some(&label.0)).map_err(invalid)?;
        }
        if let Some(model) = &params.model {
            known_model(&settings, model).map_err(invalid)?;
            record.model = Some(model.clone());
        }
        Ok(())
    })
}

fn result_of(entry: SessionRow) -> SessionsCreateResult {
    SessionsCreateResult {
        ok: true,
        key: entry.key.clone(),
        session_id: entry.session_id.clone(),
        run_started: false,
        run_id: None,
        message_seq: None,
        resolved: Some(ResolvedModelName {
            model_provider: entry.model_provider.clone(),
            model: entry.model.clone(),
        }),
        entry,
    }
}
