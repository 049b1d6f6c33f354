//! `read`: a file of the workspace, or the names in a folder.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
    workspace,
};
use crate::agent::model::PromptImage;

/// Lines that a call without a limit gives.
const DEFAULT_LINES: usize = 2_000;
/// Names of a folder that one call gives.
const MAX_NAMES: usize = 1_000;

/// The tool.
pub(super) struct Read;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    offset: Option<usize>,
    limit: Option<usize>,
}

impl Tool for Read {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "read".into(),
            label: "Read",
            description: "Reads a text file or a picture of the workspace; for a folder, the names in it. Long files come in pieces: `offset` is the first line, from 1, `limit` the number of lines.".into(),
            group: Group::Files,
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "Path, relative to the workspace"},
                    "offset": {"type": "integer", "minimum": 1},
                    "limit": {"type": "integer", "minimum": 1},
                },
                "required": ["path"],
                "additionalProperties": false,
            }),
            risk: Risk::Read,
            limit: Duration::from_secs(20),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            let root = cx.workspace()?;
            let work = move || look(&root, &asked);
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| ToolError::new("reading failed"))?
        })
    }
}

fn look(root: &workspace::Root, asked: &Arguments) -> Result<ToolOutput, ToolError> {
    // A path that is no folder is told by the reading of the file.
    if let Ok((names, count)) = workspace::list(root, &asked.path, MAX_NAMES) {
        let mut text = names.join("\n");
        if count > names.len() {
            let _ = write!(text, "\n[{} of {count} names]", names.len());
        }
        return Ok(ToolOutput::text(if text.is_empty() {
            "[an empty folder]".to_owned()
        } else {
            text
        }));
    }
    let bytes = workspace::read(root, &asked.path)?;
    if let Some(mime) = picture(&bytes) {
        let image = PromptImage {
            mime: mime.into(),
            data: Bytes::from(bytes),
        };
        return Ok(ToolOutput {
            text: format!("[the picture {}, {mime}]", asked.path),
            images: vec![image],
            details: None,
        });
    }
    if bytes.contains(&0) {
        return Err(ToolError::new(format!(
            "\"{}\" is not a text ({} bytes)",
            asked.path,
            bytes.len()
        )));
    }
    Ok(lines(
        &String::from_utf8_lossy(&bytes),
        asked.offset.unwrap_or(1),
        asked.limit.unwrap_or(DEFAULT_LINES),
    ))
}

fn lines(text: &str, offset: usize, limit: usize) -> ToolOutput {
    let count = text.lines().count();
    let first = offset.max(1) - 1;
    let shown: Vec<&str> = text.lines().skip(first).take(limit).collect();
    let end = first + shown.len();
    let mut piece = shown.join("\n");
    if end < count {
        // Writing to a text cannot fail.
        let _ = write!(
            piece,
            "\n[lines {} to {end} of {count}; go on with offset {}]",
            first + 1,
            end + 1
        );
    } else if shown.is_empty() && count > 0 {
        piece = format!("[the file has {count} lines]");
    }
    ToolOutput::text(piece).with(json!({ "lines": count }))
}

/// The MIME type of a picture that models take.
fn picture(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_says_where_to_go_on() {
        let text = "a\nb\nc\nd\n";
        assert_eq!(lines(text, 1, 10).text, "a\nb\nc\nd");
        assert_eq!(
            lines(text, 2, 2).text,
            "b\nc\n[lines 2 to 3 of 4; go on with offset 4]"
        );
        assert_eq!(lines(text, 9, 2).text, "[the file has 4 lines]");
    }
}
