//! Commits on their way to the disk, so that no answer overtakes the row that it depends on.
//!
//! A decision takes effect in memory at once, and its commit is sent at once: commits keep the
//! order of decisions. An answer waits for its own commit, or, when it needed none, for the last
//! one about the same device. After a commit that failed the memory says more than the disk:
//! nothing is decided until it was loaded again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::store::StoreError;

type Outcome = Option<Result<(), StoreError>>;

/// Commits in flight; outlives the actor, like the tasks that wait for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    by_device: BTreeMap<String, (u64, Ticket)>,
    started: u64,
    in_flight: usize,
    failed: bool,
}

/// The outcome of a commit, for whoever waits for it.
#[derive(Debug, Clone)]
pub(super) struct Ticket(watch::Receiver<Outcome>);

/// Whether the memory can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trustworthy {
    /// It is what the disk has, or will have.
    Yes,
    /// A commit failed; load again.
    LoadFirst,
    /// A commit failed, and others are still on their way.
    Wait,
}

impl Writes {
    /// Follows a commit about `device` that was sent already.
    pub(super) fn begin(
        &self,
        device: &str,
        commit: impl Future<Output = Result<(), StoreError>> + 'static,
    ) -> Ticket {
        let (done, outcome) = watch::channel(None);
        let ticket = Ticket(outcome);
        let number = self.with(|inner| {
            inner.started += 1;
            inner.in_flight += 1;
            inner
                .by_device
                .insert(device.to_owned(), (inner.started, ticket.clone()));
            inner.started
        });
        let writes = self.clone();
        let device = device.to_owned();
        // A task of its own: a commit is not recalled because the one who waited for it is gone.
        actix_rt::spawn(async move {
            let outcome = commit.await;
            writes.with(|inner| {
                inner.in_flight -= 1;
                inner.failed |= outcome.is_err();
                if inner
                    .by_device
                    .get(&device)
                    .is_some_and(|(last, _)| *last == number)
                {
                    inner.by_device.remove(&device);
                }
            });
            done.send_replace(Some(outcome));
        });
        ticket
    }

    /// The last commit about `device` that is still on its way.
    pub(super) fn last(&self, device: &str) -> Option<Ticket> {
        self.with(|inner| {
            inner
                .by_device
                .get(device)
                .map(|(_, ticket)| ticket.clone())
        })
    }

    /// Whether decisions may be made.
    pub(super) fn trustworthy(&self) -> Trustworthy {
        self.with(|inner| match (inner.failed, inner.in_flight) {
            (false, _) => Trustworthy::Yes,
            (true, 0) => Trustworthy::LoadFirst,
            (true, _) => Trustworthy::Wait,
        })
    }

    /// The memory cannot be trusted any more.
    pub(super) fn distrust(&self) {
        self.with(|inner| inner.failed = true);
    }

    /// The memory was loaded again; true when something had been decided before.
    pub(super) fn loaded(&self) -> bool {
        self.with(|inner| {
            inner.failed = false;
            inner.started > 0
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ticket {
    /// Waits for the disk.
    pub(super) async fn done(mut self) -> Result<(), StoreError> {
        let lost = || StoreError::Unavailable("the gateway is stopping".to_owned());
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(lost())),
            Err(_) => Err(lost()),
        }
    }
}
