//! The task that lives as long as an actor's address and runs one life of it after another.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use actix::dev::channel::{AddressReceiver, channel};
use actix::dev::{AsyncContextParts, ContextFut, ContextParts};
use actix::{Actor, ActorContext, Addr, AsyncContext, Context};
use tokio::time::Sleep;

use super::Rebuild;
use super::panics::{catch, take_reason};
use super::post::Post;
use super::pump::Mailbox;
use super::state::{Cause, Failures, RestartPolicy};
use super::vitals::Vitals;

/// An actor with its context: actix's own machinery, fed from a mailbox that is not its own.
///
/// actix reads nothing through `inner`; it is held open so that actix does not take the actor
/// for unreachable.
struct Life<A: Actor<Context = Context<A>>> {
    future: Box<ContextFut<A, Context<A>>>,
    _inner: Addr<A>,
}

impl<A: Rebuild> Life<A> {
    fn first(deps: A::Deps, mailbox: &Mailbox<A>) -> Self {
        let (inner, unread) = channel::<A>(1);
        let mut ctx = Context::with_receiver(unread);
        *ctx.parts() = ContextParts::new(mailbox.receiver().sender_producer());
        ctx.spawn(mailbox.clone());
        let future = Box::new(ctx.into_future(A::build(deps)));
        Self {
            future,
            _inner: Addr::new(inner),
        }
    }

    /// Drops what the failed life had going and puts a new actor in place; it is not yet started.
    ///
    /// The parts are new: actix would carry over cancellations that the failed life did not get
    /// to, and cancel futures of the next one that got the same numbers.
    fn renew(&mut self, mailbox: &Mailbox<A>) {
        *self.future.ctx().parts() = ContextParts::new(mailbox.receiver().sender_producer());
        self.future.restart();
        self.future.ctx().spawn(mailbox.clone());
    }
}

enum Phase {
    /// Nothing was built yet.
    Build,
    /// The actor is polled.
    Run,
    /// Waiting; `built` when the next actor is already in place.
    Backoff { sleep: Pin<Box<Sleep>>, built: bool },
    /// Retired.
    Ended,
}

pub(super) struct Supervisor<A: Rebuild> {
    phase: Phase,
    life: Option<Life<A>>,
    /// For the first life only; later ones are built from what the actor itself says.
    deps: A::Deps,
    mailbox: Mailbox<A>,
    vitals: Arc<Vitals>,
    failures: Failures,
    announced: bool,
    post: Post,
}

impl<A: Rebuild> Unpin for Supervisor<A> {}

impl<A: Rebuild> Supervisor<A> {
    pub(super) fn new(
        deps: A::Deps,
        receiver: AddressReceiver<A>,
        policy: RestartPolicy,
        post: Post,
    ) -> Self {
        let vitals = post.vitals();
        Self {
            phase: Phase::Build,
            life: None,
            deps,
            mailbox: Mailbox::new(receiver, Arc::clone(&vitals)),
            vitals,
            failures: Failures::new(policy, A::TIER, post.now()),
            announced: false,
            post,
        }
    }

    fn record(&mut self, cause: Cause, why: &str) -> Phase {
        self.announced = false;
        // An order to tear down the life that just ended must not hit the next one.
        self.vitals.take_torn_down();
        let verdict = self
            .failures
            .failed(cause, self.post.now(), self.post.chance());
        self.post.failed(cause, why, &verdict);
        Phase::Backoff {
            sleep: Box::pin(tokio::time::sleep(verdict.next_in)),
            built: false,
        }
    }

    /// A life ended; the next one is put in place at once, or after the backoff when that fails too.
    fn failed(&mut self, cause: Cause, why: &str) {
        self.phase = self.record(cause, why);
        self.renew();
    }

    fn renew(&mut self) {
        let Self {
            life,
            mailbox,
            deps,
            ..
        } = self;
        let outcome = catch(|| match life {
            Some(life) => life.renew(mailbox),
            None => *life = Some(Life::first(deps.clone(), mailbox)),
        });
        match (outcome, &mut self.phase) {
            (Ok(()), Phase::Backoff { built, .. }) => *built = true,
            (Ok(()), phase) => *phase = Phase::Run,
            (Err(why), _) => self.phase = self.record(Cause::Rebuild, &why),
        }
    }

    fn run(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Some(life) = self.life.as_mut() else {
            self.phase = Phase::Build;
            return Poll::Ready(());
        };
        if self.vitals.take_torn_down() {
            self.failed(Cause::Hang, "it did not answer the watchdog");
            return Poll::Ready(());
        }
        // A reason that was left by a life which then did not stop is not this one's.
        take_reason();
        match catch(|| Pin::new(&mut *life.future).poll(cx)) {
            Ok(Poll::Pending) => {
                if !self.announced {
                    self.announced = true;
                    self.post.running();
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(())) if self.vitals.retired() => self.phase = Phase::Ended,
            Ok(Poll::Ready(())) => {
                let why = take_reason().unwrap_or_else(|| "it stopped without a reason".to_owned());
                self.failed(Cause::Stop, &why);
            }
            Err(why) => self.failed(Cause::Panic, &why),
        }
        Poll::Ready(())
    }
}

impl<A: Rebuild> Future for Supervisor<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.vitals.attend(cx.waker());
        this.mailbox.turn().begin();
        loop {
            match &mut this.phase {
                Phase::Build => this.renew(),
                Phase::Run => ready!(this.run(cx)),
                Phase::Backoff { .. } if this.vitals.retired() => this.phase = Phase::Ended,
                Phase::Backoff { sleep, built } => {
                    ready!(sleep.as_mut().poll(cx));
                    let built = *built;
                    this.failures.up(this.post.now());
                    this.phase = if built { Phase::Run } else { Phase::Build };
                }
                Phase::Ended => return Poll::Ready(()),
            }
        }
    }
}

impl<A: Rebuild> Drop for Supervisor<A> {
    fn drop(&mut self) {
        let Some(mut life) = self.life.take() else {
            return;
        };
        // actix gives a living actor its `stopped()` when it is dropped, and would first give its
        // `started()` to one that waits for the end of a backoff.
        if !matches!(self.phase, Phase::Run) {
            life.future.ctx().terminate();
        }
        if let Err(why) = catch(move || drop(life)) {
            tracing::error!(actor = A::NAME, why, "panic while an actor was dropped");
        }
    }
}
