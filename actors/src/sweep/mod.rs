//! Sweeper: lets rows go whose time is over, so that the file stays bounded for years.
//!
//! Replaceable; it holds nothing. Owners of a table say what may go; nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message};
use actix::{ResponseActFuture, WrapFuture as _};

use tokio::sync::Mutex;

use crate::audit::read as audit;
use crate::channel::{inbox, outbox, pairing};
use crate::clock::{Millis, SharedClock, SharedEntropy};
use crate::dedupe::state as dedupe;
use crate::media::{self, Blobs};
use crate::methods::backup;
use crate::node::{NodeTrustMap, pending};
use crate::settings::Retention;
use crate::store::retention::{Keep, Pruned, prune};
use crate::store::{StoreError, StoreHandle, StoreReader, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::usage;
use crate::views::Views;

/// How often it looks.
const INTERVAL: Duration = Duration::from_mins(10);
/// How long a file is spared that nothing names: a message that names it may be on its way.
const SPARE: Duration = Duration::from_hours(1);
/// How long it is known what answers took, and most rows of it.
const USAGE: Duration = Duration::from_hours(400 * 24);
const USAGE_ROWS: u64 = 500_000;
/// How long a copy of the database lies there that nobody takes away.
pub(crate) const FORGOTTEN: Duration = Duration::from_hours(24);
/// Rows that go in one commit.
const BATCH: usize = 1_000;

/// What the sweeper works with.
#[derive(Clone)]
pub struct SweeperDeps {
    /// The store.
    pub store: StoreHandle,
    /// How long rows are kept.
    pub views: Views,
    /// Files that came with messages.
    pub media: Blobs,
    /// Time.
    pub clock: SharedClock,
    /// Names of copies.
    pub entropy: SharedEntropy,
}

/// The owner of nothing: it deletes what others let go.
pub struct Sweeper {
    pub(crate) deps: SweeperDeps,
    /// Whoever copies the database has it.
    pub(crate) copying: Arc<Mutex<()>>,
}

impl Rebuild for Sweeper {
    type Deps = SweeperDeps;
    const NAME: &'static str = "sweeper";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 16;

    fn build(deps: Self::Deps) -> Self {
        Self {
            deps,
            copying: Arc::default(),
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Sweeper);

impl Actor for Sweeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(INTERVAL, |_, ctx| ctx.notify(Sweep));
    }
}

/// Looks now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Sweep;

impl Handler<Sweep> for Sweeper {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Sweep, _: &mut Self::Context) -> Self::Result {
        let store = self.deps.store.clone();
        let keep = self.deps.views.settings.load().retention;
        let now = self.deps.clock.now();
        let media = self.deps.media.clone();
        backup::forget(&self.deps.views.places.state_dir, now);
        let trust = self.deps.views.node_trust.load();
        let sweep = async move {
            for rule in RULES {
                if let Err(error) = apply(&store, *rule, keep, now).await {
                    // The next look finds the same rows.
                    tracing::debug!(%error, "old rows stay for now");
                    return;
                }
            }
            if let Err(error) = sweep_queues(&store, trust).await {
                tracing::debug!(%error, "what waits for nodes that are gone stays for now");
            }
            if let Err(error) = sweep_files(&store, media, now).await {
                tracing::debug!(%error, "files that nothing names stay for now");
            }
        };
        Box::pin(sweep.into_actor(self).map(|(), _, _| ()))
    }
}

/// What waits for nodes that are gone.
async fn sweep_queues(store: &StoreHandle, trust: Arc<NodeTrustMap>) -> Result<(), StoreError> {
    let stale = store
        .reader()
        .offload(move |reader| pending::stale(reader, &trust));
    let ops = stale.await?;
    if ops.is_empty() {
        return Ok(());
    }
    store.commit(ops).await
}

/// Files that no row names, and that no message on its way to the disk can name any more.
async fn sweep_files(store: &StoreHandle, media: Blobs, now: Millis) -> Result<(), StoreError> {
    let swept = store.reader().offload(move |reader| {
        let mut live = media::live(reader)?;
        crate::channel::files::live(reader, &mut live)?;
        Ok(media.sweep(&live, now, SPARE))
    });
    match swept.await? {
        Ok(0) => {}
        Ok(files) => tracing::debug!(files, "files that nothing names went"),
        Err(error) => tracing::warn!(%error, "files that nothing names stay"),
    }
    Ok(())
}

/// One kind of rows that may go: which, how many are kept, and when one was.
type Rule = fn(&StoreReader, Retention, Millis) -> Result<Pruned, StoreError>;

/// Refusals go before decisions: each rule counts all rows of its table, and lets only its own go.
const RULES: &[Rule] = &[
    |reader, keep, now| {
        let keep = Keep {
            max_age: Some(keep.audit),
            max_rows: Some(keep.audit_rows),
        };
        prune(reader, Table::Audit, keep, now, BATCH, |_, row| {
            audit::age(row, false)
        })
    },
    |reader, keep, now| {
        let keep = Keep {
            max_age: Some(keep.audit),
            max_rows: Some(keep.audit_rows),
        };
        prune(reader, Table::Audit, keep, now, BATCH, |_, row| {
            audit::age(row, true)
        })
    },
    |reader, keep, now| {
        // Their owner forgets keys by the same figures whenever a new one comes; this is for a
        // gateway to which none comes.
        let keep = Keep {
            max_age: Some(keep.keys.age),
            max_rows: None,
        };
        prune(reader, Table::Idempotency, keep, now, BATCH, |_, row| {
            dedupe::age(row)
        })
    },
    |reader, _, now| {
        let keep = Keep {
            max_age: Some(USAGE),
            max_rows: Some(USAGE_ROWS),
        };
        prune(reader, Table::Usage, keep, now, BATCH, |key, _| {
            usage::age(key)
        })
    },
    |reader, _, now| {
        let keep = Keep {
            max_age: Some(inbox::REMEMBERED),
            max_rows: None,
        };
        prune(reader, Table::ChannelInbox, keep, now, BATCH, |_, row| {
            inbox::age(row)
        })
    },
    |reader, _, now| {
        let keep = Keep {
            max_age: Some(outbox::KEPT),
            max_rows: None,
        };
        prune(reader, Table::Sends, keep, now, BATCH, |_, row| {
            outbox::age(row)
        })
    },
    |reader, _, now| {
        let keep = Keep {
            max_age: Some(pairing::TTL),
            max_rows: None,
        };
        prune(reader, Table::ChannelPairing, keep, now, BATCH, |_, row| {
            pairing::age(row)
        })
    },
];

async fn apply(
    store: &StoreHandle,
    rule: Rule,
    keep: Retention,
    now: Millis,
) -> Result<(), StoreError> {
    loop {
        let pruned = store
            .reader()
            .offload(move |reader| rule(reader, keep, now))
            .await?;
        if pruned.ops.is_empty() {
            return Ok(());
        }
        tracing::debug!(rows = pruned.ops.len(), "rows whose time is over go");
        store.commit(pruned.ops).await?;
        if !pruned.more {
            return Ok(());
        }
    }
}
