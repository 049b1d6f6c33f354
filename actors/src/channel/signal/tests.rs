//! Messages in both directions.

use serde_json::{Value, json};

use super::translate::{Heard, Me, file_params, heard, message_of, outbound};
use super::*;
use crate::channel::files::Upload;
use crate::channel::{ChatKind, Inbound};

const ANN: &str = "+447700900123";
const ANN_ID: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
const US: &str = "+447700900001";

fn me() -> Me {
    Me {
        number: US.into(),
        uuid: Some("11111111-1111-4111-8111-111111111111".into()),
    }
}

fn envelope(data: &Value) -> Value {
    json!({ "account": US, "envelope": {
        "source": ANN, "sourceNumber": ANN, "sourceUuid": ANN_ID.to_uppercase(), "sourceName": "Ann",
        "sourceDevice": 1, "timestamp": 1_795_406_400_000_u64, "dataMessage": data } })
}

fn read(data: &Value) -> Option<Inbound> {
    match heard(&envelope(data).to_string(), &me(), &BTreeSet::new()) {
        Heard::Message(message) => Some(*message),
        _ => None,
    }
}

#[test]
fn messages_are_read_and_say_whether_they_are_meant_for_us() {
    let direct =
        read(&json!({ "timestamp": 1_795_406_400_000_u64, "message": " hello " })).unwrap();
    assert_eq!((direct.kind, direct.mentioned), (ChatKind::Direct, true));
    assert_eq!(
        (direct.sender.id.as_str(), direct.chat.chat.as_str()),
        (ANN, ANN)
    );
    assert_eq!(
        direct.message_id.as_deref(),
        Some("1795406400000:+447700900123")
    );
    assert_eq!(direct.text, "hello");

    let group =
        json!({ "groupId": "5M1NlYCcJ9lfhyOa0b5YrQ==", "groupName": "Home", "type": "DELIVER" });
    let plain = read(&json!({ "timestamp": 1, "message": "hi", "groupInfo": group })).unwrap();
    assert_eq!((plain.kind, plain.mentioned), (ChatKind::Group, false));
    assert_eq!(plain.chat.chat, "5M1NlYCcJ9lfhyOa0b5YrQ==");
    let named = read(&json!({ "timestamp": 1, "message": "\u{fffc} ask \u{fffc}", "groupInfo": group,
        "mentions": [{ "name": US, "uuid": "11111111-1111-4111-8111-111111111111", "start": 0, "length": 1 },
            { "name": "Bob", "number": "+447700900124", "uuid": ANN_ID, "start": 6, "length": 1 }] }))
    .unwrap();
    assert_eq!((named.mentioned, named.text.as_str()), (true, "ask @Bob"));
    let answer = read(
        &json!({ "timestamp": 1, "message": "yes", "groupInfo": group,
        "quote": { "id": 9, "authorNumber": US, "text": "Are you there?" } }),
    )
    .unwrap();
    assert!(answer.mentioned && answer.quote.unwrap().by == "you");
}

#[test]
fn people_are_named_where_they_stand_and_what_cannot_be_read_hides_no_words() {
    // They come in any order; a sign in between is nobody.
    let named = read(
        &json!({ "timestamp": 1, "message": "🙂 \u{fffc} and \u{fffc}, \u{fffc}",
        "mentions": [{ "name": "Bob", "start": 9, "length": 1 }, { "name": "Cy", "start": 3, "length": 1 }] }),
    );
    assert_eq!(named.unwrap().text, "🙂 @Cy and @Bob, \u{fffc}");
    let odd = json!({ "timestamp": 1, "message": "hi", "mentions": null,
        "attachments": [{ "id": "a.png", "contentType": "image/png", "voiceNote": null }, { "id": 7 }, null] });
    let odd = read(&odd).unwrap();
    assert_eq!((odd.text.as_str(), odd.files.len()), ("hi", 1));
    let none = read(&json!({ "timestamp": 1, "message": "hi", "attachments": {} }));
    assert_eq!(none.unwrap().files.len(), 0);
}

#[test]
fn somebody_named_by_their_id_is_known_by_it() {
    let named = BTreeSet::from([format!("uuid:{ANN_ID}")]);
    let text = envelope(&json!({ "timestamp": 1, "message": "hi" })).to_string();
    let Heard::Message(message) = heard(&text, &me(), &named) else {
        panic!("it is a message")
    };
    assert_eq!(message.sender.id, format!("uuid:{ANN_ID}"));
    let hidden = json!({ "envelope": { "sourceUuid": ANN_ID, "timestamp": 1, "dataMessage": { "message": "hi" } } });
    let Heard::Message(message) = heard(&hidden.to_string(), &me(), &BTreeSet::new()) else {
        panic!("a number is not needed")
    };
    assert_eq!(message.chat.chat, format!("uuid:{ANN_ID}"));
}

#[test]
fn what_is_no_message_of_somebody_else_is_not_answered() {
    let nothing = |event: &Value| heard(&event.to_string(), &me(), &BTreeSet::new());
    for data in [
        json!({ "timestamp": 1, "message": null }),
        json!({ "timestamp": 1, "reaction": { "emoji": "👍", "targetAuthor": US, "targetSentTimestamp": 1, "isRemove": false } }),
        json!({ "timestamp": 1, "remoteDelete": { "timestamp": 1 } }),
    ] {
        assert_eq!(nothing(&envelope(&data)), Heard::Nothing, "{data}");
    }
    let mut ours = envelope(&json!({ "timestamp": 1, "message": "hi" }));
    ours["envelope"]["sourceNumber"] = US.into();
    assert_eq!(nothing(&ours), Heard::Nothing);
    for kind in ["receiptMessage", "typingMessage", "syncMessage"] {
        let event = json!({ "envelope": { "source": ANN, "timestamp": 1, kind: {} } });
        assert_eq!(nothing(&event), Heard::Nothing, "{kind}");
    }
}

#[test]
fn one_that_nobody_can_read_says_why_and_is_no_message() {
    let unreadable = |text: &str| match heard(text, &me(), &BTreeSet::new()) {
        Heard::Unreadable(why) => why,
        other => panic!("{other:?}"),
    };
    unreadable("{half");
    unreadable("[]");
    unreadable(r#"{"envelope":{"timestamp":"soon"}}"#);
    let why = unreadable(
        r#"{"envelope":{"source":"+447700900123","timestamp":1},"exception":{"message":"secret","type":"NullPointerException"}}"#,
    );
    assert!(why.contains("NullPointerException"), "{why}");
}

#[test]
fn files_are_asked_for_where_they_came_from() {
    let file =
        json!({ "contentType": "image/png", "filename": "a b.png", "id": "x7.png", "size": 12 });
    let direct =
        read(&json!({ "timestamp": 1, "message": "", "attachments": [file, { "size": 1 }] }))
            .unwrap();
    assert_eq!(direct.files.len(), 1);
    let params = file_params(&direct.files[0].id).unwrap();
    assert_eq!(params, json!({ "id": "x7.png", "recipient": ANN }));
    let group =
        json!({ "timestamp": 1, "attachments": [file], "groupInfo": { "groupId": "abc=" } });
    let params = file_params(&read(&group).unwrap().files[0].id).unwrap();
    assert_eq!(params, json!({ "id": "x7.png", "groupId": "abc=" }));
}

#[test]
fn places_are_written_in_many_ways() {
    for (written, is) in [
        ("signal:+44 7700-900123", Some(ANN)),
        ("+447700900123", Some(ANN)),
        (ANN_ID, Some("uuid:3fa85f64-5717-4562-b3fc-2c963f66afa6")),
        (
            "uuid:3FA85F64-5717-4562-B3FC-2C963F66AFA6",
            Some("uuid:3fa85f64-5717-4562-b3fc-2c963f66afa6"),
        ),
        (
            "signal:group:+M1NlYCcJ9lfhyOa0b5YrQ==",
            Some("+M1NlYCcJ9lfhyOa0b5YrQ=="),
        ),
        ("username:ann.01", Some("username:ann.01")),
        ("ann", None),
        ("447700900123", None),
        ("uuid:ann", None),
    ] {
        assert_eq!(place(written).as_deref(), is, "{written}");
    }
}

#[test]
fn messages_go_to_people_groups_and_names() {
    let to = |chat: &str| Target {
        chat: chat.into(),
        thread: None,
    };
    let piece = Piece {
        to: to(ANN),
        text: "**yes**".into(),
        reply_to: Some(format!("17:uuid:{ANN_ID}")),
        silent: false,
        edits: None,
        file: None,
    };
    let body = outbound(&piece, &me());
    let expected = json!({ "recipient": [ANN], "message": "yes", "textStyle": ["0:3:BOLD"],
        "quoteTimestamp": 17, "quoteAuthor": ANN_ID });
    assert_eq!(body, expected);
    let with_file = Piece {
        file: Some(Upload {
            name: "a cat;x=1.png".into(),
            mime: "image/png".into(),
            style: None,
            bytes: "cat".into(),
        }),
        ..piece.clone()
    };
    assert_eq!(
        outbound(&with_file, &me())["attachments"],
        json!(["data:image/png;filename=a%20cat%3bx%3d1.png;base64,Y2F0"])
    );
    let group = to("5M1NlYCcJ9lfhyOa0b5YrQ==");
    assert_eq!(
        translate::recipient(&group),
        json!({ "groupId": "5M1NlYCcJ9lfhyOa0b5YrQ==" })
    );
    assert_eq!(
        translate::recipient(&to("username:ann.01")),
        json!({ "username": ["ann.01"] })
    );
    // A bare time is the other one's in a direct chat, unless we wrote it.
    assert_eq!(message_of("17", &to(ANN), &me()), Some((17, ANN.into())));
    let react = |message: &str, ours: u64| {
        let act = Act::React {
            message: message.into(),
            emoji: Some("🎉".into()),
        };
        acts::request(&to(ANN), &act, &me(), |at| at == ours).map(|(_, params)| params)
    };
    assert_eq!(react("17", 0).unwrap()["targetAuthor"], ANN);
    assert_eq!(react("17", 17).unwrap()["targetAuthor"], US);
    assert!(react("soon", 0).is_err());
}
