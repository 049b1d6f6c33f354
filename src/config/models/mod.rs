//! `models`: where models live and how to reach them.

mod error;
mod profiles;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::ModelConfigError;
pub use profiles::{AuthProfiles, Credential, ProfileKey};
pub use resolve::{ModelSources, ResolvedModel, choice, is_unconfigured, resolve};

use super::secrets::SecretInput;

/// `models`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Models {
    /// Whether configured providers add to the built-in ones or replace them.
    pub mode: CatalogMode,
    /// Providers by id.
    pub providers: BTreeMap<String, Provider>,
}

/// `models.mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CatalogMode {
    /// Added.
    #[default]
    Merge,
    /// Replaced: a provider that is not configured does not exist.
    Replace,
}

/// `models.providers.<id>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Provider {
    /// Address of its API; built in for known providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretInput>,
    /// How it authenticates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<ProviderAuth>,
    /// The API it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ModelApi>,
    /// Headers sent with every request.
    pub headers: BTreeMap<String, SecretInput>,
    /// Sends the key as `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_header: Option<bool>,
    /// Longest request, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295_u64))]
    pub timeout_seconds: Option<u64>,
    /// Most output tokens of models that do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u64>,
    /// Its models.
    pub models: Vec<Model>,
}

/// `models.providers.<id>.models[]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Model {
    /// Its id at the provider.
    pub id: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The API it speaks, when not the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ModelApi>,
    /// Its address, when not the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Its context window, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub context_window: Option<u64>,
    /// Most input tokens that are sent, when less than the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub context_tokens: Option<u64>,
    /// Most output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u64>,
    /// Whether it thinks.
    pub reasoning: bool,
    /// What it reads.
    pub input: Vec<Input>,
    /// What its tokens cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Headers for it alone.
    pub headers: BTreeMap<String, SecretInput>,
}

/// `models.providers.<id>.models[].cost`: dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Cost {
    /// Tokens read.
    #[schemars(range(min = 0))]
    pub input: f64,
    /// Tokens written.
    #[schemars(range(min = 0))]
    pub output: f64,
    /// Tokens read from the provider's cache.
    #[schemars(range(min = 0))]
    pub cache_read: f64,
    /// Tokens written to it.
    #[schemars(range(min = 0))]
    pub cache_write: f64,
}

/// What a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Input {
    Text,
    Image,
    Audio,
    Video,
    Document,
}

/// `models.providers.<id>.auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderAuth {
    /// A key.
    ApiKey,
    /// A bearer token.
    Token,
    /// A login in a browser; not supported here.
    Oauth,
    /// Amazon's credential chain; not supported here.
    AwsSdk,
}

/// `models.providers.<id>.api`. Upstream's whole list, so that its files load; four are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ModelApi {
    OpenaiCompletions,
    AnthropicMessages,
    Ollama,
    GoogleGenerativeAi,
    OpenaiResponses,
    OpenaiCodexResponses,
    OpenaiChatgptResponses,
    AzureOpenaiResponses,
    GoogleVertex,
    GithubCopilot,
    BedrockConverseStream,
    PiMessages,
}

impl ModelApi {
    /// Its name in the configuration.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|name| Some(name.as_str()?.to_owned()))
            .unwrap_or_default()
    }
}
