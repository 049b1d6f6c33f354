//! `channels.outbox.*`: messages that wait to be sent to a channel, and those that did not arrive. Our
//! own methods: nothing upstream lets a person decide about a message of which nobody knows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{MAX_ID, MAX_TEXT};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// What waits to be sent, and what did not arrive.
    ChannelsOutboxList => "channels.outbox.list", Access::Operator(Scope::Read), read, ChannelsOutboxListParams => ChannelsOutboxListResult;
    /// Sends a message again that did not arrive, or of which nobody knows.
    ChannelsOutboxResend => "channels.outbox.resend", Access::Operator(Scope::Write), effect, ChannelsOutboxParams => ChannelsOutboxResult;
    /// Forgets a message that did not arrive, or of which nobody knows.
    ChannelsOutboxDiscard => "channels.outbox.discard", Access::Operator(Scope::Write), effect, ChannelsOutboxParams => ChannelsOutboxResult;
}

/// Parameters of `channels.outbox.list`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsOutboxListParams {
    /// Only this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: Option<String>,
    /// Only this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub account_id: Option<String>,
}

/// Which message is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelsOutboxParams {
    /// Its id, as the list has it.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub id: String,
    /// The channel; every one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: Option<String>,
    /// The account; every one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub account_id: Option<String>,
}

/// What waits to be sent, and what did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsOutboxListResult {
    /// The messages, oldest first; of each account the newest 200.
    pub messages: Vec<OutboxMessage>,
}

/// A message that is not confirmed by its platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxMessage {
    /// Names it.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// Where it is to go.
    pub to: String,
    /// When it was written, milliseconds since the epoch.
    pub at: u64,
    /// queued, sending, unknown (it may have arrived), refused or expired.
    pub state: String,
    /// Why it did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What wrote it.
    pub by: String,
    /// Its text, at most 500 characters of it.
    pub text: String,
}

/// What was done with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsOutboxResult {
    /// It.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// Where it goes, or was to go.
    pub to: String,
    /// queued or discarded.
    pub outcome: String,
}
