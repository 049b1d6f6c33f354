//! `agent.identity.get`: what an agent is called.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::agents::{
    AgentIdentityGet, AgentIdentityResult, AvatarStatus, NameSource,
};

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::sessions::keys;
use crate::views::Views;

impl SnapshotMethod for AgentIdentityGet {
    fn read(views: &Views, _: &Caller, params: Self::Params) -> Result<Bytes, ErrorShape> {
        let settings = views.settings.load();
        let invalid = |error: keys::KeyError| {
            ErrorShape::invalid(format!("invalid agent.identity.get params: {error}"))
        };
        let id = match &params.session_key {
            Some(key) => {
                keys::canonical(key, params.agent_id.as_deref(), &settings)
                    .map_err(invalid)?
                    .agent
            }
            None => params
                .agent_id
                .clone()
                .unwrap_or_else(|| settings.default_agent.clone()),
        };
        let agent = settings
            .agent(&id)
            .ok_or_else(|| invalid(keys::KeyError::UnknownAgent(id.clone())))?;
        let identity = agent.row.identity.clone().unwrap_or_default();
        let name = identity.name.clone().or_else(|| agent.row.name.clone());
        Ok(payload(&AgentIdentityResult {
            agent_id: id,
            name_source: Some(if name.is_some() {
                NameSource::Config
            } else {
                NameSource::Default
            }),
            name: Some(name.unwrap_or_else(|| "OpenClaw".into())),
            avatar: identity.avatar,
            avatar_status: Some(AvatarStatus::None),
            emoji: identity.emoji,
        }))
    }
}
