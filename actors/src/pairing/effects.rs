//! What a decision asks for: rows to commit first, then events and log lines.

use openclaw_protocol::events::device::{
    DEVICE_PAIR_REQUESTED, DEVICE_PAIR_RESOLVED, DEVICE_PAIR_SETUP_COMPLETED,
    DEVICE_PAIR_SETUP_UNCERTAIN, DevicePairResolvedEvent, PairDecision,
};
use openclaw_protocol::events::node::{
    NODE_PAIR_REQUESTED, NODE_PAIR_RESOLVED, NodePairResolvedEvent,
};
use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::device::PairRequest;
use openclaw_protocol::methods::device_setup::SetupCompletion;
use openclaw_protocol::methods::node::NodePairRequest;
use openclaw_protocol::{Generation, Role, Scope};
use serde::Serialize;

use super::records::{Device, Pending};
use super::setup::Setup;
use crate::audit::AuditRow;
use crate::clock::Millis;
use crate::event::{Audience, Class, EventBody, EventOut, Form, Plain, Written};
use crate::store::{Op, Table};

/// A decision: the answer, which leaves only after its effects were committed.
#[derive(Debug)]
pub struct Step<T> {
    /// What the one who asked is told.
    pub answer: T,
    /// What happens besides.
    pub effects: Effects,
}

/// What a decision changes and whom it tells.
#[derive(Debug, Default)]
pub struct Effects {
    /// The device that it is about.
    pub device: String,
    /// Rows to commit before anything leaves.
    pub ops: Vec<Op>,
    /// What owners are told, once committed.
    pub events: Vec<PairEvent>,
    /// What the audit trail and the log are told, once committed.
    pub notes: Vec<AuditRow>,
    /// What is known of nodes changed, and has to be published, once committed.
    pub nodes: bool,
}

/// An event for owners.
#[derive(Debug, Clone, PartialEq)]
pub enum PairEvent {
    /// Somebody waits for a decision.
    Requested(Box<PairRequest>),
    /// A request is over.
    Resolved(DevicePairResolvedEvent),
    /// A node declared what nobody approved.
    NodeRequested(Box<NodePairRequest>),
    /// A request about a node's surface is over.
    NodeResolved(NodePairResolvedEvent),
    /// A setup code was used.
    SetupCompleted(SetupCompletion),
    /// A setup code was used by a device that may not know.
    SetupUncertain(SetupCompletion),
}

/// A request of a node, in the form of each generation.
#[derive(Debug)]
struct NodeRequested(NodePairRequest);

impl EventBody for NodeRequested {
    fn write(&self, generation: Generation, _: Form, out: &mut Vec<u8>) -> Written {
        out.extend_from_slice(&to_bytes(&self.0.clone().for_generation(generation)));
        Written::Whole
    }
}

impl<T> Step<T> {
    /// An answer that changes nothing about `device`.
    pub fn answer(device: &str, answer: T) -> Self {
        Self {
            answer,
            effects: Effects::about(device),
        }
    }
}

impl Effects {
    /// No effect yet, about `device`.
    pub fn about(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            ..Self::default()
        }
    }

    /// These effects with an answer.
    pub fn with<T>(self, answer: T) -> Step<T> {
        Step {
            answer,
            effects: self,
        }
    }

    /// Notes a decision about the device for the audit trail; the caller adds what it knows.
    pub fn note(&mut self, row: AuditRow) {
        let row = row.device(&self.device);
        self.notes.push(row);
    }

    /// Writes the device's row.
    pub fn put_device(&mut self, id: &str, device: &Device) {
        self.nodes |= device.roles.contains_key(&Role::Node);
        self.ops.push(put(Table::Devices, id, device));
    }

    /// Writes the device's request.
    pub fn put_pending(&mut self, id: &str, pending: &Pending) {
        self.ops.push(put(Table::PairingPending, id, pending));
    }

    /// Writes the row of a setup code.
    pub fn put_setup(&mut self, id: &str, setup: &Setup) {
        self.ops.push(put(Table::PairingSetups, id, setup));
    }

    /// Puts what was decided before in front.
    pub fn put_before(&mut self, before: Self) {
        self.ops.splice(0..0, before.ops);
        self.events.splice(0..0, before.events);
        self.notes.splice(0..0, before.notes);
        self.nodes |= before.nodes;
    }

    /// Removes a row.
    pub fn delete(&mut self, table: Table, id: &str) {
        self.ops.push(Op::delete(table, id));
    }

    /// Tells owners that a request is over.
    pub fn resolved(
        &mut self,
        device: &str,
        request_id: &str,
        decision: PairDecision,
        now: Millis,
    ) {
        self.events
            .push(PairEvent::Resolved(DevicePairResolvedEvent {
                request_id: request_id.to_owned(),
                device_id: device.to_owned(),
                decision,
                ts: now.wire(),
            }));
    }
}

/// A row of a device or of its request.
pub fn put<T: Serialize>(table: Table, id: &str, row: &T) -> Op {
    Op::put_json(table, id, row).expect("rows are structs with text keys, which JSON can hold")
}

impl PairEvent {
    /// The event for the Gateway: for owners that may pair, who refresh when they miss one.
    pub fn to_out(&self) -> EventOut {
        let audience = Audience::Operators(Scope::Pairing);
        let out = match self {
            Self::Requested(request) => {
                EventOut::new(DEVICE_PAIR_REQUESTED, audience, Plain(request.clone()))
            }
            Self::Resolved(resolved) => {
                EventOut::new(DEVICE_PAIR_RESOLVED, audience, Plain(resolved.clone()))
            }
            Self::NodeRequested(request) => EventOut::new(
                NODE_PAIR_REQUESTED,
                audience,
                NodeRequested((**request).clone()),
            ),
            Self::NodeResolved(resolved) => {
                EventOut::new(NODE_PAIR_RESOLVED, audience, Plain(resolved.clone()))
            }
            Self::SetupCompleted(done) => {
                EventOut::new(DEVICE_PAIR_SETUP_COMPLETED, audience, Plain(done.clone()))
            }
            Self::SetupUncertain(done) => {
                EventOut::new(DEVICE_PAIR_SETUP_UNCERTAIN, audience, Plain(done.clone()))
            }
        };
        out.class(Class::Droppable)
    }
}
