//! `canvas`: pages and surfaces that an agent writes, and nodes show.

use std::time::Duration;

use bytes::Bytes;
use openclaw_protocol::a2ui;
use openclaw_protocol::methods::node::NodeRow;
use serde::Deserialize;
use serde_json::{Value, json};

use super::nodes::{ask, find_among};
use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
    workspace,
};
use crate::canvas::address::PREFIX;
use crate::canvas::files;
use crate::node::rows;

/// How long a node may take.
const LIMIT: Duration = Duration::from_mins(1);

/// The tool.
pub(super) struct Canvas;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    action: Action,
    node: Option<String>,
    path: Option<String>,
    content: Option<String>,
    url: Option<String>,
    java_script: Option<String>,
    jsonl: Option<String>,
    max_width: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Write,
    Present,
    Hide,
    Navigate,
    Eval,
    Snapshot,
    A2uiPush,
    A2uiReset,
}

impl Tool for Canvas {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "canvas".into(),
            label: "Canvas",
            description: "Shows things on the screen of the owner's devices. `write` puts a file (`path`, `content`) on the canvas: whole HTML pages that need no network; open pages reload themselves. `present` shows the canvas, with a page (`url`: a path that was written, or an address), `navigate` another page, `hide` ends it, `eval` runs `javaScript` in it, `snapshot` shows you what is seen. `a2ui_push` draws A2UI v0.8 surfaces: `jsonl` has one message a line (surfaceUpdate, dataModelUpdate, beginRendering, deleteSurface); what is pressed there comes back to you as a message that begins with CANVAS_A2UI. `a2ui_reset` takes them away. `node` is a name or an id, and needed only where several could be meant.".into(),
            group: Group::Nodes,
            parameters: json!({
                "type": "object",
                "properties": {
                    "action": {"type": "string", "enum": [
                        "write", "present", "hide", "navigate", "eval", "snapshot", "a2ui_push", "a2ui_reset",
                    ]},
                    "node": {"type": "string"},
                    "path": {"type": "string", "description": "Of a file on the canvas, such as index.html"},
                    "content": {"type": "string", "description": "The whole file"},
                    "url": {"type": "string"},
                    "javaScript": {"type": "string"},
                    "jsonl": {"type": "string"},
                    "maxWidth": {"type": "integer", "minimum": 16, "maximum": 8_192},
                },
                "required": ["action"],
                "additionalProperties": false,
            }),
            risk: Risk::Change,
            limit: LIMIT + Duration::from_secs(10),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            if !cx.deps.views.settings.load().canvas.enabled {
                return Err(ToolError::new(
                    "the owner switched the canvas off (canvasHost.enabled)",
                ));
            }
            if matches!(asked.action, Action::Write) {
                return write(cx, asked).await;
            }
            let node = asked.node.clone();
            let (command, params) = asked.command()?;
            let all = rows::brief(&cx.deps.views);
            let fits = |node: &NodeRow| node.commands.iter().any(|own| own == command);
            let node = find_among(&all, node.as_deref(), fits)?;
            ask(cx, node, command, Some(params), LIMIT).await
        })
    }
}

impl Arguments {
    /// The command of a node that this is.
    fn command(self) -> Result<(&'static str, Value), ToolError> {
        let missing = |name: &str| ToolError::new(format!("`{name}` is missing"));
        let page = self.url.or(self.path).map(|page| address(&page));
        Ok(match self.action {
            Action::Write => return Err(ToolError::new("a file is written without a node")),
            Action::Present => {
                let params = page.map_or(json!({}), |page| json!({ "url": page }));
                ("canvas.present", params)
            }
            Action::Hide => ("canvas.hide", json!({})),
            Action::Navigate => {
                let page = page.ok_or_else(|| missing("url"))?;
                ("canvas.navigate", json!({ "url": page }))
            }
            Action::Eval => {
                let script = self.java_script.ok_or_else(|| missing("javaScript"))?;
                ("canvas.eval", json!({ "javaScript": script }))
            }
            Action::Snapshot => {
                let width = self.max_width.unwrap_or(1_200);
                (
                    "canvas.snapshot",
                    json!({ "format": "png", "maxWidth": width }),
                )
            }
            Action::A2uiPush => {
                let jsonl = self.jsonl.ok_or_else(|| missing("jsonl"))?;
                let read = a2ui::read_lines(&jsonl).map_err(|wrong| {
                    let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
                    ToolError::new(format!(
                        "this is no A2UI v0.8, and nothing was shown: {}",
                        wrong.join("; ")
                    ))
                })?;
                if read.is_empty() {
                    return Err(missing("jsonl"));
                }
                ("canvas.a2ui.pushJSONL", json!({ "jsonl": jsonl }))
            }
            Action::A2uiReset => ("canvas.a2ui.reset", json!({})),
        })
    }
}

/// A page of the canvas by its path; other addresses as they are.
fn address(page: &str) -> String {
    let page = page.trim();
    if page.contains("://") || page.starts_with(PREFIX) || page.starts_with("data:") {
        return page.to_owned();
    }
    let mut address = format!("{PREFIX}canvas/");
    for byte in page.trim_start_matches('/').bytes() {
        // What follows a `?` or `#` is the page's own.
        if byte.is_ascii_alphanumeric() || b"-_.~/?#=&%".contains(&byte) {
            address.push(byte.into());
        } else {
            // Writing to a text cannot fail.
            let _ = std::fmt::Write::write_fmt(&mut address, format_args!("%{byte:02X}"));
        }
    }
    address
}

async fn write(cx: &ToolContext<'_>, asked: Arguments) -> Result<ToolOutput, ToolError> {
    let missing = |name: &str| ToolError::new(format!("`{name}` is missing"));
    let path = asked.path.ok_or_else(|| missing("path"))?;
    let content = asked.content.ok_or_else(|| missing("content"))?;
    let bytes = content.len();
    let address = put(cx, path, content.into()).await?;
    Ok(ToolOutput::text(format!(
        "wrote {bytes} bytes; it is at {address}"
    )))
}

/// Puts a file onto the canvas; gives its address.
pub(super) async fn put(
    cx: &ToolContext<'_>,
    path: String,
    content: Bytes,
) -> Result<String, ToolError> {
    if !cx.deps.views.settings.load().canvas.enabled {
        return Err(ToolError::new(
            "the owner switched the canvas off (canvasHost.enabled)",
        ));
    }
    if path.split('/').any(|part| part.starts_with('.')) {
        return Err(ToolError::new(
            "hidden files and \"..\" are not served by the canvas",
        ));
    }
    let root = files::root(&cx.deps.views);
    let work = move || {
        workspace::write(&root, &path, &content)?;
        Ok(address(&path))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ToolError::new("writing failed"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: Value) -> Result<(&'static str, Value), ToolError> {
        serde_json::from_value::<Arguments>(arguments)
            .unwrap()
            .command()
    }

    #[test]
    fn pages_are_named_by_their_path() {
        for (page, url) in [
            ("index.html", "/__openclaw__/canvas/index.html"),
            (
                "/a b/ä.html?x=1#y",
                "/__openclaw__/canvas/a%20b/%C3%A4.html?x=1#y",
            ),
            ("https://example.org/", "https://example.org/"),
            ("/__openclaw__/a2ui/", "/__openclaw__/a2ui/"),
        ] {
            let asked = json!({ "action": "present", "url": page });
            assert_eq!(
                command(asked).unwrap(),
                ("canvas.present", json!({ "url": url }))
            );
        }
        let bare = command(json!({ "action": "present" })).unwrap();
        assert_eq!(bare, ("canvas.present", json!({})));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        for (asked, told) in [
            (json!({ "action": "navigate" }), "`url` is missing"),
            (json!({ "action": "eval" }), "`javaScript` is missing"),
            (
                json!({ "action": "a2ui_push", "jsonl": "\n" }),
                "`jsonl` is missing",
            ),
            (
                json!({ "action": "a2ui_push", "jsonl": "{}" }),
                "line 1: a message is exactly one of",
            ),
        ] {
            let error = command(asked).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let reset = command(json!({ "action": "a2ui_reset" })).unwrap();
        assert_eq!(reset.0, "canvas.a2ui.reset");
    }
}
