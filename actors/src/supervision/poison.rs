//! Inputs that make an actor fail, for tests of what then happens around it.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, AsyncContext, Context, Message};
use openclaw_protocol::Method;

use crate::call::Call;

/// Makes the actor that handles it fail.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Poison(pub PoisonKind);

/// How to fail.
#[derive(Debug)]
pub enum PoisonKind {
    /// Panics in the handler.
    Panic,
    /// Panics in a future that the actor spawned; the sender is answered first.
    PanicLater,
    /// Stops the context without a reason.
    Stop,
    /// Fails with this reason.
    Error(String),
    /// Does not go on.
    Hang(Wedge),
}

/// What the actor is stuck in.
#[derive(Debug)]
pub enum Wedge {
    /// `ctx.wait` for this long; the thread goes on.
    Wait(Duration),
    /// `ctx.wait` without an end; the thread goes on.
    Forever,
    /// Blocks the whole thread until the other end is dropped. A write to a channel without
    /// room (`sync_channel(0)`) returns when the thread is blocked.
    Thread(Receiver<()>),
}

impl Poison {
    /// Takes effect; called by the handlers that `supervised!` writes.
    #[expect(clippy::panic, reason = "a panic is what was ordered")]
    pub fn take<A: Actor<Context = Context<A>>>(self, ctx: &mut Context<A>) {
        match self.0 {
            PoisonKind::Panic => panic!("poisoned"),
            PoisonKind::PanicLater => {
                ctx.spawn(wrap_future(async { panic!("poisoned later") }));
            }
            PoisonKind::Stop => ctx.stop(),
            PoisonKind::Error(why) => super::fail(ctx, &why),
            PoisonKind::Hang(Wedge::Wait(span)) => ctx.wait(wrap_future(tokio::time::sleep(span))),
            PoisonKind::Hang(Wedge::Forever) => ctx.wait(wrap_future(std::future::pending())),
            PoisonKind::Hang(Wedge::Thread(release)) => release.iter().for_each(drop),
        }
    }
}

/// A request whose handling panics, wherever its owner stands.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Poisoned<M: Method>(pub Call<M>);

impl<M: Method> Poisoned<M> {
    /// Takes effect; called by the handlers that `supervised!` writes.
    #[expect(clippy::panic, reason = "a panic is what was ordered")]
    pub fn take(self) {
        panic!("poisoned {}", M::NAME);
    }
}
