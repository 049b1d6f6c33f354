//! State that outlives the actor which owns it.
//!
//! An actor that panics is rebuilt in place, and what it holds in its own fields is gone. Some
//! state must not go with it: the connection registry, runs in progress. It is kept in a slot that
//! travels with the actor's dependencies. A panic *while the state is being changed* leaves it
//! half-written; the lock's poison flag tells exactly that case apart, and only then is the state
//! made anew.

use std::sync::{Arc, Mutex, PoisonError};

/// A slot for the state of one actor. Only that actor changes it; whoever else reads it holds the lock
/// for a moment.
#[derive(Debug, Default)]
pub struct Kept<T>(Arc<Mutex<T>>);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Kept<T> {
    /// A slot that holds `state`.
    pub fn new(state: T) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Reads or changes the state.
    ///
    /// A half-written state is used as it is until [`Kept::recover`] has run, which the rebuilt
    /// actor does before it handles its next message.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces a half-written state by what `fresh` gives; true when it did.
    pub fn recover(&self, fresh: impl FnOnce(&T) -> T) -> bool {
        if !self.0.is_poisoned() {
            return false;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = fresh(&state);
        self.0.clear_poison();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_panic_during_a_change_makes_the_state_anew() {
        let kept = Kept::new(1);
        assert!(!kept.recover(|_| 9));
        let broken = kept.clone();
        let _ = std::panic::catch_unwind(move || broken.with(|_| panic!("half-written")));
        assert!(kept.recover(|_| 9));
        assert_eq!(kept.with(|n| *n), 9);
        assert!(!kept.recover(|_| 1));
    }
}
