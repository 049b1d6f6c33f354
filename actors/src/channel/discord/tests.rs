//! Messages in both directions, and the life of a connection.

use std::time::Duration;

use proptest::prelude::*;

use super::session::{Effect, Resume, Session};
use super::translate::{Places, channel, inbound, outbound};
use super::*;
use crate::channel::{ChatKind, Inbound};

const ME: &str = "135000000000000001";
const START: Duration = Duration::ZERO;

fn token() -> SecretString {
    "secret-token".to_owned().into()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn resume() -> Resume {
    Resume {
        session: "s1".into(),
        url: "wss://gateway.example".into(),
        seq: 7,
    }
}

fn me() -> (String, String) {
    (ME.into(), "helper".into())
}

fn hello() -> Value {
    json!({ "op": 10, "d": { "heartbeat_interval": 40_000 } })
}

fn ready(seq: u64) -> Value {
    json!({ "op": 0, "t": "READY", "s": seq, "d": {
        "session_id": "s2", "resume_gateway_url": "wss://other.example", "user": { "id": ME, "username": "helper" } } })
}

fn sent(effects: &[Effect]) -> Vec<u64> {
    let op = |effect: &Effect| match effect {
        Effect::Send(frame) => frame["op"].as_u64(),
        _ => None,
    };
    effects.iter().filter_map(op).collect()
}

fn is_end(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::End(ChannelError::Transient(_))])
}

#[test]
fn a_session_is_asked_for_and_kept_alive() {
    let token = token();
    let mut session = Session::new(&token, me(), None, START);
    let effects = session.frame(hello(), START, 0.5);
    assert_eq!(sent(&effects), [2]);
    let Effect::Send(identify) = &effects[0] else {
        panic!("a frame")
    };
    assert_eq!(identify["d"]["token"], "secret-token");
    assert_eq!(
        identify["d"]["intents"]
            .as_u64()
            .map(|bits| bits & (1 << 15)),
        Some(1 << 15)
    );
    assert_eq!(session.frame(ready(1), START, 0.5), [Effect::Connected]);
    assert_eq!(
        session.mark().map(|mark| (mark.session, mark.seq)),
        Some(("s2".into(), 1))
    );
    // The first beat comes at any time, the others regularly, each acknowledged.
    assert_eq!(session.wake(), secs(20));
    assert_eq!(sent(&session.tick(secs(20))), [1]);
    session.frame(json!({ "op": 11 }), secs(21), 0.5);
    let beat = session.tick(secs(60));
    assert_eq!(beat, [Effect::Send(json!({ "op": 1, "d": 1 }))]);
    assert_eq!(sent(&session.frame(json!({ "op": 1 }), secs(61), 0.5)), [1]);
    // One that is not acknowledged is the end, and the session can be resumed.
    assert!(is_end(&session.tick(secs(100))));
    assert!(session.mark().is_some() && !session.failed_to_resume());
}

#[test]
fn a_session_is_resumed_and_a_lost_one_is_asked_for_anew() {
    let token = token();
    let mut session = Session::new(&token, me(), Some(resume()), START);
    let effects = session.frame(hello(), START, 0.5);
    assert_eq!(
        effects[0],
        Effect::Send(
            json!({ "op": 6, "d": { "token": "secret-token", "session_id": "s1", "seq": 7 } })
        )
    );
    assert!(session.failed_to_resume());
    let missed = json!({ "op": 0, "t": "MESSAGE_CREATE", "s": 8, "d": {} });
    assert!(
        matches!(&session.frame(missed, START, 0.5)[..], [Effect::Event { name, .. }] if name == "MESSAGE_CREATE")
    );
    let resumed = json!({ "op": 0, "t": "RESUMED", "s": 9, "d": {} });
    assert_eq!(session.frame(resumed, START, 0.5), [Effect::Connected]);
    assert_eq!(session.mark(), Some(Resume { seq: 9, ..resume() }));

    let mut lost = Session::new(&token, me(), Some(resume()), START);
    lost.frame(hello(), START, 0.5);
    assert_eq!(lost.frame(json!({ "op": 9, "d": false }), START, 0.5), []);
    assert_eq!(lost.mark(), None);
    assert_eq!(
        sent(&lost.tick(lost.wake())),
        [2],
        "it identifies, after a pause"
    );
    // One that the gateway still knows is asked for again, and not for ever.
    let mut known = Session::new(&token, me(), Some(resume()), START);
    known.frame(hello(), START, 0.5);
    for _ in 0..3 {
        assert_eq!(known.frame(json!({ "op": 9, "d": true }), START, 0.0), []);
        assert_eq!(sent(&known.tick(secs(2))), [6]);
    }
    assert!(is_end(&known.frame(
        json!({ "op": 9, "d": true }),
        START,
        0.0
    )));
}

#[test]
fn the_end_of_a_connection_keeps_its_class() {
    let token = token();
    let closed = |code: Option<u16>| {
        let mut session = Session::new(&token, me(), Some(resume()), START);
        session.frame(hello(), START, 0.5);
        session.frame(ready(1), START, 0.5);
        let error = session.closed(code, "why");
        (error, session.mark().is_some())
    };
    for code in [4004, 4010, 4011, 4012, 4013, 4014] {
        assert!(
            matches!(closed(Some(code)).0, ChannelError::Auth(_)),
            "{code}"
        );
    }
    let (intents, _) = closed(Some(4014));
    assert!(intents.to_string().contains("Message Content Intent"));
    for (code, kept) in [
        (None, true),
        (Some(1000), true),
        (Some(4000), true),
        (Some(4007), false),
        (Some(4009), false),
    ] {
        let (error, resumes) = closed(code);
        assert!(matches!(error, ChannelError::Transient(_)), "{code:?}");
        assert_eq!(resumes, kept, "{code:?}");
    }
    let mut session = Session::new(&token, me(), None, START);
    session.frame(hello(), START, 0.5);
    session.frame(ready(1), START, 0.5);
    assert!(is_end(&session.frame(json!({ "op": 7 }), START, 0.5)));
    assert!(session.mark().is_some());
    let mut silent = Session::new(&token, me(), None, START);
    assert!(is_end(&silent.tick(silent.wake())));
}

fn message(more: &Value) -> Value {
    let mut message = json!({
        "id": "1250000000000000001", "channel_id": "20", "content": "hello", "type": 0,
        "author": { "id": "7", "username": "ann", "global_name": "Ann" },
        "timestamp": "2026-11-23T04:00:00.000+00:00",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        message[key] = value.clone();
    }
    message
}

fn read(more: &Value) -> Option<Inbound> {
    inbound(message(more), ME)
}

#[test]
fn messages_are_read_and_say_whether_they_are_meant_for_us() {
    let direct = read(&json!({})).unwrap();
    assert_eq!((direct.kind, direct.mentioned), (ChatKind::Direct, true));
    assert_eq!(
        (direct.sender.label(), direct.at),
        ("Ann", 1_795_406_400_000)
    );
    let guild = json!({ "guild_id": "9", "member": { "nick": "Annie" } });
    let group = read(&guild).unwrap();
    assert_eq!((group.kind, group.mentioned), (ChatKind::Group, false));
    assert_eq!(
        (group.space.as_deref(), group.sender.label()),
        (Some("9"), "Annie")
    );
    let named = read(
        &json!({ "guild_id": "9", "content": format!("<@{ME}> ask <@!8>"),
        "mentions": [{ "id": ME, "bot": true }, { "id": "8", "username": "bob" }] }),
    );
    let named = named.unwrap();
    assert!(
        named.mentioned && named.text == "ask @bob",
        "{}",
        named.text
    );
    let answer = read(&json!({ "guild_id": "9", "type": 19,
        "referenced_message": { "id": "1", "channel_id": "20", "author": { "id": ME, "bot": true } } }));
    let answer = answer.unwrap();
    assert!(answer.mentioned && answer.quote.is_none());
    let answer = read(
        &json!({ "type": 19, "referenced_message": { "id": "1", "channel_id": "20",
        "content": "who is it?", "author": { "id": "8", "username": "bob" } } }),
    );
    let quote = answer.unwrap().quote.unwrap();
    assert_eq!(
        (quote.by.as_str(), quote.text.as_str()),
        ("bob", "who is it?")
    );
    let picture = read(&json!({ "content": "", "attachments": [
        { "filename": "a.png", "content_type": "image/png", "url": "https://cdn.example/a.png", "size": 9 }] }));
    let picture = picture.unwrap();
    assert_eq!(picture.text, "");
    let [file] = &picture.files[..] else {
        panic!("one file")
    };
    assert_eq!(
        (file.what.as_str(), file.id.as_str(), file.bytes),
        ("picture", "https://cdn.example/a.png", Some(9))
    );
    for none in [
        json!({ "author": { "id": "8", "bot": true } }),
        json!({ "author": { "id": ME } }),
        json!({ "webhook_id": "5" }),
        json!({ "type": 7 }),
        json!({ "content": "" }),
        json!({ "author": Value::Null }),
        json!({ "id": 5 }),
    ] {
        assert_eq!(read(&none), None, "{none}");
    }
    // Nothing but what is needed.
    let sparse = json!({ "id": "1", "channel_id": "2", "author": { "id": "3" }, "content": "hi" });
    assert_eq!(inbound(sparse, ME).unwrap().sender.label(), "3");
}

#[test]
fn threads_belong_to_their_channel() {
    let mut places = Places::default();
    places.event(
        "GUILD_CREATE",
        &json!({
        "channels": [{ "id": "20", "type": 0, "parent_id": "1" }],
        "threads": [{ "id": "30", "type": 11, "parent_id": "20" }] }),
    );
    assert_eq!(places.target("20").to_string(), "20");
    let thread = places.target("30");
    assert_eq!(
        (thread.chat.as_str(), thread.thread.as_deref()),
        ("20", Some("30"))
    );
    assert_eq!(channel(&thread), "30");
    assert!(!places.knows("40"));
    places.event(
        "THREAD_CREATE",
        &json!({ "id": "40", "type": 12, "parent_id": "20" }),
    );
    assert_eq!(places.target("40").chat, "20");
}

#[test]
fn nobody_is_called_by_an_answer() {
    let piece = Piece {
        to: Target {
            chat: "20".into(),
            thread: None,
        },
        text: "@everyone <@8> hi".into(),
        reply_to: Some("5".into()),
        silent: true,
        edits: None,
        file: None,
    };
    let body = outbound(&piece);
    assert_eq!(body["allowed_mentions"]["parse"], json!([]));
    assert_eq!(body["message_reference"]["fail_if_not_exists"], false);
    assert_eq!(body["flags"], 4096);
}

#[test]
fn emojis_are_one_part_of_an_address() {
    assert_eq!(acts::in_path("👍"), "%F0%9F%91%8D");
    assert_eq!(acts::in_path("party_cat:123"), "party_cat%3A123");
    assert_eq!(acts::in_path("../x?y"), "%2E%2E%2Fx%3Fy");
}

#[test]
fn a_place_that_cannot_be_looked_up_now_is_no_place_without_a_rule() {
    let answered = |status| {
        let why = String::new();
        gateway::found(Err(api::ApiError::Answered { status, why }))
    };
    assert_eq!(gateway::found(Ok(json!({}))), Ok(Some(json!({}))));
    assert_eq!((answered(404), answered(403)), (Ok(None), Ok(None)));
    assert!(answered(500).is_err() && answered(401).is_err());
    assert!(gateway::found(Err(api::ApiError::Limited(secs(1)))).is_err());
}

#[test]
fn places_are_read_as_people_write_them() {
    let setup = DiscordSetup {
        token: token(),
        api_root: API_ROOT.into(),
        drafts: false,
        limit: LIMIT,
    };
    let read = |text: &str| setup.target(text).map(|target| target.chat);
    // As it is shown: a thread of a channel.
    let thread = setup.target("channel:20:topic:30").unwrap();
    assert_eq!(
        (channel(&thread), &*thread.to_string()),
        ("30", "20:topic:30")
    );
    assert_eq!(setup.target("20:topic:30"), Ok(thread));
    assert!(read("20:topic:x").is_err() && read("user:7:topic:30").is_err());
    assert_eq!(read("channel:20").as_deref(), Ok("20"));
    assert_eq!(read("discord:channel:20").as_deref(), Ok("20"));
    assert_eq!(read("<@!7>").as_deref(), Ok("user:7"));
    assert_eq!(read("user:7").as_deref(), Ok("user:7"));
    assert!(read("general").is_err_and(|told| told.contains("channel:ID")));
}

proptest! {
    #[test]
    fn no_frame_is_a_panic(op in 0u64..14, text in "[a-zA-Z_]{0,12}", number in any::<i32>()) {
        let token = token();
        let mut session = Session::new(&token, me(), None, START);
        for data in [json!(number), json!(text), json!({ "id": number }), json!([text]), Value::Null] {
            let frame = json!({ "op": op, "t": text, "s": number, "d": data });
            session.frame(frame, START, 0.5);
            inbound(data.clone(), ME);
            Places::default().event("GUILD_CREATE", &json!({ "channels": data }));
        }
    }
}

#[test]
fn a_poll_has_the_form_that_the_platform_takes() {
    let mut asked = crate::channel::Poll {
        question: "Tea?".into(),
        options: vec!["yes".into(), "no".into()],
        most: 2,
        seconds: Some(3_601),
        anonymous: true,
        silent: true,
    };
    let body = acts::poll(&asked).unwrap();
    assert_eq!(body["poll"]["question"]["text"], "Tea?");
    assert_eq!(body["poll"]["answers"][1]["poll_media"]["text"], "no");
    assert_eq!(
        (
            &body["poll"]["duration"],
            &body["poll"]["allow_multiselect"]
        ),
        (&json!(2), &json!(true))
    );
    assert_eq!(body["flags"], 4_096);
    asked.options.push("x".repeat(56));
    assert!(matches!(acts::poll(&asked), Err(SendFailure::Refused(why)) if why.contains("55")));
}

#[test]
fn a_quiet_day_is_heartbeats_and_nothing_else() {
    let token = token();
    let mut session = Session::new(&token, me(), None, START);
    session.frame(hello(), START, 0.5);
    session.frame(ready(1), START, 0.5);
    let (mut now, mut beats) = (START, 0);
    while now < Duration::from_hours(24) {
        let wake = session.wake();
        assert!(wake > now, "it wakes for nothing at {now:?}");
        now = wake;
        let effects = session.tick(now);
        assert_eq!(sent(&effects), [1], "at {now:?}: {effects:?}");
        beats += 1;
        // Late, but within its time.
        let answered = session.frame(json!({ "op": 11 }), now + secs(39), 0.5);
        assert_eq!(answered, []);
    }
    // One each 40 seconds.
    assert_eq!(beats, 24 * 60 * 60 / 40 + 1);
    assert_eq!(
        session.mark().map(|mark| mark.session).as_deref(),
        Some("s2")
    );
}
