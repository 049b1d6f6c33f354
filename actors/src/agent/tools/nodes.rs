//! `nodes`: the devices that are paired with this gateway, and what they can do.
//!
//! A command runs on behalf of whoever began the run, within their scopes and within what an owner
//! approved of the node; programs wait for a yes each. A stopped run takes its command with it.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use openclaw_protocol::Generation;
use openclaw_protocol::methods::node::NodeRow;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::canvas::put;
use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
};
use crate::agent::model::PromptImage;
use crate::node::invoke::{By, Invocation};
use crate::node::invokes::{Answer, Given};
use crate::node::rows;

/// How long a command may take when the call names no time.
const DEFAULT: Duration = Duration::from_mins(1);
/// How long it may take at most.
const LONGEST: Duration = Duration::from_mins(10);
/// Pieces of progress that wait.
const PIECES: usize = 16;
/// Bytes of what it said last that clients are shown while it goes on.
const SHOWN: usize = 8 * 1024;

/// The tool.
pub(super) struct Nodes;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    action: Action,
    node: Option<String>,
    command: Option<String>,
    params: Option<Value>,
    /// Seconds.
    timeout: Option<u64>,
    /// Where on the canvas the file that it gives is put.
    save: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    List,
    Describe,
    Invoke,
}

impl Tool for Nodes {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "nodes".into(),
            label: "Nodes",
            description: "Uses the owner's paired devices. `list` shows them with their commands, `describe` one of them, `invoke` has one carry out a command: camera.snap {facing: front|back}, location.get {}, system.notify {title, body}, system.run {command: [program, ...arguments]}, canvas.present {url}, canvas.snapshot {format: png}, device.info {}, and whatever else it lists. `node` is a name or an id. Pictures are shown to you; `save` also puts the file that it gives (a photo, a clip) onto the canvas under that path, for pages to show. The owner may have to approve programs first; a refusal is final. `timeout` is in seconds.".into(),
            group: Group::Nodes,
            parameters: json!({
                "type": "object",
                "properties": {
                    "action": {"type": "string", "enum": ["list", "describe", "invoke"]},
                    "node": {"type": "string"},
                    "command": {"type": "string"},
                    "params": {"type": "object"},
                    "timeout": {"type": "integer", "minimum": 1, "maximum": LONGEST.as_secs()},
                    "save": {"type": "string", "description": "Path on the canvas, such as photo.jpg"},
                },
                "required": ["action"],
                "additionalProperties": false,
            }),
            risk: Risk::Change,
            limit: LONGEST + Duration::from_mins(3),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            let all = rows::brief(&cx.deps.views);
            match asked.action {
                Action::List => {
                    let all: Vec<Value> = all.iter().map(shown).collect();
                    let all = json!({ "nodes": all });
                    Ok(ToolOutput::text(all.to_string()).with(all))
                }
                Action::Describe => {
                    let node = find(&all, asked.node.as_deref())?;
                    let node = json!(node);
                    Ok(ToolOutput::text(node.to_string()).with(node))
                }
                Action::Invoke => {
                    let node = find(&all, asked.node.as_deref())?;
                    let command = asked
                        .command
                        .ok_or_else(|| ToolError::new("`command` is missing"))?;
                    let time = asked.timeout.map_or(DEFAULT, Duration::from_secs);
                    let given = carry_out(cx, node, &command, asked.params, time).await?;
                    match asked.save {
                        Some(path) => keep(cx, given, path).await,
                        None => Ok(output(given)),
                    }
                }
            }
        })
    }
}

fn shown(node: &NodeRow) -> Value {
    json!({
        "id": node.node_id,
        "name": node.display_name,
        "platform": node.platform,
        "connected": node.connected,
        "commands": node.commands,
    })
}

/// The node that is meant; without a name the only one that is connected.
fn find<'a>(all: &'a [NodeRow], wanted: Option<&str>) -> Result<&'a NodeRow, ToolError> {
    find_among(all, wanted, |_| true)
}

/// The same; without a name the only one that is connected and fits.
pub(super) fn find_among<'a>(
    all: &'a [NodeRow],
    wanted: Option<&str>,
    fits: impl Fn(&NodeRow) -> bool,
) -> Result<&'a NodeRow, ToolError> {
    let name = |node: &NodeRow| {
        let name = node.display_name.as_deref().unwrap_or_default();
        name.trim().to_lowercase()
    };
    let found: Vec<&NodeRow> = match wanted.map(str::trim).filter(|wanted| !wanted.is_empty()) {
        None => all
            .iter()
            .filter(|node| node.connected && fits(node))
            .collect(),
        Some(wanted) => all
            .iter()
            .filter(|node| node.node_id == wanted || name(node) == wanted.to_lowercase())
            .collect(),
    };
    if let [only] = found.as_slice() {
        return Ok(only);
    }
    let names: Vec<String> = all
        .iter()
        .map(|node| match &node.display_name {
            Some(name) => format!("{name} ({})", node.node_id),
            None => node.node_id.clone(),
        })
        .collect();
    Err(ToolError::new(if names.is_empty() {
        "no node is paired with this gateway; the owner pairs one with `openclaw qr`".into()
    } else {
        format!("name one of these nodes: {}", names.join(", "))
    }))
}

/// Has a node carry out a command, and shows what it gave.
pub(super) async fn ask(
    cx: &ToolContext<'_>,
    node: &NodeRow,
    command: &str,
    params: Option<Value>,
    time: Duration,
) -> Result<ToolOutput, ToolError> {
    let given = carry_out(cx, node, command, params, time).await?;
    Ok(output(given))
}

/// Puts the file that a node gave onto the canvas, and shows it too.
async fn keep(cx: &ToolContext<'_>, given: Given, path: String) -> Result<ToolOutput, ToolError> {
    let value = decoded(given).unwrap_or_default();
    let data = value["base64"]
        .as_str()
        .and_then(|data| base64::engine::general_purpose::STANDARD.decode(data).ok())
        .ok_or_else(|| {
            ToolError::new("the command gave no file; it was carried out, and nothing was saved")
        })?;
    let address = put(cx, path, data.into()).await?;
    let mut shown = output(Given::Value(value));
    shown.text = format!("{}\nsaved as {address}", shown.text);
    Ok(shown)
}

/// What a node gave, as JSON.
fn decoded(given: Given) -> Option<Value> {
    match given {
        Given::Value(value) => Some(value),
        Given::Text(text) => serde_json::from_str(&text).ok(),
    }
}

/// Has a node carry out a command on behalf of whoever began the run.
async fn carry_out(
    cx: &ToolContext<'_>,
    node: &NodeRow,
    command: &str,
    params: Option<Value>,
    time: Duration,
) -> Result<Given, ToolError> {
    let deps = &cx.deps.nodes;
    let by = By {
        scopes: cx.origin.scopes,
        generation: Generation::V4,
        decides: false,
        agent: Some(cx.agent.id.clone()),
        session: Some(cx.session.to_owned()),
    };
    let (sender, mut pieces) = mpsc::channel(PIECES);
    let what = Invocation {
        node: node.node_id.clone(),
        command: command.to_owned(),
        params,
        timeout: time.min(LONGEST),
        key: deps.entropy.uuid().to_string(),
        progress: Some(sender),
    };
    let work = async {
        let placed = deps.place(&by, what).await?;
        tracing::info!(node = ?placed.node().caller.device_id, %command, agent = %cx.agent.id, session = %cx.session, "a node is asked");
        Ok(deps.carry_out(placed).await.0)
    };
    tokio::pin!(work);
    let mut so_far = String::new();
    let answer = loop {
        tokio::select! {
            answer = &mut work => break answer,
            Some(piece) = pieces.recv() => {
                so_far.push_str(&piece);
                let surplus = so_far.len().saturating_sub(SHOWN);
                let cut = (surplus..so_far.len()).find(|at| so_far.is_char_boundary(*at));
                so_far.drain(..cut.unwrap_or(0));
                (cx.progress)(&so_far);
            }
        }
    };
    match answer {
        Ok(Answer::Done(given)) => Ok(given),
        Ok(Answer::Failed { code, message }) => {
            let mut text = code.unwrap_or_default();
            if let Some(message) = message {
                // Writing to a text cannot fail.
                let _ = write!(text, "{}{message}", if text.is_empty() { "" } else { ": " });
            }
            Err(ToolError::new(format!("the node could not do it: {text}")))
        }
        Err(error) => {
            let error: openclaw_protocol::ErrorShape = error;
            Err(ToolError::new(error.message))
        }
    }
}

/// What a node gave, for a model: a picture as a picture, other files by their size.
fn output(given: Given) -> ToolOutput {
    let mut value = match given {
        Given::Value(value) => value,
        Given::Text(text) => match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(_) => return ToolOutput::text(text),
        },
    };
    let mut images = Vec::new();
    if let Some(fields) = value.as_object_mut()
        && let Some(Value::String(data)) = fields.remove("base64")
    {
        let mime = match fields.get("format").and_then(Value::as_str) {
            Some("png") => Some("image/png"),
            Some("jpg" | "jpeg") => Some("image/jpeg"),
            Some("webp") => Some("image/webp"),
            _ => None,
        };
        let decoded = base64::engine::general_purpose::STANDARD.decode(data);
        match (mime, decoded) {
            (Some(mime), Ok(data)) => images.push(PromptImage {
                mime: mime.to_owned(),
                data: Bytes::from(data),
            }),
            (_, Ok(data)) => {
                fields.insert("bytes".into(), data.len().into());
            }
            (_, Err(_)) => {}
        }
    }
    ToolOutput {
        images,
        ..ToolOutput::text(value.to_string()).with(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, name: &str, connected: bool) -> NodeRow {
        NodeRow {
            node_id: id.into(),
            display_name: Some(name.into()),
            connected,
            ..NodeRow::default()
        }
    }

    #[test]
    fn a_node_is_meant_by_its_name_or_is_the_only_one_here() {
        let all = [row("n1", "Attic", true), row("n2", "Phone", false)];
        assert_eq!(find(&all, Some(" attic ")).unwrap().node_id, "n1");
        assert_eq!(find(&all, Some("n2")).unwrap().node_id, "n2");
        assert_eq!(find(&all, None).unwrap().node_id, "n1");
        let error = find(&all, Some("cellar")).unwrap_err().to_string();
        assert!(error.contains("Attic (n1)"), "{error}");
        assert!(
            find(&[], None)
                .unwrap_err()
                .to_string()
                .contains("openclaw qr")
        );
    }

    #[test]
    fn a_picture_is_seen_and_its_base64_is_not_read() {
        let photo = output(Given::Text(
            json!({"format": "jpg", "base64": "AAEC", "width": 2}).to_string(),
        ));
        assert_eq!(photo.images[0].mime, "image/jpeg");
        assert_eq!(&photo.images[0].data[..], [0, 1, 2]);
        assert_eq!(photo.details, Some(json!({"format": "jpg", "width": 2})));
        let clip = output(Given::Value(json!({"format": "mp4", "base64": "AAEC"})));
        assert!(clip.images.is_empty());
        assert_eq!(clip.details, Some(json!({"format": "mp4", "bytes": 3})));
        assert_eq!(output(Given::Text("no json".into())).text, "no json");
    }
}
