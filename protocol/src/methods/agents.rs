//! `agents.*` and `agent.identity.get`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EmptyParams, MAX_ID, MAX_MESSAGE, MAX_SESSION_KEY};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The configured agents.
    AgentsList => "agents.list", Access::Operator(Scope::Read), read, EmptyParams => AgentsListResult;
    /// The files of an agent's workspace that are part of its runs.
    AgentsFilesList => "agents.files.list", Access::Operator(Scope::Read), read, AgentsFilesListParams => AgentsFilesListResult;
    /// One of them, with its text.
    AgentsFilesGet => "agents.files.get", Access::Operator(Scope::Read), read, AgentsFilesGetParams => AgentsFilesGetResult;
    /// Writes one of them.
    AgentsFilesSet => "agents.files.set", Access::Operator(Scope::Admin), effect, AgentsFilesSetParams => AgentsFilesSetResult;
    /// Name and face of an agent.
    AgentIdentityGet => "agent.identity.get", Access::Operator(Scope::Read), read, AgentIdentityParams => AgentIdentityResult;
}

/// The configured agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentsListResult {
    /// The agent of a message that names none.
    pub default_id: String,
    /// Alias of the main session.
    pub main_key: String,
    /// Who shares a session.
    pub scope: SessionScope,
    /// Each agent; `model` is always there, web clients cannot send without it.
    pub agents: Vec<AgentSummary>,
}

/// Who shares a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionScope {
    /// Each sender has their own.
    PerSender,
    /// All share one.
    Global,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentSummary {
    /// Its id.
    pub id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<AgentIdentity>,
    /// Its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Its model.
    pub model: AgentModel,
    /// Thinking level of a message that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_default: Option<String>,
}

/// The face of an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentity {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Theme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// Emoji.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// Avatar as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// Where the avatar can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// The model of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentModel {
    /// `provider/model`.
    pub primary: String,
    /// What is tried when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Vec<String>>,
}

/// Parameters of `agent.identity.get`; the default agent if both are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentityParams {
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// A session of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
}

/// Name and face of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentIdentityResult {
    /// The agent.
    pub agent_id: String,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the name comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_source: Option<NameSource>,
    /// Avatar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// What `avatar` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_status: Option<AvatarStatus>,
    /// Emoji.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
}

/// Where an agent's name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NameSource {
    /// The config file.
    Config,
    /// The agent itself.
    Agent,
    /// Its folder.
    Workspace,
    /// Nothing was set.
    Default,
}

/// What an avatar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AvatarStatus {
    /// There is none.
    None,
    /// A local file.
    Local,
    /// An address.
    Remote,
    /// A data URL.
    Data,
}

/// Parameters of `agents.files.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFilesListParams {
    /// The agent.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: String,
}

/// The files of an agent's workspace that are part of its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFilesListResult {
    /// The agent.
    pub agent_id: String,
    /// Its workspace.
    pub workspace: String,
    /// The files, also those that are not there yet.
    pub files: Vec<AgentFile>,
}

/// One file of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentFile {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Whether it is not there.
    pub missing: bool,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Last change, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at_ms: Option<u64>,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Parameters of `agents.files.get`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFilesGetParams {
    /// The agent.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: String,
    /// The file, one of `agents.files.list`.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub name: String,
}

/// One file with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFilesGetResult {
    /// The agent.
    pub agent_id: String,
    /// Its workspace.
    pub workspace: String,
    /// The file.
    pub file: AgentFile,
}

/// Parameters of `agents.files.set`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentsFilesSetParams {
    /// The agent.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: String,
    /// The file, one of `agents.files.list`.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub name: String,
    /// All of its text.
    #[schemars(length(max = MAX_MESSAGE))]
    pub content: String,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentsFilesSetResult {
    /// Always true.
    pub ok: bool,
    /// The agent.
    pub agent_id: String,
    /// Its workspace.
    pub workspace: String,
    /// The file.
    pub file: AgentFile,
}
