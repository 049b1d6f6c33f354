//! Tools that a model may call: what each one is, who may use it, and how one call is run.
//!
//! A call belongs to the run that makes it (or to the request, for `tools.invoke`): it is a future
//! of that task, so that a stopped run takes its calls with it. A call that is slow, fails or
//! panics fails alone, and the model is told. What a call gives back is bounded. **Invariant:** the
//! inventory is computed from the caller that began the run, never from what the model says.

mod call;
mod canvas;
mod cron;
mod edit;
mod exec;
mod message;
mod nodes;
mod policy;
mod read;
mod sessions_history;
mod sessions_list;
mod sessions_send;
pub mod web;
mod web_fetch;
pub(crate) mod workspace;
mod write;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix::Addr;
use arc_swap::ArcSwap;
use openclaw_protocol::{Scope, Scopes};
use serde_json::Value;

pub use call::{Outcome, run};
pub use policy::{Group, Layer, Policy, Profile};

use super::model::{PromptImage, ToolDefinition};
use crate::approvals::Approvals;
use crate::call::Caller;
use crate::channel::{AccountRef, Target};
use crate::gateway::GatewayPort;
use crate::mcp::Pool;
use crate::node::invoke::InvokeDeps;
use crate::sessions::Sessions;
use crate::settings::{AgentSettings, Settings};
use crate::store::StoreReader;
use crate::views::Views;

/// How long whoever looks at the tools waits for MCP servers that are not up.
const GLANCE: Duration = Duration::from_secs(3);

/// What a tool can do to the world; decides who may use it and what may run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Reads what the gateway or the workspace holds.
    Read,
    /// Reads from the network.
    Network,
    /// Changes files of the workspace, or sends something.
    Change,
    /// Runs programs.
    Exec,
    /// Changes what the gateway does by itself from then on.
    Owner,
}

impl Risk {
    /// The name that clients see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read | Self::Network => "low",
            Self::Change => "medium",
            Self::Exec | Self::Owner => "high",
        }
    }

    /// What the caller that began a run needs for it.
    pub const fn scope(self) -> Scope {
        match self {
            Self::Read => Scope::Read,
            Self::Network | Self::Change | Self::Exec => Scope::Write,
            Self::Owner => Scope::Admin,
        }
    }

    /// Whether calls of it may run side by side.
    pub const fn side_by_side(self) -> bool {
        matches!(self, Self::Read | Self::Network)
    }
}

/// What a tool is.
#[derive(Debug, Clone, PartialEq)]
pub struct Descriptor {
    /// Its name on the wire.
    pub name: String,
    /// Its name for people.
    pub label: &'static str,
    /// What it does and when to use it.
    pub description: String,
    /// Where it belongs.
    pub group: Group,
    /// JSON Schema of its arguments.
    pub parameters: Value,
    /// What it can do.
    pub risk: Risk,
    /// How long one call may take.
    pub limit: Duration,
}

impl Descriptor {
    /// What it does, in one sentence.
    pub fn summary(&self) -> &str {
        let end = self.description.find(". ").map(|end| end + 1);
        &self.description[..end.unwrap_or(self.description.len())]
    }

    /// It as a model sees it.
    pub fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: self.name.clone(),
            description: self.description.clone(),
            parameters: self.parameters.clone(),
        }
    }
}

/// Who began a run.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What they may do.
    pub scopes: Scopes,
    /// Who they are, as idempotency keys name them.
    pub principal: String,
    /// Their device.
    pub device_id: Option<String>,
    /// Their connection, as clients name it.
    pub conn_id: Option<String>,
    /// The chat that they wrote in, be it that other conversations led from there to the run.
    pub chat: Option<Chat>,
    /// The conversations whose calls of tools led to the run, the earliest first.
    pub chain: Vec<Arc<str>>,
}

/// A chat on a channel.
#[derive(Debug, Clone)]
pub struct Chat {
    /// The account that is there.
    pub account: AccountRef,
    /// The place.
    pub to: Target,
    /// The message that began the run.
    pub message: Option<String>,
}

impl Origin {
    /// The caller of a request.
    pub fn of(caller: &Caller) -> Self {
        Self {
            scopes: caller.scopes,
            principal: caller.principal(),
            device_id: caller.device_id.clone(),
            conn_id: Some(caller.conn_id.clone()),
            chat: caller.chat.clone(),
            chain: caller.chain.clone(),
        }
    }
}

/// What tools work with.
#[derive(Clone)]
pub struct ToolDeps {
    /// Conversations.
    pub sessions: Addr<Sessions>,
    /// Reads transcripts.
    pub reader: StoreReader,
    /// Published snapshots.
    pub views: Views,
    /// The way to other owners.
    pub gateway: GatewayPort,
    /// What may run on this host.
    pub approvals: Addr<Approvals>,
    /// The HTTP client of models and MCP servers, or why there is none.
    pub http: Arc<LazyLock<Result<reqwest::Client, String>>>,
    /// How nodes are asked.
    pub nodes: InvokeDeps,
    /// Reads the web, and nothing of this host or its networks. Made by the first call.
    pub web: Arc<LazyLock<Result<web::Client, String>>>,
}

/// One call's surroundings.
pub struct ToolContext<'a> {
    /// The agent that calls.
    pub agent: &'a AgentSettings,
    /// The session, by its canonical key.
    pub session: &'a str,
    /// Who began the run.
    pub origin: &'a Origin,
    /// The configuration that the run began with.
    pub settings: &'a Settings,
    /// What tools work with.
    pub deps: &'a ToolDeps,
    /// Tells what a call has given so far.
    pub progress: &'a dyn Fn(&str),
}

impl ToolContext<'_> {
    /// The agent's workspace.
    ///
    /// # Errors
    ///
    /// When it has none.
    fn workspace(&self) -> Result<workspace::Root, ToolError> {
        let path = self.agent.workspace.clone().ok_or_else(|| {
            ToolError::new(
                "this agent has no workspace; set agents.defaults.workspace in openclaw.json",
            )
        })?;
        let places = &self.deps.views.places;
        Ok(workspace::Root {
            path,
            state: PathBuf::from(&places.state_dir),
            config: PathBuf::from(&places.config_path),
        })
    }
}

/// What a call gives back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolOutput {
    /// What the model reads.
    pub text: String,
    /// What it sees.
    pub images: Vec<PromptImage>,
    /// What clients show beside it.
    pub details: Option<Value>,
}

impl ToolOutput {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// The same with details for clients.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

/// Why a call failed, in words for the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(String);

impl ToolError {
    /// A failure.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A call under way.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<ToolOutput, ToolError>> + 'a>>;

/// A tool.
pub trait Tool: Send + Sync {
    /// What it is.
    fn descriptor(&self) -> Descriptor;

    /// Runs one call. The future may be dropped at any moment; whatever it began ends with it.
    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, arguments: Value) -> Running<'a>;
}

/// The arguments of a call as a tool wants them; the model is told what is wrong.
fn arguments<T: serde::de::DeserializeOwned>(arguments: Value) -> Result<T, ToolError> {
    serde_json::from_value(arguments)
        .map_err(|error| ToolError::new(format!("the arguments are not right: {error}")))
}

/// The tools of this gateway.
#[derive(Clone)]
pub struct Toolbox {
    builtin: Arc<Vec<Arc<dyn Tool>>>,
    deps: ToolDeps,
    servers: Pool,
    /// What the MCP servers had when they were asked last.
    known: Arc<ArcSwap<Vec<Arc<dyn Tool>>>>,
}

impl Toolbox {
    /// The built-in tools.
    pub fn new(deps: ToolDeps) -> Self {
        let builtin: Vec<Arc<dyn Tool>> = vec![
            Arc::new(read::Read),
            Arc::new(write::Write),
            Arc::new(edit::Edit),
            Arc::new(exec::Exec),
            Arc::new(cron::Cron),
            Arc::new(web_fetch::WebFetch),
            Arc::new(sessions_list::SessionsList),
            Arc::new(sessions_history::SessionsHistory),
            Arc::new(sessions_send::SessionsSend),
            Arc::new(nodes::Nodes),
            Arc::new(message::SendMessage),
            Arc::new(canvas::Canvas),
        ];
        Self {
            builtin: Arc::new(builtin),
            servers: Pool::new(Arc::clone(&deps.http)),
            deps,
            known: Arc::default(),
        }
    }

    /// The same with further tools.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with(mut self, more: Vec<Arc<dyn Tool>>) -> Self {
        Arc::make_mut(&mut self.builtin).extend(more);
        self
    }

    /// What tools work with.
    pub const fn deps(&self) -> &ToolDeps {
        &self.deps
    }

    /// Every tool that exists, whoever may use it. Those of MCP servers are there once they were asked
    /// for.
    pub fn all(&self) -> Vec<Arc<dyn Tool>> {
        let known = self.known.load();
        self.builtin.iter().chain(known.iter()).cloned().collect()
    }

    /// Sees that the configured MCP servers are up, and knows their tools; costs nothing where there
    /// are none. For a caller who may use none of their tools no server is started.
    pub async fn prepare(&self, settings: &Settings, scopes: Scopes) {
        let nothing = settings.mcp.is_empty() && self.known.load().is_empty();
        if nothing || !scopes.grants(Risk::Network.scope()) {
            return;
        }
        let tools = self.servers.tools(&settings.mcp).await;
        self.known.store(Arc::new(tools));
    }

    /// Whether [`Self::glance`] could find anything out.
    pub fn has_servers(&self, settings: &Settings) -> bool {
        !settings.mcp.is_empty()
    }

    /// The same for those who only want to see what there is: a server that is not up after a moment is
    /// left out, and goes on starting.
    pub async fn glance(&self, settings: &Settings) {
        let patience = Some(GLANCE);
        let tools = self.servers.tools_within(&settings.mcp, patience).await;
        self.known.store(Arc::new(tools));
    }

    /// The tools that an agent has for a caller.
    pub fn inventory(&self, agent: &AgentSettings, scopes: Scopes) -> Vec<Arc<dyn Tool>> {
        self.all()
            .into_iter()
            .filter(|tool| {
                let tool = tool.descriptor();
                scopes.grants(tool.risk.scope()) && agent.tools.permits(&tool.name, tool.group)
            })
            .collect()
    }
}
