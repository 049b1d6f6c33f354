//! `device.scopes.requestUpgrade`: a connected device asks an owner for more scopes.

use actix::{Context, Handler};
use openclaw_protocol::methods::device_scopes::DeviceScopesRequestUpgrade;
use openclaw_protocol::{ErrorShape, Scope, Scopes};

use crate::call::Call;
use crate::pairing::{PairingRegistry, Upgrader};

impl Handler<Call<DeviceScopesRequestUpgrade>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DeviceScopesRequestUpgrade>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let Some(device_id) = &call.caller.device_id else {
            return call.reply.error(no_device());
        };
        let names = &call.params.scopes;
        if let Some(unknown) = names.iter().find(|name| Scope::parse(name).is_none()) {
            return call
                .reply
                .error(ErrorShape::invalid(format!("unknown scope: {unknown:?}")));
        }
        let by = Upgrader {
            device_id,
            remote_ip: call.caller.remote_ip.as_deref(),
        };
        let (scopes, entropy) = (Scopes::parse(names), self.entropy());
        let step = self.decide(|state, now| state.request_upgrade(&by, scopes, now, &*entropy));
        self.settle(call.reply, step, |_| {});
    }
}

/// The refusal of a connection that has no device to upgrade.
pub(super) fn no_device() -> ErrorShape {
    ErrorShape::invalid("this connection has no device, so there is nothing to upgrade; connect with a device identity")
        .with_details(serde_json::json!({ "code": "DEVICE_IDENTITY_REQUIRED" }))
}
