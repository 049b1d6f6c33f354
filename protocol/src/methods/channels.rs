//! `channels.*`: the accounts on channels, and who may write to them.

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
    /// Starts an account.
    ChannelsStart => "channels.start", Access::Operator(Scope::Admin), effect, ChannelParams => ChannelsStartResult;
    /// Stops an account until it is started, or the gateway is.
    ChannelsStop => "channels.stop", Access::Operator(Scope::Admin), effect, ChannelParams => ChannelsStopResult;
    /// Stops an account and forgets what is kept of it.
    ChannelsLogout => "channels.logout", Access::Operator(Scope::Admin), effect, ChannelParams => ChannelsLogoutResult;
    /// Who asks to write to an account.
    ChannelsPairingList => "channels.pairing.list", Access::Operator(Scope::Pairing), read, ChannelsPairingListParams => ChannelsPairingListResult;
    /// Lets somebody write to an account.
    ChannelsPairingApprove => "channels.pairing.approve", Access::Operator(Scope::Pairing), effect, ChannelsPairingApproveParams => ChannelsPairingApproveResult;
    /// Forgets that somebody asked.
    ChannelsPairingDismiss => "channels.pairing.dismiss", Access::Operator(Scope::Pairing), effect, ChannelsPairingDismissParams => ChannelsPairingDismissResult;
    /// Takes back that somebody may write to an account. A method of this gateway's own.
    ChannelsPairingRemove => "channels.pairing.remove", Access::Operator(Scope::Pairing), effect, ChannelsPairingRemoveParams => ChannelsPairingRemoveResult;
}

/// Which account is meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelParams {
    /// The channel.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: String,
    /// The account; the channel's default one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
}

/// An account was told to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsStartResult {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// Whether it runs now.
    pub started: bool,
    /// What came of it: `started`, `already-running`.
    pub outcome: String,
}

/// An account is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsStopResult {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// Whether nothing of it lives any more.
    pub stopped: bool,
}

/// An account is stopped and forgotten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsLogoutResult {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// Whether what was kept of it is gone.
    pub cleared: bool,
    /// Whether it cannot connect any more without a new login.
    pub logged_out: bool,
    /// Whether its secret is in the configuration or the environment still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_token: Option<bool>,
    /// What is left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Parameters of `channels.pairing.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsPairingListParams {
    /// Only this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: Option<String>,
    /// Only this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub account_id: Option<String>,
}

/// Who asks to write, where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsPairingListResult {
    /// The accounts that ask strangers to pair.
    pub accounts: Vec<PairingAccount>,
    /// The requests that wait, oldest first.
    pub requests: Vec<PairingRequest>,
    /// Whether somebody may give commands anywhere.
    pub command_owner_configured: bool,
    /// Bounds of requests.
    pub limits: PairingLimits,
}

/// An account that asks strangers to pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingAccount {
    /// The channel.
    pub channel: String,
    /// Its name for people.
    pub channel_label: String,
    /// The account.
    pub account_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_label: Option<String>,
    /// Whether an approved person can be told.
    pub notify_supported: bool,
}

/// A request that waits for its owner's word. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingRequest {
    /// Its id; the code is for the command line.
    pub request_id: String,
    /// The channel.
    pub channel: String,
    /// Its name for people.
    pub channel_label: String,
    /// The account.
    pub account_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_label: Option<String>,
    /// Who asks, by the platform's id.
    pub sender_id: String,
    /// What they call themselves.
    pub sender_label: String,
    /// What else is known of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// When they first wrote.
    pub created_at: String,
    /// When they last wrote.
    pub last_seen_at: String,
    /// Until when it can be approved.
    pub expires_at: String,
    /// Whether they can be told.
    pub notify_supported: bool,
}

/// Bounds of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingLimits {
    /// Most that wait for one account.
    pub pending_per_account: u32,
    /// How long one lives, milliseconds.
    pub ttl_ms: u64,
}

/// Parameters of `channels.pairing.approve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelsPairingApproveParams {
    /// The channel.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: String,
    /// The account.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub account_id: String,
    /// The request's id, or the code that the stranger was told.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub request_id: String,
    /// Tell them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<bool>,
    /// Make them the owner of commands, if there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_command_owner: Option<bool>,
}

/// Somebody may write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsPairingApproveResult {
    /// The request.
    pub request_id: String,
    /// Who may write.
    pub sender_id: String,
    /// Whether they are told.
    pub notification: PairingNotification,
    /// Whether they became the owner of commands.
    pub command_owner_bootstrap: CommandOwnerBootstrap,
}

/// Whether an approved person is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PairingNotification {
    /// Nobody asked for it.
    NotRequested,
    /// They are.
    Sent,
    /// The channel cannot.
    Unsupported,
    /// They could not be.
    Failed,
}

/// Whether an approved person became the owner of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommandOwnerBootstrap {
    /// Nobody asked for it.
    NotRequested,
    /// They did.
    Configured,
    /// There is one.
    AlreadyConfigured,
    /// The configuration cannot be written.
    Unavailable,
}

/// Parameters of `channels.pairing.dismiss`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelsPairingDismissParams {
    /// The channel.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: String,
    /// The account.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub account_id: String,
    /// The request.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub request_id: String,
}

/// A request is forgotten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsPairingDismissResult {
    /// It.
    pub request_id: String,
    /// Who had asked.
    pub sender_id: String,
}

/// Parameters of `channels.pairing.remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelsPairingRemoveParams {
    /// The channel.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: String,
    /// The account; the channel's default one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
    /// Who was approved, by the platform's id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub sender_id: String,
}

/// Somebody may no longer write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelsPairingRemoveResult {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account_id: String,
    /// Who.
    pub sender_id: String,
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
    /// When the platform was last heard, whatever it said, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transport_activity_at: Option<u64>,
    /// Where its secret comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_source: Option<String>,
    /// stopped, connecting, connected, backoff or parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Number of its newest connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// When it connects again by itself, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry_at: Option<u64>,
    /// Messages in that wait for their answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_inbound: Option<u64>,
    /// Messages out that wait to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_outbound: Option<u64>,
    /// Messages out that did not arrive, or of which nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undelivered: Vec<Undelivered>,
}

/// A message out that did not arrive. It is never sent again by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Undelivered {
    /// Names it.
    pub id: String,
    /// Where it was to go.
    pub to: String,
    /// When it was written, milliseconds since the epoch.
    pub at: u64,
    /// unknown (it may have arrived), refused or expired.
    pub state: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What wrote it.
    pub by: String,
}
