//! `node.invoke.result` and `node.invoke.progress`: what a node sends back goes to the actor of the
//! connection that it came by.

use actix::dev::ToEnvelope;
use actix::prelude::SendError;
use actix::{Actor, Context, Handler};
use openclaw_protocol::methods::node_invoke::{NodeInvokeProgress, NodeInvokeResult, NodeTaken};
use openclaw_protocol::{ErrorShape, Method};

use crate::call::Call;
use crate::limiter::counts::Count;
use crate::node::Nodes;
use crate::node::actor::Node;

impl Handler<Call<NodeInvokeResult>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodeInvokeResult>, _: &mut Context<Self>) {
        let node = call.params.node_id.clone();
        self.pass_on(&node, call);
    }
}

impl Handler<Call<NodeInvokeProgress>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodeInvokeProgress>, _: &mut Context<Self>) {
        let node = call.params.node_id.clone();
        self.pass_on(&node, call);
    }
}

impl Nodes {
    fn pass_on<M>(&self, node: &str, call: Call<M>)
    where
        M: Method<Result = NodeTaken>,
        Node: Handler<Call<M>>,
        <Node as Actor>::Context: ToEnvelope<Node, Call<M>>,
    {
        if call.caller.device_id.as_deref() != Some(node) {
            return call.reply.error(ErrorShape::invalid("nodeId mismatch"));
        }
        let live = self.deps.state.with(|nodes| nodes.get(node).cloned());
        // Results of an older connection of the node are nobody's: what it had under way has failed.
        let own = live.filter(|live| live.caller.conn == call.caller.conn);
        let Some(actor) = own.and_then(|live| live.actor.clone()) else {
            return late(call);
        };
        match actor.try_send(call) {
            Ok(()) => {}
            Err(SendError::Closed(call)) => late(call),
            Err(SendError::Full(call)) => {
                call.caller.hub.count(Count::BusyRequests);
                let busy = ErrorShape::unavailable(
                    "the gateway has more results of this node than it can take now; send it again",
                );
                call.reply.error(busy.retry_after(250));
            }
        }
    }
}

fn late<M: Method<Result = NodeTaken>>(call: Call<M>) {
    call.caller.hub.count(Count::LateNodeResults);
    call.reply.ok(&NodeTaken {
        ok: true,
        ignored: Some(true),
    });
}
