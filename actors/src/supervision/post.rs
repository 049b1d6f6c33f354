//! What one supervisor tells the register of all.

use std::sync::Arc;
use std::time::Duration;

use super::report::{ActorState, ActorVitals, LastFailure, Notice};
use super::state::{Cause, Silence, Tier, Verdict};
use super::vitals::Vitals;
use super::watch::{DeathWatch, Register};

/// The place from which one supervisor reports; dropping it says that the actor has ended.
pub(super) struct Post {
    watch: DeathWatch,
    id: u64,
    vitals: Arc<Vitals>,
}

impl Post {
    pub(super) fn new(watch: DeathWatch, id: u64, vitals: Arc<Vitals>) -> Self {
        Self { watch, id, vitals }
    }

    pub(super) fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals)
    }

    pub(super) fn now(&self) -> Duration {
        self.watch.clock().monotonic()
    }

    pub(super) fn chance(&self) -> f64 {
        self.watch.entropy().fraction()
    }

    pub(super) fn failed(&self, cause: Cause, why: &str, verdict: &Verdict) {
        let at = self.watch.clock().now();
        let mut register = self.watch.register();
        let Register { rows, totals, .. } = &mut *register;
        let Some(row) = rows.get_mut(&self.id) else {
            return;
        };
        row.silence = Silence::default();
        let shown = &mut row.shown;
        shown.state = ActorState::Backoff;
        shown.silent_for = Duration::ZERO;
        shown.failures += 1;
        shown.streak = verdict.streak;
        shown.last_failure = Some(LastFailure {
            at,
            cause,
            why: why.to_owned(),
            next_in: verdict.next_in,
        });
        let totals = totals.entry(shown.name).or_default();
        match cause {
            Cause::Panic => totals.panics += 1,
            Cause::Stop => totals.stops += 1,
            Cause::Hang => {} // counted when it was found
            Cause::Rebuild => totals.rebuilds_failed += 1,
        }
        let shown = shown.clone();
        drop(register);
        log_failure(&shown, cause, why, verdict);
        if verdict.fatal {
            let streak = verdict.streak;
            self.watch
                .fatal(shown.name, &format!("failure {streak} in a row: {why}"));
        }
        self.watch.tell(&Notice::Failed(shown));
    }

    /// A life of the actor was polled and goes on.
    pub(super) fn running(&self) {
        let mut register = self.watch.register();
        let Register { rows, totals, .. } = &mut *register;
        let Some(row) = rows.get_mut(&self.id) else {
            return;
        };
        if row.shown.state == ActorState::Hung {
            // It hung in its very first poll; the watchdog found that and tells of its end.
            return;
        }
        let again = row.shown.state == ActorState::Backoff;
        row.shown.state = ActorState::Running;
        if again {
            totals.entry(row.shown.name).or_default().recoveries += 1;
        }
        let shown = row.shown.clone();
        drop(register);
        if again {
            tracing::info!(
                actor = shown.name,
                instance = shown.instance,
                "actor runs again"
            );
            self.watch.tell(&Notice::Recovered(shown));
        } else {
            self.watch.changed();
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let row = self.watch.register().rows.remove(&self.id);
        self.vitals.end();
        if let Some(row) = row {
            tracing::debug!(
                actor = row.shown.name,
                instance = row.shown.instance,
                "actor ended"
            );
            self.watch.tell(&Notice::Ended(row.shown));
        }
    }
}

fn log_failure(shown: &ActorVitals, cause: Cause, why: &str, verdict: &Verdict) {
    let (actor, instance, streak) = (shown.name, &shown.instance, verdict.streak);
    let next_in_ms = millis(verdict.next_in);
    match shown.tier {
        Tier::Replaceable => tracing::warn!(
            actor,
            instance,
            ?cause,
            why,
            streak,
            next_in_ms,
            "actor failed"
        ),
        Tier::Irreplaceable => tracing::error!(
            actor,
            instance,
            ?cause,
            why,
            streak,
            next_in_ms,
            "actor failed"
        ),
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
