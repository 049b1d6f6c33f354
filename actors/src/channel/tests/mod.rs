//! What tests of channels share.

use super::{ChatKind, Inbound, Sender, Target};

/// A direct message of `sender`.
pub(crate) fn message(sender: &str, text: &str) -> Inbound {
    Inbound {
        id: format!("{sender}-1"),
        message_id: Some("1".into()),
        chat: Target {
            chat: sender.into(),
            thread: None,
        },
        kind: ChatKind::Direct,
        title: None,
        space: None,
        sender: Sender {
            id: sender.into(),
            name: None,
            username: None,
        },
        roles: Vec::new(),
        text: text.into(),
        quote: None,
        files: Vec::new(),
        mentioned: true,
        at: 0,
    }
}
