//! Connections: the hubs step by step, and readers that know which `seq` they have to find.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use openclaw_protocol::Scope;
use openclaw_protocol::events::{HEALTH, PRESENCE};
use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::system::HealthSummary;
use serde_json::{Value, json};

use super::sim::Sim;
use crate::call::{Caller, ConnKey};
use crate::event::{Audience, Bump, Class, EventOut, Plain};
use crate::limiter::counts::Counts;
use crate::published::Rendered;
use crate::session::hub::{Links, apply};
use crate::session::link::Link;
use crate::session::queue::{HubItem, HubQueue, SnapshotParts};
use crate::tests::peer::{Wire, frames, hello, take};

/// One worker's hub.
pub(super) struct HubSide {
    pub(super) queue: Arc<HubQueue>,
    pub(super) links: Links,
    draining: bool,
}

impl HubSide {
    fn new(queue: HubQueue) -> Self {
        Self {
            queue: Arc::new(queue),
            links: Links::counted(Arc::new(Counts::default())),
            draining: false,
        }
    }

    /// One that falls behind.
    pub(super) fn small() -> Self {
        Self::new(HubQueue::with_bounds(3, 1 << 20))
    }

    pub(super) fn large() -> Self {
        Self::new(HubQueue::default())
    }
}

/// One connection, and what its reader has to find.
pub(super) struct Conn {
    pub(super) device: usize,
    pub(super) caller: Arc<Caller>,
    pub(super) link: Rc<Link>,
    pub(super) hub: usize,
    pub(super) max_buffered: usize,
    /// How many trusts had ended, by the gateway's count, when its handshake began.
    pub(super) trust_ends: u64,
    /// The same by the reference, when its device was judged.
    pub(super) judged: u64,
    /// Its session serves requests.
    pub(super) open: bool,
    pub(super) joined: bool,
    reading: bool,
    seq: u64,
    expected: VecDeque<u64>,
    buffer: BytesMut,
    versions: (u64, u64),
}

impl Conn {
    pub(super) fn new(
        device: usize,
        caller: Arc<Caller>,
        (hub, max_buffered): (usize, usize),
        (trust_ends, judged): (u64, u64),
    ) -> Self {
        Self {
            device,
            caller,
            link: Rc::new(Link::new(None, max_buffered, std::time::Duration::ZERO)),
            hub,
            max_buffered,
            trust_ends,
            judged,
            open: false,
            joined: false,
            reading: false,
            seq: 0,
            expected: VecDeque::new(),
            buffer: BytesMut::new(),
            versions: (0, 0),
        }
    }

    /// Who may see what, in the words of the design.
    fn wants(&self, audience: &Audience) -> bool {
        match audience {
            Audience::Everyone => true,
            Audience::Operators(scope) => self.caller.scopes.grants(*scope),
            Audience::Session(_) => self.caller.scopes.grants(Scope::Read),
            other => unreachable!("{other:?} is not told here"),
        }
    }

    fn version(&mut self, versions: &Value) {
        let now = (
            versions["presence"].as_u64().unwrap(),
            versions["health"].as_u64().unwrap(),
        );
        assert!(
            now.0 >= self.versions.0 && now.1 >= self.versions.1,
            "a version went back: {now:?} after {:?}",
            self.versions
        );
        self.versions = now;
    }
}

impl Sim {
    /// Presence and health, for as long as this life lasts.
    pub(super) fn begin_pulse(&mut self) {
        self.soon((300, 9_000), |sim| {
            let (name, bump, audience) = if sim.dice.one_in(3) {
                (HEALTH, Bump::Health, Audience::Everyone)
            } else {
                (PRESENCE, Bump::Presence, Audience::Operators(Scope::Read))
            };
            let pad = "x".repeat(sim.dice.below(300));
            let burst = 1 + sim.dice.below(6);
            for _ in 0..burst {
                let body = Plain(json!({ "pad": pad }));
                let mut out = EventOut::new(name, audience.clone(), body);
                if name == PRESENCE {
                    out = out.class(Class::Droppable);
                }
                out.bump = Some(bump);
                sim.emit(out);
            }
            if !sim.calm {
                sim.begin_pulse();
            }
        });
    }

    /// Mirrors the Gateway's handler of `Emit`.
    pub(super) fn emit(&mut self, out: EventOut) {
        let (event, hubs) = self.gateway().gateway.order(out);
        let hubs: Vec<_> = hubs.cloned().collect();
        for hub in hubs {
            hub.push_event(&event);
        }
        self.wake_hubs();
    }

    pub(super) fn wake_hubs(&mut self) {
        for at in 0..self.gateway().hubs.len() {
            if !std::mem::replace(&mut self.gateway().hubs[at].draining, true) {
                self.soon((0, 60), move |sim| sim.drain(at));
            }
        }
    }

    /// A hub's turn.
    fn drain(&mut self, at: usize) {
        let process = self.process.as_mut().expect("its life is not over");
        let hub = &mut process.hubs[at];
        hub.draining = false;
        let mut batch = VecDeque::new();
        let waker = Context::from_waker(Waker::noop());
        if hub.queue.poll_batch(&waker, &mut batch) == Poll::Pending {
            return;
        }
        let counts = &mut self.law.counts;
        let mut joined = Vec::new();
        for item in batch {
            let mut own: Vec<&mut Conn> = process
                .conns
                .values_mut()
                .filter(|conn| conn.hub == at)
                .collect();
            match &item {
                HubItem::Event(event) => {
                    for conn in own.iter_mut().filter(|conn| conn.joined) {
                        if conn.link.is_closed() || !conn.wants(&event.audience) {
                            continue;
                        }
                        conn.seq += 1;
                        if conn.link.buffered() <= conn.max_buffered {
                            conn.expected.push_back(conn.seq);
                        } else {
                            counts.dropped += 1;
                        }
                    }
                }
                HubItem::Lagged => {
                    counts.lagged += 1;
                    own.iter_mut()
                        .filter(|conn| conn.joined)
                        .for_each(|conn| conn.seq += 1);
                }
                HubItem::Join { caller, .. } => {
                    for conn in &mut own {
                        if conn.caller.conn == caller.conn {
                            conn.joined = true;
                            joined.push(caller.conn);
                        }
                    }
                }
                _ => {}
            }
            apply(&process.hubs[at].links, item);
        }
        for conn in joined {
            self.soon((0, 15), move |sim| sim.opened(conn));
        }
        self.wake_readers(at);
    }

    /// Mirrors what a session does once it joined: the trust that it came in by may have ended.
    fn opened(&mut self, conn: ConnKey) {
        let process = self.gateway();
        let ends = process.trust_ends.clone();
        let Some(conn) = process.conns.get_mut(&conn) else {
            return;
        };
        conn.open = true;
        let device = conn.caller.device_id.clone().unwrap();
        if ends.ended_since(conn.trust_ends, &device, conn.caller.role) {
            conn.link.close(4001, "device trust ended");
        }
        let hub = conn.hub;
        self.wake_readers(hub);
    }

    fn wake_readers(&mut self, hub: usize) {
        let mut due = Vec::new();
        for conn in self.gateway().conns.values_mut() {
            let has = conn.link.buffered() > 0 || conn.link.is_closed();
            if conn.hub == hub && has && !std::mem::replace(&mut conn.reading, true) {
                due.push((conn.caller.conn, conn.device));
            }
        }
        for (conn, device) in due {
            // The last device reads slowly.
            let span = if device == 3 { (500, 9_000) } else { (1, 200) };
            self.soon(span, move |sim| sim.read(conn));
        }
    }

    /// A client reads what waits.
    fn read(&mut self, key: ConnKey) {
        let Some(conn) = self.gateway().conns.get_mut(&key) else {
            return;
        };
        conn.reading = false;
        let Some(bytes) = take(&conn.link) else {
            return self.hang_up(key);
        };
        conn.buffer.extend_from_slice(&bytes);
        let found = frames(&mut conn.buffer);
        let mut delivered = 0;
        let mut answers = Vec::new();
        let device = conn.device;
        let mut over = false;
        for frame in found {
            match frame {
                Wire::Text(frame) if frame["type"] == "hello" => {
                    conn.version(&frame["stateVersion"]);
                    answers.push(frame);
                }
                Wire::Text(frame) if frame["type"] == "event" => {
                    let expected = conn.expected.pop_front();
                    assert_eq!(frame["seq"].as_u64(), expected, "{frame}");
                    if frame.get("stateVersion").is_some() {
                        conn.version(&frame["stateVersion"]);
                    }
                    delivered += 1;
                }
                Wire::Text(frame) => answers.push(frame),
                Wire::Ping => {}
                Wire::Close(..) => over = true,
            }
        }
        self.law.counts.delivered += delivered;
        for answer in answers {
            self.heard(device, &answer);
        }
        if over {
            self.hang_up(key);
        }
    }

    /// A connection is over, on both sides.
    pub(super) fn hang_up(&mut self, key: ConnKey) {
        let process = self.gateway();
        let Some(conn) = process.conns.remove(&key) else {
            return;
        };
        process.hubs[conn.hub].links.remove(key);
        process.gateway.leave(key);
        conn.caller.ended.set();
        conn.caller.hub.forget(key);
        self.lost(conn.device);
    }

    /// An answer in its place among the events; mirrors `Deliver`.
    pub(super) fn reply(&mut self, conn: ConnKey, id: u64, answer: &Result<Value, Value>) {
        let frame = to_bytes(&match answer {
            Ok(payload) => json!({ "type": "res", "id": id, "ok": true, "payload": payload }),
            Err(error) => json!({ "type": "res", "id": id, "ok": false, "error": error }),
        });
        let Some(hub) = self.gateway().conns.get(&conn).map(|conn| conn.hub) else {
            return;
        };
        self.gateway().hubs[hub].queue.push(HubItem::Reply {
            conn,
            frame,
            listen: Vec::new(),
        });
        self.wake_hubs();
    }

    /// Mirrors the Gateway's handler of `Register`.
    pub(super) fn register(&mut self, key: ConnKey, extra: BTreeMap<&'static str, String>) {
        let process = self.gateway();
        let Some(conn) = process.conns.get(&key) else {
            return;
        };
        process.gateway.join(&conn.caller);
        let snapshot = SnapshotParts {
            presence: Arc::new(Rendered::new(Vec::new())),
            health: Arc::new(Rendered::new(HealthSummary::default())),
            versions: process.gateway.versions(),
        };
        let (joined, _) = tokio::sync::oneshot::channel();
        process.hubs[conn.hub].queue.push(HubItem::Join {
            caller: Arc::clone(&conn.caller),
            snapshot,
            compose: Box::new(move |parts| {
                let mut frame: Value = serde_json::from_slice(&hello(parts)).unwrap();
                for (name, value) in extra {
                    frame[name] = value.into();
                }
                to_bytes(&frame)
            }),
            joined,
        });
        self.wake_hubs();
    }

    /// Mirrors the Gateway's handler of `Kick`.
    pub(super) fn kick(&mut self, matches: impl Fn(&Caller) -> bool) {
        let process = self.gateway();
        let hit: Vec<_> = process.gateway.connections().cloned().collect();
        for caller in hit.iter().filter(|caller| matches(caller)) {
            caller.hub.push(HubItem::Close {
                conn: caller.conn,
                code: 4001,
                reason: "device token revoked".into(),
            });
        }
        self.wake_hubs();
    }
}
