//! `send`, `poll` and `message.action`: messages to channels, without an agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::{MAX_ID, MAX_IDEMPOTENCY_KEY, MAX_MESSAGE, MAX_SESSION_KEY, MAX_TEXT};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Sends a message.
    Send => "send", Access::Operator(Scope::Write), effect, SendParams => SendResult;
    /// Asks people to choose.
    Poll => "poll", Access::Operator(Scope::Write), effect, PollParams => SendResult;
    /// Does something with messages of a channel: send, react, edit, delete, pin, unpin, poll.
    MessageAction => "message.action", Access::Operator(Scope::Write), effect, MessageActionParams => MessageActionResult;
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

/// Parameters of `poll`; any other key is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PollParams {
    /// Recipient on the channel.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub to: String,
    /// The question.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub question: String,
    /// What can be chosen.
    #[schemars(length(min = 2, max = 12), inner(length(min = 1, max = MAX_TEXT)))]
    pub options: Vec<String>,
    /// Most options that one person can choose; one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 12))]
    pub max_selections: Option<u32>,
    /// How long it is open, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub duration_seconds: Option<u64>,
    /// The same in hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub duration_hours: Option<u64>,
    /// Without notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// Whether nobody sees who chose what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_anonymous: Option<bool>,
    /// Thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub thread_id: Option<String>,
    /// The channel; needed when more than one could be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub channel: Option<String>,
    /// Account on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
    /// The same key is never carried out twice.
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: String,
}

/// Parameters of `message.action`; any other key is refused. What a client says of who asks is not
/// believed: that is its connection's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageActionParams {
    /// The channel.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: String,
    /// What is done.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub action: String,
    /// With what: `target`, `message`, `messageId`, `emoji`, ...
    pub params: Map<String, Value>,
    /// The message that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<MessageReply>,
    /// Account on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
    /// Not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub requester_account_id: Option<String>,
    /// Not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub requester_sender_id: Option<String>,
    /// Not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_is_owner: Option<bool>,
    /// Session whose transcript records what is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// Its transcript; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub session_id: Option<String>,
    /// What began the turn; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound_turn_kind: Option<InboundTurnKind>,
    /// The agent that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Where the turn takes place; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_context: Option<MessageToolContext>,
    /// Who reads; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_read_origin: Option<ReadOrigin>,
    /// The same key is never carried out twice.
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: String,
}

/// The message that is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageReply {
    /// It.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub reply_to_id: String,
    /// Who says so.
    pub source: ReplySource,
    /// For which messages of the turn, where the turn implies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ReplyMode>,
}

/// Who says which message is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplySource {
    /// Somebody chose it.
    Explicit,
    /// The turn implies it.
    Implicit,
}

/// For which messages of a turn an answer is implied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplyMode {
    /// The first.
    First,
    /// Every one.
    All,
}

/// What began a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InboundTurnKind {
    /// Somebody asked.
    UserRequest,
    /// Something happened.
    RoomEvent,
}

/// Who reads a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReadOrigin {
    /// A person, with a client.
    DirectOperator,
}

/// Where a turn takes place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageToolContext {
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_channel_id: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_messaging_target: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_graph_channel_id: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_channel_provider: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_thread_ts: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_message_id: Option<Value>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to_mode: Option<ReplyToMode>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_replied_ref: Option<HasReplied>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_channel_thread_required: Option<bool>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_cross_context_decoration: Option<bool>,
}

/// Which messages of a turn answer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplyToMode {
    /// None.
    Off,
    /// The first.
    First,
    /// Every one.
    All,
    /// Those that come together.
    Batched,
}

/// Whether a turn answered already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HasReplied {
    /// Whether it did.
    pub value: bool,
}

/// Something was done with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageActionResult {
    /// The request's idempotency key.
    pub run_id: String,
    /// Whether it was done; an error says it otherwise.
    pub ok: bool,
    /// The channel.
    pub channel: String,
    /// What was done.
    pub action: String,
    /// The message that it was done with, or that arose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Chat on the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
}
