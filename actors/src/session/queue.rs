//! The queue from the Gateway (and from owners that answer reads) to one worker's hub.
//!
//! Bounded in events and bytes. Full: further events are dropped, and one mark in the queue makes
//! every connection of the hub skip one `seq` before its next event, so that each client sees the
//! gap. Replies are never dropped: each belongs to a request that its connection's own cap let in.
//! An event that nobody behind the hub would take is not written, and does not enter.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use openclaw_protocol::Generation;
use openclaw_protocol::connect::StateVersion;
use openclaw_protocol::methods::system::HealthSummary;
use openclaw_protocol::presence::PresenceEntry;

use super::interest::Interest;
use crate::call::{Caller, ConnKey, Listen};
use crate::event::{Event, Form};
use crate::limiter::counts::{Count, Counts};
use crate::published::Rendered;

/// Most events that wait in one hub's queue.
const MAX_EVENTS: usize = 8_192;
/// Most bytes of distinct event frames that wait in one hub's queue.
const MAX_EVENT_BYTES: usize = 32 << 20;

/// What a snapshot consists of at the moment of registration.
#[derive(Debug, Clone)]
pub struct SnapshotParts {
    /// The presence list; written as JSON by the worker, not by the Gateway.
    pub presence: Arc<Rendered<Vec<Arc<PresenceEntry>>>>,
    /// The health snapshot.
    pub health: Arc<Rendered<HealthSummary>>,
    /// Versions of the two.
    pub versions: StateVersion,
}

/// Writes a connection's hello-ok frame around the snapshot.
pub type ComposeHello = Box<dyn FnOnce(&SnapshotParts) -> Vec<u8> + Send>;

/// One piece of work for a hub; the queue's order is the order on every connection.
pub enum HubItem {
    /// A connection joins: its hello-ok is written, and events reach it from here on.
    Join {
        /// The connection, and who is behind it.
        caller: Arc<Caller>,
        /// State at this point of the order.
        snapshot: SnapshotParts,
        /// Writes the frame.
        compose: ComposeHello,
        /// Told when the frame is in the outbox.
        joined: tokio::sync::oneshot::Sender<()>,
    },
    /// An answer.
    Reply {
        /// The connection.
        conn: ConnKey,
        /// The whole frame.
        frame: Vec<u8>,
        /// What the connection listens to from here on.
        listen: Vec<Listen>,
    },
    /// An event for everyone who may receive it.
    Event(Arc<Event>),
    /// A connection is closed by the gateway.
    Close {
        /// The connection.
        conn: ConnKey,
        /// Close code.
        code: u16,
        /// Close reason.
        reason: String,
    },
    /// Every connection of the hub is closed by the gateway.
    CloseAll {
        /// Close code.
        code: u16,
        /// Close reason.
        reason: &'static str,
    },
    /// Somebody waits for this connection: is it still there?
    Probe {
        /// The connection.
        conn: ConnKey,
        /// Now, on the monotonic clock.
        now: Duration,
    },
    /// Events were dropped here.
    Lagged,
}

impl fmt::Debug for HubItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Join { .. } => "Join",
            Self::Reply { .. } => "Reply",
            Self::Event(_) => "Event",
            Self::Close { .. } => "Close",
            Self::CloseAll { .. } => "CloseAll",
            Self::Probe { .. } => "Probe",
            Self::Lagged => "Lagged",
        })
    }
}

#[derive(Default)]
struct Inner {
    items: VecDeque<HubItem>,
    /// Who takes what, once everything that waits was applied.
    interest: Interest,
    events: usize,
    event_bytes: usize,
    waker: Option<Waker>,
}

/// A hub's queue.
pub struct HubQueue {
    inner: Mutex<Inner>,
    max_events: usize,
    max_event_bytes: usize,
    counts: Arc<Counts>,
}

impl Default for HubQueue {
    fn default() -> Self {
        Self::with_bounds(MAX_EVENTS, MAX_EVENT_BYTES)
    }
}

impl fmt::Debug for HubQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubQueue")
    }
}

impl HubQueue {
    /// A queue in which this many events and this many bytes of them may wait.
    pub fn with_bounds(max_events: usize, max_event_bytes: usize) -> Self {
        Self {
            inner: Mutex::default(),
            max_events,
            max_event_bytes,
            counts: Arc::default(),
        }
    }

    /// A queue that tells `counts` what it drops.
    pub fn counted(counts: Arc<Counts>) -> Self {
        Self {
            counts,
            ..Self::default()
        }
    }

    /// Notes that a bound was met on the way to or from one of its connections.
    pub fn count(&self, what: Count) {
        self.counts.add(what);
    }

    /// Adds anything but an event.
    pub fn push(&self, item: HubItem) {
        self.add(|inner| {
            match &item {
                HubItem::Join { caller, .. } => inner.interest.join(caller),
                HubItem::Reply { conn, listen, .. } => inner.interest.listen(*conn, listen),
                _ => {}
            }
            inner.items.push_back(item);
        });
    }

    /// A connection is over: nobody has to be told anything for its sake.
    pub fn forget(&self, conn: ConnKey) {
        self.lock().interest.leave(conn);
    }

    /// Adds an event that somebody would take, or marks the hub as lagged when it is full.
    pub fn push_event(&self, event: &Arc<Event>) {
        let takers = {
            let inner = self.lock();
            [Generation::V4, Generation::V3].map(|generation| {
                let takes = inner.interest.takes(&event.audience, generation);
                takes.then_some(generation)
            })
        };
        // Written without the lock, once for all hubs, in the words of somebody who takes it. Who
        // subscribes meanwhile does so after this event.
        let mut heads = takers
            .into_iter()
            .flatten()
            .filter_map(|generation| event.head(generation, Form::Normal));
        let Some(bytes) = heads.next().map(|head| head.bytes().len()) else {
            return;
        };
        self.add(|inner| {
            if inner.events >= self.max_events || inner.event_bytes + bytes > self.max_event_bytes {
                self.count(Count::LaggedEvents);
                if !matches!(inner.items.back(), Some(HubItem::Lagged)) {
                    inner.items.push_back(HubItem::Lagged);
                }
                return;
            }
            inner.events += 1;
            inner.event_bytes += bytes;
            inner.items.push_back(HubItem::Event(Arc::clone(event)));
        });
    }

    fn add(&self, f: impl FnOnce(&mut Inner)) {
        let waker = {
            let mut inner = self.lock();
            f(&mut inner);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes everything that waits, in order; pending while nothing does.
    pub fn poll_batch(&self, cx: &Context<'_>, batch: &mut VecDeque<HubItem>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.items.is_empty() {
            inner.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut inner.items, batch);
        inner.events = 0;
        inner.event_bytes = 0;
        Poll::Ready(())
    }

    /// Events dropped because the hub was full, since start.
    #[cfg(test)]
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.report().lagged_events
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Every change is a whole step; a panic elsewhere in this thread leaves the queue sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
