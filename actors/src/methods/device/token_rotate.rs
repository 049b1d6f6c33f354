//! `device.token.rotate`: replaces the tokens of a role, and closes its connections.

use actix::{Context, Handler};
use openclaw_protocol::Role;
use openclaw_protocol::methods::device::DeviceTokenRotate;

use crate::call::Call;
use crate::pairing::{Authority, PairingRegistry, close_connections};

impl Handler<Call<DeviceTokenRotate>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DeviceTokenRotate>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let by = Authority::of(&call.caller);
        let (mark, entropy) = (self.mark(), self.entropy());
        let step = self
            .decide(|state, now| state.rotate(&call.params, &by, mark.as_ref(), now, &*entropy));
        let role = Role::parse(&call.params.role);
        self.settle(call.reply, step, move |voice| {
            close_connections(voice, call.params.device_id, role, "device token rotated");
        });
    }
}
