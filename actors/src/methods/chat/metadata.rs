//! `chat.metadata`: models and commands that a chat offers.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::chat::{ChatMetadata, ChatMetadataResult};

use crate::call::Caller;
use crate::commands;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for ChatMetadata {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(payload(&metadata(views)))
    }
}

/// Models and commands that a chat offers.
pub(crate) fn metadata(views: &Views) -> ChatMetadataResult {
    ChatMetadataResult {
        models: views.settings.load().models.clone(),
        commands: commands::catalogue(true),
    }
}
