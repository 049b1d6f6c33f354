//! What every other actor holds: commits with a bound, reads, status.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use super::actor::Commit;
use super::error::StoreError;
use super::reader::StoreReader;
use super::status::StoreStatus;
use super::table::Op;

/// Commits that may wait at once; the mailbox is a little larger, so it never fills from here.
pub(super) const MAX_WAITING: usize = 1_000;
/// Bytes that may wait at once.
pub(super) const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of one commit.
pub(super) const MAX_COMMIT_BYTES: usize = 16 * 1024 * 1024;
/// After this the disk hangs, and the caller is told so instead of waiting with it.
const PATIENCE: Duration = Duration::from_mins(1);

/// The store as its users see it. Cheap to clone; all clones share one bound.
#[derive(Clone)]
pub struct StoreHandle {
    writer: Recipient<Commit>,
    reader: StoreReader,
    status: watch::Receiver<StoreStatus>,
    waiting: Arc<Waiting>,
}

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreHandle")
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}

impl StoreHandle {
    /// A handle on a running store, or on a stand-in that answers [`Commit`] in a test.
    pub fn new(
        writer: Recipient<Commit>,
        reader: StoreReader,
        status: watch::Receiver<StoreStatus>,
    ) -> Self {
        Self {
            writer,
            reader,
            status,
            waiting: Arc::default(),
        }
    }

    /// Commits all of `ops` or none, and answers when they are on the disk.
    ///
    /// The message is on its way when this returns, before the answer is awaited: commits of one
    /// caller are applied in the order of the calls. Dropping the answer recalls a change that the
    /// store has not begun; who does not want to wait spawns the answer.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] and [`StoreError::TooLarge`]: nothing was queued.
    /// [`StoreError::Unavailable`]: not confirmed.
    pub fn commit(
        &self,
        ops: Vec<Op>,
    ) -> impl Future<Output = Result<(), StoreError>> + 'static + use<> {
        let sent = self
            .waiting
            .reserve(&ops)
            .map(|place| (place, self.writer.send(Commit(ops)).timeout(PATIENCE)));
        async move {
            let (_place, answer) = sent?;
            match answer.await {
                Ok(outcome) => outcome,
                Err(MailboxError::Closed) => Err(StoreError::Unavailable(
                    "it failed while it handled this and is being restarted; the change was not confirmed".to_owned(),
                )),
                Err(MailboxError::Timeout) => Err(StoreError::Unavailable(format!(
                    "the disk did not answer within {} s; the change was not confirmed",
                    PATIENCE.as_secs()
                ))),
            }
        }
    }

    /// Reads.
    pub const fn reader(&self) -> &StoreReader {
        &self.reader
    }

    /// The state now.
    pub fn status(&self) -> StoreStatus {
        self.status.borrow().clone()
    }

    /// The state and its changes: it wakes when the store stops taking commits, or starts again.
    pub fn watch_status(&self) -> watch::Receiver<StoreStatus> {
        self.status.clone()
    }
}

/// Counts what waits; a place is given back when its answer is there or nobody wants it.
#[derive(Debug, Default)]
struct Waiting {
    commits: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug)]
struct Place {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Waiting {
    fn reserve(self: &Arc<Self>, ops: &[Op]) -> Result<Place, StoreError> {
        let bytes = check_size(ops)?;
        // Both are counted first and given back on refusal, so that two callers cannot both fit
        // into the last place.
        let place = Place {
            waiting: Arc::clone(self),
            bytes,
        };
        let commits = self.commits.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if commits >= MAX_WAITING || before + bytes > MAX_WAITING_BYTES {
            return Err(StoreError::Busy {
                commits,
                bytes: before,
            });
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.commits.fetch_sub(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The size of a commit, if it is not too large.
pub(super) fn check_size(ops: &[Op]) -> Result<usize, StoreError> {
    let bytes = ops.iter().map(Op::bytes).sum();
    if bytes > MAX_COMMIT_BYTES {
        Err(StoreError::TooLarge {
            bytes,
            limit: MAX_COMMIT_BYTES,
        })
    } else {
        Ok(bytes)
    }
}
