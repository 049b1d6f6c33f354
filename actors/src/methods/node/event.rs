//! `node.event`: a node follows a conversation, tells what happened on it, or has something to say to an agent.

use std::sync::Arc;

use actix::{Context, Handler};
use openclaw_protocol::methods::node_side::{NodeEvent, NodeEventParams, NodeEventResult};
use openclaw_protocol::{ErrorShape, Generation};
use serde_json::Value;

use super::agent_request::{self, Wish};
use crate::call::{Call, Caller, Listen, Reply};
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
            "agent.request" | "voice.transcript" => {
                return self.agent_request(params, caller, reply);
            }
            _ => {
                tracing::debug!(event = %params.event, "a node told something that nothing comes of");
                return reply.ok(&result(caller.generation, params.event, false));
            }
        };
        // Conversations are not for what nobody said yes to.
        if on && !self.is_approved(&caller) {
            return reply.error(unapproved());
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

impl Nodes {
    fn is_approved(&self, caller: &Caller) -> bool {
        let node = caller.device_id.as_deref().unwrap_or_default();
        let trust = self.deps.invoke.views.node_trust.load();
        let trust = trust.get(node);
        trust.is_some_and(|trust| trust.approved().is_some())
    }

    /// Begins a run, and answers once it is accepted.
    fn agent_request(&self, params: NodeEventParams, caller: Arc<Caller>, reply: Reply<NodeEvent>) {
        if !self.is_approved(&caller) {
            return reply.error(unapproved());
        }
        let wish = payload(&params)
            .map_or_else(|| Err("must be JSON".into()), |payload| Wish::of(&payload));
        let wish = match wish {
            Ok(wish) => wish,
            Err(problem) => {
                let problem = format!("invalid node.event params: at /payload: {problem}");
                return reply.error(ErrorShape::invalid(problem));
            }
        };
        let gateway = self.deps.gateway.clone();
        actix_rt::spawn(async move {
            let generation = caller.generation;
            match agent_request::serve(wish, caller, gateway).await {
                Ok(()) => reply.ok(&result(generation, params.event, true)),
                Err(error) => reply.error(error),
            }
        });
    }
}

fn unapproved() -> ErrorShape {
    ErrorShape::invalid(
        "an owner has to approve this node first: openclaw nodes pending shows it, openclaw nodes approve lets it in",
    )
}

fn payload(params: &NodeEventParams) -> Option<Value> {
    match &params.payload_json.0 {
        Some(text) => serde_json::from_str(text).ok(),
        None => params.payload.clone(),
    }
}

fn session_key(params: &NodeEventParams) -> Option<String> {
    let payload = payload(params)?;
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
