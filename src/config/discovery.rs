//! `discovery`: how the gateway is found in the local network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `discovery`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Discovery {
    /// Announcements by multicast DNS.
    pub mdns: Mdns,
}

/// `discovery.mdns`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Mdns {
    /// What is announced; without it `minimal` where the gateway listens in the local network, else nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<MdnsMode>,
}

/// `discovery.mdns.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MdnsMode {
    /// Nothing.
    Off,
    /// Name, port, and whether it speaks TLS.
    Minimal,
    /// The port of SSH and the place of this program too.
    Full,
}
