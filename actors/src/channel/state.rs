//! What becomes of an account when its transport connects or ends. Pure.

use std::time::Duration;

use super::ChannelError;

/// Before the second try of a transport that failed.
const BASE: Duration = Duration::from_secs(1);
/// Before the second try where another program has the account.
const CONFLICT_BASE: Duration = Duration::from_secs(10);
/// Between later tries.
const CEILING: Duration = Duration::from_mins(5);
/// Most that a wait is shortened by, so that accounts do not come back together.
const JITTER: f64 = 0.3;
/// A connection that lasted this long ends the streak of failures.
const STABLE: Duration = Duration::from_mins(1);
/// Longest delay that a platform's word is taken for.
pub(super) const LONGEST_DELAY: Duration = Duration::from_hours(1);

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// No transport, and none is wanted.
    #[default]
    Stopped,
    /// A transport is connecting.
    Connecting,
    /// A transport lives.
    Connected,
    /// None lives; the next one comes by itself.
    Backoff,
    /// None lives; only a person can help.
    Parked,
}

impl Phase {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Backoff => "backoff",
            Self::Parked => "parked",
        }
    }
}

/// What follows the end of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another one, after this.
    Retry(Duration),
    /// None, until a person says so.
    Park,
}

/// The life of an account's transports.
#[derive(Debug, Default)]
pub struct Machine {
    phase: Phase,
    generation: u64,
    streak: u32,
    connected_at: Option<Duration>,
}

impl Machine {
    /// Where it stands.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Number of the newest transport.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Failures in a row.
    pub const fn streak(&self) -> u32 {
        self.streak
    }

    /// A transport begins; gives back its number.
    pub const fn begin(&mut self) -> u64 {
        self.generation += 1;
        self.phase = Phase::Connecting;
        self.connected_at = None;
        self.generation
    }

    /// The transport of this number hears its platform. False when it is not the newest one.
    pub const fn connected(&mut self, generation: u64, now: Duration) -> bool {
        if generation != self.generation || !matches!(self.phase, Phase::Connecting) {
            return false;
        }
        self.phase = Phase::Connected;
        self.connected_at = Some(now);
        true
    }

    /// A person, or the configuration, wants no transport.
    pub const fn stopped(&mut self) {
        self.phase = Phase::Stopped;
        self.streak = 0;
        self.connected_at = None;
    }

    /// A person took care of it: the streak of failures is over.
    pub const fn forgive(&mut self) {
        self.streak = 0;
    }

    /// The transport ended; `chance` is in `0.0..1.0`.
    pub fn ended(&mut self, error: &ChannelError, now: Duration, chance: f64) -> Next {
        let lasted = self.connected_at.take().map(|at| now.saturating_sub(at));
        if lasted.is_some_and(|lasted| lasted >= STABLE) {
            self.streak = 0;
        }
        self.streak = self.streak.saturating_add(1);
        let base = match error {
            ChannelError::Auth(_) => {
                self.phase = Phase::Parked;
                return Next::Park;
            }
            ChannelError::Conflict(_) => CONFLICT_BASE,
            ChannelError::RateLimited { .. } | ChannelError::Transient(_) => BASE,
        };
        self.phase = Phase::Backoff;
        let wait = backoff(base, self.streak, chance);
        Next::Retry(match error {
            // The platform's own word is a floor.
            ChannelError::RateLimited { delay, .. } => wait.max((*delay).min(LONGEST_DELAY)),
            _ => wait,
        })
    }
}

/// The wait before try number `streak` + 1.
pub fn backoff(base: Duration, streak: u32, chance: f64) -> Duration {
    let doublings = streak.saturating_sub(1).min(16);
    let full = base.saturating_mul(1 << doublings).min(CEILING);
    full.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn transient() -> ChannelError {
        ChannelError::Transient("gone".into())
    }

    #[test]
    fn waits_grow_to_a_ceiling_and_begin_anew_after_a_stable_connection() {
        let mut machine = Machine::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            machine.begin();
            let Next::Retry(wait) = machine.ended(&transient(), Duration::ZERO, 0.0) else {
                panic!("it is tried again")
            };
            waits.push(wait.as_secs());
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[11], CEILING.as_secs());

        let generation = machine.begin();
        assert!(machine.connected(generation, Duration::from_secs(100)));
        let short = machine.ended(&transient(), Duration::from_secs(110), 0.0);
        assert_eq!(short, Next::Retry(CEILING), "ten seconds are not stable");
        let generation = machine.begin();
        machine.connected(generation, Duration::from_secs(200));
        let stable = machine.ended(&transient(), Duration::from_mins(5), 0.0);
        assert_eq!(stable, Next::Retry(BASE));
    }

    #[test]
    fn a_revoked_secret_parks_the_account_at_once() {
        let mut machine = Machine::default();
        machine.begin();
        let next = machine.ended(&ChannelError::Auth("revoked".into()), Duration::ZERO, 0.5);
        assert_eq!((next, machine.phase()), (Next::Park, Phase::Parked));
        assert_eq!(machine.generation(), 1);
    }

    #[test]
    fn a_platforms_delay_is_a_floor() {
        let mut machine = Machine::default();
        machine.begin();
        let limited = ChannelError::RateLimited {
            delay: Duration::from_secs(40),
            why: String::new(),
        };
        let next = machine.ended(&limited, Duration::ZERO, 1.0);
        assert_eq!(next, Next::Retry(Duration::from_secs(40)));
    }

    #[test]
    fn only_the_newest_transport_is_believed() {
        let mut machine = Machine::default();
        let old = machine.begin();
        let new = machine.begin();
        assert!(!machine.connected(old, Duration::ZERO));
        assert_eq!(machine.phase(), Phase::Connecting);
        assert!(machine.connected(new, Duration::ZERO));
        machine.stopped();
        assert!(!machine.connected(new, Duration::ZERO), "it was stopped");
    }

    proptest! {
        #[test]
        fn a_wait_is_never_zero_and_never_above_the_ceiling(streak in 0u32..100, chance in 0.0f64..1.0) {
            let wait = backoff(BASE, streak, chance);
            prop_assert!(wait >= BASE.mul_f64(1.0 - JITTER) && wait <= CEILING);
        }
    }
}
