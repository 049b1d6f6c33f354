//! How much memory is in use, and what the gateway lets go of before the system lets go of it.
//!
//! Pure but for [`Memory`], which asks the system. Above the first mark nobody is told who came and went; above the
//! second no run begins either. Both end a little below where they began, so that nothing flutters.

use openclaw_protocol::methods::system::{HealthLoad, LoadState};

/// Where the marks are, in hundredths of the limit: where a state begins, and where it ends.
const HIGH: (u64, u64) = (75, 70);
const FULL: (u64, u64) = (90, 85);

/// Asks the system about memory.
pub trait Memory: Send + Sync {
    /// Bytes that this process has in use; `None` where nobody says.
    fn resident(&self) -> Option<u64>;
    /// Bytes that it may have in use; `None` where nobody says.
    fn limit(&self) -> Option<u64>;
}

/// Memory that nobody watches.
pub struct Unwatched;

impl Memory for Unwatched {
    fn resident(&self) -> Option<u64> {
        None
    }

    fn limit(&self) -> Option<u64> {
        None
    }
}

/// How much the gateway lets go of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Calm,
    /// Nobody is told who came and went.
    High,
    /// No run begins either.
    Full,
}

/// What was seen last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// What is let go of.
    pub level: Level,
    /// Bytes in use.
    pub resident: u64,
    /// Bytes that may be.
    pub limit: u64,
}

impl Load {
    /// What is let go of from now on.
    #[must_use]
    pub fn next(self, resident: u64, limit: u64) -> Self {
        let share = resident.saturating_mul(100).checked_div(limit).unwrap_or(0);
        let over =
            |(begins, ends): (u64, u64), was: bool| share >= begins || (was && share >= ends);
        let level = if over(FULL, self.level == Level::Full) {
            Level::Full
        } else if over(HIGH, self.level >= Level::High) {
            Level::High
        } else {
            Level::Calm
        };
        Self {
            level,
            resident,
            limit,
        }
    }

    /// Whether a run may begin.
    pub fn takes_runs(self) -> bool {
        self.level < Level::Full
    }

    /// Whether people are told who came and went.
    pub fn tells_presence(self) -> bool {
        self.level < Level::High
    }

    /// Why the gateway does not do its work, in one line.
    pub fn trouble(self) -> Option<String> {
        (!self.takes_runs()).then(|| {
            format!(
                "memory: {} of {} MB are in use, so that no run begins until it falls; gateway.limits.memoryBytes is the limit",
                self.resident / 1_000_000,
                self.limit / 1_000_000
            )
        })
    }

    /// What clients see of it; nothing while nothing is let go of.
    pub fn to_wire(self) -> Option<HealthLoad> {
        let (state, sheds) = match self.level {
            Level::Calm => return None,
            Level::High => (LoadState::High, vec!["presence"]),
            Level::Full => (LoadState::Full, vec!["presence", "runs"]),
        };
        Some(HealthLoad {
            state,
            resident_bytes: self.resident,
            limit_bytes: self.limit,
            sheds: sheds.into_iter().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Level::{Calm, Full, High};
    use super::*;

    #[test]
    fn what_is_let_go_of_follows_the_marks_and_does_not_flutter() {
        let mut load = Load::default();
        let mut levels = Vec::new();
        for used in [10, 74, 75, 71, 69, 75, 90, 86, 84, 72, 69, 95, 10] {
            load = load.next(used, 100);
            levels.push(load.level);
        }
        assert_eq!(
            levels,
            [
                Calm, Calm, High, High, Calm, High, Full, Full, High, High, Calm, Full, Calm
            ]
        );
    }

    #[test]
    fn without_a_limit_nothing_is_let_go_of() {
        let load = Load::default().next(u64::MAX, 0);
        assert!(load.takes_runs() && load.tells_presence());
        assert_eq!((load.to_wire(), load.trouble()), (None, None));
        let full = Load::default().next(95_000_000, 100_000_000);
        assert!(
            full.trouble()
                .is_some_and(|text| text.contains("95 of 100 MB"))
        );
        assert_eq!(full.to_wire().map(|wire| wire.sheds.len()), Some(2));
    }
}
