//! `edit`: one piece of a file of the workspace, found by its text.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
    workspace,
};

/// The tool.
pub(super) struct Edit;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    path: String,
    #[serde(alias = "old_text", alias = "old_string", alias = "oldString")]
    old_text: String,
    #[serde(alias = "new_text", alias = "new_string", alias = "newString")]
    new_text: String,
}

impl Tool for Edit {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "edit".into(),
            label: "Edit",
            description: "Replaces one piece of a text file of the workspace. `oldText` has to be in the file exactly once, white space included.".into(),
            group: Group::Files,
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "Path, relative to the workspace"},
                    "oldText": {"type": "string", "description": "What is there"},
                    "newText": {"type": "string", "description": "What shall be there"},
                },
                "required": ["path", "oldText", "newText"],
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
                let bytes = workspace::read(&root, &asked.path)?;
                let text = String::from_utf8(bytes)
                    .map_err(|_| ToolError::new(format!("\"{}\" is not a text", asked.path)))?;
                let changed = replace(&text, &asked.old_text, &asked.new_text)?;
                workspace::write(&root, &asked.path, changed.as_bytes())?;
                Ok(ToolOutput::text(format!("changed {}", asked.path)))
            };
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| ToolError::new("editing failed"))?
        })
    }
}

fn replace(text: &str, old: &str, new: &str) -> Result<String, ToolError> {
    if old.is_empty() {
        return Err(ToolError::new("oldText is empty; use write for a new file"));
    }
    match text.matches(old).count() {
        0 => Err(ToolError::new(
            "oldText is not in the file; read it again and copy the piece exactly",
        )),
        1 => Ok(text.replacen(old, new, 1)),
        many => Err(ToolError::new(format!(
            "oldText is in the file {many} times; give more of what is around it"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_piece_that_is_there_once_is_replaced() {
        assert_eq!(replace("a b c", "b", "x").unwrap(), "a x c");
        for (text, old, said) in [
            ("a", "b", "not in the file"),
            ("b b", "b", "2 times"),
            ("a", "", "empty"),
        ] {
            let error = replace(text, old, "x").unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
