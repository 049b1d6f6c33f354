//! `set-heartbeats`: stops all heartbeats, or lets them run again; kept over restarts.

use actix::Handler;
use openclaw_protocol::methods::heartbeat::{SetHeartbeats, SetHeartbeatsResult};

use crate::call::Call;
use crate::heartbeat::Heart;
use crate::methods::store_error;

impl Handler<Call<SetHeartbeats>> for Heart {
    type Result = ();

    fn handle(&mut self, call: Call<SetHeartbeats>, ctx: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let enabled = params.enabled;
        self.switch(!enabled, ctx, move |written| match written {
            Ok(()) => reply.ok(&SetHeartbeatsResult { ok: true, enabled }),
            Err(error) => reply.error(store_error(&error)),
        });
    }
}
