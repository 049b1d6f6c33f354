//! One connection as its worker sees it: the outbox that its socket drains, and what decides which
//! events enter it.
//!
//! The outbox belongs to the hub, not to the session actor: a blocked socket freezes that actor,
//! and a frozen actor could neither measure nor end its own backlog.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openclaw_protocol::{Generation, Role, Scope};
use tokio::sync::oneshot;

use crate::call::{Caller, Listen, MAX_SUBSCRIPTIONS};
use crate::event::{Audience, Class, Event, Form, StreamKey};

/// Most session keys that one connection can spell its own way.
const MAX_ALIASES: usize = 1_000;
/// Longest close reason, bytes; a control frame holds 125 with its code.
const MAX_REASON: usize = 120;

/// Most bytes that the socket is given at a time.
const MAX_PIECE: usize = 64 * 1024;

/// WebSocket opcodes that the gateway writes.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub enum Opcode {
    /// Text.
    Text = 1,
    /// Close.
    Close = 8,
    /// Ping.
    Ping = 9,
    /// Pong.
    Pong = 10,
}

#[derive(Default)]
struct Outbox {
    buffer: BytesMut,
    waker: Option<Waker>,
    /// Nothing more may be written; the socket ends when the buffer is drained.
    closed: bool,
    /// Since when the socket takes nothing of what waits; `None` while nothing does.
    waiting_since: Option<Duration>,
    /// Told when the socket has taken everything; dropped untold when the connection ends before.
    drained: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct Listening {
    caller: Option<Arc<Caller>>,
    seq: u64,
    session_index: bool,
    sessions: HashSet<Arc<str>>,
    aliases: HashMap<Arc<str>, Arc<str>>,
    /// Streams whose pieces this client has without a hole.
    whole: HashSet<(Arc<str>, &'static str)>,
}

/// Why a connection got or did not get an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was not meant for it; no `seq` was spent.
    NotForIt,
    /// It is in the outbox.
    Written,
    /// It was dropped; its `seq` was spent.
    Dropped,
    /// The client is too slow for an event that may not be dropped.
    Overrun,
}

/// One connection, shared by its session actor, its socket and its hub, all on one worker thread.
pub struct Link {
    outbox: RefCell<Outbox>,
    listening: RefCell<Listening>,
    socket: Option<TcpStream>,
    max_buffered: usize,
    now: Cell<Duration>,
    /// When the peer was last heard, on the monotonic clock.
    heard: Cell<Duration>,
    /// When a probe asked that nothing was heard after.
    asked: Cell<Option<Duration>>,
}

impl Link {
    /// A link whose client may leave `max_buffered` bytes unread; `socket` is a second handle on
    /// its connection, to end it from outside.
    pub fn new(socket: Option<TcpStream>, max_buffered: usize, now: Duration) -> Self {
        Self {
            outbox: RefCell::default(),
            listening: RefCell::default(),
            socket,
            max_buffered,
            now: Cell::new(now),
            heard: Cell::new(now),
            asked: Cell::new(None),
        }
    }

    /// Notes that the peer was heard.
    pub fn hear(&self, now: Duration) {
        self.heard.set(now);
        self.asked.set(None);
    }

    /// Pings the peer, unless it was pinged and has not been heard since; true when that was longer ago
    /// than `patience`. A socket that still takes what waits is given the time for it.
    pub fn probe(&self, now: Duration, patience: Duration) -> bool {
        self.tick(now);
        let Some(asked) = self.asked.get() else {
            self.asked.set(Some(now));
            self.write(Opcode::Ping, &[]);
            return false;
        };
        let takes = self.waited().is_some_and(|waited| waited <= patience);
        now.saturating_sub(asked) > patience && !takes
    }

    /// When the peer was last heard.
    pub fn heard(&self) -> Duration {
        self.heard.get()
    }

    /// Tells the link the time, for the age of what waits.
    pub fn tick(&self, now: Duration) {
        self.now.set(now);
    }

    /// How long the socket has taken nothing of what waits. A client that reads slowly, and reads, is
    /// no dead one: each piece that it takes begins the wait anew.
    pub fn waited(&self) -> Option<Duration> {
        self.outbox
            .borrow()
            .waiting_since
            .map(|since| self.now.get().saturating_sub(since))
    }

    /// Bytes that wait for the socket.
    pub fn buffered(&self) -> usize {
        self.outbox.borrow().buffer.len()
    }

    /// Writes a text frame, however full the outbox is.
    pub fn write_text(&self, parts: &[&[u8]]) {
        self.write(Opcode::Text, parts);
    }

    /// Writes an answer; a client that leaves more than its limit unread is ended.
    pub fn write_reply(&self, frame: &[u8]) -> Delivery {
        if self.buffered() > self.max_buffered && !self.is_closed() {
            return Delivery::Overrun;
        }
        self.write_text(&[frame]);
        Delivery::Written
    }

    /// Writes a frame of any kind.
    pub fn write(&self, opcode: Opcode, parts: &[&[u8]]) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.closed {
            return;
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        outbox.buffer.reserve(length + 10);
        outbox.buffer.extend_from_slice(&[0x80 | opcode as u8]);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => outbox.buffer.extend_from_slice(&[short]),
            (_, Ok(medium)) => {
                outbox.buffer.extend_from_slice(&[126]);
                outbox.buffer.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                outbox.buffer.extend_from_slice(&[127]);
                outbox
                    .buffer
                    .extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        for part in parts {
            outbox.buffer.extend_from_slice(part);
        }
        outbox.waiting_since.get_or_insert(self.now.get());
        wake(&mut outbox);
    }

    /// Writes a close frame and ends the socket once it is drained.
    pub fn close(&self, code: u16, reason: &str) {
        let mut end = reason.len().min(MAX_REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        self.write(
            Opcode::Close,
            &[&code.to_be_bytes(), &reason.as_bytes()[..end]],
        );
        self.end();
    }

    /// Ends the socket once what waits is drained.
    pub fn end(&self) {
        let mut outbox = self.outbox.borrow_mut();
        outbox.closed = true;
        wake(&mut outbox);
    }

    /// Whether the connection is being closed.
    pub fn is_closed(&self) -> bool {
        self.outbox.borrow().closed
    }

    /// Ends the connection at once, whether its socket is blocked or not. A close frame cannot
    /// pass a full socket, so the code is only a best effort.
    pub fn kill(&self, code: u16, reason: &str) {
        self.close(code, reason);
        if let Some(socket) = &self.socket {
            // An error means that it is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Takes what waits, for the socket; `None` when the connection is over.
    pub fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut outbox = self.outbox.borrow_mut();
        if !outbox.buffer.is_empty() {
            // In pieces: the HTTP layer copies what it is given, however much its socket takes.
            let piece = outbox.buffer.len().min(MAX_PIECE);
            let piece = outbox.buffer.split_to(piece).freeze();
            if outbox.buffer.is_empty() {
                outbox.buffer = BytesMut::new();
                outbox.waiting_since = None;
                if let Some(drained) = outbox.drained.take() {
                    // Nobody waits any more when it cannot be told.
                    let _ = drained.send(());
                }
            } else {
                outbox.waiting_since = Some(self.now.get());
            }
            return Poll::Ready(Some(piece));
        }
        if outbox.closed {
            // The HTTP layer still has to get rid of the last pieces: its time counts from here.
            outbox.waiting_since.get_or_insert(self.now.get());
            return Poll::Ready(None);
        }
        outbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Tells `drained` once the socket has taken everything that is written now.
    pub fn when_drained(&self, drained: oneshot::Sender<()>) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.buffer.is_empty() {
            // As above.
            let _ = drained.send(());
        } else {
            outbox.drained = Some(drained);
        }
    }

    /// From here on the connection receives events as `caller`.
    pub fn join(&self, caller: Arc<Caller>) {
        self.listening.borrow_mut().caller = Some(caller);
    }

    /// Changes what the connection listens to.
    pub fn listen(&self, changes: Vec<Listen>) {
        let mut listening = self.listening.borrow_mut();
        for change in changes {
            match change {
                Listen::SessionIndex(on) => listening.session_index = on,
                Listen::Session(key, false) => {
                    // Pieces that it misses from here on leave no other trace.
                    if listening.sessions.remove(&key) {
                        listening.whole.clear();
                    }
                }
                Listen::Session(key, true) => {
                    // Refused by the owner of sessions, when there are too many.
                    if listening.sessions.len() < MAX_SUBSCRIPTIONS {
                        listening.sessions.insert(key);
                    }
                }
                Listen::Alias { canonical, written } => {
                    if listening.aliases.len() < MAX_ALIASES {
                        listening.aliases.insert(canonical, written);
                    }
                }
            }
        }
    }

    /// Spends one `seq` for events that were dropped before they reached this connection.
    pub fn skip(&self) {
        let mut listening = self.listening.borrow_mut();
        if listening.caller.is_some() {
            listening.seq += 1;
            listening.whole.clear();
        }
    }

    /// Delivers an event: filter first, then take a `seq`, then drop it if the client is too slow.
    pub fn deliver(&self, event: &Event) -> Delivery {
        let mut listening = self.listening.borrow_mut();
        let Some(caller) = listening.caller.clone() else {
            return Delivery::NotForIt;
        };
        if self.is_closed() {
            return Delivery::NotForIt;
        }
        if !listening.wants(&caller, &event.audience) {
            return Delivery::NotForIt;
        }
        let form = match &event.class {
            Class::Delta(stream) if caller.generation == Generation::V4 => listening.form(stream),
            _ => Form::Normal,
        };
        let Some(head) = event.head(caller.generation, form) else {
            return Delivery::NotForIt;
        };
        // What a node follows is for it alone, and has no place in an order.
        let targeted = caller.role == Role::Node && event.audience != Audience::Everyone;
        if !targeted {
            listening.seq += 1;
        }
        let seq = (!targeted).then_some(listening.seq);
        if let Class::EndOfRun(run) = &event.class {
            listening.whole.retain(|(other, _)| other != run);
        }
        if self.buffered() > self.max_buffered {
            return match &event.class {
                Class::Delta(stream) => {
                    listening
                        .whole
                        .remove(&(Arc::clone(&stream.run), stream.stream));
                    Delivery::Dropped
                }
                Class::Droppable => Delivery::Dropped,
                Class::Keep | Class::EndOfRun(_) => Delivery::Overrun,
            };
        }
        if let Class::Delta(stream) = &event.class {
            listening
                .whole
                .insert((Arc::clone(&stream.run), stream.stream));
        }
        let key = event
            .session()
            .map(|key| listening.aliases.get(key).unwrap_or(key));
        let mut tail = Vec::with_capacity(32);
        head.write_tail(key.map(|key| &**key), seq, &mut tail);
        drop(listening);
        self.write_text(&[head.bytes(), &tail]);
        Delivery::Written
    }
}

impl Listening {
    fn wants(&self, caller: &Caller, audience: &Audience) -> bool {
        if *audience == Audience::Everyone {
            return true;
        }
        if caller.role != Role::Operator {
            // A node follows the conversations that it subscribed to, which takes an owner's approval.
            return matches!(audience, Audience::Session(key) if self.sessions.contains(key));
        }
        match audience {
            Audience::Everyone => true,
            Audience::Operators(scope) => caller.grants(*scope),
            Audience::SessionIndex => self.session_index && caller.grants(Scope::Read),
            Audience::SessionMessages(key) => {
                self.sessions.contains(key) && caller.grants(Scope::Read)
            }
            Audience::Session(key) | Audience::SessionTools(key) => {
                let shows =
                    matches!(audience, Audience::Session(_)) || caller.has_cap("tool-events");
                shows
                    && caller.grants(Scope::Read)
                    && (!caller.has_cap("session-scoped-events") || self.sessions.contains(key))
            }
        }
    }

    /// A client that has every piece so far gets the increment, any other the whole text.
    fn form(&self, stream: &StreamKey) -> Form {
        if stream.first
            || self
                .whole
                .contains(&(Arc::clone(&stream.run), stream.stream))
        {
            Form::Normal
        } else {
            Form::Replace
        }
    }
}

fn wake(outbox: &mut Outbox) {
    if let Some(waker) = outbox.waker.take() {
        waker.wake();
    }
}
