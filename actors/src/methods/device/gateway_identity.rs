//! `gateway.identity.get`: the gateway's own key, by which clients can recognise it.

use actix::{Context, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::system::GatewayIdentityGet;

use crate::call::Call;
use crate::pairing::PairingRegistry;

impl Handler<Call<GatewayIdentityGet>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<GatewayIdentityGet>, _: &mut Context<Self>) {
        call.reply.settle(self.identity().ok_or_else(|| {
            ErrorShape::unavailable("gateway starting; retry shortly").retry_after(500)
        }));
    }
}
