//! Messages in both directions.

use std::path::Path;

use serde_json::{Value, json};

use super::files::is_below;
use super::translate::{self, Message};
use super::*;
use crate::channel::{ChatKind, Inbound};

fn read(more: &Value) -> Option<Inbound> {
    let mut message = json!({ "id": 7, "cursor": 7, "chat_id": 42, "chat_identifier": "+447700900123",
        "chat_guid": "iMessage;-;+447700900123", "chat_name": "", "participants": ["+447700900123"],
        "is_group": false, "guid": "A-1", "sender": "+44 7700 900123", "sender_name": "Ann", "is_from_me": false,
        "text": "hello", "created_at": "2026-11-23T04:00:00Z", "attachments": [] });
    for (key, value) in more.as_object().into_iter().flatten() {
        message[key] = value.clone();
    }
    let groups = BTreeSet::from(["43".to_owned()]);
    Message::read(&message).ok()?.inbound(&groups, true, false)
}

#[test]
fn messages_are_read_and_say_whether_they_are_meant_for_us() {
    let direct = read(&json!({})).unwrap();
    assert_eq!((direct.kind, direct.mentioned), (ChatKind::Direct, true));
    assert_eq!(
        (direct.sender.id.as_str(), direct.chat.chat.as_str()),
        ("+447700900123", "+447700900123")
    );
    assert_eq!((direct.id.as_str(), direct.at), ("A-1", 1_795_406_400_000));
    let group = read(&json!({ "is_group": true, "chat_name": "Home" })).unwrap();
    assert_eq!((group.kind, group.mentioned), (ChatKind::Group, false));
    assert_eq!(
        (group.chat.chat.as_str(), group.title.as_deref()),
        ("42", Some("Home"))
    );
    let kind = |id: u64| read(&json!({ "chat_id": id })).unwrap().kind;
    assert_eq!((kind(43), kind(44)), (ChatKind::Group, ChatKind::Direct));
    // A number without a country is no chat's: it is answered in the chat that it came from.
    let short = read(&json!({ "sender": "262966", "chat_identifier": "262966" })).unwrap();
    assert_eq!(
        (short.sender.id.as_str(), short.chat.chat.as_str()),
        ("262966", "42")
    );
    let file = json!({ "path": "/Users/bot/Library/Messages/Attachments/a/b.png", "mime_type": "image/png",
        "transfer_name": "b.png", "byte_size": 5, "missing": false, "is_sticker": false });
    let gone = json!({ "path": "/x", "missing": true });
    let files = read(&json!({ "text": "\u{fffc}", "attachments": [file, gone] })).unwrap();
    assert_eq!((files.text.as_str(), files.files.len()), ("", 1));
    assert_eq!(files.files[0].what, "picture");
}

#[test]
fn what_is_no_message_of_somebody_is_not_answered() {
    for nothing in [
        json!({ "is_reaction": true, "reaction_type": "like" }),
        json!({ "sender": "" }),
        json!({ "text": " " }),
        json!({ "poll": { "kind": "vote" } }),
        json!({ "chat_id": "42" }),
    ] {
        assert_eq!(read(&nothing), None, "{nothing}");
    }
}

#[test]
fn places_are_written_in_many_ways() {
    for (written, is) in [
        ("imessage:+44 7700-900123", Some("+447700900123")),
        ("sms:+447700900123", Some("+447700900123")),
        ("Ann@Example.org", Some("ann@example.org")),
        ("chat_id:42", Some("42")),
        ("42", Some("42")),
        (
            "chat_guid:iMessage;+;chat9",
            Some("chat_guid:iMessage;+;chat9"),
        ),
        ("ann", None),
        ("chat_id:x", None),
        ("ann@home", None),
    ] {
        assert_eq!(place(written).as_deref(), is, "{written}");
    }
    let to = |chat: &str| Target {
        chat: chat.into(),
        thread: None,
    };
    let params = |chat: &str| translate::recipient(&to(chat), Some("auto"), None);
    assert_eq!(
        params("+447700900123"),
        json!({ "to": "+447700900123", "service": "auto" })
    );
    assert_eq!(params("42"), json!({ "chat_id": 42 }));
    assert_eq!(params("chat_guid:a;b"), json!({ "chat_guid": "a;b" }));
    assert_eq!(
        translate::chat(&to("ann@example.org")),
        json!({ "chat_identifier": "ann@example.org" })
    );
}

#[test]
fn files_lie_where_messages_keeps_them() {
    let below = |path: &str| is_below(Path::new(path), "/Users/*/Library/Messages/Attachments");
    assert!(below("/Users/bot/Library/Messages/Attachments/a/b.png"));
    assert!(!below("/Users/bot/Library/Messages/chat.db"));
    assert!(!below(
        "/Users/bot/Library/Messages/Attachments/../../../.ssh/id"
    ));
    assert!(!below("/Users/a/b/Library/Messages/Attachments/c"));
    assert_eq!(child::quoted("a'b $c"), r"'a'\''b $c'");
}

#[test]
fn a_cursor_is_of_one_database() {
    let text = cursor_text("/a/chat.db", 9);
    assert_eq!(cursor_row(&text, "/a/chat.db"), Some(9));
    assert_eq!(cursor_row(&text, "/b/chat.db"), None);
    assert_eq!(cursor_row("9", "/a/chat.db"), None);
}

#[test]
fn everything_that_is_used_is_on_the_page_of_the_protocol() {
    let table = include_str!("../../../../fixtures/imsg/protocol.json");
    let table: Value = serde_json::from_str(table).unwrap();
    for method in protocol::METHODS {
        assert!(table["methods"][method]["section"].is_string(), "{method}");
    }
    for name in protocol::NOTIFICATIONS {
        assert!(
            table["notifications"][name]["section"].is_string(),
            "{name}"
        );
    }
    for code in protocol::ERRORS {
        assert!(
            table["errors"][code.to_string()]["section"].is_string(),
            "{code}"
        );
    }
    // Params of requests are of the table, too.
    for (method, params) in [
        (protocol::AFTER, protocol::page(1)),
        (protocol::SUBSCRIBE, protocol::watch(1)),
    ] {
        for key in params.as_object().unwrap().keys() {
            assert!(
                table["methods"][method]["params"][key].is_string(),
                "{method}: {key}"
            );
        }
    }
}
