//! `node.invoke`: a command of a node, and what the node sends back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{AnyParams, MAX_ID, MAX_IDEMPOTENCY_KEY, MAX_INT, MAX_SESSION_KEY, Nullable};
use crate::method::Access;
use crate::scope::Scope;

/// How long a command may take when its caller names no time, milliseconds.
pub const DEFAULT_TIMEOUT_MS: u64 = 30_000;
/// How long it may take at most, milliseconds; `timeoutMs: 0` asks for that.
pub const MAX_TIMEOUT_MS: u64 = 3_600_000;
/// Longest piece of progress, characters.
pub const MAX_CHUNK: usize = 16_384;

crate::methods! {
    /// Has a node carry out one of its commands that are in effect.
    NodeInvoke => "node.invoke", Access::Operator(Scope::Write), effect, NodeInvokeParams => NodeInvoked;
    /// A node tells what became of a command.
    NodeInvokeResult => "node.invoke.result", Access::Node, effect, NodeInvokeResultParams => NodeTaken;
    /// A node tells what a command has given so far.
    NodeInvokeProgress => "node.invoke.progress", Access::Node, effect, NodeInvokeProgressParams => NodeTaken;
}

/// Parameters of `node.invoke`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeInvokeParams {
    /// The node: its device id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
    /// The command.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub command: String,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// How long the node may take; 30,000 when unset, 0 for as long as there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_INT))]
    pub timeout_ms: Option<u64>,
    /// Names the request: it is carried out once, however often it is sent.
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: String,
    /// The conversation that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SESSION_KEY))]
    pub session_key: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_source_channel: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_source_to: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_source_account_id: Option<String>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_source_thread_id: Option<Value>,
}

/// What a node gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInvoked {
    /// Always true.
    pub ok: bool,
    /// The node.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// What it gave, decoded; null when it gave nothing, or what is no JSON.
    #[serde(default)]
    pub payload: Value,
    /// What it gave, as it wrote it.
    #[serde(rename = "payloadJSON", default)]
    pub payload_json: Nullable<String>,
}

/// Parameters of `node.invoke.result`. Old nodes write `null` for what is absent, and values that are
/// no text as `payloadJSON`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeInvokeResultParams {
    /// Which invocation.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: String,
    /// The node itself.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
    /// Whether the command succeeded.
    pub ok: bool,
    /// What it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The same as JSON text.
    #[serde(
        rename = "payloadJSON",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "AnyParams")]
    pub payload_json: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Nullable::is_null")]
    pub error: Nullable<NodeError>,
}

/// Why a node could not carry out a command, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeError {
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub code: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub message: Option<String>,
}

/// Parameters of `node.invoke.progress`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeInvokeProgressParams {
    /// Which invocation.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub invoke_id: String,
    /// The node itself.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
    /// Its place among the pieces of this invocation, from 0.
    #[schemars(range(min = 0, max = MAX_INT))]
    pub seq: u64,
    /// The piece.
    #[schemars(length(max = MAX_CHUNK))]
    pub chunk: String,
}

/// What a node sent was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeTaken {
    /// Always true.
    pub ok: bool,
    /// It came too late, or twice: nobody waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<bool>,
}
