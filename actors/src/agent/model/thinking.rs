//! How much a model thinks before it answers, and how each wire format is told.

use openclaw_protocol::methods::message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::request::{ModelRequest, PromptRole};

/// How much a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// Not at all.
    Off,
    /// As little as it can.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More than that.
    Xhigh,
    /// As much as it finds right.
    Adaptive,
    /// All that it can.
    Max,
}

impl Thinking {
    /// Every level.
    pub const ALL: [Self; 8] = [
        Self::Off,
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Xhigh,
        Self::Adaptive,
        Self::Max,
    ];

    /// Its name on the wire and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Adaptive => "adaptive",
            Self::Max => "max",
        }
    }

    /// The level that somebody wrote; `ultra` is an older name of `max`.
    ///
    /// # Errors
    ///
    /// With what can be written.
    pub fn read(written: &str) -> Result<Self, String> {
        let name = written.trim().to_lowercase();
        let name = if name == "ultra" { "max" } else { &name };
        let found = Self::ALL.into_iter().find(|level| level.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!(
                "\"{}\" is no thinking level; there are {names}",
                written.trim()
            )
        })
    }

    /// Tokens that may be thought where a format counts them.
    const fn tokens(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::Minimal => 1_024,
            Self::Low => 2_048,
            Self::Medium | Self::Adaptive => 8_192,
            Self::High => 16_384,
            Self::Xhigh | Self::Max => 32_000,
        }
    }

    /// One of the words of `OpenAI`; nothing where the model is to find it right itself.
    const fn effort(self) -> Option<&'static str> {
        match self {
            Self::Off => Some("none"),
            Self::Adaptive => None,
            Self::Minimal => Some("minimal"),
            Self::Low => Some("low"),
            Self::Medium => Some("medium"),
            Self::High => Some("high"),
            Self::Xhigh | Self::Max => Some("xhigh"),
        }
    }
}

/// Under this name a message says how much its answer is to be thought about.
const ASKED: &str = "thinking";

/// Writes into a message what its sender asked for; what is no level counts as nothing.
pub(crate) fn note(row: &mut Message, written: Option<&str>) {
    if let Some(level) = written.and_then(|written| Thinking::read(written).ok()) {
        let meta = row.meta.get_or_insert_default();
        meta.other.insert(ASKED.into(), level.name().into());
    }
}

/// What the sender of a message asked for.
pub(crate) fn noted(row: &Message) -> Option<Thinking> {
    let level = row.meta.as_ref()?.other.get(ASKED)?;
    Thinking::read(level.as_str()?).ok()
}

/// Anthropic: a budget inside of `max_tokens`. The API wants the thoughts of an answer back with its
/// calls, signed, and those are not kept: so a model thinks about a question, and not again about the
/// results of tools.
pub(super) fn anthropic(request: &ModelRequest, body: &mut Value, default_max: u32) {
    /// The smallest budget that the API takes.
    const LEAST: u32 = 1_024;
    let level = request.thinking.filter(|level| *level != Thinking::Off);
    let answers = request
        .messages
        .last()
        .is_some_and(|last| last.role == PromptRole::Tool);
    let in_tools = request
        .messages
        .iter()
        .rev()
        .take_while(|message| message.role != PromptRole::Assistant)
        .any(|message| message.role == PromptRole::Tool);
    let Some(level) = level.filter(|_| !answers && !in_tools) else {
        return;
    };
    let max = request
        .max_output_tokens
        .unwrap_or_else(|| default_max + level.tokens());
    let budget = level.tokens().min(max / 2);
    if budget >= LEAST {
        body["max_tokens"] = json!(max);
        body["thinking"] = json!({"type": "enabled", "budget_tokens": budget});
    }
}

/// `OpenAI` and those who speak its format: a word.
pub(super) fn openai(request: &ModelRequest, body: &mut Value) {
    if let Some(effort) = request.thinking.and_then(Thinking::effort) {
        body["reasoning_effort"] = json!(effort);
    }
}

/// Google: a budget, 0 for none, -1 for what the model finds right.
pub(super) fn google(request: &ModelRequest, body: &mut Value) {
    let Some(level) = request.thinking else {
        return;
    };
    let budget = match level {
        Thinking::Adaptive => -1,
        level => i64::from(level.tokens().min(24_576)),
    };
    body["generationConfig"]["thinkingConfig"] =
        json!({"thinkingBudget": budget, "includeThoughts": level != Thinking::Off});
}

/// Ollama: yes or no, and for the models that know degrees one of three words.
pub(super) fn ollama(request: &ModelRequest, body: &mut Value) {
    let Some(level) = request.thinking else {
        return;
    };
    body["think"] = if request.model.contains("gpt-oss") {
        json!(match level {
            Thinking::Off | Thinking::Minimal | Thinking::Low => "low",
            Thinking::Medium | Thinking::Adaptive => "medium",
            Thinking::High | Thinking::Xhigh | Thinking::Max => "high",
        })
    } else {
        json!(level != Thinking::Off)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::{ApiKind, Endpoint, PromptMessage, ToolResult};

    fn request(level: Option<Thinking>) -> ModelRequest {
        let endpoint = Endpoint {
            provider: "p".into(),
            api: ApiKind::Ollama,
            base_url: "http://127.0.0.1:1".into(),
            api_key: None,
            headers: std::collections::BTreeMap::default(),
        };
        let mut request = ModelRequest::new(endpoint, "qwen3");
        request.messages = vec![PromptMessage::user("why?")];
        request.thinking = level;
        request
    }

    fn told(write: impl Fn(&ModelRequest, &mut Value), level: Option<Thinking>) -> Value {
        let mut body = json!({});
        write(&request(level), &mut body);
        body
    }

    #[test]
    fn every_format_is_told_in_its_own_words_and_nothing_where_nothing_is_chosen() {
        let claude = |request: &ModelRequest, body: &mut Value| anthropic(request, body, 8_192);
        for write in [claude, openai, google, ollama] {
            assert_eq!(told(write, None), json!({}));
        }
        assert_eq!(told(claude, Some(Thinking::Off)), json!({}));
        assert_eq!(
            told(claude, Some(Thinking::High)),
            json!({"max_tokens": 24_576, "thinking": {"type": "enabled", "budget_tokens": 12_288}})
        );
        assert_eq!(
            told(openai, Some(Thinking::Low)),
            json!({"reasoning_effort": "low"})
        );
        assert_eq!(told(openai, Some(Thinking::Adaptive)), json!({}));
        let google =
            |level| told(google, Some(level))["generationConfig"]["thinkingConfig"].clone();
        assert_eq!(
            google(Thinking::Off),
            json!({"thinkingBudget": 0, "includeThoughts": false})
        );
        assert_eq!(google(Thinking::Adaptive)["thinkingBudget"], -1);
        assert_eq!(told(ollama, Some(Thinking::Off)), json!({"think": false}));
        assert_eq!(told(ollama, Some(Thinking::Max)), json!({"think": true}));
    }

    #[test]
    fn claude_thinks_about_a_question_and_not_about_results() {
        let mut request = request(Some(Thinking::Low));
        request
            .messages
            .push(PromptMessage::assistant("let me see"));
        request.messages.push(PromptMessage::results([ToolResult {
            call_id: "c".into(),
            name: "read".into(),
            text: "x".into(),
            images: Vec::new(),
            is_error: false,
        }]));
        let mut body = json!({});
        anthropic(&request, &mut body, 8_192);
        assert_eq!(body, json!({}));
        request.messages.push(PromptMessage::user("and that"));
        anthropic(&request, &mut body, 8_192);
        assert_eq!(body, json!({}), "still the same answer");
        // A model with little room for its answer keeps half of it.
        request.messages = vec![PromptMessage::user("why?")];
        request.max_output_tokens = Some(3_000);
        anthropic(&request, &mut body, 8_192);
        assert_eq!(body["thinking"]["budget_tokens"], 1_500);
        request.max_output_tokens = Some(1_000);
        let mut body = json!({});
        anthropic(&request, &mut body, 8_192);
        assert_eq!(body, json!({}));
    }

    #[test]
    fn levels_are_read_as_people_write_them() {
        assert_eq!(Thinking::read(" High "), Ok(Thinking::High));
        assert_eq!(Thinking::read("ultra"), Ok(Thinking::Max));
        assert!(Thinking::read("deep").is_err_and(|told| told.contains("xhigh")));
    }
}
