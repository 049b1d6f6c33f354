//! `tools.*`; owner: agent runner.

mod catalog;
mod effective;
mod invoke;

use openclaw_protocol::ErrorShape;

use crate::sessions::keys::{self, SessionKey};
use crate::settings::{AgentSettings, Settings};

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
