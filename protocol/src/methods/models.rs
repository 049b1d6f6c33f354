//! `models.list`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::MAX_ID;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The models that can be chosen.
    ModelsList => "models.list", Access::Operator(Scope::Read), read, ModelsListParams => ModelsListResult;
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
