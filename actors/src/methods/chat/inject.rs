//! `chat.inject`: a message of the gateway in a session, without a run; owner: sessions.

use std::sync::Arc;

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::session_changes::{ChatInject, ChatInjectResult};

use crate::call::Call;
use crate::methods::injected;
use crate::sessions::state::Draft;
use crate::sessions::{Append, Sessions, keys};

impl Handler<Call<ChatInject>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<ChatInject>, ctx: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let settings = self.deps.views.settings.load();
        let session = match keys::of_params::<ChatInject>(
            &params.session_key,
            params.agent_id.as_deref(),
            &settings,
        ) {
            Ok(session) => session,
            Err(error) => return reply.error(error),
        };
        let known = |key: &str| self.deps.index.with(|index| index.get(key).is_some());
        if !known(&session.canonical) {
            return reply.error(ErrorShape::invalid("session not found"));
        }
        let now = self.deps.clock.now();
        let message_id = self.deps.entropy.uuid().to_string();
        let text = match params.label.as_deref().map(str::trim) {
            Some(label) if !label.is_empty() => format!("[{label}]\n\n{}", params.message),
            _ => params.message,
        };
        let mut row = Message::text(MessageRole::Assistant, text, now.wire());
        row.provider = Some("openclaw".into());
        row.model = Some("gateway-injected".into());
        row.stop_reason = Some("injected".into());
        row.meta.get_or_insert_default().id = Some(message_id.clone());
        let draft = Draft {
            key: Arc::clone(&session.canonical),
            agent_id: session.agent.clone(),
            session_id: None,
            messages: vec![row.clone()],
            last_run: None,
            ops: Vec::new(),
        };
        let run_id = format!("inject-{message_id}");
        let appending = ctx.address().send(Append {
            draft,
            run_id: Some(run_id.clone()),
            reason: "inject",
        });
        let gateway = self.deps.gateway.clone();
        actix_rt::spawn(async move {
            let appended = match injected::stored(appending).await {
                Ok(appended) => appended,
                Err(error) => return reply.error(error),
            };
            reply.ok(&ChatInjectResult {
                ok: true,
                message_id,
            });
            injected::show(&gateway, appended, run_id, session, row);
        });
    }
}
