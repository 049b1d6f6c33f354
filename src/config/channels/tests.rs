//! From files and variables to accounts.

use std::fs;

use openclaw_actors::channel::AccountRef;
use openclaw_actors::channel::policy::{DmPolicy, GroupPolicy, GroupRule};
use openclaw_actors::channel::settings::ChannelsSettings;

use crate::config::{Environment, Flags, LoadRequest, load};

/// The accounts of a configuration in a state directory that holds these folders too.
fn read(
    config: &str,
    folders: &[&str],
    variables: &[(&str, &str)],
    flags: &Flags,
) -> ChannelsSettings {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join(".openclaw");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("openclaw.json"), config).unwrap();
    for folder in folders {
        fs::create_dir_all(state.join(folder)).unwrap();
    }
    let env = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let request = LoadRequest {
        flags,
        env: &env,
        home: Some(home.path()),
    };
    let loaded = load(&request).unwrap();
    super::settings(&loaded, &Environment::new(&env))
}

fn plain(config: &str) -> ChannelsSettings {
    read(config, &[], &[], &Flags::default())
}

#[test]
fn one_bot_is_the_default_account() {
    let channels = plain(
        "{ channels: { telegram: { botToken: '1:a', dmPolicy: 'allowlist', allowFrom: [123, 'tg:456'] } } }",
    );
    let who = channels.find("telegram", None).unwrap();
    let own = &channels.accounts[&who];
    assert_eq!(&*who.account, "default");
    assert!(own.setup.is_ok() && own.enabled && channels.held.is_none());
    assert_eq!(own.policy.dm, DmPolicy::Allowlist);
    assert!(own.policy.allow_from.names("123") && own.policy.allow_from.names("456"));
}

#[test]
fn accounts_take_from_the_channel_what_they_leave_out_but_never_its_token() {
    let channels = plain(
        "{ channels: { telegram: { allowFrom: ['1'], textChunkLimit: 500, defaultAccount: 'Work',
             accounts: { Work: { botToken: '2:b', allowFrom: ['2'] }, home: { name: 'Home' } } } } }",
    );
    assert_eq!(channels.accounts.len(), 2);
    let work = &channels.accounts[&channels.find("telegram", None).unwrap()];
    assert!(work.policy.allow_from.names("2") && !work.policy.allow_from.names("1"));
    assert_eq!(work.split.limit, 500);
    let home = &channels.accounts[&AccountRef::new("telegram", "home")];
    assert!(home.policy.allow_from.names("1"));
    let lacking = home.setup.as_ref().unwrap_err();
    assert!(
        lacking.contains("channels.telegram.accounts.home.botToken"),
        "{lacking}"
    );
    let told = channels.find("telegram", Some("other")).unwrap_err();
    assert!(told.contains("home, work"), "{told}");
    assert!(
        plain("{}")
            .find("telegram", None)
            .unwrap_err()
            .contains("channels.telegram")
    );
}

#[test]
fn a_token_comes_from_a_variable_too() {
    let variables = [("TELEGRAM_BOT_TOKEN", "1:a")];
    let channels = read(
        "{ channels: { telegram: {} } }",
        &[],
        &variables,
        &Flags::default(),
    );
    let own = &channels.accounts[&AccountRef::new("telegram", "default")];
    assert_eq!((own.setup.is_ok(), own.token_source), (true, Some("env")));
    let unset = plain("{ channels: { telegram: { botToken: '${TELEGRAM_BOT_TOKEN}' } } }");
    let own = &unset.accounts[&AccountRef::new("telegram", "default")];
    assert!(
        own.setup
            .as_ref()
            .is_err_and(|told| told.contains("TELEGRAM_BOT_TOKEN"))
    );
}

#[test]
fn accounts_of_another_gateway_wait_for_a_word() {
    let config = "{ channels: { telegram: { botToken: '1:a' } } }";
    let there = ["telegram"];
    let held = read(config, &there, &[], &Flags::default()).held.unwrap();
    assert!(held.contains("--adopt-channels"), "{held}");
    let adopting = Flags {
        adopt_channels: true,
        ..Flags::default()
    };
    assert_eq!(read(config, &there, &[], &adopting).held, None);
    let skipping = [("OPENCLAW_SKIP_CHANNELS", "1")];
    assert!(
        read(config, &[], &skipping, &Flags::default())
            .held
            .is_some()
    );
}

#[test]
fn people_on_irc_are_masks() {
    let channels = plain(
        "{ channels: { irc: { host: 'irc.example', nick: 'helper', channels: ['home'], port: 7000,
             nickserv: { password: 's3cret' }, allowFrom: ['irc:Ann!a@host', 'bob@host', 'carl', '*!*@*'],
             groups: { '#Home': { requireMention: false } } } } }",
    );
    let own = &channels.accounts[&AccountRef::new("irc", "default")];
    assert!(own.setup.is_ok(), "{:?}", own.setup);
    let list = &own.policy.allow_from;
    assert!(list.names("ann!a@host") && list.names("bob!~b@host"));
    assert!(!list.names("carl!c@host"), "a nick alone is anybody's");
    assert!(list.is_everyone());
    assert!(own.policy.group_rule("#home", None).is_some());
    let shown = format!("{:?}", own.setup);
    assert!(
        shown.contains("\"#home\"") && !shown.contains("s3cret"),
        "{shown}"
    );

    let by_nick = plain(
        "{ channels: { irc: { host: 'h', nick: 'n', allowFrom: ['carl'], dangerouslyAllowNameMatching: true } } }",
    );
    let own = &by_nick.accounts[&AccountRef::new("irc", "default")];
    assert!(own.policy.allow_from.names("carl!c@host"));
    for (config, place) in [
        ("nick: 'n'", "channels.irc.host"),
        ("host: 'h'", "channels.irc.nick"),
        ("host: 'h', nick: 'a b'", "channels.irc.nick"),
        (
            "host: 'h', nick: 'n', channels: ['#a,#b']",
            "channels.irc.channels",
        ),
        (
            "host: 'h', nick: 'n', nickserv: { password: 'p', register: true }",
            "registerEmail",
        ),
    ] {
        let channels = plain(&format!("{{ channels: {{ irc: {{ {config} }} }} }}"));
        let own = &channels.accounts[&AccountRef::new("irc", "default")];
        let lacking = own.setup.as_ref().map(|_| ()).unwrap_err();
        assert!(lacking.contains(place), "{config}: {lacking}");
    }
}

#[test]
fn accounts_on_irc_share_a_server_but_no_nick() {
    let variables = [("IRC_NICK", "helper"), ("IRC_HOST", "irc.example")];
    let channels = read(
        "{ channels: { irc: { accounts: { second: { nick: 'other' }, third: { host: 'h' } } } } }",
        &[],
        &variables,
        &Flags::default(),
    );
    let setup = |account| &channels.accounts[&AccountRef::new("irc", account)].setup;
    let lacking = setup("second").as_ref().map(|_| ()).unwrap_err();
    assert!(
        lacking.contains("irc.accounts.second.host"),
        "a variable is the default account's: {lacking}"
    );
    assert!(
        setup("third")
            .as_ref()
            .is_err_and(|why| why.contains("nick"))
    );
    let own = read(
        "{ channels: { irc: {} } }",
        &[],
        &variables,
        &Flags::default(),
    );
    let own = &own.accounts[&AccountRef::new("irc", "default")];
    assert!(own.setup.is_ok(), "{:?}", own.setup);
}

#[test]
fn servers_of_discord_are_groups() {
    let channels = plain(
        "{ channels: { discord: { token: 'abc', dm: { policy: 'allowlist', allowFrom: ['7'] }, guilds: {
             '9': { requireMention: false, channels: { '20': { users: ['8'] }, '21': { allow: false } } },
             '10': { users: ['7'] }, '12': { roles: [55], channels: { '50': { roles: ['56'], users: ['8'] }, '*': {} } } } } } }",
    );
    let own = &channels.accounts[&AccountRef::new("discord", "default")];
    assert!(own.setup.is_ok() && own.policy.dm == DmPolicy::Allowlist);
    let rule = |chat, space| own.policy.group_rule(chat, Some(space));
    let named = rule("20", "9").unwrap();
    let people = named.allow_from.as_ref().unwrap();
    assert!(people.names("8") && people.names("7") && !people.is_everyone());
    assert_eq!(named.require_mention, Some(false));
    assert_eq!(rule("21", "9").unwrap().enabled, Some(false));
    assert_eq!(rule("22", "9").unwrap().enabled, Some(false), "not listed");
    let other = rule("30", "10").unwrap();
    assert!(other.enabled.is_none() && !other.allow_from.as_ref().unwrap().is_everyone());
    assert!(rule("40", "11").is_none());
    let (server, room) = (rule("51", "12").unwrap(), rule("50", "12").unwrap());
    let people = |rule: &GroupRule| rule.allow_from.as_ref().unwrap().entries();
    // Nobody but the role and the owner, and not everybody.
    assert!(server.roles.contains("55") && people(server) == ["7"]);
    assert!(room.roles.contains("56") && !room.roles.contains("55"));
    assert_eq!(people(room), ["7", "8"]);

    let open = "guilds: { '9': { users: ['8'] } }, groupPolicy: 'open'";
    let open = plain(&format!(
        "{{ channels: {{ discord: {{ token: 'abc', {open} }} }} }}"
    ));
    let own = &open.accounts[&AccountRef::new("discord", "default")];
    let rule = own.policy.group_rule("20", Some("9")).unwrap();
    assert_eq!(
        rule.policy,
        Some(GroupPolicy::Allowlist),
        "who is named counts"
    );

    let lacking = plain("{ channels: { discord: {} } }");
    let own = &lacking.accounts[&AccountRef::new("discord", "default")];
    assert!(
        own.setup
            .as_ref()
            .is_err_and(|told| told.contains("DISCORD_BOT_TOKEN"))
    );
}

#[test]
fn slack_needs_what_its_way_in_needs() {
    let setup = |config: &str| {
        let channels = plain(&format!("{{ channels: {{ slack: {{ {config} }} }} }}"));
        let own = &channels.accounts[&AccountRef::new("slack", "default")];
        own.setup.clone().map(|setup| setup.facts().mode)
    };
    assert_eq!(
        setup("botToken: 'xoxb-1', appToken: 'xapp-1'"),
        Ok("socket")
    );
    let http = "botToken: 'xoxb-1', mode: 'http', signingSecret: 's'";
    assert_eq!(setup(http), Ok("http"));
    for (config, place) in [
        ("", "channels.slack.botToken"),
        ("botToken: 'x'", "channels.slack.appToken"),
        (
            "botToken: 'x', mode: 'http'",
            "channels.slack.signingSecret",
        ),
        (
            "botToken: 'x', mode: 'http', signingSecret: 's', webhookPath: '/a?b'",
            "webhookPath",
        ),
    ] {
        assert!(
            setup(config).is_err_and(|told| told.contains(place)),
            "{config}"
        );
    }
    let channels = plain(
        "{ channels: { slack: { botToken: 'x', appToken: 'y', allowFrom: ['U1'], requireMention: false,
             channels: { C1: { users: ['U2'] }, C2: { enabled: false } } } } }",
    );
    let own = &channels.accounts[&AccountRef::new("slack", "default")];
    let rule = own.policy.group_rule("C1", Some("T1")).unwrap();
    assert_eq!(rule.require_mention, Some(false));
    assert!(rule.allow_from.as_ref().unwrap().names("u1"));
    assert!(own.policy.group_rule("C3", Some("T1")).is_none());
}

#[test]
fn signal_and_imessage_take_the_keys_that_people_have() {
    let channels = plain(
        "{ channels: {
            signal: { account: '+44 7700 900001', httpUrl: 'http://127.0.0.1:8080', autoStart: false,
                allowFrom: ['+44 7700 900123', '3FA85F64-5717-4562-B3FC-2C963F66AFA6'], groupPolicy: 'open',
                groups: { 'group:5M1NlYCcJ9lfhyOa0b5YrQ==': { requireMention: false } } },
            imessage: { cliPath: 'imsg', remoteHost: 'bot@mac', dbPath: '/Users/bot/chat.db', service: 'auto',
                allowFrom: ['imessage:+447700900123', 'Ann@Example.org'], groups: { 'chat_id:42': {}, '*': {} } } } }",
    );
    let signal = &channels.accounts[&AccountRef::new("signal", "default")];
    let shown = format!("{:?}", signal.setup);
    assert!(
        shown.contains("External { url: \"http://127.0.0.1:8080\" }"),
        "{shown}"
    );
    assert!(shown.contains("\"+447700900001\""), "{shown}");
    let list = &signal.policy.allow_from;
    assert!(list.names("+447700900123"));
    assert!(list.names("uuid:3fa85f64-5717-4562-b3fc-2c963f66afa6"));
    let group = signal.policy.group_rule("5M1NlYCcJ9lfhyOa0b5YrQ==", None);
    assert!(group.is_some_and(|rule| rule.require_mention == Some(false)));

    let imessage = &channels.accounts[&AccountRef::new("imessage", "default")];
    let shown = format!("{:?}", imessage.setup);
    assert!(
        shown.contains("Ssh { host: \"bot@mac\", program: \"imsg\" }"),
        "{shown}"
    );
    assert!(shown.contains("groups: {\"42\"}"), "{shown}");
    let list = &imessage.policy.allow_from;
    assert!(list.names("+447700900123") && list.names("ann@example.org"));

    for (channel, config, says) in [
        ("signal", "account: 'ann'", "channels.signal.account"),
        ("signal", "httpUrl: 'ftp://x'", "channels.signal.httpUrl"),
        (
            "signal",
            "transport: { kind: 'container', url: 'http://x' }",
            "transport.kind",
        ),
        (
            "imessage",
            "remoteHost: '-oProxyCommand=x'",
            "channels.imessage.remoteHost",
        ),
        ("imessage", "attachmentRoots: ['x']", "attachment roots"),
    ] {
        let channels = plain(&format!("{{ channels: {{ {channel}: {{ {config} }} }} }}"));
        let own = &channels.accounts[&AccountRef::new(channel, "default")];
        let lacking = own.setup.as_ref().err().cloned().unwrap_or_default();
        assert!(lacking.contains(says), "{config}: {lacking}");
    }
}

#[test]
fn whatsapp_is_configured_by_numbers_and_folders() {
    let channels = plain(
        "{ channels: { whatsapp: { dmPolicy: 'allowlist', allowFrom: ['+1 (555) 000-1111', 15550002222, 'whatsapp:+15550003333'],
             groupPolicy: 'open', groups: { '120363012345678901@g.us': { requireMention: false } },
             accounts: { work: { authDir: '~/wa' }, home: {} } } } }",
    );
    let home = &channels.accounts[&AccountRef::new("whatsapp", "home")];
    for number in ["+15550001111", "+15550002222", "+15550003333"] {
        assert!(home.policy.allow_from.names(number), "{number}");
    }
    assert!(home.policy.groups.contains_key("120363012345678901@g.us"));
    let fingerprint = |name| {
        let own = &channels.accounts[&AccountRef::new("whatsapp", name)];
        own.setup.as_ref().unwrap().fingerprint()
    };
    assert_ne!(fingerprint("work"), fingerprint("home"));
    for far in [
        "ws://example.org:80/",
        "wss://127.0.0.1.example.org/",
        "ws://127.0.0.1:80@example.org/",
    ] {
        let channels = plain(&format!(
            "{{ channels: {{ whatsapp: {{ webSocketUrl: '{far}' }} }} }}"
        ));
        let own = &channels.accounts[&AccountRef::new("whatsapp", "default")];
        let lacking = own.setup.as_ref().unwrap_err();
        assert!(
            lacking.contains("channels.whatsapp.webSocketUrl"),
            "{lacking}"
        );
    }
}
