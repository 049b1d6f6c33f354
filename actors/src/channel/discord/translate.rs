//! Discord's messages as ours, and ours as Discord's. Pure. Everything that may be absent is optional:
//! one field more or less of an event must not hold up the others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::channel::{Attached, ChatKind, Inbound, Piece, Quote, Sender, Target};

/// A message that makes no sound.
pub(super) const SILENT: u64 = 1 << 12;
/// What threads are, among the kinds of channels.
const THREADS: [u64; 3] = [10, 11, 12];
/// Longest beginning of a message that is answered, characters.
const QUOTED: usize = 500;
/// Most channels that are remembered.
const MAX_PLACES: usize = 10_000;

#[derive(Debug, Deserialize)]
struct User {
    id: String,
    username: Option<String>,
    global_name: Option<String>,
    #[serde(default)]
    bot: bool,
}

#[derive(Debug, Deserialize)]
struct Attachment {
    filename: Option<String>,
    content_type: Option<String>,
    url: Option<String>,
    size: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Member {
    nick: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    id: String,
    channel_id: String,
    guild_id: Option<String>,
    author: Option<User>,
    member: Option<Member>,
    webhook_id: Option<String>,
    #[serde(default)]
    content: String,
    #[serde(default)]
    mentions: Vec<User>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    #[serde(default)]
    sticker_items: Vec<Value>,
    #[serde(rename = "type", default)]
    kind: u64,
    #[serde(rename = "referenced_message")]
    answers: Option<Box<Message>>,
    timestamp: Option<String>,
}

/// Channels as the gateway tells them: threads belong to another channel.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The channel that a thread belongs to; none of a channel that is no thread.
    parents: BTreeMap<String, Option<String>>,
}

impl Places {
    /// An event that may tell of channels.
    pub(super) fn event(&mut self, name: &str, data: &Value) {
        match name {
            "GUILD_CREATE" | "THREAD_LIST_SYNC" => {
                for list in ["threads", "channels"] {
                    let list = data.get(list).and_then(Value::as_array);
                    for channel in list.into_iter().flatten() {
                        self.learn(channel);
                    }
                }
            }
            "THREAD_CREATE" | "THREAD_UPDATE" | "CHANNEL_CREATE" => self.learn(data),
            "THREAD_DELETE" | "CHANNEL_DELETE" => {
                if let Some(id) = data.get("id").and_then(Value::as_str) {
                    self.parents.remove(id);
                }
            }
            _ => {}
        }
    }

    /// A channel.
    pub(super) fn learn(&mut self, channel: &Value) {
        let text = |key| channel.get(key).and_then(Value::as_str);
        let kind = channel.get("type").and_then(Value::as_u64);
        let (Some(id), Some(kind)) = (text("id"), kind) else {
            return;
        };
        if self.parents.len() >= MAX_PLACES {
            self.parents.pop_first();
        }
        let parent = text("parent_id").filter(|_| THREADS.contains(&kind));
        self.parents
            .insert(id.to_owned(), parent.map(str::to_owned));
    }

    /// Whether it is known what a channel is.
    pub(super) fn knows(&self, channel: &str) -> bool {
        self.parents.contains_key(channel)
    }

    /// Where a message of this channel was written.
    pub(super) fn target(&self, channel: &str) -> Target {
        let parent = self.parents.get(channel).and_then(Option::as_ref);
        Target {
            chat: parent.map_or(channel, String::as_str).to_owned(),
            thread: parent.map(|_| channel.to_owned()),
        }
    }
}

/// The message of an event; `None` where it is none for us. `me` is our own id.
pub(super) fn inbound(data: Value, me: &str) -> Option<Inbound> {
    let message: Message = match serde_json::from_value(data) {
        Ok(message) => message,
        // One that nobody understands must not hold up those behind it.
        Err(error) => {
            tracing::warn!(%error, "a message of Discord cannot be read");
            return None;
        }
    };
    let author = message.author.as_ref()?;
    // Bots do not talk with each other for ever; joins, pins and the like are no messages.
    let is_talk = matches!(message.kind, 0 | 19);
    if author.bot || message.webhook_id.is_some() || author.id == me || !is_talk {
        return None;
    }
    let kind = if message.guild_id.is_some() {
        ChatKind::Group
    } else {
        ChatKind::Direct
    };
    let answers_us = (message.answers.as_ref())
        .and_then(|to| to.author.as_ref())
        .is_some_and(|to| to.id == me);
    let named = message.mentions.iter().any(|user| user.id == me);
    let (text, files) = (content(&message, me), files(&message));
    if text.is_none() && files.is_empty() {
        return None;
    }
    let name = (message.member.as_ref())
        .and_then(|member| member.nick.clone())
        .or_else(|| author.global_name.clone());
    Some(Inbound {
        id: message.id.clone(),
        message_id: Some(message.id.clone()),
        chat: Target {
            chat: message.channel_id.clone(),
            thread: None,
        },
        kind,
        title: None,
        space: message.guild_id.clone(),
        sender: Sender {
            id: author.id.clone(),
            name,
            username: author.username.clone(),
        },
        roles: (message.member.as_ref()).map_or_else(Vec::new, |member| member.roles.clone()),
        mentioned: kind == ChatKind::Direct || named || answers_us,
        text: text.unwrap_or_default(),
        quote: quote(&message, me),
        files,
        at: written(&message),
    })
}

/// When it was written; the id says so as well.
fn written(message: &Message) -> i64 {
    const EPOCH: i64 = 1_420_070_400_000;
    let told = message.timestamp.as_deref();
    let told = told.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    told.map(jiff::Timestamp::as_millisecond)
        .or_else(|| Some((message.id.parse::<i64>().ok()? >> 22) + EPOCH))
        .unwrap_or_default()
}

/// What was said, with people by their names; what has no bytes that could be read is named.
fn content(message: &Message, me: &str) -> Option<String> {
    let mut text = message.content.clone();
    for mark in [format!("<@{me}>"), format!("<@!{me}>")] {
        let plain = text.replace(&mark, "");
        text = plain;
    }
    for user in &message.mentions {
        let name = user.global_name.as_ref().or(user.username.as_ref());
        let name = format!("@{}", name.unwrap_or(&user.id));
        text = text
            .replace(&format!("<@{}>", user.id), &name)
            .replace(&format!("<@!{}>", user.id), &name);
    }
    let mut parts: Vec<String> = Vec::new();
    if !message.sticker_items.is_empty() {
        parts.push("[sticker]".to_owned());
    }
    let text = text.trim();
    if !text.is_empty() {
        parts.push(text.to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// What came with it.
fn files(message: &Message) -> Vec<Attached> {
    let files = message.attachments.iter().map(|file| Attached {
        id: file.url.clone().unwrap_or_default(),
        what: match file.content_type.as_deref() {
            Some(mime) if mime.starts_with("image/") => "picture".to_owned(),
            Some(mime) if mime.starts_with("audio/") => "audio file".to_owned(),
            Some(mime) if mime.starts_with("video/") => "video".to_owned(),
            _ => "document".to_owned(),
        },
        name: file.filename.clone(),
        mime: file.content_type.clone(),
        bytes: file.size,
    });
    files.collect()
}

/// The message that it answers, in short.
fn quote(message: &Message, me: &str) -> Option<Quote> {
    let quoted = message.answers.as_deref()?;
    let text = content(quoted, me)?;
    let by = quoted.author.as_ref()?;
    let name = by.global_name.as_ref().or(by.username.as_ref());
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Some(Quote {
        by: name.unwrap_or(&by.id).clone(),
        text: short,
    })
}

/// The channel that a message to this place goes to: a thread is a channel of its own.
pub(super) fn channel(to: &Target) -> &str {
    to.thread.as_deref().unwrap_or(&to.chat)
}

/// Words of ours. They never call anybody but who is answered.
pub(super) fn words(text: &str) -> Value {
    json!({ "content": text, "allowed_mentions": { "parse": [], "replied_user": true } })
}

/// The body of a message.
pub(super) fn outbound(piece: &Piece) -> Value {
    let mut body = words(&piece.text);
    if let Some(id) = &piece.reply_to {
        body["message_reference"] = json!({ "message_id": id, "fail_if_not_exists": false });
    }
    if piece.silent {
        body["flags"] = SILENT.into();
    }
    body
}
