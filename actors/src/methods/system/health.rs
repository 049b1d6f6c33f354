//! `health`: what [`Health`](crate::health) published last.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::system::Health;

use crate::call::Caller;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for Health {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(views.health.load().json().clone())
    }
}
