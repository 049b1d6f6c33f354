//! `google-generative-ai`: Gemini's `streamGenerateContent`.

use std::collections::VecDeque;

use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::decode::{Decode, Progress, Tail, parse, push_text, push_thinking};
use super::error::Fault;
use super::request::{
    ModelEvent, ModelRequest, PromptDocument, PromptImage, PromptMessage, PromptPart, PromptRole,
    StopReason, Usage,
};
use super::transport::{Call, key_header};
use super::{thinking, url, vendor};

/// Builds the call. The key goes into a header: addresses end up in logs.
pub(super) fn call(request: &ModelRequest) -> Result<Call, Fault> {
    let endpoint = &request.endpoint;
    let contents = contents(&request.turns(), request.model.contains("gemini-3"));
    let mut body = json!({"contents": contents});
    if let Some(system) = request.system_text() {
        body["systemInstruction"] = json!({"parts": [{"text": system}]});
    }
    if !request.tools.is_empty() {
        let tool = |tool: &super::ToolDefinition| json!({"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters});
        let tools: Vec<Value> = request.tools.iter().map(tool).collect();
        body["tools"] = json!([{"functionDeclarations": tools}]);
    }
    if let Some(limit) = request.max_output_tokens {
        body["generationConfig"] = json!({"maxOutputTokens": limit});
    }
    thinking::google(request, &mut body);
    let name = HeaderName::from_static("x-goog-api-key");
    let headers = key_header(endpoint.api_key.as_ref(), name, "")?;
    let address = address(&endpoint.base_url, &request.model)?;
    Call::new(address, body, endpoint, headers)
}

/// Google's own word for a call that has no thought signature, because another model made it.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Results of tools are part of the person's side here, and neighbours of one side are one message.
fn contents(turns: &[PromptMessage], needs_signature: bool) -> Vec<Value> {
    let mut contents: Vec<(&str, Vec<Value>)> = Vec::with_capacity(turns.len());
    for turn in turns {
        let role = match turn.role {
            PromptRole::User | PromptRole::Tool => "user",
            PromptRole::Assistant => "model",
        };
        let parts = turn
            .parts
            .iter()
            .flat_map(|part| parts(part, needs_signature));
        match contents.last_mut() {
            Some((last, content)) if *last == role => content.extend(parts),
            _ => contents.push((role, parts.collect())),
        }
    }
    let content = |(role, parts): (&str, Vec<Value>)| json!({"role": role, "parts": parts});
    contents.into_iter().map(content).collect()
}

fn parts(part: &PromptPart, needs_signature: bool) -> Vec<Value> {
    match part {
        PromptPart::Text(text) if text.trim().is_empty() => Vec::new(),
        PromptPart::Text(text) => vec![json!({"text": text})],
        PromptPart::Image(image) => vec![inline(image)],
        PromptPart::Document(document) => vec![
            json!({"inlineData": {"mimeType": PromptDocument::MIME, "data": document.base64()}}),
        ],
        PromptPart::ToolCall(call) => {
            let mut part = json!({"functionCall": {"name": call.name, "args": call.object()}});
            let signature = call.signature.as_deref();
            if let Some(signature) = signature.or(needs_signature.then_some(NO_SIGNATURE)) {
                part["thoughtSignature"] = signature.into();
            }
            vec![part]
        }
        PromptPart::ToolResult(result) => {
            let key = if result.is_error { "error" } else { "output" };
            let answer =
                json!({"functionResponse": {"name": result.name, "response": {key: result.text}}});
            let pictures = result.images.iter().map(inline);
            [answer].into_iter().chain(pictures).collect()
        }
    }
}

fn inline(image: &PromptImage) -> Value {
    json!({"inlineData": {"mimeType": image.mime, "data": image.base64()}})
}

/// A bare host means its `/v1beta`. A model may be written with its folder (`tunedModels/x`).
fn address(base_url: &str, model: &str) -> Result<reqwest::Url, Fault> {
    let base = url::parse(base_url)?;
    let mut path = url::segments(&base);
    url::strip(&mut path, &["openai"]);
    url::strip(&mut path, &["models"]);
    if path.is_empty() {
        path.push("v1beta".to_owned());
    }
    let named = if model.contains('/') {
        model.to_owned()
    } else {
        format!("models/{model}")
    };
    let method = format!("{named}:streamGenerateContent");
    let tail: Vec<&str> = method.split('/').filter(|part| !part.is_empty()).collect();
    let mut address = url::with_path(base, &path, &tail);
    address.query_pairs_mut().append_pair("alt", "sse");
    Ok(address)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    thought: Option<bool>,
    function_call: Option<FunctionCall>,
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct FunctionCall {
    id: Option<String>,
    name: String,
    args: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    candidates: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Option<u64>,
    #[serde(rename = "cachedContentTokenCount")]
    cached: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let cache_read = counts.cached.unwrap_or(0);
        let text = counts.candidates.unwrap_or(0);
        Self {
            input: counts.prompt.unwrap_or(0).saturating_sub(cache_read),
            output: text + counts.thoughts.unwrap_or(0),
            cache_read,
            cache_write: 0,
        }
    }
}

/// Decodes one answer. There is no end marker, and old models say `STOP` in every chunk: the answer ends
/// with the stream, and is whole if a reason was given by then.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    tail: Tail,
}

impl Decode for Decoder {
    fn event(&mut self, data: &str, out: &mut VecDeque<ModelEvent>) -> Result<Progress, Fault> {
        if data.trim() == "[DONE]" {
            return Ok(Progress::Done);
        }
        let chunk: Chunk = parse(data)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(vendor::in_stream(&error));
        }
        if let Some(feedback) = chunk.prompt_feedback
            && let Some(reason) = feedback.block_reason
        {
            return Err(blocked(
                "the prompt",
                &reason,
                feedback.block_reason_message,
            ));
        }
        if let Some(counts) = chunk.usage_metadata {
            self.tail.usage = Some(counts.into());
        }
        if let Some(candidate) = chunk.candidates.into_iter().flatten().next() {
            let parts = candidate.content.and_then(|content| content.parts);
            for part in parts.into_iter().flatten() {
                if let Some(call) = &part.function_call {
                    let signature = part.thought_signature.as_deref();
                    self.tail.calls.whole(
                        call.id.as_deref(),
                        &call.name,
                        call.args.as_ref(),
                        signature,
                    )?;
                }
                if part.thought == Some(true) {
                    push_thinking(out, part.text);
                } else {
                    push_text(out, part.text);
                }
            }
            if let Some(reason) = candidate.finish_reason {
                self.finish_reason(&reason, candidate.finish_message)?;
            }
        }
        Ok(Progress::More)
    }

    fn tail(&mut self) -> &mut Tail {
        &mut self.tail
    }
}

impl Decoder {
    fn finish_reason(&mut self, reason: &str, message: Option<String>) -> Result<(), Fault> {
        self.tail.stop = Some(match reason {
            "FINISH_REASON_UNSPECIFIED" => return Ok(()),
            "STOP" => StopReason::EndTurn,
            "MAX_TOKENS" => StopReason::MaxTokens,
            // Some servers that speak this API say so; Google's own says `STOP`.
            "FUNCTION_CALL" | "TOOL_CALLS" => StopReason::ToolUse,
            "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
            | "IMAGE_SAFETY" => return Err(blocked("the answer", reason, message)),
            other => return Err(broken_off(message.as_deref().unwrap_or(other))),
        });
        Ok(())
    }
}

fn blocked(what: &str, reason: &str, message: Option<String>) -> Fault {
    let message = message
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    Fault::Refusal {
        detail: format!("{what} was blocked for {reason}{message}"),
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
        let end = "models/gemini-2.5-pro:streamGenerateContent?alt=sse";
        for base in [
            "https://generativelanguage.googleapis.com",
            "https://generativelanguage.googleapis.com/v1beta/",
            "https://generativelanguage.googleapis.com/v1beta/models",
            "https://generativelanguage.googleapis.com/v1beta/openai/",
        ] {
            let want = format!("https://generativelanguage.googleapis.com/v1beta/{end}");
            assert_eq!(address(base, "gemini-2.5-pro").unwrap().as_str(), want);
            assert_eq!(
                address(base, "models/gemini-2.5-pro").unwrap().as_str(),
                want
            );
        }
    }

    fn decode(event: &str) -> (VecDeque<ModelEvent>, Result<Progress, Fault>, Tail) {
        let mut decoder = Decoder::default();
        let mut out = VecDeque::new();
        let progress = decoder.event(event, &mut out);
        (out, progress, decoder.tail)
    }

    #[test]
    fn thoughts_text_and_counts_are_read() {
        let (out, progress, mut tail) = decode(
            r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"yes"}]},"finishReason":"STOP"}],
                "usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"thoughtsTokenCount":5,"cachedContentTokenCount":4}}"#,
        );
        assert_eq!(progress, Ok(Progress::More));
        assert_eq!(
            out,
            [
                ModelEvent::Thinking("hm".into()),
                ModelEvent::Text("yes".into())
            ]
        );
        let usage = Usage {
            input: 5,
            output: 7,
            cache_read: 4,
            cache_write: 0,
        };
        let last: Vec<_> = tail.finish().unwrap().collect();
        assert_eq!(
            last,
            [
                ModelEvent::Usage(usage),
                ModelEvent::Stop(StopReason::EndTurn)
            ]
        );
    }

    #[test]
    fn blocked_prompts_and_answers_are_refusals() {
        for event in [
            r#"{"candidates":[{"finishReason":"SAFETY","finishMessage":"no"}]}"#,
            r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}"#,
        ] {
            assert!(
                matches!(decode(event).1, Err(Fault::Refusal { .. })),
                "{event}"
            );
        }
        let malformed = decode(r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#).1;
        assert!(matches!(malformed, Err(Fault::Server { .. })));
        let error =
            decode(r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#).1;
        assert!(matches!(error, Err(Fault::RateLimited { .. })));
    }
}
