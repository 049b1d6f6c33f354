//! `cron`: jobs that run by the clock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::session::Age;

/// `cron`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Cron {
    /// Whether they do; they can be listed and changed all the same.
    pub enabled: bool,
    /// How long the conversation of a job stays that will not run again, such as `24h`; `false` is for
    /// ever.
    pub session_retention: Age,
}

impl Default for Cron {
    fn default() -> Self {
        Self {
            enabled: true,
            session_retention: Age::For("24h".to_owned()),
        }
    }
}
