//! The hub of one worker thread: writes replies and events into the outboxes of its connections.
//!
//! A panic is caught around each item and each look after the connections, so that it costs that
//! item alone; the connections live in [`Links`]. Only the hub's own thread touches its links.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext, WrapStream as _, fut};
use futures_util::Stream;

use super::link::{Delivery, Link, Opcode};
use super::queue::{HubItem, HubQueue};
use crate::call::{Caller, ConnKey};
use crate::clock::SharedClock;
use crate::limiter::counts::{Count, Counts};
use crate::node::actor::PATIENCE;

/// How often links are looked after.
const SWEEP: Duration = Duration::from_secs(5);
/// A link that was silent this long is pinged.
const PING_AFTER: Duration = Duration::from_secs(25);
/// A link that was silent this long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(55);

/// The connections of one worker.
#[derive(Clone, Default)]
pub struct Links {
    entries: Rc<RefCell<HashMap<ConnKey, Entry>>>,
    counts: Arc<Counts>,
}

struct Entry {
    link: Rc<Link>,
    caller: Option<Arc<Caller>>,
    /// When it is ended if nobody is known to be behind it, on the monotonic clock.
    until: Duration,
}

impl Links {
    /// No connections yet; `counts` is told of what slow readers miss.
    pub fn counted(counts: Arc<Counts>) -> Self {
        Self {
            counts,
            ..Self::default()
        }
    }

    /// Adds a connection that has not joined yet.
    pub fn insert(&self, conn: ConnKey, link: Rc<Link>) {
        self.expect(conn, link, Duration::MAX);
    }

    /// Adds a connection that is ended unless it is known by `until` (on the monotonic clock) who is
    /// behind it. Its session ends it earlier, unless its socket takes nothing: then that actor is
    /// frozen, and its timers with it.
    pub fn expect(&self, conn: ConnKey, link: Rc<Link>, until: Duration) {
        let entry = Entry {
            link,
            caller: None,
            until,
        };
        self.entries.borrow_mut().insert(conn, entry);
    }

    /// Names who is behind a connection, before it is registered.
    pub fn identify(&self, caller: Arc<Caller>) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&caller.conn) {
            entry.caller = Some(caller);
        }
    }

    /// Removes a connection.
    pub fn remove(&self, conn: ConnKey) {
        self.entries.borrow_mut().remove(&conn);
    }

    /// Ends a connection that reads too slowly.
    fn end_slow(&self, link: &Link) {
        if !link.is_closed() {
            self.counts.add(Count::SlowClosed);
        }
        link.kill(1008, "slow consumer");
    }

    fn get(&self, conn: ConnKey) -> Option<Rc<Link>> {
        self.entries
            .borrow()
            .get(&conn)
            .map(|entry| Rc::clone(&entry.link))
    }
}

/// Applies one item of the queue.
pub(crate) fn apply(links: &Links, item: HubItem) {
    match item {
        HubItem::Event(event) => {
            for entry in links.entries.borrow().values() {
                match entry.link.deliver(&event) {
                    Delivery::Written | Delivery::NotForIt => {}
                    Delivery::Dropped => links.counts.add(Count::DroppedEvents),
                    Delivery::Overrun => links.end_slow(&entry.link),
                }
            }
        }
        HubItem::Reply {
            conn,
            frame,
            listen,
        } => {
            if let Some(link) = links.get(conn) {
                link.listen(listen);
                if link.write_reply(&frame) == Delivery::Overrun {
                    links.end_slow(&link);
                }
            }
        }
        HubItem::Join {
            caller,
            snapshot,
            compose,
            joined,
        } => {
            if let Some(link) = links.get(caller.conn) {
                link.write_text(&[&compose(&snapshot)]);
                link.join(caller);
                // The session is gone when nobody listens; its link follows.
                let _ = joined.send(());
            }
        }
        HubItem::Close { conn, code, reason } => {
            if let Some(link) = links.get(conn) {
                link.close(code, &reason);
            }
        }
        HubItem::CloseAll { code, reason } => {
            for entry in links.entries.borrow().values() {
                entry.link.close(code, reason);
            }
        }
        HubItem::Probe { conn, now } => {
            if let Some(link) = links.get(conn)
                && !link.is_closed()
                && link.probe(now, PATIENCE)
            {
                tracing::info!(
                    "a node does not answer pings while it has work; its connection is ended"
                );
                link.kill(1001, "no answer to pings");
            }
        }
        HubItem::Lagged => {
            for entry in links.entries.borrow().values() {
                entry.link.skip();
            }
        }
    }
}

struct Batches(Arc<HubQueue>);

impl Stream for Batches {
    type Item = VecDeque<HubItem>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut batch = VecDeque::new();
        self.0.poll_batch(cx, &mut batch).map(|()| Some(batch))
    }
}

/// The actor that empties one worker's queue.
pub struct Hub {
    links: Links,
    queue: Arc<HubQueue>,
    clock: SharedClock,
}

impl Hub {
    /// Starts a hub on the calling worker thread.
    pub fn start_here(links: Links, queue: Arc<HubQueue>, clock: SharedClock) {
        actix::Supervisor::start(move |_| Self {
            links,
            queue,
            clock,
        });
    }

    /// Pings the silent, ends the dead and those that take nothing.
    fn sweep(&self) {
        let now = self.clock.monotonic();
        for entry in self.links.entries.borrow().values() {
            let link = &entry.link;
            link.tick(now);
            let silent = now.saturating_sub(link.heard());
            // One that is being closed is no longer read from; it only has to take what is left.
            let open = entry.caller.is_some() && !link.is_closed();
            let overdue = entry.caller.is_none() && now > entry.until && !link.is_closed();
            if link.waited().is_some_and(|waited| waited > DEAD_AFTER) {
                self.links.end_slow(link);
            } else if overdue {
                self.links.counts.add(Count::HandshakeTimeouts);
                link.kill(1008, "handshake timeout");
            } else if open && silent > DEAD_AFTER {
                link.kill(1001, "no answer to pings");
            } else if open && silent > PING_AFTER {
                link.write(Opcode::Ping, &[]);
            }
        }
    }
}

impl Actor for Hub {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SWEEP, |hub, _| {
            let sweep = std::panic::AssertUnwindSafe(|| hub.sweep());
            if std::panic::catch_unwind(sweep).is_err() {
                tracing::error!(
                    "looking after the connections panicked; it goes on in the next turn"
                );
            }
        });
        let batches = Batches(Arc::clone(&self.queue)).into_actor(self);
        let drain = fut::ActorStreamExt::map(batches, |batch, hub: &mut Self, _| {
            for item in batch {
                // One bad item must not take the rest of the batch with it.
                let apply = std::panic::AssertUnwindSafe(|| apply(&hub.links, item));
                if std::panic::catch_unwind(apply).is_err() {
                    tracing::error!("a hub item panicked; it was skipped");
                }
            }
        });
        ctx.spawn(fut::ActorStreamExt::finish(drain).then(|(), _, _| fut::ready(())));
    }
}

impl actix::Supervised for Hub {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, TestClock};

    #[test]
    fn who_never_says_who_it_is_is_ended_though_its_session_is_frozen() {
        let clock = Arc::new(TestClock::frozen());
        let links = Links::default();
        let link = || Rc::new(Link::new(None, 1 << 20, Duration::ZERO));
        let (silent, inner) = (link(), link());
        let limit = Duration::from_secs(30);
        links.expect(ConnKey::next(), Rc::clone(&silent), limit);
        links.insert(ConnKey::next(), Rc::clone(&inner));
        let hub = Hub {
            links,
            queue: Arc::default(),
            clock: Arc::<TestClock>::clone(&clock),
        };
        // It is heard all the time, and what it is answered lies with the HTTP layer.
        clock.advance(limit);
        silent.hear(clock.monotonic());
        hub.sweep();
        assert!(!silent.is_closed());
        clock.advance(Duration::from_millis(1));
        silent.hear(clock.monotonic());
        hub.sweep();
        assert!(silent.is_closed() && !inner.is_closed());
        assert_eq!(hub.links.counts.report().handshake_timeouts, 1);
    }
}
