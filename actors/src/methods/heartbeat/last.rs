//! `last-heartbeat`: how the last heartbeat ended, also before a restart.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::common::Nullable;
use openclaw_protocol::methods::heartbeat::LastHeartbeat;

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for LastHeartbeat {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(payload(&Nullable(views.heartbeats.load().last.clone())))
    }
}
