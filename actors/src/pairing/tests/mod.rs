//! The registry as a machine and as an actor.

mod actor;
mod disk;
mod invariants;
mod machine;
mod model;
mod nodes;
mod owners;
mod setup;
mod upgrades;

use openclaw_protocol::client::{ClientId, ClientMode};
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::device::ProvenDevice;
use openclaw_protocol::{ErrorShape, Generation, Role, Scope, Scopes};
use serde_json::Value;

use super::state::PairingState;
use super::{Admission, Admit};
use crate::clock::{Millis, SeededEntropy, SharedEntropy};
use crate::node::policy::Surface;
use crate::session::handshake::GateOne;

pub(super) const T0: Millis = Millis(1_000_000);

pub(super) fn read() -> Scopes {
    Scopes::of(&[Scope::Read])
}

pub(super) fn admin() -> Scopes {
    Scopes::of(&[Scope::Admin])
}

/// A connect of device `n` by the shared secret, from another machine.
pub(super) fn remote(n: u8) -> Admit {
    Admit {
        device: ProvenDevice {
            id: format!("device-{n}"),
            public_key: format!("key-{n}"),
        },
        role: Role::Operator,
        scopes: read(),
        gate: GateOne::Shared("token"),
        silent: false,
        client: ClientInfo {
            id: ClientId::Macos,
            display_name: Some(format!("Device {n}")),
            version: "1".into(),
            build_id: None,
            platform: "macOS 15.1".into(),
            device_family: Some("Mac".into()),
            model_identifier: None,
            time_zone: None,
            mode: ClientMode::Ui,
            instance_id: None,
        },
        generation: Generation::V4,
        remote_ip: Some("192.0.2.7".into()),
        claims: Surface::default(),
    }
}

/// The same from this machine, where nobody has to be asked.
pub(super) fn local(n: u8) -> Admit {
    Admit {
        silent: true,
        remote_ip: None,
        ..remote(n)
    }
}

/// The same with a device token.
pub(super) fn by_token(ask: Admit, token: &str) -> Admit {
    Admit {
        silent: false,
        gate: GateOne::DeviceToken {
            token: token.to_owned(),
            otherwise: Box::new(ErrorShape::invalid("otherwise")),
        },
        ..ask
    }
}

/// A machine with its own time and randomness.
pub(super) struct Machine {
    pub(super) state: PairingState,
    pub(super) now: Millis,
    pub(super) entropy: SharedEntropy,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            state: PairingState::default(),
            now: T0,
            entropy: SeededEntropy::shared(1),
        }
    }

    pub(super) fn step(&mut self, ask: &Admit) -> super::Step<Result<Admission, ErrorShape>> {
        self.state.admit(ask, None, self.now, &*self.entropy)
    }

    pub(super) fn admit(&mut self, ask: &Admit) -> Result<Admission, ErrorShape> {
        self.step(ask).answer
    }

    /// Admits and gives the token.
    pub(super) fn token(&mut self, ask: &Admit) -> String {
        self.admit(ask).unwrap().token.unwrap().token
    }

    /// Refuses, and gives the details.
    pub(super) fn refused(&mut self, ask: &Admit) -> Value {
        self.admit(ask).unwrap_err().details.unwrap()
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(std::time::Duration::from_secs(seconds));
    }
}
