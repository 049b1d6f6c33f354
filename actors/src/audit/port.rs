//! How everyone notes what they decided.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use openclaw_protocol::methods::audit::AuditEntry;
use tokio::sync::Notify;

use super::ledger::{Ledger, Noted};
use super::row::{AuditRow, Weight};
use crate::clock::{Millis, SharedClock};

/// The way to the audit trail: cheap to clone, never blocks, never fails its caller.
///
/// [`AuditPort::record`] writes the log line and leaves the row in memory for [`super::Audit`],
/// which brings it to the disk. Memory is bounded; a row without room is counted, and still logged.
#[derive(Clone)]
pub struct AuditPort {
    ledger: Arc<Mutex<Ledger>>,
    due: Arc<Notify>,
    clock: SharedClock,
}

impl fmt::Debug for AuditPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditPort")
    }
}

impl AuditPort {
    /// A trail that keeps its rows until somebody writes them.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            ledger: Arc::default(),
            due: Arc::default(),
            clock,
        }
    }

    /// Notes a decision: a line in the log now, a row on the disk soon.
    pub fn record(&self, row: &AuditRow) {
        let now = self.clock.now();
        // The log is written outside the lock.
        match self.with(|ledger| ledger.note(row, now)) {
            Noted::New(entry) => {
                self.due.notify_one();
                log(row, &entry);
            }
            Noted::Counted => tracing::debug!(kind = row.kind().as_str(), "the same once more"),
            Noted::Known => {}
            Noted::Dropped(entry) => {
                log(row, &entry);
                tracing::error!(
                    "the audit trail is full because its rows cannot be written; this decision is in the log only"
                );
            }
        }
    }

    /// Waits until something is to be written.
    pub(super) fn due(&self) -> impl Future<Output = ()> + 'static + use<> {
        let due = Arc::clone(&self.due);
        async move { due.notified().await }
    }

    /// Has the trail's owner look for rows.
    pub(super) fn wake(&self) {
        self.due.notify_one();
    }

    /// The time of rows.
    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Rows that could not be kept since the start.
    pub fn dropped(&self) -> u64 {
        self.with(|ledger| ledger.dropped())
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Ledger) -> R) -> R {
        f(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One structured line. Texts are those of the row: escaped and capped.
fn log(row: &AuditRow, entry: &AuditEntry) {
    let headline = row.headline(entry);
    let scopes = entry.scopes.as_ref().map(|scopes| scopes.join(","));
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                audit = entry.kind,
                device = entry.device_id,
                name = entry.device_name,
                client = entry.client,
                role = entry.role,
                scopes,
                via = entry.via,
                by = entry.by,
                address = entry.address,
                origin = entry.origin,
                request_id = entry.request_id,
                code = entry.code,
                "{headline}"
            )
        };
    }
    match row.kind().weight() {
        Weight::Decision => line!(info),
        Weight::Traffic if asks_for_an_owner(entry) => line!(warn),
        Weight::Traffic => line!(info),
    }
}

/// What somebody should look at.
fn asks_for_an_owner(entry: &AuditEntry) -> bool {
    entry.kind.ends_with(".requested") || entry.kind == "connect.lockout"
}

/// The line that follows a minute of refusals that were alike.
pub(super) fn log_count(entry: &AuditEntry) {
    tracing::info!(
        audit = entry.kind,
        device = entry.device_id,
        address = entry.address,
        code = entry.code,
        count = entry.count.unwrap_or(1),
        "that many alike within a minute"
    );
}
