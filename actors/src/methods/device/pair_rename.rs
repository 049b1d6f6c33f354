//! `device.pair.rename`: gives a device a name.

use actix::{Context, Handler};
use openclaw_protocol::methods::device::DevicePairRename;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry};

impl Handler<Call<DevicePairRename>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DevicePairRename>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let step = self.decide(|state, _| state.rename(&call.params, &by));
        self.settle(call.reply, step, |_| {});
    }
}
