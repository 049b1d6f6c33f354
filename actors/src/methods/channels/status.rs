//! `channels.status`: how every account is; a view that its provider publishes.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::channels::ChannelsStatus;

use crate::call::Caller;
use crate::channel::status;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for ChannelsStatus {
    fn read(views: &Views, _: &Caller, params: Self::Params) -> Result<Bytes, ErrorShape> {
        let settings = views.settings.load();
        Ok(payload(&status::result(
            &settings.channels,
            &views.channels.load(),
            params.channel.as_deref(),
            views.places.now_ms(),
        )))
    }
}
