//! What of an account outlives a panic of its provider.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::AccountRef;
use super::drafts::Drafts;
use super::inbox::Backlog;
use super::outbox::{self, Entry, Queue, Row, Undelivered};
use super::state::{Machine, Phase};
use crate::clock::{Millis, SharedClock};
use crate::kept::Kept;
use crate::published::Published;
use crate::store::StoreHandle;

/// Before a message is handed over again whose run was lost, or is under way without a word of it.
pub(crate) const AGAIN: Duration = Duration::from_secs(30);

/// What a person or the configuration wants of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Whether it is to run.
    pub run: bool,
    /// Raised to end a wait.
    pub nudge: u64,
}

/// How an account is, as people see it. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Default)]
pub struct AccountStatus {
    /// Where it stands.
    pub phase: Phase,
    /// Number of the newest transport.
    pub generation: u64,
    /// Failures in a row.
    pub attempts: u32,
    /// When a transport last heard its platform for the first time.
    pub connected_at: Option<u64>,
    /// When the newest transport began.
    pub started_at: Option<u64>,
    /// When it was last stopped.
    pub stopped_at: Option<u64>,
    /// When a message last came in.
    pub inbound_at: Option<u64>,
    /// When one was last confirmed.
    pub outbound_at: Option<u64>,
    /// When the platform was last heard, whatever it said.
    pub transport_at: Option<u64>,
    /// When the platform last said who we are.
    pub probe_at: Option<u64>,
    /// Who we are there.
    pub identity: Option<String>,
    /// Whether a phone has linked it, once that is known.
    pub linked: Option<bool>,
    /// What went wrong last, with what to do.
    pub error: Option<String>,
    /// When the next transport begins by itself.
    pub retry_at: Option<u64>,
    /// Messages that wait for their answer.
    pub waiting_in: usize,
    /// Pieces that wait to be sent.
    pub waiting_out: usize,
    /// What did not arrive.
    pub undelivered: Vec<Undelivered>,
}

/// An account; shared by its provider, the supervisor and the ends of its runs.
pub struct Account {
    /// Which.
    pub who: AccountRef,
    /// What came in and is not answered.
    pub inbox: Kept<Backlog>,
    /// What is to be sent.
    pub outbox: Kept<Queue>,
    /// The life of its transports.
    pub machine: Kept<Machine>,
    /// What it is to do.
    pub wish: watch::Sender<Wish>,
    /// Where it stands, for those who wait for that.
    pub phase: watch::Sender<Phase>,
    /// Something came in, or may be handed over again.
    pub inbox_wake: Notify,
    /// Something is to be sent, or the last one is done.
    pub outbox_wake: Notify,
    /// What is being written.
    pub(crate) drafts: Kept<Drafts>,
    /// Held while a draft changes, so that no older state of it comes behind the answer.
    pub(crate) drafts_turn: tokio::sync::Mutex<()>,
    /// Something begins to be written.
    pub(crate) drafts_wake: Notify,
    /// A message is being answered.
    pub busy: Notify,
    /// There is room in the inbox.
    pub room: Notify,
    /// How it is.
    pub status: Published<AccountStatus>,
    noted: Kept<AccountStatus>,
    clock: SharedClock,
}

impl Account {
    /// An account that does not run.
    pub fn new(who: AccountRef, inbox: Backlog, outbox: Queue, clock: SharedClock) -> Arc<Self> {
        let account = Self {
            who,
            inbox: Kept::new(inbox),
            outbox: Kept::new(outbox),
            machine: Kept::default(),
            wish: watch::Sender::default(),
            phase: watch::Sender::default(),
            inbox_wake: Notify::new(),
            outbox_wake: Notify::new(),
            drafts: Kept::default(),
            drafts_turn: tokio::sync::Mutex::default(),
            drafts_wake: Notify::new(),
            busy: Notify::new(),
            room: Notify::new(),
            status: Published::new(AccountStatus::default()),
            noted: Kept::default(),
            clock,
        };
        account.note(|_| ());
        Arc::new(account)
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Time for deadlines.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Changes the status and shows it, with where the account stands now.
    pub fn note(&self, change: impl FnOnce(&mut AccountStatus)) {
        let (phase, generation, attempts) = self
            .machine
            .with(|machine| (machine.phase(), machine.generation(), machine.streak()));
        let waiting_in = self.inbox.with(|inbox| inbox.len());
        let (waiting_out, undelivered) = self
            .outbox
            .with(|outbox| (outbox.len(), outbox.lost().cloned().collect()));
        self.noted.with(|status| {
            change(status);
            status.phase = phase;
            status.generation = generation;
            status.attempts = attempts;
            status.waiting_in = waiting_in;
            status.waiting_out = waiting_out;
            status.undelivered = undelivered;
            self.status.publish(status.clone());
        });
        self.phase.send_replace(phase);
    }

    /// Wants the account to run, or not; ends a wait for the next try.
    pub fn want(&self, run: bool) {
        self.wish.send_modify(|wish| {
            wish.run = run;
            wish.nudge += 1;
        });
    }

    /// Whether nothing waits to be answered or to be sent.
    pub fn is_idle(&self) -> bool {
        self.inbox.with(|inbox| inbox.is_empty()) && self.outbox.with(|outbox| outbox.is_empty())
    }

    /// Whether a transport hears its platform.
    pub fn is_connected(&self) -> bool {
        *self.phase.borrow() == Phase::Connected
    }

    /// Pieces whose rows are committed.
    pub fn enqueue(&self, entries: impl IntoIterator<Item = (u64, Entry)>) {
        self.outbox.with(|outbox| {
            for (seq, entry) in entries {
                outbox.insert(seq, entry);
            }
        });
        self.note(|_| ());
        self.outbox_wake.notify_one();
    }

    /// A commit with these pieces was not confirmed. What of them is on the disk all the same leaves once
    /// that can be told, and not only after the next start.
    pub(crate) async fn take_up(&self, store: &StoreHandle, rows: Vec<(u64, Row)>) {
        // Refused since the failure, so that it is over when commits are taken again.
        if store.watch_status().wait_for(|now| now.ok).await.is_err() {
            return;
        }
        let found = rows.into_iter().filter(|(seq, _)| {
            // One that cannot be looked for is found by the next start.
            outbox::is_stored(store.reader(), &self.who, *seq).unwrap_or(false)
        });
        let found: Vec<_> = found.map(|(seq, row)| (seq, Entry::new(row))).collect();
        if !found.is_empty() {
            tracing::warn!(account = %self.who, pieces = found.len(), "messages were stored without that being confirmed; they are sent now");
            self.enqueue(found);
        }
    }

    /// Whoever was to answer a message is gone without a confirmed end; it is handed over again. `left`
    /// is what that end may have put on the disk all the same.
    pub fn dropped(&self, seq: u64, left: Vec<(u64, Row)>) {
        let again = self.monotonic() + AGAIN;
        self.inbox.with(|inbox| inbox.dropped(seq, again, left));
        self.inbox_wake.notify_one();
    }

    /// The end of a message is committed.
    pub fn answered(&self, seq: u64) {
        self.inbox.with(|inbox| inbox.finished(seq));
        self.note(|_| ());
        self.room.notify_waiters();
        self.inbox_wake.notify_one();
    }
}

/// Every account that is known, for readers.
#[derive(Default, Clone)]
pub struct Board(pub BTreeMap<AccountRef, Published<AccountStatus>>);
