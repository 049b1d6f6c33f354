//! `device.pair.list`: who waits and who is paired, as far as the caller may see it.

use actix::{Context, Handler};
use openclaw_protocol::Generation;
use openclaw_protocol::methods::device::DevicePairList;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry};

impl Handler<Call<DevicePairList>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DevicePairList>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let mut list = self.decide(|state, now| state.list(&by, now));
        if call.caller.generation == Generation::V4 {
            let present = self.views().presence.load();
            for device in &mut list.paired {
                // Short-lived clients have no presence row: of those nothing is said.
                let here = present.value().iter().any(|row| {
                    row.device_id.as_deref() == Some(&device.device_id)
                        && row.reason.as_deref() != Some("disconnect")
                });
                device.connected = here.then_some(true);
            }
        }
        call.reply.ok(&list);
    }
}
