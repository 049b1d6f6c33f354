use super::*;
use crate::settings::testing;

const GROUP: PeerKind = PeerKind::Group;
const DIRECT: PeerKind = PeerKind::Direct;

fn settings(change: impl FnOnce(&mut RouteSettings)) -> Settings {
    let mut settings = testing::settings();
    for id in ["work", "family"] {
        let mut agent = settings.agents[0].clone();
        agent.id = id.to_owned();
        settings.agents.push(agent);
    }
    change(&mut settings.routes);
    settings
}

fn key(place: &Place<'_>, settings: &Settings) -> String {
    session_key("main", place, settings).canonical.to_string()
}

#[test]
fn direct_conversations_are_grouped_as_dm_scope_says() {
    let place = Place::of("Telegram", "Bot One", DIRECT, " Ada42 ");
    for (scope, expected) in [
        (DmScope::Main, "agent:main:main"),
        (DmScope::PerPeer, "agent:main:direct:ada42"),
        (DmScope::PerChannelPeer, "agent:main:telegram:direct:ada42"),
        (
            DmScope::PerAccountChannelPeer,
            "agent:main:telegram:bot-one:direct:ada42",
        ),
    ] {
        let settings = settings(|routes| routes.dm_scope = scope);
        assert_eq!(key(&place, &settings), expected);
        let nobody = Place::of("telegram", "", DIRECT, " ");
        assert_eq!(key(&nobody, &settings), "agent:main:main");
    }
    let settings = settings(|routes| routes.dm_scope = DmScope::PerAccountChannelPeer);
    let place = Place::of("telegram", "", DIRECT, "7");
    assert_eq!(
        key(&place, &settings),
        "agent:main:telegram:default:direct:7"
    );
}

#[test]
fn a_person_is_the_same_on_linked_channels() {
    let settings = settings(|routes| {
        routes.dm_scope = DmScope::PerPeer;
        routes.identity_links = BTreeMap::from([
            (
                "Ada".into(),
                vec!["telegram:42".into(), "Discord:Ada#1".into()],
            ),
            (" ".into(), vec!["9".into()]),
        ]);
    });
    let of = |channel, id| key(&Place::of(channel, "", DIRECT, id), &settings);
    assert_eq!(of("telegram", "42"), "agent:main:direct:ada");
    assert_eq!(of("discord", "ada#1"), "agent:main:direct:ada");
    // The number of another channel is somebody else's.
    assert_eq!(of("whatsapp", "42"), "agent:main:direct:42");
    assert_eq!(of("whatsapp", "9"), "agent:main:direct:9");
    assert_eq!(
        key(&Place::of("telegram", "", GROUP, "42"), &settings),
        "agent:main:telegram:group:42",
        "groups are nobody"
    );
}

#[test]
fn groups_topics_and_threads_have_sessions_of_their_own() {
    let mut settings = settings(|_| {});
    let group = Place::of("telegram", "", GROUP, "-100");
    let topic = Place::of("telegram", "", GROUP, "-100:topic:9");
    let thread = Place {
        thread: Some("17.5A"),
        ..Place::of("slack", "", PeerKind::Channel, "C0FFEE")
    };
    assert_eq!(key(&group, &settings), "agent:main:telegram:group:-100");
    assert_eq!(
        key(&topic, &settings),
        "agent:main:telegram:group:-100:topic:9"
    );
    assert_eq!(
        key(&thread, &settings),
        "agent:main:slack:channel:c0ffee:thread:17.5a"
    );
    let signal = Place::of("signal", "", GROUP, "aB+/=");
    assert_eq!(key(&signal, &settings), "agent:main:signal:group:aB+/=");
    let room = Place::of("matrix", "", PeerKind::Channel, "!aB:hs");
    assert_eq!(key(&room, &settings), "agent:main:matrix:channel:!aB:hs");
    let nowhere = Place::of("", "", GROUP, "");
    assert_eq!(key(&nowhere, &settings), "agent:main:unknown:group:unknown");

    settings.routes.group_scope = GroupScope::Main;
    assert_eq!(key(&group, &settings), "agent:main:main");
}

#[test]
fn in_the_global_scope_there_is_one_session_per_agent() {
    let mut settings = settings(|routes| routes.dm_scope = DmScope::PerPeer);
    settings.global_scope = true;
    for place in [
        Place::of("telegram", "", DIRECT, "1"),
        Place::of("slack", "", PeerKind::Channel, "c"),
    ] {
        let place = Place {
            thread: Some("t"),
            ..place
        };
        assert_eq!(key(&place, &settings), "global");
        let work = session_key("work", &place, &settings);
        assert_eq!(&*work.canonical, "agent:work:global");
        assert!(route(&place, &settings).is_main);
    }
}

fn binding(agent: &str) -> Binding {
    Binding {
        agent: agent.into(),
        channel: "discord".into(),
        account: "*".into(),
        ..Binding::default()
    }
}

#[test]
fn the_most_exact_binding_counts() {
    let peer = |kind, id: &str| Some((kind, id.to_owned()));
    // From the least to the most exact, each for another agent than the one before.
    let ladder = [
        (MatchedBy::Channel, binding("a")),
        (
            MatchedBy::Account,
            Binding {
                account: String::new(),
                ..binding("b")
            },
        ),
        (
            MatchedBy::Team,
            Binding {
                team: Some("t".into()),
                ..binding("c")
            },
        ),
        (
            MatchedBy::Guild,
            Binding {
                guild: Some("g".into()),
                ..binding("d")
            },
        ),
        (
            MatchedBy::Roles,
            Binding {
                guild: Some("g".into()),
                roles: vec!["r2".into()],
                ..binding("e")
            },
        ),
        (
            MatchedBy::Kind,
            Binding {
                peer: peer(GROUP, "*"),
                ..binding("f")
            },
        ),
        (
            MatchedBy::Parent,
            Binding {
                peer: peer(PeerKind::Channel, "P"),
                ..binding("g")
            },
        ),
        (
            MatchedBy::Peer,
            Binding {
                peer: peer(GROUP, "C"),
                ..binding("h")
            },
        ),
    ];
    let mut settings = testing::settings();
    let place = Place {
        parent: Some(Peer {
            kind: GROUP,
            id: "P",
        }),
        guild: Some("g"),
        team: Some("t"),
        roles: &["r1", "r2"],
        ..Place::of("Discord", "default", PeerKind::Channel, "C")
    };
    assert_eq!(route(&place, &settings).matched_by, MatchedBy::Default);
    for (matched_by, binding) in ladder {
        let mut agent = settings.agents[0].clone();
        agent.id.clone_from(&binding.agent);
        settings.agents.push(agent);
        // Behind the others: exactness wins over order.
        settings.routes.bindings.push(binding.clone());
        let found = route(&place, &settings);
        assert_eq!(
            (found.matched_by, found.session.agent),
            (matched_by, binding.agent)
        );
    }
}

#[test]
fn of_equal_bindings_the_first_counts_and_a_binding_has_scopes_of_its_own() {
    let all = |agent: &str, dm_scope| Binding {
        channel: "telegram".into(),
        dm_scope,
        ..binding(agent)
    };
    let other = Binding {
        account: "second".into(),
        ..all("main", None)
    };
    let settings = settings(|routes| {
        routes.bindings = vec![
            all("gone", None),
            all("family", Some(DmScope::PerChannelPeer)),
            all("work", None),
            other,
        ];
    });
    let found = route(&Place::of("telegram", "x", DIRECT, "7"), &settings);
    assert_eq!(&*found.session.canonical, "agent:family:telegram:direct:7");
    assert!(!found.is_main);
    let found = route(&Place::of("telegram", "SECOND", DIRECT, "7"), &settings);
    assert_eq!(&*found.session.canonical, "agent:main:main");
    assert_eq!(
        (found.matched_by, found.is_main),
        (MatchedBy::Account, true)
    );
    let found = route(&Place::of("whatsapp", "", DIRECT, "7"), &settings);
    assert_eq!(
        (found.matched_by, found.session.agent.as_str()),
        (MatchedBy::Default, "main")
    );
}

#[test]
fn accounts_are_spelled_in_one_way() {
    for (written, expected) in [
        ("", "default"),
        ("Main_Bot-", "main_bot-"),
        (" My  Bot! ", "my-bot"),
        ("ü", "default"),
    ] {
        assert_eq!(account_id(written), expected, "{written}");
    }
    assert_eq!(account_id(&"a".repeat(80)).len(), 64);
}
