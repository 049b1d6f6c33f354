//! What a supervised actor, its supervisor and the watchdog share, across threads and without locks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use tokio::sync::watch;

/// The pulse of one supervised actor.
///
/// The watchdog asks by raising `asked` and waking the actor's task. The answer is given by
/// the code that reads the mailbox, inside the actor: it cannot be given while the thread is
/// blocked, nor while the actor waits in `ctx.wait`, and it costs neither message nor handler.
#[derive(Debug)]
pub(super) struct Vitals {
    asked: AtomicU64,
    answered: AtomicU64,
    retired: AtomicBool,
    torn_down: AtomicBool,
    task: AtomicWaker,
    ended: watch::Sender<bool>,
}

impl Vitals {
    pub(super) fn new() -> Self {
        Self {
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            torn_down: AtomicBool::new(false),
            task: AtomicWaker::new(),
            ended: watch::Sender::new(false),
        }
    }

    /// The supervisor's task is polled: later calls below wake it.
    pub(super) fn attend(&self, task: &Waker) {
        self.task.register(task);
    }

    /// The watchdog asks; [`Vitals::answered`] tells later whether there was an answer.
    pub(super) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.task.wake();
    }

    pub(super) fn answered(&self) -> bool {
        self.answered.load(Ordering::SeqCst) == self.asked.load(Ordering::SeqCst)
    }

    /// The actor reads its mailbox, so it is alive.
    pub(super) fn answer(&self) {
        let asked = self.asked.load(Ordering::Acquire);
        // Said before each message, so the common case only reads.
        if self.answered.load(Ordering::Relaxed) != asked {
            self.answered.store(asked, Ordering::Release);
        }
    }

    /// From now on, an end of the actor is deliberate.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.task.wake();
    }

    pub(super) fn retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Asks the supervisor to throw the actor's present life away; it can when its thread runs.
    pub(super) fn tear_down(&self) {
        self.torn_down.store(true, Ordering::SeqCst);
        self.task.wake();
    }

    pub(super) fn take_torn_down(&self) -> bool {
        self.torn_down.swap(false, Ordering::SeqCst)
    }

    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(super) fn when_ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }
}
