//! What the register of supervised actors tells others.

use std::fmt;
use std::time::Duration;

use super::state::{Cause, Tier};
use crate::clock::Millis;

/// Why the daemon has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// The actor that cannot be kept up.
    pub actor: &'static str,
    /// What happened, for the log and the last words on stderr.
    pub reason: String,
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be kept up: {}", self.actor, self.reason)
    }
}

/// What an actor is doing, as health shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorState {
    /// It was entered and has not been polled yet.
    Starting,
    /// It runs.
    Running,
    /// It failed and waits for its next life.
    Backoff,
    /// It does not answer the watchdog.
    Hung,
}

/// The last failure of an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// When.
    pub at: Millis,
    /// How.
    pub cause: Cause,
    /// The text of the panic or the reason it gave, at most 300 characters.
    pub why: String,
    /// How long it waited or waits before its next life.
    pub next_in: Duration,
}

/// One supervised actor, as health shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorVitals {
    /// [`Rebuild::NAME`](super::Rebuild::NAME).
    pub name: &'static str,
    /// [`Rebuild::instance`](super::Rebuild::instance).
    pub instance: Option<String>,
    /// What the daemon loses without it.
    pub tier: Tier,
    /// What it is doing.
    pub state: ActorState,
    /// Failures since it was first started.
    pub failures: u64,
    /// Failures in a row, without a stable spell between them.
    pub streak: u32,
    /// The last failure.
    pub last_failure: Option<LastFailure>,
    /// Since when it has not answered the watchdog; zero unless `Hung`.
    pub silent_for: Duration,
}

/// What all actors of one name have been through since the start of the daemon, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Panics.
    pub panics: u64,
    /// Stops by error or without a reason.
    pub stops: u64,
    /// Hangs that were reported, whether or not they ended by themselves.
    pub hangs: u64,
    /// Builds that failed.
    pub rebuilds_failed: u64,
    /// Lives after the first.
    pub recoveries: u64,
}

/// Something happened to a supervised actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It failed; what is known is in its `last_failure`.
    Failed(ActorVitals),
    /// It runs again, or answers again.
    Recovered(ActorVitals),
    /// It does not answer.
    Hung(ActorVitals),
    /// It was retired, or its last address was dropped.
    Ended(ActorVitals),
}
