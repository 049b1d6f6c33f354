//! `tools.*`; owner: agent runner.

mod catalog;
mod effective;
mod invoke;

use openclaw_protocol::{ErrorShape, Method};

use crate::agent::AgentRunner;
use crate::agent::tools::Toolbox;
use crate::call::Reply;
use crate::sessions::keys::{self, SessionKey};
use crate::settings::{AgentSettings, Settings};

/// Answers what tools there are, once MCP servers had a moment to start: beside the runner, which serves
/// others meanwhile.
fn answer<M: Method>(
    runner: &AgentRunner,
    reply: Reply<M>,
    find: impl FnOnce(&Toolbox, &Settings) -> Result<M::Result, ErrorShape> + 'static,
) {
    let settings = runner.deps.views.settings.load();
    let tools = runner.deps.tools.clone();
    if !tools.has_servers(&settings) {
        return reply.settle(find(&tools, &settings));
    }
    // Bounded by the connection's own cap on requests in flight.
    actix_rt::spawn(async move {
        tools.glance(&settings).await;
        reply.settle(find(&tools, &settings));
    });
}

/// The agent of a request.
fn agent<'a>(
    settings: &'a Settings,
    id: &str,
    method: &str,
) -> Result<&'a AgentSettings, ErrorShape> {
    settings.agent(id).ok_or_else(|| {
        ErrorShape::invalid(format!(
            "invalid {method} params: unknown agent id \"{id}\""
        ))
    })
}

/// The session of a request.
fn session(
    settings: &Settings,
    key: &str,
    agent: Option<&str>,
    method: &str,
) -> Result<SessionKey, ErrorShape> {
    keys::canonical(key, agent, settings)
        .map_err(|error| ErrorShape::invalid(format!("invalid {method} params: {error}")))
}
