//! Signal's messages as ours, and ours as Signal's. Pure. Everything that may be absent is optional: one
//! envelope that nobody understands must not hold up the others.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::channel::files::Upload;
use crate::channel::{Attached, ChatKind, Inbound, Piece, Quote, Sender, Target};

/// Longest beginning of a message that is answered, characters.
const QUOTED: usize = 500;
/// What stands in a text where somebody is named.
const PLACE: char = '\u{fffc}';

/// Who we are.
#[derive(Debug, Clone, Default)]
pub(super) struct Me {
    /// Our number.
    pub(super) number: String,
    /// Our id, where it is known.
    pub(super) uuid: Option<String>,
}

impl Me {
    fn is(&self, number: Option<&str>, uuid: Option<&str>) -> bool {
        number.is_some_and(|number| number == self.number)
            || (uuid.zip(self.uuid.as_deref()))
                .is_some_and(|(theirs, ours)| theirs.eq_ignore_ascii_case(ours))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    source: Option<String>,
    source_number: Option<String>,
    source_uuid: Option<String>,
    source_name: Option<String>,
    timestamp: Option<u64>,
    data_message: Option<Data>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    timestamp: Option<u64>,
    message: Option<String>,
    group_info: Option<Group>,
    quote: Option<Quoted>,
    reaction: Option<Value>,
    remote_delete: Option<Value>,
    sticker: Option<Value>,
    contacts: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "readable")]
    mentions: Vec<Mention>,
    #[serde(default, deserialize_with = "readable")]
    attachments: Vec<Attachment>,
}

/// What can be read of a list; the words beside it count also where nothing can.
fn readable<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let rows = match Value::deserialize(from)? {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    };
    let read = rows.into_iter();
    Ok(read
        .filter_map(|row| serde_json::from_value(row).ok())
        .collect())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    group_id: String,
    group_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Quoted {
    author: Option<String>,
    author_number: Option<String>,
    author_uuid: Option<String>,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Mention {
    /// Where it stands in the text, UTF-16 units.
    start: Option<usize>,
    name: Option<String>,
    number: Option<String>,
    uuid: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    content_type: Option<String>,
    filename: Option<String>,
    id: Option<String>,
    size: Option<u64>,
    voice_note: Option<bool>,
}

/// What an event comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// A message.
    Message(Box<Inbound>),
    /// Nothing that is answered: a receipt, typing, something that we did on another device.
    Nothing,
    /// signal-cli could not read it, or we cannot; in words, without what was written.
    Unreadable(String),
}

/// An event of the stream. `named` are people as the configuration has them: somebody who is named by
/// their id there is known by it, else by their number while they show it.
pub(super) fn heard(data: &str, me: &Me, named: &BTreeSet<String>) -> Heard {
    let event: Value = match serde_json::from_str(data) {
        Ok(event) => event,
        Err(error) => return Heard::Unreadable(format!("it is no JSON: {error}")),
    };
    let exception = event.get("exception").and_then(|fault| {
        let kind = fault.get("type").and_then(Value::as_str);
        let why = fault.get("message").and_then(Value::as_str);
        (!fault.is_null()).then(|| {
            [kind, why]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(": ")
        })
    });
    let envelope = event.get("envelope").cloned().unwrap_or_default();
    let envelope: Envelope = match serde_json::from_value(envelope) {
        Ok(envelope) => envelope,
        Err(error) => return Heard::Unreadable(exception.unwrap_or_else(|| error.to_string())),
    };
    match (message(envelope, me, named), exception) {
        (Some(message), _) => Heard::Message(Box::new(message)),
        (None, Some(why)) => Heard::Unreadable(format!("signal-cli: {why}")),
        (None, None) => Heard::Nothing,
    }
}

fn message(envelope: Envelope, me: &Me, named: &BTreeSet<String>) -> Option<Inbound> {
    let data = envelope.data_message?;
    let number = envelope
        .source_number
        .or_else(|| envelope.source.clone().filter(|id| is_number(id)));
    let uuid = envelope
        .source_uuid
        .or_else(|| envelope.source.filter(|id| is_uuid(id)))
        .map(|id| id.to_lowercase());
    if me.is(number.as_deref(), uuid.as_deref())
        || data.reaction.is_some()
        || data.remote_delete.is_some()
    {
        return None;
    }
    let by_id = uuid.map(|id| format!("uuid:{id}"));
    let id = match (by_id, number) {
        (Some(id), _) if named.contains(&id) => id,
        (_, Some(number)) => number,
        (Some(id), None) => id,
        (None, None) => return None,
    };
    let at = data.timestamp.or(envelope.timestamp)?;
    let (text, is_named) = content(&data, me);
    let chat = data.group_info.as_ref().map_or(&id, |own| &own.group_id);
    let files = files(&data, chat, data.group_info.is_some());
    if text.is_empty() && files.is_empty() {
        return None;
    }
    let answers_us = data.quote.as_ref().is_some_and(|quote| {
        me.is(
            quote.author_number.as_deref().or(quote.author.as_deref()),
            quote.author_uuid.as_deref(),
        )
    });
    let kind = match data.group_info {
        Some(_) => ChatKind::Group,
        None => ChatKind::Direct,
    };
    Some(Inbound {
        roles: Vec::new(),
        id: format!("{id}:{at}"),
        message_id: Some(format!("{at}:{id}")),
        chat: Target {
            chat: chat.clone(),
            thread: None,
        },
        kind,
        title: data.group_info.and_then(|own| own.group_name),
        space: None,
        sender: Sender {
            id,
            name: envelope.source_name.filter(|name| !name.is_empty()),
            username: None,
        },
        mentioned: kind == ChatKind::Direct || is_named || answers_us,
        text,
        quote: data.quote.and_then(|quote| quoted(quote, me)),
        files,
        at: i64::try_from(at).unwrap_or_default(),
    })
}

/// What was said, with people by their names, and whether we are named.
fn content(data: &Data, me: &Me) -> (String, bool) {
    let mut is_named = false;
    let (mut at, mut places) = (0, 0);
    let mut text = String::new();
    for c in data.message.as_deref().unwrap_or_default().chars() {
        let name = (c == PLACE).then(|| named(&data.mentions, at, places));
        at += c.len_utf16();
        places += usize::from(c == PLACE);
        match name.flatten() {
            Some(name) if me.is(name.number.as_deref(), name.uuid.as_deref()) => is_named = true,
            Some(name) => {
                let words = [&name.name, &name.number, &name.uuid];
                let words = words.into_iter().flatten().next();
                text.push('@');
                text.push_str(words.map_or("somebody", String::as_str));
            }
            None => text.push(c),
        }
    }
    let mut parts: Vec<&str> = Vec::new();
    if data.sticker.is_some() {
        parts.push("[sticker]");
    }
    if data.contacts.as_ref().is_some_and(|all| !all.is_empty()) {
        parts.push("[contact]");
    }
    let text = text.trim();
    if !text.is_empty() {
        parts.push(text);
    }
    (parts.join(" "), is_named)
}

/// Who is named at this unit of a text, its so many-th place: they come in any order.
fn named(mentions: &[Mention], at: usize, place: usize) -> Option<&Mention> {
    if mentions.iter().all(|own| own.start.is_some()) {
        mentions.iter().find(|own| own.start == Some(at))
    } else {
        mentions.get(place)
    }
}

/// What came with it. A file is asked for by its id and the chat that it came from.
fn files(data: &Data, chat: &str, in_group: bool) -> Vec<Attached> {
    let known = data
        .attachments
        .iter()
        .filter_map(|file| Some((file, file.id.as_ref()?)));
    known
        .map(|(file, id)| {
            let place = if in_group { "group" } else { "from" };
            Attached {
                id: format!("{id} {place} {chat}"),
                what: match file.content_type.as_deref() {
                    _ if file.voice_note == Some(true) => "voice message".to_owned(),
                    Some(mime) if mime.starts_with("image/") => "picture".to_owned(),
                    Some(mime) if mime.starts_with("audio/") => "audio file".to_owned(),
                    Some(mime) if mime.starts_with("video/") => "video".to_owned(),
                    _ => "document".to_owned(),
                },
                name: file.filename.clone(),
                mime: file.content_type.clone(),
                bytes: file.size,
            }
        })
        .collect()
}

/// The params that ask for a file.
pub(super) fn file_params(id: &str) -> Option<Value> {
    let mut parts = id.splitn(3, ' ');
    let (id, place, chat) = (parts.next()?, parts.next()?, parts.next()?);
    Some(match place {
        "group" => json!({ "id": id, "groupId": chat }),
        _ => json!({ "id": id, "recipient": bare(chat) }),
    })
}

fn quoted(quote: Quoted, me: &Me) -> Option<Quote> {
    let text = quote.text.filter(|text| !text.trim().is_empty())?;
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    let ours = me.is(
        quote.author_number.as_deref().or(quote.author.as_deref()),
        quote.author_uuid.as_deref(),
    );
    let by = quote
        .author_number
        .or(quote.author)
        .or(quote.author_uuid)
        .filter(|_| !ours);
    Some(Quote {
        by: by.unwrap_or_else(|| "you".to_owned()),
        text: short,
    })
}

/// Whether this is a phone number with its country.
pub(super) fn is_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether this is an id of a person.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// Somebody, or a group, as it is written: `+4479...`, an id with or without `uuid:`, `username:...`,
/// `group:...` or the id of a group alone. Gives back how we write it.
pub fn place(written: &str) -> Option<String> {
    let written = super::super::policy::plain_id("signal", written);
    let lower = written.to_lowercase();
    if let Some(id) = lower.strip_prefix("uuid:") {
        return is_uuid(id).then(|| format!("uuid:{id}"));
    }
    if is_uuid(written) {
        return Some(format!("uuid:{lower}"));
    }
    if lower.starts_with("username:") || lower.starts_with("u:") {
        let name = written.split_once(':')?.1.trim();
        return (!name.is_empty()).then(|| format!("username:{name}"));
    }
    let digits: String = written
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')'))
        .collect();
    if is_number(&digits) {
        return Some(digits);
    }
    let id = if lower.starts_with("group:") {
        &written["group:".len()..]
    } else {
        written
    };
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-');
    (id.len() >= 20 && id.chars().all(is_base64)).then(|| id.to_owned())
}

/// A person without the word before their id.
fn bare(chat: &str) -> &str {
    chat.strip_prefix("uuid:").unwrap_or(chat)
}

/// The params that say where something goes.
pub(super) fn recipient(to: &Target) -> Value {
    let chat = &to.chat;
    if let Some(name) = chat.strip_prefix("username:") {
        return json!({ "username": [name] });
    }
    if is_person(chat) {
        json!({ "recipient": [bare(chat)] })
    } else {
        json!({ "groupId": chat })
    }
}

fn is_person(chat: &str) -> bool {
    is_number(chat) || chat.starts_with("uuid:")
}

/// A file as signal-cli takes it without a place on its disk.
fn address_of(file: &Upload) -> String {
    let mut name = String::new();
    for byte in file.name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&crate::channel::hex(&[byte]));
        }
    }
    let bytes = STANDARD.encode(&file.bytes);
    format!("data:{};filename={name};base64,{bytes}", file.mime)
}

/// The params of a message.
pub(super) fn outbound(piece: &Piece, me: &Me) -> Value {
    let styled = crate::channel::styled::styled(&piece.text);
    let mut params = recipient(&piece.to);
    params["message"] = styled.text.into();
    if !styled.styles.is_empty() {
        params["textStyle"] = styled.styles.into();
    }
    if let Some(file) = &piece.file {
        params["attachments"] = json!([address_of(file)]);
    }
    let answered = piece.reply_to.as_deref();
    if let Some((at, author)) = answered.and_then(|id| message_of(id, &piece.to, me)) {
        params["quoteTimestamp"] = at.into();
        params["quoteAuthor"] = bare(&author).into();
    }
    params
}

/// A message by its id: when it was written, and by whom. Those that came in name their writer; a bare
/// time is a message of ours, or in a direct chat of whoever it is with, if `is_ours` does not say.
pub(super) fn message_of(id: &str, to: &Target, me: &Me) -> Option<(u64, String)> {
    if let Some((at, author)) = id.split_once(':') {
        return Some((at.parse().ok()?, place(author)?));
    }
    let author = if is_person(&to.chat) {
        &to.chat
    } else {
        &me.number
    };
    Some((id.parse().ok()?, author.clone()))
}
