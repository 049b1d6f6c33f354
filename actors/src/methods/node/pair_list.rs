//! `node.pair.list`: which surfaces of nodes wait and which were approved.

use actix::{Context, Handler};
use openclaw_protocol::methods::node::NodePairList;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry};

impl Handler<Call<NodePairList>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<NodePairList>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let policy = self.command_policy();
        let list = self.decide(|state, _| state.list_nodes(&by, &policy));
        call.reply.ok(&list);
    }
}
