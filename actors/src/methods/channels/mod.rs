//! `channels.*`; owner: channels.

mod action;
mod logout;
mod outbox;
mod pairing;
mod send;
mod start;
mod status;
mod stop;

use openclaw_protocol::{ErrorShape, Method};

use crate::channel::AccountRef;
use crate::channel::supervisor::Channels;

impl Channels {
    /// The account that the parameters of `M` name.
    pub(in crate::methods) fn find<M: Method>(
        &self,
        channel: &str,
        account: Option<&str>,
    ) -> Result<AccountRef, ErrorShape> {
        let settings = self.deps.shared.views.settings.load();
        let channel = channel.trim().to_lowercase();
        settings
            .channels
            .find(&channel, account)
            .map_err(|problem| {
                ErrorShape::invalid(format!("invalid {} channel: {problem}", M::NAME))
            })
    }
}
