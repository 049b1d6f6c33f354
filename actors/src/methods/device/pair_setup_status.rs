//! `device.pair.setupStatus`: whether a setup code was used, and by which device.

use actix::{Context, Handler};
use openclaw_protocol::methods::device_setup::DevicePairSetupStatus;

use crate::call::Call;
use crate::pairing::PairingRegistry;

impl Handler<Call<DevicePairSetupStatus>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DevicePairSetupStatus>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let status = self.decide(|state, now| state.setup_status(&call.params.setup_id, now));
        call.reply.settle(status);
    }
}
