//! Which models answer, and how each is asked.

use std::collections::BTreeMap;

use openclaw_actors::agent::generate::DEFAULT_CONTEXT_TOKENS;
use openclaw_actors::settings::{ModelPlan, ResolvedModel};
use openclaw_protocol::methods::models::{ModelChoice as ModelRow, ModelInput, UnavailableReason};

use crate::config::models::{
    AuthProfiles, Input, ModelConfigError, ModelSources, ResolvedModel as Found, choice,
    is_unconfigured, resolve,
};
use crate::config::{Environment, Loaded};

fn resolved(found: Found) -> ResolvedModel {
    ResolvedModel {
        endpoint: found.endpoint,
        model: found.model,
        context_tokens: found
            .context_window
            .and_then(|tokens| usize::try_from(tokens).ok())
            .unwrap_or(DEFAULT_CONTEXT_TOKENS),
        max_output_tokens: found
            .max_tokens
            .and_then(|tokens| u32::try_from(tokens).ok()),
        timeout: found.timeout,
        takes: found.takes,
        price: found.price,
    }
}

/// Which model answers. A fallback that cannot be asked is left out with a warning; a primary that
/// cannot be asked fails every run with its remedy, and never falls back to the echo.
pub(super) fn plan(
    loaded: &Loaded,
    env: &Environment<'_>,
    profiles: &AuthProfiles,
    id: &str,
) -> ModelPlan {
    let config = &loaded.config;
    if is_unconfigured(config) {
        return ModelPlan::Unconfigured;
    }
    let chosen = match choice(config, id) {
        Ok(chosen) => chosen,
        Err(error) => return ModelPlan::Broken(error.to_string()),
    };
    let sources = || ModelSources {
        config,
        env,
        profiles,
        paths: &loaded.paths,
    };
    let mut chain = Vec::new();
    for (index, reference) in chosen.primary.iter().chain(&chosen.fallbacks).enumerate() {
        match resolve(sources(), reference) {
            Ok(found) => chain.push(resolved(found)),
            Err(error) if index == 0 => return ModelPlan::Broken(error.to_string()),
            Err(error) => tracing::warn!(agent = id, %error, "a fallback model cannot be asked"),
        }
    }
    ModelPlan::Chain(chain)
}

/// How to ask each configured model.
pub(super) fn catalogue(
    loaded: &Loaded,
    env: &Environment<'_>,
    profiles: &AuthProfiles,
) -> BTreeMap<String, Result<ResolvedModel, String>> {
    let config = &loaded.config;
    if is_unconfigured(config) {
        return BTreeMap::new();
    }
    let entry = |row: ModelRow| {
        let reference = format!("{}/{}", row.provider, row.id);
        let sources = ModelSources {
            config,
            env,
            profiles,
            paths: &loaded.paths,
        };
        let model = resolve(sources, &reference);
        let model = model.map(resolved).map_err(|error| error.to_string());
        (reference, model)
    };
    models(loaded).into_iter().map(entry).collect()
}

/// The configured models, as lists show them, with those that cannot be asked marked.
pub(super) fn told(
    loaded: &Loaded,
    env: &Environment<'_>,
    profiles: &AuthProfiles,
) -> Vec<ModelRow> {
    let mut rows = models(loaded);
    if is_unconfigured(&loaded.config) {
        return rows;
    }
    for row in &mut rows {
        let sources = ModelSources {
            config: &loaded.config,
            env,
            profiles,
            paths: &loaded.paths,
        };
        if let Err(error) = resolve(sources, &format!("{}/{}", row.provider, row.id)) {
            row.available = Some(false);
            row.unavailable_reason = matches!(error, ModelConfigError::NoKey { .. })
                .then_some(UnavailableReason::MissingAuth);
        }
    }
    rows
}

/// The configured models.
fn models(loaded: &Loaded) -> Vec<ModelRow> {
    let config = &loaded.config;
    let mut rows: Vec<ModelRow> = Vec::new();
    for (provider, entry) in &config.models.providers {
        for model in &entry.models {
            rows.push(ModelRow {
                id: model.id.clone(),
                name: model.name.clone().unwrap_or_else(|| model.id.clone()),
                provider: provider.clone(),
                alias: None,
                available: Some(true),
                unavailable_reason: None,
                context_window: model.context_window,
                reasoning: Some(model.reasoning),
                supports_tools: None,
                input: (!model.input.is_empty())
                    .then(|| model.input.iter().copied().map(input).collect()),
            });
        }
    }
    for (id, _) in config.agents.all() {
        let chosen = config.agents.models_of(&id);
        for reference in chosen.primary.iter().chain(&chosen.fallbacks) {
            if let Some((provider, model)) = reference.split_once('/')
                && !rows
                    .iter()
                    .any(|row| row.provider == provider && row.id == model)
            {
                rows.push(plain_row(provider, model));
            }
        }
    }
    if rows.is_empty() {
        rows.push(plain_row("openclaw", "echo"));
    }
    rows
}

fn plain_row(provider: &str, model: &str) -> ModelRow {
    ModelRow {
        id: model.to_owned(),
        name: model.to_owned(),
        provider: provider.to_owned(),
        alias: None,
        available: Some(true),
        unavailable_reason: None,
        context_window: None,
        reasoning: None,
        supports_tools: None,
        input: None,
    }
}

const fn input(input: Input) -> ModelInput {
    match input {
        Input::Text => ModelInput::Text,
        Input::Image => ModelInput::Image,
        Input::Audio => ModelInput::Audio,
        Input::Video => ModelInput::Video,
        Input::Document => ModelInput::Document,
    }
}
