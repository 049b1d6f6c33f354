//! Requests without a key that could not be taken whole: whoever sends one again is given the names of its
//! first try, so that what was taken then does not run twice. Two equal requests that were both taken are
//! two. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// Most requests that are remembered; the oldest is forgotten for another one.
const MOST: usize = 200;
/// For how long.
const KEPT: Duration = Duration::from_mins(10);

/// The requests, by the digest of path and body.
#[derive(Debug)]
pub(super) struct Again(VecDeque<(Duration, String, String)>);

impl Again {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// What named the runs of the first try.
    pub(super) fn seed(&self, digest: &str, now: Duration) -> Option<String> {
        let fresh = |at: Duration| now.saturating_sub(at) < KEPT;
        let known = (self.0.iter()).find(|(at, own, _)| own == digest && fresh(*at));
        known.map(|(_, _, seed)| seed.clone())
    }

    /// It was answered; `whole` when nothing of it is to come again.
    pub(super) fn answered(&mut self, digest: String, seed: String, whole: bool, now: Duration) {
        self.0.retain(|(_, own, _)| *own != digest);
        if whole {
            return;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, digest, seed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_taken_whole_is_the_same_when_it_comes_again() {
        let mut again = Again::new();
        let now = Duration::from_secs(5);
        let answered = |again: &mut Again, seed: &str, whole| {
            again.answered("d".into(), seed.into(), whole, now);
        };
        answered(&mut again, "s1", true);
        assert_eq!(again.seed("d", now), None, "the next is another one");
        answered(&mut again, "s2", false);
        assert_eq!(again.seed("d", now).as_deref(), Some("s2"));
        assert_eq!(again.seed("e", now), None);
        assert_eq!(again.seed("d", now + KEPT), None);
        answered(&mut again, "s2", true);
        assert_eq!(again.seed("d", now), None);
        for count in 0..2 * MOST {
            again.answered(count.to_string(), "s".into(), false, now);
        }
        assert_eq!(again.0.len(), MOST);
    }
}
