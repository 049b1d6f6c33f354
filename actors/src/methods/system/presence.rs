//! `system-presence`: the list that [`Presence`](crate::presence) published last.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::system::SystemPresence;

use crate::call::Caller;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for SystemPresence {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(views.presence.load().json().clone())
    }
}
