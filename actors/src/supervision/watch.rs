//! `DeathWatch`: knows every supervised actor, counts and logs each failure once, and asks for
//! the end of the daemon when it can no longer be kept up.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr, WeakAddr};
use tokio::sync::watch;

use super::post::{Post, millis};
use super::report::{ActorState, ActorVitals, Fatal, Notice, Totals};
use super::state::{HangLimits, Look, Silence, Tier};
use super::vitals::Vitals;
use crate::clock::{SharedClock, SharedEntropy};

type Listener = Arc<dyn Fn(&Notice) + Send + Sync>;

/// The register of all supervised actors; clones share it.
#[derive(Clone)]
pub struct DeathWatch {
    inner: Arc<Inner>,
}

struct Inner {
    clock: SharedClock,
    entropy: SharedEntropy,
    limits: HangLimits,
    register: Mutex<Register>,
    listeners: Mutex<Vec<Listener>>,
    fatal: watch::Sender<Option<Fatal>>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Register {
    next_id: u64,
    pub(super) rows: BTreeMap<u64, Row>,
    pub(super) totals: BTreeMap<&'static str, Totals>,
    last_look: Option<Duration>,
}

pub(super) struct Row {
    pub(super) shown: ActorVitals,
    vitals: Arc<Vitals>,
    pub(super) silence: Silence,
    /// A `WeakAddr` of the actor, to find it by its address.
    address: Box<dyn Any + Send>,
}

impl fmt::Debug for DeathWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeathWatch").finish_non_exhaustive()
    }
}

impl DeathWatch {
    /// An empty register with the usual limits for hangs.
    pub fn new(clock: SharedClock, entropy: SharedEntropy) -> Self {
        Self::with_hang_limits(clock, entropy, HangLimits::default())
    }

    /// An empty register.
    pub fn with_hang_limits(
        clock: SharedClock,
        entropy: SharedEntropy,
        limits: HangLimits,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                entropy,
                limits,
                register: Mutex::default(),
                listeners: Mutex::default(),
                fatal: watch::Sender::new(None),
                changes: watch::Sender::new(0),
            }),
        }
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    pub(super) fn entropy(&self) -> &SharedEntropy {
        &self.inner.entropy
    }

    /// The limits that the watchdog keeps.
    pub fn hang_limits(&self) -> HangLimits {
        self.inner.limits
    }

    /// Every supervised actor, in the order in which they were started.
    pub fn report(&self) -> Vec<ActorVitals> {
        self.register()
            .rows
            .values()
            .map(|row| row.shown.clone())
            .collect()
    }

    /// What the actors of each name have been through; the names are those in the code, so it stays small.
    pub fn totals(&self) -> BTreeMap<&'static str, Totals> {
        self.register().totals.clone()
    }

    /// A number that grows with every change of [`DeathWatch::report`], for a reader that publishes it.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Calls `listener` after each notice, on the thread where it happened; listeners stay for ever.
    ///
    /// It must not block. One that tells an actor uses `try_send` and, when that is full, leaves
    /// it to the actor to read [`DeathWatch::report`]: the register is the truth, a notice a hint.
    pub fn on_notice(&self, listener: impl Fn(&Notice) + Send + Sync + 'static) {
        lock(&self.inner.listeners).push(Arc::new(listener));
    }

    /// Asks for the end of the daemon; only the first call has an effect.
    pub fn fatal(&self, actor: &'static str, reason: &str) {
        let first = self.inner.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            fatal.get_or_insert_with(|| Fatal {
                actor,
                reason: reason.to_owned(),
            });
            first
        });
        if first {
            tracing::error!(actor, reason, "the gateway cannot go on and ends itself");
        }
    }

    /// Waits until the end of the daemon is asked for; the composition root then drains and exits with 1.
    pub async fn until_fatal(&self) -> Fatal {
        let mut fatal = self.inner.fatal.subscribe();
        loop {
            if let Some(fatal) = fatal.borrow_and_update().clone() {
                return fatal;
            }
            if fatal.changed().await.is_err() {
                // Not reached while `self` holds the sender.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Lets an actor end for good: it handles what is queued, stops, and is not rebuilt.
    ///
    /// From then on its address is closed. Work that it had spawned is dropped, unless its
    /// `stopping()` refuses; one that waits out a backoff ends at once.
    pub fn retire<A: Actor>(&self, addr: &Addr<A>) {
        if let Some(vitals) = self.find(addr) {
            vitals.retire();
        }
    }

    /// Waits until an actor has ended: it was retired, or its thread was stopped.
    pub async fn until_ended<A: Actor>(&self, addr: &Addr<A>) {
        let ended = self.find(addr).map(|vitals| vitals.when_ended());
        if let Some(mut ended) = ended {
            // An error says that the supervisor is gone: that is an end as well.
            drop(ended.wait_for(|ended| *ended).await);
        }
    }

    /// Looks after every actor once; the [`Watchdog`](super::Watchdog) calls it.
    pub fn look(&self) {
        let limits = self.inner.limits;
        let now = self.inner.clock.monotonic();
        let mut found = Vec::new();
        let mut register = self.register();
        let last_look = register.last_look.replace(now);
        let passed = last_look.map_or(limits.every, |last| now.saturating_sub(last));
        let Register { rows, totals, .. } = &mut *register;
        for row in rows.values_mut() {
            if row.shown.state != ActorState::Backoff {
                let look = row.silence.look(row.vitals.answered(), passed, &limits);
                row.vitals.ask();
                found.extend(row.looked(look, totals));
            }
        }
        drop(register);
        for finding in found {
            self.tell_finding(finding);
        }
    }

    fn tell_finding(&self, finding: Finding) {
        match finding {
            Finding::Answers(shown) => {
                tracing::info!(
                    actor = shown.name,
                    instance = shown.instance,
                    "actor answers again"
                );
                self.tell(&Notice::Recovered(shown));
            }
            Finding::Hung(shown) => {
                let silent_ms = millis(shown.silent_for);
                tracing::warn!(
                    actor = shown.name,
                    instance = shown.instance,
                    silent_ms,
                    "actor does not answer"
                );
                self.tell(&Notice::Hung(shown));
            }
            Finding::GivenUp(shown) if shown.tier == Tier::Irreplaceable => {
                let reason = format!("it has not answered for {} s", shown.silent_for.as_secs());
                self.fatal(shown.name, &reason);
            }
            Finding::GivenUp(shown) => {
                let silent_ms = millis(shown.silent_for);
                tracing::warn!(
                    actor = shown.name,
                    instance = shown.instance,
                    silent_ms,
                    "actor is torn down"
                );
            }
        }
    }

    pub(super) fn enter<A: Actor>(
        &self,
        name: &'static str,
        instance: Option<String>,
        tier: Tier,
        vitals: Arc<Vitals>,
        addr: &Addr<A>,
    ) -> Post {
        let shown = ActorVitals {
            name,
            instance,
            tier,
            state: ActorState::Starting,
            failures: 0,
            streak: 0,
            last_failure: None,
            silent_for: Duration::ZERO,
        };
        let row = Row {
            shown,
            vitals: Arc::clone(&vitals),
            silence: Silence::default(),
            address: Box::new(addr.downgrade()),
        };
        let mut register = self.register();
        let id = register.next_id;
        register.next_id += 1;
        register.rows.insert(id, row);
        register.totals.entry(name).or_default();
        drop(register);
        self.changed();
        Post::new(self.clone(), id, vitals)
    }

    fn find<A: Actor>(&self, addr: &Addr<A>) -> Option<Arc<Vitals>> {
        let wanted = addr.downgrade();
        let register = self.register();
        let row = register
            .rows
            .values()
            .find(|row| row.address.downcast_ref::<WeakAddr<A>>() == Some(&wanted))?;
        Some(Arc::clone(&row.vitals))
    }

    pub(super) fn tell(&self, notice: &Notice) {
        self.changed();
        // Copied, so that a listener may itself start or retire actors.
        let listeners = lock(&self.inner.listeners).clone();
        for listener in listeners {
            listener(notice);
        }
    }

    pub(super) fn changed(&self) {
        self.inner
            .changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    pub(super) fn register(&self) -> MutexGuard<'_, Register> {
        lock(&self.inner.register)
    }
}

enum Finding {
    Answers(ActorVitals),
    Hung(ActorVitals),
    GivenUp(ActorVitals),
}

impl Row {
    fn looked(
        &mut self,
        look: Look,
        totals: &mut BTreeMap<&'static str, Totals>,
    ) -> Option<Finding> {
        match look {
            Look::Alive if self.shown.state == ActorState::Hung => {
                self.shown.state = ActorState::Running;
                self.shown.silent_for = Duration::ZERO;
                Some(Finding::Answers(self.shown.clone()))
            }
            Look::Alive | Look::Waiting => None,
            Look::Hung { silent_for, first } => {
                self.shown.state = ActorState::Hung;
                self.shown.silent_for = silent_for;
                if first {
                    totals.entry(self.shown.name).or_default().hangs += 1;
                }
                first.then(|| Finding::Hung(self.shown.clone()))
            }
            Look::GiveUp { silent_for } => {
                self.shown.state = ActorState::Hung;
                self.shown.silent_for = silent_for;
                if self.shown.tier == Tier::Replaceable {
                    self.vitals.tear_down();
                }
                Some(Finding::GivenUp(self.shown.clone()))
            }
        }
    }
}

/// A panic while a lock was held left nothing half-written here: each change is a few plain stores.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
