//! `node.event`: a node follows a conversation, or tells what happened on it.

use actix::{Context, Handler};
use openclaw_protocol::methods::node_side::{NodeEvent, NodeEventParams, NodeEventResult};
use openclaw_protocol::{ErrorShape, Generation};
use serde_json::Value;

use crate::call::{Call, Listen};
use crate::node::Nodes;
use crate::sessions::keys;

impl Handler<Call<NodeEvent>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodeEvent>, _: &mut Context<Self>) {
        let Call {
            params,
            caller,
            reply,
        } = call;
        let on = match params.event.as_str() {
            "chat.subscribe" => true,
            "chat.unsubscribe" => false,
            _ => {
                tracing::debug!(event = %params.event, "a node told something that nothing comes of");
                return reply.ok(&result(caller.generation, params.event, false));
            }
        };
        let node = caller.device_id.as_deref().unwrap_or_default();
        let trust = self.deps.invoke.views.node_trust.load();
        // Conversations are not for what nobody said yes to.
        if on
            && trust
                .get(node)
                .is_none_or(|trust| trust.approved().is_none())
        {
            return reply.error(ErrorShape::invalid(
                "an owner has to approve this node first: openclaw nodes pending shows it, openclaw nodes approve lets it in",
            ));
        }
        let Some(written) = session_key(&params) else {
            return reply.error(ErrorShape::invalid(
                "invalid node.event params: at /payloadJSON: must hold a sessionKey",
            ));
        };
        let settings = self.deps.invoke.views.settings.load();
        let session = match keys::canonical(&written, None, &settings) {
            Ok(session) => session.canonical,
            Err(error) => {
                let problem = format!("invalid node.event params: {error}");
                return reply.error(ErrorShape::invalid(problem));
            }
        };
        if let Err(error) = caller.subscriptions.change(&session, on) {
            return reply.error(error);
        }
        reply
            .alias(&session, &written)
            .listen(Listen::Session(session, on))
            .ok(&result(caller.generation, params.event, true));
    }
}

fn session_key(params: &NodeEventParams) -> Option<String> {
    let written: Option<Value> = params
        .payload_json
        .0
        .as_ref()
        .and_then(|text| serde_json::from_str(text).ok());
    let payload = written.as_ref().or(params.payload.as_ref())?;
    let key = payload.get("sessionKey")?.as_str()?.trim();
    (!key.is_empty()).then(|| key.to_owned())
}

fn result(generation: Generation, event: String, handled: bool) -> NodeEventResult {
    if generation == Generation::V3 {
        return NodeEventResult {
            ok: true,
            ..NodeEventResult::default()
        };
    }
    NodeEventResult {
        ok: true,
        event: Some(event),
        handled: Some(handled),
        reason: (!handled).then(|| "unsupported_event".to_owned()),
    }
}
