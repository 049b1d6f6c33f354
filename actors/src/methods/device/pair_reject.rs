//! `device.pair.reject`: ends a request without pairing its device.

use actix::{Context, Handler};
use openclaw_protocol::methods::device::DevicePairReject;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry};

impl Handler<Call<DevicePairReject>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DevicePairReject>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let step = self.decide(|state, now| state.reject(&call.params.request_id, &by, now));
        self.settle(call.reply, step, |_| {});
    }
}
