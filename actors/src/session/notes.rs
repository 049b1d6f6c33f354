//! What the audit trail is told about handshakes.

use openclaw_protocol::Role;
use openclaw_protocol::connect::{ClientInfo, ConnectParams};

use super::handshake::Refusal;
use super::peer::Peer;
use crate::audit::{AuditRow, Kind};
use crate::call::Caller;

/// What a client says about itself, before any of it is proven.
#[derive(Debug)]
pub(super) struct Claimed {
    client: ClientInfo,
    device: Option<String>,
    role: Option<String>,
}

impl Claimed {
    /// The claims of a connect.
    pub(super) fn of(params: &ConnectParams) -> Self {
        Self {
            client: params.client.clone(),
            device: params.device.as_ref().map(|device| device.id.clone()),
            role: params.role.clone(),
        }
    }
}

/// A handshake that was refused.
pub(super) fn refused(peer: &Peer, claimed: Option<&Claimed>, refusal: &Refusal) -> AuditRow {
    let mut row = AuditRow::new(Kind::ConnectRefused);
    if let Some(claimed) = claimed {
        row = row.client(&claimed.client).device(&claimed.device);
        if let Some(role) = claimed.role.as_deref().and_then(Role::parse) {
            row = row.role(role);
        }
    }
    row = match &refusal.error {
        Some(error) => row.refusal(error),
        None => row.reason(&refusal.reason),
    };
    row.address(peer.client_ip().to_string())
        .origin(&peer.origin)
}

/// A client that was let in by `method`.
pub(super) fn accepted(peer: &Peer, caller: &Caller, method: &str) -> AuditRow {
    AuditRow::new(Kind::ConnectAccepted)
        .caller(caller)
        .via(method)
        .address(peer.client_ip().to_string())
        .origin(&peer.origin)
}
