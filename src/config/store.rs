//! `store`: this daemon's own database. Upstream has no such section.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `store`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Store {
    /// Memory for cached pages, in bytes.
    #[schemars(range(min = 1_048_576, max = 4_294_967_296_u64))]
    pub cache_bytes: u64,
    /// How long and how much is kept.
    pub retention: Retention,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            cache_bytes: 8 * 1024 * 1024,
            retention: Retention::default(),
        }
    }
}

/// `store.retention`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Retention {
    /// Idempotency keys, in hours.
    #[schemars(range(min = 1, max = 8760))]
    pub idempotency_hours: u32,
    /// Most idempotency keys.
    #[schemars(range(min = 100, max = 10_000_000))]
    pub idempotency_keys: u32,
    /// The audit log, in days.
    #[schemars(range(min = 1, max = 3650))]
    pub audit_days: u32,
    /// Delivered messages of the outbox, in days.
    #[schemars(range(min = 1, max = 3650))]
    pub outbox_days: u32,
    /// Most runs kept per cron job.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub cron_runs_per_job: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            idempotency_hours: 24,
            idempotency_keys: 10_000,
            audit_days: 30,
            outbox_days: 30,
            cron_runs_per_job: 1000,
        }
    }
}
