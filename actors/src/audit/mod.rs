//! Audit: what was decided about trust. Owns the trail's rows; everyone else has an [`AuditPort`].
//!
//! Replaceable; rows that are not written yet outlive it in the port. **Invariants.** Noting never
//! waits for the disk. What owners decided is kept before what clients caused, in memory and on the
//! disk. No row holds a secret.

mod ledger;
mod port;
pub mod read;
mod row;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use openclaw_protocol::methods::audit::AuditEntry;
use tokio::sync::Mutex;

pub use port::AuditPort;
pub use row::{AuditRow, Kind, Said, Weight, clean};

use crate::store::{Op, StoreError, StoreHandle, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier, fail};
use crate::views::Views;

/// How often counts of rows that are alike are brought to the disk.
const FLUSH: Duration = Duration::from_secs(5);
/// How long a failing disk is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// What the trail's owner works with.
#[derive(Clone)]
pub struct AuditDeps {
    /// Where rows go.
    pub store: StoreHandle,
    /// The port, and the time.
    pub views: Views,
}

/// The owner of the audit trail.
pub struct Audit {
    deps: AuditDeps,
    /// Whether the last attempt to write failed; said once.
    failing: bool,
    turn: Arc<Mutex<()>>,
}

impl Rebuild for Audit {
    type Deps = AuditDeps;
    const NAME: &'static str = "audit";
    const TIER: Tier = Tier::Replaceable;
    /// Readers of the trail; rows do not come through here.
    const MAILBOX: usize = 64;

    fn build(deps: Self::Deps) -> Self {
        Self {
            deps,
            failing: false,
            turn: Arc::default(),
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Audit);

impl Actor for Audit {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match read::last_number(self.deps.store.reader()) {
            Ok(last) => self
                .port()
                .with(|ledger| ledger.number_from(last.map_or(0, |last| last + 1))),
            Err(error) => {
                return fail(ctx, &format!("cannot read the audit trail: {error}"));
            }
        }
        ctx.run_interval(FLUSH, |audit, _| {
            audit.close_minute();
            audit.port().wake();
        });
        self.write_when_due(ctx);
        self.port().wake();
    }
}

impl Audit {
    const fn port(&self) -> &AuditPort {
        &self.deps.views.audit
    }

    fn close_minute(&self) {
        let now = self.port().now();
        for entry in self.port().with(|ledger| ledger.close(now)) {
            port::log_count(&entry);
        }
    }

    /// Waits for rows, writes them, and begins again; one commit at a time.
    fn write_when_due(&self, ctx: &mut Context<Self>) {
        let due = self.port().due();
        ctx.spawn(due.into_actor(self).then(|(), audit, _| {
            audit
                .flush()
                .into_actor(audit)
                .map(|outcome, audit: &mut Self, ctx| {
                    let pause = audit.noted(outcome);
                    ctx.run_later(pause, |audit, ctx| audit.write_when_due(ctx));
                })
        }));
    }

    /// How long to wait before the next attempt.
    fn noted(&mut self, outcome: Result<(), StoreError>) -> Duration {
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the audit trail is written again");
                }
                Duration::ZERO
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the audit trail cannot be written; its rows wait in memory");
                }
                PAUSE
            }
        }
    }

    /// Brings what waits to the disk; one commit at a time, so that who waited has seen all before.
    pub(crate) fn flush(&self) -> impl Future<Output = Result<(), StoreError>> + 'static + use<> {
        let port = self.port().clone();
        let store = self.deps.store.clone();
        let turn = Arc::clone(&self.turn);
        async move {
            let _turn = turn.lock().await;
            let rows = port.with(ledger::Ledger::take_due);
            if rows.is_empty() {
                return Ok(());
            }
            // Given back also when nobody waits for the outcome any more.
            let mut pending = Pending {
                port,
                numbers: rows.iter().map(|row| row.id).collect(),
                written: false,
            };
            let outcome = store.commit(rows.iter().map(put).collect()).await;
            pending.written = outcome.is_ok();
            outcome
        }
    }

    /// What the handler of the method reads from.
    pub(crate) const fn deps(&self) -> &AuditDeps {
        &self.deps
    }
}

/// Rows that are being written.
struct Pending {
    port: AuditPort,
    numbers: Vec<u64>,
    written: bool,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.written {
            self.port.with(|ledger| ledger.written(&self.numbers));
        } else {
            self.port.with(|ledger| ledger.retry(&self.numbers));
            self.port.wake();
        }
    }
}

fn put(entry: &AuditEntry) -> Op {
    Op::put_json(Table::Audit, read::key(entry.id), entry)
        .expect("rows are structs with text keys, which JSON can hold")
}
