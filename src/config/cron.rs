//! `cron`: jobs that run by the clock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `cron`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Cron {
    /// Whether they do; they can be listed and changed all the same.
    pub enabled: bool,
}

impl Default for Cron {
    fn default() -> Self {
        Self { enabled: true }
    }
}
