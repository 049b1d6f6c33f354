//! The decisions of supervision, without clock or IO: how long to wait, and when it is hopeless.

use std::collections::VecDeque;
use std::time::Duration;

/// What the daemon loses when an actor keeps failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Rebuilt in place for ever; the rest of the daemon goes on without it.
    Replaceable,
    /// The daemon is worth nothing without it: it ends the daemon when it cannot be kept up.
    Irreplaceable,
}

/// How failures are answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestartPolicy {
    /// The wait after the first failure; doubles with each further one.
    pub base: Duration,
    /// The longest wait, before jitter.
    pub max: Duration,
    /// The share of a wait (0.0 to 1.0) that chance may take off it, so that neighbours do not return in step.
    pub jitter: f64,
    /// An actor that ran this long since its last start has its count of failures forgotten.
    pub stable_after: Duration,
    /// So many failures of an irreplaceable actor ...
    pub fatal_failures: usize,
    /// ... of which the first and the last are at most this far apart end the daemon.
    pub fatal_within: Duration,
}

impl RestartPolicy {
    /// For actors of the core: back within milliseconds, since callers wait for them.
    pub const CORE: Self = Self {
        base: Duration::from_millis(20),
        max: Duration::from_secs(10),
        jitter: 0.2,
        stable_after: Duration::from_mins(1),
        fatal_failures: 3,
        fatal_within: Duration::from_mins(1),
    };

    /// For actors that talk to somebody else's service, who must not be hammered.
    pub const PROVIDER: Self = Self {
        base: Duration::from_millis(500),
        max: Duration::from_mins(1),
        jitter: 0.5,
        stable_after: Duration::from_mins(2),
        ..Self::CORE
    };

    /// The wait after the `streak`th failure in a row (1 is the first); `chance` is in `0.0..1.0`.
    pub fn backoff(&self, streak: u32, chance: f64) -> Duration {
        let doublings = streak.saturating_sub(1).min(20);
        let full = self.base.saturating_mul(1 << doublings).min(self.max);
        let taken = self.jitter.clamp(0.0, 1.0) * chance.clamp(0.0, 1.0);
        full.mul_f64(1.0 - taken)
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self::CORE
    }
}

/// How an actor failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Its code panicked, in a handler, in `started()` or in a future that it had spawned.
    Panic,
    /// It stopped without having been retired, by `fail()` or by `ctx.stop()`.
    Stop,
    /// It did not answer the watchdog for so long that it was torn down.
    Hang,
    /// It could not be built anew.
    Rebuild,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// How many failures in a row this makes.
    pub streak: u32,
    /// When to try again; also holds when `fatal`, since the drain may still need the actor.
    pub next_in: Duration,
    /// The daemon has to end.
    pub fatal: bool,
}

/// The failures of one actor.
#[derive(Clone, Debug)]
pub struct Failures {
    policy: RestartPolicy,
    tier: Tier,
    streak: u32,
    recent: VecDeque<Duration>,
    up_since: Duration,
}

impl Failures {
    /// No failure yet; the actor counts as up from `now` on.
    pub fn new(policy: RestartPolicy, tier: Tier, now: Duration) -> Self {
        Self {
            policy,
            tier,
            streak: 0,
            recent: VecDeque::new(),
            up_since: now,
        }
    }

    /// The actor was started again.
    pub fn up(&mut self, now: Duration) {
        self.up_since = now;
    }

    /// The actor failed. `chance`, in `0.0..1.0`, decides the jitter.
    pub fn failed(&mut self, cause: Cause, now: Duration, chance: f64) -> Verdict {
        if now.saturating_sub(self.up_since) >= self.policy.stable_after {
            self.streak = 0;
        }
        self.streak = self.streak.saturating_add(1);
        // A rebuild that fails again must not look like a stable spell that began long ago.
        self.up_since = now;
        self.recent.push_back(now);
        while self.recent.len() > self.policy.fatal_failures.max(1) {
            self.recent.pop_front();
        }
        Verdict {
            streak: self.streak,
            next_in: self.policy.backoff(self.streak, chance),
            fatal: self.tier == Tier::Irreplaceable
                && (cause == Cause::Rebuild || self.too_many(now)),
        }
    }

    fn too_many(&self, now: Duration) -> bool {
        self.recent.len() >= self.policy.fatal_failures.max(1)
            && self
                .recent
                .front()
                .is_some_and(|first| now.saturating_sub(*first) <= self.policy.fatal_within)
    }
}

/// How long an actor may leave the watchdog without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HangLimits {
    /// How often the watchdog asks.
    pub every: Duration,
    /// Unanswered for this long: health says `hung`.
    pub report_after: Duration,
    /// Unanswered for this long: a replaceable actor is torn down and rebuilt, an irreplaceable one ends the daemon.
    pub give_up_after: Duration,
}

impl Default for HangLimits {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            report_after: Duration::from_secs(10),
            give_up_after: Duration::from_mins(1),
        }
    }
}

/// What a look of the watchdog found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The last question was answered.
    Alive,
    /// No answer yet, within the limit.
    Waiting,
    /// Over the first limit; `first` is true only once per hang.
    Hung {
        /// Since when there has been no answer.
        silent_for: Duration,
        /// This look is the first to find it.
        first: bool,
    },
    /// Over the second limit; said once per hang.
    GiveUp {
        /// Since when there has been no answer.
        silent_for: Duration,
    },
}

/// The watchdog's memory of one actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    silent_for: Duration,
    reported: bool,
    given_up: bool,
}

impl Silence {
    /// Judges one look, `since_last_look` after the one before.
    ///
    /// A look that comes far too late means that the whole process was stopped (a suspended
    /// laptop, SIGSTOP), so that no actor could have answered: it counts as two intervals at most.
    pub(super) fn look(
        &mut self,
        answered: bool,
        since_last_look: Duration,
        limits: &HangLimits,
    ) -> Look {
        if answered {
            *self = Self::default();
            return Look::Alive;
        }
        self.silent_for = self
            .silent_for
            .saturating_add(since_last_look.min(limits.every.saturating_mul(2)));
        let silent_for = self.silent_for;
        if silent_for >= limits.give_up_after && !self.given_up {
            self.given_up = true;
            self.reported = true;
            return Look::GiveUp { silent_for };
        }
        if silent_for >= limits.report_after {
            return Look::Hung {
                silent_for,
                first: !std::mem::replace(&mut self.reported, true),
            };
        }
        Look::Waiting
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
