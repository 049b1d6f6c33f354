//! What a handshake asks the registry, and what it is told.

use actix::Message;
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::device::ProvenDevice;
use openclaw_protocol::{ErrorShape, Generation, Role, Scopes};
use tokio::sync::oneshot;

use crate::node::policy::Surface;
use crate::session::handshake::GateOne;
use crate::session::link::Link;

/// A device token as it is handed out; only its hash is kept.
#[derive(Clone)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// When it was issued, milliseconds since the epoch.
    pub issued_at_ms: u64,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuedToken({})", self.issued_at_ms)
    }
}

/// Asks whether a proven device may connect.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Admission, ErrorShape>")]
pub struct Admit {
    /// The device.
    pub device: ProvenDevice,
    /// The role.
    pub role: Role,
    /// The scopes asked for.
    pub scopes: Scopes,
    /// Gate one.
    pub gate: GateOne,
    /// Whether a new device may be approved without asking.
    pub silent: bool,
    /// The client program.
    pub client: ClientInfo,
    /// The negotiated generation.
    pub generation: Generation,
    /// The peer's address, `None` for this machine.
    pub remote_ip: Option<String>,
    /// What a node claims to offer; nothing of it is in effect before its approval.
    pub claims: Surface,
}

/// A device that may connect.
#[derive(Debug)]
pub struct Admission {
    /// The granted scopes.
    pub scopes: Scopes,
    /// The wire name of what satisfied gate one.
    pub method: String,
    /// Its token: echoed, or a further one.
    pub token: Option<IssuedToken>,
    /// It came by the shared secret, or by a token that ends with it.
    pub by_secret: bool,
    /// Tokens of its further roles.
    pub further: Vec<RoleToken>,
    /// The setup code that it came by.
    pub setup: Option<SetupReceipt>,
}

/// A token of a further role of the device.
#[derive(Debug, Clone)]
pub struct RoleToken {
    /// The role.
    pub role: Role,
    /// What the token gives.
    pub scopes: Scopes,
    /// The token.
    pub token: IssuedToken,
}

/// A setup code is over once the device was told what it gave.
#[derive(Debug)]
pub struct SetupReceipt {
    pub(super) id: String,
    pub(super) told: Option<oneshot::Sender<()>>,
}

impl SetupReceipt {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            told: None,
        }
    }

    /// Ends the code when everything that was written to the connection has left. A connection
    /// that ends before leaves the code to its device, for another attempt.
    pub(crate) fn once_delivered(self, link: &Link) {
        if let Some(told) = self.told {
            link.when_drained(told);
        }
    }
}
