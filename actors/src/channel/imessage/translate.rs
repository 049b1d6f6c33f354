//! Messages of the Mac as ours, and ours as its. Pure.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::channel::{Attached, ChatKind, Inbound, Sender, Target};

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) id: i64,
    /// Where a watch goes on behind it.
    pub(super) cursor: Option<i64>,
    pub(super) chat_id: i64,
    chat_identifier: Option<String>,
    chat_guid: Option<String>,
    chat_name: Option<String>,
    #[serde(default)]
    is_group: bool,
    guid: Option<String>,
    pub(super) reply_to_guid: Option<String>,
    sender: Option<String>,
    sender_name: Option<String>,
    #[serde(default)]
    pub(super) is_from_me: bool,
    #[serde(default)]
    text: String,
    created_at: Option<String>,
    #[serde(default)]
    is_reaction: bool,
    poll: Option<Poll>,
    #[serde(default)]
    attachments: Vec<Attachment>,
}

#[derive(Debug, Deserialize)]
struct Poll {
    kind: Option<String>,
    question: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Attachment {
    transfer_name: Option<String>,
    mime_type: Option<String>,
    byte_size: Option<u64>,
    path: Option<String>,
    #[serde(default)]
    missing: bool,
    #[serde(default)]
    is_sticker: bool,
}

/// What a message is known by that is a file of this name.
pub(super) fn file_mark(name: &str) -> String {
    format!("\u{fffc} {name}")
}

impl Message {
    /// Reads one; in words why it cannot be read, without what was written.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        Self::deserialize(value).map_err(|error| error.to_string())
    }

    /// Its id, the same on every delivery.
    pub(super) fn key(&self) -> String {
        let guid = self.guid.clone().filter(|guid| !guid.is_empty());
        guid.unwrap_or_else(|| format!("{}:{}", self.chat_id, self.id))
    }

    /// All names of its chat, as targets have them.
    pub(super) fn chats(&self) -> Vec<String> {
        let mut chats = vec![self.chat_id.to_string()];
        if let Some(own) = &self.chat_identifier {
            chats.extend([handle(own), format!("chat_identifier:{own}")]);
        }
        if let Some(own) = &self.chat_guid {
            chats.push(format!("chat_guid:{own}"));
        }
        chats
    }

    /// What it is known by when it is one of ours: its words, or its file where it has none.
    pub(super) fn mark(&self) -> String {
        let text = self.text.replace('\u{fffc}', "");
        self.file()
            .filter(|_| text.trim().is_empty())
            .unwrap_or(text)
    }

    /// What its file is known by when it is one of ours.
    pub(super) fn file(&self) -> Option<String> {
        let file = self.attachments.first()?.transfer_name.as_deref()?;
        Some(file_mark(file))
    }

    /// When it was written, milliseconds since the epoch.
    pub(super) fn at(&self) -> Option<i64> {
        let written = self.created_at.as_deref()?.parse::<jiff::Timestamp>();
        written.ok().map(jiff::Timestamp::as_millisecond)
    }

    /// As a message; `None` where it is nothing that is answered. `groups` are chats that count as groups
    /// whatever Messages says; `answers_us` says that it answers one of ours.
    pub(super) fn inbound(
        self,
        groups: &BTreeSet<String>,
        with_files: bool,
        answers_us: bool,
    ) -> Option<Inbound> {
        let is_vote =
            (self.poll.as_ref()).is_some_and(|poll| poll.kind.as_deref() != Some("created"));
        let sender = handle(self.sender.as_deref().unwrap_or_default());
        if self.is_reaction || is_vote || sender.is_empty() {
            return None;
        }
        let chat = self.chat_id.to_string();
        let kind = if self.is_group || groups.contains(&chat) {
            ChatKind::Group
        } else {
            ChatKind::Direct
        };
        let files = if with_files { self.files() } else { Vec::new() };
        let text = self.words(with_files);
        if text.is_empty() && files.is_empty() {
            return None;
        }
        let at = self.at().unwrap_or_default();
        Some(Inbound {
            roles: Vec::new(),
            id: self.key(),
            message_id: self.guid.clone(),
            chat: Target {
                chat: match kind {
                    // A number without a country (a bank's, say) reads like the number of a chat.
                    ChatKind::Direct
                        if sender.starts_with('+') || sender.parse::<u32>().is_err() =>
                    {
                        sender.clone()
                    }
                    ChatKind::Direct | ChatKind::Group => chat,
                },
                thread: None,
            },
            kind,
            title: self.chat_name.filter(|name| !name.is_empty()),
            space: None,
            sender: Sender {
                id: sender,
                name: self.sender_name,
                username: None,
            },
            text,
            quote: None,
            files,
            mentioned: kind == ChatKind::Direct || answers_us,
            at,
        })
    }

    fn words(&self, with_files: bool) -> String {
        // What stands in a text where a file is.
        let text = self.text.replace('\u{fffc}', "");
        let mut parts = Vec::new();
        if let Some(question) = self.poll.as_ref().and_then(|poll| poll.question.as_deref()) {
            parts.push(format!("[poll: {question}]"));
        }
        if !with_files && !self.attachments.is_empty() {
            parts.push("[file]".to_owned());
        }
        if !text.trim().is_empty() {
            parts.push(text.trim().to_owned());
        }
        parts.join(" ")
    }

    fn files(&self) -> Vec<Attached> {
        let there = self.attachments.iter().filter(|file| !file.missing);
        there
            .filter_map(|file| {
                let mime = file.mime_type.as_deref().unwrap_or_default();
                let what = match mime.split('/').next() {
                    _ if file.is_sticker => "sticker",
                    Some("image") => "picture",
                    Some("audio") => "audio file",
                    Some("video") => "video",
                    _ => "document",
                };
                Some(Attached {
                    id: file.path.clone()?,
                    what: what.to_owned(),
                    name: file.transfer_name.clone(),
                    mime: file.mime_type.clone(),
                    bytes: file.byte_size,
                })
            })
            .collect()
    }
}

/// Somebody's number or address, as it can be compared; empty where it is neither.
pub(super) fn handle(written: &str) -> String {
    let written = written.trim();
    let bare = ["imessage:", "sms:", "tel:", "mailto:"]
        .iter()
        .find_map(|word| {
            let head = written.get(..word.len())?;
            head.eq_ignore_ascii_case(word)
                .then(|| written[word.len()..].trim())
        });
    let written = bare.unwrap_or(written);
    if written.contains('@') {
        return written.to_lowercase();
    }
    let digits: String = written
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')'))
        .collect();
    digits
}

/// Somebody, or a chat, as it is written. Gives back how we write it: a handle, the number of a chat, or
/// `chat_guid:...` and `chat_identifier:...`.
pub fn place(written: &str) -> Option<String> {
    let written = super::super::policy::plain_id("imessage", written);
    for word in ["chat_guid:", "chat_identifier:"] {
        if let Some(id) = written.strip_prefix(word) {
            return (!id.trim().is_empty()).then(|| format!("{word}{}", id.trim()));
        }
    }
    if let Some(id) = written.strip_prefix("chat_id:") {
        return id.trim().parse::<u32>().ok().map(|id| id.to_string());
    }
    let handle = handle(written);
    let digits = handle.strip_prefix('+').unwrap_or(&handle);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = handle
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    (is_number || is_address).then_some(handle)
}

/// A chat that exists, for what is done with its messages.
pub(super) fn chat(to: &Target) -> Value {
    let chat = &to.chat;
    if let Some(id) = chat.strip_prefix("chat_guid:") {
        return json!({ "chat_guid": id });
    }
    if let Some(id) = chat.strip_prefix("chat_identifier:") {
        return json!({ "chat_identifier": id });
    }
    match chat.parse::<u32>() {
        // A number with a plus is somebody's.
        Ok(id) if !chat.starts_with('+') => json!({ "chat_id": id }),
        _ => json!({ "chat_identifier": chat }),
    }
}

/// Where a message goes: a chat, or somebody.
pub(super) fn recipient(to: &Target, service: Option<&str>, region: Option<&str>) -> Value {
    let mut params = chat(to);
    let is_handle = params.get("chat_identifier").is_some() && !to.chat.starts_with("chat_");
    if is_handle {
        params = json!({ "to": to.chat });
        if let Some(service) = service {
            params["service"] = service.into();
        }
        if let Some(region) = region {
            params["region"] = region.into();
        }
    }
    params
}
