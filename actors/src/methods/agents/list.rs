//! `agents.list`: the configured agents.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::agents::{AgentsList, AgentsListResult, SessionScope};

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for AgentsList {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(payload(&list(views)))
    }
}

/// The configured agents.
pub(crate) fn list(views: &Views) -> AgentsListResult {
    let settings = views.settings.load();
    AgentsListResult {
        default_id: settings.default_agent.clone(),
        main_key: settings.main_key.clone(),
        scope: if settings.global_scope {
            SessionScope::Global
        } else {
            SessionScope::PerSender
        },
        agents: settings
            .agents
            .iter()
            .map(|agent| agent.row.clone())
            .collect(),
    }
}
