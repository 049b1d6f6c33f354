//! `last-heartbeat`: the last heartbeat; none has run.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::common::Nullable;
use openclaw_protocol::methods::system::{HeartbeatEvent, LastHeartbeat};

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for LastHeartbeat {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        let _ = views;
        Ok(payload(&Nullable::<HeartbeatEvent>(None)))
    }
}
