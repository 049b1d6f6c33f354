//! Time and randomness as parameters.
//!
//! No actor asks the operating system for the time or for random bytes: it is
//! handed a [`SharedClock`] and a [`SharedEntropy`], so that a test decides both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A point in wall-clock time: milliseconds since the Unix epoch, as the wire carries it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The bare number of milliseconds.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Milliseconds as the wire has them; 0 before the epoch.
    pub fn wire(self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }

    /// This time moved forward by `by`, rounded down to milliseconds; stays at the end of the range.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(by)))
    }

    /// This time moved back by `by`, rounded down to milliseconds; stays at the start of the range.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(by)))
    }

    /// How long ago `earlier` was; zero when it lies in the future, as after a clock change.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn whole_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time; may jump when the host's clock is set.
    fn now(&self) -> Millis;

    /// Time since the clock was made; never goes back. Deadlines and ages are measured with it.
    fn monotonic(&self) -> Duration;
}

/// A clock that is handed to many actors.
pub type SharedClock = Arc<dyn Clock>;

/// The host's own clock.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }

    /// The same, ready to be handed out.
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the host's clock"
    )]
    fn now(&self) -> Millis {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH)
            .map_or(Millis(0), |since| Millis(whole_millis(since)))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock for tests: follows tokio's time, paused or not, plus what it was advanced by hand.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct TestClock {
    start: Option<tokio::time::Instant>,
    by_hand_ms: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "testing"))]
impl TestClock {
    /// The wall-clock time at which every test clock starts.
    pub const EPOCH: Millis = Millis(1_800_000_000_000);

    /// A clock at [`TestClock::EPOCH`].
    pub fn new() -> Self {
        Self {
            start: Some(tokio::time::Instant::now()),
            by_hand_ms: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// A clock that stands still but for the hand, for tests on several threads.
    pub fn frozen() -> Self {
        Self {
            start: None,
            by_hand_ms: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The same, ready to be handed out; keep one `Arc` to advance it.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self::new())
    }

    /// Moves both times forward without any timer of tokio noticing.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.by_hand_ms
            .fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for TestClock {
    fn now(&self) -> Millis {
        Self::EPOCH.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        let by_hand = self.by_hand_ms.load(std::sync::atomic::Ordering::SeqCst);
        self.start.map_or(Duration::ZERO, |start| start.elapsed()) + Duration::from_millis(by_hand)
    }
}

/// Lets paused time pass, with all that is due in it. Panics in real time, in which a test waits for
/// what happens instead.
#[cfg(test)]
pub(crate) async fn pass(span: Duration) {
    tokio::time::advance(Duration::ZERO).await;
    tokio::time::sleep(span).await;
}

/// Waits until nothing on this thread can go on by itself: paused time moves only then, and not while
/// a blocking task runs.
#[cfg(test)]
pub(crate) async fn quiet() {
    pass(Duration::from_millis(1)).await;
}

/// Where randomness comes from.
pub trait Entropy: Send + Sync + 'static {
    /// Thirty-two unpredictable bytes: keys, tokens, nonces.
    fn bytes32(&self) -> [u8; 32];

    /// A random (version 4) UUID.
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.bytes32()[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A number in `0.0..1.0`, for jitter.
    fn fraction(&self) -> f64 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.bytes32()[..4]);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// A source of randomness that is handed to many actors.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The thread's cryptographic generator, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl SystemEntropy {
    /// Ready to be handed out.
    pub fn shared() -> SharedEntropy {
        Arc::new(Self)
    }
}

impl Entropy for SystemEntropy {
    fn bytes32(&self) -> [u8; 32] {
        rand::random()
    }

    fn fraction(&self) -> f64 {
        rand::random()
    }
}

/// The same bytes in the same order for the same seed.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct SeededEntropy(std::sync::Mutex<rand::rngs::StdRng>);

#[cfg(any(test, feature = "testing"))]
impl SeededEntropy {
    /// A source that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(std::sync::Mutex::new(rand::SeedableRng::seed_from_u64(
            seed,
        )))
    }

    /// The same, ready to be handed out.
    pub fn shared(seed: u64) -> SharedEntropy {
        Arc::new(Self::new(seed))
    }
}

#[cfg(any(test, feature = "testing"))]
impl Entropy for SeededEntropy {
    fn bytes32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let mut generator = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        rand::Rng::fill_bytes(&mut *generator, &mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_test_clock_follows_paused_time_and_the_hand() {
        let clock = TestClock::new();
        tokio::time::advance(Duration::from_secs(5)).await;
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.monotonic(), Duration::from_secs(7));
        assert_eq!(clock.now().since(TestClock::EPOCH), Duration::from_secs(7));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let (a, b) = (SeededEntropy::new(7), SeededEntropy::new(7));
        assert_eq!((a.uuid(), a.bytes32()), (b.uuid(), b.bytes32()));
        assert_ne!(a.uuid(), SeededEntropy::new(8).uuid());
        assert_eq!(a.uuid().get_version_num(), 4);
    }

    #[test]
    fn fractions_stay_below_one() {
        let seeded = SeededEntropy::new(1);
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&seeded.fraction()));
            assert!((0.0..1.0).contains(&SystemEntropy.fraction()));
        }
    }

    #[test]
    fn a_time_in_the_future_is_no_age() {
        assert_eq!(Millis(5).since(Millis(9)), Duration::ZERO);
        assert_eq!(Millis(i64::MAX).plus(Duration::MAX), Millis(i64::MAX));
    }
}
