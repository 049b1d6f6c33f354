//! WhatsApp's messages as ours, and ours as WhatsApp's. Pure.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::format;
use super::wire::{Identity, Message};
use crate::channel::files::{Style, Takes, Upload};
use crate::channel::{Act, Attached, ChatKind, Inbound, Piece, Quote, SendFailure, Sender, Target};

/// What waited for us longer than this is not answered any more.
const OLDEST: i64 = 24 * 60 * 60 * 1_000;
/// Servers of people by number, of people whose number is hidden, and of groups.
const PERSON: &str = "@s.whatsapp.net";
const HIDDEN: &str = "@lid";
const GROUP: &str = "@g.us";
/// The host that WhatsApp's files come from.
const FILES: &str = "mmg.whatsapp.net";
/// Before ids of messages of ours, so that they are found again.
const OURS: &str = "me/";

/// We, as the platform says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Me {
    /// Our number.
    pub(super) number: String,
    /// The id that hides it.
    pub(super) hidden: Option<String>,
    /// The name of the account.
    pub(super) name: Option<String>,
    /// Which of its devices we are.
    pub(super) device: Option<String>,
}

impl Me {
    /// From what it says when it takes us in.
    pub(super) fn of(identity: &Identity) -> Self {
        let id = identity.id.as_deref().unwrap_or_default();
        let device = id.split('@').next().and_then(|id| id.split_once(':'));
        Self {
            number: user(id).to_owned(),
            hidden: identity.lid.as_deref().map(|lid| user(lid).to_owned()),
            name: identity.name.clone().filter(|name| !name.is_empty()),
            device: device.map(|(_, device)| device.to_owned()),
        }
    }

    /// For people: `+15550001111 (Ann), device 3`.
    pub(super) fn words(&self) -> String {
        let mut words = format!("+{}", self.number);
        if let Some(name) = &self.name {
            words = format!("{words} ({name})");
        }
        if let Some(device) = &self.device {
            words = format!("{words}, device {device}");
        }
        words
    }

    fn is(&self, jid: &str) -> bool {
        let user = user(jid);
        !user.is_empty() && (user == self.number || Some(user) == self.hidden.as_deref())
    }
}

/// The part of an id before its device and its server.
fn user(jid: &str) -> &str {
    jid.split(['@', ':']).next().unwrap_or_default()
}

/// A person's id as people write it.
fn person(jid: &str) -> String {
    if jid.ends_with(HIDDEN) {
        format!("lid:{}", user(jid))
    } else {
        format!("+{}", user(jid))
    }
}

/// Where the platform finds a place.
pub(super) fn jid(target: &Target) -> String {
    let chat = &target.chat;
    if let Some(hidden) = chat.strip_prefix("lid:") {
        return format!("{hidden}{HIDDEN}");
    }
    match chat.strip_prefix('+') {
        Some(number) => format!("{number}{PERSON}"),
        None => chat.clone(),
    }
}

/// Reads a recipient as a person writes it.
pub(super) fn target(written: &str) -> Result<Target, String> {
    let plain = crate::channel::policy::plain_id("whatsapp", written);
    let plain = plain
        .strip_prefix("user:")
        .or_else(|| plain.strip_prefix("group:"))
        .unwrap_or(plain);
    let chat = |chat: String| Target { chat, thread: None };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(group) = plain.strip_suffix(GROUP) {
        let is_id = group.len() >= 5 && group.split('-').all(digits);
        if is_id {
            return Ok(chat(plain.to_owned()));
        }
    }
    let hidden = plain
        .strip_prefix("lid:")
        .or_else(|| plain.strip_suffix(HIDDEN));
    if let Some(hidden) = hidden.filter(|hidden| digits(hidden)) {
        return Ok(chat(format!("lid:{hidden}")));
    }
    let number = plain.strip_suffix(PERSON).map_or(plain, user);
    number_of(number).map(chat).ok_or_else(|| {
        format!(
            "\"{written}\" is no place on WhatsApp; write a number with its country (+15551234567) or a group (120363012345678901@g.us)"
        )
    })
}

/// A telephone number as it is compared: `+` and digits.
pub fn number_of(written: &str) -> Option<String> {
    let mut number = String::from("+");
    for c in written.trim().trim_start_matches('+').chars() {
        match c {
            '0'..='9' => number.push(c),
            ' ' | '-' | '(' | ')' | '.' => {}
            _ => return None,
        }
    }
    (8..=16).contains(&number.len()).then_some(number)
}

/// The parts of a message that hold text, and the kinds of media, by the platform's names.
const KINDS: [(&str, &str, &str); 5] = [
    ("imageMessage", "image", "photo"),
    ("videoMessage", "video", "video"),
    ("audioMessage", "audio", "audio file"),
    ("documentMessage", "document", "document"),
    ("stickerMessage", "sticker", "sticker"),
];

fn string(value: &Value, key: &str) -> Option<String> {
    let text = value.get(key).and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Numbers come as numbers, or as text where they are long.
fn count(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// What people read of a message.
fn text(content: &Value) -> String {
    let captioned = KINDS
        .iter()
        .filter_map(|(key, ..)| string(content.get(key)?, "caption"));
    let place = content.get("locationMessage").and_then(|place| {
        let (lat, long) = (
            place.get("degreesLatitude")?,
            place.get("degreesLongitude")?,
        );
        let name = string(place, "name").map_or_else(String::new, |name| format!("{name}, "));
        Some(format!("[location: {name}{lat}, {long}]"))
    });
    let contact = content.get("contactMessage").and_then(|contact| {
        let name = string(contact, "displayName")?;
        Some(format!("[contact: {name}]"))
    });
    let chosen = ["buttonsResponseMessage", "templateButtonReplyMessage"]
        .into_iter()
        .find_map(|key| string(content.get(key)?, "selectedDisplayText"));
    string(content, "conversation")
        .or_else(|| string(content.get("extendedTextMessage")?, "text"))
        .or_else(|| captioned.into_iter().next())
        .or(chosen)
        .or(place)
        .or(contact)
        .unwrap_or_default()
}

/// What a message says of others: who is named, what is answered.
fn context(content: &Value) -> Option<&Value> {
    let parts = content.as_object()?.values();
    parts
        .filter_map(|part| part.get("contextInfo"))
        .find(|context| !context.is_null())
}

fn files(content: &Value) -> Vec<Attached> {
    let found = KINDS.iter().filter_map(|(key, kind, what)| {
        let media = content.get(key).filter(|media| !media.is_null())?;
        // All that is needed to read it later, also after a restart.
        let mut id = Map::new();
        id.insert("kind".into(), (*kind).into());
        for key in ["mediaKey", "directPath", "url"] {
            if let Some(value) = media.get(key).filter(|value| value.is_string()) {
                id.insert(key.into(), value.clone());
            }
        }
        let is_voice = media.get("ptt") == Some(&Value::Bool(true));
        let mime = string(media, "mimetype");
        Some(Attached {
            id: Value::Object(id).to_string(),
            what: if is_voice { "voice message" } else { what }.to_owned(),
            name: string(media, "fileName"),
            // Without what stands behind it: `audio/ogg; codecs=opus`.
            mime: mime.map(|mime| mime.split(';').next().unwrap_or_default().trim().to_owned()),
            bytes: count(media.get("fileLength")),
        })
    });
    found.collect()
}

/// Where a file is, from the [`Attached::id`] of it. Its sender wrote that, and might name any host: it is
/// WhatsApp's own that is asked, unless `local`, a server of this host, stands in for WhatsApp.
pub(super) fn place(id: &str, local: bool) -> Result<Value, String> {
    let kept = || "where it is was not kept".to_owned();
    let mut place: Map<String, Value> = serde_json::from_str(id).map_err(|_| kept())?;
    if !local {
        place.remove("url");
        let path = place.get("directPath").and_then(Value::as_str);
        if !path.is_some_and(|path| path.starts_with('/')) {
            return Err("its message does not say where it is at WhatsApp".into());
        }
        place.insert("host".into(), FILES.into());
    }
    Ok(Value::Object(place))
}

/// The message, where it is one for us. `is_sent` knows what we sent ourselves.
pub(super) fn inbound(
    message: &Message,
    me: &Me,
    self_chat: bool,
    now: i64,
    is_sent: impl Fn(&str) -> bool,
) -> Option<Inbound> {
    let chat = &message.chat;
    let is_group = chat.ends_with(GROUP);
    if !is_group && !chat.ends_with(PERSON) && !chat.ends_with(HIDDEN) {
        // Status, broadcasts and newsletters are no conversations.
        return None;
    }
    if message.from_me {
        // What the account's owner writes to themself is meant for us; all else is what they, or we,
        // wrote to others.
        let to_self = self_chat && !is_group && me.is(chat);
        if !to_self || is_sent(&message.id) {
            return None;
        }
    }
    if message.offline && message.at > 0 && now.saturating_sub(message.at) > OLDEST {
        return None;
    }
    let (text, files) = (text(&message.content), files(&message.content));
    if text.trim().is_empty() && files.is_empty() {
        return None;
    }
    let context = context(&message.content);
    let (named, quote) = context.map_or((false, None), |context| answered(context, me));
    let called = format!("@{}", me.number);
    let mentioned = !is_group || named || (!me.number.is_empty() && text.contains(&called));
    let sender = person(&message.sender);
    Some(Inbound {
        roles: Vec::new(),
        id: format!("{chat}/{}/{}", user(&message.sender), message.id),
        message_id: Some(match &message.participant {
            Some(participant) => format!("{}/{participant}", message.id),
            None => message.id.clone(),
        }),
        chat: Target {
            chat: if is_group { chat.clone() } else { person(chat) },
            thread: None,
        },
        kind: if is_group {
            ChatKind::Group
        } else {
            ChatKind::Direct
        },
        title: message.title.clone(),
        space: None,
        sender: Sender {
            id: sender,
            name: message.name.clone(),
            username: None,
        },
        text: text.trim().to_owned(),
        quote,
        files,
        mentioned,
        at: message.at,
    })
}

/// Whether we are named or answered, and what is answered.
fn answered(context: &Value, me: &Me) -> (bool, Option<Quote>) {
    let named = context.get("mentionedJid").and_then(Value::as_array);
    let named = named
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|jid| me.is(jid));
    let by = context.get("participant").and_then(Value::as_str);
    let quoted = context.get("quotedMessage").map(text);
    let quote = quoted.filter(|text| !text.is_empty()).map(|text| {
        let ours = by.is_some_and(|by| me.is(by));
        Quote {
            by: if ours {
                "you".to_owned()
            } else {
                by.map_or_else(|| "somebody".to_owned(), person)
            },
            text,
        }
    });
    (
        named || (quote.is_some() && by.is_some_and(|by| me.is(by))),
        quote,
    )
}

/// How the platform finds a message again.
pub(super) fn key(to: &Target, message: &str) -> Value {
    let ours = message.strip_prefix(OURS);
    let (id, participant) = match ours.unwrap_or(message).split_once('/') {
        Some((id, participant)) => (id, Some(participant)),
        None => (ours.unwrap_or(message), None),
    };
    let mut key = json!({ "remoteJid": jid(to), "id": id, "fromMe": ours.is_some() });
    if let Some(participant) = participant {
        key["participant"] = participant.into();
    }
    key
}

/// How we write the id of a message of ours.
pub(super) fn ours(id: &str) -> String {
    format!("{OURS}{id}")
}

/// A message to the platform; `id` is the one that it gets.
pub(super) fn outbound(piece: &Piece, id: &str) -> Value {
    let quoted = piece.reply_to.as_deref();
    let quoted = quoted.map(|quoted| {
        let quoted = quoted.strip_prefix(OURS).unwrap_or(quoted);
        quoted.split('/').next().unwrap_or(quoted)
    });
    let mut params = json!({
        "to": jid(&piece.to),
        "content": { "text": format::whatsapp(&piece.text) },
        "messageId": id,
    });
    if let Some(quoted) = quoted {
        params["quote"] = quoted.into();
    }
    params
}

/// What the platform takes of us.
pub(super) const TAKES: Takes = Takes {
    max_bytes: 50 * 1024 * 1024,
    caption: 1_024,
    mute_sounds: true,
};

/// A file as the sidecar takes it, which lies at this path.
pub(super) fn media(file: &Upload, path: &Path) -> Value {
    let kind = match (file.style, file.mime.as_str()) {
        (Some(Style::Document), _) => "document",
        (_, "image/jpeg" | "image/png" | "image/webp") => "image",
        (_, "video/mp4") => "video",
        (_, mime) if mime.starts_with("audio/") => "audio",
        _ => "document",
    };
    // Voice messages of the platform are these; the phone plays others as files.
    let mime = match file.mime.as_str() {
        "audio/ogg" if kind == "audio" => "audio/ogg; codecs=opus",
        mime => mime,
    };
    json!({
        "kind": kind, "path": path, "mimetype": mime, "name": file.name,
        "voice": kind == "audio" && file.style == Some(Style::Voice),
        "gif": kind == "video" && file.style == Some(Style::Gif),
    })
}

/// Names of what else it can do.
pub(super) const ACTS: &[&str] = &["react", "edit", "delete", "poll"];
/// Most options of a poll.
const OPTIONS: usize = 12;

/// Something else than a message; gives back its parameters.
pub(super) fn act(to: &Target, act: &Act, id: &str) -> Result<Value, SendFailure> {
    let content = match act {
        Act::React { message, emoji } => json!({
            "react": { "text": emoji.as_deref().unwrap_or_default(), "key": key(to, message) },
        }),
        Act::Edit { message, text } if message.starts_with(OURS) => json!({
            "text": format::whatsapp(text), "edit": key(to, message),
        }),
        Act::Edit { .. } => {
            return Err(SendFailure::Refused(
                "WhatsApp lets us edit only what we sent ourselves (ids that begin with me/)"
                    .into(),
            ));
        }
        Act::Delete { message } => json!({ "delete": key(to, message) }),
        Act::Poll(poll) if poll.options.len() > OPTIONS => {
            return Err(SendFailure::Refused(format!(
                "a poll of WhatsApp has at most {OPTIONS} options"
            )));
        }
        Act::Poll(poll) => json!({ "poll": {
            "name": poll.question, "values": poll.options, "selectableCount": poll.most,
        } }),
        Act::Pin { .. } => {
            return Err(SendFailure::Refused(
                "WhatsApp's linked devices do not pin".into(),
            ));
        }
    };
    Ok(json!({ "to": jid(to), "content": content, "messageId": id }))
}
