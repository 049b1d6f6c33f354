//! Requests of the gateway itself, answered like those of a client.
//!
//! For those who ask an owner and wait for its answer: nothing is registered, no event comes, and it
//! lives on any thread. Who has to hear events too is a [`super::inner::InnerConnection`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use actix::Recipient;
use openclaw_protocol::methods::agent::{Agent, AgentParams};
use openclaw_protocol::{ErrorCode, ErrorShape, Method, Scopes};
use serde_json::Value;

use crate::agent::tools::Chat;
use crate::call::{Call, Caller, Reply};
use crate::gateway::GatewayPort;
use crate::session::queue::HubItem;

/// Stands where a client's device id does: its keys are nobody else's.
const SELF: &str = "gateway-scheduler";
/// The same for agents.
const AGENTS: &str = "gateway-agents";

/// How asking for a run came out.
pub(crate) enum Asked {
    /// It ended.
    Ended(Value),
    /// It failed, or was never begun.
    Failed(ErrorShape),
    /// There is no room now.
    Later,
    /// The gateway stops.
    Stopping,
}

/// One caller without a connection. It hears answers, and no events.
pub(crate) struct Line {
    caller: Arc<Caller>,
    gateway: GatewayPort,
    asked: u64,
    waiting: VecDeque<HubItem>,
}

impl Line {
    /// A caller that may do this much.
    pub(crate) fn new(scopes: Scopes, gateway: GatewayPort) -> Self {
        Self::named(SELF, "scheduler".into(), scopes, gateway)
    }

    /// The same in the name of an agent.
    pub(crate) fn of_agent(agent: &str, scopes: Scopes, gateway: GatewayPort) -> Self {
        Self::named(AGENTS, format!("agent {agent}"), scopes, gateway)
    }

    /// The same on behalf of a device.
    pub(crate) fn named(id: &str, name: String, scopes: Scopes, gateway: GatewayPort) -> Self {
        let caller = Caller {
            conn_id: id.into(),
            device_id: Some(id.into()),
            ..Caller::own(name, scopes, Arc::default())
        };
        Self {
            caller: Arc::new(caller),
            gateway,
            asked: 0,
            waiting: VecDeque::new(),
        }
    }

    /// The same for a run that these conversations led to, the first of them in this chat.
    pub(crate) fn behind(mut self, chain: Vec<Arc<str>>, chat: Option<Chat>) -> Self {
        if let Some(caller) = Arc::get_mut(&mut self.caller) {
            (caller.chain, caller.chat) = (chain, chat);
        }
        self
    }

    /// Asks; the answers are [`Self::next`], which may be several for one request.
    pub(crate) fn ask<M: Method>(&mut self, owner: &Recipient<Call<M>>, params: M::Params)
    where
        Call<M>: actix::Message<Result = ()>,
    {
        self.asked += 1;
        let caller = Arc::clone(&self.caller);
        let call = Call {
            params,
            reply: Reply::new(self.asked.to_string(), Arc::clone(&caller), &self.gateway),
            caller,
        };
        // A full mailbox drops the call, which answers for itself.
        drop(owner.try_send(call));
    }

    /// Asks for a run and waits for its end.
    pub(crate) async fn run(
        &mut self,
        owner: &Recipient<Call<Agent>>,
        params: AgentParams,
    ) -> Asked {
        self.ask(owner, params);
        let mut accepted = false;
        loop {
            match self.next().await {
                Ok(answer) => match answer["status"].as_str() {
                    Some("accepted") => accepted = true,
                    // The same run, asked for before its watcher was lost.
                    Some("in_flight") => return Asked::Later,
                    _ => return Asked::Ended(answer),
                },
                Err(error) if accepted || error.code != ErrorCode::Unavailable => {
                    return Asked::Failed(error);
                }
                Err(error) if error.message.contains("restart in progress") => {
                    return Asked::Stopping;
                }
                Err(error) if error.retryable == Some(true) => return Asked::Later,
                Err(error) => return Asked::Failed(error),
            }
        }
    }

    /// Asks whoever owns the method. Whether the caller may is not asked again: whoever uses this has
    /// decided it.
    pub(crate) fn route<M: Method>(&mut self, params: M::Params) {
        self.asked += 1;
        let caller = Arc::clone(&self.caller);
        let call = Call::<M> {
            params,
            reply: Reply::new(self.asked.to_string(), Arc::clone(&caller), &self.gateway),
            caller,
        };
        // A full mailbox drops the call, which answers for itself.
        let _ = self.gateway.route(Box::new(call));
    }

    /// The next answer to the last request.
    pub(crate) async fn next(&mut self) -> Result<Value, ErrorShape> {
        loop {
            while let Some(item) = self.waiting.pop_front() {
                let HubItem::Reply { frame, .. } = item else {
                    continue;
                };
                let Ok(mut frame) = serde_json::from_slice::<Value>(&frame) else {
                    continue;
                };
                if frame["id"] != *self.asked.to_string() {
                    continue;
                }
                if frame["ok"] == true {
                    return Ok(frame["payload"].take());
                }
                let error = serde_json::from_value(frame["error"].take());
                return Err(error.unwrap_or_else(|_| ErrorShape::unavailable("it failed")));
            }
            let hub = Arc::clone(&self.caller.hub);
            poll_fn(|cx| hub.poll_batch(cx, &mut self.waiting)).await;
        }
    }
}
