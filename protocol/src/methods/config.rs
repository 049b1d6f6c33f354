//! `config.*`: the configuration file, its schema, and changing it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{EmptyParams, MAX_INT, MAX_MESSAGE, MAX_TEXT, Nullable};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The config file and what became of it; secrets are redacted.
    ConfigGet => "config.get", Access::Operator(Scope::Read), read, EmptyParams => ConfigSnapshot;
    /// What the config may hold, as JSON Schema, with hints for forms.
    ConfigSchema => "config.schema", Access::Operator(Scope::Read), read, EmptyParams => ConfigSchemaResult;
    /// What one place of the config may hold, and what stands below it.
    ConfigSchemaLookup => "config.schema.lookup", Access::Operator(Scope::Read), read, ConfigSchemaLookupParams => ConfigSchemaLookupResult;
    /// Replaces the config file.
    ConfigSet => "config.set", Access::Operator(Scope::Admin), effect, ConfigSetParams => ConfigWriteResult;
    /// Replaces the config file; the same as `config.set`, because every change is in force at once.
    ConfigApply => "config.apply", Access::Operator(Scope::Admin), effect, ConfigApplyParams => ConfigWriteResult;
    /// Merges a JSON5 object into the config file.
    ConfigPatch => "config.patch", Access::Operator(Scope::Admin), effect, ConfigPatchParams => ConfigWriteResult;
}

/// Result of `config.schema`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSchemaResult {
    /// JSON Schema of the whole config.
    pub schema: Value,
    /// Hints by place: `*` stands for any key, `[]` for any entry of a list.
    pub ui_hints: BTreeMap<String, ConfigUiHint>,
    /// Version of the program that it belongs to.
    #[schemars(length(min = 1))]
    pub version: String,
    /// When it was made, RFC 3339.
    #[schemars(length(min = 1))]
    pub generated_at: String,
}

/// What a form needs to know of a place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigUiHint {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The section that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where it stands among its neighbours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// Whether it holds a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
}

/// Parameters of `config.schema.lookup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigSchemaLookupParams {
    /// The place, such as `agents.list[0].model`; `.` is the whole.
    #[schemars(length(min = 1, max = MAX_TEXT), regex(pattern = r"^[A-Za-z0-9_./\[\]\-*]+$"))]
    pub path: String,
}

/// One place of the config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSchemaLookupResult {
    /// The place.
    #[schemars(length(min = 1))]
    pub path: String,
    /// JSON Schema of it, without what is below.
    pub schema: Value,
    /// What a change of it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_kind: Option<ReloadKind>,
    /// What a form needs to know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<ConfigUiHint>,
    /// Where the hint stands in `uiHints` of `config.schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint_path: Option<String>,
    /// What stands below it.
    pub children: Vec<ConfigSchemaChild>,
}

/// A place below another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSchemaChild {
    /// Its key; `*` stands for any key or entry.
    #[schemars(length(min = 1))]
    pub key: String,
    /// The whole place.
    #[schemars(length(min = 1))]
    pub path: String,
    /// JSON Schema's `type`: a name, or several.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SchemaType>,
    /// Whether it has to be there.
    pub required: bool,
    /// Whether anything stands below it.
    pub has_children: bool,
    /// What a change of it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_kind: Option<ReloadKind>,
    /// What a form needs to know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<ConfigUiHint>,
    /// Where the hint stands in `uiHints` of `config.schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint_path: Option<String>,
}

/// JSON Schema's `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SchemaType {
    /// One.
    One(String),
    /// Any of these.
    Any(Vec<String>),
}

/// What a change of the config needs to be in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReloadKind {
    /// A restart.
    Restart,
    /// Nothing.
    Hot,
    /// It has no effect.
    None,
}

/// Parameters of `config.set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigSetParams {
    /// The new text, JSON5. Placeholders of `config.get` stand for the secrets that they hide.
    #[schemars(length(min = 1, max = MAX_MESSAGE))]
    pub raw: String,
    /// `hash` of the `config.get` that the text was made from; needed once there is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub base_hash: Option<String>,
}

/// Parameters of `config.apply`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigApplyParams {
    /// The new text, JSON5. Placeholders of `config.get` stand for the secrets that they hide.
    #[schemars(length(min = 1, max = MAX_MESSAGE))]
    pub raw: String,
    /// `hash` of the `config.get` that the text was made from; needed once there is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub base_hash: Option<String>,
    /// Taken and not used, as the next three: they belong to a restart, and a change needs none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub session_key: Option<String>,
    /// See `session_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_context: Option<BTreeMap<String, Value>>,
    /// See `session_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub note: Option<String>,
    /// See `session_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub restart_delay_ms: Option<u64>,
}

/// Parameters of `config.patch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigPatchParams {
    /// A JSON5 object: `null` removes a key, lists of objects with an `id` are merged by it.
    #[schemars(length(min = 1, max = MAX_MESSAGE))]
    pub raw: String,
    /// `hash` of the `config.get` that the patch was made for; needed once there is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub base_hash: Option<String>,
    /// Taken and not used, as the next three: they belong to a restart, and a change needs none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub session_key: Option<String>,
    /// See `session_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_context: Option<BTreeMap<String, Value>>,
    /// See `session_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub note: Option<String>,
    /// See `session_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub restart_delay_ms: Option<u64>,
    /// Lists that are replaced as a whole and may lose entries, as in `agents.list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = MAX_TEXT)))]
    pub replace_paths: Option<Vec<String>>,
}

/// What became of a change of the config; it is in force when this is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigWriteResult {
    /// Always true.
    pub ok: bool,
    /// True when nothing was to be changed, and nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noop: Option<bool>,
    /// The file.
    pub path: String,
    /// The values in use, secrets redacted.
    pub config: Value,
    /// `baseHash` of the next change.
    pub hash: String,
    /// The settings that changed.
    pub changed_paths: Vec<String>,
    /// The settings whose change is used from the next start on; not upstream's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_restart: Vec<String>,
    /// The file as it was before; not upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// What was lost of the text, and what is odd about the new one; not upstream's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
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
