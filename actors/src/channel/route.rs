//! Which conversation of which agent a message belongs to. Pure.

use super::{AccountRef, ChatKind, Inbound};
use crate::sessions::keys::SessionKey;
use crate::sessions::route::{Peer, PeerKind, Place, route};
use crate::settings::Settings;

/// The session of a message.
pub fn session(account: &AccountRef, message: &Inbound, settings: &Settings) -> SessionKey {
    let chat = &message.chat.chat;
    let topic = (message.chat.thread.as_ref()).map(|thread| format!("{chat}:topic:{thread}"));
    let place = |kind, id| Place::of(&account.channel, &account.account, kind, id);
    let place = match (message.kind, &topic) {
        (ChatKind::Direct, _) => place(PeerKind::Direct, &message.sender.id),
        (ChatKind::Group, None) => place(PeerKind::Group, chat),
        (ChatKind::Group, Some(topic)) => Place {
            parent: Some(Peer {
                kind: PeerKind::Group,
                id: chat,
            }),
            ..place(PeerKind::Group, topic)
        },
    };
    route(&place, settings).session
}
