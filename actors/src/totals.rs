//! What was done since the start, in numbers, for `/metrics`: whoever does it counts it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// With an answer.
    Ok,
    /// With an error.
    Failed,
    /// Somebody, or its time limit, stopped it.
    Stopped,
}

impl RunEnd {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Failed, Self::Stopped];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A run that ended.
#[derive(Debug, Clone, Copy)]
pub struct RunDone<'a> {
    /// Its id.
    pub run_id: &'a str,
    /// Its agent.
    pub agent: &'a str,
    /// Who answered; empty where nobody was asked.
    pub provider: &'a str,
    /// The model that answered; empty where none was asked.
    pub model: &'a str,
    /// How it ended.
    pub end: RunEnd,
    /// When it began, milliseconds since the epoch.
    pub started_at: u64,
    /// When it ended.
    pub ended_at: u64,
}

/// Hears of each run's end, and does not hold it up.
pub type Listener = Box<dyn Fn(&RunDone<'_>) + Send + Sync>;

/// One number for each.
#[derive(Default)]
pub struct Totals {
    listener: OnceLock<Listener>,
    handshakes: AtomicU64,
    events: AtomicU64,
    runs: [AtomicU64; 3],
    run_ms: AtomicU64,
}

impl Totals {
    /// A connection was let in.
    pub fn handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// An event was put into the order.
    pub fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// A run ended.
    pub fn run(&self, done: &RunDone<'_>) {
        self.runs[done.end as usize].fetch_add(1, Ordering::Relaxed);
        let ms = done.ended_at.saturating_sub(done.started_at);
        self.run_ms.fetch_add(ms, Ordering::Relaxed);
        if let Some(listener) = self.listener.get() {
            listener(done);
        }
    }

    /// Who hears of each run's end; the first one counts.
    pub fn listen(&self, listener: Listener) {
        let _ = self.listener.set(listener);
    }

    /// Connections that were let in.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// Events that were put into the order.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Runs that ended so.
    pub fn runs(&self, end: RunEnd) -> u64 {
        self.runs[end as usize].load(Ordering::Relaxed)
    }

    /// How long all of them took together.
    pub fn run_time(&self) -> Duration {
        Duration::from_millis(self.run_ms.load(Ordering::Relaxed))
    }
}
