//! `node.pair.reject`: turns down what a node declared.

use actix::{Context, Handler};
use openclaw_protocol::methods::node::NodePairReject;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry};

impl Handler<Call<NodePairReject>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<NodePairReject>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let step = self.decide(|state, now| state.reject_node(&call.params.request_id, &by, now));
        self.settle(call.reply, step, |_| {});
    }
}
