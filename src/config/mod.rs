//! The configuration of the daemon and the CLI.
//!
//! Layers, the later over the earlier: defaults, `openclaw.json` (JSON5, with `$include` and
//! `${VAR}`), a fixed table of environment variables, command line flags. The merged value is
//! checked against the JSON Schema of the types before any conversion, then decoded. Nothing here
//! reads process globals: the environment is passed in.
//!
//! An existing OpenClaw file must load: keys that are not known are kept and named in one warning;
//! values that are not allowed are refused, each with its place.

pub mod agents;
pub mod auth;
pub mod bindings;
pub mod canvas;
pub mod channels;
mod checks;
pub mod cron;
pub mod diagnostics;
pub mod discovery;
pub mod edit;
mod environment;
mod error;
pub mod first_start;
pub mod gateway;
pub mod heartbeat;
pub mod hints;
pub mod hooks;
mod include;
mod known;
mod layers;
mod load;
pub mod logging;
pub mod mcp;
pub mod messages;
pub mod models;
mod parse;
pub(crate) mod place;
pub mod redact;
mod refused;
mod schema;
pub mod secrets;
pub mod session;
pub mod store;
mod substitute;
#[cfg(test)]
mod tests;
pub mod tools;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use environment::Environment;
pub use error::{ConfigError, Issue};
pub use layers::Flags;
pub use load::{load, load_text};

use crate::state_dir::{EnvLookup, StatePaths};
use schema::ConfigSchema;
use secrets::SecretInput;

/// The settings that this daemon uses.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// Where the daemon listens and whom it lets in.
    pub gateway: gateway::Gateway,
    /// Who answers.
    pub agents: agents::Agents,
    /// Where models live.
    pub models: models::Models,
    /// Which agent answers which conversations.
    pub bindings: Vec<bindings::Binding>,
    /// How conversations map to sessions.
    pub session: session::Session,
    /// Pages that agents write and nodes show.
    pub canvas_host: canvas::CanvasHost,
    /// Jobs that run by the clock.
    pub cron: cron::Cron,
    /// What other programs may start over HTTP.
    pub hooks: hooks::Hooks,
    /// How messages and runs meet.
    pub messages: messages::Messages,
    /// How the gateway is found in the local network.
    pub discovery: discovery::Discovery,
    /// Who else is told how the gateway works.
    pub diagnostics: diagnostics::Diagnostics,
    /// The database.
    pub store: store::Store,
    /// What is written down.
    pub logging: logging::Logging,
    /// Where references to secrets lead.
    pub secrets: secrets::Secrets,
    /// The order of credential profiles.
    pub auth: CredentialOrder,
    /// Which tools agents may use.
    pub tools: tools::Tools,
    /// Servers whose tools agents may call.
    pub mcp: mcp::Mcp,
    /// Conversations on other platforms.
    pub channels: channels::Channels,
    /// Who may give commands.
    pub commands: channels::Commands,
}

/// `auth`: metadata of credential profiles; the credentials are in `auth-profiles.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CredentialOrder {
    /// Profiles by id.
    pub profiles: BTreeMap<String, Value>,
    /// The order in which a provider's profiles are tried.
    pub order: BTreeMap<String, Vec<String>>,
}

/// Where to load from.
#[derive(Clone, Copy)]
pub struct LoadRequest<'a> {
    /// The command line.
    pub flags: &'a Flags,
    /// The process's environment.
    pub env: EnvLookup<'a>,
    /// The user's home directory, when the caller knows better than `HOME`.
    pub home: Option<&'a Path>,
}

/// A configuration that can be used, and what is known about it.
#[derive(Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The whole merged value, unknown and unused sections included. Holds secrets: never send it.
    pub value: Value,
    /// The same before variables were put in; what [`redact`] shows.
    pub display: Value,
    /// The file as written; an empty object when there is none.
    pub parsed: Value,
    /// The file's text; `None` when there is none.
    pub raw: Option<String>,
    /// SHA-256 of the text in hex; of nothing when there is no file.
    pub hash: String,
    /// What is worth telling, one line each.
    pub warnings: Vec<String>,
    /// The files that were included.
    pub included: Vec<PathBuf>,
    /// The places.
    pub paths: StatePaths,
    /// The token that an earlier start made, from our own file.
    pub own_token: Option<SecretString>,
    /// What the environment switches.
    pub switches: Switches,
}

/// Environment variables that switch behaviour and are no settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switches {
    /// `OPENCLAW_ALLOW_MULTI_GATEWAY`: a second gateway on this host may start.
    pub allow_multi_gateway: bool,
    /// `OPENCLAW_SKIP_CHANNELS`: no channel is started by itself.
    pub skip_channels: bool,
    /// `--adopt-channels`: channels that another gateway ran are started.
    pub adopt_channels: bool,
}

/// Shows the settings alone: values and text hold secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Loaded")
            .field("paths", &self.paths)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// A section as written, for those that have no type here; `null` when absent.
    pub fn section(&self, name: &str) -> &Value {
        self.value.get(name).unwrap_or(&Value::Null)
    }

    /// The variables as this configuration sees them: the process's, `.env` and its own `env` block.
    ///
    /// # Errors
    ///
    /// [`ConfigError::State`] when `.env` cannot be read.
    pub fn environment<'a>(&self, process: EnvLookup<'a>) -> Result<Environment<'a>, ConfigError> {
        let mut env = Environment::new(process);
        env.add_dotenv(&self.paths.state_dir)?;
        env.add_block(&self.value);
        Ok(env)
    }

    /// The settings as JSON Schema, for `config.schema`.
    pub fn schema() -> Value {
        ConfigSchema::of_config().document().clone()
    }
}

/// The values of a file's text as written.
///
/// # Errors
///
/// [`ConfigError::Syntax`].
pub fn value_of(text: &str) -> Result<Value, ConfigError> {
    if text.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    Ok(parse::parse(Path::new(""), text)?.value)
}

/// SHA-256 of a file's text, in hex.
pub fn hash(raw: &str) -> String {
    let hex = |byte: &u8| format!("{byte:02x}");
    Sha256::digest(raw.as_bytes())
        .iter()
        .map(hex)
        .collect::<Vec<_>>()
        .concat()
}

impl Config {
    /// Every place that can hold a secret.
    fn secret_inputs(&mut self) -> Vec<(String, &mut SecretInput)> {
        let gateway = &mut self.gateway;
        let single = [
            ("gateway.auth.token", &mut gateway.auth.token),
            ("gateway.auth.password", &mut gateway.auth.password),
            ("gateway.remote.token", &mut gateway.remote.token),
            ("gateway.remote.password", &mut gateway.remote.password),
        ];
        let mut inputs: Vec<(String, &mut SecretInput)> = single
            .into_iter()
            .filter_map(|(path, input)| Some((path.to_owned(), input.as_mut()?)))
            .collect();
        inputs.extend(self.channels.secret_inputs());
        for (id, provider) in &mut self.models.providers {
            let base = place::push_key("models.providers", id);
            inputs.extend(
                provider
                    .api_key
                    .iter_mut()
                    .map(|input| (format!("{base}.apiKey"), input)),
            );
            let headers = provider.headers.iter_mut();
            inputs.extend(
                headers.map(|(name, input)| {
                    (place::push_key(&format!("{base}.headers"), name), input)
                }),
            );
            for (index, model) in provider.models.iter_mut().enumerate() {
                let base = format!(
                    "{}.headers",
                    place::push_index(&format!("{base}.models"), index)
                );
                inputs.extend(
                    model
                        .headers
                        .iter_mut()
                        .map(|(name, input)| (place::push_key(&base, name), input)),
                );
            }
        }
        inputs
    }
}
