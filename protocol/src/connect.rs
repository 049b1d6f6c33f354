//! The handshake: `connect.challenge`, `connect` and `hello-ok`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{ClientId, ClientMode};
use crate::presence::PresenceEntry;
use crate::scope::Scopes;

/// Payload of the `connect.challenge` event, the first frame of every socket.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Challenge {
    /// What the device has to sign; good for this socket only.
    pub nonce: String,
    /// The gateway's time, milliseconds since the epoch; clients copy it to `signedAt`.
    pub ts: u64,
}

/// Parameters of `connect`: the union of both generations. Unknown keys are ignored here, and
/// refused in `device` and `auth`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectParams {
    /// Oldest protocol the client speaks.
    #[schemars(range(min = 1))]
    pub min_protocol: u32,
    /// Newest protocol the client speaks.
    #[schemars(range(min = 1))]
    pub max_protocol: u32,
    /// The client program.
    pub client: ClientInfo,
    /// What the client can show or take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub caps: Vec<String>,
    /// Commands a node offers (a claim; the owner's approval decides).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub commands: Vec<String>,
    /// Permissions a node reports (a claim).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// A node's `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    /// `operator` (default) or `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub role: Option<String>,
    /// Scopes asked for, in the order that the device signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(length(min = 1)))]
    pub scopes: Option<Vec<String>>,
    /// The device's proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceClaim>,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthClaim>,
    /// The client's locale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The client's user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The client program behind a connection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientInfo {
    /// Which program.
    pub id: ClientId,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub display_name: Option<String>,
    /// Its version.
    #[schemars(length(min = 1))]
    pub version: String,
    /// Its build (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 96))]
    pub build_id: Option<String>,
    /// Its operating system.
    #[schemars(length(min = 1))]
    pub platform: String,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub device_family: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub model_identifier: Option<String>,
    /// IANA time zone (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// How it runs.
    pub mode: ClientMode,
    /// Identity of this installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub instance_id: Option<String>,
}

/// A device's claim to its identity; verified by [`crate::device`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceClaim {
    /// Lower-case hex SHA-256 of the raw public key.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Raw Ed25519 key as unpadded base64url (standard base64 and PEM are understood too).
    #[schemars(length(min = 1))]
    pub public_key: String,
    /// Signature over the payload string.
    #[schemars(length(min = 1))]
    pub signature: String,
    /// When it was signed, milliseconds since the epoch.
    pub signed_at: u64,
    /// The challenge's nonce; absent only in the oldest v3 clients, on the local machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// Credentials; which of them counts depends on the gateway's auth mode.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthClaim {
    /// The shared token, or a device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A one-time setup code's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_token: Option<String>,
    /// A device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// The shared password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Accepted for compatibility; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_runtime_token: Option<String>,
    /// Accepted for compatibility; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_runtime_identity_token: Option<String>,
}

impl std::fmt::Debug for AuthClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthClaim")
            .field("token", &self.token.is_some())
            .field("bootstrap_token", &self.bootstrap_token.is_some())
            .field("device_token", &self.device_token.is_some())
            .field("password", &self.password.is_some())
            .finish_non_exhaustive()
    }
}

/// Payload of the response that accepts a connection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelloOk {
    /// Always `hello-ok`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The negotiated protocol.
    pub protocol: u32,
    /// This gateway.
    pub server: ServerInfo,
    /// Exactly what is implemented.
    pub features: Features,
    /// State at the moment of registration.
    pub snapshot: Snapshot,
    /// What was granted. v3 clients get it only with a device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<GrantedAuth>,
    /// Limits.
    pub policy: Policy,
    /// Addresses of pages by their surface, such as `canvas`; they hold a capability (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_surface_urls: Option<BTreeMap<String, String>>,
    /// Where the canvas is (v3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canvas_host_url: Option<String>,
}

/// The gateway as a client sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// Version of the gateway.
    pub version: String,
    /// Identity of this process start (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Host name (v3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Identity of this connection.
    pub conn_id: String,
}

/// Lists of what is implemented.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Features {
    /// Methods.
    pub methods: Vec<String>,
    /// Events.
    pub events: Vec<String>,
    /// Contracts beyond methods and events (v4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// State at the moment of registration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Everyone present, newest first.
    pub presence: Vec<PresenceEntry>,
    /// The health snapshot.
    pub health: Value,
    /// Versions of the two.
    pub state_version: StateVersion,
    /// Milliseconds since the gateway started.
    pub uptime_ms: u64,
    /// How session keys are formed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_defaults: Option<SessionDefaults>,
    /// Path of the config file (admin only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// State directory (admin only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    /// Auth mode (v4, admin only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<String>,
}

/// Versions of presence and health; they never go back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateVersion {
    /// Version of the presence list.
    pub presence: u64,
    /// Version of the health snapshot.
    pub health: u64,
}

/// How session keys are formed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionDefaults {
    /// Agent of a key that names none.
    pub default_agent_id: String,
    /// Alias of the main session.
    pub main_key: String,
    /// Canonical key of the main session.
    pub main_session_key: String,
    /// `per-sender` or `global`.
    pub scope: String,
    /// Whether a model is configured (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_configured: Option<bool>,
}

/// What a connection was granted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantedAuth {
    /// The role.
    pub role: String,
    /// The scopes.
    pub scopes: Scopes,
    /// A device token for later connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// When the token was issued, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at_ms: Option<u64>,
    /// Tokens of further roles, which a setup code gives at once (v4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_tokens: Vec<IssuedDeviceToken>,
}

/// A device token of a further role.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedDeviceToken {
    /// The token.
    pub device_token: String,
    /// The role that it opens.
    pub role: String,
    /// What it gives.
    pub scopes: Scopes,
    /// When it was issued, milliseconds since the epoch.
    pub issued_at_ms: u64,
}

/// Limits that clients need to know.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Largest inbound frame, bytes.
    pub max_payload: u64,
    /// A client with more unread bytes than this is closed.
    pub max_buffered_bytes: u64,
    /// Interval of the `tick` event, milliseconds.
    pub tick_interval_ms: u64,
    /// What files may come with a message (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<AttachmentPolicy>,
}

/// How large files may be that come with a message. Which kinds are taken is said where one is
/// refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentPolicy {
    /// Any file, bytes.
    pub max_bytes: u64,
    /// A picture, bytes.
    pub max_image_bytes: u64,
}
