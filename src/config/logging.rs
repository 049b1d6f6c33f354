//! `logging`: what is written, where and how.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `logging`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Logging {
    /// The least level of the log file and of `logs.tail`; `info` when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// The file; a folder of ours when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Size at which the file is rotated, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_file_bytes: Option<u64>,
    /// Days that the log files of earlier days are kept.
    #[schemars(range(min = 1, max = 3650))]
    pub keep_days: u16,
    /// The levels of single modules, such as `cron` or `channel.telegram`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<String, LogLevel>,
    /// The least level on stdout; `level` when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_level: Option<LogLevel>,
    /// The form on stdout.
    pub console_style: ConsoleStyle,
    /// Whether secrets in tool output are hidden in logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact_sensitive: Option<RedactSensitive>,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: None,
            file: None,
            max_file_bytes: None,
            keep_days: 14,
            levels: BTreeMap::new(),
            console_level: None,
            console_style: ConsoleStyle::default(),
            redact_sensitive: None,
        }
    }
}

/// A level, as upstream names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum LogLevel {
    Silent,
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `logging.consoleStyle`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConsoleStyle {
    /// For people.
    #[default]
    Pretty,
    /// For people, one short line each.
    Compact,
    /// For machines, one JSON object a line.
    Json,
}

/// `logging.redactSensitive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RedactSensitive {
    /// Not hidden.
    Off,
    /// Hidden in tool output.
    Tools,
}
