//! What the Gateway holds: connections, the event number, the state versions. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_protocol::connect::StateVersion;

use crate::call::{Caller, ConnKey};
use crate::event::{Bump, Event, EventOut};
use crate::session::queue::HubQueue;

/// A worker's hub and how many connections it carries.
struct HubEntry {
    queue: Arc<HubQueue>,
    connections: usize,
}

/// The Gateway's state.
#[derive(Default)]
pub struct GatewayState {
    connections: BTreeMap<ConnKey, Arc<Caller>>,
    hubs: Vec<HubEntry>,
    events: u64,
    versions: StateVersion,
}

impl GatewayState {
    /// The state of a gateway that has published presence and health once.
    pub fn new() -> Self {
        Self {
            versions: StateVersion {
                presence: 1,
                health: 1,
            },
            ..Self::default()
        }
    }

    /// What is known for certain when a change was cut short: who is connected, and that numbers
    /// and versions never go back. The hubs are counted again.
    #[must_use]
    pub fn salvaged(&self) -> Self {
        let mut state = Self {
            events: self.events,
            versions: self.versions,
            ..Self::default()
        };
        for caller in self.connections.values() {
            state.join(caller);
        }
        state
    }

    /// Adds a connection.
    pub fn join(&mut self, caller: &Arc<Caller>) {
        if self
            .connections
            .insert(caller.conn, Arc::clone(caller))
            .is_some()
        {
            return;
        }
        match self
            .hubs
            .iter_mut()
            .find(|hub| Arc::ptr_eq(&hub.queue, &caller.hub))
        {
            Some(hub) => hub.connections += 1,
            None => self.hubs.push(HubEntry {
                queue: Arc::clone(&caller.hub),
                connections: 1,
            }),
        }
    }

    /// Removes a connection; gives back who it was.
    pub fn leave(&mut self, conn: ConnKey) -> Option<Arc<Caller>> {
        let caller = self.connections.remove(&conn)?;
        if let Some(hub) = self
            .hubs
            .iter_mut()
            .find(|hub| Arc::ptr_eq(&hub.queue, &caller.hub))
        {
            hub.connections -= 1;
        }
        Some(caller)
    }

    /// Gives an event its place in the order, and the hubs that carry anyone.
    pub fn order(&mut self, out: EventOut) -> (Arc<Event>, impl Iterator<Item = &Arc<HubQueue>>) {
        match out.bump {
            Some(Bump::Presence) => self.versions.presence += 1,
            Some(Bump::Health) => self.versions.health += 1,
            None => {}
        }
        self.events += 1;
        let event = Arc::new(Event::order(out, self.events, self.versions));
        (
            event,
            self.hubs
                .iter()
                .filter(|hub| hub.connections > 0)
                .map(|hub| &hub.queue),
        )
    }

    /// Every hub that was ever seen.
    pub fn hubs(&self) -> impl Iterator<Item = &Arc<HubQueue>> {
        self.hubs.iter().map(|hub| &hub.queue)
    }

    /// Versions of presence and health.
    pub const fn versions(&self) -> StateVersion {
        self.versions
    }

    /// The connections.
    pub fn connections(&self) -> impl ExactSizeIterator<Item = &Arc<Caller>> {
        self.connections.values()
    }
}
