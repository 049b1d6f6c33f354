//! The two tasks behind a connection: one reads, one writes.
//!
//! Bounds: the outgoing queue holds [`OUTGOING`] frames, a caller waits when it is full; at most
//! [`PENDING`] requests wait for an answer, further callers wait for a place; events that find the
//! stream of events full are dropped and told as a gap before the next one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::CloseReason;
use crate::inbound::{Event, EventMessage, Inbound, Reply, Sequence};

/// Frames that wait to be written.
pub(crate) const OUTGOING: usize = 64;
/// Requests that wait for an answer.
pub(crate) const PENDING: usize = 256;
/// How long the peer may take to answer a close, and the writer to get its last frames out.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A request that waits for its answer.
#[derive(Debug)]
struct Waiting {
    /// Two places: `accepted` and the final answer.
    answers: mpsc::Sender<Reply>,
    two_stage: bool,
}

/// The requests that wait for an answer, by id.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: Mutex<Option<BTreeMap<u64, Waiting>>>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Mutex::new(Some(BTreeMap::new())),
        }
    }

    /// A panic while the lock was held cannot leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<u64, Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the answers to request `id`; `None` when the connection is closed.
    pub(crate) fn register(&self, id: u64, two_stage: bool) -> Option<mpsc::Receiver<Reply>> {
        let (answers, receiver) = mpsc::channel(2);
        self.lock()
            .as_mut()?
            .insert(id, Waiting { answers, two_stage });
        Some(receiver)
    }

    pub(crate) fn forget(&self, id: u64) {
        if let Some(waiting) = self.lock().as_mut() {
            waiting.remove(&id);
        }
    }

    /// Hands an answer over; `false` when nobody waits for it.
    fn answer(&self, id: &str, reply: Reply) -> bool {
        let Ok(id) = id.parse::<u64>() else {
            return false;
        };
        let mut guard = self.lock();
        let Some(waiting) = guard.as_mut() else {
            return false;
        };
        let Some(entry) = waiting.get(&id) else {
            return false;
        };
        let first_of_two = entry.two_stage && is_accepted(&reply);
        // Fails only when the caller is gone or got both answers already: nobody to tell.
        let told = entry.answers.try_send(reply).is_ok();
        if !first_of_two {
            waiting.remove(&id);
        }
        told
    }

    /// Ends every wait, now and later.
    fn close(&self) {
        self.lock().take();
    }
}

fn is_accepted(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    struct Status<'a> {
        #[serde(borrow)]
        status: std::borrow::Cow<'a, str>,
    }
    reply.as_ref().is_ok_and(|payload| {
        serde_json::from_str::<Status<'_>>(payload.get())
            .is_ok_and(|answer| answer.status == "accepted")
    })
}

/// The reading side.
pub(crate) struct Reader<S> {
    pub(crate) stream: SplitStream<WebSocketStream<S>>,
    pub(crate) pending: Arc<Pending>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) sequence: Sequence,
    /// Weak: the reader alone does not keep a connection open.
    pub(crate) outgoing: mpsc::WeakSender<Message>,
    pub(crate) closed: watch::Sender<Option<CloseReason>>,
    /// Silence longer than this ends the connection.
    pub(crate) silence_limit: Duration,
    pub(crate) writer: JoinHandle<()>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Reader<S> {
    /// Reads until the connection ends, then tells everyone who waits.
    pub(crate) async fn run(mut self) {
        let reason = self.read_to_end().await;
        tracing::debug!(%reason, "gateway connection ended");
        let Self {
            mut stream,
            pending,
            events,
            closed,
            mut writer,
            ..
        } = self;
        closed.send_replace(Some(reason));
        pending.close();
        drop(events);
        // Reading on lets the answer to a close frame out; the peer then ends the stream.
        timeout(CLOSE_LIMIT, stream.next()).await.ok();
        // One that has ended was waited for already, which can be done once only.
        if !writer.is_finished() && timeout(CLOSE_LIMIT, &mut writer).await.is_err() {
            writer.abort();
        }
    }

    async fn read_to_end(&mut self) -> CloseReason {
        let mut missed = 0;
        let mut writing = true;
        loop {
            let limit = if writing {
                self.silence_limit
            } else {
                CLOSE_LIMIT
            };
            let next = tokio::select! {
                next = timeout(limit, self.stream.next()) => next,
                // The writer ends after a close frame, or when nobody holds the connection any more.
                _ = &mut self.writer, if writing => {
                    writing = false;
                    continue;
                }
            };
            match next {
                Err(_) if writing => return self.give_up(),
                Err(_) | Ok(None) if !writing => {
                    return CloseReason {
                        code: Some(1000),
                        reason: "closed by this client".into(),
                    };
                }
                Err(_) | Ok(None) => return broken("the connection was lost"),
                Ok(Some(Ok(Message::Close(frame)))) => {
                    return close_reason(frame);
                }
                Ok(Some(Ok(message))) => self.take(&message, &mut missed),
                Ok(Some(Err(WsError::ConnectionClosed | WsError::AlreadyClosed))) => {
                    return broken("the connection was lost");
                }
                Ok(Some(Err(error))) => return broken(&error.to_string()),
            }
        }
    }

    /// Closes a connection on which nothing came for too long.
    fn give_up(&self) -> CloseReason {
        let reason = CloseReason {
            code: Some(4000),
            reason: "tick timeout".into(),
        };
        if let Some(outgoing) = self.outgoing.upgrade() {
            let frame = CloseFrame {
                code: 4000.into(),
                reason: "tick timeout".into(),
            };
            // Full means that nothing gets out anyway; the writer is stopped below.
            outgoing.try_send(Message::Close(Some(frame))).ok();
        }
        reason
    }

    fn take(&mut self, message: &Message, missed: &mut u64) {
        let Ok(text) = message.to_text() else {
            return tracing::warn!("ignored a binary frame that is not text");
        };
        if message.is_ping() || message.is_pong() {
            return;
        }
        match Inbound::parse(text) {
            Ok(Inbound::Response { id, reply }) => {
                if !self.pending.answer(&id, reply) {
                    tracing::debug!(%id, "answer to a request that nobody waits for");
                }
            }
            Ok(Inbound::Event(event)) => self.publish(event, missed),
            Err(error) => tracing::warn!(%error, "ignored a frame of the gateway"),
        }
    }

    fn publish(&mut self, event: EventMessage, missed: &mut u64) {
        *missed += self.sequence.missed_before(event.seq);
        if *missed > 0 && self.events.try_send(Event::Gap { missed: *missed }).is_ok() {
            *missed = 0;
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(Event::Message(event))
        {
            *missed += 1;
        }
    }
}

fn broken(reason: &str) -> CloseReason {
    CloseReason {
        code: None,
        reason: reason.to_owned(),
    }
}

pub(crate) fn close_reason(frame: Option<CloseFrame>) -> CloseReason {
    match frame {
        Some(frame) => CloseReason {
            code: Some(frame.code.into()),
            reason: frame.reason.to_string(),
        },
        None => CloseReason {
            code: Some(1005),
            reason: "closed without a reason".into(),
        },
    }
}

/// Writes what is queued, in order, until a close frame went out or nobody can queue any more.
pub(crate) async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut queue: mpsc::Receiver<Message>,
) {
    while let Some(message) = queue.recv().await {
        let last = message.is_close();
        if let Err(error) = sink.send(message).await {
            // The reader sees the same and says why the connection ended.
            return tracing::debug!(%error, "cannot write to the gateway");
        }
        if last {
            return;
        }
    }
    sink.send(Message::Close(None)).await.ok();
}
