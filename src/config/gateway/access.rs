//! `gateway.auth` and `gateway.nodes`: the two gates.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secrets::SecretInput;

/// `gateway.auth`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GatewayAuth {
    /// What a connection must prove; see [`crate::config::auth::resolve`] for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<AuthMode>,
    /// The shared token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretInput>,
    /// The shared password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretInput>,
    /// Whether Tailscale's identity headers satisfy auth; default: with `tailscale.mode: "serve"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_tailscale: Option<bool>,
    /// Limits of failed attempts.
    pub rate_limit: RateLimit,
    /// Settings of the mode `trusted-proxy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxy: Option<TrustedProxy>,
    /// Scopes granted to a verified Tailscale or proxy identity.
    pub identity_scopes: BTreeMap<String, Vec<String>>,
}

/// `gateway.auth.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// Nothing; only on loopback.
    None,
    /// The shared token.
    Token,
    /// The shared password.
    Password,
    /// An identity header of a trusted proxy.
    TrustedProxy,
}

/// `gateway.auth.rateLimit`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RateLimit {
    /// Failures of one address within the window before it is locked out.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_attempts: u32,
    /// The window, in milliseconds.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub window_ms: u64,
    /// The lock-out, in milliseconds.
    #[schemars(range(min = 1, max = 604_800_000))]
    pub lockout_ms: u64,
    /// Loopback is slowed down instead of locked out.
    pub exempt_loopback: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            window_ms: 60_000,
            lockout_ms: 300_000,
            exempt_loopback: true,
        }
    }
}

/// `gateway.auth.trustedProxy`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TrustedProxy {
    /// The header that holds the user.
    pub user_header: String,
    /// Headers that must be there as well.
    pub required_headers: Vec<String>,
    /// The users that may come in; empty for every one.
    pub allow_users: Vec<String>,
    /// Accepts a proxy on this host.
    pub allow_loopback: bool,
}

/// `gateway.nodes`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Nodes {
    /// Which pairings are approved without asking.
    pub pairing: NodePairing,
    /// Which commands nodes may offer.
    pub commands: NodeCommands,
    /// Older name of `commands.allow`; both count.
    pub allow_commands: Vec<String>,
    /// Older name of `commands.deny`; both count.
    pub deny_commands: Vec<String>,
}

impl Nodes {
    /// Every allowed command, under the new and the older key.
    pub fn allowed(&self) -> impl Iterator<Item = &str> {
        self.commands
            .allow
            .iter()
            .chain(&self.allow_commands)
            .map(String::as_str)
    }

    /// Every denied command, under the new and the older key; deny wins.
    pub fn denied(&self) -> impl Iterator<Item = &str> {
        self.commands
            .deny
            .iter()
            .chain(&self.deny_commands)
            .map(String::as_str)
    }
}

/// `gateway.nodes.pairing`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NodePairing {
    /// Approves devices on this host without asking.
    pub auto_approve_local: bool,
    /// Networks whose nodes are approved at their first pairing, without scopes.
    pub auto_approve_cidrs: Vec<String>,
    /// Approval by a check over SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_verify: Option<SshVerify>,
}

impl Default for NodePairing {
    fn default() -> Self {
        Self {
            auto_approve_local: true,
            auto_approve_cidrs: Vec::new(),
            ssh_verify: None,
        }
    }
}

/// `gateway.nodes.pairing.sshVerify`: a switch, or how to do it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SshVerify {
    /// On with defaults, or off.
    Switch(bool),
    /// On, with these settings.
    Settings {
        /// The user to log in as.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The identity file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<String>,
        /// Time for the check, in milliseconds.
        #[serde(default, rename = "timeoutMs", skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// Networks that may be asked.
        #[serde(default)]
        cidrs: Vec<String>,
    },
}

/// `gateway.nodes.commands`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeCommands {
    /// Commands that are vouched for: one that is not of the protocol needs no admin to be approved.
    /// `camera.*` means all that begin so.
    pub allow: Vec<String>,
    /// Commands that never run, whoever approved them. `camera.*` means all that begin so.
    pub deny: Vec<String>,
}
