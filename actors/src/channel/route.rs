//! Which conversation of which agent a message belongs to. Pure.

use super::{AccountRef, ChatKind, Inbound};
use crate::sessions::keys::SessionKey;
use crate::sessions::route::{Peer, PeerKind, Place, apart, route};
use crate::settings::Settings;

/// The session of a message. What a stranger writes is never part of a conversation that its owner
/// has elsewhere: they would see it, and the owner's next run would take their words for the owner's.
pub fn session(
    account: &AccountRef,
    message: &Inbound,
    trusted: bool,
    settings: &Settings,
) -> SessionKey {
    let chat = &message.chat.chat;
    let topic = (message.chat.thread.as_ref()).map(|thread| format!("{chat}:topic:{thread}"));
    let place = |kind, id| Place::of(&account.channel, &account.account, kind, id);
    let roles: Vec<&str> = message.roles.iter().map(String::as_str).collect();
    let place = match (message.kind, &topic) {
        // A room of a server; its threads are conversations of their own.
        (ChatKind::Group, _) if message.space.is_some() => Place {
            thread: message.chat.thread.as_deref(),
            guild: message.space.as_deref(),
            team: message.space.as_deref(),
            roles: &roles,
            ..place(PeerKind::Channel, chat)
        },
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
    if trusted {
        route(&place, settings).session
    } else {
        apart(&place, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tests::message;
    use crate::sessions::route::{Binding, GroupScope};
    use crate::settings::testing::settings;

    #[test]
    fn a_stranger_has_a_conversation_of_their_own_whatever_is_configured() {
        let account = AccountRef::new("telegram", "Work");
        let mut settings = settings();
        let key = |settings: &Settings, trusted| {
            let key = session(&account, &message("9", "hi"), trusted, settings);
            key.canonical.to_string()
        };
        assert_eq!(key(&settings, true), "agent:main:main");
        let own = "agent:main:telegram:work:direct:9";
        assert_eq!(key(&settings, false), own);
        settings
            .routes
            .identity_links
            .insert("ann".into(), vec!["telegram:9".into()]);
        settings.routes.dm_scope = crate::sessions::route::DmScope::PerPeer;
        assert_eq!(key(&settings, true), "agent:main:direct:ann");
        assert_eq!(key(&settings, false), own, "nobody vouches for the link");
        settings.global_scope = true;
        assert_eq!(key(&settings, false), own);

        settings.routes.group_scope = GroupScope::Main;
        let mut group = message("9", "hi");
        group.kind = ChatKind::Group;
        group.chat.chat = "-100".into();
        let group = session(&account, &group, false, &settings);
        assert_eq!(&*group.canonical, "agent:main:telegram:group:-100");

        let mut thread = message("9", "hi");
        thread.kind = ChatKind::Group;
        thread.chat.chat = "20".into();
        thread.chat.thread = Some("30".into());
        thread.space = Some("9".into());
        let thread = session(&AccountRef::new("discord", "a"), &thread, false, &settings);
        assert_eq!(
            &*thread.canonical,
            "agent:main:discord:channel:20:thread:30"
        );
    }

    #[test]
    fn a_binding_may_ask_for_a_role_of_the_writer() {
        let mut settings = settings();
        settings.routes.group_scope = GroupScope::Main;
        settings.routes.bindings.push(Binding {
            agent: "main".into(),
            channel: "discord".into(),
            account: "*".into(),
            guild: Some("9".into()),
            roles: vec!["55".into()],
            group_scope: Some(GroupScope::PerGroup),
            ..Binding::default()
        });
        let mut room = message("7", "hi");
        room.kind = ChatKind::Group;
        room.chat.chat = "20".into();
        room.space = Some("9".into());
        let key = |room: &Inbound| {
            let key = session(&AccountRef::new("discord", "a"), room, true, &settings);
            key.canonical.to_string()
        };
        assert_eq!(key(&room), "agent:main:main");
        room.roles = vec!["54".into(), "55".into()];
        assert_eq!(key(&room), "agent:main:discord:channel:20");
    }
}
