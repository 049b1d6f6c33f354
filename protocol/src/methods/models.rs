//! `models.*`: which models there are, and whether a provider answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{MAX_ID, MAX_INT};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The models that can be chosen.
    ModelsList => "models.list", Access::Operator(Scope::Read), read, ModelsListParams => ModelsListResult;
    /// Which providers have what they need to be asked.
    ModelsAuthStatus => "models.authStatus", Access::Operator(Scope::Read), read, ModelsAuthStatusParams => ModelsAuthStatusResult;
    /// Asks one of a provider's models for a word, and says what is wrong when none comes.
    ModelsProbe => "models.probe", Access::Operator(Scope::Admin), effect, ModelsProbeParams => ModelsProbeResult;
}

/// Parameters of `models.authStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelsAuthStatusParams {
    /// Taken and not used: what is said is what is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<bool>,
    /// Taken and not used: every agent reaches a provider alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub agent_id: Option<String>,
}

/// Result of `models.authStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelsAuthStatusResult {
    /// When, milliseconds since the epoch.
    pub ts: u64,
    /// The providers of configured models, by name.
    pub providers: Vec<ProviderAuth>,
}

/// Whether a provider can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderAuth {
    /// The provider's id.
    pub provider: String,
    /// Whose credentials it takes: the same.
    pub auth_provider: String,
    /// Its name for people.
    pub display_name: String,
    /// Whether it has what it needs.
    pub status: ProviderAuthStatus,
    /// Sign-ins of people; there are none here, keys are configured.
    pub profiles: Vec<Value>,
    /// What is missing, and how to give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a provider has what it needs to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderAuthStatus {
    /// A key that does not expire, or it needs none.
    Static,
    /// Something is missing.
    Missing,
}

/// Parameters of `models.probe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelsProbeParams {
    /// The provider's id, as in `models.providers`.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub provider: String,
    /// Taken and not used: keys are chosen as runs choose them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub profile_id: Option<String>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_INT))]
    pub timeout_ms: Option<u64>,
    /// Taken and not used: every agent reaches a provider alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub agent_id: Option<String>,
}

/// Result of `models.probe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelsProbeResult {
    /// The provider's id.
    pub provider: String,
    /// What came of it.
    pub status: ProbeStatus,
    /// How long the answer took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What is wrong and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was asked.
    pub results: Vec<ProbeTarget>,
}

/// One model that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeTarget {
    /// The model, as `provider/model`.
    pub label: String,
    /// What came of it.
    pub status: ProbeStatus,
    /// How long the answer took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What is wrong and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What came of asking a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeStatus {
    /// It answers.
    Ok,
    /// It refuses the key, or there is none.
    Auth,
    /// It asks for patience.
    RateLimit,
    /// The account has no credit left.
    Billing,
    /// It takes too long.
    Timeout,
    /// What it answers is not its API.
    Format,
    /// Anything else; `error` says what.
    Unknown,
    /// The config names none of its models, or the provider does not know the one that it names.
    NoModel,
}

/// Parameters of `models.list`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelsListParams {
    /// The agent whose models are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Which of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<ModelsView>,
}

/// Which models are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelsView {
    /// Those that can be used now.
    Default,
    /// Those that the config names.
    Configured,
    /// Those that the config's providers list.
    ProviderConfig,
    /// All that are known.
    All,
}

/// The models that can be chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelsListResult {
    /// One row each.
    pub models: Vec<ModelChoice>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelChoice {
    /// Its id within the provider.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its provider.
    pub provider: String,
    /// Short name from the config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Whether it can be used now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<bool>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_reason: Option<UnavailableReason>,
    /// Context window, tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Whether it can think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// Whether it can call tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_tools: Option<bool>,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<ModelInput>>,
}

/// Why a model cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnavailableReason {
    /// No key is configured.
    MissingAuth,
    /// The key was refused.
    AuthFailed,
    /// The provider asked to wait.
    Cooldown,
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ModelInput {
    /// Text.
    Text,
    /// Images.
    Image,
    /// Audio.
    Audio,
    /// Video.
    Video,
    /// Documents.
    Document,
}
