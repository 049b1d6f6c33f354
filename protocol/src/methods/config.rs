//! `config.get`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{EmptyParams, Nullable};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The config file and what became of it; secrets are redacted.
    ConfigGet => "config.get", Access::Operator(Scope::Read), read, EmptyParams => ConfigSnapshot;
}

/// The config file and what became of it. Every secret in every part of it is redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSnapshot {
    /// The file.
    pub path: String,
    /// Whether it exists.
    pub exists: bool,
    /// Its text.
    pub raw: Nullable<String>,
    /// Its content.
    pub parsed: Value,
    /// Whether it can be used.
    pub valid: bool,
    /// The values in use, defaults included.
    pub config: Value,
    /// Identity of the text; changes when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What is wrong.
    pub issues: Vec<ConfigIssue>,
    /// What is odd.
    pub warnings: Vec<ConfigIssue>,
    /// What is outdated.
    pub legacy_issues: Vec<ConfigIssue>,
    /// Files that it includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_paths: Option<Vec<String>>,
    /// Hash of the text that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_config_hash: Option<String>,
}

/// One problem of the config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigIssue {
    /// Where, e.g. `gateway.port`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}
