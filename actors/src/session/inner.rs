//! A connection without a socket: how other ways in (HTTP) use the same methods, scopes, order and
//! runs as WebSocket clients.
//!
//! It is registered like any other, its frames are taken from its outbox, and it lives on the thread
//! of the worker whose hub serves it. Who only asks and waits for the answer is a [`super::line::Line`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use openclaw_protocol::frame::RequestFrame;
use openclaw_protocol::{ErrorShape, Scopes};
use serde_json::{Value, json};

use super::dispatch::Outcome;
use super::link::Link;
use super::socket::{SessionShared, Worker};
use crate::call::Caller;
use crate::gateway::Register;

/// Longest wait for the Gateway.
const JOIN_LIMIT: Duration = Duration::from_secs(10);

/// Whom a connection stands for.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// What it may do.
    pub scopes: Scopes,
    /// The peer's address, `None` for this machine.
    pub remote_ip: Option<String>,
    /// Under which of the gateway's secrets it came in.
    pub auth_epoch: u64,
    /// Its name, as logs and owners see it.
    pub name: &'static str,
}

/// The connection. Dropped, it is gone.
pub struct InnerConnection {
    link: Rc<Link>,
    caller: Arc<Caller>,
    shared: Arc<SessionShared>,
    worker: Worker,
    buffer: BytesMut,
    waiting: VecDeque<Value>,
    requests: u64,
}

impl InnerConnection {
    /// Registers with the Gateway.
    ///
    /// # Errors
    ///
    /// `UNAVAILABLE` when it does not take the connection.
    pub async fn open(
        shared: &Arc<SessionShared>,
        worker: &Worker,
        entrant: Entrant,
    ) -> Result<Self, ErrorShape> {
        let now = shared.clock.monotonic();
        let link = Rc::new(Link::new(None, shared.limits.max_buffered, now));
        let hub = Arc::clone(&worker.queue);
        let caller = Arc::new(Caller {
            conn_id: shared.entropy.uuid().to_string(),
            remote_ip: entrant.remote_ip,
            auth_epoch: Some(entrant.auth_epoch),
            ..Caller::own(entrant.name.to_owned(), entrant.scopes, hub)
        });
        worker.links.insert(caller.conn, Rc::clone(&link));
        worker.links.identify(Arc::clone(&caller));
        // From here on dropping it takes it back.
        let connection = Self {
            link,
            caller: Arc::clone(&caller),
            shared: shared.clone(),
            worker: worker.clone(),
            buffer: BytesMut::new(),
            waiting: VecDeque::new(),
            requests: 0,
        };
        let (joined, joining) = tokio::sync::oneshot::channel();
        let busy = || ErrorShape::unavailable("the gateway is busy; try again").retry_after(1_000);
        let registered = shared.gateway.register(Register {
            caller,
            compose: Box::new(|_| b"{\"type\":\"hello\"}".to_vec()),
            joined,
        });
        if !registered {
            return Err(busy());
        }
        match tokio::time::timeout(JOIN_LIMIT, joining).await {
            Ok(Ok(())) => Ok(connection),
            _ => Err(busy()),
        }
    }

    /// Sends a request; its answer is one of the next frames, with the id that comes back.
    pub fn request(&mut self, method: &str, params: &Value) -> String {
        self.requests += 1;
        let id = self.requests.to_string();
        let text =
            json!({ "type": "req", "id": id, "method": method, "params": params }).to_string();
        let SessionShared {
            dispatch,
            views,
            gateway,
            ..
        } = &*self.shared;
        let Ok(frame) = RequestFrame::parse(&text) else {
            // Its answer never comes; the limits of whoever waits for it end that.
            tracing::error!(method, "a request of our own is not well formed");
            return id;
        };
        if let Outcome::Answer(frame) | Outcome::WrongRole(frame) =
            dispatch.serve(&frame, &self.caller, views, gateway)
        {
            self.link.write_reply(&frame);
        }
        id
    }

    /// The next frame; `None` when the gateway ended the connection.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Some(frame);
            }
            let bytes = poll_fn(|cx| self.link.poll_take(cx)).await?;
            self.buffer.extend_from_slice(&bytes);
            while let Some((opcode, payload)) = frame(&mut self.buffer) {
                match opcode {
                    1 => self.waiting.extend(serde_json::from_slice(&payload).ok()),
                    8 => return None,
                    // A ping: whoever reads is alive.
                    _ => self.link.hear(self.shared.clock.monotonic()),
                }
            }
        }
    }
}

impl Drop for InnerConnection {
    fn drop(&mut self) {
        self.worker.links.remove(self.caller.conn);
        self.shared.gateway.unregister(self.caller.conn);
        self.link.end();
    }
}

/// Takes a frame of ours off `buffer`: whole, not masked, without extensions.
fn frame(buffer: &mut BytesMut) -> Option<(u8, Bytes)> {
    let (&first, &second) = (buffer.first()?, buffer.get(1)?);
    let (header, length) = match second & 0x7f {
        126 => (
            4,
            u64::from(u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?)),
        ),
        127 => (10, u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    let length = usize::try_from(length).ok()?;
    if buffer.len() < header + length {
        return None;
    }
    buffer.advance(header);
    Some((first & 0x0f, buffer.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_taken_whole() {
        let link = Link::new(None, 1 << 24, Duration::ZERO);
        let texts = ["x".repeat(3), "y".repeat(200), "z".repeat(70_000)];
        for text in &texts {
            link.write_text(&[text.as_bytes()]);
        }
        let mut buffer = BytesMut::new();
        let mut taken = Vec::new();
        let context = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Some(piece)) = link.poll_take(&context) {
            // As they come from a socket: in pieces.
            for byte in piece {
                buffer.extend_from_slice(&[byte]);
                taken.extend(frame(&mut buffer).map(|(_, payload)| payload));
            }
        }
        assert_eq!(taken, texts.map(Bytes::from));
    }
}
