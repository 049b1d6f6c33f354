//! `anthropic-messages`: Anthropic's messages API, and those who speak it.

use std::collections::VecDeque;

use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::decode::{CallPiece, Decode, Progress, Tail, parse, push_text, push_thinking};
use super::error::Fault;
use super::request::{
    ModelEvent, ModelRequest, PromptDocument, PromptImage, PromptMessage, PromptPart, PromptRole,
    StopReason, ToolResult,
};
use super::transport::{Call, key_header};
use super::{thinking, url, vendor};

const VERSION: &str = "2023-06-01";
/// The API insists on a limit; every current model takes this one.
const DEFAULT_MAX_TOKENS: u32 = 8192;

/// Builds the call.
pub(super) fn call(request: &ModelRequest) -> Result<Call, Fault> {
    let endpoint = &request.endpoint;
    let messages = messages(&request.turns());
    let mut body = json!({
        "model": request.model,
        "max_tokens": request.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
        "messages": messages,
        "stream": true,
    });
    if let Some(system) = request.system_text() {
        body["system"] = json!(system);
    }
    if !request.tools.is_empty() {
        let tool = |tool: &super::ToolDefinition| json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters});
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    thinking::anthropic(request, &mut body, DEFAULT_MAX_TOKENS);
    let name = HeaderName::from_static("x-api-key");
    let mut headers = key_header(endpoint.api_key.as_ref(), name, "")?;
    headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
    Call::new(address(&endpoint.base_url)?, body, endpoint, headers)
}

/// Results of tools are part of the person's side here, and neighbours of one side are one message.
fn messages(turns: &[PromptMessage]) -> Vec<Value> {
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::with_capacity(turns.len());
    for turn in turns {
        let role = match turn.role {
            PromptRole::User | PromptRole::Tool => "user",
            PromptRole::Assistant => "assistant",
        };
        let blocks = turn.parts.iter().filter_map(block);
        match messages.last_mut() {
            Some((last, content)) if *last == role => content.extend(blocks),
            _ => messages.push((role, blocks.collect())),
        }
    }
    let message = |(role, content): (&str, Vec<Value>)| match content.as_slice() {
        // One text is written as the text itself: every server that speaks this API takes that.
        [only] if only["type"] == "text" => json!({"role": role, "content": only["text"]}),
        _ => json!({"role": role, "content": content}),
    };
    messages.into_iter().map(message).collect()
}

fn block(part: &PromptPart) -> Option<Value> {
    Some(match part {
        PromptPart::Text(text) if text.trim().is_empty() => return None,
        PromptPart::Text(text) => json!({"type": "text", "text": text}),
        PromptPart::Image(image) => image_block(image),
        PromptPart::Document(document) => {
            json!({"type": "document", "title": document.name, "source": {
                "type": "base64", "media_type": PromptDocument::MIME, "data": document.base64(),
            }})
        }
        PromptPart::ToolCall(call) => {
            json!({"type": "tool_use", "id": call_id(&call.id), "name": call.name, "input": call.object()})
        }
        PromptPart::ToolResult(result) => result_block(result),
    })
}

fn image_block(image: &PromptImage) -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": image.mime, "data": image.base64()}})
}

fn result_block(result: &ToolResult) -> Value {
    let mut content = Vec::new();
    if !result.text.is_empty() {
        content.push(json!({"type": "text", "text": result.text}));
    }
    content.extend(result.images.iter().map(image_block));
    let mut block =
        json!({"type": "tool_result", "tool_use_id": call_id(&result.call_id), "content": content});
    if result.is_error {
        block["is_error"] = true.into();
    }
    block
}

/// The API accepts letters, digits, `_` and `-`; another provider may have named the call.
fn call_id(id: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    id.chars().map(plain).collect()
}

/// With or without `/v1` and `/messages`.
fn address(base_url: &str) -> Result<reqwest::Url, Fault> {
    let base = url::parse(base_url)?;
    let mut path = url::segments(&base);
    url::strip(&mut path, &["messages"]);
    url::strip(&mut path, &["v1"]);
    Ok(url::with_path(base, &path, &["v1", "messages"]))
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Started,
    },
    ContentBlockStart {
        #[serde(default)]
        index: u64,
        content_block: Piece,
    },
    ContentBlockDelta {
        #[serde(default)]
        index: u64,
        delta: Piece,
    },
    MessageDelta {
        delta: Ending,
        usage: Option<Counts>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// `ping`, `content_block_stop` and what is yet to come.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Started {
    usage: Option<Counts>,
}

/// A block at its start, or a piece of one. `id` and `name` begin a call of a tool, its arguments
/// come in pieces.
#[derive(Deserialize)]
struct Piece {
    #[serde(rename = "type", default)]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Value>,
    partial_json: Option<String>,
}

#[derive(Deserialize)]
struct Ending {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(rename = "input_tokens")]
    input: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_write: Option<u64>,
}

/// Decodes one answer.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    tail: Tail,
}

impl Decode for Decoder {
    fn event(&mut self, data: &str, out: &mut VecDeque<ModelEvent>) -> Result<Progress, Fault> {
        // Proxies that also speak OpenAI's format put its end marker here.
        if data.trim() == "[DONE]" {
            return Ok(Progress::Done);
        }
        match parse(data)? {
            Event::MessageStart { message } => self.count(message.usage),
            Event::ContentBlockStart {
                index,
                content_block: piece,
            }
            | Event::ContentBlockDelta {
                index,
                delta: piece,
            } => self.piece(index, piece, out)?,
            Event::MessageDelta { delta, usage } => {
                self.count(usage);
                if let Some(reason) = delta.stop_reason {
                    self.tail.stop = Some(stop_reason(&reason)?);
                }
            }
            Event::MessageStop => {
                self.tail.stop.get_or_insert(StopReason::EndTurn);
                return Ok(Progress::Done);
            }
            Event::Error { error } => return Err(vendor::in_stream(&error)),
            Event::Other => {}
        }
        Ok(Progress::More)
    }

    fn tail(&mut self) -> &mut Tail {
        &mut self.tail
    }
}

impl Decoder {
    fn piece(
        &mut self,
        index: u64,
        piece: Piece,
        out: &mut VecDeque<ModelEvent>,
    ) -> Result<(), Fault> {
        if piece.kind == "tool_use" || piece.partial_json.is_some() {
            // Some servers send the whole input at the start of the block, the others an empty one.
            let whole = piece
                .input
                .filter(|input| input.as_object().is_some_and(|input| !input.is_empty()))
                .map(|input| input.to_string());
            return self.tail.calls.piece(&CallPiece {
                index: Some(index),
                id: piece.id.as_deref(),
                name: piece.name.as_deref(),
                arguments: whole.as_deref().or(piece.partial_json.as_deref()),
                signature: None,
            });
        }
        push_thinking(out, piece.thinking);
        push_text(out, piece.text);
        Ok(())
    }

    /// Counts are cumulative; an event names only those that it knows.
    fn count(&mut self, counts: Option<Counts>) {
        let Some(counts) = counts else { return };
        let usage = self.tail.usage.get_or_insert_default();
        for (total, count) in [
            (&mut usage.input, counts.input),
            (&mut usage.output, counts.output),
            (&mut usage.cache_read, counts.cache_read),
            (&mut usage.cache_write, counts.cache_write),
        ] {
            *total = count.unwrap_or(*total);
        }
    }
}

fn stop_reason(reason: &str) -> Result<StopReason, Fault> {
    match reason {
        "max_tokens" => Ok(StopReason::MaxTokens),
        "stop_sequence" => Ok(StopReason::StopSequence),
        "tool_use" => Ok(StopReason::ToolUse),
        "refusal" => Err(Fault::Refusal {
            detail: "stopped by the model's safety rules".to_owned(),
        }),
        "model_context_window_exceeded" => Err(Fault::ContextLength {
            detail: "the answer reached the end of the context window".to_owned(),
        }),
        _ => Ok(StopReason::EndTurn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::Usage;

    #[test]
    fn addresses_work_however_they_are_written() {
        for (base, want) in [
            (
                "https://api.anthropic.com",
                "https://api.anthropic.com/v1/messages",
            ),
            (
                "https://api.anthropic.com/v1/",
                "https://api.anthropic.com/v1/messages",
            ),
            (
                "https://api.anthropic.com/v1/messages",
                "https://api.anthropic.com/v1/messages",
            ),
            ("https://h/anthropic/", "https://h/anthropic/v1/messages"),
        ] {
            assert_eq!(address(base).unwrap().as_str(), want);
        }
    }

    #[test]
    fn an_overload_in_mid_stream_is_an_overload() {
        let mut decoder = Decoder::default();
        let mut out = VecDeque::new();
        let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"He"}}"#;
        decoder.event(start, &mut out).unwrap();
        let error =
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let fault = decoder.event(error, &mut out).unwrap_err();
        let overloaded = Fault::Overloaded {
            retry_after: None,
            detail: "Overloaded".into(),
        };
        assert_eq!(
            (out, fault),
            ([ModelEvent::Text("He".into())].into(), overloaded)
        );
    }

    #[test]
    fn counts_add_up_over_events_and_unknown_events_pass() {
        let mut decoder = Decoder::default();
        let mut out = VecDeque::new();
        for event in [
            r#"{"type":"message_start","message":{"usage":{"input_tokens":5,"cache_read_input_tokens":7,"cache_creation_input_tokens":9,"output_tokens":1}}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"hologram_start","depth":3}"#,
            r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"stop_sequence"},"usage":{"output_tokens":12}}"#,
        ] {
            assert_eq!(decoder.event(event, &mut out), Ok(Progress::More));
        }
        let end = decoder.event(r#"{"type":"message_stop"}"#, &mut out);
        assert_eq!(end, Ok(Progress::Done));
        let usage = Usage {
            input: 5,
            output: 12,
            cache_read: 7,
            cache_write: 9,
        };
        let last: Vec<_> = decoder.tail.finish().unwrap().collect();
        assert_eq!(
            last,
            [
                ModelEvent::Usage(usage),
                ModelEvent::Stop(StopReason::StopSequence)
            ]
        );
    }
}
