//! Supervision: every actor is built by a factory, survives its panics, and is watched.
//!
//! [`supervise`] starts an actor that keeps its address and its mailbox for as long as anybody
//! holds the address. When it panics (in a handler, in `started()`, in a spawned future or an
//! interval), calls [`fail`] or `ctx.stop()`, then
//! * the message being handled is lost: its sender gets `MailboxError::Closed`;
//! * its spawned futures, intervals and waits are dropped, and `Supervised::restarting`, written
//!   by [`supervised!`](crate::supervised), puts a newly built actor in place of the old one, at once, so that what
//!   the old one held is given back;
//! * `started()` of the new one runs after the backoff; messages queue meanwhile, none is lost.
//!
//! Other actors on the same thread notice nothing. A supervised actor ends when it is retired
//! ([`DeathWatch::retire`]) or when its last address is dropped, never by `ctx.stop()`.
//!
//! actix stops an actor of its own accord when a stream of a `StreamHandler` ends, unless
//! `finished()` is overridden; that counts as a failure too.
//!
//! **Invariants.** A failure is logged and counted in one place, [`DeathWatch`]. The end of the
//! daemon is asked for once, however many actors fail. A sender that must not hang during a
//! backoff uses `.timeout()` or `try_send`.

mod panics;
mod post;
mod pump;
mod report;
mod state;
mod task;
mod vitals;
mod watch;
mod watchdog;

#[cfg(any(test, feature = "testing"))]
mod poison;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix::dev::channel::channel;
use actix::{Actor, ActorContext, Addr, Context, Supervised};

pub use panics::{catch, install_panic_hook};
#[cfg(any(test, feature = "testing"))]
pub use poison::{Poison, PoisonKind, Poisoned, Wedge};
pub use report::{ActorState, ActorVitals, Fatal, LastFailure, Notice, Totals};
pub use state::{Cause, Failures, HangLimits, RestartPolicy, Tier, Verdict};
pub use watch::DeathWatch;
pub use watchdog::Watchdog;

use crate::placement::Place;
use task::Supervisor;
use vitals::Vitals;

/// An actor that can be built anew from what it was started with.
pub trait Rebuild: Actor<Context = Context<Self>> + Supervised + Sized {
    /// What it is built from: addresses, configuration, clocks, handles that outlive one life.
    type Deps: Clone + Send + 'static;

    /// The name in logs, health and metrics.
    const NAME: &'static str;

    /// What the daemon loses without it.
    const TIER: Tier;

    /// Messages that may queue, beside one for each clone of the address.
    const MAILBOX: usize;

    /// Makes a new one. Cheap and without IO: load and connect in `started()`.
    ///
    /// The old actor still lives while this runs, so a resource that exists once (a file lock,
    /// a listening socket) belongs into `Deps`, not into the actor.
    fn build(deps: Self::Deps) -> Self;

    /// What to build the next one from. Called on an actor whose handler may have been cut
    /// short, so it clones fields that no handler leaves half-written.
    fn deps(&self) -> Self::Deps;

    /// Tells apart several actors of one type, for example the account of a channel.
    fn instance(deps: &Self::Deps) -> Option<String> {
        let _ = deps;
        None
    }
}

/// Starts an actor on `place` and keeps it up; see the module's documentation.
///
/// Returns at once: the actor is built on its own thread, and messages queue until it is. When
/// the arbiter of `place` has stopped already, the address is closed from the beginning.
#[must_use = "an actor ends when its last address is dropped"]
pub fn supervise<A: Rebuild>(
    place: &Place,
    policy: RestartPolicy,
    watch: &DeathWatch,
    deps: A::Deps,
) -> Addr<A> {
    let (sender, receiver) = channel::<A>(A::MAILBOX);
    let addr = Addr::new(sender);
    let vitals = Arc::new(Vitals::new());
    let post = watch.enter(A::NAME, A::instance(&deps), A::TIER, vitals, &addr);
    let started = place.run(move || {
        actix_rt::spawn(Supervisor::<A>::new(deps, receiver, policy, post));
    });
    if !started {
        tracing::error!(
            actor = A::NAME,
            place = place.name(),
            "cannot start an actor: its thread has stopped"
        );
    }
    addr
}

/// Ends the present life of an actor because of an error that it cannot handle; it is rebuilt.
///
/// `why` is logged and shown by health, so it holds no message bodies and no secrets.
pub fn fail<A: Actor<Context = Context<A>>>(ctx: &mut Context<A>, why: &str) {
    panics::leave_reason(why);
    ctx.stop();
}

/// Writes what every supervised actor needs beside [`Rebuild`]: `Supervised`, which puts a newly
/// built actor in place of the failed one, and the poison input for tests.
#[macro_export]
macro_rules! supervised {
    ($actor:ty) => {
        impl ::actix::Supervised for $actor {
            fn restarting(&mut self, _: &mut ::actix::Context<Self>) {
                let deps = $crate::supervision::Rebuild::deps(self);
                *self = $crate::supervision::Rebuild::build(deps);
            }
        }

        #[cfg(any(test, feature = "testing"))]
        impl ::actix::Handler<$crate::supervision::Poison> for $actor {
            type Result = ();

            fn handle(
                &mut self,
                poison: $crate::supervision::Poison,
                ctx: &mut ::actix::Context<Self>,
            ) {
                poison.take(ctx);
            }
        }

        #[cfg(any(test, feature = "testing"))]
        impl<M: ::openclaw_protocol::Method> ::actix::Handler<$crate::supervision::Poisoned<M>>
            for $actor
        {
            type Result = ();

            fn handle(
                &mut self,
                poisoned: $crate::supervision::Poisoned<M>,
                _: &mut ::actix::Context<Self>,
            ) {
                poisoned.take();
            }
        }
    };
}
