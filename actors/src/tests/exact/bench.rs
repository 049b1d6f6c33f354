//! The Gateway, a hub that is worked step by step, and the model of both.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use openclaw_protocol::Generation;
use openclaw_protocol::Scope;
use openclaw_protocol::events::ChatState;
use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::events::chat::ChatFinal;
use openclaw_protocol::frame::to_bytes;
use serde_json::json;

use super::Step;
use super::client::{Client, Counts, Expected, Subscribed, Told};
use crate::agent::emit::Emitter;
use crate::call::{ConnKey, Listen};
use crate::event::{Audience, Bump, Class, EventOut, Plain, PlainV4};
use crate::gateway::{Kick, Register};
use crate::session::hub::{Links, apply};
use crate::session::link::Link;
use crate::session::queue::{HubItem, HubQueue};
use crate::tests::peer::{Who, frames, hello, take};
use crate::tests::world::{Core, gateway};

const SESSIONS: [&str; 3] = ["agent:main:main", "agent:main:other", "agent:main:third"];

/// What waits for the hub, as the model knows it.
#[derive(Debug)]
enum Queued {
    Join(ConnKey),
    Reply {
        conn: ConnKey,
        mark: u64,
        listen: Vec<Listen>,
    },
    Event(Told),
    Lagged,
}
struct Run {
    id: String,
    emitter: Emitter,
    session: Arc<str>,
    text: String,
}
pub(super) struct Bench {
    core: Core,
    links: Links,
    queue: Arc<HubQueue>,
    max_events: usize,
    profiles: Vec<Who>,
    clients: Vec<Option<Client>>,
    /// The hub's queue, and how many events were taken in since it was last emptied.
    queued: VecDeque<Queued>,
    counted: usize,
    /// What was taken from the queue and is not applied yet, really and in the model.
    batch: VecDeque<HubItem>,
    taken: VecDeque<Queued>,
    runs: Vec<Run>,
    marks: u64,
    counts: Counts,
}
pub(super) fn session(index: usize) -> Arc<str> {
    SESSIONS[index].into()
}
impl Bench {
    pub(super) fn new(profiles: Vec<Who>, max_events: usize) -> Self {
        Self {
            core: gateway(),
            links: Links::default(),
            queue: Arc::new(HubQueue::with_bounds(max_events, 1 << 30)),
            max_events,
            clients: profiles.iter().map(|_| None).collect(),
            profiles,
            queued: VecDeque::new(),
            counted: 0,
            batch: VecDeque::new(),
            taken: VecDeque::new(),
            runs: Vec::new(),
            marks: 0,
            counts: Counts::default(),
        }
    }

    pub(super) async fn take(&mut self, step: Step) {
        match step {
            Step::Join(client) => self.join(client),
            Step::Leave(client) => self.leave(client),
            Step::Listen(client, at, on) => self.listen(client, &session(at), on),
            Step::Index(client, on) => self.reply(client, 0, vec![Listen::SessionIndex(on)]),
            Step::Reply(client, size) => self.reply(client, size, Vec::new()),
            Step::Emit(what, at, size) => self.emit(what, session(at), size),
            Step::Begin(at) => self.begin(session(at)),
            Step::Grow(run, size) => self.grow(run, size),
            Step::End(run) => self.end(run),
            Step::Hub(items) => self.hub(items).await,
            Step::Read(client) => self.read(client),
        }
    }

    pub(super) fn join(&mut self, at: usize) {
        match &self.clients[at] {
            Some(client) if client.over => self.leave(at),
            Some(_) => return,
            None => {}
        }
        let who = &self.profiles[at];
        let caller = who.caller(&self.queue);
        let link = Rc::new(Link::new(None, who.max_buffered, std::time::Duration::ZERO));
        self.links.insert(caller.conn, Rc::clone(&link));
        self.links.identify(Arc::clone(&caller));
        let (joined, _) = tokio::sync::oneshot::channel();
        let caller_too = Arc::clone(&caller);
        assert!(self.core.gateway.register(Register {
            caller: caller_too,
            compose: Box::new(hello),
            joined,
        }));
        self.queued.push_back(Queued::Join(caller.conn));
        self.clients[at] = Some(Client {
            caller,
            link,
            max_buffered: who.max_buffered,
            buffer: BytesMut::new(),
            joined: false,
            over: false,
            seq: 0,
            heard: Subscribed::default(),
            ahead: Subscribed::default(),
            written: BTreeMap::new(),
            expected: VecDeque::new(),
            texts: BTreeMap::new(),
            versions: (0, 0),
        });
    }

    fn leave(&mut self, at: usize) {
        self.read(at);
        if let Some(client) = self.clients[at].take() {
            self.links.remove(client.caller.conn);
            self.core.gateway.unregister(client.caller.conn);
        }
    }

    pub(super) fn listen(&mut self, at: usize, session: &Arc<str>, on: bool) {
        let Some(client) = &self.clients[at] else {
            return;
        };
        let mut changes = vec![Listen::Session(Arc::clone(session), on)];
        if client.caller.generation == Generation::V3 {
            let written = session.rsplit(':').next().unwrap().into();
            changes.push(Listen::Alias {
                canonical: Arc::clone(session),
                written,
            });
        }
        self.reply(at, 0, changes);
    }

    fn reply(&mut self, at: usize, size: usize, listen: Vec<Listen>) {
        let Some(client) = &mut self.clients[at] else {
            return;
        };
        client.ahead.change(&listen);
        self.marks += 1;
        let (conn, mark) = (client.caller.conn, self.marks);
        let frame = to_bytes(&json!({"type": "res", "mark": mark, "pad": "x".repeat(size)}));
        let item = HubItem::Reply {
            conn,
            frame,
            listen: listen.clone(),
        };
        self.core.gateway.deliver(Arc::clone(&self.queue), item);
        self.queued.push_back(Queued::Reply { conn, mark, listen });
    }

    fn emit(&mut self, what: usize, session: Arc<str>, size: usize) {
        self.marks += 1;
        let body = json!({"mark": self.marks, "pad": "x".repeat(size)});
        let (name, audience, droppable, bump) = match what {
            0 => ("tick", Audience::Everyone, false, None),
            1 => ("health", Audience::Everyone, false, Some(Bump::Health)),
            2 => (
                "presence",
                Audience::Operators(Scope::Read),
                true,
                Some(Bump::Presence),
            ),
            3 => (
                "device.pair.requested",
                Audience::Operators(Scope::Pairing),
                true,
                None,
            ),
            4 => ("sessions.changed", Audience::SessionIndex, true, None),
            5 => (
                "session.message",
                Audience::SessionMessages(session),
                false,
                None,
            ),
            6 => (
                "device.pair.resolved",
                Audience::Operators(Scope::Admin),
                true,
                None,
            ),
            _ => ("tick", Audience::Everyone, true, None),
        };
        let since_v4 = matches!(what, 4 | 5);
        let mut event = if since_v4 {
            EventOut::new(name, audience.clone(), PlainV4(body))
        } else {
            EventOut::new(name, audience.clone(), Plain(body))
        };
        if droppable {
            event = event.class(Class::Droppable);
        }
        event.bump = bump;
        self.core.gateway.emit(event);
        let mark = self.marks;
        self.tell(Told {
            name,
            audience,
            droppable,
            since_v4,
            run: None,
            mark,
        });
    }

    fn begin(&mut self, session: Arc<str>) {
        self.marks += 1;
        let serial = self.marks;
        let id = format!("run-{serial}");
        let emitter = Emitter::new(
            self.core.gateway.clone(),
            Arc::clone(&self.core.clock),
            id.as_str().into(),
            serial,
            Arc::clone(&session),
            "main".into(),
            "s".into(),
        );
        emitter.lifecycle(Data::started(1));
        self.runs.push(Run {
            id,
            emitter,
            session,
            text: String::new(),
        });
        self.tell_run(self.runs.len() - 1, "agent", false);
    }

    /// A run's text grows; runs that ended stay silent.
    fn grow(&mut self, run: usize, size: usize) {
        let Some(run) = self.runs.len().checked_sub(run + 1) else {
            return;
        };
        self.marks += 1;
        let delta = format!("{}{}", self.marks, "y".repeat(size));
        let Run { emitter, text, .. } = &mut self.runs[run];
        let first = text.is_empty();
        text.push_str(&delta);
        emitter.delta(text, &delta, first.then_some(false));
        self.tell_run(run, "agent", true);
        self.tell_run(run, "chat", true);
    }

    fn end(&mut self, run: usize) {
        let Some(run) = self.runs.len().checked_sub(run + 1) else {
            return;
        };
        self.runs[run].emitter.end(ChatState::Final(ChatFinal {
            message: None,
            usage: None,
            stop_reason: None,
        }));
        self.tell_run(run, "chat", false);
        self.runs.remove(run);
    }

    fn tell_run(&mut self, run: usize, name: &'static str, droppable: bool) {
        let Run {
            id, session, text, ..
        } = &self.runs[run];
        let told = Told {
            name,
            audience: Audience::Session(Arc::clone(session)),
            droppable,
            since_v4: false,
            run: Some((id.clone(), text.clone())),
            mark: 0,
        };
        self.tell(told);
    }

    /// The rule of the queue: what nobody takes does not enter, full drops the event and leaves one mark.
    fn tell(&mut self, told: Told) {
        let mut clients = self.clients.iter().flatten();
        if !clients.any(|client| client.wants(&told, &client.ahead)) {
            return;
        }
        if self.counted < self.max_events {
            self.counted += 1;
            self.queued.push_back(Queued::Event(told));
        } else if !matches!(self.queued.back(), Some(Queued::Lagged)) {
            self.queued.push_back(Queued::Lagged);
        }
    }

    /// The hub's next `items` pieces of work.
    async fn hub(&mut self, items: usize) {
        // A message to the Gateway that is answered after all before it.
        let nobody = Kick {
            matches: Box::new(|_| false),
            code: 1000,
            reason: String::new(),
        };
        self.core.gateway.addr().send(nobody).await.unwrap();
        if self.batch.is_empty() {
            let cx = Context::from_waker(Waker::noop());
            let polled = self.queue.poll_batch(&cx, &mut self.batch);
            assert_eq!(polled.is_ready(), !self.queued.is_empty());
            if polled == Poll::Ready(()) {
                self.taken = std::mem::take(&mut self.queued);
                self.counted = 0;
            }
            assert_eq!(self.batch.len(), self.taken.len());
        }
        for _ in 0..items.min(self.batch.len()) {
            if let (Some(item), Some(queued)) = (self.batch.pop_front(), self.taken.pop_front()) {
                self.foresee(queued);
                apply(&self.links, item);
            }
        }
    }

    /// Writes down what every client has to get from one piece of the hub's work.
    fn foresee(&mut self, queued: Queued) {
        let counts = &mut self.counts;
        let mut clients = self
            .clients
            .iter_mut()
            .flatten()
            .filter(|client| !client.over);
        match queued {
            Queued::Join(conn) => {
                if let Some(client) = clients.find(|client| client.caller.conn == conn) {
                    client.joined = true;
                    client.expected.push_back(Expected::Hello);
                }
            }
            Queued::Reply { conn, mark, listen } => {
                if let Some(client) = clients.find(|client| client.caller.conn == conn) {
                    client.listen(listen);
                    client.foresee(Expected::Reply(mark), counts);
                }
            }
            Queued::Event(told) => {
                for client in
                    clients.filter(|client| client.joined && client.wants(&told, &client.heard))
                {
                    let targeted = client.is_targeted(&told);
                    client.seq += u64::from(!targeted);
                    if told.droppable && client.is_slow() {
                        counts.dropped += 1;
                    } else {
                        let seq = (!targeted).then_some(client.seq);
                        let expected = Expected::Event(seq, told.clone(), client.key(&told));
                        client.foresee(expected, counts);
                    }
                }
            }
            Queued::Lagged => {
                counts.lagged += 1;
                for client in clients.filter(|client| client.joined) {
                    client.seq += 1;
                }
            }
        }
    }

    fn read(&mut self, at: usize) {
        if let Some(client) = &mut self.clients[at]
            && let Some(bytes) = take(&client.link)
        {
            client.buffer.extend_from_slice(&bytes);
            for frame in frames(&mut client.buffer) {
                client.check(&frame, &mut self.counts);
            }
            assert!(
                client.buffer.is_empty() && client.expected.is_empty(),
                "missing {:?}",
                client.expected
            );
        }
    }

    /// Everything that is under way arrives.
    pub(super) async fn finish(mut self) -> Counts {
        self.hub(usize::MAX).await;
        self.hub(usize::MAX).await;
        for at in 0..self.clients.len() {
            self.read(at);
        }
        self.counts
    }
}
