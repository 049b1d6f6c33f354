//! From `provider/model` to an endpoint: pure, and every failure names its place and remedy.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_actors::agent::model::catalog::{self, Known};
use openclaw_actors::agent::model::{ApiKind, Endpoint};
use secrecy::{ExposeSecret, SecretString};

use super::{AuthProfiles, CatalogMode, Credential, Model, ModelApi, Provider, ProviderAuth};
use crate::config::agents::ModelChoice;
use crate::config::place::{push_index, push_key};
use crate::config::secrets::{SecretFault, SecretInput};
use crate::config::substitute::is_variable_name;
use crate::config::{Config, Environment};
use crate::state_dir::StatePaths;

/// What resolving looks at.
#[derive(Clone, Copy)]
pub struct ModelSources<'a> {
    /// The settings.
    pub config: &'a Config,
    /// Variables that may hold keys.
    pub env: &'a Environment<'a>,
    /// Credentials that upstream keeps.
    pub profiles: &'a AuthProfiles,
    /// The places, for references to files.
    pub paths: &'a StatePaths,
}

/// A model that can be asked.
#[derive(Debug, Clone)]
pub struct ResolvedModel {
    /// Where it is and what proves who asks.
    pub endpoint: Endpoint,
    /// Its id at the provider.
    pub model: String,
    /// Most tokens of the input, where that is known.
    pub context_window: Option<u64>,
    /// Most tokens of the answer, where that is limited.
    pub max_tokens: Option<u64>,
    /// Longest request, where that is limited.
    pub timeout: Option<Duration>,
}

/// Why a model cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelConfigError {
    /// No model is configured for the agent.
    #[error(
        "no model is configured: set agents.defaults.model.primary to \"provider/model\", for example \"anthropic/claude-sonnet-4-5\" with ANTHROPIC_API_KEY in the environment"
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
    #[error("no key for {provider}: set {variable} in the environment, or {place}.apiKey{}", note.as_deref().unwrap_or_default())]
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

/// Whether nothing about models is configured at all: only then a local model or the echo may answer.
pub fn is_unconfigured(config: &Config) -> bool {
    let agents = &config.agents;
    let named = agents
        .all()
        .iter()
        .any(|(id, _)| agents.models_of(id).primary.is_some());
    !named && config.models.providers.is_empty() && agents.defaults.models.is_empty()
}

/// The models of an agent, the primary one set.
///
/// # Errors
///
/// [`ModelConfigError::NoModel`].
pub fn choice(config: &Config, agent: &str) -> Result<ModelChoice, ModelConfigError> {
    let choice = config.agents.models_of(agent);
    if choice.primary.is_some() {
        Ok(choice)
    } else {
        Err(ModelConfigError::NoModel)
    }
}

/// Finds where the model `provider/model` is asked, and with which key.
///
/// The key is `models.providers.<id>.apiKey`, else the provider's variable, else a key of
/// `auth-profiles.json`. A bare model name is looked for among aliases and configured models.
///
/// # Errors
///
/// [`ModelConfigError`].
pub fn resolve(
    sources: ModelSources<'_>,
    reference: &str,
) -> Result<ResolvedModel, ModelConfigError> {
    let config = sources.config;
    let (provider_id, model_id) = split(config, reference)?;
    let known = catalog::lookup(&provider_id);
    let place = push_key("models.providers", &provider_id);
    let configured = find_provider(config, &provider_id);
    let absent =
        configured.is_none() && (known.is_none() || config.models.mode == CatalogMode::Replace);
    if absent {
        return Err(ModelConfigError::UnknownProvider {
            provider: provider_id,
            place,
        });
    }
    let default = Provider::default();
    let target = Target {
        place,
        known,
        provider: configured.unwrap_or(&default),
        id: provider_id,
        model_id,
    };
    let (index, model) = target.entry();
    let address = model
        .and_then(|model| model.base_url.clone())
        .or(target.provider.base_url.clone())
        .or(known.map(|known| known.base_url.to_owned()))
        .ok_or_else(|| ModelConfigError::NoAddress {
            place: target.place.clone(),
        })?;
    let api = target.api(index, model)?;
    let key = target.key(sources, &address)?;
    let headers = target.headers(index, model, api, key.as_ref())?;
    let cap = config.agents.defaults.context_tokens;
    let window = model.map_or([cap, None, None], |model| {
        [model.context_tokens, model.context_window, cap]
    });
    Ok(ResolvedModel {
        context_window: window.into_iter().flatten().min(),
        max_tokens: model
            .and_then(|model| model.max_tokens)
            .or(target.provider.max_tokens),
        timeout: target.provider.timeout_seconds.map(Duration::from_secs),
        endpoint: Endpoint {
            provider: target.id,
            api,
            base_url: address,
            api_key: key,
            headers,
        },
        model: target.model_id,
    })
}

fn split(config: &Config, reference: &str) -> Result<(String, String), ModelConfigError> {
    let reference = reference.trim();
    let alias = config.agents.defaults.alias(reference);
    let full = alias.as_deref().unwrap_or(reference);
    if let Some((provider, model)) = catalog::split(full) {
        return Ok((provider.to_owned(), model.to_owned()));
    }
    let mut owners = config
        .models
        .providers
        .iter()
        .filter(|(_, provider)| provider.models.iter().any(|model| model.id == full))
        .map(|(id, _)| id.clone());
    match (owners.next(), owners.next()) {
        (Some(only), None) => Ok((only, full.to_owned())),
        _ => Err(ModelConfigError::Reference {
            reference: reference.to_owned(),
        }),
    }
}

fn find_provider<'a>(config: &'a Config, id: &str) -> Option<&'a Provider> {
    let providers = &config.models.providers;
    let other_case = || {
        providers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(id))
            .map(|(_, provider)| provider)
    };
    providers.get(id).or_else(other_case)
}

/// The provider and model that were asked for.
struct Target<'a> {
    id: String,
    model_id: String,
    place: String,
    known: Option<&'static Known>,
    provider: &'a Provider,
}

impl<'a> Target<'a> {
    /// The model's own entry, and where it stands.
    fn entry(&self) -> (usize, Option<&'a Model>) {
        let index = self
            .provider
            .models
            .iter()
            .position(|model| model.id == self.model_id);
        (
            index.unwrap_or_default(),
            index.map(|index| &self.provider.models[index]),
        )
    }

    fn api(&self, index: usize, model: Option<&Model>) -> Result<ApiKind, ModelConfigError> {
        let own = model.and_then(|model| model.api).map(|api| {
            (
                api,
                format!(
                    "{}.api",
                    push_index(&format!("{}.models", self.place), index)
                ),
            )
        });
        let Some((api, place)) = own.or(self
            .provider
            .api
            .map(|api| (api, format!("{}.api", self.place))))
        else {
            // Servers that people run themselves speak this one.
            return Ok(self
                .known
                .map_or(ApiKind::OpenaiCompletions, |known| known.api));
        };
        match api {
            ModelApi::OpenaiCompletions => Ok(ApiKind::OpenaiCompletions),
            ModelApi::AnthropicMessages => Ok(ApiKind::AnthropicMessages),
            ModelApi::Ollama => Ok(ApiKind::Ollama),
            ModelApi::GoogleGenerativeAi => Ok(ApiKind::GoogleGenerativeAi),
            other => Err(ModelConfigError::Api {
                place,
                api: other.name(),
            }),
        }
    }

    fn key(
        &self,
        sources: ModelSources<'_>,
        address: &str,
    ) -> Result<Option<SecretString>, ModelConfigError> {
        match self.provider.auth {
            Some(ProviderAuth::Oauth) => return Err(self.auth("oauth")),
            Some(ProviderAuth::AwsSdk) => return Err(self.auth("aws-sdk")),
            Some(ProviderAuth::ApiKey | ProviderAuth::Token) | None => {}
        }
        if let Some(input) = &self.provider.api_key {
            let place = format!("{}.apiKey", self.place);
            if let Some(key) = secret(input, place)? {
                return Ok(Some(named_variable(key, sources.env)));
            }
        }
        let variables = self.known.map_or(&[] as &[&str], |known| known.key_env);
        if let Some(key) = variables.iter().find_map(|name| sources.env.get(name)) {
            return Ok(Some(key.into()));
        }
        let (key, note) = self.profile_key(sources)?;
        let own_endpoint = self
            .known
            .is_some_and(|known| known.needs_key && known.base_url == address);
        match (key, note) {
            (Some(key), _) => Ok(Some(key)),
            (None, note) if own_endpoint || note.is_some() => Err(ModelConfigError::NoKey {
                provider: self.id.clone(),
                place: self.place.clone(),
                variable: variables
                    .first()
                    .map_or_else(|| "its variable".to_owned(), ToString::to_string),
                note,
            }),
            (None, _) => Ok(None),
        }
    }

    /// A key of the profiles; without one, what there is instead.
    fn profile_key(
        &self,
        sources: ModelSources<'_>,
    ) -> Result<(Option<SecretString>, Option<String>), ModelConfigError> {
        let order = sources
            .config
            .auth
            .order
            .get(&self.id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(profile) = sources.profiles.of(&self.id, order).into_iter().next() else {
            return Ok((None, None));
        };
        let note = match profile.credential {
            Credential::Key(key) => return Ok((Some(key.clone()), None)),
            Credential::Reference(reference) => {
                let found = sources
                    .config
                    .secrets
                    .follow(reference, sources.env, sources.paths);
                let place = format!("auth-profiles.json, profile {:?}", profile.id);
                return found
                    .map(|key| (Some(key), None))
                    .map_err(|fault| ModelConfigError::Secret { place, fault });
            }
            Credential::Oauth => {
                "is a login in a browser (OAuth), which is not supported".to_owned()
            }
            Credential::Other(kind) => format!("is of the kind {kind:?}, which is not supported"),
        };
        Ok((
            None,
            Some(format!(" (the profile {:?} {note})", profile.id)),
        ))
    }

    fn headers(
        &self,
        index: usize,
        model: Option<&Model>,
        api: ApiKind,
        key: Option<&SecretString>,
    ) -> Result<BTreeMap<String, String>, ModelConfigError> {
        let mut headers = BTreeMap::new();
        let base = format!("{}.headers", self.place);
        let own = format!(
            "{}.headers",
            push_index(&format!("{}.models", self.place), index)
        );
        let own = model
            .into_iter()
            .flat_map(|model| &model.headers)
            .map(|entry| (&own, entry));
        for (place, (name, input)) in self
            .provider
            .headers
            .iter()
            .map(|entry| (&base, entry))
            .chain(own)
        {
            if let Some(value) = secret(input, push_key(place, name))? {
                headers.insert(name.clone(), value.expose_secret().to_owned());
            }
        }
        // OpenAI's API sends the key this way by itself.
        if let (Some(true), Some(key), false) = (
            self.provider.auth_header,
            key,
            api == ApiKind::OpenaiCompletions,
        ) {
            headers
                .entry("Authorization".to_owned())
                .or_insert_with(|| format!("Bearer {}", key.expose_secret()));
        }
        Ok(headers)
    }

    fn auth(&self, auth: &'static str) -> ModelConfigError {
        ModelConfigError::Auth {
            place: self.place.clone(),
            auth,
        }
    }
}

fn secret(input: &SecretInput, place: String) -> Result<Option<SecretString>, ModelConfigError> {
    match input.secret() {
        Ok(secret) => Ok(secret.cloned()),
        Err(fault) => Err(ModelConfigError::Secret {
            place,
            fault: fault.clone(),
        }),
    }
}

/// Upstream reads `apiKey: "MY_VARIABLE"` as that variable when it is set; so do we.
fn named_variable(key: SecretString, env: &Environment<'_>) -> SecretString {
    let named = Some(key.expose_secret())
        .filter(|text| is_variable_name(text))
        .and_then(|name| env.get(name));
    named.map_or(key, SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, LoadRequest, load};

    /// What `reference` resolves to: api, address, model, key; or the error.
    fn ask(
        config: &str,
        profiles: &str,
        reference: &str,
    ) -> Result<(String, String, String, String), String> {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        std::fs::create_dir(&state).unwrap();
        std::fs::write(state.join("openclaw.json"), config).unwrap();
        let process = |name: &str| match name {
            "OPENAI_API_KEY" => Some("sk-env".to_owned()),
            "LITELLM_KEY" => Some("sk-lite".to_owned()),
            _ => None,
        };
        let flags = Flags::default();
        let loaded = load(&LoadRequest {
            flags: &flags,
            env: &process,
            home: Some(home.path()),
        })
        .unwrap();
        let env = loaded.environment(&process).unwrap();
        let file = home.path().join("auth-profiles.json");
        std::fs::write(&file, profiles).unwrap();
        let (profiles, _) = AuthProfiles::read(&file).unwrap();
        let sources = ModelSources {
            config: &loaded.config,
            env: &env,
            profiles: &profiles,
            paths: &loaded.paths,
        };
        let found = resolve(sources, reference).map_err(|error| error.to_string())?;
        let endpoint = found.endpoint;
        let key = endpoint
            .api_key
            .map(|key| key.expose_secret().to_owned())
            .unwrap_or_default();
        Ok((
            endpoint.api.to_string(),
            endpoint.base_url,
            found.model,
            key,
        ))
    }

    fn is(found: Result<(String, String, String, String), String>, expected: [&str; 4]) {
        let (api, address, model, key) = found.unwrap();
        assert_eq!([api.as_str(), &address, &model, &key], expected);
    }

    #[test]
    fn built_in_providers_need_a_key_alone() {
        is(
            ask("{}", "{}", "openai/gpt-5"),
            [
                "openai-completions",
                "https://api.openai.com/v1",
                "gpt-5",
                "sk-env",
            ],
        );
        is(
            ask("{}", "{}", "ollama/qwen3"),
            [
                "ollama",
                catalog::lookup("ollama").unwrap().base_url,
                "qwen3",
                "",
            ],
        );
        let profiles = r#"{ "profiles": { "openrouter:a": { "type": "api_key", "provider": "openrouter", "key": "k" } } }"#;
        is(
            ask("{}", profiles, "openrouter/anthropic/claude"),
            [
                "openai-completions",
                "https://openrouter.ai/api/v1",
                "anthropic/claude",
                "k",
            ],
        );
    }

    #[test]
    fn the_configured_key_goes_before_the_environment_and_profiles() {
        let profiles = r#"{ "profiles": { "openai:a": { "type": "api_key", "provider": "openai", "key": "k" } } }"#;
        let config = "{ models: { providers: { openai: { apiKey: 'sk-config', baseUrl: 'http://127.0.0.1:1/v1' } } } }";
        is(
            ask(config, profiles, "openai/m"),
            [
                "openai-completions",
                "http://127.0.0.1:1/v1",
                "m",
                "sk-config",
            ],
        );
        is(
            ask("{}", profiles, "openai/m"),
            [
                "openai-completions",
                "https://api.openai.com/v1",
                "m",
                "sk-env",
            ],
        );
    }

    #[test]
    fn providers_of_ones_own_are_found() {
        let config = "{ agents: { defaults: { models: { 'lite/big': { alias: 'large' } } } }, models: { providers: {
            lite: { baseUrl: 'http://localhost:4000', apiKey: 'LITELLM_KEY', api: 'anthropic-messages',
                    models: [{ id: 'big' }, { id: 'small', api: 'openai-completions' }] },
            bare: { baseUrl: 'http://localhost:8000/v1' } } } }";
        let lite = [
            "anthropic-messages",
            "http://localhost:4000",
            "big",
            "sk-lite",
        ];
        is(ask(config, "{}", "lite/big"), lite);
        is(ask(config, "{}", "Large"), lite);
        is(ask(config, "{}", "big"), lite);
        is(
            ask(config, "{}", "lite/small"),
            [
                "openai-completions",
                "http://localhost:4000",
                "small",
                "sk-lite",
            ],
        );
        is(
            ask(config, "{}", "bare/x"),
            ["openai-completions", "http://localhost:8000/v1", "x", ""],
        );
    }

    #[test]
    fn every_failure_names_its_place_and_remedy() {
        let config = "{ models: { providers: {
            resp: { baseUrl: 'http://h', api: 'openai-responses' }, none: { apiKey: 'k' },
            login: { baseUrl: 'http://h', auth: 'oauth' }, var: { baseUrl: 'http://h', apiKey: '${NOT_SET}' } } } }";
        let oauth =
            r#"{ "profiles": { "anthropic:me": { "type": "oauth", "provider": "anthropic" } } }"#;
        let cases = [
            (
                config,
                "{}",
                "gpt-5",
                "the model \"gpt-5\" names no provider",
            ),
            (
                config,
                "{}",
                "nobody/m",
                "models.providers.nobody does not exist and \"nobody\" is not built in",
            ),
            (
                config,
                "{}",
                "resp/m",
                "models.providers.resp.api: the API \"openai-responses\" is not supported",
            ),
            (
                config,
                "{}",
                "none/m",
                "models.providers.none.baseUrl is missing",
            ),
            (
                config,
                "{}",
                "login/m",
                "models.providers.login.auth: \"oauth\" is not supported",
            ),
            (
                config,
                "{}",
                "var/m",
                "models.providers.var.apiKey: the environment variable NOT_SET is not set",
            ),
            (
                "{}",
                "{}",
                "anthropic/m",
                "no key for anthropic: set ANTHROPIC_API_KEY in the environment, or models.providers.anthropic.apiKey",
            ),
            (
                "{}",
                oauth,
                "anthropic/m",
                "(the profile \"anthropic:me\" is a login in a browser (OAuth)",
            ),
            (
                "{ models: { mode: 'replace' } }",
                "{}",
                "openai/m",
                "models.providers.openai does not exist",
            ),
        ];
        for (config, profiles, reference, expected) in cases {
            let error = ask(config, profiles, reference).unwrap_err();
            assert!(error.contains(expected), "{reference}: {error}");
        }
    }

    #[test]
    fn only_an_empty_configuration_counts_as_unconfigured() {
        assert!(is_unconfigured(&Config::default()));
        let mut config = Config::default();
        config
            .models
            .providers
            .insert("x".to_owned(), Provider::default());
        assert!(!is_unconfigured(&config));
        assert_eq!(
            choice(&config, "main").unwrap_err(),
            ModelConfigError::NoModel
        );
    }
}
