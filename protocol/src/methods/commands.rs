//! `commands.list`: what a message can begin with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chat::ChatCommand;
use super::common::{MAX_ID, MAX_SESSION_KEY};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The commands that a message can begin with.
    CommandsList => "commands.list", Access::Operator(Scope::Read), read, CommandsListParams => CommandsListResult;
}

/// Parameters of `commands.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandsListParams {
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub agent_id: Option<String>,
    /// The channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub provider: Option<String>,
    /// Which of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<CommandScope>,
    /// With what may follow each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_args: Option<bool>,
}

/// Where a command works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CommandScope {
    /// In a message.
    Text,
    /// In a channel's own menu.
    Native,
    /// In both.
    Both,
}

/// The commands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandsListResult {
    /// In the order of `/help`.
    pub commands: Vec<ChatCommand>,
}

/// What may follow a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandArg {
    /// Its name.
    pub name: String,
    /// What it says.
    pub description: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: CommandArgKind,
    /// Whether it has to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// What it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<CommandArgChoice>>,
    /// Whether what it can be depends on the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic: Option<bool>,
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CommandArgKind {
    /// A text.
    String,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
}

/// A value that an argument can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandArgChoice {
    /// What is written.
    pub value: String,
    /// What it is called.
    pub label: String,
}
