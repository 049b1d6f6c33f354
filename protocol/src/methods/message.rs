//! Messages as history, events and runs show them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MessageRole {
    /// A person.
    User,
    /// The agent.
    Assistant,
    /// A tool.
    ToolResult,
    /// The gateway itself, e.g. a run that failed before it answered.
    Custom,
}

/// One message. Keys that are not known here survive reading and writing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Who it is from.
    pub role: MessageRole,
    /// What it says.
    #[serde(default)]
    pub content: Content,
    /// When it was stored, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Wire format that the model was asked in (assistant).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Model provider (assistant).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Model (assistant).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens (assistant).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why the answer ended (assistant): `stop`, `length`, `toolUse`, `error`, `aborted`, `injected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// What failed (assistant).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The call that is answered (tool result).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The tool (tool result).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// Whether the tool failed (tool result).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// What it is (custom), e.g. `run-failed-before-reply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_type: Option<String>,
    /// `<runId>:user` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Where it stands in the transcript.
    #[serde(
        rename = "__openclaw",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub meta: Option<MessageMeta>,
    /// Keys of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a message says: a plain text (old transcripts) or parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// One plain text.
    Text(String),
    /// Parts in order.
    Parts(Vec<ContentPart>),
}

/// One part of a message; a part of an unknown kind survives reading and writing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ContentPart {
    /// A kind that is known here.
    Known(KnownPart),
    /// Any other.
    Other(Map<String, Value>),
}

/// The known kinds of parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum KnownPart {
    /// Text.
    Text(TextPart),
    /// What the model thought.
    Thinking(ThinkingPart),
    /// A picture.
    Image(ImagePart),
    /// A call of a tool.
    ToolCall(ToolCallPart),
}

/// A text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TextPart {
    /// The text.
    pub text: String,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What the model thought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThinkingPart {
    /// The thought.
    pub thinking: String,
    /// Other keys, e.g. the provider's signature.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A picture: inline or by address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePart {
    /// MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The bytes as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Where it can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCallPart {
    /// Names the call; the result refers to it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it is given.
    #[serde(default)]
    pub arguments: Value,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Tokens of one answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Read, without cached ones.
    #[serde(default)]
    pub input: u64,
    /// Written.
    #[serde(default)]
    pub output: u64,
    /// Read from the provider's cache.
    #[serde(default)]
    pub cache_read: u64,
    /// Written to it.
    #[serde(default)]
    pub cache_write: u64,
    /// All of them.
    #[serde(default)]
    pub total_tokens: u64,
    /// What it cost, as far as prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Value>,
}

/// Where a message stands in the transcript.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageMeta {
    /// Its entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its number within the session, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When it was stored, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_timestamp_ms: Option<u64>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The key of the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Whether it is a chat command or its answer, which no model sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<bool>,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Content {
    fn default() -> Self {
        Self::Parts(Vec::new())
    }
}

impl ContentPart {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Known(KnownPart::Text(TextPart {
            text: text.into(),
            other: Map::new(),
        }))
    }
}

impl Message {
    /// Cuts every text to at most `longest` characters, with an ellipsis where something went.
    pub fn cut_text(&mut self, longest: usize) {
        let cut = |text: &mut String| {
            if let Some((at, _)) = text.char_indices().nth(longest) {
                text.truncate(at);
                text.push('…');
            }
        };
        match &mut self.content {
            Content::Text(text) => cut(text),
            Content::Parts(parts) => {
                for part in parts {
                    if let ContentPart::Known(KnownPart::Text(part)) = part {
                        cut(&mut part.text);
                    }
                }
            }
        }
    }

    /// A message of one text part.
    pub fn text(role: MessageRole, text: impl Into<String>, timestamp: u64) -> Self {
        Self::parts(role, vec![ContentPart::text(text)], timestamp)
    }

    /// A message of parts.
    pub fn parts(role: MessageRole, parts: Vec<ContentPart>, timestamp: u64) -> Self {
        Self {
            role,
            content: Content::Parts(parts),
            timestamp: Some(timestamp),
            api: None,
            provider: None,
            model: None,
            usage: None,
            stop_reason: None,
            error_message: None,
            tool_call_id: None,
            tool_name: None,
            is_error: None,
            custom_type: None,
            idempotency_key: None,
            meta: None,
            other: Map::new(),
        }
    }

    /// Adds parts behind what it says.
    pub fn add(&mut self, more: Vec<ContentPart>) {
        match &mut self.content {
            Content::Parts(parts) => parts.extend(more),
            Content::Text(text) if !more.is_empty() => {
                let mut parts = vec![ContentPart::text(std::mem::take(text))];
                parts.extend(more);
                self.content = Content::Parts(parts);
            }
            Content::Text(_) => {}
        }
    }

    /// All its text, parts joined by a line break.
    pub fn plain_text(&self) -> String {
        match &self.content {
            Content::Text(text) => text.clone(),
            Content::Parts(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    ContentPart::Known(KnownPart::Text(part)) => Some(part.text.as_str()),
                    _ => None,
                })
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }
}
