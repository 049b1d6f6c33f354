//! What a client says about itself and how long it waits.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::connect::{AuthClaim, ClientInfo};
use openclaw_protocol::{ClientId, ClientMode, Role};

use crate::{DeviceIdentity, Fingerprint};

/// Everything that a connect needs but the address.
#[derive(Clone)]
pub struct Options {
    /// The client program.
    pub client: ClientInfo,
    /// Operator or node.
    pub role: Role,
    /// Scopes asked for; none by default.
    pub scopes: Vec<String>,
    /// What the client can show or take.
    pub caps: Vec<String>,
    /// Commands that a node offers.
    pub commands: Vec<String>,
    /// Permissions that a node reports.
    pub permissions: Option<BTreeMap<String, bool>>,
    /// The shared token.
    pub token: Option<String>,
    /// The shared password.
    pub password: Option<String>,
    /// A device token of an earlier connect; needs `identity`.
    pub device_token: Option<String>,
    /// The token of a one-time setup code; needs `identity`.
    pub bootstrap_token: Option<String>,
    /// The device that proves itself; without it only a local command line is accepted.
    pub identity: Option<Arc<DeviceIdentity>>,
    /// The only certificate that is taken from a `wss:` address; without it, what the system trusts.
    pub tls_fingerprint: Option<Fingerprint>,
    /// Protocols spoken.
    pub protocol: RangeInclusive<u32>,
    /// Limit for the whole way to `hello-ok`; 10 s by default.
    pub connect_timeout: Duration,
    /// Limit for one response; 30 s by default.
    pub request_timeout: Duration,
    /// Events kept for a reader that is slow; further ones are dropped and told as a gap.
    pub event_capacity: usize,
}

impl Options {
    /// An operator's options without credentials.
    pub fn new(client: ClientInfo) -> Self {
        Self {
            client,
            role: Role::Operator,
            scopes: Vec::new(),
            caps: Vec::new(),
            commands: Vec::new(),
            permissions: None,
            token: None,
            password: None,
            device_token: None,
            bootstrap_token: None,
            identity: None,
            tls_fingerprint: None,
            protocol: 3..=4,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            event_capacity: 1024,
        }
    }

    /// The credentials as they go into `connect`.
    pub(crate) fn auth(&self) -> Option<AuthClaim> {
        let auth = AuthClaim {
            token: self.token.clone(),
            password: self.password.clone(),
            device_token: self.device_token.clone(),
            bootstrap_token: self.bootstrap_token.clone(),
            ..AuthClaim::default()
        };
        let any = [
            &auth.token,
            &auth.password,
            &auth.device_token,
            &auth.bootstrap_token,
        ]
        .iter()
        .any(|secret| secret.is_some());
        any.then_some(auth)
    }
}

impl fmt::Debug for Options {
    /// Says which credentials are there, never what they are.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Options")
            .field("client", &self.client)
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("auth", &self.auth())
            .field("identity", &self.identity)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// Describes this program on this operating system.
pub fn client_info(id: ClientId, mode: ClientMode, version: &str) -> ClientInfo {
    let family = match std::env::consts::OS {
        "linux" => Some("Linux"),
        "macos" => Some("Mac"),
        "windows" => Some("Windows"),
        _ => None,
    };
    ClientInfo {
        id,
        display_name: None,
        version: version.to_owned(),
        build_id: None,
        platform: std::env::consts::OS.to_owned(),
        device_family: family.map(str::to_owned),
        model_identifier: None,
        time_zone: None,
        mode,
        instance_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_holds_a_secret() {
        let mut options = Options::new(client_info(ClientId::Test, ClientMode::Test, "1"));
        options.token = Some("s3cret-token".into());
        options.password = Some("s3cret-password".into());
        options.device_token = Some("s3cret-device".into());
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    #[test]
    fn no_credentials_send_no_auth() {
        let options = Options::new(client_info(ClientId::Test, ClientMode::Test, "1"));
        assert!(options.auth().is_none());
    }
}
