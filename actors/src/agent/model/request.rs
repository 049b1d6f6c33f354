//! What a run asks of a model, and what comes back: plain values, no IO.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;

use super::thinking::Thinking;

/// The wire format that an endpoint speaks, as `models.providers.<id>.api` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiKind {
    /// `openai-completions`: `POST /chat/completions`, server-sent events.
    OpenaiCompletions,
    /// `anthropic-messages`: `POST /v1/messages`, server-sent events.
    AnthropicMessages,
    /// `ollama`: `POST /api/chat`, one JSON object a line.
    Ollama,
    /// `google-generative-ai`: `:streamGenerateContent?alt=sse`.
    GoogleGenerativeAi,
}

impl ApiKind {
    /// Every kind, in the order in which messages list them.
    pub const ALL: [Self; 4] = [
        Self::OpenaiCompletions,
        Self::AnthropicMessages,
        Self::Ollama,
        Self::GoogleGenerativeAi,
    ];

    /// The name used in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiCompletions => "openai-completions",
            Self::AnthropicMessages => "anthropic-messages",
            Self::Ollama => "ollama",
            Self::GoogleGenerativeAi => "google-generative-ai",
        }
    }
}

impl fmt::Display for ApiKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value of `models.providers.<id>.api` that this gateway does not speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown model API `{0}`; use openai-completions, anthropic-messages, ollama or google-generative-ai"
)]
pub struct UnknownApiKind(pub String);

impl FromStr for ApiKind {
    type Err = UnknownApiKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text.trim())
            .ok_or_else(|| UnknownApiKind(text.to_owned()))
    }
}

/// Where a provider is reached and what proves who asks.
#[derive(Clone)]
pub struct Endpoint {
    /// The provider's id in the configuration, such as `openai`.
    pub provider: String,
    /// The wire format it speaks.
    pub api: ApiKind,
    /// Its address as a person wrote it; trailing slashes and version segments are sorted out per API.
    pub base_url: String,
    /// The key, if it has one; sent in the header that the API asks for.
    pub api_key: Option<SecretString>,
    /// Further headers from the configuration; they replace ours of the same name. They may hold secrets.
    pub headers: BTreeMap<String, String>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("provider", &self.provider)
            .field("api", &self.api)
            .field("base_url", &super::url::shown(&self.base_url))
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// One request for one answer.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// Who is asked.
    pub endpoint: Endpoint,
    /// The model's name as the provider knows it, without the provider's id.
    pub model: String,
    /// The system prompt.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<PromptMessage>,
    /// The tools that the model may call.
    pub tools: Vec<ToolDefinition>,
    /// Most tokens of the answer; the provider's own limit when `None`.
    pub max_output_tokens: Option<u32>,
    /// The context window to ask for, in tokens. Only Ollama needs to be told: it cuts off at a few
    /// thousand otherwise, without a word.
    pub context_window: Option<u32>,
    /// How much it thinks; what the provider finds right when `None`.
    pub thinking: Option<Thinking>,
    /// How long each phase may take.
    pub timeouts: ModelTimeouts,
}

impl ModelRequest {
    /// A request with the default limits and no messages yet.
    pub fn new(endpoint: Endpoint, model: impl Into<String>) -> Self {
        Self {
            endpoint,
            model: model.into(),
            system: None,
            messages: Vec::new(),
            tools: Vec::new(),
            max_output_tokens: None,
            context_window: None,
            thinking: None,
            timeouts: ModelTimeouts::default(),
        }
    }

    /// The conversation as every provider accepts it: blank messages left out and neighbours of one
    /// role joined, texts by an empty line, because several servers insist on alternating roles.
    pub fn turns(&self) -> Vec<PromptMessage> {
        let mut turns: Vec<PromptMessage> = Vec::with_capacity(self.messages.len());
        for message in &self.messages {
            if message.is_blank() {
                continue;
            }
            match turns.last_mut() {
                Some(last) if last.role == message.role => last.join(message),
                _ => turns.push(message.clone()),
            }
        }
        turns
    }

    /// The system prompt, if it says anything.
    pub fn system_text(&self) -> Option<&str> {
        self.system
            .as_deref()
            .filter(|system| !system.trim().is_empty())
    }
}

/// How long the phases of one request may take. All are measured from its start, but for `idle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelTimeouts {
    /// Until TCP and TLS stand.
    pub connect: Duration,
    /// Until the first byte of the answer's body; a local model loads its weights in this time.
    pub first_byte: Duration,
    /// Between two pieces of the body; keep-alive comments and pings count.
    pub idle: Duration,
    /// Until the end of the answer.
    pub total: Duration,
}

impl Default for ModelTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_mins(2),
            idle: Duration::from_mins(2),
            total: Duration::from_mins(10),
        }
    }
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptMessage {
    /// Who said it.
    pub role: PromptRole,
    /// What was said, in order.
    pub parts: Vec<PromptPart>,
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptPart {
    /// A text.
    Text(String),
    /// A picture.
    Image(PromptImage),
    /// A PDF.
    Document(PromptDocument),
    /// The model wants a tool to be run; only in messages of the model.
    ToolCall(ToolCall),
    /// What a tool gave back; only in messages of [`PromptRole::Tool`].
    ToolResult(ToolResult),
}

/// A picture, inline.
#[derive(Clone, PartialEq, Eq)]
pub struct PromptImage {
    /// Its MIME type, such as `image/png`.
    pub mime: String,
    /// The file itself.
    pub data: Bytes,
}

impl fmt::Debug for PromptImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PromptImage({}, {} bytes)", self.mime, self.data.len())
    }
}

impl PromptImage {
    /// Its bytes as base64.
    pub fn base64(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.data)
    }

    /// It as a `data:` address.
    pub fn data_url(&self) -> String {
        format!("data:{};base64,{}", self.mime, self.base64())
    }
}

/// A PDF, as the file that it is.
#[derive(Clone, PartialEq, Eq)]
pub struct PromptDocument {
    /// Its name.
    pub name: String,
    /// The file itself.
    pub data: Bytes,
}

impl PromptDocument {
    /// Its MIME type.
    pub const MIME: &'static str = "application/pdf";

    /// Its bytes as base64.
    pub fn base64(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.data)
    }
}

impl fmt::Debug for PromptDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PromptDocument({}, {} bytes)",
            self.name,
            self.data.len()
        )
    }
}

/// What a model takes beside text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Takes {
    /// Pictures.
    pub images: bool,
    /// PDFs.
    pub documents: bool,
}

impl Takes {
    /// Everything.
    pub const ALL: Self = Self {
        images: true,
        documents: true,
    };

    /// What a model takes that says nothing about it: pictures, as nearly all do now, and PDFs where
    /// the API is known to have them.
    pub fn usually(api: ApiKind, base_url: &str) -> Self {
        let documents = match api {
            ApiKind::AnthropicMessages | ApiKind::GoogleGenerativeAi => true,
            ApiKind::OpenaiCompletions => ["openai.com", "openrouter.ai"]
                .iter()
                .any(|host| base_url.contains(host)),
            ApiKind::Ollama => false,
        };
        Self {
            images: true,
            documents,
        }
    }
}

/// A tool as a model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDefinition {
    /// Its name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// A model's wish to run a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Names the call within the conversation; empty while the provider gave none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments: an object, or the text that the model wrote where that is not one.
    pub arguments: Value,
    /// What the provider wants to see again beside this call (Gemini's thought signature).
    pub signature: Option<String>,
}

impl ToolCall {
    /// The arguments as an object; empty where the model wrote something else, which it is told in
    /// the result.
    pub fn object(&self) -> Value {
        if self.arguments.is_object() {
            self.arguments.clone()
        } else {
            Value::Object(serde_json::Map::new())
        }
    }
}

/// What a tool gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call that it answers.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// What it says.
    pub text: String,
    /// What it shows.
    pub images: Vec<PromptImage>,
    /// Whether it failed.
    pub is_error: bool,
}

impl PromptMessage {
    /// A message of the person.
    pub fn user(text: impl Into<String>) -> Self {
        Self::of(PromptRole::User, vec![PromptPart::Text(text.into())])
    }

    /// A message of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::of(PromptRole::Assistant, vec![PromptPart::Text(text.into())])
    }

    /// What tools gave back.
    pub fn results(results: impl IntoIterator<Item = ToolResult>) -> Self {
        let parts = results.into_iter().map(PromptPart::ToolResult).collect();
        Self::of(PromptRole::Tool, parts)
    }

    /// A message of parts.
    pub const fn of(role: PromptRole, parts: Vec<PromptPart>) -> Self {
        Self { role, parts }
    }

    /// Its text, parts joined by an empty line.
    pub fn text(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match part {
            PromptPart::Text(text) if !text.trim().is_empty() => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// Says in words what stood where the model cannot look.
    pub fn withhold(&mut self, takes: Takes) {
        const PICTURE: &str = "[a picture was given here, and this model takes none]";
        for part in &mut self.parts {
            match part {
                PromptPart::Image(_) if !takes.images => {
                    *part = PromptPart::Text(PICTURE.to_owned());
                }
                PromptPart::Document(document) if !takes.documents => {
                    *part = PromptPart::Text(format!(
                        "[the file \"{}\" was given here, and this model takes no PDF]",
                        document.name
                    ));
                }
                PromptPart::ToolResult(result) if !takes.images && !result.images.is_empty() => {
                    result.images.clear();
                    result.text.push_str("\n\n");
                    result.text.push_str(PICTURE);
                }
                _ => {}
            }
        }
    }

    /// Its PDFs.
    pub fn documents(&self) -> impl Iterator<Item = &PromptDocument> {
        self.parts.iter().filter_map(|part| match part {
            PromptPart::Document(document) => Some(document),
            _ => None,
        })
    }

    /// Its pictures.
    pub fn images(&self) -> impl Iterator<Item = &PromptImage> {
        self.parts.iter().filter_map(|part| match part {
            PromptPart::Image(image) => Some(image),
            _ => None,
        })
    }

    /// The tools that it calls.
    pub fn calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(|part| match part {
            PromptPart::ToolCall(call) => Some(call),
            _ => None,
        })
    }

    /// The results that it holds.
    pub fn tool_results(&self) -> impl Iterator<Item = &ToolResult> {
        self.parts.iter().filter_map(|part| match part {
            PromptPart::ToolResult(result) => Some(result),
            _ => None,
        })
    }

    /// Whether it says nothing at all.
    pub fn is_blank(&self) -> bool {
        self.parts
            .iter()
            .all(|part| matches!(part, PromptPart::Text(text) if text.trim().is_empty()))
    }

    fn join(&mut self, next: &Self) {
        for part in &next.parts {
            match (self.parts.last_mut(), part) {
                (Some(PromptPart::Text(last)), PromptPart::Text(more)) => {
                    if !more.trim().is_empty() {
                        last.push_str("\n\n");
                        last.push_str(more);
                    }
                }
                _ => self.parts.push(part.clone()),
            }
        }
    }
}

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PromptRole {
    /// The person, or whatever speaks to the model.
    User,
    /// The model.
    Assistant,
    /// Tools that the model called.
    Tool,
}

/// One piece of an answer.
///
/// An answer is any number of `Text` and `Thinking`, then the tools that it calls, then at most one
/// `Usage`, then exactly one `Stop`. An answer that fails ends with an error instead.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// The next piece of the answer's text; never empty.
    Text(String),
    /// The next piece of the model's visible reasoning; never empty.
    Thinking(String),
    /// A tool that the model wants to be run, complete.
    ToolCall(ToolCall),
    /// What the answer cost.
    Usage(Usage),
    /// Why the answer ended; always the last event.
    Stop(StopReason),
}

/// Tokens that one answer cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens that were neither read from nor written to a cache.
    pub input: u64,
    /// Tokens of the answer, reasoning included.
    pub output: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The model was done.
    EndTurn,
    /// It reached the output limit: the text is cut off.
    MaxTokens,
    /// It wrote a stop sequence.
    StopSequence,
    /// It wants a tool to be run.
    ToolUse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_kinds_parse_from_their_configured_names() {
        for kind in ApiKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        let error = "openai-responses".parse::<ApiKind>().unwrap_err();
        assert!(error.to_string().contains("openai-completions"));
    }

    #[test]
    fn turns_join_neighbours_and_leave_blanks_out() {
        let endpoint = Endpoint {
            provider: "openai".into(),
            api: ApiKind::OpenaiCompletions,
            base_url: "http://user:hunter2@localhost:1/v1".into(),
            api_key: Some("sk-secret".into()),
            headers: BTreeMap::from([("x-team".into(), "topsecret".into())]),
        };
        let mut request = ModelRequest::new(endpoint, "m");
        request.messages = vec![
            PromptMessage::user("one"),
            PromptMessage::assistant(" \n"),
            PromptMessage::user("two"),
            PromptMessage::assistant("three"),
        ];
        assert_eq!(
            request.turns(),
            [
                PromptMessage::user("one\n\ntwo"),
                PromptMessage::assistant("three")
            ]
        );
        let debug = format!("{request:?}");
        for secret in ["sk-secret", "hunter2", "topsecret"] {
            assert!(!debug.contains(secret), "{debug}");
        }
    }
}
