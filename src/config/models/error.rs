//! Why a model cannot be asked, with the place and the remedy.

use openclaw_actors::agent::model::catalog;

use crate::config::secrets::SecretFault;

/// Why a model cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelConfigError {
    /// No model is configured for the agent.
    #[error(
        "no model is chosen: choose one on the page's Set up (`openclaw dashboard`), or with `openclaw models set PROVIDER/MODEL`, for example anthropic/claude-sonnet-4-5"
    )]
    NoModel,
    /// The text is not `provider/model`, and no alias.
    #[error(
        "the model {reference:?} names no provider: write \"provider/model\" in agents.defaults.model, or give it as an alias in agents.defaults.models"
    )]
    Reference {
        /// The text.
        reference: String,
    },
    /// The provider is neither configured nor built in.
    #[error(
        "{place} does not exist and {provider:?} is not built in (built in: {}): add {place} {{ baseUrl, api, apiKey }}, or choose another agents.defaults.model.primary",
        built_in()
    )]
    UnknownProvider {
        /// The provider.
        provider: String,
        /// Where it would be configured.
        place: String,
    },
    /// The provider speaks an API that is not spoken here.
    #[error(
        "{place}: the API \"{api}\" is not supported; use openai-completions, anthropic-messages, ollama or google-generative-ai"
    )]
    Api {
        /// Where it is configured.
        place: String,
        /// The API.
        api: String,
    },
    /// A provider of one's own has no address.
    #[error("{place}.baseUrl is missing: the address of the provider's API")]
    NoAddress {
        /// The provider's section.
        place: String,
    },
    /// There is no key.
    #[error("no key for {provider}: enter it on the page's Set up (`openclaw dashboard`), or set {place}.apiKey, or {variable} where the gateway is started{}", note.as_deref().unwrap_or_default())]
    NoKey {
        /// The provider.
        provider: String,
        /// Its section.
        place: String,
        /// The variable that is looked at.
        variable: String,
        /// What was found instead.
        note: Option<String>,
    },
    /// The way of authenticating is not supported.
    #[error("{place}.auth: \"{auth}\" is not supported; use an API key ({place}.apiKey)")]
    Auth {
        /// The provider's section.
        place: String,
        /// The way.
        auth: &'static str,
    },
    /// A secret is a reference that leads nowhere.
    #[error("{place}: {fault}")]
    Secret {
        /// Where it stands.
        place: String,
        /// Why.
        fault: SecretFault,
    },
}

fn built_in() -> String {
    catalog::KNOWN.map(|known| known.id).join(", ")
}
