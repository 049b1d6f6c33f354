//! Pairing registry: the only writer of device trust.

use actix::Message;
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::device::ProvenDevice;
use openclaw_protocol::{ErrorShape, Generation, Role, Scopes};

use crate::session::handshake::GateOne;

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
    /// What a node claims to offer.
    pub claims: NodeClaims,
}

/// What a node claims to offer; nothing of it is in effect before its approval.
#[derive(Debug, Clone, Default)]
pub struct NodeClaims {
    /// Capabilities.
    pub caps: Vec<String>,
    /// Commands.
    pub commands: Vec<String>,
}

/// A device that may connect.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The granted scopes.
    pub scopes: Scopes,
    /// The wire name of what satisfied gate one.
    pub method: String,
    /// Its token: echoed, or a further one.
    pub token: Option<IssuedToken>,
}

/// The registry.
pub struct PairingRegistry;

impl crate::supervision::Rebuild for PairingRegistry {
    type Deps = ();
    const NAME: &'static str = "pairing";
    const TIER: crate::supervision::Tier = crate::supervision::Tier::Irreplaceable;
    const MAILBOX: usize = 1_024;

    fn build((): Self::Deps) -> Self {
        Self
    }

    fn deps(&self) -> Self::Deps {}
}

crate::supervised!(PairingRegistry);

impl actix::Actor for PairingRegistry {
    type Context = actix::Context<Self>;
}

impl actix::Handler<Admit> for PairingRegistry {
    type Result = Result<Admission, ErrorShape>;

    fn handle(&mut self, _: Admit, _: &mut Self::Context) -> Self::Result {
        Err(ErrorShape::unavailable(
            "device pairing is not available yet",
        ))
    }
}

macro_rules! unavailable {
    ($($method:ty),+) => {
        $(impl actix::Handler<crate::call::Call<$method>> for PairingRegistry {
            type Result = ();

            fn handle(&mut self, call: crate::call::Call<$method>, _: &mut Self::Context) {
                call.reply.error(ErrorShape::unavailable("device pairing is not available yet"));
            }
        })+
    };
}

unavailable!(
    openclaw_protocol::methods::system::GatewayIdentityGet,
    openclaw_protocol::methods::device::DevicePairList,
    openclaw_protocol::methods::device::DevicePairApprove,
    openclaw_protocol::methods::device::DevicePairReject
);
