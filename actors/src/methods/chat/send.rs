//! `chat.send`: a message that starts a run; owner: agent runner.

use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::chat::{
    ChatAbortResult, ChatRunAck, ChatRunStatus, ChatSend, ChatSendResult,
};
use openclaw_protocol::methods::message::{Message, MessageRole};

use super::unsupported_attachments;
use crate::agent::tools::Origin;
use crate::agent::{AgentRunner, Incoming};
use crate::commands;
use crate::dedupe::Admitted;
use crate::sessions::keys;

impl Handler<Admitted<ChatSend>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: Admitted<ChatSend>, ctx: &mut Self::Context) {
        let Admitted { call, guard } = msg;
        let params = call.params;
        if let Some(error) = unsupported_attachments(params.attachments.as_deref()) {
            return call.reply.error(error);
        }
        if params.message.trim().is_empty() {
            return call
                .reply
                .error(ErrorShape::invalid("message or attachment required"));
        }
        let settings = self.deps.views.settings.load();
        let (key, agent) = (&params.session_key, params.agent_id.as_deref());
        let session = match keys::of_params::<ChatSend>(key, agent, &settings) {
            Ok(session) => session,
            Err(error) => return call.reply.error(error),
        };
        let reply = call.reply.alias(&session.canonical, &params.session_key);
        let as_text = params.suppress_command_interpretation == Some(true);
        let stops = commands::parse(&params.message)
            .is_some_and(|found| found.spec.name == commands::Name::Stop);
        if stops && !as_text {
            let run_ids = self.stop(&session.canonical, None, &ctx.address());
            return reply.ok(&ChatSendResult::Stopped(ChatAbortResult {
                ok: true,
                aborted: !run_ids.is_empty(),
                run_ids,
            }));
        }
        let now = self.deps.clock.now().wire();
        let run_id: Arc<str> = params.idempotency_key.into();
        let mut row = Message::text(MessageRole::User, params.message, now);
        row.idempotency_key = Some(run_id.to_string());
        row.meta.get_or_insert_default().run_id = Some(run_id.to_string());
        let ack = ChatSendResult::Run(ChatRunAck {
            run_id: run_id.to_string(),
            status: ChatRunStatus::Started,
            summary: None,
            stop_reason: None,
            ended_at: None,
        });
        let timeout = params
            .timeout_ms
            .filter(|millis| *millis > 0)
            .map(Duration::from_millis);
        let incoming = Incoming {
            run_id,
            session,
            row,
            origin: Origin::of(reply.caller()),
            guard,
            extra_system: None,
            timeout,
            queue_mode: params.queue_mode,
            as_text,
            stored: None,
        };
        self.accept(
            incoming,
            reply,
            move |reply, _| {
                reply.ok(&ack);
                None
            },
            ctx,
        );
    }
}
