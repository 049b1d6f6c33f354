//! From `provider/model` to an endpoint: pure, and every failure names its place and remedy.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_actors::agent::model::catalog::{self, Known};
use openclaw_actors::agent::model::{ApiKind, Endpoint, Takes};
use openclaw_actors::usage::Price;
use secrecy::{ExposeSecret, SecretString};

use super::error::ModelConfigError;
use super::{
    AuthProfiles, CatalogMode, Cost, Credential, Input, Model, ModelApi, Provider, ProviderAuth,
};
use crate::config::agents::ModelChoice;
use crate::config::place::{push_index, push_key};
use crate::config::secrets::SecretInput;
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
    /// What it can be shown.
    pub takes: Takes,
    /// What its tokens cost, where that is configured.
    pub price: Option<Price>,
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
        takes: takes(model, api, &address),
        price: model.and_then(|model| model.cost).map(price),
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

/// What `input` says; where it says nothing, what models of this API usually take.
fn takes(model: Option<&Model>, api: ApiKind, address: &str) -> Takes {
    let input = model.map_or(&[] as &[Input], |model| &model.input);
    if input.is_empty() {
        return Takes::usually(api, address);
    }
    Takes {
        images: input.contains(&Input::Image),
        documents: input.contains(&Input::Document)
            || (input.contains(&Input::Image) && Takes::usually(api, address).documents),
    }
}

const fn price(cost: Cost) -> Price {
    Price {
        input: cost.input,
        output: cost.output,
        cache_read: cost.cache_read,
        cache_write: cost.cache_write,
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
