//! `sessions_list`: the conversations of the calling agent.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
};
use crate::sessions::ask::ListOf;

/// Most conversations of one call.
const MAX: usize = 100;

/// The tool.
pub(super) struct SessionsList;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    limit: Option<usize>,
}

impl Tool for SessionsList {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "sessions_list".into(),
            label: "Sessions",
            description: "Lists this agent's conversations, the newest first: key, title, when it was last used.".into(),
            group: Group::Sessions,
            parameters: json!({
                "type": "object",
                "properties": {"limit": {"type": "integer", "minimum": 1, "maximum": MAX}},
                "additionalProperties": false,
            }),
            risk: Risk::Read,
            limit: Duration::from_secs(10),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            let list = ListOf {
                agent: cx.agent.id.clone(),
                most: asked.limit.unwrap_or(20).clamp(1, MAX),
            };
            let records = cx
                .deps
                .sessions
                .send(list)
                .await
                .map_err(|_| ToolError::new("the session index is restarting; try again"))?;
            let rows: Vec<Value> = records
                .iter()
                .map(|record| {
                    json!({
                        "key": record.key,
                        "title": record.label.as_ref().or(record.title.as_ref()),
                        "preview": record.preview,
                        "updatedAt": record.updated_at,
                        "current": *record.key == *cx.session,
                    })
                })
                .collect();
            let rows = json!({ "sessions": rows });
            Ok(ToolOutput::text(rows.to_string()).with(rows))
        })
    }
}
