//! Where the end of a run goes beside its transcript and those who listen.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::clock::Millis;
use crate::store::{Op, StoreError};

/// What a run came to, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// Its answer.
    Text(&'a str),
    /// Why there is none.
    Failed(&'a str),
    /// It was stopped.
    Stopped {
        /// Why, as clients are told: `rpc`, `timeout`, `interrupted`, `restart`.
        reason: &'a str,
        /// What was said until then.
        text: &'a str,
    },
}

/// A place that is told how a run ended, in the same commit.
pub trait Delivery: Send + Sync {
    /// Names the place: of several messages from one place that share a run, one is answered.
    fn place(&self) -> String;

    /// Its run begins; what it says grows there.
    fn begun(&self, text: &Arc<Mutex<String>>) {
        let _ = text;
    }

    /// The channel that the message came from.
    fn channel(&self) -> &str;

    /// What is committed together with the end of the run; nothing is said where `said` is `None`.
    /// Asked again with the same words where a commit is tried again.
    ///
    /// # Errors
    ///
    /// When a row cannot be written.
    fn ops(&self, said: Option<Said<'_>>, now: Millis) -> Result<Vec<Op>, StoreError>;

    /// That is committed. Without `ended` the run is to be taken up again by the next process.
    fn committed(&self, ended: bool);
}

/// The changes of all places that a run answers; the newest of each place says it.
pub(super) fn ops(
    places: &[Arc<dyn Delivery>],
    said: Said<'_>,
    now: Millis,
) -> Result<Vec<Op>, StoreError> {
    let mut told = BTreeSet::new();
    let mut ops = Vec::new();
    for delivery in places.iter().rev() {
        let says = told.insert(delivery.place());
        let leaves = matches!(
            said,
            Said::Stopped {
                reason: "restart",
                ..
            }
        );
        ops.extend(delivery.ops((says || leaves).then_some(said), now)?);
    }
    Ok(ops)
}
