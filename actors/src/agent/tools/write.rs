//! `write`: a whole file of the workspace.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
    workspace,
};

/// The tool.
pub(super) struct Write;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    content: String,
}

impl Tool for Write {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "write".into(),
            label: "Write",
            description: "Writes a text file of the workspace, over an older one; folders on the way are made. To change a part of a file use edit.".into(),
            group: Group::Files,
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "Path, relative to the workspace"},
                    "content": {"type": "string", "description": "The whole file"},
                },
                "required": ["path", "content"],
                "additionalProperties": false,
            }),
            risk: Risk::Change,
            limit: Duration::from_secs(20),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            let root = cx.workspace()?;
            let work = move || {
                workspace::write(&root, &asked.path, asked.content.as_bytes())?;
                let said = format!("wrote {} bytes to {}", asked.content.len(), asked.path);
                Ok(ToolOutput::text(said))
            };
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| ToolError::new("writing failed"))?
        })
    }
}
