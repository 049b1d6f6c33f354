//! What of the Bot API's types is used; everything that may be absent is optional.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Answer<T> {
    #[serde(default)]
    pub(super) ok: bool,
    pub(super) result: Option<T>,
    pub(super) description: Option<String>,
    pub(super) error_code: Option<u16>,
    pub(super) parameters: Option<Parameters>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    pub(super) retry_after: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) message_id: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Update {
    pub(super) update_id: i64,
    pub(super) message: Option<Message>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    pub(super) id: i64,
    #[serde(default)]
    pub(super) is_bot: bool,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) username: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Chat {
    pub(super) id: i64,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) title: Option<String>,
}

#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the Bot API"
)]
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) message_id: i64,
    pub(super) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(super) is_topic_message: bool,
    pub(super) from: Option<User>,
    pub(super) sender_chat: Option<Chat>,
    pub(super) chat: Chat,
    #[serde(default)]
    pub(super) date: i64,
    pub(super) reply_to_message: Option<Box<Message>>,
    pub(super) text: Option<String>,
    pub(super) caption: Option<String>,
    #[serde(default)]
    pub(super) entities: Vec<Entity>,
    #[serde(default)]
    pub(super) caption_entities: Vec<Entity>,
    pub(super) photo: Option<Vec<File>>,
    pub(super) document: Option<File>,
    pub(super) voice: Option<File>,
    pub(super) audio: Option<File>,
    pub(super) video: Option<File>,
    pub(super) sticker: Option<serde::de::IgnoredAny>,
    pub(super) location: Option<serde::de::IgnoredAny>,
    pub(super) contact: Option<serde::de::IgnoredAny>,
}

/// A file, or one size of a photo.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct File {
    #[serde(rename = "file_id")]
    pub(super) id: String,
    #[serde(rename = "file_name")]
    pub(super) name: Option<String>,
    #[serde(rename = "mime_type")]
    pub(super) mime: Option<String>,
    #[serde(rename = "file_size")]
    pub(super) size: Option<u64>,
    /// Where its bytes are, for an hour.
    #[serde(rename = "file_path")]
    pub(super) path: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entity {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) offset: usize,
    #[serde(default)]
    pub(super) length: usize,
    pub(super) user: Option<User>,
}
