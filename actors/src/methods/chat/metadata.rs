//! `chat.metadata`: models and commands that a chat offers.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::chat::{ChatCommand, ChatMetadata, ChatMetadataResult};

use crate::call::Caller;
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
    let stop = ChatCommand {
        name: "stop".into(),
        text_aliases: Some(vec!["/stop".into(), "/abort".into()]),
        description: "Stop the run of this session".into(),
        category: Some("session".into()),
        source: Some("native".into()),
        scope: Some("both".into()),
        accepts_args: Some(false),
    };
    ChatMetadataResult {
        models: views.settings.load().models.clone(),
        commands: vec![stop],
    }
}
