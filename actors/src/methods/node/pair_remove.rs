//! `node.pair.remove`: ends the node role of a device and its connections.

use actix::{Context, Handler};
use openclaw_protocol::Role;
use openclaw_protocol::methods::node::NodePairRemove;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry, close_connections};

impl Handler<Call<NodePairRemove>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<NodePairRemove>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let node = call.params.node_id;
        let step = self.decide(|state, now| state.remove_node(&node, &by, now));
        self.settle(call.reply, step, |voice| {
            close_connections(voice, node, Some(Role::Node), "node removed");
        });
    }
}
