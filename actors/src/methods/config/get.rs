//! `config.get`: the configuration in effect, secrets redacted.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::config::ConfigGet;

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for ConfigGet {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(payload(&views.settings.load().config_get))
    }
}
