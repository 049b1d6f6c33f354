//! Telegram's messages as ours, and ours as Telegram's. Pure.

use serde_json::{Value, json};

use super::wire::{Entity, Message, Update, User};
use crate::channel::{Attached, ChatKind, Inbound, Piece, Quote, Sender, Target};

/// The topic of a forum that messages belong to when they name none; it must not be named either.
const GENERAL_TOPIC: i64 = 1;

/// Longest beginning of a message that is answered, characters.
const QUOTED: usize = 500;

/// The bot.
#[derive(Debug, Clone, Default)]
pub(super) struct Me {
    id: i64,
    username: String,
}

impl Me {
    pub(super) fn of(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.clone().unwrap_or_default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.username
    }
}

/// The message of an update; `None` where it has none for us.
pub(super) fn inbound(update: Update, me: &Me) -> Option<Inbound> {
    let message = update.message?;
    let kind = match message.chat.kind.as_str() {
        "private" => ChatKind::Direct,
        "group" | "supergroup" => ChatKind::Group,
        _ => return None,
    };
    // Bots do not talk with each other for ever.
    if message.from.as_ref().is_some_and(|from| from.is_bot) && message.sender_chat.is_none() {
        return None;
    }
    let sender = sender(&message)?;
    let mentioned = kind == ChatKind::Direct || names(&message, me);
    let files = files(&message);
    let text = match content(&message) {
        Some(text) => plain(&text, me),
        None if files.is_empty() => return None,
        None => String::new(),
    };
    let quote = quote(&message);
    let thread = message
        .message_thread_id
        .filter(|_| message.is_topic_message)
        .map(|id| id.to_string());
    Some(Inbound {
        id: update.update_id.to_string(),
        message_id: Some(message.message_id.to_string()),
        chat: Target {
            chat: message.chat.id.to_string(),
            thread,
        },
        kind,
        title: message.chat.title,
        space: None,
        sender,
        roles: Vec::new(),
        text,
        quote,
        files,
        mentioned,
        at: message.date.saturating_mul(1_000),
    })
}

fn sender(message: &Message) -> Option<Sender> {
    // An anonymous administrator writes as the group itself.
    if let Some(chat) = &message.sender_chat {
        return Some(Sender {
            id: chat.id.to_string(),
            name: chat.title.clone(),
            username: None,
        });
    }
    let from = message.from.as_ref()?;
    let names = [from.first_name.as_deref(), from.last_name.as_deref()];
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some(Sender {
        id: from.id.to_string(),
        name: Some(name).filter(|name| !name.is_empty()),
        username: from.username.clone(),
    })
}

/// What was said; what has no bytes that could be read is named.
fn content(message: &Message) -> Option<String> {
    let others = [
        (message.sticker.is_some(), "sticker"),
        (message.location.is_some(), "location"),
        (message.contact.is_some(), "contact"),
    ];
    let other = others.iter().find(|(is, _)| *is).map(|(_, name)| *name);
    let text = message.text.as_ref().or(message.caption.as_ref());
    let text = text
        .map(String::as_str)
        .filter(|text| !text.trim().is_empty());
    match (text, other) {
        (Some(text), None) => Some(text.to_owned()),
        (Some(text), Some(other)) => Some(format!("[{other}] {text}")),
        (None, Some(other)) => Some(format!("[{other}]")),
        (None, None) => None,
    }
}

/// What came with it; of a photo the largest size.
fn files(message: &Message) -> Vec<Attached> {
    let photo = message.photo.as_ref().and_then(|sizes| {
        let mut sizes = sizes.clone();
        sizes.sort_by_key(|size| size.size.unwrap_or_default());
        sizes.pop()
    });
    let all = [
        (photo.as_ref(), "photo", Some("image/jpeg")),
        (message.document.as_ref(), "document", None),
        (message.voice.as_ref(), "voice message", Some("audio/ogg")),
        (message.audio.as_ref(), "audio file", None),
        (message.video.as_ref(), "video", None),
    ];
    let present = all.into_iter().filter_map(|(file, what, mime)| {
        let file = file?;
        Some(Attached {
            id: file.id.clone(),
            what: what.to_owned(),
            name: file.name.clone(),
            mime: file.mime.clone().or_else(|| mime.map(str::to_owned)),
            bytes: file.size,
        })
    });
    present.collect()
}

/// The message that it answers, in short.
fn quote(message: &Message) -> Option<Quote> {
    let quoted = message.reply_to_message.as_deref()?;
    // What begins a topic is no message that somebody answers.
    let begins_topic =
        message.is_topic_message && Some(quoted.message_id) == message.message_thread_id;
    let text = content(quoted).filter(|_| !begins_topic)?;
    let by = sender(quoted)?;
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Some(Quote {
        by: by.label().to_owned(),
        text: short,
    })
}

/// Whether a message of a group is meant for us.
fn names(message: &Message, me: &Me) -> bool {
    let answers = message.reply_to_message.as_ref();
    if answers.is_some_and(|to| to.from.as_ref().is_some_and(|from| from.id == me.id)) {
        return true;
    }
    let handle = format!("@{}", me.username);
    let in_text = |text: &Option<String>, entities: &[Entity]| {
        entities.iter().any(|entity| match entity.kind.as_str() {
            "text_mention" => entity.user.as_ref().is_some_and(|user| user.id == me.id),
            "mention" => slice(text.as_deref(), entity).eq_ignore_ascii_case(&handle),
            "bot_command" => slice(text.as_deref(), entity)
                .to_lowercase()
                .ends_with(&handle.to_lowercase()),
            _ => false,
        })
    };
    in_text(&message.text, &message.entities)
        || in_text(&message.caption, &message.caption_entities)
}

/// The text of an entity; its place is counted in UTF-16 units.
fn slice(text: Option<&str>, entity: &Entity) -> String {
    let units = text.unwrap_or_default().encode_utf16();
    let part: Vec<u16> = units.skip(entity.offset).take(entity.length).collect();
    String::from_utf16_lossy(&part)
}

/// A command without the name of the bot that it is for.
fn plain(text: &str, me: &Me) -> String {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    match first.split_once('@') {
        Some((command, name))
            if command.starts_with('/') && name.eq_ignore_ascii_case(&me.username) =>
        {
            format!("{command}{rest}")
        }
        _ => text.to_owned(),
    }
}

/// The body of a `sendMessage`: HTML, or the plain text without it.
pub(super) fn outbound(piece: &Piece, html: Option<&str>) -> Value {
    let mut body = place(&piece.to);
    body["text"] = html.unwrap_or(&piece.text).into();
    if html.is_some() {
        body["parse_mode"] = "HTML".into();
    }
    if let Some(id) = piece
        .reply_to
        .as_ref()
        .and_then(|id| id.parse::<i64>().ok())
    {
        body["reply_parameters"] = json!({ "message_id": id, "allow_sending_without_reply": true });
    }
    if piece.silent {
        body["disable_notification"] = true.into();
    }
    body
}

/// The body of a `sendChatAction`.
pub(super) fn typing(to: &Target) -> Value {
    let mut body = place(to);
    body["action"] = "typing".into();
    body
}

pub(super) fn place(to: &Target) -> Value {
    let mut body = match to.chat.parse::<i64>() {
        Ok(id) => json!({ "chat_id": id }),
        Err(_) => json!({ "chat_id": to.chat }),
    };
    let thread = to.thread.as_ref().and_then(|id| id.parse::<i64>().ok());
    if let Some(thread) = thread.filter(|thread| *thread != GENERAL_TOPIC) {
        body["message_thread_id"] = thread.into();
    }
    body
}
