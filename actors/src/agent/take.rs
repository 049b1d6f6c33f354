//! Takes a model's stream to its end, and lets its pieces out at a steady pace.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use openclaw_protocol::methods::message::Usage as WireUsage;

use super::emit::Emitter;
use super::model::{self, ModelError, ModelEvent, ModelStream, StopReason, ToolCall};

/// Shortest time between two pieces of an answer on the wire.
const PACE: Duration = Duration::from_millis(75);
/// Every piece carries the whole text so far: long texts go out less often, so that a client gets at
/// most about this many bytes of text in a second.
const PACE_BYTES_PER_SECOND: u64 = 256 * 1024;
/// Most bytes of a model's visible reasoning that are kept.
const MAX_THINKING_BYTES: usize = 64 * 1024;

/// What a model said in one answer, apart from its text.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What it thought aloud.
    pub(super) thinking: String,
    /// The tools that it wants to be run.
    pub(super) calls: Vec<ToolCall>,
    /// What it cost.
    pub(super) usage: Option<WireUsage>,
    /// Whether it was cut at the model's limit.
    pub(super) cut: bool,
}

/// A stream that failed, and whether anything of it was shown.
pub(super) type Failed = (Box<ModelError>, bool);

/// Where an answer is written to.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    /// Tells those who listen; nobody does where the words are not for them.
    pub(super) emitter: Option<&'a Emitter>,
    /// The text so far, shared with readers.
    pub(super) text: &'a Arc<Mutex<String>>,
    /// Whether an earlier answer of the same run was shown before this one.
    pub(super) later: bool,
}

/// Takes a stream to its end. Pieces go out at most once per pace; what waits goes out with the
/// next one, or when the stream pauses.
pub(super) async fn take(mut stream: ModelStream, page: Page<'_>) -> Result<Taken, Failed> {
    let mut pacer = Pacer::new(page);
    let mut answer = Taken::default();
    loop {
        let event = tokio::select! {
            event = stream.next() => event,
            () = pacer.due() => {
                pacer.flush();
                continue;
            }
        };
        match event {
            Some(Ok(ModelEvent::Text(piece))) => pacer.add(&piece),
            Some(Ok(ModelEvent::Usage(usage))) => answer.usage = Some(wire_usage(usage)),
            Some(Ok(ModelEvent::Stop(reason))) => answer.cut = reason == StopReason::MaxTokens,
            Some(Ok(ModelEvent::Thinking(piece))) => {
                if answer.thinking.len() + piece.len() <= MAX_THINKING_BYTES {
                    answer.thinking.push_str(&piece);
                }
            }
            Some(Ok(ModelEvent::ToolCall(call))) => answer.calls.push(call),
            Some(Err(error)) => {
                pacer.flush();
                return Err((Box::new(error), pacer.emitted));
            }
            None => {
                pacer.flush();
                return Ok(answer);
            }
        }
    }
}

/// Collects pieces of an answer and emits them at a steady pace.
struct Pacer<'a> {
    page: Page<'a>,
    pending: String,
    last: Option<tokio::time::Instant>,
    pace: Duration,
    emitted: bool,
}

impl<'a> Pacer<'a> {
    fn new(page: Page<'a>) -> Self {
        Self {
            page,
            pending: String::new(),
            last: None,
            pace: PACE,
            emitted: false,
        }
    }

    fn add(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        self.page
            .text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(piece);
        self.pending.push_str(piece);
        if self.last.is_none_or(|last| last.elapsed() >= self.pace) {
            self.flush();
        }
    }

    /// Waits until what is pending may go out; for ever while nothing is.
    async fn due(&self) {
        match self.last {
            Some(last) if !self.pending.is_empty() => {
                tokio::time::sleep_until(last + self.pace).await;
            }
            _ => std::future::pending().await,
        }
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let whole = self
            .page
            .text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let first = (!self.emitted).then_some(self.page.later);
        if let Some(emitter) = self.page.emitter {
            emitter.delta(&whole, &self.pending, first);
        }
        self.pending.clear();
        self.emitted = true;
        self.pace = pace(whole.len());
        self.last = Some(tokio::time::Instant::now());
    }
}

fn pace(bytes: usize) -> Duration {
    let millis = (bytes as u64).saturating_mul(1_000) / PACE_BYTES_PER_SECOND;
    PACE.max(Duration::from_millis(millis))
}

fn wire_usage(usage: model::Usage) -> WireUsage {
    WireUsage {
        input: usage.input,
        output: usage.output,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        total_tokens: usage.input + usage.output + usage.cache_read + usage.cache_write,
        cost: None,
    }
}
