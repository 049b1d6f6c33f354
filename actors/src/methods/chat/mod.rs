//! `chat.*`: conversations of web, terminal and app clients.

mod abort;
mod history;
mod inject;
mod metadata;
mod send;
mod startup;

use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::common::Attachment;

/// Attachments are refused by name: a file that is silently ignored would be worse.
pub(crate) fn unsupported_attachments(attachments: Option<&[Attachment]>) -> Option<ErrorShape> {
    attachments
        .is_some_and(|attachments| !attachments.is_empty())
        .then(|| ErrorShape::invalid("attachments are not supported yet; send the text alone"))
}
