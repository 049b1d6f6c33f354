//! `logs.tail`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::MAX_INT;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// The end of the log, or what came after a cursor.
    LogsTail => "logs.tail", Access::Operator(Scope::Read), read, LogsTailParams => LogsTailResult;
}

/// Parameters of `logs.tail`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogsTailParams {
    /// Where the last answer ended; the end of the log if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub cursor: Option<u64>,
    /// Most lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5000))]
    pub limit: Option<u32>,
    /// Most bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_bytes: Option<u32>,
}

/// Lines of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogsTailResult {
    /// The log's name.
    pub file: String,
    /// Where this answer ends, bytes.
    pub cursor: u64,
    /// Size of the log, bytes.
    pub size: u64,
    /// The lines, oldest first.
    pub lines: Vec<String>,
    /// Whether older lines were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// Whether the log began anew since the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<bool>,
}
