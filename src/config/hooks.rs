//! `hooks`: what other programs may start over HTTP.

use std::time::Duration;

use openclaw_actors::settings::hooks as settings;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::error::Issue;

/// Largest body where nothing is said, bytes.
const MAX_BODY: u32 = 256 * 1024;

/// `hooks`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Hooks {
    /// Whether they are there.
    pub enabled: bool,
    /// What whoever calls has to know. Not the gateway's own secret: it may do less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Where they are.
    pub path: String,
    /// Largest body, bytes.
    #[schemars(range(min = 1, max = 20_971_520))]
    pub max_body_bytes: u32,
    /// The session of runs that name none; each has its own when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_session_key: Option<String>,
    /// Whether a request, or what a mapping makes of it, may name the session.
    pub allow_request_session_key: bool,
    /// What session keys must begin with; anything when empty.
    pub allowed_session_key_prefixes: Vec<String>,
    /// The agents that may be asked; all when unset or with `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_agent_ids: Option<Vec<String>>,
    /// Mappings by name that come after the own ones: `gmail`.
    pub presets: Vec<String>,
    /// What becomes of requests to other paths; the first that fits counts.
    pub mappings: Vec<Mapping>,
}

/// It holds a secret.
impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("enabled", &self.enabled)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            enabled: false,
            token: None,
            path: "/hooks".to_owned(),
            max_body_bytes: MAX_BODY,
            default_session_key: None,
            allow_request_session_key: false,
            allowed_session_key_prefixes: Vec::new(),
            allowed_agent_ids: None,
            presets: Vec::new(),
            mappings: Vec::new(),
        }
    }
}

/// An entry of `hooks.mappings`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Mapping {
    /// Its name in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which requests are meant; all when unset.
    #[serde(rename = "match")]
    pub matches: Match,
    /// What is done.
    pub action: Action,
    /// When the agent hears of it.
    pub wake_mode: WakeMode,
    /// Its name for the agent; a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The session; a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Whether each run has a session of its own.
    pub session_mode: SessionMode,
    /// What the agent is told; a template.
    pub message_template: String,
    /// What wakes it; a template.
    pub text_template: String,
    /// A list of the payload whose entries are handled one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// Whether the answer is sent somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// The channel it is sent on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The recipient; a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The model; a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How much it thinks; a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Longest run, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: Option<u32>,
    /// The message is the owner's own words, not something from outside.
    pub allow_unsafe_external_content: bool,
    /// A program that decides; this gateway runs none, and refuses the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
}

/// `hooks.mappings[].match`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Match {
    /// The path behind `hooks.path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What `source` of the payload has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// `hooks.mappings[].action`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Starts a run.
    #[default]
    Agent,
    /// Tells the agent something in its main session.
    Wake,
}

/// `hooks.mappings[].wakeMode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WakeMode {
    /// At once.
    #[default]
    Now,
    /// With the next heartbeat.
    NextHeartbeat,
}

/// `hooks.mappings[].sessionMode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionMode {
    /// Each run begins a session.
    #[default]
    Isolated,
    /// Runs go on with the session.
    Persistent,
}

/// `hooks.mappings[].transform`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Transform {
    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Its function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
}

impl Hooks {
    /// What is in force; `None` where they are off.
    pub fn settings(&self) -> Option<settings::Hooks> {
        let token = self.token.as_ref().filter(|token| !token.is_empty())?;
        let agents = self.allowed_agent_ids.clone();
        let own = self.mappings.iter().enumerate();
        let mappings = own.map(|(at, mapping)| mapping.settings(at));
        let presets = self.presets.iter().filter(|name| *name == "gmail");
        self.enabled.then(|| settings::Hooks {
            token: SecretString::from(token.clone()),
            path: self.base(),
            max_body: self.max_body_bytes as usize,
            default_session: text(self.default_session_key.as_ref()),
            request_sessions: self.allow_request_session_key,
            prefixes: self.prefixes(),
            agents: agents.filter(|ids| !ids.iter().any(|id| id == "*")),
            mappings: mappings.chain(presets.map(|_| gmail())).collect(),
        })
    }

    fn base(&self) -> String {
        format!("/{}", self.path.trim().trim_matches('/'))
    }

    fn prefixes(&self) -> Vec<String> {
        let prefixes = self.allowed_session_key_prefixes.iter();
        let prefixes = prefixes.map(|prefix| prefix.trim().to_lowercase());
        prefixes.filter(|prefix| !prefix.is_empty()).collect()
    }

    /// Rules that it breaks.
    pub(super) fn check(&self, issues: &mut Vec<Issue>) {
        if !self.enabled {
            return;
        }
        let mut wrong = |path: &str, message: &str| issues.push(Issue::new(path, message));
        if self
            .token
            .as_ref()
            .is_none_or(|token| token.trim().is_empty())
        {
            wrong(
                "hooks.token",
                "is missing; hooks.enabled needs a long random text that is not the gateway's own secret (openssl rand -hex 24)",
            );
        }
        let base = self.base();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.~/".contains(c);
        if base == "/" || base.contains("//") || !base.chars().all(fits) {
            wrong(
                "hooks.path",
                "must be a path of its own such as /hooks, of letters, digits, - _ . ~ and single slashes",
            );
        }
        let prefixes = self.prefixes();
        let allowed = |key: &str| {
            let key = key.to_lowercase();
            prefixes.is_empty() || prefixes.iter().any(|prefix| key.starts_with(&**prefix))
        };
        let default = text(self.default_session_key.as_ref());
        if !allowed(default.as_deref().unwrap_or("hook:")) {
            wrong(
                "hooks.allowedSessionKeyPrefixes",
                "must admit hooks.defaultSessionKey, or \"hook:\" where that is unset",
            );
        }
        for (at, mapping) in self.mappings.iter().enumerate() {
            let path = format!("hooks.mappings[{at}].sessionKey");
            let key = text(mapping.session_key.as_ref());
            let templated = key.as_ref().is_some_and(|key| key.contains("{{"));
            if templated && prefixes.is_empty() {
                wrong(
                    &path,
                    "is made of the request, so that hooks.allowedSessionKeyPrefixes must say what it may begin with",
                );
            }
            let persistent = mapping.session_mode == SessionMode::Persistent;
            if persistent && mapping.action == Action::Agent && key.is_none() && default.is_none() {
                wrong(
                    &path,
                    "is missing; sessionMode \"persistent\" needs it, or hooks.defaultSessionKey",
                );
            }
        }
    }
}

impl Mapping {
    fn settings(&self, at: usize) -> settings::Mapping {
        let path = self.matches.path.as_ref();
        settings::Mapping {
            id: self.id.clone().unwrap_or_else(|| format!("mapping-{at}")),
            path: path.map(|path| path.trim().trim_matches('/').to_owned()),
            source: self.matches.source.clone(),
            action: match self.action {
                Action::Agent => settings::Action::Agent,
                Action::Wake => settings::Action::Wake,
            },
            later: self.wake_mode == WakeMode::NextHeartbeat,
            name: self.name.clone(),
            agent: text(self.agent_id.as_ref()),
            session: text(self.session_key.as_ref()),
            persistent: self.session_mode == SessionMode::Persistent,
            message: self.message_template.clone(),
            text: self.text_template.clone(),
            for_each: self.for_each.clone(),
            deliver: self.deliver,
            channel: text(self.channel.as_ref()),
            to: self.to.clone(),
            model: self.model.clone(),
            thinking: self.thinking.clone(),
            timeout: self
                .timeout_seconds
                .map(|seconds| Duration::from_secs(seconds.into())),
            trusted: self.allow_unsafe_external_content,
            transformed: self.transform.is_some(),
        }
    }
}

/// Mails as Gmail's watcher posts them, one by one.
fn gmail() -> settings::Mapping {
    let of = |field: &str| format!("{{{{messages[0].{field}}}}}");
    settings::Mapping {
        id: "gmail".to_owned(),
        path: Some("gmail".to_owned()),
        name: Some("Gmail".to_owned()),
        message: format!(
            "New mail from {}\nSubject: {}\n{}\n{}",
            of("from"),
            of("subject"),
            of("snippet"),
            of("body")
        ),
        for_each: Some("messages".to_owned()),
        ..settings::Mapping::default()
    }
}

fn text(value: Option<&String>) -> Option<String> {
    let text = value?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
