//! Models found and refused, from files to endpoints.

use openclaw_actors::agent::model::catalog;
use secrecy::ExposeSecret;

use super::*;
use crate::config::Config;
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
            "no key for anthropic: enter it on the page's Set up (`openclaw dashboard`), or set models.providers.anthropic.apiKey, or ANTHROPIC_API_KEY where the gateway is started",
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
