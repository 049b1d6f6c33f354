//! `agent`: a run that is answered twice; owner: agent runner.

use std::sync::Arc;
use std::time::Duration;

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::agent::{AckStatus, Agent, AgentAck};
use openclaw_protocol::methods::chat::QueueMode;
use openclaw_protocol::methods::message::{Message, MessageRole};

use crate::agent::model::thinking;
use crate::agent::tools::Origin;
use crate::agent::{AgentRunner, Incoming};
use crate::dedupe::Admitted;
use crate::sessions::keys;

impl Handler<Admitted<Agent>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: Admitted<Agent>, ctx: &mut Self::Context) {
        let Admitted { call, guard } = msg;
        let params = call.params;
        if let Some(channel) = params
            .channel
            .as_deref()
            .filter(|channel| !matches!(*channel, "webchat" | "last"))
        {
            let message = format!("invalid agent params: unknown channel: {channel}");
            return guard.refuse(call.reply, ErrorShape::invalid(message));
        }
        let has_files = params
            .attachments
            .as_ref()
            .is_some_and(|attachments| !attachments.is_empty());
        let settings = self.deps.views.settings.load();
        let written = params
            .session_key
            .clone()
            .unwrap_or_else(|| settings.main_key.clone());
        let agent = params.agent_id.as_deref();
        let session = match keys::of_params::<Agent>(&written, agent, &settings) {
            Ok(session) => session,
            Err(error) => return guard.refuse(call.reply, error),
        };
        let now = self.deps.clock.now().wire();
        let run_id: Arc<str> = params.idempotency_key.into();
        let mut row = Message::text(MessageRole::User, params.message, now);
        row.idempotency_key = Some(run_id.to_string());
        row.meta.get_or_insert_default().run_id = Some(run_id.to_string());
        thinking::note(&mut row, params.thinking.as_deref());
        let ack = AgentAck {
            run_id: run_id.to_string(),
            status: AckStatus::Accepted,
            accepted_at: Some(now),
            session_key: Some(session.canonical.to_string()),
            agent_id: Some(session.agent.clone()),
        };
        let reply = call.reply.alias(&session.canonical, &written);
        let timeout = params
            .timeout
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs);
        let mut incoming = Incoming {
            run_id,
            session,
            row,
            origin: Origin::of(reply.caller()),
            guard,
            extra_system: params.extra_system_prompt,
            timeout,
            // Whoever waits for a result gets one of its own.
            queue_mode: Some(QueueMode::Followup),
            as_text: has_files,
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
                    move |mut reply, _| {
                        reply.interim(&ack);
                        Some(reply)
                    },
                    ctx,
                );
            },
        );
    }
}
