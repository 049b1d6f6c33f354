//! What was refused, delayed and dropped since the start: one number per bound.

use std::sync::atomic::{AtomicU64, Ordering};

use openclaw_protocol::methods::system::LimitCounts;

/// A bound that somebody met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Upgrades refused: too many sockets before their handshake.
    TooManyBeforeHandshake,
    /// Upgrades refused: they came too fast.
    TooFastConnects,
    /// Sockets closed because no `connect` came in time.
    HandshakeTimeouts,
    /// Wrong tokens, passwords and setup codes.
    FailedAttempts,
    /// Clients locked out.
    Lockouts,
    /// Attempts refused because of a lock.
    RefusedWhileLocked,
    /// Answers held back.
    DelayedAnswers,
    /// Frames refused for their size.
    OversizedFrames,
    /// Frames refused for their depth.
    DeepFrames,
    /// Requests refused because one connection sent too many a second.
    TooFastRequests,
    /// Requests refused because one connection, or the gateway, had too many under way.
    BusyRequests,
    /// Connections closed for going on with any of it.
    FloodsClosed,
    /// Events dropped for slow readers.
    DroppedEvents,
    /// Events dropped because a worker could not keep up.
    LaggedEvents,
    /// Connections closed because they read too slowly.
    SlowClosed,
    /// Results of nodes that came too late, or twice.
    LateNodeResults,
}

/// One number per bound.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Count::LateNodeResults as usize + 1]);

impl Counts {
    /// One more.
    pub fn add(&self, count: Count) {
        self.0[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self, count: Count) -> u64 {
        self.0[count as usize].load(Ordering::Relaxed)
    }

    /// All of them, as `status` shows them.
    pub fn report(&self) -> LimitCounts {
        LimitCounts {
            too_many_before_handshake: self.get(Count::TooManyBeforeHandshake),
            too_fast_connects: self.get(Count::TooFastConnects),
            handshake_timeouts: self.get(Count::HandshakeTimeouts),
            failed_attempts: self.get(Count::FailedAttempts),
            lockouts: self.get(Count::Lockouts),
            refused_while_locked: self.get(Count::RefusedWhileLocked),
            delayed_answers: self.get(Count::DelayedAnswers),
            oversized_frames: self.get(Count::OversizedFrames),
            deep_frames: self.get(Count::DeepFrames),
            too_fast_requests: self.get(Count::TooFastRequests),
            busy_requests: self.get(Count::BusyRequests),
            floods_closed: self.get(Count::FloodsClosed),
            dropped_events: self.get(Count::DroppedEvents),
            lagged_events: self.get(Count::LaggedEvents),
            slow_closed: self.get(Count::SlowClosed),
            late_node_results: self.get(Count::LateNodeResults),
        }
    }
}
