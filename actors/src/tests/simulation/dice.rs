//! What a seed decides: every delay, fault and choice of one simulation, and its time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Millis, TestClock};

/// A small generator (`SplitMix64`); the same seed gives the same life on every machine.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not zero.
    pub(super) fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        usize::try_from(self.roll() % n).expect("it is below a usize")
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A time between two numbers of milliseconds.
    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.roll() % (to - from + 1))
    }
}

/// The host's two clocks; the wall clock is set now and then.
#[derive(Default)]
pub(super) struct SimClock {
    nanos: AtomicU64,
    set_by: AtomicI64,
}

impl SimClock {
    pub(super) fn reach(&self, now: Duration) {
        let nanos = u64::try_from(now.as_nanos()).expect("hours");
        self.nanos.store(nanos, Ordering::Relaxed);
    }

    pub(super) fn jump(&self, millis: i64) {
        self.set_by.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Millis {
        let now = TestClock::EPOCH.plus(self.monotonic());
        Millis(now.0 + self.set_by.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}
