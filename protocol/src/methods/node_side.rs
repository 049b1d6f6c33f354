//! What nodes tell the gateway, and what waits for them until they come by.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::{EmptyParams, MAX_ID, Nullable};
use crate::method::Access;
use crate::scope::Scope;

/// Most words that wake a device.
pub const MAX_TRIGGERS: usize = 32;
/// Longest of them, characters.
pub const MAX_TRIGGER: usize = 64;
/// Most skills or tools of a node.
const MAX_OFFERED: usize = 64;
/// Longest text of a skill, characters.
const MAX_SKILL: usize = 65_536;

crate::methods! {
    /// Something happened on a node, or it wants to follow a conversation.
    NodeEvent => "node.event", Access::Node, effect, NodeEventParams => NodeEventResult;
    /// Lets something wait for a node; kept over restarts.
    NodePendingEnqueue => "node.pending.enqueue", Access::Operator(Scope::Write), effect, NodePendingEnqueueParams => NodePendingEnqueueResult;
    /// Commands that a node could not carry out in the background; there are none.
    NodePendingPull => "node.pending.pull", Access::Node, read, EmptyParams => NodePendingPullResult;
    /// A node takes what waits for it.
    NodePendingDrain => "node.pending.drain", Access::Node, effect, NodePendingDrainParams => NodePendingDrainResult;
    /// A node has done what it took.
    NodePendingAck => "node.pending.ack", Access::Node, effect, NodePendingAckParams => NodePendingAckResult;
    /// A new address of a page that the gateway serves to nodes.
    NodePluginSurfaceRefresh => "node.pluginSurface.refresh", Access::Node, effect, NodePluginSurfaceRefreshParams => NodePluginSurfaceRefreshResult;
    /// The tools that a node offers to agents; none is used.
    NodePluginToolsUpdate => "node.pluginTools.update", Access::Node, effect, NodePluginToolsUpdateParams => NodePluginToolsUpdateResult;
    /// Whether a node runs workers; none is used.
    NodeRunnerInventoryUpdate => "node.runnerInventory.update", Access::Node, effect, NodeRunnerInventoryUpdateParams => NodeRunnerInventoryUpdateResult;
    /// The skills that a node offers to agents; none is used.
    NodeSkillsUpdate => "node.skills.update", Access::Node, effect, NodeSkillsUpdateParams => NodeSkillsUpdateResult;
    /// Programs that skills need on a node.
    SkillsBins => "skills.bins", Access::Node, read, EmptyParams => SkillsBinsResult;
    /// The words that wake a device.
    VoicewakeGet => "voicewake.get", Access::Operator(Scope::Read), read, EmptyParams => Voicewake;
    /// Chooses them.
    VoicewakeSet => "voicewake.set", Access::Operator(Scope::Write), effect, VoicewakeSetParams => Voicewake;
}

/// Parameters of `node.event`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeEventParams {
    /// Its name.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub event: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The same as JSON text.
    #[serde(
        rename = "payloadJSON",
        default,
        skip_serializing_if = "Nullable::is_null"
    )]
    pub payload_json: Nullable<String>,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeEventResult {
    /// Always true.
    pub ok: bool,
    /// Its name (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Whether anything came of it (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled: Option<bool>,
    /// Why not (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a node can be asked for when it comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PendingType {
    /// How it is.
    #[serde(rename = "status.request")]
    Status,
    /// Where it is.
    #[serde(rename = "location.request")]
    Location,
}

/// What comes first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PendingPriority {
    /// What every node is asked for.
    Default,
    /// As usual.
    #[default]
    Normal,
    /// Before the others.
    High,
}

/// The priorities that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AskedPriority {
    /// As usual.
    Normal,
    /// Before the others.
    High,
}

/// Parameters of `node.pending.enqueue`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePendingEnqueueParams {
    /// The node: its device id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
    /// What it is asked for.
    #[serde(rename = "type")]
    pub kind: PendingType,
    /// What comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<AskedPriority>,
    /// How long it waits, milliseconds; until it is taken when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub expires_in_ms: Option<u64>,
    /// Whether the node should be woken; there is no way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<bool>,
}

/// Something that waits for a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingItem {
    /// Names it.
    pub id: String,
    /// What the node is asked for.
    #[serde(rename = "type")]
    pub kind: PendingType,
    /// What comes first.
    pub priority: PendingPriority,
    /// Since when, milliseconds since the epoch.
    pub created_at_ms: u64,
    /// Until when; null for ever.
    #[serde(default)]
    pub expires_at_ms: Nullable<u64>,
}

/// It waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePendingEnqueueResult {
    /// The node.
    pub node_id: String,
    /// Counts the changes of its queue.
    pub revision: u64,
    /// What waits.
    pub queued: PendingItem,
    /// Whether the node was woken: never.
    pub wake_triggered: bool,
}

/// Nothing waits here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePendingPullResult {
    /// The node.
    pub node_id: String,
    /// Always empty.
    pub actions: Vec<Value>,
}

/// Parameters of `node.pending.drain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePendingDrainParams {
    /// How many at most; 4 when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub max_items: Option<u64>,
}

/// What the node is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePendingDrainResult {
    /// The node.
    pub node_id: String,
    /// Counts the changes of its queue.
    pub revision: u64,
    /// What it is asked for, the most urgent first; its status is always asked for.
    pub items: Vec<PendingItem>,
    /// Whether more waits.
    pub has_more: bool,
}

/// Parameters of `node.pending.ack`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodePendingAckParams {
    /// What was done.
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = MAX_ID)))]
    pub ids: Vec<String>,
}

/// It is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePendingAckResult {
    /// The node.
    pub node_id: String,
    /// What was named.
    pub acked_ids: Vec<String>,
    /// How much still waits.
    pub remaining_count: u64,
}

/// Parameters of `node.pluginSurface.refresh`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodePluginSurfaceRefreshParams {
    /// Which, such as `canvas`.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub surface: String,
}

/// Addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePluginSurfaceRefreshResult {
    /// Which.
    pub surface: String,
    /// By surface.
    pub plugin_surface_urls: BTreeMap<String, String>,
    /// Until when they are good, milliseconds since the epoch.
    pub expires_at_ms: u64,
}

/// Parameters of `node.pluginTools.update`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodePluginToolsUpdateParams {
    /// The tools.
    #[schemars(length(max = 256))]
    pub tools: Vec<NodeTool>,
}

/// A tool of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeTool {
    /// Where it comes from.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub plugin_id: String,
    /// Its name.
    #[schemars(length(min = 1, max = MAX_OFFERED))]
    pub name: String,
    /// What it does.
    #[schemars(length(min = 1))]
    pub description: String,
    /// Schema of what it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
    /// The command that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub command: Option<String>,
    /// The tool of an MCP server that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<NodeMcpTool>,
}

/// A tool of an MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeMcpTool {
    /// The server.
    #[schemars(length(min = 1))]
    pub server: String,
    /// Its tool.
    #[schemars(length(min = 1))]
    pub tool: String,
}

/// What is used of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePluginToolsUpdateResult {
    /// The node.
    pub node_id: String,
    /// Always empty.
    pub tools: Vec<NodeTool>,
}

/// Parameters of `node.runnerInventory.update`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRunnerInventoryUpdateParams {
    /// What its workers speak.
    #[schemars(length(max = 16), inner(length(max = MAX_ID)))]
    pub protocol_features: Vec<String>,
    /// How many it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_host: Option<Value>,
    /// Of an older form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_runs: Option<Value>,
}

/// It was heard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRunnerInventoryUpdateResult {
    /// The node.
    pub node_id: String,
}

/// Parameters of `node.skills.update`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeSkillsUpdateParams {
    /// The skills.
    #[schemars(length(max = MAX_OFFERED))]
    pub skills: Vec<NodeSkill>,
}

/// A skill of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeSkill {
    /// Its name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// When to use it.
    #[schemars(length(min = 1, max = 1_024))]
    pub description: String,
    /// What it says.
    #[schemars(length(min = 1, max = MAX_SKILL))]
    pub content: String,
}

/// What is used of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSkillsUpdateResult {
    /// The node.
    pub node_id: String,
    /// Always empty.
    pub skills: Vec<NodeSkill>,
}

/// Programs that skills need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkillsBinsResult {
    /// Their names.
    pub bins: Vec<String>,
}

/// Parameters of `voicewake.set`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VoicewakeSetParams {
    /// The words; none for those of a new gateway.
    #[schemars(length(max = 1_000))]
    pub triggers: Vec<String>,
}

/// The words that wake a device: answer of `voicewake.get` and `.set`, payload of `voicewake.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Voicewake {
    /// The words.
    pub triggers: Vec<String>,
}

impl Default for Voicewake {
    fn default() -> Self {
        Self {
            triggers: ["openclaw", "claude", "computer"].map(str::to_owned).into(),
        }
    }
}

impl Voicewake {
    /// The words that were asked for, without blanks around them; those of a new gateway for none.
    pub fn of(words: &[String]) -> Self {
        let triggers: Vec<String> = words
            .iter()
            .map(|word| word.trim().chars().take(MAX_TRIGGER).collect::<String>())
            .filter(|word| !word.is_empty())
            .take(MAX_TRIGGERS)
            .collect();
        if triggers.is_empty() {
            return Self::default();
        }
        Self { triggers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_bounded_and_never_none() {
        let words = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            Voicewake::of(&texts).triggers
        };
        assert_eq!(words(&[" hey claw ", ""]), ["hey claw"]);
        assert_eq!(words(&["", " "]), Voicewake::default().triggers);
        assert_eq!(
            words(&["ä".repeat(100).as_str()])[0].chars().count(),
            MAX_TRIGGER
        );
        assert_eq!(words(&["a"; 100]).len(), MAX_TRIGGERS);
    }
}
