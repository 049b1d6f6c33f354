//! What the actors need of the configuration, as plain values. The binary reads files and
//! environment, and publishes one immutable value per generation.

pub mod hooks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::methods::agents::AgentSummary;
pub use openclaw_protocol::methods::chat::QueueMode;
use openclaw_protocol::methods::common::ModelDefaults;
use openclaw_protocol::methods::models::ModelChoice;
use serde_json::Value;

use crate::agent::model::thinking::Thinking;
use crate::agent::model::{Endpoint, Takes};
use crate::agent::tools::Policy;
use crate::canvas::CanvasSettings;
use crate::channel::settings::ChannelsSettings;
use crate::cron::alert::AlertSettings;
use crate::cron::misfire::Misfires;
use crate::cron::webhook::WebhookSettings;
use crate::dedupe::state::Bounds;
use crate::heartbeat::state::Plan;
use crate::mcp::ServerSettings;
use crate::media::Limits;
use crate::node::policy::CommandPolicy;
use crate::pairing::reach::Reach;
use crate::sessions::freshness::ResetRules;
use crate::sessions::passing::Passing;
use crate::sessions::route::RouteSettings;
use crate::usage::Price;

/// One generation of settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The agents; the first one named by `default_agent` is the default.
    pub agents: Vec<AgentSettings>,
    /// Id of the default agent.
    pub default_agent: String,
    /// Alias of the main session.
    pub main_key: String,
    /// One session for everyone instead of one per sender.
    pub global_scope: bool,
    /// Which agent answers whom, and in which session.
    pub routes: RouteSettings,
    /// When conversations begin anew by themselves.
    pub resets: ResetRules,
    /// Most runs at one time.
    pub max_concurrent: usize,
    /// Most runs that wait, over all sessions.
    pub max_queued: usize,
    /// What becomes of a message that comes during a run of its session.
    pub queue: QueueSettings,
    /// The mode of messages from a channel, where it has its own.
    pub queue_modes: BTreeMap<String, QueueMode>,
    /// [`QueueSettings::debounce`] of channels that have their own.
    pub queue_rests: BTreeMap<String, Duration>,
    /// Messages that begin a session anew, besides the commands for it, in small letters.
    pub reset_triggers: Vec<String>,
    /// Longest time of a run.
    pub run_timeout: Duration,
    /// The models that a person can choose.
    pub models: Vec<ModelChoice>,
    /// How to ask them, by `provider/model`; or why one cannot be asked, with the remedy.
    pub catalogue: BTreeMap<String, Result<ResolvedModel, String>>,
    /// The answer of `config.get`, secrets redacted.
    pub config_get: Value,
    /// What webhooks may start; `None` where they are off.
    pub hooks: Option<Arc<hooks::Hooks>>,
    /// Tools that nobody calls over HTTP.
    pub http_tools_denied: Vec<String>,
    /// How long rows are kept.
    pub retention: Retention,
    /// Which commands of nodes are denied or vouched for.
    pub nodes: CommandPolicy,
    /// Jobs that run by the clock.
    pub cron: CronSettings,
    /// The log file that `logs.tail` reads.
    pub log_file: Option<PathBuf>,
    /// How others reach this gateway, for setup codes.
    pub reach: Reach,
    /// Which HTTP endpoints are served.
    pub http: HttpEndpoints,
    /// How large files may be that come with messages.
    pub attachments: Limits,
    /// The MCP servers whose tools agents may call, by name.
    pub mcp: BTreeMap<String, ServerSettings>,
    /// How long conversations stay that programs began.
    pub passing: Passing,
    /// The accounts on channels.
    pub channels: Arc<ChannelsSettings>,
    /// The canvas.
    pub canvas: CanvasSettings,
}

/// Jobs that run by the clock.
#[derive(Debug, Clone)]
pub struct CronSettings {
    /// Whether they do.
    pub enabled: bool,
    /// Most runs of a job that are kept.
    pub keep: u64,
    /// What becomes of times that were missed.
    pub misfires: Arc<Misfires>,
    /// Who is told of failures.
    pub alerts: Arc<AlertSettings>,
    /// What posts to web addresses are judged by.
    pub webhook: Arc<WebhookSettings>,
}

impl Default for CronSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            keep: 1_000,
            misfires: Arc::default(),
            alerts: Arc::default(),
            webhook: Arc::default(),
        }
    }
}

/// The HTTP endpoints that are off unless they are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HttpEndpoints {
    /// `/v1/chat/completions`.
    pub chat_completions: bool,
    /// `/v1/responses`.
    pub responses: bool,
}

/// What becomes of messages that come during a run of their session (`messages.queue`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// For messages and sessions that name no mode.
    pub mode: QueueMode,
    /// Most messages of one session that wait.
    pub cap: usize,
    /// Whether a message more is refused; otherwise the two oldest share one run.
    pub refuse: bool,
    /// How long nothing must come to a session before those that waited for the end of its run get
    /// theirs.
    pub debounce: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            mode: QueueMode::Steer,
            cap: 20,
            refuse: true,
            debounce: Duration::ZERO,
        }
    }
}

/// How long rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The audit trail.
    pub audit: Duration,
    /// Most rows of it.
    pub audit_rows: u64,
    /// Idempotency keys.
    pub keys: Bounds,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            audit: Duration::from_hours(30 * 24),
            audit_rows: 20_000,
            keys: Bounds::default(),
        }
    }
}

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// Its id.
    pub id: String,
    /// The row that clients see.
    pub row: AgentSummary,
    /// Which model answers.
    pub model: ModelPlan,
    /// How much its models think where nobody chose it; what they find right when unset.
    pub thinking: Option<Thinking>,
    /// What every run of it begins with.
    pub system_prompt: Option<String>,
    /// The folder that its files are in, and its tools work in.
    pub workspace: Option<PathBuf>,
    /// Which tools it may use.
    pub tools: Policy,
    /// When it looks after things by itself; never where unset.
    pub heartbeat: Option<Plan>,
}

/// Which model answers for an agent.
#[derive(Debug, Clone)]
pub enum ModelPlan {
    /// These, in order: the first, then one failover to each of the others.
    Chain(Vec<ResolvedModel>),
    /// Something is configured, and wrong: every run fails with this message and its remedy.
    Broken(String),
    /// Nothing is configured at all: a local Ollama if one answers, else the echo agent.
    Unconfigured,
    /// What a test makes of the newest message.
    #[cfg(any(test, feature = "testing"))]
    Scripted(fn(&str) -> crate::agent::model::ModelStream),
}

/// A model that can be called.
#[derive(Debug, Clone)]
pub struct ResolvedModel {
    /// Where and how.
    pub endpoint: Endpoint,
    /// Its name there.
    pub model: String,
    /// Size of its context, tokens.
    pub context_tokens: usize,
    /// Most tokens of an answer.
    pub max_output_tokens: Option<u32>,
    /// Longest time of one request; the run's own limit when unset.
    pub timeout: Option<Duration>,
    /// What it can be shown.
    pub takes: Takes,
    /// What its tokens cost, where that is configured.
    pub price: Option<Price>,
}

impl Settings {
    /// How long nothing must come to a session before those that waited in it get their run, the next of
    /// them from this channel.
    pub fn queue_rest(&self, channel: &str) -> Duration {
        self.queue_rests
            .get(channel)
            .copied()
            .unwrap_or(self.queue.debounce)
    }

    /// What becomes of a message from a channel during a run, where neither it nor its session says.
    pub fn queue_mode(&self, channel: &str) -> QueueMode {
        self.queue_modes
            .get(channel)
            .copied()
            .unwrap_or(self.queue.mode)
    }

    /// The agent with this id.
    pub fn agent(&self, id: &str) -> Option<&AgentSettings> {
        self.agents.iter().find(|agent| agent.id == id)
    }

    /// Which model answers for an agent where a person chose one: that, and the agent's own behind it.
    pub fn plan(&self, agent: &AgentSettings, chosen: Option<&str>) -> ModelPlan {
        let Some(chosen) = chosen else {
            return agent.model.clone();
        };
        match self.catalogue.get(chosen) {
            Some(Ok(first)) => {
                let mut chain = vec![first.clone()];
                if let ModelPlan::Chain(own) = &agent.model {
                    let same = |model: &ResolvedModel| {
                        model.model == first.model
                            && model.endpoint.provider == first.endpoint.provider
                    };
                    chain.extend(own.iter().filter(|model| !same(model)).cloned());
                }
                ModelPlan::Chain(chain)
            }
            Some(Err(problem)) => ModelPlan::Broken(problem.clone()),
            None => ModelPlan::Broken(format!(
                "the model of this session, \"{chosen}\", is no longer configured; choose another one (sessions.patch, or `null` for the agent's own)"
            )),
        }
    }

    /// The model of the default agent, for lists.
    pub fn model_defaults(&self) -> ModelDefaults {
        self.agent(&self.default_agent)
            .map(|agent| agent.model.defaults())
            .unwrap_or_default()
    }
}

impl ModelPlan {
    /// The first model, for lists.
    pub fn defaults(&self) -> ModelDefaults {
        match self {
            Self::Chain(chain) => {
                chain
                    .first()
                    .map_or_else(ModelDefaults::default, |first| ModelDefaults {
                        model_provider: Some(first.endpoint.provider.clone()),
                        model: Some(first.model.clone()),
                        context_tokens: Some(first.context_tokens as u64),
                    })
            }
            Self::Unconfigured => ModelDefaults {
                model_provider: Some("openclaw".into()),
                model: Some("echo".into()),
                context_tokens: None,
            },
            Self::Broken(_) => ModelDefaults::default(),
            #[cfg(any(test, feature = "testing"))]
            Self::Scripted(_) => ModelDefaults::default(),
        }
    }
}

#[cfg(any(test, feature = "testing"))]
pub mod testing {
    //! Settings for tests.

    use super::{
        AgentSettings, AgentSummary, BTreeMap, CommandPolicy, Duration, ModelPlan, Policy,
        QueueMode, QueueSettings, Retention, Settings, Value,
    };
    use openclaw_protocol::methods::agents::AgentModel;

    /// One agent `main` without a model.
    pub fn settings() -> Settings {
        Settings {
            agents: vec![AgentSettings {
                id: "main".into(),
                row: AgentSummary {
                    id: "main".into(),
                    name: None,
                    identity: None,
                    workspace: None,
                    model: AgentModel {
                        primary: "openclaw/echo".into(),
                        fallbacks: None,
                    },
                    thinking_default: None,
                },
                model: ModelPlan::Unconfigured,
                thinking: None,
                system_prompt: None,
                workspace: None,
                tools: Policy::default(),
                heartbeat: None,
            }],
            default_agent: "main".into(),
            main_key: "main".into(),
            global_scope: false,
            routes: crate::sessions::route::RouteSettings::default(),
            resets: crate::sessions::freshness::ResetRules::default(),
            max_concurrent: 4,
            max_queued: 100,
            queue: QueueSettings {
                mode: QueueMode::Followup,
                cap: 100,
                refuse: true,
                debounce: Duration::ZERO,
            },
            queue_modes: BTreeMap::new(),
            queue_rests: BTreeMap::new(),
            reset_triggers: Vec::new(),
            hooks: None,
            http_tools_denied: Vec::new(),
            run_timeout: Duration::from_mins(10),
            models: Vec::new(),
            catalogue: BTreeMap::new(),
            config_get: Value::Null,
            retention: Retention::default(),
            nodes: CommandPolicy::default(),
            cron: super::CronSettings::default(),
            passing: super::Passing::FOR_EVER,
            log_file: None,
            reach: crate::pairing::reach::Reach::default(),
            http: super::HttpEndpoints::default(),
            attachments: super::Limits::default(),
            mcp: BTreeMap::new(),
            channels: std::sync::Arc::default(),
            canvas: super::CanvasSettings::default(),
        }
    }
}
