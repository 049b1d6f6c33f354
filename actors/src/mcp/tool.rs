//! A server's tool as agents see it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ServerSettings;
use super::client::Client;
use super::message::{self, Listed};
use crate::agent::tools::{Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError};

/// Longest name that every provider takes.
const MAX_NAME: usize = 64;

/// A tool of a server.
pub(super) struct McpTool {
    name: String,
    listed: Listed,
    server: String,
    settings: ServerSettings,
    client: Arc<Client>,
}

impl McpTool {
    /// The tools of a server that agents may see, each under a name of its own.
    pub(super) fn all(
        server: &str,
        settings: &ServerSettings,
        client: &Arc<Client>,
        listed: Vec<Listed>,
    ) -> Vec<Arc<dyn Tool>> {
        let mut names = std::collections::BTreeSet::new();
        let shown = listed.into_iter().filter(|tool| settings.shows(&tool.name));
        shown
            .filter_map(|listed| {
                let name = name(server, &listed.name);
                // Of two tools that would be called alike, the first one is there.
                names.insert(name.clone()).then(|| {
                    Arc::new(Self {
                        name,
                        listed,
                        server: server.to_owned(),
                        settings: settings.clone(),
                        client: Arc::clone(client),
                    }) as Arc<dyn Tool>
                })
            })
            .collect()
    }
}

/// `server__tool`, in letters that every provider takes.
fn name(server: &str, tool: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
            c
        } else {
            '_'
        }
    };
    let whole = format!("{server}__{tool}");
    whole.chars().map(plain).take(MAX_NAME).collect()
}

impl Tool for McpTool {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: self.name.clone(),
            label: "MCP tool",
            description: self.listed.description.clone(),
            group: Group::Mcp,
            parameters: self.listed.schema.clone(),
            risk: if self.listed.read_only {
                Risk::Network
            } else {
                Risk::Change
            },
            limit: self.settings.request + std::time::Duration::from_secs(5),
        }
    }

    fn run<'a>(&'a self, _: &'a ToolContext<'a>, arguments: Value) -> Running<'a> {
        Box::pin(async move {
            let params = json!({"name": self.listed.name, "arguments": arguments});
            let result = self
                .client
                .ask("tools/call", &params, self.settings.request)
                .await;
            let result = result.map_err(|error| {
                ToolError::new(format!("the MCP server \"{}\": {error}", self.server))
            })?;
            message::output(&result)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_every_provider() {
        assert_eq!(name("every thing", "get.sum"), "every_thing__get_sum");
        assert_eq!(name("s", &"x".repeat(100)).len(), MAX_NAME);
    }
}
