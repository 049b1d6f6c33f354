//! `device.scopes.waitUpgrade`: answers when the owner has decided, or the request has ended.

use actix::{Context, Handler};
use openclaw_protocol::methods::device_scopes::DeviceScopesWaitUpgrade;

use super::scopes_request::no_device;
use crate::call::Call;
use crate::pairing::PairingRegistry;

impl Handler<Call<DeviceScopesWaitUpgrade>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DeviceScopesWaitUpgrade>, ctx: &mut Context<Self>) {
        let Some(device_id) = call.caller.device_id.clone() else {
            return call.reply.error(no_device());
        };
        self.wait_upgrade(device_id, call, ctx);
    }
}
