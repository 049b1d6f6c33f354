//! `agent`: what happens inside a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Name of the event.
pub const AGENT: &str = "agent";

/// Payload of `agent`: one step of a run. `seq` counts within the run, from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentEvent {
    /// The run.
    pub run_id: String,
    /// Number within the run.
    pub seq: u64,
    /// What kind of step it is.
    pub stream: AgentStream,
    /// When, milliseconds since the epoch.
    pub ts: u64,
    /// The step; see the functions of [`AgentEvent`].
    pub data: Map<String, Value>,
    /// The session: canonical for v4, as the client wrote it for v3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The agent (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The transcript (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Whether a heartbeat started the run (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_heartbeat: Option<bool>,
    /// Session that made this one (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
}

/// What kind of step of a run an event tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStream {
    /// Start, model, finishing, end, error.
    Lifecycle,
    /// The answer grew.
    Assistant,
    /// A tool; sent only to connections with the capability `tool-events`.
    Tool,
    /// A tool as a line to show (v4).
    Item,
    /// What is done before the model is asked (v4).
    RunStatus,
    /// Tokens so far (v4).
    Usage,
    /// The context is being shortened.
    Compaction,
    /// The stream has a gap.
    Error,
    /// Any other.
    #[serde(untagged)]
    Other(String),
}

impl AgentEvent {
    /// Data of an `assistant` step: the whole text so far and what was added.
    pub fn assistant(text: &str, delta: &str) -> Map<String, Value> {
        object([("text", text.into()), ("delta", delta.into())])
    }

    /// Data of the `lifecycle` step that opens a run. Times are milliseconds since the epoch.
    pub fn started(started_at: u64) -> Map<String, Value> {
        object([("phase", "start".into()), ("startedAt", started_at.into())])
    }

    /// Data of the `lifecycle` step that ends a completed or stopped run.
    pub fn ended(started_at: u64, ended_at: u64, stop_reason: Option<&str>) -> Map<String, Value> {
        let mut data = object([
            ("phase", "end".into()),
            ("startedAt", started_at.into()),
            ("endedAt", ended_at.into()),
        ]);
        if let Some(reason) = stop_reason {
            data.insert("stopReason".into(), reason.into());
        }
        data
    }

    /// Data of the `tool` step that begins a call.
    pub fn tool_started(id: &str, name: &str, arguments: &Value) -> Map<String, Value> {
        object([
            ("phase", "start".into()),
            ("name", name.into()),
            ("toolCallId", id.into()),
            ("args", arguments.clone()),
        ])
    }

    /// Data of the `tool` step that tells what a call has given so far.
    pub fn tool_update(id: &str, name: &str, partial: Value) -> Map<String, Value> {
        object([
            ("phase", "update".into()),
            ("name", name.into()),
            ("toolCallId", id.into()),
            ("partialResult", partial),
        ])
    }

    /// Data of the `tool` step that ends a call.
    pub fn tool_ended(id: &str, name: &str, is_error: bool, result: Value) -> Map<String, Value> {
        object([
            ("phase", "result".into()),
            ("name", name.into()),
            ("toolCallId", id.into()),
            ("isError", is_error.into()),
            ("result", result),
        ])
    }

    /// Data of the `compaction` step that begins.
    pub fn compaction_started(reason: &str) -> Map<String, Value> {
        object([("phase", "start".into()), ("reason", reason.into())])
    }

    /// Data of the `compaction` step that ends; `problem` says why it came to nothing.
    pub fn compaction_ended(reason: &str, problem: Option<&str>) -> Map<String, Value> {
        let mut data = object([
            ("phase", "end".into()),
            ("reason", reason.into()),
            ("completed", problem.is_none().into()),
            ("willRetry", false.into()),
        ]);
        if let Some(problem) = problem {
            data.insert("error".into(), problem.into());
        }
        data
    }

    /// Data of the `lifecycle` step that ends a failed run.
    pub fn failed(ended_at: u64, error: &str) -> Map<String, Value> {
        object([
            ("phase", "error".into()),
            ("endedAt", ended_at.into()),
            ("error", error.into()),
        ])
    }
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
