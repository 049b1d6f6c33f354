//! `chat.send`: a message that starts a run; owner: agent runner.

use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::chat::{
    ChatAbortResult, ChatRunAck, ChatRunStatus, ChatSend, ChatSendResult,
};
use openclaw_protocol::methods::message::{Message, MessageRole};

use crate::agent::model::thinking;
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
        let has_files = params
            .attachments
            .as_ref()
            .is_some_and(|attachments| !attachments.is_empty());
        if params.message.trim().is_empty() && !has_files {
            let error = ErrorShape::invalid("message or attachment required");
            return guard.refuse(call.reply, error);
        }
        let settings = self.deps.views.settings.load();
        let (key, agent) = (&params.session_key, params.agent_id.as_deref());
        let session = match keys::of_params::<ChatSend>(key, agent, &settings) {
            Ok(session) => session,
            Err(error) => return guard.refuse(call.reply, error),
        };
        let reply = call.reply.alias(&session.canonical, &params.session_key);
        // A command has no use for a file, so a message with one is meant for the agent.
        let as_text = params.suppress_command_interpretation == Some(true) || has_files;
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
        let mut row = spoken(params.message, now);
        row.idempotency_key = Some(run_id.to_string());
        row.meta.get_or_insert_default().run_id = Some(run_id.to_string());
        thinking::note(&mut row, params.thinking.as_deref());
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
        let mut incoming = Incoming {
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
            delivery: None,
            resumed: None,
        };
        let key = Arc::clone(&incoming.session.canonical);
        self.take_in(
            &key,
            params.attachments,
            reply,
            ctx,
            move |act, reply, files, ctx| {
                incoming.row.add(files);
                act.accept(
                    incoming,
                    reply,
                    move |reply, _| {
                        reply.ok(&ack);
                        None
                    },
                    ctx,
                );
            },
        );
    }
}

/// The row of a message, whose files are added behind its text. Files alone need no text.
pub(crate) fn spoken(text: String, now: u64) -> Message {
    if text.trim().is_empty() {
        Message::parts(MessageRole::User, Vec::new(), now)
    } else {
        Message::text(MessageRole::User, text, now)
    }
}
