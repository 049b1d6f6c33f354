//! Lines in both directions, and the life of a connection.

use proptest::prelude::*;

use super::format::lines;
use super::line::Line;
use super::session::{Effect, Session};
use super::*;
use crate::channel::ChatKind;

fn setup(nickserv: bool) -> IrcSetup {
    IrcSetup {
        host: "irc.example".into(),
        port: 6_697,
        tls: true,
        nick: "helper".into(),
        username: "helper".into(),
        realname: "Helper".into(),
        password: None,
        channels: vec!["#Room".into()],
        keys: BTreeMap::new(),
        nickserv: nickserv.then(|| NickServ {
            service: "NickServ".into(),
            password: "s3cret".to_owned().into(),
            register: None,
        }),
        timing: Timing::default(),
    }
}

const START: Duration = Duration::ZERO;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn written(session: &mut Session<'_>, now: Duration) -> Vec<String> {
    std::iter::from_fn(|| session.due(now)).collect()
}

/// Takes lines; what they come to.
fn take(session: &mut Session<'_>, lines: &[&str], now: Duration) -> Vec<Effect> {
    let lines = lines.iter();
    lines.flat_map(|line| session.line(line, now, 7)).collect()
}

/// A session that the server took in.
fn ready(setup: &IrcSetup) -> Session<'_> {
    let mut session = Session::new(setup, "base".into(), START);
    take(
        &mut session,
        &[":irc 001 helper :hi", ":irc 422 helper :none"],
        START,
    );
    written(&mut session, START);
    session
}

fn piece(chat: &str, text: &str) -> Piece {
    Piece {
        to: Target {
            chat: chat.into(),
            thread: None,
        },
        text: text.into(),
        reply_to: None,
        silent: false,
        edits: None,
        file: None,
    }
}

fn message(session: &mut Session<'_>, line: &str) -> Option<crate::channel::Inbound> {
    match take(session, &[line], START).pop() {
        Some(Effect::Message(message)) => Some(*message),
        _ => None,
    }
}

#[test]
fn lines_are_read() {
    let line = Line::parse("@time=1;x=y :ann!~a@host PRIVMSG  #room :hello: all").unwrap();
    assert_eq!((line.command, line.nick()), ("PRIVMSG", Some("ann")));
    assert_eq!(line.params, ["#room", "hello: all"]);
    assert_eq!(Line::parse("PING :x").unwrap().words(), "x");
    assert_eq!(Line::parse(":irc.example"), None);
    assert_eq!(Line::parse(""), None);
    assert_eq!(lower("A[b]~"), "a{b}^");
}

#[test]
fn a_connection_signs_in_and_joins() {
    let setup = setup(false);
    let mut session = Session::new(&setup, "base".into(), START);
    assert_eq!(
        written(&mut session, START),
        ["NICK helper", "USER helper 0 * :Helper"]
    );
    take(&mut session, &["PING :abc", ":irc 001 helper :hi"], START);
    assert_eq!(written(&mut session, START), ["PONG :abc"]);
    assert!(!session.is_free());
    let effects = take(&mut session, &[":irc 376 helper :end"], START);
    assert_eq!(effects, [Effect::Connected("helper".into())]);
    assert_eq!(written(&mut session, START), ["JOIN #room"]);
    assert!(session.is_free());
}

#[test]
fn a_nick_is_proven_by_sasl_or_else_to_the_service() {
    let setup = setup(true);
    let mut session = Session::new(&setup, "base".into(), START);
    assert_eq!(written(&mut session, START)[0], "CAP LS 302");
    take(
        &mut session,
        &[
            "CAP * LS * :multi-prefix",
            "CAP * LS :sasl=PLAIN,EXTERNAL batch",
        ],
        START,
    );
    assert_eq!(written(&mut session, START), ["CAP REQ :sasl"]);
    take(
        &mut session,
        &[":irc CAP helper ACK :sasl", "AUTHENTICATE +"],
        START,
    );
    let proof = "AUTHENTICATE aGVscGVyAGhlbHBlcgBzM2NyZXQ=";
    assert_eq!(written(&mut session, START), ["AUTHENTICATE PLAIN", proof]);
    take(
        &mut session,
        &[
            ":irc 903 helper :yes",
            ":irc 001 helper :hi",
            ":irc 422 helper :none",
        ],
        START,
    );
    assert_eq!(written(&mut session, START), ["CAP END", "JOIN #room"]);

    let mut refused = Session::new(&setup, "base".into(), START);
    written(&mut refused, START);
    let effects = take(
        &mut refused,
        &["CAP * LS :sasl", "CAP * ACK :sasl", ":irc 904 helper :no"],
        START,
    );
    let told = matches!(&effects[..], [Effect::Trouble(why)] if why.contains("nickserv.password"));
    assert!(
        told && !format!("{effects:?}").contains("s3cret"),
        "{effects:?}"
    );
    take(
        &mut refused,
        &[":irc 001 helper :hi", ":irc 422 helper :none"],
        START,
    );
    let lines = written(&mut refused, START);
    assert_eq!(
        lines[2..],
        ["CAP END", "PRIVMSG NickServ :IDENTIFY s3cret", "JOIN #room"]
    );
}

#[test]
fn a_taken_nick_gets_a_variant_and_is_asked_for_again() {
    let setup = setup(false);
    let mut session = Session::new(&setup, "base".into(), START);
    written(&mut session, START);
    take(&mut session, &[":irc 433 * helper :in use"], START);
    assert_eq!(written(&mut session, START), ["NICK helper_"]);
    let effects = take(
        &mut session,
        &[":irc 001 helper_ :hi", ":irc 376 helper_ :end"],
        START,
    );
    assert_eq!(effects[0], Effect::Connected("helper_".into()));
    assert!(matches!(&effects[1], Effect::Trouble(why) if why.contains("taken")));
    written(&mut session, START);
    assert_eq!(session.wake(), secs(60));
    session.tick(secs(60));
    let lines = written(&mut session, secs(60));
    assert!(lines.contains(&"NICK helper".to_owned()), "{lines:?}");
    take(
        &mut session,
        &[":helper_!h@x NICK :helper", ":helper!h@x JOIN :#room"],
        secs(61),
    );
    assert!(session.wake() > secs(100), "nothing is left to do");
    let own = message(&mut session, ":ann!a@x PRIVMSG #room :Helper, hi");
    assert!(own.is_some_and(|message| message.mentioned && message.text == "hi"));
}

#[test]
fn refusals_at_the_door_keep_their_class() {
    let setup = setup(false);
    let class = |line: &str| {
        let mut session = Session::new(&setup, "base".into(), START);
        match take(&mut session, &[line], START).pop() {
            Some(Effect::End(error)) => error,
            other => panic!("{line}: {other:?}"),
        }
    };
    for fatal in [
        ":irc 464 * :Password incorrect",
        ":irc 465 * :You are banned",
        ":irc 432 * helper :Erroneous",
        "ERROR :Closing Link: (Bad Password)",
        "ERROR :K-Lined",
    ] {
        assert!(matches!(class(fatal), ChannelError::Auth(_)), "{fatal}");
    }
    let limited = class("ERROR :Trying to reconnect too fast");
    assert!(matches!(limited, ChannelError::RateLimited { .. }));
    let gone = class("ERROR :Server going down");
    assert!(matches!(gone, ChannelError::Transient(_)));
}

#[test]
fn what_people_write_is_read() {
    let setup = setup(false);
    let mut session = ready(&setup);
    let direct = message(
        &mut session,
        ":Ann!~A@Host PRIVMSG helper :\x02hi\x02 \x0304,01you",
    )
    .unwrap();
    assert_eq!(
        (direct.text.as_str(), direct.kind),
        ("hi you", ChatKind::Direct)
    );
    assert_eq!(
        (direct.sender.id.as_str(), direct.chat.chat.as_str()),
        ("ann!~a@host", "Ann")
    );
    // What only a room's operators were told is nothing to answer before everybody.
    let operators = message(&mut session, ":ann!a@x PRIVMSG @#Room :helper: psst");
    assert!(operators.is_none());
    let group = message(&mut session, ":ann!a@x PRIVMSG #Room :is helper there?").unwrap();
    assert!(group.mentioned && group.kind == ChatKind::Group);
    assert_eq!((group.chat.chat.as_str(), group.at), ("#room", 7));
    assert_ne!(group.id, direct.id);
    let other = message(&mut session, ":ann!a@x PRIVMSG #room :helpers are there").unwrap();
    assert!(!other.mentioned);
    let action = message(
        &mut session,
        ":ann!a@x PRIVMSG helper :\x01ACTION waves\x01",
    )
    .unwrap();
    assert_eq!(action.text, "* waves");
    for none in [
        ":helper!h@x PRIVMSG #room :hi",
        ":irc.example PRIVMSG helper :hi",
        ":bot!b@x NOTICE helper :hi",
        ":ann!a@x PRIVMSG helper :\x01VERSION\x01",
        ":ann!a@x PRIVMSG someone :hi",
        ":ann!a@x PRIVMSG helper :\x02\x02",
    ] {
        assert_eq!(message(&mut session, none), None, "{none}");
    }
}

#[test]
fn a_piece_is_sent_when_the_server_answers_what_follows_it() {
    let setup = setup(false);
    let mut session = ready(&setup);
    session
        .send(&piece("ann", "one\n\n**two**\nPRIVMSG x :y"))
        .unwrap();
    assert!(!session.has_begun());
    let lines = written(&mut session, START);
    assert!(session.has_begun() && !session.is_free());
    let (ping, said) = lines.split_last().unwrap();
    assert_eq!(
        said,
        [
            "PRIVMSG ann :one",
            "PRIVMSG ann :\x02two\x02",
            "PRIVMSG ann :PRIVMSG x :y"
        ]
    );
    let pong = format!(":irc PONG irc {}", ping.strip_prefix("PING ").unwrap());
    assert_eq!(take(&mut session, &[":irc PONG irc :alive"], START), []);
    let effects = take(&mut session, &[&pong], START);
    assert!(matches!(effects[..], [Effect::Sent(Ok(_))]));
    assert!(session.is_free());

    session.send(&piece("Bob", "hi")).unwrap();
    written(&mut session, START);
    let effects = take(&mut session, &[":irc 401 helper bob :No such nick"], START);
    assert!(matches!(
        &effects[..],
        [Effect::Sent(Err(SendFailure::Refused(_)))]
    ));
    for wrong in ["a,b", "a b", "", "a\r\nQUIT"] {
        let refused = session.send(&piece(wrong, "hi"));
        assert!(matches!(refused, Err(SendFailure::Refused(_))), "{wrong}");
    }
}

#[test]
fn lines_leave_at_a_pace() {
    let setup = setup(false);
    let mut session = ready(&setup);
    let text = (0..16).map(|n| format!("line {n}")).collect::<Vec<_>>();
    session.send(&piece("#room", &text.join("\n"))).unwrap();
    let first = written(&mut session, secs(10)).len();
    assert!((3..=8).contains(&first), "{first}");
    let mut now = secs(10);
    let mut left = 17 - first;
    while left > 0 {
        let wake = session.wake();
        assert!(wake > now && wake < now + secs(2));
        now = wake;
        left -= written(&mut session, now).len();
    }
    assert!(now > secs(16) && now < secs(24), "{now:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_socket_never_began_was_certainly_not_sent() {
    let irc = Irc {
        setup: setup(false),
        jobs: RefCell::default(),
    };
    let (sender, mut jobs) = mpsc::channel(1);
    *irc.jobs.borrow_mut() = Some(sender);
    // The socket is busy with something else.
    let given_up = irc.send(&piece("ann", "hello")).await;
    assert!(
        matches!(given_up, Err(SendFailure::NotSent(_))),
        "{given_up:?}"
    );
    let job = jobs.try_recv().unwrap();
    assert!(job.done.is_closed(), "the socket leaves it");
    let piece = piece("ann", "hello");
    let sending = irc.send(&piece);
    let beginning = async {
        let job = jobs.recv().await.unwrap();
        job.begun.set(true);
        job
    };
    let (lost, _job) = tokio::join!(sending, beginning);
    assert!(matches!(lost, Err(SendFailure::Unknown(_))), "{lost:?}");
}

#[test]
fn a_server_that_nobody_listens_to_is_not_silent() {
    let setup = setup(false);
    let mut session = ready(&setup);
    take(&mut session, &[":helper!h@x JOIN #room"], START);
    session.tick(secs(60));
    assert_eq!(written(&mut session, secs(60)), ["PING :alive"]);
    let ended = session.wake();
    session.deaf(ended);
    assert_eq!(session.tick(ended), []);
    assert!(session.wake() > ended);
    // Listened to again, it has its time to answer.
    let effects = session.tick(session.wake());
    assert!(matches!(effects[..], [Effect::End(_)]), "{effects:?}");
}

#[test]
fn silence_is_asked_about_and_then_the_end() {
    let setup = setup(false);
    let mut session = ready(&setup);
    take(&mut session, &[":helper!h@x JOIN #room"], START);
    assert_eq!(session.wake(), secs(60));
    assert_eq!(session.tick(secs(60)), []);
    assert_eq!(written(&mut session, secs(60)), ["PING :alive"]);
    take(&mut session, &[":irc PONG irc :alive"], secs(61));
    assert_eq!(session.wake(), secs(121));
    session.tick(secs(121));
    let effects = session.tick(session.wake());
    assert!(matches!(
        effects[..],
        [Effect::End(ChannelError::Transient(_))]
    ));
    let mut silent = Session::new(&setup, "base".into(), START);
    let effects = silent.tick(silent.wake());
    assert!(matches!(effects[..], [Effect::End(_)]), "{effects:?}");
}

#[test]
fn a_kick_is_told_and_mended() {
    let setup = setup(false);
    let mut session = ready(&setup);
    take(&mut session, &[":helper!h@x JOIN #room"], START);
    let effects = take(&mut session, &[":op!o@x KICK #room helper :out"], secs(5));
    assert!(matches!(&effects[..], [Effect::Trouble(why)] if why.contains("kicked")));
    session.tick(session.wake());
    let lines = written(&mut session, secs(65));
    assert!(lines.contains(&"JOIN #room".to_owned()), "{lines:?}");
    let effects = take(&mut session, &[":irc 474 helper #room :banned"], secs(66));
    assert!(matches!(&effects[..], [Effect::Trouble(why)] if why.contains("cannot be joined")));
}

#[test]
fn answers_become_lines() {
    let text = "# Title\n\nSee [this](https://a.b) and `code`.\n```sh\necho *x*\n```\n> quoted";
    assert_eq!(
        lines(text, 400),
        [
            "\x02Title\x02",
            "See this (https://a.b) and `code`.",
            "echo *x*",
            "> quoted"
        ]
    );
    let many = "a\n".repeat(200);
    assert!(lines(&many, 400).len() <= 16);
}

proptest! {
    #[test]
    fn no_line_is_too_long_or_breaks_out(text in "[a-zä😀 \u{1}\r\n`*]{0,500}", room in 60usize..400) {
        let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic() || *c == '😀').collect::<String>();
        let out = lines(&text, room);
        for line in &out {
            let breaks = line.contains(['\r', '\n', '\u{1}']);
            prop_assert!(line.len() <= room && !breaks && !line.trim().is_empty(), "{line:?}");
        }
        // What stands behind a fence names a language.
        if !text.contains("```") {
            prop_assert_eq!(letters(&out.concat()), letters(&text));
        }
    }

    #[test]
    fn no_line_of_a_server_is_a_panic(line in "[ -~\u{1}ä]{0,80}") {
        let setup = setup(true);
        let mut session = ready(&setup);
        session.line(&line, START, 0);
    }
}

#[test]
fn a_quiet_day_is_pings_and_nothing_else() {
    let setup = setup(false);
    let mut session = ready(&setup);
    take(&mut session, &[":helper!u@h JOIN #Room"], START);
    let (mut now, mut pings) = (START, 0);
    while now < Duration::from_hours(24) {
        let wake = session.wake();
        assert!(wake > now, "it wakes for nothing at {now:?}");
        now = wake;
        assert_eq!(session.tick(now), [], "at {now:?}");
        assert_eq!(written(&mut session, now), ["PING :alive"], "at {now:?}");
        pings += 1;
        // Late, but within its time.
        now += secs(39);
        let answered = take(&mut session, &[":irc PONG irc :alive"], now);
        assert_eq!(answered, []);
    }
    // One after each quiet minute.
    assert_eq!(pings, (24 * 60 * 60_u64).div_ceil(99));
}
