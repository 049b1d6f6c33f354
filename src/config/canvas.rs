//! `canvasHost`: pages that agents write and nodes show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `canvasHost`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CanvasHost {
    /// Whether there is a canvas.
    pub enabled: bool,
    /// Its own port: four above the gateway's where none is named, 0 for any that is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The folder of its pages; `canvas` in the state directory where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Whether open pages load themselves again after a change.
    pub live_reload: bool,
    /// Whether programs of this host may read it without any proof.
    pub allow_loopback_read: bool,
}

impl Default for CanvasHost {
    fn default() -> Self {
        Self {
            enabled: true,
            port: None,
            root: None,
            live_reload: true,
            allow_loopback_read: false,
        }
    }
}

impl CanvasHost {
    /// Its own port beside a gateway on this one.
    pub fn port(&self, gateway: u16) -> u16 {
        let beside = if gateway == 0 {
            0
        } else {
            gateway.checked_add(4).unwrap_or(0)
        };
        self.port.unwrap_or(beside)
    }
}
