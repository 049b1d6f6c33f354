//! The sentences that a person reads when a model gave no answer: what happened, then the remedy.

use std::fmt;
use std::time::Duration;

use super::catalog;
use super::error::{Fault, ModelError, TimeoutPhase};

/// Most characters of a vendor's own words that a sentence repeats.
const DETAIL_CHARS: usize = 300;

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            provider,
            model,
            base_url,
            fault,
        } = self;
        let name = format_args!("{provider}/{model}");
        let base_path = format_args!("models.providers.{provider}.baseUrl");
        match fault {
            Fault::MissingKey => {
                write!(f, "{name} has no API key; {}", self.key_remedy())
            }
            Fault::Auth { detail } => write!(
                f,
                "{provider} refused the API key for {model}{}; {}",
                quoted(detail),
                self.key_remedy()
            ),
            Fault::Billing { detail } => write!(
                f,
                "the {provider} account has no credit or quota left for {model}{}; top it up at the provider, \
                 or name another model in agents.defaults.model",
                quoted(detail)
            ),
            Fault::RateLimited {
                retry_after,
                detail,
            } => write!(
                f,
                "{provider} limits the rate of requests to {model}{}; {}, or add a model of another provider to \
                 agents.defaults.model.fallbacks",
                quoted(detail),
                Wait(*retry_after)
            ),
            Fault::Overloaded {
                retry_after,
                detail,
            } => write!(
                f,
                "{name} is overloaded{}; {}",
                quoted(detail),
                Wait(*retry_after)
            ),
            Fault::Server {
                status,
                retry_after,
                detail,
            } => write!(
                f,
                "{name} failed{}{}; {}",
                Status(*status),
                quoted(detail),
                Wait(*retry_after)
            ),
            Fault::Timeout { phase, limit } => self.explain_timeout(f, *phase, *limit),
            Fault::ContextLength { detail } => write!(
                f,
                "the conversation is too long for {name}{}; start a new session, or use a model with a larger context",
                quoted(detail)
            ),
            Fault::Refusal { detail } => write!(
                f,
                "{name} declined to answer{}; put it another way, or use another model",
                quoted(detail)
            ),
            Fault::UnknownModel { detail } => {
                write!(
                    f,
                    "{provider} offers no model `{model}`{}; ",
                    quoted(detail)
                )?;
                if provider == "ollama" {
                    write!(
                        f,
                        "run `ollama pull {model}`, or correct agents.defaults.model"
                    )
                } else {
                    write!(f, "correct agents.defaults.model (provider/model)")
                }
            }
            Fault::BadRequest { status, detail } => write!(
                f,
                "{name} at {base_url} did not accept the request{}{}; check models.providers.{provider} (api, baseUrl, headers)",
                Status(*status),
                quoted(detail)
            ),
            Fault::Network { detail } => write!(
                f,
                "the connection to {provider} at {base_url} for {model} failed{}; check that it runs, the network and {base_path}",
                quoted(detail)
            ),
            Fault::Truncated => write!(
                f,
                "the answer of {name} broke off before its end; try again"
            ),
            Fault::TooLarge { what, limit } => write!(
                f,
                "{what} of {name} is larger than {limit} bytes, which is more than the gateway takes; ask for less"
            ),
            Fault::Protocol { detail } => write!(
                f,
                "{name} at {base_url} answered in an unexpected format{}; check {base_path} and models.providers.{provider}.api",
                quoted(detail)
            ),
            Fault::Setup { detail } => write!(
                f,
                "{name} could not be asked{}; check models.providers.{provider}",
                quoted(detail)
            ),
        }
    }
}

impl ModelError {
    fn explain_timeout(
        &self,
        f: &mut fmt::Formatter<'_>,
        phase: TimeoutPhase,
        limit: Duration,
    ) -> fmt::Result {
        let Self {
            provider,
            model,
            base_url,
            ..
        } = self;
        let name = format_args!("{provider}/{model}");
        let base_path = format_args!("models.providers.{provider}.baseUrl");
        let seconds = limit.as_secs_f64();
        match phase {
            TimeoutPhase::Connect => write!(
                f,
                "no connection to {provider} at {base_url} for {model} within {seconds} s; check the network and {base_path}"
            ),
            TimeoutPhase::FirstByte => write!(
                f,
                "{name} did not begin to answer within {seconds} s; try again, or name a faster model"
            ),
            TimeoutPhase::Idle => {
                write!(f, "{name} fell silent for {seconds} s; try again")
            }
            TimeoutPhase::Total => write!(
                f,
                "{name} did not finish within {seconds} s; ask for less, or raise agents.defaults.timeoutSeconds"
            ),
        }
    }

    fn key_remedy(&self) -> String {
        let path = format!("models.providers.{}.apiKey", self.provider);
        match catalog::lookup(&self.provider).and_then(|known| known.key_env.first()) {
            Some(variable) => {
                format!("set {path} in openclaw.json or {variable} in the environment")
            }
            None => format!("set {path} in openclaw.json"),
        }
    }
}

/// Detail in brackets: one line, no control characters, bounded. Empty for an empty detail.
fn quoted(detail: &str) -> String {
    let mut line = String::new();
    for word in detail.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > DETAIL_CHARS * 4 {
            break;
        }
    }
    if line.chars().count() > DETAIL_CHARS {
        line = line.chars().take(DETAIL_CHARS).collect();
        line.push('…');
    }
    if line.is_empty() {
        line
    } else {
        format!(" ({})", line.trim_end_matches('.'))
    }
}

struct Status(Option<u16>);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => write!(f, " with HTTP {status}"),
            None => Ok(()),
        }
    }
}

struct Wait(Option<Duration>);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(wait) => write!(f, "try again in {} s", wait.as_secs_f64().ceil()),
            None => f.write_str("try again later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::{ApiKind, Endpoint, ModelRequest};
    use std::collections::BTreeMap;

    fn error(provider: &str, fault: Fault) -> ModelError {
        let endpoint = Endpoint {
            provider: provider.into(),
            api: ApiKind::OpenaiCompletions,
            base_url: "https://u:p@api.example.com/v1".into(),
            api_key: None,
            headers: BTreeMap::new(),
        };
        ModelError::new(&ModelRequest::new(endpoint, "gpt-5"), fault)
    }

    #[test]
    fn a_missing_key_names_the_config_path_and_the_variable() {
        let text = error("openai", Fault::MissingKey).to_string();
        assert_eq!(
            text,
            "openai/gpt-5 has no API key; set models.providers.openai.apiKey in openclaw.json or OPENAI_API_KEY in the environment"
        );
        let own = error("mine", Fault::MissingKey).to_string();
        assert!(own.ends_with("set models.providers.mine.apiKey in openclaw.json"));
    }

    #[test]
    fn secrets_are_replaced_and_long_details_are_cut() {
        let fault = Fault::Auth {
            detail: format!(
                "Incorrect API key provided: sk-abcdef.\n{}",
                "x".repeat(5000)
            ),
        }
        .scrub(&["sk-abcdef"]);
        let text = error("openai", fault).to_string();
        assert!(text.contains("provided: [key]. xxx"), "{text}");
        assert!(!text.contains("sk-abcdef"));
        assert!(text.chars().count() < 500, "{}", text.len());
    }

    #[test]
    fn kinds_are_those_of_the_wire() {
        let kind = |fault| error("x", fault).kind().as_str();
        let detail = String::new;
        assert_eq!(kind(Fault::Refusal { detail: detail() }), "refusal");
        assert_eq!(
            kind(Fault::ContextLength { detail: detail() }),
            "context_length"
        );
        assert_eq!(
            kind(Fault::RateLimited {
                retry_after: None,
                detail: detail()
            }),
            "rate_limit"
        );
        assert_eq!(
            kind(Fault::Timeout {
                phase: TimeoutPhase::Idle,
                limit: Duration::from_secs(1)
            }),
            "timeout"
        );
        assert_eq!(kind(Fault::MissingKey), "unknown");
    }

    #[test]
    fn a_rate_limit_says_how_long_to_wait() {
        let limited = error(
            "groq",
            Fault::RateLimited {
                retry_after: Some(Duration::from_millis(1200)),
                detail: "slow down.".into(),
            },
        );
        assert_eq!(limited.retry_after(), Some(Duration::from_millis(1200)));
        assert!(
            limited
                .to_string()
                .contains("(slow down); try again in 2 s")
        );
    }
}
