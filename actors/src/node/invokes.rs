//! The commands that one node has under way. Pure.
//!
//! **Invariant:** an invocation that was begun is told exactly one end: its result, that its time is
//! over, or that the node is gone; who no longer waits is told nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// Most commands that a node has under way.
pub const MAX_IN_FLIGHT: usize = 64;
/// Most bytes of requests whose results are not there yet.
pub const MAX_BYTES: usize = 32 << 20;

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The node carried it out.
    Done(Given),
    /// It did not, or nobody knows.
    Failed {
        /// The node's own code, or ours.
        code: Option<String>,
        /// In words.
        message: Option<String>,
    },
}

/// What a node gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// JSON text, as it wrote it.
    Text(String),
    /// A value; null for nothing.
    Value(Value),
}

impl Given {
    /// The value; null where there is none.
    pub fn decoded(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Text(text) => serde_json::from_str(&text).unwrap_or_default(),
        }
    }
}

impl Answer {
    /// A failure that the gateway found.
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::Failed {
            code: Some(code.to_owned()),
            message: Some(message.into()),
        }
    }
}

/// Who waits for a command.
#[derive(Debug)]
pub struct Waiting {
    /// The command.
    pub command: String,
    /// Bytes of its request.
    pub size: usize,
    /// When its time is over, on the monotonic clock.
    pub deadline: Duration,
    /// Told its end.
    pub tell: oneshot::Sender<Answer>,
    /// Shown what it has given so far.
    pub progress: Option<mpsc::Sender<String>>,
}

/// The node has too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The commands under way.
#[derive(Debug, Default)]
pub struct Invokes {
    pending: BTreeMap<String, (Waiting, u64)>,
    bytes: usize,
}

impl Invokes {
    /// Notes a command that is sent now.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn begin(&mut self, id: String, waiting: Waiting) -> Result<(), Full> {
        let bytes = self.bytes + waiting.size;
        // One alone may be as large as a frame.
        let too_large = bytes > MAX_BYTES && !self.pending.is_empty();
        if self.pending.len() >= MAX_IN_FLIGHT || too_large || self.pending.contains_key(&id) {
            return Err(Full);
        }
        self.bytes = bytes;
        self.pending.insert(id, (waiting, 0));
        Ok(())
    }

    /// Whether somebody waits for it.
    pub fn is_waiting(&self, id: &str) -> bool {
        self.pending.contains_key(id)
    }

    /// Ends a command; `None` when it is not under way (any more).
    pub fn end(&mut self, id: &str) -> Option<Waiting> {
        let (waiting, _) = self.pending.remove(id)?;
        self.bytes -= waiting.size;
        Some(waiting)
    }

    /// Passes on what a command has given so far; false when nobody waits for this piece.
    pub fn progress(&mut self, id: &str, seq: u64, chunk: String) -> bool {
        let Some((waiting, next)) = self.pending.get_mut(id) else {
            return false;
        };
        if seq < *next {
            return false;
        }
        *next = seq + 1;
        if let Some(progress) = &waiting.progress {
            // Who does not keep up misses pieces, and has the result.
            let _ = progress.try_send(chunk);
        }
        true
    }

    /// The commands whose time is over.
    pub fn expired(&self, now: Duration) -> Vec<String> {
        let over = |(_, (waiting, _)): &(&String, &(Waiting, u64))| waiting.deadline <= now;
        let found = self.pending.iter().filter(over);
        found.map(|(id, _)| id.clone()).collect()
    }

    /// When the next one's time is over.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.pending
            .values()
            .map(|(waiting, _)| waiting.deadline)
            .min()
    }

    /// Ends all of them.
    pub fn drain(&mut self) -> Vec<Waiting> {
        self.bytes = 0;
        let pending = std::mem::take(&mut self.pending);
        pending.into_values().map(|(waiting, _)| waiting).collect()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(size: usize, deadline: u64) -> (Waiting, oneshot::Receiver<Answer>) {
        let (tell, told) = oneshot::channel();
        let waiting = Waiting {
            command: "device.info".into(),
            size,
            deadline: Duration::from_secs(deadline),
            tell,
            progress: None,
        };
        (waiting, told)
    }

    #[test]
    fn a_node_has_so_much_under_way_and_no_more() {
        let mut invokes = Invokes::default();
        for n in 0..MAX_IN_FLIGHT {
            assert_eq!(invokes.begin(n.to_string(), waiting(1, 1).0), Ok(()));
        }
        assert_eq!(invokes.begin("more".into(), waiting(1, 1).0), Err(Full));
        assert!(invokes.end("7").is_some() && invokes.end("7").is_none());
        assert_eq!(invokes.begin("more".into(), waiting(1, 1).0), Ok(()));
        assert_eq!(invokes.drain().len(), MAX_IN_FLIGHT);
        // One alone may be of any size that a frame has; a second one waits its turn.
        assert_eq!(
            invokes.begin("a".into(), waiting(MAX_BYTES + 1, 1).0),
            Ok(())
        );
        assert_eq!(invokes.begin("b".into(), waiting(1, 1).0), Err(Full));
        assert!(invokes.end("a").is_some());
        assert_eq!(invokes.begin("b".into(), waiting(1, 1).0), Ok(()));
    }

    #[test]
    fn results_come_in_any_order_and_count_once() {
        let mut invokes = Invokes::default();
        let mut told = Vec::new();
        for id in ["a", "b", "c"] {
            let (waiting, receiver) = waiting(1, 1);
            invokes.begin(id.into(), waiting).unwrap();
            told.push((id, receiver));
        }
        for id in ["c", "a", "b", "a"] {
            if let Some(waiting) = invokes.end(id) {
                let given = Given::Value(id.into());
                waiting.tell.send(Answer::Done(given)).unwrap();
            }
        }
        for (id, mut receiver) in told {
            let expected = Answer::Done(Given::Value(id.into()));
            assert_eq!(receiver.try_recv(), Ok(expected));
        }
    }

    #[test]
    fn time_is_over_at_the_deadline() {
        let mut invokes = Invokes::default();
        invokes.begin("late".into(), waiting(1, 9).0).unwrap();
        invokes.begin("soon".into(), waiting(1, 5).0).unwrap();
        assert_eq!(invokes.next_deadline(), Some(Duration::from_secs(5)));
        assert!(invokes.expired(Duration::from_secs(4)).is_empty());
        assert_eq!(invokes.expired(Duration::from_secs(5)), ["soon"]);
    }

    #[test]
    fn pieces_count_in_their_order_and_once() {
        let mut invokes = Invokes::default();
        let (sender, mut receiver) = mpsc::channel(8);
        let (mut one, _told) = waiting(1, 1);
        one.progress = Some(sender);
        invokes.begin("a".into(), one).unwrap();
        for (seq, chunk, counts) in [(0, "x", true), (0, "x", false), (1, "y", true)] {
            assert_eq!(invokes.progress("a", seq, chunk.into()), counts);
        }
        assert!(!invokes.progress("b", 0, "z".into()));
        assert_eq!(receiver.try_recv().as_deref(), Ok("x"));
        assert_eq!(receiver.try_recv().as_deref(), Ok("y"));
        assert!(receiver.try_recv().is_err());
    }
}
