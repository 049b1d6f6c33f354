//! `device.pair.remove`: ends a pairing, its tokens and its connections.

use actix::{Context, Handler};
use openclaw_protocol::methods::device::DevicePairRemove;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry, close_connections};

impl Handler<Call<DevicePairRemove>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DevicePairRemove>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let device = call.params.device_id;
        let step = self.decide(|state, now| state.remove(&device, &by, now));
        self.settle(call.reply, step, |voice| {
            close_connections(voice, device, None, "device removed");
        });
    }
}
