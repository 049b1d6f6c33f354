//! `messages`: how messages and runs meet.

use std::collections::BTreeMap;

use openclaw_actors::settings::QueueMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `messages`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Messages {
    /// What becomes of a message that comes during a run of its session.
    pub queue: Queue,
}

/// `messages.queue`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Queue {
    /// For messages and sessions that name no mode.
    pub mode: Mode,
    /// The mode of messages from a channel; `webchat` is that of every client.
    pub by_channel: BTreeMap<String, Mode>,
    /// How long nothing must come to a session before messages that waited for the end of its run get
    /// theirs, milliseconds.
    #[schemars(range(max = 60_000))]
    pub debounce_ms: u32,
    /// The same for messages from a channel.
    pub debounce_ms_by_channel: BTreeMap<String, Rest>,
    /// Most messages of one session that wait.
    #[schemars(range(min = 1, max = 1_000))]
    pub cap: u16,
    /// What happens to one more.
    pub drop: Drop,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            mode: Mode::Steer,
            by_channel: BTreeMap::new(),
            debounce_ms: 0,
            debounce_ms_by_channel: BTreeMap::new(),
            cap: 20,
            drop: Drop::New,
        }
    }
}

/// How long nothing must come, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Rest(#[schemars(range(max = 60_000))] pub u32);

/// `messages.queue.mode`, with its older names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The message joins the run at its next step.
    #[serde(alias = "queue", alias = "steer-backlog", alias = "steer+backlog")]
    Steer,
    /// Each message gets a run of its own.
    Followup,
    /// Those that wait share one run.
    Collect,
    /// The run is stopped for it.
    Interrupt,
}

impl From<Mode> for QueueMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Steer => Self::Steer,
            Mode::Followup => Self::Followup,
            Mode::Collect => Self::Collect,
            Mode::Interrupt => Self::Interrupt,
        }
    }
}

/// `messages.queue.drop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Drop {
    /// The new message is refused.
    New,
    /// The two oldest share one run.
    Old,
    /// The same.
    Summarize,
}
