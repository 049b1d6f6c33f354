//! `send`: one message to a channel, without an agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{MAX_ID, MAX_IDEMPOTENCY_KEY, MAX_MESSAGE, MAX_SESSION_KEY, MAX_TEXT};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Sends a message.
    Send => "send", Access::Operator(Scope::Write), effect, SendParams => SendResult;
}

/// Parameters of `send`, the union of both generations; any other key is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendParams {
    /// Recipient on the channel.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub to: String,
    /// The same key is never sent twice.
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: String,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: Option<String>,
    /// A file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub media_url: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = MAX_TEXT)))]
    pub media_urls: Option<Vec<String>>,
    /// A file as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<String>,
    /// Name of `buffer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub filename: Option<String>,
    /// MIME type of `buffer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub content_type: Option<String>,
    /// Send audio as a voice note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_voice: Option<bool>,
    /// Play video as a GIF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gif_playback: Option<bool>,
    /// The channel; needed when more than one could be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub channel: Option<String>,
    /// Account on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
    /// Agent whose bindings choose the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Message that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub reply_to_id: Option<String>,
    /// Thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub thread_id: Option<String>,
    /// Send media as a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_document: Option<bool>,
    /// Without notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// How the text is formatted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<ParseMode>,
    /// Session whose transcript records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
}

/// How a text is formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ParseMode {
    /// HTML.
    Html,
}

/// A message was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendResult {
    /// The request's idempotency key.
    pub run_id: String,
    /// Its id on the channel.
    pub message_id: String,
    /// The channel.
    pub channel: String,
    /// Chat on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// Channel within the channel's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// Conversation on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// Address on `whatsapp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_jid: Option<String>,
}
