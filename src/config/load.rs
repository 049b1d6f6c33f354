//! From the file to settings: read, include, substitute, layer, check, decode, follow secrets.

use std::path::PathBuf;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::environment::Environment;
use super::error::{ConfigError, Issue};
use super::place::is_within;
use super::schema::ConfigSchema;
use super::substitute::{Missing, substitute};
use super::{
    Config, LoadRequest, Loaded, Switches, checks, hash, include, known, layers, parse, refused,
};
use crate::state_dir::{StatePaths, read_bounded};

/// Largest file with a token of ours, in bytes.
const MAX_TOKEN_FILE: u64 = 4096;

/// Loads the configuration.
///
/// # Errors
///
/// [`ConfigError`], in words for the person who wrote the file.
pub fn load(request: &LoadRequest<'_>) -> Result<Loaded, ConfigError> {
    load_from(request, None)
}

/// Loads the configuration as it would be with this text in its file.
///
/// # Errors
///
/// As [`load`].
pub fn load_text(request: &LoadRequest<'_>, text: &str) -> Result<Loaded, ConfigError> {
    load_from(request, Some(text))
}

fn load_from(request: &LoadRequest<'_>, text: Option<&str>) -> Result<Loaded, ConfigError> {
    let paths = StatePaths::resolve(request.env, request.home, request.flags.profile.as_deref())?;
    let mut env = Environment::new(request.env);
    env.add_dotenv(&paths.state_dir)?;
    let file = File::read(&paths, &env, text)?;
    env.add_block(&file.value);

    let mut warnings = file.duplicate_warnings();
    let mut display = file.value.clone();
    warnings.extend(rename_older_sections(&mut display));
    let mut value = display.clone();
    let missing = substitute(&mut value, &|name| env.get(name));

    let (variables, mut issues) = layers::environment_layer(&env);
    warnings.extend(differing_secrets(&value, &variables));
    let merge = |file: Value| {
        let layers = vec![
            defaults(),
            file,
            variables.clone(),
            layers::flag_layer(request.flags),
        ];
        layers::merge(layers)
            .map_err(|error| invalid(&paths, vec![Issue::new("", error.to_string())]))
    };
    let value = merge(value)?;
    let display = merge(display)?;
    let schema = ConfigSchema::of_config();
    let (fatal, harmless) = sort_missing(missing, &schema.unknown_keys(&value, &[]));
    warnings.extend(harmless);
    issues.extend(wrong_values(&schema, &value, &display, &fatal, &env));
    issues.extend(fatal);
    if !issues.is_empty() {
        return Err(invalid(&paths, issues));
    }
    let mut config: Config = serde_json::from_value(value.clone())
        .map_err(|error| invalid(&paths, vec![Issue::new("", error.to_string())]))?;
    let issues = checks::check(&config);
    if !issues.is_empty() {
        return Err(invalid(&paths, issues));
    }
    warnings.extend(settle_secrets(&mut config, &env, &paths));
    warnings.extend(unknown_warning(&schema, &value));
    warnings.extend(refused::warnings(&config, &value));
    Ok(Loaded {
        config,
        display,
        value,
        parsed: file.parsed,
        hash: hash(file.raw.as_deref().unwrap_or_default()),
        raw: file.raw,
        warnings,
        included: file.included,
        own_token: own_token(&paths)?,
        paths,
        switches: switches(&env, request.flags),
    })
}

/// The user's file with what it includes.
struct File {
    raw: Option<String>,
    parsed: Value,
    value: Value,
    included: Vec<PathBuf>,
    duplicates: Vec<String>,
}

impl File {
    fn read(
        paths: &StatePaths,
        env: &Environment<'_>,
        text: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let path = &paths.config_path;
        let raw = match text {
            Some(text) => Some(text.to_owned()),
            None => read_bounded(path, include::MAX_FILE)?,
        };
        let Some(raw) = raw else {
            let empty = || json!({});
            return Ok(Self {
                raw: None,
                parsed: empty(),
                value: empty(),
                included: Vec::new(),
                duplicates: Vec::new(),
            });
        };
        // An empty file is what `touch` leaves; upstream reads it as no settings, too.
        let document = if raw.trim().is_empty() {
            parse::parse(path, "{}")?
        } else {
            parse::parse(path, &raw)?
        };
        let parsed = document.value;
        let roots: Vec<PathBuf> = env
            .get("OPENCLAW_INCLUDE_ROOTS")
            .map(|roots| {
                std::env::split_paths(&roots)
                    .filter(|root| root.is_absolute())
                    .collect()
            })
            .unwrap_or_default();
        let included = include::resolve(path, &raw, parsed.clone(), &roots)?;
        if !included.value.is_object() {
            return Err(invalid(
                paths,
                vec![Issue::new("", "the file must hold an object: { ... }")],
            ));
        }
        let duplicates = document
            .duplicates
            .into_iter()
            .chain(included.duplicates)
            .collect();
        Ok(Self {
            raw: Some(raw),
            parsed,
            value: included.value,
            included: included.files,
            duplicates,
        })
    }

    fn duplicate_warnings(&self) -> Vec<String> {
        let warning = |key: &String| {
            format!("the key {key:?} is written twice in one object; the last one counts")
        };
        self.duplicates.iter().map(warning).collect()
    }
}

fn invalid(paths: &StatePaths, issues: Vec<Issue>) -> ConfigError {
    ConfigError::Invalid {
        file: paths.config_path.clone(),
        issues,
    }
}

/// The lowest layer: every setting that has a default.
fn defaults() -> Value {
    serde_json::to_value(Config::default()).expect("settings are plain data")
}

/// Reads `agent` and `identity` of early releases as what they became, `agents.defaults`.
fn rename_older_sections(value: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (old, path) in [
        ("agent", "/agents/defaults"),
        ("identity", "/agents/defaults/identity"),
    ] {
        let Some(section) = value
            .get(old)
            .filter(|section| section.is_object())
            .cloned()
        else {
            continue;
        };
        let mut moved = section;
        for key in path.rsplit('/').filter(|key| !key.is_empty()) {
            moved = json!({ key: moved });
        }
        *value = include::deep_merge(moved, value.take());
        let new = path.trim_start_matches('/').replace('/', ".");
        warnings.push(format!(
            "{old} is an older name; it is read as {new}, where what is written there goes first"
        ));
    }
    warnings
}

/// Secrets that the file and the environment both give, with different values.
fn differing_secrets(file: &Value, variables: &Value) -> Vec<String> {
    let places = [
        ("token", "OPENCLAW_GATEWAY_TOKEN"),
        ("password", "OPENCLAW_GATEWAY_PASSWORD"),
    ];
    let differ = |(key, variable): &(&str, &str)| {
        let pointer = format!("/gateway/auth/{key}");
        let differs = file.pointer(&pointer)?.as_str()? != variables.pointer(&pointer)?.as_str()?;
        differs.then(|| {
            format!("{variable} differs from gateway.auth.{key} in the file; the variable is used")
        })
    };
    places.iter().filter_map(differ).collect()
}

/// Missing variables: an error where a setting is used, a warning elsewhere. A secret waits for
/// whoever needs it.
fn sort_missing(missing: Vec<Missing>, unused_places: &[String]) -> (Vec<Issue>, Vec<String>) {
    let mut fatal = Vec::new();
    let mut unused = Vec::new();
    for Missing { path, name, whole } in missing {
        let secret = path.starts_with("gateway.auth.")
            || path.starts_with("gateway.remote.")
            || (path.starts_with("channels.") && path.ends_with("oken"))
            || (path.starts_with("models.providers.")
                && (path.ends_with(".apiKey") || path.contains(".headers.")));
        if unused_places.iter().any(|place| is_within(&path, place)) {
            unused.push(format!("{path} ({name})"));
        } else if !(secret && whole) {
            let message = format!(
                "the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            );
            fatal.push(Issue::new(path, message));
        }
    }
    let warning = (!unused.is_empty()).then(|| {
        format!(
            "environment variables that are not set, in settings not used here: {}",
            unused.join(", ")
        )
    });
    (fatal, warning.into_iter().collect())
}

/// Values that the schema does not allow; one that comes from a variable names it.
fn wrong_values(
    schema: &ConfigSchema,
    value: &Value,
    written: &Value,
    missing: &[Issue],
    env: &Environment<'_>,
) -> Vec<Issue> {
    let unset = |issue: &Issue| missing.iter().any(|other| other.path == issue.path);
    let mut issues = schema.issues(value, written);
    issues.retain(|issue| !unset(issue));
    for issue in &mut issues {
        if let Some(variable) = layers::variable_for(&issue.path, env) {
            issue.message = format!("{} (set by {variable})", issue.message);
        } else if issue.path == "gateway.bind" {
            issue
                .message
                .push_str("; for one address use bind \"custom\" with gateway.customBindHost");
        }
    }
    issues
}

fn unknown_warning(schema: &ConfigSchema, value: &Value) -> Option<String> {
    let unknown = schema.unknown_keys(value, known::KNOWN_UNUSED);
    (!unknown.is_empty()).then(|| {
        format!(
            "unknown settings, kept and not used: {}",
            unknown.join(", ")
        )
    })
}

/// Follows every reference to a secret; those that lead nowhere are named.
fn settle_secrets(config: &mut Config, env: &Environment<'_>, paths: &StatePaths) -> Vec<String> {
    let secrets = config.secrets.clone();
    let mut warnings = Vec::new();
    for (path, input) in config.secret_inputs() {
        let Some(reference) = input.reference() else {
            continue;
        };
        let value = secrets.follow(reference, env, paths);
        if let Err(fault) = &value {
            warnings.push(format!("{path}: {fault}"));
        }
        input.settle(value);
    }
    warnings
}

fn own_token(paths: &StatePaths) -> Result<Option<SecretString>, ConfigError> {
    let text = read_bounded(&paths.token_file(), MAX_TOKEN_FILE)?;
    Ok(text
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .map(SecretString::from))
}

fn switches(env: &Environment<'_>, flags: &super::Flags) -> Switches {
    let on = |name: &str| {
        env.get(name)
            .is_some_and(|value| !matches!(value.trim(), "0" | "false" | "no" | "off"))
    };
    Switches {
        allow_multi_gateway: on("OPENCLAW_ALLOW_MULTI_GATEWAY"),
        skip_channels: on("OPENCLAW_SKIP_CHANNELS"),
        adopt_channels: flags.adopt_channels,
    }
}
