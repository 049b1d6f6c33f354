//! MCP servers: programs and addresses of the configuration whose tools agents may call.
//!
//! A server is started by the first run (or `tools.invoke`) that finds it configured, and kept until
//! the configuration or the gateway ends it. One that fails is started again by a later run, after a
//! pause that doubles. **Bounds:** a message, the tools of a server, how long anything may take.
//!
//! The client is our own because the protocol's client half is small: a general one brings all of
//! the protocol's types into the binary, and reads lines without a bound.

mod client;
mod message;
mod pipe;
mod pool;
mod tool;
mod web;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use pool::{Http, Pool};

/// A server as it is configured.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// How it is reached.
    pub reach: Reach,
    /// How long it may take to be ready.
    pub connect: Duration,
    /// How long one call may take.
    pub request: Duration,
    /// Only these of its tools, names or with `*`; all when empty.
    pub include: Vec<String>,
    /// Never these.
    pub exclude: Vec<String>,
}

/// How a server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Reach {
    /// A program that speaks on its standard input and output.
    Program {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its own variables, on top of a few of the gateway's. They may hold secrets.
        env: BTreeMap<String, String>,
        /// Its folder.
        cwd: Option<PathBuf>,
    },
    /// An address that speaks streamable HTTP.
    Address {
        /// The address.
        url: String,
        /// Headers of every request. They may hold secrets.
        headers: BTreeMap<String, String>,
    },
    /// It is configured, and cannot be used; why, with the remedy.
    Unusable(String),
}

/// Secrets stay out of logs.
impl std::fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reach = match &self.reach {
            Reach::Program { command, .. } => command.as_str(),
            Reach::Address { .. } => "an address",
            Reach::Unusable(why) => why.as_str(),
        };
        f.debug_struct("ServerSettings")
            .field("reach", &reach)
            .finish_non_exhaustive()
    }
}

impl ServerSettings {
    /// Whether agents may see one of its tools.
    pub fn shows(&self, tool: &str) -> bool {
        let named = |rules: &[String]| rules.iter().any(|rule| matches(rule, tool));
        (self.include.is_empty() || named(&self.include)) && !named(&self.exclude)
    }
}

/// Whether a name fits a rule with any number of `*`.
fn matches(rule: &str, name: &str) -> bool {
    let mut pieces = rule.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// Why a server cannot be used now, in words for a person and the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct McpError(String);

impl McpError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_shown_as_the_configuration_says() {
        for (rule, name, fits) in [
            ("echo", "echo", true),
            ("echo", "echoes", false),
            ("get*", "getSum", true),
            ("*Sum", "getSum", true),
            ("g*t*m", "getSum", true),
            ("g*x*m", "getSum", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(rule, name), fits, "{rule} {name}");
        }
        let settings = ServerSettings {
            reach: Reach::Unusable("no".into()),
            connect: Duration::ZERO,
            request: Duration::ZERO,
            include: vec!["get*".into()],
            exclude: vec!["getEnv".into()],
        };
        assert!(settings.shows("getSum"));
        assert!(!settings.shows("getEnv") && !settings.shows("echo"));
    }
}
