//! `device.pair.approve`: pairs the device of a request, within the caller's own scopes.

use actix::{Context, Handler};
use openclaw_protocol::methods::device::DevicePairApprove;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry};

impl Handler<Call<DevicePairApprove>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DevicePairApprove>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let step = self.decide(|state, now| state.approve(&call.params.request_id, &by, now));
        self.settle(call.reply, step, |_| {});
    }
}
