//! Translation in both directions.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::format::html;
use super::translate::{Me, inbound, outbound};
use super::*;
use crate::channel::{ChatKind, Inbound};

fn me() -> Me {
    let user = json!({ "id": 42, "is_bot": true, "username": "Helper_bot" });
    Me::of(&serde_json::from_value(user).unwrap())
}

fn read(message: impl Into<Value>) -> Option<Inbound> {
    let message = message.into();
    let update = json!({ "update_id": 9, "message": message });
    inbound(serde_json::from_value(update).unwrap(), &me())
}

fn group(text: &str, entities: impl Into<Value>) -> Value {
    let entities = entities.into();
    json!({ "message_id": 5, "date": 7, "text": text, "entities": entities,
        "from": { "id": 1, "first_name": "Ann", "last_name": "B", "username": "ann" },
        "chat": { "id": -100, "type": "supergroup", "title": "All" } })
}

#[test]
fn a_direct_message_is_read() {
    let message = read(json!({ "message_id": 5, "date": 7, "text": "hi",
        "from": { "id": 1, "first_name": "Ann" }, "chat": { "id": 1, "type": "private" } }));
    let message = message.unwrap();
    assert_eq!((message.id.as_str(), message.at), ("9", 7_000));
    assert_eq!((message.kind, message.mentioned), (ChatKind::Direct, true));
    assert_eq!(message.sender.label(), "Ann");
}

#[test]
fn a_group_message_says_whether_it_is_meant_for_us() {
    assert!(!read(group("hi", json!([]))).unwrap().mentioned);
    // The emoji is two units long, and entities count units.
    let named = json!([{ "type": "mention", "offset": 3, "length": 11 }]);
    assert!(read(group("😀 @helper_bot hi", named)).unwrap().mentioned);
    let other = json!([{ "type": "mention", "offset": 0, "length": 10 }]);
    assert!(!read(group("@other_bot hi", other)).unwrap().mentioned);
    let command = json!([{ "type": "bot_command", "offset": 0, "length": 18 }]);
    let command = read(group("/status@helper_bot now", command)).unwrap();
    assert!(command.mentioned);
    assert_eq!(command.text, "/status now");
    let mut answer = group("yes", json!([]));
    answer["reply_to_message"] =
        json!({ "message_id": 4, "from": { "id": 42, "is_bot": true }, "chat": { "id": -100 } });
    assert!(read(answer).unwrap().mentioned);
}

#[test]
fn files_and_what_is_answered_come_with_a_message() {
    let size = |id: &str, bytes: u64| json!({ "file_id": id, "file_size": bytes });
    let mut photo = group("", json!([]));
    photo["text"] = Value::Null;
    photo["photo"] = json!([size("small", 10), size("large", 900), size("middle", 90)]);
    photo["reply_to_message"] = group(&"long ".repeat(200), json!([]));
    let message = read(photo).unwrap();
    assert_eq!((message.text.as_str(), message.files.len()), ("", 1));
    let file = &message.files[0];
    assert_eq!((file.id.as_str(), file.what.as_str()), ("large", "photo"));
    assert_eq!(file.mime.as_deref(), Some("image/jpeg"));
    let quote = message.quote.unwrap();
    assert_eq!(quote.by, "Ann B");
    assert!(quote.text.ends_with('…') && quote.text.chars().count() == 501);
    // What begins a topic is answered by nobody.
    let mut topic = group("hi", json!([]));
    topic["is_topic_message"] = true.into();
    topic["message_thread_id"] = 5.into();
    topic["reply_to_message"] = group("All things tea", json!([]));
    assert_eq!(read(topic).unwrap().quote, None);
}

#[test]
fn bots_and_channels_are_not_heard_and_topics_are_kept() {
    let mut bot = group("hi", json!([]));
    bot["from"]["is_bot"] = true.into();
    assert_eq!(read(bot), None);
    let mut post = group("hi", json!([]));
    post["chat"]["type"] = "channel".into();
    assert_eq!(read(post), None);
    let mut topic = group("hi", json!([]));
    topic["message_thread_id"] = 8.into();
    topic["is_topic_message"] = true.into();
    assert_eq!(read(topic).unwrap().chat.to_string(), "-100:topic:8");
}

#[test]
fn the_general_topic_is_not_named() {
    let piece = |thread: Option<&str>| Piece {
        to: Target {
            chat: "-100".into(),
            thread: thread.map(str::to_owned),
        },
        text: "a < b".into(),
        reply_to: Some("3".into()),
        silent: true,
        edits: None,
        file: None,
    };
    let body = outbound(&piece(Some("1")), Some("a &lt; b"));
    assert_eq!(
        body,
        json!({ "chat_id": -100, "text": "a &lt; b", "parse_mode": "HTML", "disable_notification": true,
            "reply_parameters": { "message_id": 3, "allow_sending_without_reply": true } })
    );
    assert_eq!(outbound(&piece(Some("8")), None)["message_thread_id"], 8);
}

#[test]
fn a_recipient_is_read_as_people_write_it() {
    let setup = TelegramSetup::new("1:a".to_owned().into(), API_ROOT);
    let read = |written| setup.target(written).map(|target| target.to_string());
    assert_eq!(read("telegram:-100:topic:8").unwrap(), "-100:topic:8");
    assert_eq!(read("@news").unwrap(), "@news");
    assert!(read("Ann").is_err_and(|told| told.contains("chat id")));
}

#[test]
fn only_what_was_refused_before_it_happened_is_tried_again() {
    let answered = |code| ApiError::Answered {
        code,
        description: "no".into(),
        retry_after: Some(7),
    };
    let again = |error: ApiError| matches!(error.of_send(), SendFailure::NotSent(_));
    assert!(again(answered(429)) && again(ApiError::NotSent("refused".into())));
    assert!(matches!(answered(502).of_send(), SendFailure::Unknown(_)));
    assert!(matches!(
        ApiError::Lost(String::new()).of_send(),
        SendFailure::Unknown(_)
    ));
    assert!(matches!(answered(403).of_send(), SendFailure::Refused(_)));
    assert!(matches!(
        ChannelError::from(answered(401)),
        ChannelError::Auth(_)
    ));
    assert!(matches!(
        ChannelError::from(answered(409)),
        ChannelError::Conflict(_)
    ));
}

#[test]
fn markdown_becomes_telegrams_html() {
    for (markdown, expected) in [
        (
            "**bold** and *it* and `a<b`",
            "<b>bold</b> and <i>it</i> and <code>a&lt;b</code>",
        ),
        ("# Title\n- one\n- two", "<b>Title</b>\n• one\n• two"),
        (
            "```rust\nlet a = &b;\n```",
            "<pre><code class=\"language-rust\">let a = &amp;b;</code></pre>",
        ),
        (
            "[a](https://x.y/?a=1&b=2)",
            "<a href=\"https://x.y/?a=1&amp;b=2\">a</a>",
        ),
        ("[a](javascript:x)", "[a](javascript:x)"),
        (
            "2 * 3 * 4 and snake_case_name",
            "2 * 3 * 4 and snake_case_name",
        ),
        ("> a\n> b\nc", "<blockquote>a\nb</blockquote>\nc"),
        ("~~no~~ \\*yes\\*", "<s>no</s> *yes*"),
        ("**a *b* c**", "<b>a <i>b</i> c</b>"),
        ("**open", "**open"),
    ] {
        assert_eq!(html(markdown), expected, "{markdown}");
    }
}

/// Whether every tag is closed in order, and nothing else looks like one.
fn is_balanced(html: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let Some(end) = rest[at..].find('>') else {
            return false;
        };
        let tag = &rest[at + 1..at + end];
        match tag.strip_prefix('/') {
            Some(name) => {
                if open.pop() != Some(name) {
                    return false;
                }
            }
            None => open.push(tag.split(' ').next().unwrap_or_default()),
        }
        rest = &rest[at + end + 1..];
    }
    open.is_empty()
}

proptest! {
    #[test]
    fn tags_are_always_closed(text in "[ab*_~`\\[\\]()<>&#|\\\\\n -]{0,80}") {
        let html = html(&text);
        prop_assert!(is_balanced(&html), "{html}");
    }
}

#[test]
fn a_file_goes_as_what_it_is() {
    use super::uploads::method;
    use crate::channel::files::{Style, Upload};
    let file = |mime: &str, style| Upload {
        name: "a".into(),
        mime: mime.into(),
        style,
        bytes: bytes::Bytes::from_static(b"x"),
    };
    let name = |mime, style| method(&file(mime, style)).0;
    assert_eq!(name("image/png", None), "sendPhoto");
    assert_eq!(name("image/png", Some(Style::Document)), "sendDocument");
    assert_eq!(name("image/gif", None), "sendAnimation");
    assert_eq!(name("audio/ogg", Some(Style::Voice)), "sendVoice");
    assert_eq!(name("audio/ogg", None), "sendDocument");
    assert_eq!(name("application/pdf", None), "sendDocument");
}
