//! Event names, payloads, and who may receive them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connect::Challenge;
use crate::methods::approvals::PendingExecApproval;
use crate::methods::device::PairRequest;
use crate::methods::device_setup::SetupCompletion;
use crate::methods::heartbeat::HeartbeatEvent;
use crate::methods::node::NodePairRequest;
use crate::methods::node_side::Voicewake;
use crate::methods::system::HealthSummary;
use crate::scope::{Scope, Scopes};
use crate::{Generation, Role};

pub mod agent;
pub mod approvals;
pub mod chat;
pub mod cron;
pub mod device;
pub mod node;
pub mod sessions;
pub mod system;
mod v3;

pub use agent::{AGENT, AgentEvent, AgentStream};
pub use approvals::{EXEC_APPROVAL_REQUESTED, EXEC_APPROVAL_RESOLVED, ExecApprovalResolvedEvent};
pub use chat::{CHAT, ChatEvent, ChatState, SESSION_MESSAGE, SessionMessageEvent};
pub use cron::{CRON, CronAction, CronEvent};
pub use device::{
    DEVICE_PAIR_REQUESTED, DEVICE_PAIR_RESOLVED, DEVICE_PAIR_SETUP_COMPLETED,
    DEVICE_PAIR_SETUP_UNCERTAIN, DevicePairResolvedEvent,
};
pub use node::{
    NODE_INVOKE_CANCEL, NODE_INVOKE_REQUEST, NODE_PAIR_REQUESTED, NODE_PAIR_RESOLVED,
    NodeInvokeCancelEvent, NodeInvokeRequestEvent, NodePairResolvedEvent, VOICEWAKE_CHANGED,
};
pub use sessions::{
    SESSION_OPERATION, SESSIONS_CHANGED, SessionOperationEvent, SessionsChangedEvent,
};
pub use system::{
    CONFIG_CHANGED, CONNECT_CHALLENGE, ConfigChangedEvent, HEALTH, HEARTBEAT, PRESENCE,
    PresenceEvent, SHUTDOWN, ShutdownEvent, TICK, TickEvent,
};
pub use v3::payload_for_v3;

/// Who may receive an event that is broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Every authenticated connection, nodes included.
    None,
    /// Operators with this scope.
    Scope(Scope),
    /// The one node that it is for. It is no broadcast, and carries no `seq`.
    Node,
}

impl Gate {
    /// Whether a connection may receive it.
    pub fn admits(self, role: Role, scopes: Scopes) -> bool {
        match self {
            Self::None => true,
            Self::Scope(scope) => role == Role::Operator && scopes.grants(scope),
            Self::Node => role == Role::Node,
        }
    }
}

/// Whether an event may be left out for a client that reads too slowly. Its `seq` is used up all
/// the same, so that the client sees the gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Droppable {
    /// It may not: the client is closed before.
    Never,
    /// It may: a later one, or a read, tells the same.
    Always,
    /// Only while the run goes on: growth of an answer may, its end may not.
    Deltas,
}

/// An event as a row of the table of all events.
#[derive(Debug, Clone, Copy)]
pub struct EventSpec {
    /// Wire name.
    pub name: &'static str,
    /// Who may receive it.
    pub gate: Gate,
    /// Whether a slow client may miss it.
    pub droppable: Droppable,
    /// The oldest generation that knows it.
    pub since: Generation,
}

/// What only the published contract and its tests know of an event; the daemon does not carry it.
#[derive(Debug, Clone, Copy)]
pub struct EventContract {
    /// Wire name.
    pub name: &'static str,
    /// Schema of its payload.
    pub payload: fn(&mut SchemaGenerator) -> Schema,
    /// Decodes a payload into its type and encodes it again.
    ///
    /// The error says why the payload is not of the type.
    pub decode: fn(&Value) -> Result<Value, String>,
}

impl EventContract {
    const fn of<T: JsonSchema + Serialize + DeserializeOwned>(name: &'static str) -> Self {
        Self {
            name,
            decode: |payload| {
                let decoded = T::deserialize(payload).map_err(|error| error.to_string())?;
                serde_json::to_value(&decoded).map_err(|error| error.to_string())
            },
            payload: |generator| generator.subschema_for::<T>(),
        }
    }
}

impl EventSpec {
    const fn of(name: &'static str, gate: Gate, droppable: Droppable) -> Self {
        Self {
            name,
            gate,
            droppable,
            since: Generation::V3,
        }
    }

    const fn since_v4(mut self) -> Self {
        self.since = Generation::V4;
        self
    }
}

const READ: Gate = Gate::Scope(Scope::Read);
const PAIRING: Gate = Gate::Scope(Scope::Pairing);
const APPROVALS: Gate = Gate::Scope(Scope::Approvals);

macro_rules! events {
    ($($payload:ty => $name:expr, $gate:expr, $droppable:expr $(, $since:ident)?;)+) => {
        /// Every event that this gateway emits, by name. A name that is not here is never sent.
        pub static ALL: &[EventSpec] =
            &[$(EventSpec::of($name, $gate, $droppable)$(.$since())?),+];

        /// What the published contract says besides, in the order of [`ALL`].
        pub static CONTRACTS: &[EventContract] = &[$(EventContract::of::<$payload>($name)),+];
    };
}

events! {
    AgentEvent => AGENT, READ, Droppable::Deltas;
    ChatEvent => CHAT, READ, Droppable::Deltas;
    ConfigChangedEvent => CONFIG_CHANGED, READ, Droppable::Always, since_v4;
    Challenge => CONNECT_CHALLENGE, Gate::None, Droppable::Never;
    CronEvent => CRON, READ, Droppable::Always;
    PairRequest => DEVICE_PAIR_REQUESTED, PAIRING, Droppable::Always;
    DevicePairResolvedEvent => DEVICE_PAIR_RESOLVED, PAIRING, Droppable::Always;
    SetupCompletion => DEVICE_PAIR_SETUP_COMPLETED, PAIRING, Droppable::Always, since_v4;
    SetupCompletion => DEVICE_PAIR_SETUP_UNCERTAIN, PAIRING, Droppable::Always, since_v4;
    PendingExecApproval => EXEC_APPROVAL_REQUESTED, APPROVALS, Droppable::Always;
    ExecApprovalResolvedEvent => EXEC_APPROVAL_RESOLVED, APPROVALS, Droppable::Always;
    HealthSummary => HEALTH, Gate::None, Droppable::Never;
    HeartbeatEvent => HEARTBEAT, Gate::None, Droppable::Always;
    NodeInvokeCancelEvent => NODE_INVOKE_CANCEL, Gate::Node, Droppable::Never, since_v4;
    NodeInvokeRequestEvent => NODE_INVOKE_REQUEST, Gate::Node, Droppable::Never;
    NodePairRequest => NODE_PAIR_REQUESTED, PAIRING, Droppable::Always;
    NodePairResolvedEvent => NODE_PAIR_RESOLVED, PAIRING, Droppable::Always;
    PresenceEvent => PRESENCE, READ, Droppable::Always;
    SessionMessageEvent => SESSION_MESSAGE, READ, Droppable::Never, since_v4;
    SessionOperationEvent => SESSION_OPERATION, READ, Droppable::Always, since_v4;
    SessionsChangedEvent => SESSIONS_CHANGED, READ, Droppable::Always, since_v4;
    ShutdownEvent => SHUTDOWN, Gate::None, Droppable::Never;
    TickEvent => TICK, Gate::None, Droppable::Never;
    Voicewake => VOICEWAKE_CHANGED, READ, Droppable::Always;
}

/// The row of an event.
pub fn find(name: &str) -> Option<&'static EventSpec> {
    ALL.iter().find(|spec| spec.name == name)
}
