//! Failed attempts, locks and delays. Pure: takes the time, gives what follows.
//!
//! **Invariants.** Within any window one client has at most `max_attempts` failures before it is
//! locked. A lock is kept until it ends, whoever else fails meanwhile. At most [`MAX_CLIENTS`]
//! addresses are kept.

use std::collections::HashMap;
use std::time::Duration;

use super::client::Client;

/// Most addresses that are counted one by one, over all scopes. Beside them stand the few kinds of
/// pages, and paired devices, whose number has a limit of its own.
///
/// Full: those that failed longest ago are forgotten, but never a lock. When all of them are
/// locked, everyone else shares one bucket, [`Client::Rest`], until a lock ends: an attack from
/// more than ten thousand addresses makes strangers wait, and nobody else.
pub const MAX_CLIENTS: usize = 10_000;
/// Share of the places that are freed at once, so that making room costs little per failure.
const ROOM: usize = 16;
/// The window is counted in this many slices, and one more, so that it is never counted too short.
const SLICES: usize = 8;
/// Delay of the first failure on loopback.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Longest delay on loopback.
pub const MAX_DELAY: Duration = Duration::from_secs(5);

/// What was guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthScope {
    /// The gateway's token or password.
    SharedSecret,
    /// A device's own token.
    DeviceToken,
    /// A one-time setup code.
    BootstrapToken,
    /// The token of webhooks.
    HookToken,
}

impl AuthScope {
    /// Each of them.
    pub const ALL: [Self; 4] = [
        Self::SharedSecret,
        Self::DeviceToken,
        Self::BootstrapToken,
        Self::HookToken,
    ];

    /// The name for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SharedSecret => "shared-secret",
            Self::DeviceToken => "device-token",
            Self::BootstrapToken => "bootstrap-token",
            Self::HookToken => "hook-token",
        }
    }
}

/// `gateway.auth.rateLimit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Failures within the window after which a client is locked.
    pub max_attempts: u32,
    /// The window.
    pub window: Duration,
    /// How long a lock lasts.
    pub lockout: Duration,
    /// Programs of this machine are slowed down instead of locked.
    pub exempt_loopback: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            window: Duration::from_mins(1),
            lockout: Duration::from_mins(5),
            exempt_loopback: true,
        }
    }
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing yet.
    Counted,
    /// The answer waits this long.
    Delayed(Duration),
    /// The client is locked from here on; `failures` of it were counted.
    Locked {
        /// How many.
        failures: u32,
    },
}

type Key = (AuthScope, Client);

/// Everyone who failed lately.
#[derive(Debug, Default)]
pub struct Failures {
    clients: HashMap<Key, Entry>,
    /// Every place is taken by a lock, and none of them ends before this time.
    full_until: Duration,
}

#[derive(Debug, Default)]
struct Entry {
    /// Failures per slice of the window; the slice with number `n` is at `n % len`.
    slices: [u32; SLICES + 1],
    /// Number of the newest slice.
    newest: u64,
    last: Duration,
    locked_until: Option<Duration>,
}

impl Failures {
    /// How long a client is still locked.
    pub fn locked(&self, scope: AuthScope, client: &Client, now: Duration) -> Option<Duration> {
        let left = |client: &Client| {
            let until = self.clients.get(&(scope, client.clone()))?.locked_until?;
            until.checked_sub(now).filter(|left| !left.is_zero())
        };
        match left(client) {
            None if client.is_address() && now < self.full_until => left(&Client::Rest),
            left => left,
        }
    }

    /// Counts a failure.
    pub fn failed(
        &mut self,
        scope: AuthScope,
        client: &Client,
        limit: &RateLimit,
        now: Duration,
    ) -> Consequence {
        let key = self.place(scope, client, limit, now);
        let exempt = limit.exempt_loopback && key.1 == Client::Loopback;
        let entry = self.clients.entry(key).or_default();
        if entry.locked_until.take_if(|until| *until <= now).is_some() {
            *entry = Entry::default();
        }
        if entry.locked_until.is_some() {
            // It was let in before the lock and failed after it.
            return Consequence::Counted;
        }
        let failures = entry.count(limit.window, now);
        if exempt {
            return Consequence::Delayed(delay(failures));
        }
        if failures < limit.max_attempts {
            return Consequence::Counted;
        }
        entry.locked_until = Some(now + limit.lockout);
        Consequence::Locked { failures }
    }

    /// Forgets the failures of a client that knew the secret. Never a lock.
    pub fn succeeded(&mut self, scope: AuthScope, client: &Client) {
        if self.clients.is_empty() {
            return;
        }
        let key = (scope, client.clone());
        if self
            .clients
            .get(&key)
            .is_some_and(|entry| entry.locked_until.is_none())
        {
            self.clients.remove(&key);
        }
    }

    /// Whether nobody failed lately.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many clients are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Where a client is counted; makes room for it.
    fn place(
        &mut self,
        scope: AuthScope,
        client: &Client,
        limit: &RateLimit,
        now: Duration,
    ) -> Key {
        let key = (scope, client.clone());
        if !client.is_address()
            || self.clients.len() < MAX_CLIENTS
            || self.clients.contains_key(&key)
            || self.make_room(limit, now)
        {
            return key;
        }
        (scope, Client::Rest)
    }

    /// Forgets what no longer matters, and if that is nothing, what matters least.
    fn make_room(&mut self, limit: &RateLimit, now: Duration) -> bool {
        if now < self.full_until {
            return false;
        }
        self.clients
            .retain(|_, entry| entry.matters(limit.window, now));
        if self.clients.len() < MAX_CLIENTS {
            return true;
        }
        let mut unlocked: Vec<Duration> = self
            .clients
            .iter()
            .filter(|((_, client), entry)| client.is_address() && entry.locked_until.is_none())
            .map(|(_, entry)| entry.last)
            .collect();
        if unlocked.is_empty() {
            let ends = self.clients.values().filter_map(|entry| entry.locked_until);
            self.full_until = ends.min().unwrap_or(now);
            return false;
        }
        let last = unlocked.len() - 1;
        let (_, oldest, _) = unlocked.select_nth_unstable(last.min(MAX_CLIENTS / ROOM));
        let oldest = *oldest;
        self.clients.retain(|(_, client), entry| {
            !client.is_address() || entry.locked_until.is_some() || entry.last > oldest
        });
        true
    }
}

impl Entry {
    /// Adds a failure; gives how many there are in the window.
    fn count(&mut self, window: Duration, now: Duration) -> u32 {
        self.turn(window, now);
        let newest = self.index(self.newest);
        self.slices[newest] = self.slices[newest].saturating_add(1);
        self.last = now;
        self.slices.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Clears the slices that ended more than a window ago.
    fn turn(&mut self, window: Duration, now: Duration) {
        let length = (window.as_nanos() / SLICES as u128).max(1);
        let slice = u64::try_from(now.as_nanos() / length).unwrap_or(u64::MAX);
        let passed = slice.saturating_sub(self.newest).min(SLICES as u64 + 1);
        for number in 0..passed {
            let index = self.index(slice - number);
            self.slices[index] = 0;
        }
        // A window that was made longer numbers its slices lower; nothing is forgotten by that.
        self.newest = slice;
    }

    fn index(&self, number: u64) -> usize {
        usize::try_from(number % self.slices.len() as u64).unwrap_or_default()
    }

    /// Whether forgetting it would change anything.
    fn matters(&self, window: Duration, now: Duration) -> bool {
        match self.locked_until {
            Some(until) => until > now,
            None => now.saturating_sub(self.last) <= window + window / 8,
        }
    }
}

/// 250 ms, doubled by each further failure, at most 5 s.
fn delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST_DELAY * (1 << doublings)).min(MAX_DELAY)
}
