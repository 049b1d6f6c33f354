//! `tools.catalog`, `tools.effective` and `tools.invoke`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::{MAX_ID, MAX_IDEMPOTENCY_KEY, MAX_SESSION_KEY};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Every tool that there is.
    ToolsCatalog => "tools.catalog", Access::Operator(Scope::Read), read, ToolsCatalogParams => ToolsCatalogResult;
    /// The tools that a run of the caller would have in a session.
    ToolsEffective => "tools.effective", Access::Operator(Scope::Read), read, ToolsEffectiveParams => ToolsEffectiveResult;
    /// Runs one tool.
    ToolsInvoke => "tools.invoke", Access::Operator(Scope::Write), effect, ToolsInvokeParams => ToolsInvokeResult;
}

/// Parameters of `tools.catalog`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolsCatalogParams {
    /// The agent; the default one when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Whether tools of plugins are wanted; there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_plugins: Option<bool>,
}

/// Every tool that there is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolsCatalogResult {
    /// The agent that was asked for.
    pub agent_id: String,
    /// The named sets of tools.
    pub profiles: Vec<ToolProfileRow>,
    /// The tools by subject.
    pub groups: Vec<CatalogGroup>,
}

/// A named set of tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolProfileRow {
    /// Its name in the configuration.
    pub id: String,
    /// Its name for people.
    pub label: String,
}

/// Tools of one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogGroup {
    /// The subject, as `group:ID` of the configuration.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// Where the tools come from: `core`.
    pub source: String,
    /// The tools.
    pub tools: Vec<CatalogTool>,
}

/// A tool of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogTool {
    /// Its name.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// What it does.
    pub description: String,
    /// Where it comes from: `core`.
    pub source: String,
    /// What it can do: `low`, `medium` or `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// The named sets that hold it.
    pub default_profiles: Vec<String>,
}

/// Parameters of `tools.effective`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolsEffectiveParams {
    /// The agent; the session's when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// The session.
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: String,
}

/// The tools of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolsEffectiveResult {
    /// The agent.
    pub agent_id: String,
    /// What its tools begin with.
    pub profile: String,
    /// The tools by where they come from.
    pub groups: Vec<EffectiveGroup>,
}

/// Tools of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectiveGroup {
    /// `core` or `mcp`.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// As `id`.
    pub source: String,
    /// The tools.
    pub tools: Vec<EffectiveTool>,
}

/// A tool of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveTool {
    /// Its name.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// What it does, in one sentence.
    pub description: String,
    /// What the model reads.
    pub raw_description: String,
    /// `core` or `mcp`.
    pub source: String,
    /// What it can do: `low`, `medium` or `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
}

/// Parameters of `tools.invoke`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolsInvokeParams {
    /// The tool.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub name: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// The session that it is run for; the main one when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// The agent; the session's when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// Whether the person confirmed the call; it takes the place of no approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<bool>,
    /// Names the request: with the same key the tool is run once, and asking again gives its result.
    /// Without one it is run each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: Option<String>,
    /// A hint of upstream's clients; ignored, the connection counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_read_origin: Option<String>,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolsInvokeResult {
    /// Whether it gave something back.
    pub ok: bool,
    /// The tool.
    pub tool_name: String,
    /// What it gave: `content`, and `details` of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Where it comes from: `core` or `mcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ToolFailure>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolFailure {
    /// `not_found` or `tool_failed`.
    pub code: String,
    /// In words.
    pub message: String,
}
