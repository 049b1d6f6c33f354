//! Methods that carry an idempotency key.

use openclaw_protocol::Method;
use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::agent::Agent;
use openclaw_protocol::methods::chat::ChatSend;
use openclaw_protocol::methods::messaging::{MessageAction, Poll, Send};
use openclaw_protocol::methods::node_invoke::NodeInvoke;
use openclaw_protocol::methods::session_starts::SessionsCreate;
use openclaw_protocol::methods::tools::ToolsInvoke;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What a second caller with the same key gets while the first is under way.
pub enum WhileInFlight {
    /// This payload.
    Answer(Value),
    /// The same answer as the first, once it is there.
    Wait,
}

/// A method with an idempotency key.
pub trait Keyed: Method<Params: Serialize> {
    /// The key.
    fn key(params: &Self::Params) -> &str;

    /// What a second caller gets meanwhile.
    fn while_in_flight(params: &Self::Params) -> WhileInFlight;
}

impl Keyed for ChatSend {
    fn key(params: &Self::Params) -> &str {
        &params.idempotency_key
    }

    fn while_in_flight(params: &Self::Params) -> WhileInFlight {
        WhileInFlight::Answer(json!({ "runId": params.idempotency_key, "status": "in_flight" }))
    }
}

/// Its key is always there: the gate makes one up where the client gave none.
impl Keyed for SessionsCreate {
    fn key(params: &Self::Params) -> &str {
        params.idempotency_key.as_deref().unwrap_or_default()
    }

    fn while_in_flight(_: &Self::Params) -> WhileInFlight {
        WhileInFlight::Wait
    }
}

impl Keyed for Agent {
    fn key(params: &Self::Params) -> &str {
        &params.idempotency_key
    }

    fn while_in_flight(params: &Self::Params) -> WhileInFlight {
        WhileInFlight::Answer(json!({ "runId": params.idempotency_key, "status": "in_flight" }))
    }
}

impl Keyed for Send {
    fn key(params: &Self::Params) -> &str {
        &params.idempotency_key
    }

    fn while_in_flight(_: &Self::Params) -> WhileInFlight {
        WhileInFlight::Wait
    }
}

impl Keyed for Poll {
    fn key(params: &Self::Params) -> &str {
        &params.idempotency_key
    }

    fn while_in_flight(_: &Self::Params) -> WhileInFlight {
        WhileInFlight::Wait
    }
}

impl Keyed for MessageAction {
    fn key(params: &Self::Params) -> &str {
        &params.idempotency_key
    }

    fn while_in_flight(_: &Self::Params) -> WhileInFlight {
        WhileInFlight::Wait
    }
}

/// Its key is always there: the gate lets those without one pass by.
impl Keyed for ToolsInvoke {
    fn key(params: &Self::Params) -> &str {
        params.idempotency_key.as_deref().unwrap_or_default()
    }

    fn while_in_flight(_: &Self::Params) -> WhileInFlight {
        WhileInFlight::Wait
    }
}

impl Keyed for NodeInvoke {
    fn key(params: &Self::Params) -> &str {
        &params.idempotency_key
    }

    fn while_in_flight(_: &Self::Params) -> WhileInFlight {
        WhileInFlight::Wait
    }
}

/// Digest of a request, hex: the same key with another digest is another request.
pub fn digest<M: Keyed>(params: &M::Params) -> String {
    Sha256::digest(to_bytes(params))
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            use std::fmt::Write as _;
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
