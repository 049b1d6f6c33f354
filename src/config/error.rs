//! What can be wrong with a configuration, in words that say where and what to do.

use std::fmt;
use std::path::PathBuf;

use crate::state_dir::StateDirError;

/// One wrong or missing value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Issue {
    /// Where, as in `gateway.port` or `agents.list[0].id`; empty for the whole file.
    pub path: String,
    /// What is wrong and what is allowed. Never holds a secret.
    pub message: String,
}

impl Issue {
    /// Builds an issue.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            out.write_str(&self.message)
        } else {
            write!(out, "{}: {}", self.path, self.message)
        }
    }
}

/// Why no configuration came out; the text is meant for the person who wrote the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The state directory or a file in it cannot be used.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// A file is not JSON5; lines and columns count from 1.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Its line.
        line: usize,
        /// Its column.
        column: usize,
        /// What the parser expected.
        message: String,
    },
    /// An `$include` cannot be followed; `line` is 0 where it is not known.
    #[error("{}{}: $include: {message}", file.display(), line_suffix(*line))]
    Include {
        /// The including file.
        file: PathBuf,
        /// The line of the directive.
        line: usize,
        /// Why.
        message: String,
    },
    /// The file is well formed, but values in it are not allowed; nothing of it is used.
    #[error("{}: {} not allowed:{}", file.display(), count(issues), list(issues))]
    Invalid {
        /// The file that the user edits.
        file: PathBuf,
        /// Every wrong value.
        issues: Vec<Issue>,
    },
}

impl ConfigError {
    /// The single issues, for `config.get` and machine-readable output.
    pub fn issues(&self) -> Vec<Issue> {
        match self {
            Self::Invalid { issues, .. } => issues.clone(),
            other => vec![Issue::new("", other.to_string())],
        }
    }
}

fn line_suffix(line: usize) -> String {
    if line == 0 {
        String::new()
    } else {
        format!(":{line}")
    }
}

fn count(issues: &[Issue]) -> String {
    match issues.len() {
        1 => "1 value is".to_owned(),
        many => format!("{many} values are"),
    }
}

fn list(issues: &[Issue]) -> String {
    issues.iter().fold(String::new(), |list, issue| {
        list + "\n  " + &issue.to_string()
    })
}
