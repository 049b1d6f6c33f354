//! A client without a socket: its requests enter where a session hands them over, and what it gets
//! is read from its outbox as WebSocket frames.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes, BytesMut};
use openclaw_protocol::client::ClientMode;
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::frame::{RequestFrame, to_bytes};
use openclaw_protocol::{ClientId, Generation, Role, Scope, Scopes};
use serde_json::{Value, json};

use super::world::Core;
use crate::call::{Caller, ConnKey};
use crate::gateway::Register;
use crate::session::dispatch::Outcome;
use crate::session::hub::{Hub, Links};
use crate::session::link::Link;
use crate::session::queue::{HubQueue, SnapshotParts};

/// One worker thread's links and hub.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) links: Links,
    pub(super) queue: Arc<HubQueue>,
}

impl Worker {
    /// Starts a hub on the calling thread.
    pub(super) fn start(core: &Core) -> Self {
        let worker = Self {
            links: Links::default(),
            queue: Arc::default(),
        };
        Hub::start_here(
            worker.links.clone(),
            Arc::clone(&worker.queue),
            Arc::clone(&core.clock),
        );
        worker
    }
}

/// Who a client is.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(super) generation: Generation,
    pub(super) role: Role,
    pub(super) scopes: Scopes,
    pub(super) caps: Vec<String>,
    pub(super) max_buffered: usize,
}

impl Who {
    pub(crate) fn admin() -> Self {
        Self {
            generation: Generation::V4,
            role: Role::Operator,
            scopes: Scopes::of(&[Scope::Admin]),
            caps: Vec::new(),
            max_buffered: 1 << 24,
        }
    }

    pub(super) fn v3() -> Self {
        Self {
            generation: Generation::V3,
            ..Self::admin()
        }
    }

    pub(crate) fn caller(&self, queue: &Arc<HubQueue>) -> Arc<Caller> {
        Arc::new(self.somebody(queue))
    }

    /// A caller with a device.
    pub(super) fn of_device(&self, queue: &Arc<HubQueue>, device: &str) -> Arc<Caller> {
        Arc::new(Caller {
            device_id: Some(device.to_owned()),
            ..self.somebody(queue)
        })
    }

    fn somebody(&self, queue: &Arc<HubQueue>) -> Caller {
        let conn = ConnKey::next();
        let node = self.role == Role::Node;
        Caller {
            auth_epoch: None,
            conn,
            conn_id: format!("{conn:?}"),
            role: self.role,
            scopes: self.scopes,
            generation: self.generation,
            client: ClientInfo {
                id: ClientId::GatewayClient,
                display_name: None,
                version: "1".into(),
                build_id: None,
                platform: "test".into(),
                device_family: None,
                model_identifier: None,
                time_zone: None,
                mode: if node {
                    ClientMode::Node
                } else {
                    ClientMode::Ui
                },
                instance_id: None,
            },
            caps: self.caps.clone(),
            node: None,
            device_id: None,
            remote_ip: None,
            hub: Arc::clone(queue),
            ended: crate::call::Ended::default(),
            chain: Vec::new(),
            chat: None,
            in_flight: AtomicU32::new(0),
            subscriptions: crate::call::Subscriptions::default(),
            address: None,
        }
    }
}

/// What a server sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wire {
    Text(Value),
    Close(u16, String),
    Ping,
}

/// Takes whole frames off `buffer`.
pub(super) fn frames(buffer: &mut BytesMut) -> Vec<Wire> {
    let mut frames = Vec::new();
    while let Some((opcode, payload)) = frame(buffer) {
        frames.push(match opcode {
            1 => Wire::Text(serde_json::from_slice(&payload).unwrap()),
            8 => Wire::Close(
                u16::from_be_bytes([payload[0], payload[1]]),
                String::from_utf8(payload[2..].to_vec()).unwrap(),
            ),
            9 => Wire::Ping,
            other => unreachable!("opcode {other}"),
        });
    }
    frames
}

/// Takes one frame off `buffer`: its opcode and its payload.
pub(super) fn frame(buffer: &mut BytesMut) -> Option<(u8, Bytes)> {
    let (&first, &second) = (buffer.first()?, buffer.get(1)?);
    assert_eq!(first & 0xf0, 0x80, "one whole frame, no extension");
    assert!(second < 128, "a server does not mask");
    let (header, length) = match second {
        126 => (
            4,
            usize::from(u16::from_be_bytes(buffer.get(2..4)?.try_into().unwrap())),
        ),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(buffer.get(2..10)?.try_into().unwrap())).unwrap(),
        ),
        short => (2, usize::from(short)),
    };
    if buffer.len() < header + length {
        return None;
    }
    buffer.advance(header);
    Some((first & 0x0f, buffer.split_to(length).freeze()))
}

/// A connected client.
pub(super) struct Peer {
    pub(super) link: Rc<Link>,
    pub(super) caller: Arc<Caller>,
    core: Core,
    worker: Worker,
    buffer: BytesMut,
    waiting: std::collections::VecDeque<Wire>,
    pub(super) hello: Value,
    next_id: u64,
}

impl Peer {
    /// Registers and waits for hello-ok.
    pub(super) async fn connect(core: &Core, worker: &Worker, who: &Who) -> Self {
        let link = Rc::new(Link::new(None, who.max_buffered, core.clock.monotonic()));
        let caller = who.caller(&worker.queue);
        worker.links.insert(caller.conn, Rc::clone(&link));
        worker.links.identify(Arc::clone(&caller));
        let (joined, joining) = tokio::sync::oneshot::channel();
        assert!(core.gateway.register(Register {
            caller: Arc::clone(&caller),
            compose: Box::new(hello),
            joined,
        }));
        joining.await.unwrap();
        let mut peer = Self {
            link,
            caller,
            core: core.clone(),
            worker: worker.clone(),
            buffer: BytesMut::new(),
            waiting: std::collections::VecDeque::new(),
            hello: Value::Null,
            next_id: 0,
        };
        peer.hello = peer.next().await;
        peer
    }

    /// Sends a request; its id comes back.
    pub(super) fn request(&mut self, method: &str, params: &Value) -> String {
        self.next_id += 1;
        let id = self.next_id.to_string();
        let text = json!({"type": "req", "id": id, "method": method, "params": params}).to_string();
        let frame = RequestFrame::parse(&text).unwrap();
        let Core {
            dispatch,
            views,
            gateway,
            ..
        } = &self.core;
        match dispatch.serve(&frame, &self.caller, views, gateway) {
            Outcome::Answer(frame) | Outcome::WrongRole(frame) => {
                self.link.write_reply(&frame);
            }
            Outcome::Routed => {}
        }
        id
    }

    /// Sends a request and waits for its answer, passing over everything else.
    pub(super) async fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        self.answer(&id).await
    }

    /// Sends a request and shows every frame up to its answer.
    pub(super) async fn ask_and(
        &mut self,
        method: &str,
        params: &Value,
        mut see: impl FnMut(&Value),
    ) {
        let id = self.request(method, params);
        loop {
            let frame = self.next().await;
            see(&frame);
            if frame["type"] == "res" && frame["id"] == id.as_str() {
                return;
            }
        }
    }

    /// Waits for an answer, passing over everything else.
    pub(super) async fn answer(&mut self, id: &str) -> Value {
        self.until(|frame| frame["type"] == "res" && frame["id"] == id)
            .await
            .pop()
            .unwrap()
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            match self.next_wire().await {
                Wire::Text(frame) => return frame,
                Wire::Ping => self.link.hear(self.core.clock.monotonic()),
                Wire::Close(code, reason) => unreachable!("closed: {code} {reason}"),
            }
        }
    }

    async fn next_wire(&mut self) -> Wire {
        loop {
            if let Some(wire) = self.waiting.pop_front() {
                return wire;
            }
            let bytes = poll_fn(|cx| self.link.poll_take(cx)).await;
            self.buffer
                .extend_from_slice(&bytes.expect("the connection is open"));
            self.waiting.extend(frames(&mut self.buffer));
        }
    }

    /// Lets time pass; what arrives meanwhile is read and forgotten.
    pub(super) async fn rest(&mut self, span: std::time::Duration) {
        let end = tokio::time::Instant::now() + span;
        while tokio::time::timeout_at(end, self.next()).await.is_ok() {}
    }

    /// Every frame up to the first that matches.
    pub(super) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let frame = self.next().await;
            let found = wanted(&frame);
            seen.push(frame);
            if found {
                return seen;
            }
            // Paused time never runs out: the gateway's pulse would fill the memory.
            assert!(seen.len() < 5_000, "it never came");
        }
    }

    /// Closes the connection, as a client does.
    pub(super) fn leave(self) {
        self.worker.links.remove(self.caller.conn);
        self.core.gateway.unregister(self.caller.conn);
        self.link.end();
    }
}

/// What waits in an outbox now; `None` once the connection is over.
pub(super) fn take(link: &Link) -> Option<Bytes> {
    let mut all = BytesMut::new();
    loop {
        match link.poll_take(&Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(piece)) => all.extend_from_slice(&piece),
            Poll::Ready(None) if all.is_empty() => return None,
            Poll::Ready(None) | Poll::Pending => return Some(all.freeze()),
        }
    }
}

/// A hello-ok that shows the snapshot and nothing else.
pub(super) fn hello(parts: &SnapshotParts) -> Vec<u8> {
    let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
    to_bytes(&json!({
        "type": "hello",
        "presence": json(parts.presence.json()),
        "health": json(parts.health.json()),
        "stateVersion": parts.versions,
    }))
}

/// Whether a frame is this event.
pub(super) fn is_event(frame: &Value, name: &str) -> bool {
    frame["event"] == name
}
