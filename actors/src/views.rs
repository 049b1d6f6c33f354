//! Everything that owners publish for reading.

use std::sync::Arc;

use openclaw_protocol::connect::SessionDefaults;
use openclaw_protocol::presence::PresenceEntry;
use serde_json::Value;

use crate::clock::SharedClock;
use crate::gate::GateSettings;
use crate::published::{Published, Rendered};

/// Where this gateway lives.
pub struct Places {
    /// Path of the config file.
    pub config_path: String,
    /// State directory.
    pub state_dir: String,
    clock: SharedClock,
}

impl Places {
    /// The paths of a gateway that starts now.
    pub fn new(config_path: String, state_dir: String, clock: SharedClock) -> Self {
        Self {
            config_path,
            state_dir,
            clock,
        }
    }

    /// Milliseconds since the gateway started.
    pub fn uptime_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The published snapshots; cheap to clone.
#[derive(Clone)]
pub struct Views {
    /// Everyone present. Owner: Presence.
    pub presence: Published<Rendered<Vec<PresenceEntry>>>,
    /// The health snapshot. Owner: Health.
    pub health: Published<Rendered<Value>>,
    /// What handshakes are judged by. Owner: config.
    pub gate: Published<GateSettings>,
    /// Where this gateway lives. Owner: composition root.
    pub places: Arc<Places>,
}

impl Views {
    /// How session keys are formed.
    pub fn session_defaults(&self, v4: bool) -> SessionDefaults {
        let _ = v4;
        SessionDefaults {
            default_agent_id: "main".into(),
            main_key: "main".into(),
            main_session_key: "agent:main:main".into(),
            scope: "per-sender".into(),
            model_configured: None,
        }
    }
}
