//! `agents`: who answers, and with which model.

use std::collections::BTreeMap;

use openclaw_actors::agent::model::thinking::Thinking as Level;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::heartbeat::Heartbeat;
use super::tools::Tools;

/// The agent that exists when none is configured.
pub const MAIN_AGENT: &str = "main";

/// `agents`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Agents {
    /// What counts for every agent.
    pub defaults: AgentDefaults,
    /// The agents, in the form of releases up to the middle of 2026.
    pub list: Vec<AgentEntry>,
    /// The agents by id, in the form of later releases.
    pub entries: BTreeMap<String, AgentEntry>,
}

impl Agents {
    /// Every agent with its id, `list` first; `main` when there is none.
    pub fn all(&self) -> Vec<(String, AgentEntry)> {
        let listed = self
            .list
            .iter()
            .filter_map(|entry| Some((entry.id.clone()?, entry.clone())));
        let mut all: Vec<(String, AgentEntry)> = listed.collect();
        for (id, entry) in &self.entries {
            if !all.iter().any(|(known, _)| known == id) {
                all.push((id.clone(), entry.clone()));
            }
        }
        if all.is_empty() {
            all.push((MAIN_AGENT.to_owned(), AgentEntry::default()));
        }
        all
    }

    /// The id of the agent that answers when none is named: marked `default`, else `main`, else the first.
    pub fn default_id(&self) -> String {
        let all = self.all();
        let marked = all.iter().find(|(_, entry)| entry.default);
        let chosen = marked
            .or_else(|| all.iter().find(|(id, _)| id == MAIN_AGENT))
            .or(all.first());
        chosen.map_or_else(|| MAIN_AGENT.to_owned(), |(id, _)| id.clone())
    }

    /// The models of an agent, its own before the defaults; aliases are resolved.
    ///
    /// An agent's own primary does not inherit the default fallbacks.
    pub fn models_of(&self, id: &str) -> ModelChoice {
        let own = self
            .all()
            .into_iter()
            .find(|(known, _)| known == id)
            .and_then(|(_, entry)| entry.model);
        let choice = own
            .map(ModelSelection::into_choice)
            .filter(|choice| choice.primary.is_some());
        let choice =
            choice.or_else(|| self.defaults.model.clone().map(ModelSelection::into_choice));
        let mut choice = choice.unwrap_or_default();
        for model in choice.primary.iter_mut().chain(&mut choice.fallbacks) {
            if let Some(full) = self.defaults.alias(model) {
                *model = full;
            }
        }
        choice
    }
}

/// `agents.defaults`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentDefaults {
    /// The model: `provider/model`, or a primary with fallbacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSelection>,
    /// Aliases and settings per `provider/model`.
    pub models: BTreeMap<String, ModelEntry>,
    /// The working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Runs at the same time, over all sessions.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrent: u32,
    /// Longest run, in seconds; 0 for no limit.
    #[schemars(range(max = 4_294_967_295_u64))]
    pub timeout_seconds: u64,
    /// Bound on the history sent to a model, in tokens; the model's own window when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub context_tokens: Option<u64>,
    /// How much a model thinks when nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_default: Option<Thinking>,
    /// Name and face of agents without their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The user's time zone, as an IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_timezone: Option<String>,
    /// Largest file that may come with a message, and all files of one together, in megabytes; 20
    /// when unset. What a client's frames hold bounds it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 1024))]
    pub media_max_mb: Option<f64>,
    /// Text added to every system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_system_prompt: Option<String>,
    /// When agents look after things by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

impl Default for AgentDefaults {
    fn default() -> Self {
        Self {
            model: None,
            models: BTreeMap::new(),
            workspace: None,
            max_concurrent: 4,
            timeout_seconds: 600,
            context_tokens: None,
            thinking_default: None,
            identity: None,
            user_timezone: None,
            media_max_mb: None,
            additional_system_prompt: None,
            heartbeat: None,
        }
    }
}

impl AgentDefaults {
    /// The `provider/model` that an alias of `models` stands for.
    pub(crate) fn alias(&self, alias: &str) -> Option<String> {
        let named = |entry: &ModelEntry| {
            entry
                .alias
                .as_deref()
                .is_some_and(|name| name.eq_ignore_ascii_case(alias))
        };
        self.models
            .iter()
            .find(|(_, entry)| named(entry))
            .map(|(full, _)| full.clone())
    }
}

/// One agent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentEntry {
    /// Its id; in `entries` the key counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it answers when no agent is named.
    pub default: bool,
    /// Its face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSelection>,
    /// Its working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// How much its model thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_default: Option<Thinking>,
    /// Which tools it may use.
    pub tools: Tools,
    /// When it looks after things by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

/// Name and face of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Identity {
    /// The name it signs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its character, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// One emoji.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// A file of the workspace, an address or a data URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
}

/// A model as it is written: a name alone, or with fallbacks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ModelSelection {
    /// `provider/model`.
    Name(String),
    /// A primary with fallbacks.
    Choice(ModelChoice),
}

impl ModelSelection {
    fn into_choice(self) -> ModelChoice {
        match self {
            Self::Name(name) => ModelChoice {
                primary: Some(name),
                fallbacks: Vec::new(),
            },
            Self::Choice(choice) => choice,
        }
    }
}

/// A primary model and what is tried after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ModelChoice {
    /// `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// `provider/model`, in order.
    pub fallbacks: Vec<String>,
}

/// `agents.defaults.models.<provider/model>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ModelEntry {
    /// A short name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Parameters of the provider, passed on.
    pub params: BTreeMap<String, Value>,
}

/// How much a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Thinking {
    Off,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Adaptive,
    Max,
    Ultra,
}

impl From<Thinking> for Level {
    fn from(thinking: Thinking) -> Self {
        match thinking {
            Thinking::Off => Self::Off,
            Thinking::Minimal => Self::Minimal,
            Thinking::Low => Self::Low,
            Thinking::Medium => Self::Medium,
            Thinking::High => Self::High,
            Thinking::Xhigh => Self::Xhigh,
            Thinking::Adaptive => Self::Adaptive,
            Thinking::Max | Thinking::Ultra => Self::Max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(json5: &str) -> Agents {
        json5::from_str(json5).unwrap()
    }

    #[test]
    fn both_forms_of_the_agent_list_are_read() {
        let agents = agents(
            "{ list: [{ id: 'a' }, { id: 'b', default: true }], entries: { b: {}, c: { name: 'C' } } }",
        );
        let ids: Vec<String> = agents.all().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!(agents.default_id(), "b");
        assert_eq!(Agents::default().default_id(), "main");
    }

    #[test]
    fn an_agent_has_its_own_model_or_the_default_one() {
        let agents = agents(
            "{ defaults: { model: { primary: 'smart', fallbacks: ['x/y'] }, models: { 'p/m': { alias: 'Smart' } } },
               list: [{ id: 'a' }, { id: 'b', model: 'q/n' }] }",
        );
        let choice = |primary: &str, fallbacks: &[&str]| ModelChoice {
            primary: Some(primary.to_owned()),
            fallbacks: fallbacks.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(agents.models_of("a"), choice("p/m", &["x/y"]));
        assert_eq!(agents.models_of("b"), choice("q/n", &[]));
    }
}
