//! The Limiter: the owner of failed attempts, locks, and the places of sockets before their
//! handshake.
//!
//! It is no actor with a mailbox but a state that is asked in place: a good connect must not wait
//! for a hop, and a failure must count before the next guess is compared, which a message on its
//! way would not. Each question is a few look-ups behind a lock that nobody holds for longer. Its
//! decisions are pure ([`failures`], [`arrivals`]); what it refused is published as [`Counts`].

pub mod arrivals;
pub mod client;
pub mod counts;
pub mod failures;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrivals::{ArrivalLimits, Arrivals, TurnedAway};
use client::Client;
use counts::{Count, Counts};
use failures::{AuthScope, Consequence, Failures, RateLimit};

use crate::audit::{AuditPort, AuditRow, Kind};
use crate::clock::SharedClock;

/// Most answers that are held back at one time. Full: a further one leaves at once. Its sender is on
/// this machine and could not be locked out anyway, and holding more sockets would cost more than
/// the delay is worth.
const MAX_DELAYED: usize = 128;

/// The owner of failures and arrivals; cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    failures: Mutex<Failures>,
    arrivals: Mutex<Arrivals>,
    delayed: AtomicUsize,
    clock: SharedClock,
    counts: Arc<Counts>,
    audit: AuditPort,
}

/// A place of a socket before its handshake; given back when it is dropped.
pub struct Slot {
    limiter: Limiter,
    client: Client,
}

/// A place among the answers that are held back; given back when it is dropped.
pub struct Delayed(Limiter);

/// Which scopes a client may not try now, and for how long.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Locks([Option<Duration>; AuthScope::ALL.len()]);

/// What one connect guessed at, wrongly; each scope at most once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Guesses([bool; AuthScope::ALL.len()]);

impl Limiter {
    /// A limiter that has seen nobody.
    pub fn new(
        limits: ArrivalLimits,
        clock: SharedClock,
        counts: Arc<Counts>,
        audit: AuditPort,
    ) -> Self {
        Self(Arc::new(Inner {
            failures: Mutex::default(),
            arrivals: Mutex::new(Arrivals::new(limits)),
            delayed: AtomicUsize::new(0),
            clock,
            counts,
            audit,
        }))
    }

    /// A place for a socket before its handshake.
    ///
    /// # Errors
    ///
    /// Which bound it met.
    pub fn arrive(&self, client: Client) -> Result<Slot, TurnedAway> {
        let now = self.0.clock.monotonic();
        let outcome = lock(&self.0.arrivals).arrived(&client, now);
        if let Err(why) = &outcome {
            self.0.counts.add(match why {
                TurnedAway::TooMany => Count::TooManyBeforeHandshake,
                TurnedAway::TooFast { .. } => Count::TooFastConnects,
            });
        }
        outcome.map(|()| Slot {
            limiter: self.clone(),
            client,
        })
    }

    /// What `client` may not try now. `device` is the one that it says it is: a device that guesses
    /// at the shared secret beside its own token is locked by its id.
    pub fn locks(&self, client: &Client, device: Option<&str>) -> Locks {
        let failures = lock(&self.0.failures);
        if failures.is_empty() {
            return Locks::default();
        }
        let now = self.0.clock.monotonic();
        let mut locks = Locks(AuthScope::ALL.map(|scope| failures.locked(scope, client, now)));
        if let Some(id) = device {
            let scope = AuthScope::SharedSecret;
            let own = failures.locked(scope, &Client::Device(id.into()), now);
            locks.0[scope as usize] = locks.get(scope).max(own);
        }
        locks
    }

    /// Counts the wrong guesses of one connect. The answer waits as long as this says.
    pub fn failed(&self, guesses: Guesses, client: &Client, limit: &RateLimit) -> Option<Duration> {
        let now = self.0.clock.monotonic();
        let mut delay = None;
        for scope in guesses.scopes() {
            let outcome = lock(&self.0.failures).failed(scope, client, limit, now);
            self.0.counts.add(Count::FailedAttempts);
            match outcome {
                Consequence::Counted => {}
                Consequence::Delayed(by) => delay = delay.max(Some(by)),
                Consequence::Locked { failures } => {
                    self.0.counts.add(Count::Lockouts);
                    // One row per lock; what is refused meanwhile is only counted.
                    self.0.audit.record(
                        &AuditRow::new(Kind::Lockout)
                            .address(client.to_string())
                            .code(scope.as_str())
                            .reason(format!(
                                "{failures} failed attempts; it may try again in {} s",
                                limit.lockout.as_secs()
                            )),
                    );
                }
            }
        }
        delay
    }

    /// The client knew what it was asked for.
    pub fn succeeded(&self, scope: AuthScope, client: &Client) {
        lock(&self.0.failures).succeeded(scope, client);
    }

    /// A place among the answers that are held back; `None` when there are too many.
    pub fn hold_back(&self) -> Option<Delayed> {
        let place = |held: usize| (held < MAX_DELAYED).then_some(held + 1);
        let held = &self.0.delayed;
        held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, place)
            .ok()?;
        self.0.counts.add(Count::DelayedAnswers);
        Some(Delayed(self.clone()))
    }
}

impl Slot {
    /// Whose place it is.
    pub const fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.limiter.0.arrivals).left(&self.client);
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        self.0.0.delayed.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Locks {
    /// How long the scope is still locked.
    pub const fn get(self, scope: AuthScope) -> Option<Duration> {
        self.0[scope as usize]
    }
}

impl Guesses {
    /// These, and one at `scope`.
    #[must_use]
    pub const fn and(mut self, scope: AuthScope) -> Self {
        self.0[scope as usize] = true;
        self
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        let mut index = 0;
        while index < self.0.len() {
            if self.0[index] {
                return false;
            }
            index += 1;
        }
        true
    }

    fn scopes(self) -> impl Iterator<Item = AuthScope> {
        AuthScope::ALL
            .into_iter()
            .filter(move |scope| self.0[*scope as usize])
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is a whole step; a panic elsewhere on this thread leaves the state sound.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
