//! Who may read the canvas by a capability.
//!
//! **Invariants.** A capability opens nothing after its connection ended, after the gateway's secret by which
//! that came in was changed, when it may no longer see the canvas, or when it was not used for [`LIFE`]. It is
//! kept hashed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::may_see;
use crate::call::{Caller, ConnKey};
use crate::clock::Millis;
use crate::views::Views;

/// How long a capability is good that is not used.
pub const LIFE: Duration = Duration::from_mins(10);
/// Most capabilities; those that end soonest go first.
const MAX: usize = 4_096;
/// So few that nobody looks which of them are over.
const FEW: usize = 64;
/// Most of one connection.
const MAX_OF_ONE: usize = 16;
/// Most pages that wait for changes.
pub const MAX_LISTENERS: usize = 64;

struct Grant {
    conn: ConnKey,
    holder: Weak<Caller>,
    until: Millis,
}

impl Grant {
    /// Whether it can ever open anything again.
    fn is_over(&self, now: Millis) -> bool {
        now >= self.until || self.holder.strong_count() == 0
    }
}

/// The capabilities, and how many of them are looked through again.
#[derive(Default)]
struct Grants {
    all: HashMap<[u8; 32], Grant>,
    look_at: usize,
}

impl Grants {
    /// Lets go of what is over whenever twice as many are there as were left the last time: one that is over holds
    /// its connection's place in memory, and a host that probes each second makes thousands of them.
    fn tidy(&mut self, now: Millis) {
        if self.all.len() < self.look_at.clamp(FEW, MAX) {
            return;
        }
        self.all.retain(|_, grant| !grant.is_over(now));
        self.all.shrink_to(2 * self.all.len());
        self.look_at = 2 * self.all.len();
    }
}

/// What is known of the canvas's readers.
pub struct Desk {
    grants: Mutex<Grants>,
    port: AtomicU16,
    changes: watch::Sender<u64>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            grants: Mutex::default(),
            port: AtomicU16::new(0),
            changes: watch::Sender::new(0),
        }
    }
}

fn key(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Desk {
    /// Notes the canvas host's own port.
    pub fn listening(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// The canvas host's own port; 0 without one.
    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Lets whoever has this token read on behalf of a connection; until when, if it is not used.
    pub fn grant(&self, caller: &Arc<Caller>, token: &str, now: Millis) -> Millis {
        let until = now.plus(LIFE);
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.tidy(now);
        let grants = &mut grants.all;
        let own = |grant: &Grant| grant.conn == caller.conn;
        if grants.len() >= MAX {
            drop_oldest(grants, |_| true);
        } else if grants.values().filter(|grant| own(grant)).count() >= MAX_OF_ONE {
            drop_oldest(grants, own);
        }
        let grant = Grant {
            conn: caller.conn,
            holder: Arc::downgrade(caller),
            until,
        };
        grants.insert(key(token), grant);
        until
    }

    /// Whether this token opens the canvas; it is good for [`LIFE`] more then.
    pub fn opens(&self, token: &str, views: &Views, now: Millis) -> bool {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let grants = &mut grants.all;
        let key = key(token);
        let Some(grant) = grants.get_mut(&key) else {
            return false;
        };
        let holder = grant.holder.upgrade().filter(|holder| {
            let outdated = |epoch: u64| epoch != views.auth_epoch.now();
            !holder.ended.is_over() && !holder.auth_epoch.is_some_and(outdated)
        });
        let Some(holder) = holder.filter(|_| now < grant.until) else {
            grants.remove(&key);
            return false;
        };
        // What was taken away may be given again: the capability stays.
        let may = may_see(views, &holder);
        if may {
            grant.until = now.plus(LIFE);
        }
        may
    }

    /// Something in the canvas's folder changed.
    pub fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Hears of changes; `None` while [`MAX_LISTENERS`] do.
    pub fn listen(&self) -> Option<watch::Receiver<u64>> {
        (self.listeners() < MAX_LISTENERS).then(|| self.changes.subscribe())
    }

    /// How many capabilities are remembered.
    #[cfg(any(test, feature = "testing"))]
    pub fn remembered(&self) -> usize {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.all.len()
    }

    /// How many pages wait for changes.
    pub fn listeners(&self) -> usize {
        self.changes.receiver_count()
    }
}

fn drop_oldest(grants: &mut HashMap<[u8; 32], Grant>, among: impl Fn(&Grant) -> bool) {
    let oldest = grants
        .iter()
        .filter(|(_, grant)| among(grant))
        .min_by_key(|(_, grant)| grant.until)
        .map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        grants.remove(&oldest);
    }
}
