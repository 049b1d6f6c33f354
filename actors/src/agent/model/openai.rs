//! `openai-completions`: `OpenAI`'s chat completions, and everyone who speaks them.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use super::decode::{CallPiece, Decode, Progress, Tail, parse, push_text, push_thinking};
use super::error::Fault;
use super::request::{
    ModelEvent, ModelRequest, PromptDocument, PromptImage, PromptMessage, PromptRole, StopReason,
    ToolDefinition, Usage,
};
use super::transport::{Call, bearer};
use super::{thinking, url, vendor};

/// Builds the call.
pub(super) fn call(request: &ModelRequest) -> Result<Call, Fault> {
    let endpoint = &request.endpoint;
    let address = address(&endpoint.base_url)?;
    let ids = CallIds::of(&address);
    let mut messages = Vec::new();
    if let Some(system) = request.system_text() {
        messages.push(json!({"role": "system", "content": system}));
    }
    for turn in request.turns() {
        push_message(&mut messages, &turn, ids);
    }
    let mut body = json!({
        "model": request.model,
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    if !request.tools.is_empty() {
        body["tools"] = tools(&request.tools);
    }
    if let Some(limit) = request.max_output_tokens {
        // OpenAI's reasoning models refuse the old name, other vendors do not know the new one.
        let openai = address
            .host_str()
            .is_some_and(|host| host.ends_with("openai.com"));
        let name = if openai {
            "max_completion_tokens"
        } else {
            "max_tokens"
        };
        body[name] = json!(limit);
    }
    thinking::openai(request, &mut body);
    Call::new(address, body, endpoint, bearer(endpoint)?)
}

/// What a vendor accepts as the name of a call. A conversation may hold calls that another one named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallIds {
    /// Letters, digits, `_` and `-`, at most 40.
    Usual,
    /// Exactly nine letters and digits.
    Mistral,
}

impl CallIds {
    fn of(address: &reqwest::Url) -> Self {
        let host = address.host_str().unwrap_or_default();
        if host.ends_with("mistral.ai") {
            Self::Mistral
        } else {
            Self::Usual
        }
    }

    fn write(self, id: &str) -> String {
        use sha2::Digest as _;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let fits = match self {
            Self::Usual => (1..=40).contains(&id.len()) && id.chars().all(plain),
            Self::Mistral => id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()),
        };
        if fits {
            return id.to_owned();
        }
        let digest = sha2::Sha256::digest(id.as_bytes());
        let hex = digest.iter().map(|byte| format!("{byte:02x}"));
        hex.collect::<String>().chars().take(9).collect()
    }
}

/// Tools as this API and Ollama describe them.
pub(super) fn tools(tools: &[ToolDefinition]) -> Value {
    let tool = |tool: &ToolDefinition| {
        json!({"type": "function", "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        }})
    };
    tools.iter().map(tool).collect()
}

fn push_message(messages: &mut Vec<Value>, turn: &PromptMessage, ids: CallIds) {
    match turn.role {
        PromptRole::User => {
            let mut content = user_content(&turn.text(), turn.images());
            let mut documents = turn.documents().map(document).peekable();
            if documents.peek().is_some() {
                let before = match content {
                    Value::Array(parts) => parts,
                    Value::String(text) if text.is_empty() => Vec::new(),
                    text => vec![json!({"type": "text", "text": text})],
                };
                content = before.into_iter().chain(documents).collect();
            }
            messages.push(json!({"role": "user", "content": content}));
        }
        PromptRole::Assistant => {
            let text = turn.text();
            let mut message = json!({"role": "assistant", "content": text});
            let calls: Vec<Value> = turn
                .calls()
                .map(|call| {
                    json!({"id": ids.write(&call.id), "type": "function", "function": {
                        "name": call.name,
                        "arguments": call.object().to_string(),
                    }})
                })
                .collect();
            if !calls.is_empty() {
                message["tool_calls"] = calls.into();
                if text.is_empty() {
                    message["content"] = Value::Null;
                }
            }
            messages.push(message);
        }
        PromptRole::Tool => {
            for result in turn.tool_results() {
                messages.push(json!({
                    "role": "tool",
                    "tool_call_id": ids.write(&result.call_id),
                    "content": result.text,
                }));
            }
            // A tool's own message holds text only.
            let mut images = turn
                .tool_results()
                .flat_map(|result| &result.images)
                .peekable();
            if images.peek().is_some() {
                let content = user_content("The pictures that the tools gave:", images);
                messages.push(json!({"role": "user", "content": content}));
            }
        }
    }
}

fn document(document: &PromptDocument) -> Value {
    let data = format!("data:{};base64,{}", PromptDocument::MIME, document.base64());
    json!({"type": "file", "file": {"filename": document.name, "file_data": data}})
}

fn user_content<'a>(text: &str, images: impl Iterator<Item = &'a PromptImage>) -> Value {
    let mut parts: Vec<Value> = images
        .map(|image| json!({"type": "image_url", "image_url": {"url": image.data_url()}}))
        .collect();
    if parts.is_empty() {
        return text.into();
    }
    if !text.is_empty() {
        parts.insert(0, json!({"type": "text", "text": text}));
    }
    parts.into()
}

/// A bare host means its `/v1`; any path is taken as it is, because vendors differ (`/openai/v1`, `/v4`).
fn address(base_url: &str) -> Result<reqwest::Url, Fault> {
    let base = url::parse(base_url)?;
    let mut path = url::segments(&base);
    url::strip(&mut path, &["chat", "completions"]);
    // Perplexity serves no version segment.
    if path.is_empty() && base.host_str() != Some("api.perplexity.ai") {
        path.push("v1".to_owned());
    }
    Ok(url::with_path(base, &path, &["chat", "completions"]))
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Content>,
    /// `DeepSeek`, xAI and most local servers.
    reasoning_content: Option<String>,
    /// `OpenRouter` and Groq.
    reasoning: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

/// Mistral's reasoning models send parts instead of a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    thinking: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let cached = counts
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens);
        let cache_read = cached.unwrap_or(0);
        Self {
            input: counts.prompt_tokens.unwrap_or(0).saturating_sub(cache_read),
            output: counts.completion_tokens.unwrap_or(0),
            cache_read,
            cache_write: 0,
        }
    }
}

/// Decodes one answer.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    tail: Tail,
    refusal: String,
}

impl Decode for Decoder {
    fn event(&mut self, data: &str, out: &mut VecDeque<ModelEvent>) -> Result<Progress, Fault> {
        if data.trim() == "[DONE]" {
            // Some servers never give a reason; their `[DONE]` still says that the text is whole.
            self.tail.stop.get_or_insert(StopReason::EndTurn);
            return self.refused().map(|()| Progress::Done);
        }
        let chunk: Chunk = parse(data)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(vendor::in_stream(&error));
        }
        if let Some(counts) = chunk.usage {
            self.tail.usage = Some(counts.into());
        }
        if let Some(choice) = chunk.choices.into_iter().flatten().next() {
            if let Some(delta) = choice.delta {
                self.delta(delta, out)?;
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.tail.stop = Some(stop_reason(&reason)?);
                self.refused()?;
            }
        }
        Ok(Progress::More)
    }

    fn tail(&mut self) -> &mut Tail {
        &mut self.tail
    }
}

impl Decoder {
    fn delta(&mut self, delta: Delta, out: &mut VecDeque<ModelEvent>) -> Result<(), Fault> {
        // A server that sends both names sends the same text under both.
        let reasoning = delta.reasoning_content.filter(|text| !text.is_empty());
        push_thinking(out, reasoning.or(delta.reasoning));
        match delta.content {
            Some(Content::Text(text)) => push_text(out, Some(text)),
            Some(Content::Parts(parts)) => {
                for part in parts {
                    for thought in part.thinking.into_iter().flatten() {
                        push_thinking(out, thought.text);
                    }
                    push_text(out, part.text);
                }
            }
            None => {}
        }
        for call in delta.tool_calls.into_iter().flatten() {
            let function = call.function.as_ref();
            self.tail.calls.piece(&CallPiece {
                index: call.index,
                id: call.id.as_deref(),
                name: function.and_then(|function| function.name.as_deref()),
                arguments: function.and_then(|function| function.arguments.as_deref()),
                signature: None,
            })?;
        }
        // Bounded: only the beginning of a refusal is shown.
        if self.refusal.len() < 1024 {
            self.refusal
                .push_str(delta.refusal.as_deref().unwrap_or_default());
        }
        Ok(())
    }

    fn refused(&mut self) -> Result<(), Fault> {
        if self.refusal.is_empty() {
            return Ok(());
        }
        let detail = std::mem::take(&mut self.refusal);
        Err(Fault::Refusal { detail })
    }
}

fn stop_reason(reason: &str) -> Result<StopReason, Fault> {
    match reason {
        "length" | "max_tokens" => Ok(StopReason::MaxTokens),
        "tool_calls" | "function_call" => Ok(StopReason::ToolUse),
        "content_filter" => Err(Fault::Refusal {
            detail: "stopped by the provider's content filter".to_owned(),
        }),
        "error" | "network_error" => Err(Fault::Server {
            status: None,
            retry_after: None,
            detail: "the provider broke the answer off".to_owned(),
        }),
        _ => Ok(StopReason::EndTurn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_work_however_they_are_written() {
        for (base, want) in [
            (
                "https://api.openai.com",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "https://api.openai.com/v1/",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "https://api.openai.com/v1/chat/completions",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "https://openrouter.ai/api/v1",
                "https://openrouter.ai/api/v1/chat/completions",
            ),
            (
                "localhost:1234/",
                "http://localhost:1234/v1/chat/completions",
            ),
            (
                "https://h/x?api-version=3",
                "https://h/x/chat/completions?api-version=3",
            ),
            (
                "https://api.perplexity.ai/",
                "https://api.perplexity.ai/chat/completions",
            ),
        ] {
            assert_eq!(address(base).unwrap().as_str(), want);
        }
    }

    fn decode(events: &[&str]) -> (Vec<ModelEvent>, Result<(), Fault>) {
        let mut decoder = Decoder::default();
        let mut out = VecDeque::new();
        for event in events {
            match decoder.event(event, &mut out) {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => break,
                Err(fault) => return (out.into(), Err(fault)),
            }
        }
        match decoder.tail.finish() {
            Ok(last) => out.extend(last),
            Err(fault) => return (out.into(), Err(fault)),
        }
        (out.into(), Ok(()))
    }

    #[test]
    fn text_reasoning_and_cached_tokens_are_read() {
        let (events, end) = decode(&[
            r#"{"choices":[],"prompt_filter_results":[]}"#,
            r#"{"choices":[{"delta":{"reasoning":"a","reasoning_content":"a"}}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"b"}]},{"type":"text","text":"c"}]}}]}"#,
            r#"{"choices":[{"delta":{"content":"d"},"finish_reason":""}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":6}}}"#,
            "[DONE]",
        ]);
        assert_eq!(end, Ok(()));
        let usage = Usage {
            input: 4,
            output: 4,
            cache_read: 6,
            cache_write: 0,
        };
        assert_eq!(
            events,
            [
                ModelEvent::Thinking("a".into()),
                ModelEvent::Thinking("b".into()),
                ModelEvent::Text("c".into()),
                ModelEvent::Text("d".into()),
                ModelEvent::Usage(usage),
                ModelEvent::Stop(StopReason::MaxTokens),
            ]
        );
    }

    #[test]
    fn a_stream_is_whole_with_a_reason_or_with_done_and_truncated_without() {
        let text = r#"{"choices":[{"delta":{"content":"x"}}]}"#;
        assert_eq!(decode(&[text]).1, Err(Fault::Truncated));
        assert_eq!(decode(&[text, "[DONE]"]).1, Ok(()));
        let reason = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        assert_eq!(decode(&[text, reason]).1, Ok(()));
    }

    #[test]
    fn refusals_and_errors_inside_the_stream_end_it() {
        let refusal = r#"{"choices":[{"delta":{"refusal":"I can't"}}]}"#;
        assert_eq!(
            decode(&[refusal, "[DONE]"]).1,
            Err(Fault::Refusal {
                detail: "I can't".into()
            })
        );
        let filter = r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#;
        assert!(matches!(decode(&[filter]).1, Err(Fault::Refusal { .. })));
        let error =
            r#"{"error":{"code":502,"message":"gone"},"choices":[{"finish_reason":"error"}]}"#;
        assert!(matches!(
            decode(&[error]).1,
            Err(Fault::Server {
                status: Some(502),
                ..
            })
        ));
        assert!(matches!(decode(&["{"]).1, Err(Fault::Protocol { .. })));
    }
}
