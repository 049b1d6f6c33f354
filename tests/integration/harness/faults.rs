//! What is broken between us and a platform, and what was seen of it; shared by the proxies in front of
//! them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::soon;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The platform wants to be left alone for so many seconds; nothing reaches it.
    TooMany(u64),
    /// Something in between is down; nothing reaches the platform.
    BadGateway,
    /// Connections are closed before anything is read.
    Refuse,
    /// Requests are read, and nothing follows.
    Hang,
    /// Requests reach the platform, and no answer comes back.
    HalfOpen,
    /// Requests reach the platform, and half of its answer comes back.
    CloseMidBody,
    /// The platform does not know our secret any more.
    Revoked,
    /// What was answered comes a second time.
    Duplicate,
    /// What comes together comes in another order.
    Reorder,
    /// Bytes come one by one.
    Dribble,
}

impl Break {
    /// Whether it ends a connection.
    pub(crate) const fn ends(self) -> bool {
        !matches!(self, Self::Duplicate | Self::Reorder | Self::Dribble)
    }
}

#[derive(Default)]
struct State {
    receiving: Option<Break>,
    /// What becomes of the next ones that are sent.
    sending: VecDeque<Option<Break>>,
    held: usize,
    hits: usize,
    refused: usize,
    beats: usize,
    open: usize,
    most_open: usize,
}

/// The faults of one way to a platform.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let done = f(&mut self.lock());
        self.changed.notify_waiters();
        done
    }

    /// Receiving is broken from now on; what is under way, too.
    pub(crate) fn break_receiving(&self, how: Break) {
        self.with(|state| {
            state.receiving = Some(how);
            state.hits = 0;
            state.refused = 0;
        });
    }

    /// The next sending is broken.
    pub(crate) fn break_next_send(&self, how: Break) {
        self.break_send_after(how, 0);
    }

    /// One sending is broken, after so many others.
    pub(crate) fn break_send_after(&self, how: Break, others: usize) {
        self.with(|state| {
            state.sending.extend(std::iter::repeat_n(None, others));
            state.sending.push_back(Some(how));
        });
    }

    /// How many sendings were broken.
    pub(crate) fn held(&self) -> usize {
        self.lock().held
    }

    /// Waits until more sendings than these were broken.
    pub(crate) async fn held_more(&self, than: usize) {
        self.until("a message on its way", |state| state.held > than)
            .await;
    }

    /// Signs of life so far.
    pub(crate) fn beaten(&self) -> usize {
        self.lock().beats
    }

    /// Nothing is broken any more.
    pub(crate) fn heal(&self) {
        self.with(|state| {
            state.receiving = None;
            state.sending.clear();
        });
    }

    /// Most connections at a time on which messages were being received.
    pub(crate) fn most_receiving(&self) -> usize {
        self.lock().most_open
    }

    /// How often somebody came with a secret that is none any more.
    pub(crate) fn refused(&self) -> usize {
        self.lock().refused
    }

    /// Waits until what is broken was met.
    pub(crate) async fn met(&self) {
        self.until("what is broken, met", |state| state.hits > 0)
            .await;
    }

    /// Waits until so many more signs of life came by.
    pub(crate) async fn beats(&self, count: usize) {
        let from = self.beaten();
        loop {
            let before = self.beaten();
            if before >= from + count {
                return;
            }
            // Patience is for each of them.
            self.until("a sign of life", |state| state.beats > before)
                .await;
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        soon(what, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if holds(&self.lock()) {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    // From here on: what proxies need.

    /// How receiving is broken now; that is met.
    pub(crate) fn meet(&self) -> Option<Break> {
        self.with(|state| {
            state.hits += usize::from(state.receiving.is_some());
            state.refused += usize::from(state.receiving == Some(Break::Revoked));
            state.receiving
        })
    }

    /// How receiving is broken now.
    pub(crate) fn receiving(&self) -> Option<Break> {
        self.lock().receiving
    }

    /// How the sending that is about to happen is broken.
    pub(crate) fn next_send(&self) -> Option<Break> {
        self.with(|state| state.sending.pop_front().flatten())
    }

    /// A sending is broken, and its connection with it.
    pub(crate) fn hold(&self) {
        self.with(|state| state.held += 1);
    }

    /// A sign of life came by.
    pub(crate) fn beat(&self) {
        self.with(|state| state.beats += 1);
    }

    /// Ends when receiving is broken in a way that ends what waits; that is met.
    pub(crate) async fn broken(&self) -> Break {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let how = self.receiving().filter(|how| how.ends());
            if let Some(how) = how {
                self.with(|state| state.hits += 1);
                return how;
            }
            changed.await;
        }
    }

    /// A connection on which messages are being received begins; it ends when this is dropped.
    pub(crate) fn begin(&self) -> Receiving<'_> {
        self.with(|state| {
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
        });
        Receiving(self)
    }
}

/// A connection on which messages are being received.
pub(crate) struct Receiving<'a>(&'a Faults);

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.open -= 1);
    }
}
