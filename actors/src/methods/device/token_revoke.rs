//! `device.token.revoke`: ends a role of a device, its tokens and its connections.

use actix::{Context, Handler};
use openclaw_protocol::Role;
use openclaw_protocol::methods::device::DeviceTokenRevoke;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry, close_connections};

impl Handler<Call<DeviceTokenRevoke>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DeviceTokenRevoke>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let step = self.decide(|state, now| state.revoke(&call.params, &by, now));
        let role = Role::parse(&call.params.role);
        self.settle(call.reply, step, move |voice| {
            close_connections(voice, call.params.device_id, role, "device token revoked");
        });
    }
}
