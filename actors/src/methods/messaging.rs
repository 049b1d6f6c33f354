//! `send`: a message without an agent. To a conversation of the gateway; owner: sessions. What goes to
//! a channel's platform is [`super::channels`]'s.

use std::sync::Arc;

use actix::{AsyncContext as _, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::messaging::{Send, SendParams, SendResult};

use crate::dedupe::Admitted;
use crate::dedupe::state::Stored;
use crate::methods::{injected, store_error};
use crate::sessions::keys::SessionKey;
use crate::sessions::state::Draft;
use crate::sessions::{Append, Sessions, keys};
use crate::settings::Settings;

/// The channels that need no provider.
pub(crate) const LOCAL: [&str; 2] = ["webchat", "session"];

/// Whether a message stays in this gateway. Without a channel that is what is written as a
/// conversation, and everything while no channel is configured.
pub(crate) fn stays(params: &SendParams, settings: &Settings) -> bool {
    let channel = params.channel.as_deref().map(str::trim);
    if let Some(channel) = channel.filter(|channel| !channel.is_empty()) {
        return LOCAL
            .iter()
            .any(|local| channel.eq_ignore_ascii_case(local));
    }
    let to = params.to.trim();
    let is_session = matches!(to, "main" | "global") || to.starts_with("agent:");
    is_session || settings.channels.accounts.is_empty()
}

impl Handler<Admitted<Send>> for Sessions {
    type Result = ();

    fn handle(&mut self, msg: Admitted<Send>, ctx: &mut Self::Context) {
        let Admitted { call, mut guard } = msg;
        let (channel, session, text) = match self.target(&call.params) {
            Ok(target) => target,
            Err(error) => return guard.refuse(call.reply, error),
        };
        let now = self.deps.clock.now();
        let message_id = self.deps.entropy.uuid().to_string();
        let run_id = call.params.idempotency_key.clone();
        let mut row = Message::text(MessageRole::Assistant, text, now.wire());
        row.provider = Some("openclaw".into());
        row.model = Some("gateway-injected".into());
        row.idempotency_key = Some(run_id.clone());
        row.meta.get_or_insert_default().id = Some(message_id.clone());
        let result = SendResult {
            run_id: run_id.clone(),
            message_id,
            channel,
            chat_id: None,
            channel_id: None,
            conversation_id: Some(session.canonical.to_string()),
            to_jid: None,
        };
        // Nothing leaves for a platform: accepted and done are one commit.
        let stored = Stored {
            ok: true,
            payload: serde_json::from_slice(&to_bytes(&result)).ok(),
            error: None,
        };
        let op = match guard.finish(stored, now) {
            Ok(op) => op,
            Err(error) => return guard.refuse(call.reply, store_error(&error)),
        };
        let draft = Draft {
            key: Arc::clone(&session.canonical),
            agent_id: session.agent.clone(),
            messages: vec![row.clone()],
            session_id: None,
            last_run: None,
            ops: vec![op],
        };
        let appending = ctx.address().send(Append {
            draft,
            run_id: Some(run_id.clone()),
            reason: "send",
        });
        let gateway = self.deps.gateway.clone();
        let reply = call.reply;
        actix_rt::spawn(async move {
            let appended = match injected::stored(appending).await {
                Ok(appended) => appended,
                Err(error) => return guard.refuse(reply, error),
            };
            guard.accepted();
            guard.finished();
            reply.ok(&result);
            injected::show(&gateway, appended, run_id, session, row);
        });
    }
}

impl Sessions {
    /// The channel, the session and the text of a message.
    fn target(&self, params: &SendParams) -> Result<(String, SessionKey, String), ErrorShape> {
        let invalid =
            |problem: String| ErrorShape::invalid(format!("invalid send params: {problem}"));
        let channel = params
            .channel
            .as_deref()
            .map(str::trim)
            .filter(|channel| !channel.is_empty())
            .unwrap_or("session")
            .to_lowercase();
        let media = params.media_url.is_some()
            || params
                .media_urls
                .as_ref()
                .is_some_and(|urls| !urls.is_empty())
            || params.buffer.is_some();
        if media {
            return Err(invalid(
                "media is not supported yet; send the text alone".into(),
            ));
        }
        let text = params
            .message
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        let text = text
            .ok_or_else(|| invalid("message required".into()))?
            .to_owned();
        let written = params.session_key.as_deref().unwrap_or(&params.to);
        let settings = self.deps.views.settings.load();
        let session = keys::canonical(written, params.agent_id.as_deref(), &settings)
            .map_err(|error| invalid(error.to_string()))?;
        Ok((channel, session, text))
    }
}
