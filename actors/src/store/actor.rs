//! The one writer of the database.
//!
//! Irreplaceable: rebuilt from what is committed; the third failure in a minute drains the daemon.
//! **Invariant:** `Ok` leaves only after the disk has it, and what waited together is committed
//! together. After a failed commit nothing is accepted until the file was opened again and took a
//! commit. It blocks while the disk works, so it lives on an arbiter of its own.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{oneshot, watch};

use crate::clock::SharedClock;
use crate::kept::Kept;
use crate::supervised;
use crate::supervision::{Rebuild, Tier, fail};

use super::config::StoreConfig;
use super::database::Shared;
use super::error::StoreError;
use super::handle::{MAX_WAITING, MAX_WAITING_BYTES, StoreHandle, check_size};
use super::reader::StoreReader;
use super::salvage::{self, Salvaged};
use super::status::StoreStatus;
use super::table::Op;

/// The first wait before the file is opened again; it doubles with every attempt that fails.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// What survives a rebuild of the actor: the locked file, the database that is open on it, and the
/// commits that wait.
#[derive(Clone)]
pub struct StoreDeps {
    shared: Arc<Shared>,
    waiting: Kept<Waiting>,
}

/// Commits that wait for the next flush.
#[derive(Default)]
struct Waiting {
    waiters: Vec<Waiter>,
    bytes: usize,
}

impl std::fmt::Debug for StoreDeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StoreDeps").finish_non_exhaustive()
    }
}

impl StoreDeps {
    /// Locks and opens the database. Blocks for a few milliseconds, longer after a crash.
    ///
    /// # Errors
    ///
    /// [`StoreError::AlreadyOpen`], [`StoreError::Corrupt`], [`StoreError::Newer`], or
    /// [`StoreError::Unavailable`]; each names the file and what to do.
    pub fn open(config: &StoreConfig, clock: SharedClock) -> Result<Self, StoreError> {
        Shared::open(config, clock).map(|shared| Self {
            shared: Arc::new(shared),
            waiting: Kept::default(),
        })
    }

    /// As [`Self::open`]; a damaged file is set aside, and what can be read of it goes into a new one.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`], but [`StoreError::Corrupt`] only for what is not a file.
    pub fn open_or_salvage(
        config: &StoreConfig,
        clock: SharedClock,
    ) -> Result<(Self, Option<Salvaged>), StoreError> {
        let (shared, salvaged) = salvage::open(config, clock)?;
        let deps = Self {
            shared: Arc::new(shared),
            waiting: Kept::default(),
        };
        Ok((deps, salvaged))
    }

    /// Commits at once, without the actor: for a program that holds the database alone. Blocks until the disk
    /// has it.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`], or what the disk says.
    pub fn write_now(&self, ops: &[Op]) -> Result<(), StoreError> {
        check_size(ops)?;
        self.shared.commit([ops].into_iter())
    }

    /// Reads, also before the actor runs.
    pub fn reader(&self) -> StoreReader {
        StoreReader::new(Arc::clone(&self.shared))
    }

    /// The status and its changes.
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.shared.status()
    }

    /// The handle for the other actors, once the store runs.
    pub fn handle(&self, writer: Recipient<Commit>) -> StoreHandle {
        StoreHandle::new(writer, self.reader(), self.status())
    }
}

/// The writing actor.
pub struct Store {
    shared: Arc<Shared>,
    waiting: Kept<Waiting>,
    /// Attempts to open the file again since the last commit that worked.
    attempts: u32,
}

struct Waiter {
    ops: Vec<Op>,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Store {
    fn new(deps: StoreDeps) -> Self {
        Self {
            shared: deps.shared,
            waiting: deps.waiting,
            attempts: 0,
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        // Whoever waits is out of the slot before the disk is touched: a panic there fails these.
        let waiting = self.waiting.with(std::mem::take).waiters;
        if waiting.is_empty() {
            return;
        }
        let outcome = self
            .shared
            .commit(waiting.iter().map(|waiter| waiter.ops.as_slice()));
        match &outcome {
            Ok(()) => self.attempts = 0,
            Err(error) => {
                tracing::error!(%error, commits = waiting.len(), "store commit failed; commits are refused until the file works again");
                self.shared.degrade(error);
                self.retry_later(ctx);
            }
        }
        for waiter in waiting {
            // A caller that gave up is no reason to stop telling the others.
            let _ = waiter.answer.send(match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(StoreError::Unavailable(reason(error))),
            });
        }
    }

    fn retry_later(&mut self, ctx: &mut Context<Self>) {
        if self.shared.finished() {
            return;
        }
        let wait = RETRY_FIRST
            .saturating_mul(1 << self.attempts.min(10))
            .min(RETRY_MAX);
        self.attempts = self.attempts.saturating_add(1);
        ctx.run_later(wait, Self::reopen);
    }

    fn reopen(&mut self, ctx: &mut Context<Self>) {
        if self.shared.finished() {
            return;
        }
        match self.shared.reopen() {
            Ok(()) => tracing::info!("store takes commits again"),
            Err(error) => {
                tracing::warn!(%error, attempts = self.attempts, "store still does not take commits");
                self.shared.degrade(&error);
                match error {
                    // Not a disk that may come back: the daemon's next start looks after the file.
                    StoreError::Corrupt { .. } | StoreError::Newer { .. } => {
                        fail(ctx, &error.to_string());
                    }
                    _ => self.retry_later(ctx),
                }
            }
        }
    }
}

/// What a waiting caller is told: the cause without a second frame of words around it.
fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(reason) => reason.clone(),
        other => other.to_string(),
    }
}

impl Rebuild for Store {
    type Deps = StoreDeps;

    const NAME: &'static str = "store";
    const TIER: Tier = Tier::Irreplaceable;
    /// A little more than may wait, for the messages that are not commits.
    const MAILBOX: usize = MAX_WAITING + 24;

    fn build(deps: StoreDeps) -> Self {
        Self::new(deps)
    }

    fn deps(&self) -> StoreDeps {
        StoreDeps {
            shared: Arc::clone(&self.shared),
            waiting: self.waiting.clone(),
        }
    }
}

supervised!(Store);

impl Actor for Store {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Err(error) = self.shared.recover() {
            // Not a disk that may come back: the file itself cannot be trusted.
            fail(ctx, &error.to_string());
            return;
        }
        // The timers of the life before this one are gone.
        if self.shared.refusal().is_some() {
            self.retry_later(ctx);
        }
    }
}

/// Commits all changes or none; answered when they are on the disk. Use [`StoreHandle::commit`],
/// which bounds what waits.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Commit(pub Vec<Op>);

impl Handler<Commit> for Store {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, Commit(ops): Commit, ctx: &mut Self::Context) -> Self::Result {
        let bytes = match self.admit(&ops) {
            Ok(bytes) => bytes,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (answer, answered) = oneshot::channel();
        let first = self.waiting.with(|waiting| {
            waiting.bytes += bytes;
            waiting.waiters.push(Waiter { ops, answer });
            waiting.waiters.len() == 1
        });
        if first {
            // Queued behind every commit that waits already, so that one flush takes them all.
            #[expect(
                clippy::disallowed_methods,
                reason = "must not be refused: at most one is on its way for each round of commits"
            )]
            ctx.address().do_send(Flush);
        }
        Box::pin(async move {
            answered.await.unwrap_or_else(|_| {
                Err(StoreError::Unavailable(
                    "it failed while it handled this and is being restarted; the change was not confirmed".to_owned(),
                ))
            })
        })
    }
}

impl Store {
    fn admit(&self, ops: &[Op]) -> Result<usize, StoreError> {
        if let Some(refusal) = self.shared.refusal() {
            return Err(refusal);
        }
        let bytes = check_size(ops)?;
        self.waiting.with(|waiting| {
            if waiting.bytes + bytes > MAX_WAITING_BYTES {
                return Err(StoreError::Busy {
                    commits: waiting.waiters.len(),
                    bytes: waiting.bytes,
                });
            }
            Ok(bytes)
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

impl Handler<Flush> for Store {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        self.flush(ctx);
    }
}

/// Commits what waits and closes the file cleanly; everything after it is refused. The last
/// message of a shutdown.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close;

impl Handler<Close> for Store {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        self.flush(ctx);
        self.shared.close();
    }
}
