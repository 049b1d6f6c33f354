//! `channels.status`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{MAX_ID, MAX_INT};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The state of every channel and account.
    ChannelsStatus => "channels.status", Access::Operator(Scope::Read), read, ChannelsStatusParams => ChannelsStatusResult;
}

/// Parameters of `channels.status`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsStatusParams {
    /// Ask the platforms themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<bool>,
    /// How long to wait for them, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub timeout_ms: Option<u64>,
    /// Only this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: Option<String>,
}

/// The state of every channel and account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsStatusResult {
    /// When it was taken, milliseconds since the epoch.
    pub ts: u64,
    /// Channel ids in the order to show.
    pub channel_order: Vec<String>,
    /// Names for people by channel id.
    pub channel_labels: BTreeMap<String, String>,
    /// Longer names by channel id.
    pub channel_detail_labels: BTreeMap<String, String>,
    /// Icon names by channel id.
    pub channel_system_images: BTreeMap<String, String>,
    /// The same as rows.
    pub channel_meta: Vec<ChannelMeta>,
    /// Summary by channel id.
    pub channels: BTreeMap<String, Value>,
    /// Accounts by channel id.
    pub channel_accounts: BTreeMap<String, Vec<ChannelAccount>>,
    /// Default account by channel id.
    pub channel_default_account_id: BTreeMap<String, String>,
}

/// Names of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMeta {
    /// Channel id.
    pub id: String,
    /// Name for people.
    pub label: String,
    /// Longer name.
    pub detail_label: String,
    /// Icon name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_image: Option<String>,
}

/// One account on a channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelAccount {
    /// Its id.
    pub account_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the config wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether its settings are complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured: Option<bool>,
    /// Whether the platform knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<bool>,
    /// Whether its actor runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// Whether it has a live connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Tries since the last connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_attempts: Option<u32>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_connected_at: Option<u64>,
    /// What failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// One word for its health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_state: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_start_at: Option<u64>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stop_at: Option<u64>,
    /// Last message in, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_inbound_at: Option<u64>,
    /// Last message out, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outbound_at: Option<u64>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_probe_at: Option<u64>,
    /// How it receives: polling, webhook, socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Who may write to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dm_policy: Option<String>,
    /// Who may write to it by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_from: Option<Vec<String>>,
    /// What the platform said about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Value>,
}
