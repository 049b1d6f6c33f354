//! `health`, `status`, presence and the gateway's own facts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::method::Access;
use crate::presence::PresenceEntry;
use crate::scope::Scope;

crate::methods! {
    /// The health snapshot.
    Health => "health", Access::Open, read, HealthParams => Value;
    /// Everyone present.
    SystemPresence => "system-presence", Access::Operator(Scope::Read), read, EmptyParams => Vec<PresenceEntry>;
}

/// Parameters of methods that take none; unknown keys are ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EmptyParams {}

/// Parameters of `health`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct HealthParams {
    /// Ask for a fresh snapshot.
    #[serde(default)]
    pub probe: Option<bool>,
}
