//! `health`, `status`, presence, heartbeat and the gateway's own facts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::common::EmptyParams;
use super::common::{
    AnyParams, MAX_ID, MAX_SESSION_KEY, MAX_TEXT, ModelDefaults, Nullable, OkResult,
};
use super::sessions::SessionRow;
use crate::method::Access;
use crate::presence::PresenceEntry;
use crate::scope::Scope;

crate::methods! {
    /// The health snapshot.
    Health => "health", Access::Open, read, HealthParams => HealthSummary;
    /// What runs, which sessions exist and how the heartbeat is set.
    Status => "status", Access::Operator(Scope::Read), read, AnyParams => StatusResult;
    /// Everyone present.
    SystemPresence => "system-presence", Access::Operator(Scope::Read), read, EmptyParams => Vec<PresenceEntry>;
    /// Reports a presence or queues a note for the agent.
    SystemEvent => "system-event", Access::Operator(Scope::Admin), effect, SystemEventParams => OkResult;
    /// The gateway's own key.
    GatewayIdentityGet => "gateway.identity.get", Access::Operator(Scope::Read), read, EmptyParams => GatewayIdentity;
}

/// Parameters of `health`: anything is accepted, and only `probe` is looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HealthParams {
    /// Ask for a fresh snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<bool>,
}

impl<'de> Deserialize<'de> for HealthParams {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let params = Value::deserialize(deserializer)?;
        Ok(Self {
            probe: params.get("probe").and_then(Value::as_bool),
        })
    }
}

impl JsonSchema for HealthParams {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HealthParams".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "description": "Anything; only `probe: boolean` is looked at." })
    }
}

/// The health snapshot: result of `health` and payload of the event of that name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthSummary {
    /// Whether the gateway can do its work.
    pub ok: bool,
    /// Why not, and what to do, when `ok` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was taken, milliseconds since the epoch.
    pub ts: u64,
    /// How long taking it took, milliseconds.
    pub duration_ms: u64,
    /// Plugins; there are none.
    pub plugins: HealthPlugins,
    /// Whether changes of the config file are picked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_reload: Option<ConfigReload>,
    /// State of each channel by id.
    pub channels: BTreeMap<String, Value>,
    /// Channel ids in the order to show.
    pub channel_order: Vec<String>,
    /// Names for people by channel id.
    pub channel_labels: BTreeMap<String, String>,
    /// Interval of the default agent's heartbeat, seconds; 0 is off.
    pub heartbeat_seconds: u64,
    /// The agent of a message that names none.
    pub default_agent_id: String,
    /// Each agent.
    pub agents: Vec<AgentHealth>,
    /// The default agent's sessions.
    pub sessions: SessionsDigest,
    /// What is let go of because memory is short; absent while nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<HealthLoad>,
}

/// How short memory is, and what is let go of because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthLoad {
    /// How short it is.
    pub state: LoadState,
    /// Bytes in use.
    pub resident_bytes: u64,
    /// Bytes that may be.
    pub limit_bytes: u64,
    /// What is let go of: `presence` (nobody is told who came and went), `runs` (none begins).
    pub sheds: Vec<String>,
}

/// How short memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LoadState {
    /// Above three quarters of the limit.
    High,
    /// Above nine tenths of it.
    Full,
}

/// Plugins as the health snapshot lists them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthPlugins {
    /// Loaded plugins.
    #[serde(default)]
    pub loaded: Vec<String>,
    /// Plugins that failed.
    #[serde(default)]
    pub errors: Vec<Value>,
}

/// Whether changes of the config file are picked up; official clients know no more keys here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigReload {
    /// The state.
    pub hot_reload_status: HotReloadStatus,
}

/// Which configuration is in force, and what of the file is not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigState {
    /// Whether changes of the file are picked up.
    pub hot_reload_status: HotReloadStatus,
    /// Which configuration is in force: 1 is the one of the start.
    pub generation: u64,
    /// What is wrong with the file as it is now; what was in force before still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Changed settings that only a restart applies, as paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_restart: Vec<String>,
}

/// Whether changes of the config file are picked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HotReloadStatus {
    /// They are.
    Active,
    /// A restart is needed.
    #[default]
    Disabled,
}

/// One agent in the health snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHealth {
    /// Its id.
    pub agent_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether messages that name no agent go to it.
    pub is_default: bool,
    /// Its heartbeat.
    pub heartbeat: HeartbeatConfig,
    /// Its sessions.
    pub sessions: SessionsDigest,
}

/// How an agent's heartbeat is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// Interval as configured, e.g. `30m`; `disabled` when off.
    pub every: String,
    /// Interval, milliseconds; null when off.
    pub every_ms: Nullable<u64>,
    /// What the agent is asked.
    pub prompt: String,
    /// Where the answer goes.
    pub target: String,
    /// Model, when it differs from the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Answers up to this many characters count as "nothing to say".
    pub ack_max_chars: u64,
}

/// Number of sessions and the latest of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsDigest {
    /// Where they are stored.
    pub path: String,
    /// How many there are.
    pub count: u64,
    /// The latest, newest first.
    pub recent: Vec<RecentSession>,
}

/// One of the latest sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentSession {
    /// Session key.
    pub key: String,
    /// Last change, milliseconds since the epoch.
    pub updated_at: Nullable<u64>,
    /// Milliseconds since then.
    pub age: Nullable<u64>,
}

/// What runs, which sessions exist and how the heartbeat is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusResult {
    /// Version of the gateway.
    pub runtime_version: String,
    /// Heartbeat of each agent.
    pub heartbeat: StatusHeartbeat,
    /// A line for people per channel.
    #[serde(default)]
    pub channel_summary: Vec<String>,
    /// Notes waiting for the next run of the main session.
    #[serde(default)]
    pub queued_system_events: Vec<String>,
    /// Sessions of all agents.
    pub sessions: StatusSessions,
    /// The process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<StatusGateway>,
}

/// The process that answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusGateway {
    /// Process id.
    pub pid: u32,
    /// Port it listens on.
    pub port: u16,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Open client connections.
    pub connections: u64,
    /// Runs under way.
    pub active_runs: u64,
    /// Memory of the process that is in use, bytes; absent where the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// What the limits refused, delayed and dropped since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitCounts>,
    /// Which configuration is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigState>,
    /// What a person should know of the database, although it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The gateway in the tailnet or on the internet, where tailscale is to serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tailscale: Option<Exposure>,
}

/// How tailscale serves the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// To whom.
    pub mode: ExposureMode,
    /// Its address there, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why it is not there, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// To whom tailscale serves the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ExposureMode {
    /// To the tailnet.
    Serve,
    /// To the internet.
    Funnel,
}

impl ExposureMode {
    /// Its word in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Funnel => "funnel",
        }
    }
}

/// What the limits refused, delayed and dropped since the start: one number per bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitCounts {
    /// Sockets refused because too many were open before their handshake.
    pub too_many_before_handshake: u64,
    /// Sockets refused because they came too fast.
    pub too_fast_connects: u64,
    /// Sockets closed because no `connect` came in time.
    pub handshake_timeouts: u64,
    /// Wrong tokens, passwords and setup codes.
    pub failed_attempts: u64,
    /// Clients locked out after too many of them.
    pub lockouts: u64,
    /// Connects refused because their client was locked out.
    pub refused_while_locked: u64,
    /// Refusals that were held back, to slow down guessing on this machine.
    pub delayed_answers: u64,
    /// Frames refused for their size.
    pub oversized_frames: u64,
    /// Frames refused because they were nested too deeply.
    pub deep_frames: u64,
    /// Frames refused because their connection sent too many a second.
    pub too_fast_requests: u64,
    /// Requests refused because too many were under way.
    pub busy_requests: u64,
    /// Connections closed because they went on sending what was refused.
    pub floods_closed: u64,
    /// Events dropped because their reader was too slow.
    pub dropped_events: u64,
    /// Events dropped for all readers of a worker thread that could not keep up.
    pub lagged_events: u64,
    /// Connections closed because they read too slowly.
    pub slow_closed: u64,
    /// Results of nodes that came after their invocation was over, or twice.
    #[serde(default)]
    pub late_node_results: u64,
}

/// Heartbeat of each agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusHeartbeat {
    /// The default agent.
    pub default_agent_id: String,
    /// Each agent.
    pub agents: Vec<AgentHeartbeat>,
}

/// One agent's heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHeartbeat {
    /// The agent.
    pub agent_id: String,
    /// Whether it runs.
    pub enabled: bool,
    /// Interval as configured.
    pub every: String,
    /// Interval, milliseconds; null when off.
    pub every_ms: Nullable<u64>,
}

/// Sessions of all agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusSessions {
    /// Where they are stored.
    pub paths: Vec<String>,
    /// How many there are.
    pub count: u64,
    /// The model of a session that names none.
    pub defaults: ModelDefaults,
    /// The latest of all agents.
    pub recent: Vec<StatusSession>,
    /// The same per agent.
    pub by_agent: Vec<AgentSessions>,
}

/// Sessions of one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentSessions {
    /// The agent.
    pub agent_id: String,
    /// Where they are stored.
    pub path: String,
    /// How many there are.
    pub count: u64,
    /// The latest, newest first.
    pub recent: Vec<StatusSession>,
}

/// One of the latest sessions, with its age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusSession {
    /// The session.
    #[serde(flatten)]
    pub row: SessionRow,
    /// Milliseconds since the last change.
    pub age: Nullable<u64>,
}

/// Parameters of `system-event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemEventParams {
    /// The note, or a presence line that begins with `Node:`. Up to 200 of them are shown to everyone.
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub text: String,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Value>,
    /// Session whose next run sees the note; the main session if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// Accepted for compatibility; ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<Value>,
    /// The device that reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub device_id: Option<String>,
    /// Its installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub instance_id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub host: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub ip: Option<String>,
    /// How it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub mode: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub version: Option<String>,
    /// Its operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub platform: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub device_family: Option<String>,
    /// Model of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub model_identifier: Option<String>,
    /// Seconds since a person used it; negative clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_input_seconds: Option<f64>,
    /// Why it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub reason: Option<String>,
    /// Roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = MAX_ID)))]
    pub roles: Option<Vec<String>>,
    /// Scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = MAX_ID)))]
    pub scopes: Option<Vec<String>>,
    /// Free tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = MAX_ID)))]
    pub tags: Option<Vec<String>>,
}

/// The gateway's own key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayIdentity {
    /// Lower-case hex SHA-256 of the raw key.
    pub device_id: String,
    /// Raw Ed25519 key, unpadded base64url.
    pub public_key: String,
}
