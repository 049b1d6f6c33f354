//! `channels.status`: the channels, none of which is built in yet.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::channels::{ChannelsStatus, ChannelsStatusResult};

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for ChannelsStatus {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        let ts = views.places.now_ms();
        Ok(payload(&ChannelsStatusResult {
            ts,
            ..ChannelsStatusResult::default()
        }))
    }
}
