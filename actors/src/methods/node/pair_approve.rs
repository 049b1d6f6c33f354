//! `node.pair.approve`: puts what a node declared into effect, within the caller's own scopes.

use actix::{Context, Handler};
use openclaw_protocol::methods::node::NodePairApprove;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry};

impl Handler<Call<NodePairApprove>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<NodePairApprove>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let policy = self.command_policy();
        let entropy = self.entropy();
        let step = self
            .decide(|state, now| state.approve_node(&call.params, &by, &policy, now, &*entropy));
        self.settle(call.reply, step, |_| {});
    }
}
