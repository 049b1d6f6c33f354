//! The mailbox of a supervised actor and the future inside the actor that reads it.
//!
//! actix reads a mailbox until it is empty, without a budget, so that an actor that is flooded
//! starves everything on its thread; and it gives no sign of life to a watchdog. So the mailbox
//! belongs to the supervisor: it outlives every life of its actor, holds its capacity from the
//! first message on, and is read by this future, which actix polls with the actor in hand.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use actix::dev::channel::AddressReceiver;
use actix::dev::{EnvelopeProxy, Stream};
use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context};

use tokio::time::Sleep;

use super::vitals::Vitals;

/// Messages handled before the thread's other tasks get a turn; also the largest group that an
/// actor which collects until its own `ctx.notify` arrives can collect in one turn.
///
/// A handler that notifies itself without end still keeps the thread: actix runs that inside.
const BURST: usize = 256;

/// How often a retired actor that refuses to stop is asked again, if no message wakes it before.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What one poll of the supervisor's task may still do.
#[derive(Debug, Default)]
pub(super) struct Turn {
    messages: Cell<usize>,
    stop_asked: Cell<bool>,
}

impl Turn {
    pub(super) fn begin(&self) {
        self.messages.set(BURST);
        self.stop_asked.set(false);
    }

    fn take_message(&self) -> bool {
        let left = self.messages.get();
        self.messages.set(left.saturating_sub(1));
        left > 0
    }

    /// An actor may refuse to stop (`Running::Continue`); it is asked once per turn, not in a loop.
    fn take_stop(&self) -> bool {
        !self.stop_asked.replace(true)
    }
}

pub(super) struct Mailbox<A: Actor> {
    receiver: Rc<RefCell<AddressReceiver<A>>>,
    vitals: Arc<Vitals>,
    turn: Rc<Turn>,
    ask_again: Option<Pin<Box<Sleep>>>,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self {
            receiver: Rc::clone(&self.receiver),
            vitals: Arc::clone(&self.vitals),
            turn: Rc::clone(&self.turn),
            ask_again: None,
        }
    }
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    pub(super) fn new(receiver: AddressReceiver<A>, vitals: Arc<Vitals>) -> Self {
        Self {
            receiver: Rc::new(RefCell::new(receiver)),
            vitals,
            turn: Rc::default(),
            ask_again: None,
        }
    }

    pub(super) fn turn(&self) -> &Turn {
        &self.turn
    }

    pub(super) fn receiver(&self) -> std::cell::Ref<'_, AddressReceiver<A>> {
        self.receiver.borrow()
    }

    /// Asks the actor to stop, and arranges to be polled again should it refuse.
    fn stop(&mut self, ctx: &mut Context<A>, task: &mut task::Context<'_>) {
        if self.turn.take_stop() {
            ctx.stop();
            self.ask_again = Some(Box::pin(tokio::time::sleep(ASK_AGAIN)));
        }
        if let Some(ask_again) = &mut self.ask_again
            && ask_again.as_mut().poll(task).is_ready()
        {
            task.waker().wake_by_ref();
        }
    }
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Mailbox<A> {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        act: &mut A,
        ctx: &mut Context<A>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        // `ctx.wait` and `ctx.stop` in a handler hold back the messages behind it.
        while !ctx.waiting() {
            self.vitals.answer();
            if !self.turn.take_message() {
                task.waker().wake_by_ref();
                break;
            }
            // The borrow ends here: a handler that panics must not leave the mailbox locked.
            let next = Pin::new(&mut *self.receiver.borrow_mut()).poll_next(task);
            if let Poll::Ready(Some(mut message)) = next {
                message.handle(act, ctx);
                continue;
            }
            // Empty. Nobody can write to it any more, or the actor was retired: this is the end.
            if !self.receiver.borrow().connected() {
                self.vitals.retire();
            }
            if self.vitals.retired() {
                self.stop(ctx, task);
            }
            break;
        }
        Poll::Pending
    }
}
