//! JSON-RPC as MCP speaks it, and what results mean. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::McpError;
use crate::agent::model::PromptImage;
use crate::agent::tools::{ToolError, ToolOutput};

/// The newest revision that this client speaks.
pub(super) const VERSION: &str = "2025-06-18";
/// Largest message, bytes.
pub(super) const MAX_MESSAGE: usize = 8 * 1024 * 1024;

/// What came from a server.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    /// The answer to one of our requests.
    Answer(u64, Result<Value, McpError>),
    /// A request of the server, and what it is answered with.
    Question(Value),
    /// Everything else.
    Note(String),
}

/// Reads a message.
pub(super) fn read(message: &Value) -> Option<Incoming> {
    let id = &message["id"];
    if let Some(method) = message["method"].as_str() {
        if id.is_null() {
            return Some(Incoming::Note(method.to_owned()));
        }
        // Of what a server may ask of its client, this one offers nothing.
        let reply = if method == "ping" {
            json!({"jsonrpc": "2.0", "id": id, "result": {}})
        } else {
            let error = json!({"code": -32601, "message": "this client does not offer that"});
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        };
        return Some(Incoming::Question(reply));
    }
    let result = match message.get("error") {
        Some(error) => {
            let said = error["message"]
                .as_str()
                .unwrap_or("an error without words");
            Err(McpError::new(said))
        }
        None => Ok(message["result"].clone()),
    };
    Some(Incoming::Answer(id.as_u64()?, result))
}

/// A request of ours.
pub(super) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// A notice of ours.
pub(super) fn notice(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

/// How this client introduces itself.
pub(super) fn introduction() -> Value {
    json!({
        "protocolVersion": VERSION,
        "capabilities": {},
        "clientInfo": {"name": "openclaw", "version": env!("CARGO_PKG_VERSION")},
    })
}

/// A tool as a server lists it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) schema: Value,
    /// Whether the server says that it changes nothing.
    pub(super) read_only: bool,
}

/// A page of tools, and where the next one begins.
pub(super) fn tools(result: &Value) -> (Vec<Listed>, Option<String>) {
    /// Most characters of a description: it goes along with every request to a model.
    const MAX_DESCRIPTION: usize = 4_000;
    let tool = |tool: &Value| {
        let schema = &tool["inputSchema"];
        let title = tool["title"].as_str().unwrap_or_default();
        let description = tool["description"].as_str().unwrap_or(title);
        Some(Listed {
            name: tool["name"].as_str()?.to_owned(),
            description: description.chars().take(MAX_DESCRIPTION).collect(),
            schema: if schema.is_object() {
                schema.clone()
            } else {
                json!({"type": "object"})
            },
            read_only: tool["annotations"]["readOnlyHint"] == true,
        })
    };
    let listed = result["tools"].as_array().into_iter().flatten();
    let next = result["nextCursor"].as_str().map(str::to_owned);
    (listed.filter_map(tool).collect(), next)
}

/// What a call gave.
pub(super) fn output(result: &Value) -> Result<ToolOutput, ToolError> {
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for part in result["content"].as_array().into_iter().flatten() {
        let text = |name: &str| part[name].as_str().unwrap_or_default();
        match text("type") {
            "text" => texts.push(text("text").to_owned()),
            "image" => match STANDARD.decode(text("data")) {
                Ok(data) => images.push(PromptImage {
                    mime: text("mimeType").to_owned(),
                    data: Bytes::from(data),
                }),
                Err(_) => texts.push("[a picture that cannot be read]".to_owned()),
            },
            "resource_link" => texts.push(format!("[resource {}]", text("uri"))),
            "resource" => {
                let resource = &part["resource"];
                let uri = resource["uri"].as_str().unwrap_or_default();
                match resource["text"].as_str() {
                    Some(text) => texts.push(format!("[resource {uri}]\n{text}")),
                    None => texts.push(format!("[resource {uri}, which is no text]")),
                }
            }
            other => texts.push(format!(
                "[content of the type \"{other}\", which is not shown]"
            )),
        }
    }
    let structured = &result["structuredContent"];
    if texts.is_empty() && images.is_empty() && !structured.is_null() {
        texts.push(structured.to_string());
    }
    let text = texts.join("\n");
    if result["isError"] == true {
        let text = if text.is_empty() {
            "the tool failed".to_owned()
        } else {
            text
        };
        return Err(ToolError::new(text));
    }
    Ok(ToolOutput {
        text: if text.is_empty() && images.is_empty() {
            "[no output]".to_owned()
        } else {
            text
        },
        images,
        details: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_questions_and_notices_are_told_apart() {
        let answer = json!({"jsonrpc": "2.0", "id": 3, "result": {"a": 1}});
        assert_eq!(
            read(&answer),
            Some(Incoming::Answer(3, Ok(json!({"a": 1}))))
        );
        let error = json!({"id": 3, "error": {"code": 1, "message": "no"}});
        assert_eq!(
            read(&error),
            Some(Incoming::Answer(3, Err(McpError::new("no"))))
        );
        let ping = json!({"id": "s1", "method": "ping"});
        let pong = json!({"jsonrpc": "2.0", "id": "s1", "result": {}});
        assert_eq!(read(&ping), Some(Incoming::Question(pong)));
        let asks = json!({"id": 1, "method": "sampling/createMessage"});
        assert!(
            matches!(read(&asks), Some(Incoming::Question(reply)) if reply["error"]["code"] == -32601)
        );
        let note = json!({"method": "notifications/progress"});
        assert!(matches!(read(&note), Some(Incoming::Note(_))));
        assert_eq!(read(&json!({"id": "not ours", "result": {}})), None);
        assert_eq!(read(&json!([])), None);
    }

    #[test]
    fn every_kind_of_content_reaches_the_model_somehow() {
        let content = json!([
            {"type": "text", "text": "one"},
            {"type": "image", "data": "cG5n", "mimeType": "image/png"},
            {"type": "audio", "data": "cG5n", "mimeType": "audio/wav"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
            {"type": "resource_link", "uri": "file:///b"},
        ]);
        let given = output(&json!({ "content": content })).unwrap();
        assert_eq!(given.images.len(), 1);
        for part in ["one", "\"audio\"", "inside", "file:///b"] {
            assert!(given.text.contains(part), "{}", given.text);
        }
        let failed =
            output(&json!({"isError": true, "content": [{"type": "text", "text": "broken"}]}));
        assert_eq!(failed, Err(ToolError::new("broken")));
        let structured = output(&json!({"content": [], "structuredContent": {"a": 1}})).unwrap();
        assert_eq!(structured.text, r#"{"a":1}"#);
        assert_eq!(output(&json!({})).unwrap().text, "[no output]");
    }
}
