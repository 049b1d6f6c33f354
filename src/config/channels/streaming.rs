//! `streaming` of a channel: whether answers are shown while they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `streaming` of a channel, as people write it now and wrote it before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Streaming {
    /// In short.
    Mode(StreamingMode),
    /// Whether at all.
    On(bool),
    /// With more settings.
    Full(StreamingSettings),
}

/// `streaming` of a channel with more settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StreamingSettings {
    /// `off` shows nothing before the answer is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<StreamingMode>,
}

impl Streaming {
    /// Whether it says that they are shown.
    pub(super) fn is_on(&self) -> bool {
        !self.is_off() && !matches!(self, Self::Full(StreamingSettings { mode: None }))
    }

    pub(super) fn is_off(&self) -> bool {
        let mode = match self {
            Self::Mode(mode) => Some(*mode),
            Self::On(on) => return !on,
            Self::Full(settings) => settings.mode,
        };
        mode == Some(StreamingMode::Off)
    }
}

/// How answers are shown while they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamingMode {
    /// Not at all.
    Off,
    /// In a message that is edited while they grow.
    Partial,
    /// The same.
    Block,
    /// The same.
    Progress,
}
