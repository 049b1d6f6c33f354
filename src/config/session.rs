//! `session`: how conversations map to sessions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `session`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Session {
    /// Whether everyone shares one session.
    pub scope: SessionScope,
    /// The last part of an agent's main session key.
    pub main_key: String,
    /// How direct conversations are grouped.
    pub dm_scope: DmScope,
    /// How group conversations are grouped.
    pub group_scope: GroupScope,
    /// One person's peers on several channels.
    pub identity_links: BTreeMap<String, Vec<String>>,
    /// When a session begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    /// The same, by kind of conversation.
    pub reset_by_type: BTreeMap<String, Reset>,
    /// The same, by channel.
    pub reset_by_channel: BTreeMap<String, Reset>,
    /// Messages that begin a session anew.
    pub reset_triggers: Vec<String>,
    /// Older form of `reset.idleMinutes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub idle_minutes: Option<u64>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            scope: SessionScope::PerSender,
            main_key: "main".to_owned(),
            dm_scope: DmScope::Main,
            group_scope: GroupScope::PerGroup,
            identity_links: BTreeMap::new(),
            reset: None,
            reset_by_type: BTreeMap::new(),
            reset_by_channel: BTreeMap::new(),
            reset_triggers: vec!["/new".to_owned(), "/reset".to_owned()],
            idle_minutes: None,
        }
    }
}

/// `session.scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionScope {
    /// Each sender has a session.
    PerSender,
    /// All share one.
    Global,
}

/// `session.dmScope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DmScope {
    /// All direct conversations share the main session.
    Main,
    /// One per person, over all channels.
    PerPeer,
    /// One per channel and person.
    PerChannelPeer,
    /// One per account, channel and person.
    PerAccountChannelPeer,
}

/// `session.groupScope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroupScope {
    /// All group conversations share the main session.
    Main,
    /// Each has its own.
    PerGroup,
}

/// When a session begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Reset {
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ResetMode>,
    /// The local hour of the daily reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 23))]
    pub at_hour: Option<u8>,
    /// The quiet time of the idle reset, in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub idle_minutes: Option<u64>,
}

/// `session.reset.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResetMode {
    /// Never by itself.
    None,
    /// Every day at `atHour`.
    Daily,
    /// After `idleMinutes` of quiet.
    Idle,
}
