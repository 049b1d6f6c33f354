//! `ollama`: Ollama's own chat API, and the question whether one runs here.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::decode::{Decode, Progress, Tail, parse, push_text, push_thinking};
use super::error::Fault;
use super::request::{ModelEvent, ModelRequest, PromptMessage, PromptRole, StopReason, Usage};
use super::transport::{Call, bearer};
use super::{thinking, url, vendor};

/// Where Ollama listens unless it is told otherwise.
pub const DEFAULT_BASE_URL: &str = "http://127.0.0.1:11434";
/// How long [`probe`] waits: a run is waiting for it.
const PROBE_TIMEOUT: Duration = Duration::from_millis(800);
/// Most of the model list that [`probe`] reads, in bytes.
const MAX_TAGS_BYTES: usize = 1024 * 1024;

/// Builds the call.
pub(super) fn call(request: &ModelRequest) -> Result<Call, Fault> {
    let endpoint = &request.endpoint;
    let mut messages = Vec::new();
    if let Some(system) = request.system_text() {
        messages.push(json!({"role": "system", "content": system}));
    }
    for turn in request.turns() {
        push_message(&mut messages, &turn);
    }
    let mut body = json!({"model": request.model, "messages": messages, "stream": true});
    if let Some(limit) = request.max_output_tokens {
        body["options"]["num_predict"] = json!(limit);
    }
    if let Some(window) = request.context_window {
        body["options"]["num_ctx"] = json!(window);
    }
    if !request.tools.is_empty() {
        body["tools"] = super::openai::tools(&request.tools);
    }
    thinking::ollama(request, &mut body);
    let address = address(&endpoint.base_url, "chat")?;
    Ok(Call::new(address, body, endpoint, bearer(endpoint)?)?.json_lines())
}

fn push_message(messages: &mut Vec<Value>, turn: &PromptMessage) {
    match turn.role {
        PromptRole::User | PromptRole::Assistant => {
            let role = if turn.role == PromptRole::User {
                "user"
            } else {
                "assistant"
            };
            let mut message = json!({"role": role, "content": turn.text()});
            let images: Vec<String> = turn.images().map(super::PromptImage::base64).collect();
            if !images.is_empty() {
                message["images"] = images.into();
            }
            let call = |call: &super::ToolCall| json!({"function": {"name": call.name, "arguments": call.object()}});
            let calls: Vec<Value> = turn.calls().map(call).collect();
            if !calls.is_empty() {
                message["tool_calls"] = calls.into();
            }
            messages.push(message);
        }
        PromptRole::Tool => {
            for result in turn.tool_results() {
                let mut message =
                    json!({"role": "tool", "content": result.text, "tool_name": result.name});
                let images: Vec<String> = result
                    .images
                    .iter()
                    .map(super::PromptImage::base64)
                    .collect();
                if !images.is_empty() {
                    message["images"] = images.into();
                }
                messages.push(message);
            }
        }
    }
}

/// People append the `/v1` of its OpenAI-compatible side, or the `/api` of this one.
fn address(base_url: &str, method: &str) -> Result<reqwest::Url, Fault> {
    let base = url::parse(base_url)?;
    let mut path = url::segments(&base);
    url::strip(&mut path, &["api", "chat"]);
    url::strip(&mut path, &["api"]);
    url::strip(&mut path, &["v1"]);
    Ok(url::with_path(base, &path, &["api", method]))
}

/// The base address that a value of `OLLAMA_HOST` means to a client. The variable is shared with the
/// server, for which `0.0.0.0` is an address to listen on.
pub fn base_url(host: Option<&str>) -> String {
    let text = host.unwrap_or_default().trim().trim_matches(['"', '\'']);
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, port) = match authority.rsplit_once(':') {
        // A bare IPv6 address has colons and no port.
        Some((name, port))
            if !port.contains(']') && (!name.contains(':') || name.ends_with(']')) =>
        {
            (name, port)
        }
        _ => (authority, ""),
    };
    let name = match name {
        "" | "0.0.0.0" | "[::]" | "::" => "127.0.0.1".to_owned(),
        bare if bare.contains(':') && !bare.starts_with('[') => format!("[{bare}]"),
        other => other.to_owned(),
    };
    let port = match (port, scheme) {
        ("", "") => ":11434".to_owned(),
        ("", _) => String::new(),
        (port, _) => format!(":{port}"),
    };
    let scheme = if scheme.is_empty() { "http" } else { scheme };
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{scheme}://{name}{port}{slash}{path}")
}

/// Asks an Ollama for its first model that can chat. `None` when nothing answers in time, or it has none.
pub async fn probe(http: &reqwest::Client, base_url: &str) -> Option<String> {
    let asking = async {
        let mut response = http
            .get(address(base_url, "tags").ok()?)
            .send()
            .await
            .ok()?;
        if !response.status().is_success() {
            return None;
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.ok()? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_TAGS_BYTES {
                return None;
            }
        }
        first_chat_model(&body)
    };
    tokio::time::timeout(PROBE_TIMEOUT, asking).await.ok()?
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    family: Option<String>,
}

/// The newest model that is not for embeddings: those cannot chat.
fn first_chat_model(body: &[u8]) -> Option<String> {
    let tags: Tags = serde_json::from_slice(body).ok()?;
    let embeds = |tag: &Tag| {
        let family = tag
            .details
            .as_ref()
            .and_then(|details| details.family.as_deref());
        tag.name.contains("embed") || family.is_some_and(|family| family.contains("bert"))
    };
    tags.models
        .into_iter()
        .find(|tag| !embeds(tag))
        .map(|tag| tag.name)
}

#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    #[serde(alias = "reasoning_content")]
    thinking: Option<String>,
    tool_calls: Option<Vec<CalledTool>>,
}

#[derive(Deserialize)]
struct CalledTool {
    id: Option<String>,
    function: CalledFunction,
}

#[derive(Deserialize)]
struct CalledFunction {
    name: String,
    arguments: Option<Value>,
}

/// Decodes one answer.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    tail: Tail,
}

impl Decode for Decoder {
    fn event(&mut self, data: &str, out: &mut VecDeque<ModelEvent>) -> Result<Progress, Fault> {
        let line: Line = parse(data)?;
        if let Some(error) = line.error.filter(|error| !error.is_null()) {
            return Err(vendor::in_stream(&error));
        }
        if let Some(message) = line.message {
            push_thinking(out, message.thinking);
            push_text(out, message.content);
            for call in message.tool_calls.into_iter().flatten() {
                let CalledFunction { name, arguments } = &call.function;
                self.tail
                    .calls
                    .whole(call.id.as_deref(), name, arguments.as_ref(), None)?;
            }
        }
        if !line.done {
            return Ok(Progress::More);
        }
        self.tail.usage = Some(Usage {
            input: line.prompt_eval_count.unwrap_or(0),
            output: line.eval_count.unwrap_or(0),
            ..Usage::default()
        });
        self.tail.stop = Some(match line.done_reason.as_deref() {
            Some("length") => StopReason::MaxTokens,
            Some("error") => return Err(broken_off("the model runner stopped")),
            _ => StopReason::EndTurn,
        });
        Ok(Progress::Done)
    }

    fn tail(&mut self) -> &mut Tail {
        &mut self.tail
    }
}

fn broken_off(detail: &str) -> Fault {
    Fault::Server {
        status: None,
        retry_after: None,
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_work_however_they_are_written() {
        for base in [
            "127.0.0.1:11434",
            "http://127.0.0.1:11434/v1/",
            "http://127.0.0.1:11434/api/chat",
        ] {
            let address = address(base, "chat").unwrap();
            assert_eq!(address.as_str(), "http://127.0.0.1:11434/api/chat");
        }
    }

    #[test]
    fn ollama_host_means_what_it_means_to_ollama() {
        for (host, want) in [
            (None, DEFAULT_BASE_URL),
            (Some(""), DEFAULT_BASE_URL),
            (Some("0.0.0.0"), DEFAULT_BASE_URL),
            (Some("0.0.0.0:9000"), "http://127.0.0.1:9000"),
            (Some("[::]:9000"), "http://127.0.0.1:9000"),
            (Some("::1"), "http://[::1]:11434"),
            (Some("[::1]"), "http://[::1]:11434"),
            (Some(" nas "), "http://nas:11434"),
            (
                Some("https://ollama.example.com/x/"),
                "https://ollama.example.com/x",
            ),
            (Some("http://nas:1234"), "http://nas:1234"),
        ] {
            assert_eq!(base_url(host), want, "{host:?}");
        }
    }

    #[test]
    fn models_for_embeddings_are_passed_over() {
        let tags = br#"{"models":[{"name":"nomic-embed-text:latest"},{"name":"all-minilm","details":{"family":"bert"}},{"name":"qwen3:8b","details":{"family":"qwen3"}}]}"#;
        assert_eq!(first_chat_model(tags).as_deref(), Some("qwen3:8b"));
        assert_eq!(first_chat_model(br#"{"models":[]}"#), None);
        assert_eq!(first_chat_model(b"<html>"), None);
    }

    #[test]
    fn an_error_line_ends_the_answer() {
        let mut decoder = Decoder::default();
        let fault = decoder.event(
            r#"{"error":"an error was encountered while running the model"}"#,
            &mut VecDeque::new(),
        );
        assert!(matches!(fault, Err(Fault::Server { .. })), "{fault:?}");
        assert!(decoder.tail.finish().is_err());
    }
}
