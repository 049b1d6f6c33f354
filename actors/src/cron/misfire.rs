//! What becomes of slots that did not begin in their time. Pure.

use std::collections::BTreeMap;

use super::job::Job;

/// A slot that begins later than this was missed: the gateway was down, the host slept, or an earlier run took too
/// long.
pub const GRACE_MS: i64 = 120_000;
/// Most slots of a job that are made up for one by one; older ones are passed over.
pub const MOST: usize = 24;

/// What becomes of the slots of a job that were missed. A single time is always made up for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Misfire {
    /// They are passed over, and the history says so.
    Skip,
    /// One run makes up for all of them.
    #[default]
    Once,
    /// Each has its run, one after another, the oldest first.
    All,
}

/// The rule of each job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misfires {
    /// For jobs that are not named.
    pub usual: Misfire,
    /// By id or name.
    pub named: BTreeMap<String, Misfire>,
}

impl Misfires {
    /// The rule of a job.
    pub fn of(&self, job: &Job) -> Misfire {
        let named = self
            .named
            .get(&job.id)
            .or_else(|| self.named.get(&job.definition.name));
        named.copied().unwrap_or(self.usual)
    }
}
