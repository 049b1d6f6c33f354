//! A fuse: how many messages a second one connection may send. Far above honest use, so that only
//! what has run wild, or means harm, ever meets it. Pure: takes the time.

use std::time::Duration;

/// The span that is counted.
const SPAN: Duration = Duration::from_secs(1);
/// Seconds in a row over the limit after which the connection is closed.
const MAX_OVER: u8 = 5;

/// Counts the messages of one connection.
#[derive(Debug)]
pub struct Fuse {
    per_second: u32,
    since: Duration,
    count: u32,
    /// Seconds in a row that went over the limit.
    over: u8,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is served.
    Pass,
    /// It is refused; one that comes after this time is served.
    Refuse(Duration),
    /// It went on for too long: the connection is closed.
    Blown,
}

impl Fuse {
    /// A fuse for this many messages a second.
    pub const fn new(per_second: u32) -> Self {
        Self {
            per_second,
            since: Duration::ZERO,
            count: 0,
            over: 0,
        }
    }

    /// Counts one message.
    pub fn admit(&mut self, now: Duration) -> Verdict {
        let passed = now.saturating_sub(self.since);
        if passed >= SPAN {
            // A second within the limit forgives the ones before it; so does a silent one.
            if self.count <= self.per_second || passed >= 2 * SPAN {
                self.over = 0;
            }
            self.since = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.count <= self.per_second {
            return Verdict::Pass;
        }
        if self.count == self.per_second.saturating_add(1) {
            self.over += 1;
        }
        if self.over > MAX_OVER {
            return Verdict::Blown;
        }
        Verdict::Refuse(SPAN.saturating_sub(now.saturating_sub(self.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_the_limit_passes_for_ever() {
        let mut fuse = Fuse::new(3);
        for second in 0..100 {
            for _ in 0..3 {
                assert_eq!(fuse.admit(Duration::from_secs(second)), Verdict::Pass);
            }
        }
    }

    #[test]
    fn over_the_limit_is_refused_until_the_second_ends_and_closed_when_it_goes_on() {
        let mut fuse = Fuse::new(2);
        for second in 0..5 {
            let now = Duration::from_secs(second) + Duration::from_millis(10 * second);
            assert_eq!(fuse.admit(now), Verdict::Pass);
            assert_eq!(fuse.admit(now), Verdict::Pass);
            assert_eq!(fuse.admit(now), Verdict::Refuse(SPAN));
            let later = now + Duration::from_millis(400);
            let left = Duration::from_millis(600);
            assert_eq!(fuse.admit(later), Verdict::Refuse(left));
        }
        let now = Duration::from_secs(6);
        assert_eq!(fuse.admit(now), Verdict::Pass);
        assert_eq!(fuse.admit(now), Verdict::Pass);
        assert_eq!(fuse.admit(now), Verdict::Blown);
    }

    #[test]
    fn a_pause_is_forgiven() {
        let mut fuse = Fuse::new(1);
        for round in 0..20 {
            let now = Duration::from_secs(2 * round);
            assert_eq!(fuse.admit(now), Verdict::Pass);
            assert_eq!(fuse.admit(now), Verdict::Refuse(SPAN));
        }
    }
}
