//! Messages in both directions, and signed requests.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::events::{checked, hmac};
use super::format::mrkdwn;
use super::translate::{inbound, is_ours, outbound};
use super::*;
use crate::channel::hooks::Answer;
use crate::channel::{ChatKind, Inbound, hex};

fn me() -> Me {
    Me::of(&json!({ "user_id": "UBOT", "user": "helper", "bot_id": "B1", "team_id": "T1" }))
}

fn read(more: &Value) -> Option<Inbound> {
    let mut event = json!({ "type": "message", "channel": "C1", "channel_type": "channel",
        "user": "UANN", "text": "hello", "ts": "1795406400.000200" });
    for (key, value) in more.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    inbound(
        &json!({ "type": "event_callback", "team_id": "T1", "event": event }),
        &me(),
    )
}

#[test]
fn messages_are_read_and_say_whether_they_are_meant_for_us() {
    let direct = read(&json!({ "channel": "D1", "channel_type": "im" })).unwrap();
    assert_eq!(
        (direct.kind, direct.mentioned, direct.at),
        (ChatKind::Direct, true, 1_795_406_400_000)
    );
    let group = read(&json!({})).unwrap();
    assert_eq!(
        (group.kind, group.mentioned, group.space.as_deref()),
        (ChatKind::Group, false, Some("T1"))
    );
    let text = "<@UBOT> see <https://a.b|this> &amp; ask <@UBOB|bob> in <#C2|general> <!here>";
    let named = read(&json!({ "text": text })).unwrap();
    assert!(named.mentioned);
    assert_eq!(
        named.text,
        "see https://a.b (this) & ask @bob in #general @here"
    );
    let again =
        read(&json!({ "type": "app_mention", "text": text, "channel_type": Value::Null })).unwrap();
    assert_eq!(
        (again.id, again.mentioned),
        (named.id, true),
        "the same message"
    );
    let thread = read(&json!({ "thread_ts": "1.5", "parent_user_id": "UBOT" })).unwrap();
    assert!(thread.mentioned && thread.chat.thread.as_deref() == Some("1.5"));
    let parent = read(&json!({ "thread_ts": "1795406400.000200" })).unwrap();
    assert_eq!(parent.chat.thread, None);
    let file = read(
        &json!({ "subtype": "file_share", "text": "", "files": [{ "name": "a.png", "mimetype": "image/png",
            "url_private": "https://files.slack.com/a.png" }] }),
    );
    let file = file.unwrap();
    assert_eq!(
        (file.text.as_str(), file.files[0].what.as_str()),
        ("", "picture")
    );
    for none in [
        json!({ "bot_id": "B9" }),
        json!({ "user": "UBOT" }),
        json!({ "subtype": "message_changed" }),
        json!({ "subtype": "channel_join" }),
        json!({ "type": "reaction_added" }),
        json!({ "text": "" }),
        json!({ "user": Value::Null }),
        json!({ "ts": 5 }),
    ] {
        assert_eq!(read(&none), None, "{none}");
    }
}

#[test]
fn markdown_becomes_mrkdwn() {
    let text = "# Title\n**bold** *weak* ~~gone~~ `a<b` [this](https://a.b?x=1&y=2) <!here>\n> quoted\n```sh\nif a && b\n```\n- point";
    assert_eq!(
        mrkdwn(text),
        "*Title*\n*bold* _weak_ ~gone~ `a&lt;b` <https://a.b?x=1&amp;y=2|this> &lt;!here&gt;\n> quoted\n```\nif a &amp;&amp; b\n```\n• point"
    );
    let piece = Piece {
        to: Target {
            chat: "C1".into(),
            thread: Some("1.5".into()),
        },
        text: "hi".into(),
        reply_to: Some("2.5".into()),
        silent: false,
        edits: None,
        file: None,
    };
    let body = outbound(&piece, "C1");
    assert_eq!(
        (&body["thread_ts"], &body["channel"]),
        (&json!("1.5"), &json!("C1"))
    );
}

#[test]
fn only_signed_requests_are_heard() {
    let secret: SecretString = "8f742231b10e8888abcd99yyyzzz85a5".to_owned().into();
    let body: &[u8] = br#"{"type":"event_callback"}"#;
    let signed = |stamp: &str, secret: &str| {
        let text = [format!("v0:{stamp}:").as_bytes(), body].concat();
        let mark = format!("v0={}", hex(&hmac(secret.as_bytes(), &text)));
        BTreeMap::from([
            ("x-slack-request-timestamp".to_owned(), stamp.to_owned()),
            ("x-slack-signature".to_owned(), mark),
        ])
    };
    let good = signed("1000", secret.expose_secret());
    assert!(checked(&good, body, &secret, 1_200).is_ok());
    assert_eq!(
        checked(&good, b"{}", &secret, 1_200).unwrap_err().status,
        401
    );
    assert_eq!(
        checked(&good, body, &secret, 1_400).unwrap_err().body,
        "too old"
    );
    assert_eq!(
        checked(&signed("1000", "other"), body, &secret, 1_000)
            .unwrap_err()
            .status,
        401
    );
    assert_eq!(
        checked(&BTreeMap::new(), body, &secret, 1_000)
            .unwrap_err()
            .status,
        401
    );
    // RFC 4231, test cases 2 and 6.
    assert_eq!(
        hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert_eq!(
        hex(&hmac(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First"
        )),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    );
}

#[test]
fn only_slack_is_shown_the_token() {
    let serves = |address| api::serves("http://127.0.0.1:9/api", address);
    for ours in [
        "https://files.slack.com/files-pri/T1-F1/a.png",
        "https://slack.com/a",
        "http://127.0.0.1:9/files/a",
    ] {
        assert!(serves(ours), "{ours}");
    }
    for other in [
        "http://files.slack.com/a",
        "https://slack.com.evil.example/a",
        "https://evilslack.com/a",
        "https://slack.com@evil.example/a",
        "http://127.0.0.1:10/a",
        "",
    ] {
        assert!(!serves(other), "{other}");
    }
}

#[test]
fn what_the_app_may_not_do_in_one_place_is_no_word_about_its_token() {
    let lacking = || ApiError::Lacking("missing_scope: im:write".into());
    let SendFailure::Refused(why) = lacking().of_send() else {
        panic!("it would be tried again for ever, and hold all others")
    };
    assert!(why.contains("im:write") && why.contains("OAuth"), "{why}");
    assert!(matches!(lacking().class("botToken"), ChannelError::Auth(_)));
    let revoked = ApiError::Refused("token_revoked".into());
    assert!(matches!(
        revoked.of_send(),
        SendFailure::NotSent(ChannelError::Auth(_))
    ));
}

#[test]
fn callbacks_belong_to_the_accounts_of_their_workspaces() {
    let ours = |callback: Value| is_ours(&callback, &me());
    assert!(ours(json!({ "team_id": "T1" })) && ours(json!({})));
    assert!(!ours(json!({ "team_id": "T2" })));
    // A channel that two workspaces share.
    let shared = json!({ "team_id": "T2", "authorizations": [{ "team_id": "T1" }] });
    assert!(ours(shared));
    let all = json!([{ "team_id": "T9", "is_enterprise_install": true }]);
    assert!(ours(json!({ "team_id": "T9", "authorizations": all })));
}

#[actix::test]
async fn what_came_over_another_accounts_socket_is_passed_on_to_whom_it_is_for() {
    let (hooks, token) = (
        Arc::new(Hooks::default()),
        "xapp-1-A1-2-x".to_owned().into(),
    );
    let mut other = hooks.open(&socket::place(&token, "T2"));
    let mut another_app = hooks.open(&socket::place(&"xapp-1-A2-2-x".to_owned().into(), "T2"));
    let callback = json!({ "team_id": "T2", "event": { "text": "hi" } });
    let taking = async {
        let request = other.next().await.expect("it comes");
        let told: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(told["event"]["text"], "hi");
        request.answer.send(Answer::of(200, "")).unwrap();
    };
    let (taken, ()) = tokio::join!(socket::pass_on(&hooks, &token, &callback), taking);
    assert!(taken);
    let nobody = json!({ "team_id": "T3" });
    assert!(!socket::pass_on(&hooks, &token, &nobody).await);
    assert!(another_app.next().now_or_never().is_none());
}

#[test]
fn places_are_read_as_people_write_them() {
    let setup = SlackSetup {
        bot_token: "xoxb-1".to_owned().into(),
        way: Way::Socket {
            app_token: "xapp-1".to_owned().into(),
        },
        drafts: false,
        api_root: API_ROOT.into(),
        timing: Timing::default(),
    };
    let read = |text: &str| {
        setup
            .target(text)
            .map(|target| (target.chat, target.thread))
    };
    assert_eq!(read("channel:C123"), Ok(("C123".into(), None)));
    assert_eq!(
        read("slack:C123:thread:1.5"),
        Ok(("C123".into(), Some("1.5".into())))
    );
    // As it is shown.
    assert_eq!(
        read("C123:topic:1.5"),
        Ok(("C123".into(), Some("1.5".into())))
    );
    assert!(read("C123:topic:x").is_err());
    assert_eq!(read("<@U123>"), Ok(("user:U123".into(), None)));
    assert!(read("#general").is_err_and(|told| told.contains("channel:C")));
}

proptest! {
    #[test]
    fn nothing_that_people_write_is_a_panic(text in "[<>@#!|a-z&; ä😀*`]{0,80}") {
        read(&json!({ "text": text }));
        let out = mrkdwn(&text);
        // What calls somebody is never ours.
        prop_assert!(!out.contains("<!") && !out.contains("<@"));
    }
}

#[test]
fn emoji_are_named_as_the_platform_names_them() {
    use super::acts::name;
    assert_eq!(name("👍").as_deref(), Ok("+1"));
    assert_eq!(name(":party_parrot:").as_deref(), Ok("party_parrot"));
    assert!(name("🦄🦄").is_err() && name("A b").is_err());
}
