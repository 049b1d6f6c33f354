//! Session keys: every spelling of a session has one canonical key, `agent:<agent>:<rest>`, or
//! `global`.

use std::sync::Arc;

use openclaw_protocol::{ErrorShape, Method};

use crate::settings::Settings;

/// The session of everyone, with `session.scope: "global"`.
const GLOBAL: &str = "global";

/// A canonical key and the agent that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// The canonical key.
    pub canonical: Arc<str>,
    /// The agent.
    pub agent: String,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No such agent.
    #[error(
        "unknown agent id \"{0}\"; `openclaw gateway` serves the agents of agents.list in openclaw.json"
    )]
    UnknownAgent(String),
    /// The key names another agent than the request.
    #[error(
        "session key \"{key}\" belongs to agent \"{agent}\", not to the agentId of the request"
    )]
    OtherAgent {
        /// The key.
        key: String,
        /// Its agent.
        agent: String,
    },
}

/// Finds the canonical key that the parameters of `M` name.
///
/// # Errors
///
/// `INVALID_REQUEST` with the method's name and what [`canonical`] refuses.
pub fn of_params<M: Method>(
    written: &str,
    agent: Option<&str>,
    settings: &Settings,
) -> Result<SessionKey, ErrorShape> {
    canonical(written, agent, settings)
        .map_err(|error| ErrorShape::invalid(format!("invalid {} params: {error}", M::NAME)))
}

/// Finds the canonical key.
///
/// # Errors
///
/// [`KeyError`] for an agent that is not configured, or a request that names two.
pub fn canonical(
    written: &str,
    agent: Option<&str>,
    settings: &Settings,
) -> Result<SessionKey, KeyError> {
    let written = written.trim();
    let (named, rest) = match written
        .strip_prefix("agent:")
        .and_then(|tail| tail.split_once(':'))
    {
        Some((named, rest)) if !named.is_empty() && !rest.is_empty() => (Some(named), rest),
        _ => (None, written),
    };
    if let (Some(named), Some(agent)) = (named, agent)
        && named != agent
    {
        return Err(KeyError::OtherAgent {
            key: written.to_owned(),
            agent: named.to_owned(),
        });
    }
    let agent = named
        .or(agent)
        .unwrap_or(&settings.default_agent)
        .to_owned();
    if settings.agent(&agent).is_none() {
        return Err(KeyError::UnknownAgent(agent));
    }
    let is_main = rest.is_empty()
        || rest == "main"
        || (settings.global_scope && (rest == GLOBAL || rest == settings.main_key));
    let canonical = if is_main {
        main_session(&agent, settings)
    } else {
        format!("agent:{agent}:{rest}").into()
    };
    Ok(SessionKey { canonical, agent })
}

/// The canonical key of an agent's main session. In the global scope, that of the default agent is
/// `global`.
pub fn main_session(agent: &str, settings: &Settings) -> Arc<str> {
    match (settings.global_scope, agent == settings.default_agent) {
        (false, _) => format!("agent:{agent}:{}", settings.main_key).into(),
        (true, true) => GLOBAL.into(),
        (true, false) => format!("agent:{agent}:{GLOBAL}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::settings;

    #[test]
    fn every_spelling_of_a_session_has_one_key() {
        let settings = settings();
        let key = |written, agent| {
            canonical(written, agent, &settings).map(|key| key.canonical.to_string())
        };
        for written in ["main", "", "agent:main:main", " main "] {
            assert_eq!(key(written, None).unwrap(), "agent:main:main");
        }
        assert_eq!(
            key("telegram:direct:1", None).unwrap(),
            "agent:main:telegram:direct:1"
        );
        assert_eq!(key("agent:main", None).unwrap(), "agent:main:agent:main");
        assert_eq!(
            key("x", Some("nobody")),
            Err(KeyError::UnknownAgent("nobody".into()))
        );
        assert!(matches!(
            key("agent:main:x", Some("other")),
            Err(KeyError::OtherAgent { .. })
        ));
    }

    #[test]
    fn in_the_global_scope_main_is_the_session_of_everyone() {
        let mut settings = settings();
        settings.global_scope = true;
        for written in ["", "main", "global", "agent:main:main", "agent:main:global"] {
            let key = canonical(written, None, &settings).unwrap();
            assert_eq!((&*key.canonical, key.agent.as_str()), ("global", "main"));
        }
        let other = canonical("x", None, &settings).unwrap();
        assert_eq!(&*other.canonical, "agent:main:x");
    }
}
