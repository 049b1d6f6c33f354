//! Translation, on what WhatsApp's clients write.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::Job;
use super::lock::{Locks, Owner};
use super::run::meanwhile;
use super::session::forget;
use super::translate::{Me, act, inbound, jid, key, outbound, place, target};
use super::wire::{Identity, Message};
use crate::channel::{Act, ChannelError, ChatKind, Inbound, Piece, SendFailure, Target};

const NOW: i64 = 1_800_000_000_000;

fn me() -> Me {
    Me::of(&Identity {
        id: Some("15550009999:7@s.whatsapp.net".into()),
        lid: Some("777000111@lid".into()),
        name: Some("Home".into()),
    })
}

fn message(chat: &str, sender: &str, content: Value) -> Message {
    Message {
        id: "3EB0AA".into(),
        chat: chat.into(),
        sender: sender.into(),
        participant: chat.ends_with("@g.us").then(|| sender.to_owned()),
        name: Some("Ann".into()),
        at: NOW - 1_000,
        content,
        ..Message::default()
    }
}

fn read(message: &Message) -> Option<Inbound> {
    inbound(message, &me(), false, NOW, |_| false)
}

const ANN: &str = "15550001111@s.whatsapp.net";
const ROOM: &str = "120363012345678901@g.us";

#[test]
fn a_direct_message_is_one_of_a_number() {
    let said = read(&message(ANN, ANN, json!({ "conversation": " hello " }))).unwrap();
    assert_eq!((said.text.as_str(), said.kind), ("hello", ChatKind::Direct));
    assert_eq!(
        (said.sender.id.as_str(), said.chat.chat.as_str()),
        ("+15550001111", "+15550001111")
    );
    assert_eq!(said.message_id.as_deref(), Some("3EB0AA"));
    assert_eq!(me().words(), "+15550009999 (Home), device 7");
    // A number that is hidden is nobody's number.
    let hidden = read(&message(
        "999@lid",
        "999@lid",
        json!({ "conversation": "x" }),
    ))
    .unwrap();
    assert_eq!(hidden.sender.id, "lid:999");
}

#[test]
fn groups_count_names_mentions_and_answers() {
    let plain = read(&message(ROOM, ANN, json!({ "conversation": "all of you" }))).unwrap();
    assert_eq!((plain.kind, plain.mentioned), (ChatKind::Group, false));
    assert_eq!(plain.chat.chat, ROOM);
    let named = |content| read(&message(ROOM, ANN, content)).unwrap();
    let by_number = json!({ "extendedTextMessage": { "text": "@15550009999 you", "contextInfo": { "mentionedJid": ["15550009999@s.whatsapp.net"] } } });
    assert!(named(by_number).mentioned);
    let by_hidden = json!({ "extendedTextMessage": { "text": "@777000111 you", "contextInfo": { "mentionedJid": ["777000111@lid"] } } });
    assert!(named(by_hidden).mentioned);
    let reply = json!({ "extendedTextMessage": { "text": "yes", "contextInfo": { "participant": "777000111:7@lid", "stanzaId": "3EB0", "quotedMessage": { "conversation": "shall I?" } } } });
    let reply = named(reply);
    assert!(reply.mentioned);
    let quote = reply.quote.unwrap();
    assert_eq!(
        (quote.by.as_str(), quote.text.as_str()),
        ("you", "shall I?")
    );
    let other = json!({ "extendedTextMessage": { "text": "yes", "contextInfo": { "participant": "15550003333@s.whatsapp.net", "quotedMessage": { "conversation": "?" } } } });
    assert!(!named(other).mentioned);
}

#[test]
fn what_is_no_conversation_is_not_read() {
    for chat in ["status@broadcast", "1234@broadcast", "1234@newsletter"] {
        assert!(
            read(&message(chat, ANN, json!({ "conversation": "x" }))).is_none(),
            "{chat}"
        );
    }
    for content in [
        json!({ "protocolMessage": { "type": "REVOKE" } }),
        json!({ "reactionMessage": { "text": "x" } }),
        json!({ "senderKeyDistributionMessage": {} }),
        json!({ "conversation": "  " }),
        Value::Null,
    ] {
        assert!(
            read(&message(ANN, ANN, content.clone())).is_none(),
            "{content}"
        );
    }
    let mut old = message(ANN, ANN, json!({ "conversation": "x" }));
    old.offline = true;
    assert!(read(&old).is_some(), "what waited for a moment is answered");
    old.at = NOW - 25 * 3_600_000;
    assert!(read(&old).is_none());
}

#[test]
fn what_we_write_is_never_answered() {
    let mut own = message(
        ANN,
        "15550009999@s.whatsapp.net",
        json!({ "conversation": "x" }),
    );
    own.from_me = true;
    let hear =
        |message: &Message, self_chat, sent| inbound(message, &me(), self_chat, NOW, |_| sent);
    assert!(hear(&own, true, false).is_none(), "to somebody else");
    own.chat = "15550009999@s.whatsapp.net".into();
    assert!(hear(&own, false, false).is_none(), "nobody asked for it");
    assert!(hear(&own, true, true).is_none(), "it is what we sent");
    assert!(hear(&own, true, false).is_some());
    let mut room = message(
        ROOM,
        "15550009999@s.whatsapp.net",
        json!({ "conversation": "x" }),
    );
    room.from_me = true;
    assert!(hear(&room, true, false).is_none());
}

#[test]
fn files_can_be_read_later_by_what_is_kept_of_them() {
    let voice = json!({ "audioMessage": { "url": "https://mmg.example/x", "directPath": "/v/x", "mediaKey": "a2V5",
        "mimetype": "audio/ogg; codecs=opus", "fileLength": "120", "ptt": true } });
    let said = read(&message(ANN, ANN, voice)).unwrap();
    let file = &said.files[0];
    assert_eq!(
        (file.what.as_str(), file.mime.as_deref(), file.bytes),
        ("voice message", Some("audio/ogg"), Some(120))
    );
    let id: Value = serde_json::from_str(&file.id).unwrap();
    assert_eq!(
        id,
        json!({ "kind": "audio", "mediaKey": "a2V5", "directPath": "/v/x", "url": "https://mmg.example/x" })
    );
    let picture = json!({ "imageMessage": { "caption": "look", "mimetype": "image/jpeg", "mediaKey": "a2V5" } });
    let said = read(&message(ANN, ANN, picture)).unwrap();
    assert_eq!(
        (said.text.as_str(), said.files[0].what.as_str()),
        ("look", "photo")
    );
}

#[test]
fn a_file_comes_from_whatsapp_whatever_host_its_sender_names() {
    let sent = json!({ "kind": "audio", "mediaKey": "a2V5", "directPath": "/v/x", "url": "https://127.0.0.1:9/x" });
    assert_eq!(
        place(&sent.to_string(), false).unwrap(),
        json!({ "kind": "audio", "mediaKey": "a2V5", "directPath": "/v/x", "host": "mmg.whatsapp.net" })
    );
    assert_eq!(place(&sent.to_string(), true).unwrap(), sent);
    for path in [
        json!("@127.0.0.1/x"),
        json!(".example/x"),
        json!(""),
        json!(null),
    ] {
        let mut sent = sent.clone();
        sent["directPath"] = path;
        assert!(place(&sent.to_string(), false).is_err(), "{sent}");
    }
    assert!(place("", false).is_err());
}

#[tokio::test(start_paused = true)]
async fn keys_that_somebody_uses_are_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let creds = folder.path().join("creds.json");
    std::fs::write(
        &creds,
        super::auth::tests::creds("15550001111:3@s.whatsapp.net"),
    )
    .unwrap();
    let other = Owner {
        pid: 1,
        ..Owner::this(1_700_000_000_000)
    };
    let mut locks = Locks::new(other);
    let lock = folder.path().join("session.lock");
    locks.take(&lock, "the session").await.unwrap();
    let why = forget(folder.path(), 0).await.unwrap_err();
    assert!(why.contains("pid 1, started 2023-11-14"), "{why}");
    assert!(creds.exists());
    drop(locks);
    forget(folder.path(), 0).await.unwrap();
    assert!(!creds.exists());
    forget(&folder.path().join("none"), 0).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_answer_while_what_came_last_is_stored() {
    let (to, mut jobs) = mpsc::channel(1);
    let (stored, storing) = oneshot::channel();
    let late = Cell::new(0);
    let work = async {
        let _ = storing.await;
    };
    let asking = async {
        let (done, end) = oneshot::channel();
        let begun = Rc::new(Cell::new(false));
        let job = Job {
            method: "send",
            params: Value::Null,
            begun: Rc::clone(&begun),
            done: Some(done),
        };
        assert!(to.send(job).await.is_ok());
        let end = end.await.unwrap();
        assert!(
            matches!(end, Err(SendFailure::NotSent(ChannelError::Transient(_)))),
            "{end:?}"
        );
        assert!(!begun.get());
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(late.get(), 1, "a person is told, once");
        stored.send(()).unwrap();
    };
    tokio::join!(
        meanwhile(work, &mut jobs, || late.set(late.get() + 1)),
        asking
    );
}

#[test]
fn places_are_read_as_people_write_them() {
    for (written, chat, address) in [
        ("+1 (555) 000-1111", "+15550001111", ANN),
        ("whatsapp:15550001111", "+15550001111", ANN),
        (ANN, "+15550001111", ANN),
        ("15550001111:4@s.whatsapp.net", "+15550001111", ANN),
        (ROOM, ROOM, ROOM),
        (
            "whatsapp:15550001111-1600000000@g.us",
            "15550001111-1600000000@g.us",
            "15550001111-1600000000@g.us",
        ),
        ("lid:777", "lid:777", "777@lid"),
    ] {
        let found = target(written).unwrap();
        assert_eq!(
            (found.chat.as_str(), jid(&found).as_str()),
            (chat, address),
            "{written}"
        );
    }
    for wrong in [
        "",
        "ann",
        "123",
        "status@broadcast",
        "x@g.us",
        "+1555000111122223333",
    ] {
        assert!(
            target(wrong).unwrap_err().contains("+15551234567"),
            "{wrong}"
        );
    }
}

#[test]
fn what_leaves_is_what_baileys_takes() {
    let to = Target {
        chat: ROOM.into(),
        thread: None,
    };
    let piece = Piece {
        to: to.clone(),
        text: "**now**, ~~not~~ [then](https://a.example)".into(),
        reply_to: Some(format!("3EB0AA/{ANN}")),
        silent: false,
        edits: None,
        file: None,
    };
    assert_eq!(
        outbound(&piece, "3EB0BB"),
        json!({ "to": ROOM, "content": { "text": "*now*, ~not~ then (https://a.example)" }, "messageId": "3EB0BB", "quote": "3EB0AA" })
    );
    assert_eq!(
        key(&to, &format!("3EB0AA/{ANN}")),
        json!({ "remoteJid": ROOM, "id": "3EB0AA", "fromMe": false, "participant": ANN })
    );
    let react = Act::React {
        message: "me/3EB0BB".into(),
        emoji: None,
    };
    assert_eq!(
        act(&to, &react, "i").unwrap()["content"],
        json!({ "react": { "text": "", "key": { "remoteJid": ROOM, "id": "3EB0BB", "fromMe": true } } })
    );
    let edit = Act::Edit {
        message: "3EB0AA".into(),
        text: "x".into(),
    };
    assert!(act(&to, &edit, "i").is_err(), "not ours");
}
