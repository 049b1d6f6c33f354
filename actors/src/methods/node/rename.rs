//! `node.rename`: gives a node a name.

use actix::{Context, Handler};
use openclaw_protocol::methods::node::NodeRename;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry};

impl Handler<Call<NodeRename>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<NodeRename>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let step = self.decide(|state, _| state.rename_node(&call.params, &by));
        self.settle(call.reply, step, |_| {});
    }
}
