//! The providers that work by name alone: endpoint, API and key variable.

use super::request::ApiKind;

/// A provider that needs no `baseUrl` and no `api` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its id in the configuration.
    pub id: &'static str,
    /// Where it is reached.
    pub base_url: &'static str,
    /// The wire format it speaks.
    pub api: ApiKind,
    /// Environment variables that hold its key, the first one set wins.
    pub key_env: &'static [&'static str],
    /// Whether its own endpoint answers nobody without a key.
    pub needs_key: bool,
}

/// Every provider that is built in, by id.
pub const KNOWN: [Known; 9] = [
    Known {
        id: "anthropic",
        base_url: "https://api.anthropic.com",
        api: ApiKind::AnthropicMessages,
        key_env: &["ANTHROPIC_API_KEY"],
        needs_key: true,
    },
    openai_like(
        "deepseek",
        "https://api.deepseek.com/v1",
        &["DEEPSEEK_API_KEY"],
    ),
    Known {
        id: "google",
        base_url: "https://generativelanguage.googleapis.com/v1beta",
        api: ApiKind::GoogleGenerativeAi,
        key_env: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        needs_key: true,
    },
    openai_like("groq", "https://api.groq.com/openai/v1", &["GROQ_API_KEY"]),
    openai_like("mistral", "https://api.mistral.ai/v1", &["MISTRAL_API_KEY"]),
    Known {
        id: "ollama",
        base_url: super::ollama::DEFAULT_BASE_URL,
        api: ApiKind::Ollama,
        key_env: &["OLLAMA_API_KEY"],
        needs_key: false,
    },
    openai_like("openai", "https://api.openai.com/v1", &["OPENAI_API_KEY"]),
    openai_like(
        "openrouter",
        "https://openrouter.ai/api/v1",
        &["OPENROUTER_API_KEY"],
    ),
    openai_like("xai", "https://api.x.ai/v1", &["XAI_API_KEY"]),
];

const fn openai_like(
    id: &'static str,
    base_url: &'static str,
    key_env: &'static [&'static str],
) -> Known {
    Known {
        id,
        base_url,
        api: ApiKind::OpenaiCompletions,
        key_env,
        needs_key: true,
    }
}

/// The built-in provider of this id, whatever its case.
pub fn lookup(id: &str) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.id.eq_ignore_ascii_case(id.trim()))
}

/// Splits `provider/model`. The model may contain further slashes, as in `openrouter/anthropic/claude`.
pub fn split(reference: &str) -> Option<(&str, &str)> {
    let (provider, model) = reference.trim().split_once('/')?;
    let (provider, model) = (provider.trim(), model.trim());
    (!provider.is_empty() && !model.is_empty()).then_some((provider, model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_provider_has_an_address_that_parses() {
        for known in &KNOWN {
            assert!(super::super::url::parse(known.base_url).is_ok());
            assert_eq!(lookup(known.id), Some(known));
            assert!(!known.key_env.is_empty());
        }
        assert_eq!(lookup("OpenAI").map(|known| known.id), Some("openai"));
        assert_eq!(lookup("nobody"), None);
    }

    #[test]
    fn references_split_at_the_first_slash() {
        assert_eq!(
            split("openrouter/anthropic/claude-sonnet-4"),
            Some(("openrouter", "anthropic/claude-sonnet-4"))
        );
        assert_eq!(split("gpt-5"), None);
        assert_eq!(split("openai/"), None);
    }
}
