//! Who a person is by the word of somebody who already asked: a trusted proxy, or tailscaled.

use std::net::IpAddr;

use super::{Inbound, UNREADABLE};

/// Longest name of a user that is accepted.
const MAX_USER: usize = 256;

/// `gateway.auth.trustedProxy`: how a proxy says who its user is. Header names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyRules {
    /// The header that holds the user.
    pub user_header: String,
    /// Headers that must be there as well.
    pub required_headers: Vec<String>,
    /// The users that may come in; empty for every one.
    pub allow_users: Vec<String>,
    /// Accepts a proxy on this host.
    pub allow_loopback: bool,
}

/// Why a proxy's word does not let somebody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyFailure {
    /// It did not come through a trusted proxy.
    UntrustedSource,
    /// The proxy is on loopback, where any process of this host could be it.
    LoopbackSource,
    /// The proxy has an address of this host.
    LocalInterfaceSource,
    /// It is not known which addresses this host has.
    LocalInterfaceCheckFailed,
    /// A required header is missing or blank.
    MissingHeader(String),
    /// The user is missing or blank.
    UserMissing,
    /// The user is not among the allowed ones.
    UserNotAllowed,
}

/// Why tailscaled's word does not let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailscaleFailure {
    /// No user is named, as for tagged devices and Funnel.
    UserMissing,
    /// The headers of `tailscale serve` are not all there.
    ProxyMissing,
    /// Tailscaled does not know the peer, or did not answer.
    WhoisFailed,
    /// Tailscaled knows the peer by another name.
    UserMismatch,
}

impl ProxyRules {
    /// The user that a trusted proxy names. `interfaces` are the addresses of this host.
    pub(super) fn user(
        &self,
        inbound: &Inbound<'_>,
        proxy: IpAddr,
        interfaces: &[IpAddr],
    ) -> Result<String, ProxyFailure> {
        if !self.allow_loopback {
            if proxy.is_loopback() {
                return Err(ProxyFailure::LoopbackSource);
            }
            if interfaces.is_empty() {
                return Err(ProxyFailure::LocalInterfaceCheckFailed);
            }
            if interfaces.contains(&proxy) {
                return Err(ProxyFailure::LocalInterfaceSource);
            }
        }
        let filled = |name: &str| {
            let value = inbound.one(name)?.trim();
            (!value.is_empty() && value != UNREADABLE).then_some(value)
        };
        if let Some(missing) = self
            .required_headers
            .iter()
            .find(|name| filled(name).is_none())
        {
            return Err(ProxyFailure::MissingHeader(missing.clone()));
        }
        let user = filled(&self.user_header).filter(|user| user.len() <= MAX_USER);
        user.map(str::to_owned).ok_or(ProxyFailure::UserMissing)
    }

    /// Whether this user may come in.
    pub fn admits(&self, user: &str) -> bool {
        self.allow_users.is_empty() || self.allow_users.iter().any(|allowed| allowed == user)
    }
}

impl ProxyFailure {
    /// `details.authReason` on the wire.
    pub fn reason(&self) -> String {
        match self {
            Self::UntrustedSource => "trusted_proxy_untrusted_source".into(),
            Self::LoopbackSource => "trusted_proxy_loopback_source".into(),
            Self::LocalInterfaceSource => "trusted_proxy_local_interface_source".into(),
            Self::LocalInterfaceCheckFailed => "trusted_proxy_local_interface_check_failed".into(),
            Self::MissingHeader(name) => format!("trusted_proxy_missing_header_{name}"),
            Self::UserMissing => "trusted_proxy_user_missing".into(),
            Self::UserNotAllowed => "trusted_proxy_user_not_allowed".into(),
        }
    }

    /// `details.code` on the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingHeader(_) | Self::UserMissing => "AUTH_IDENTITY_HEADER_REQUIRED",
            _ => "AUTH_UNAUTHORIZED",
        }
    }

    /// What happened, and what mends it.
    pub fn message(&self) -> String {
        match self {
            Self::UntrustedSource => "this gateway takes its users from a trusted proxy (open the proxy's address, or add the proxy to gateway.trustedProxies)".into(),
            Self::LoopbackSource => "the proxy connects from loopback (set gateway.auth.trustedProxy.allowLoopback if it is the only way in on this host)".into(),
            Self::LocalInterfaceSource => "the proxy connects from an address of the gateway's own host (set gateway.auth.trustedProxy.allowLoopback if that is meant)".into(),
            Self::LocalInterfaceCheckFailed => "the gateway cannot tell yet which addresses are its own (try again)".into(),
            Self::MissingHeader(name) => format!("the proxy sent no `{name}` (let it add the header to WebSocket upgrades too, or take it out of gateway.auth.trustedProxy.requiredHeaders)"),
            Self::UserMissing => "the proxy named no user (sign in at the proxy; it must send gateway.auth.trustedProxy.userHeader with WebSocket upgrades too)".into(),
            Self::UserNotAllowed => "this user is not in gateway.auth.trustedProxy.allowUsers".into(),
        }
    }
}

impl TailscaleFailure {
    /// `details.authReason` on the wire.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UserMissing => "tailscale_user_missing",
            Self::ProxyMissing => "tailscale_proxy_missing",
            Self::WhoisFailed => "tailscale_whois_failed",
            Self::UserMismatch => "tailscale_user_mismatch",
        }
    }

    /// `details.code` on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UserMissing => "AUTH_TAILSCALE_IDENTITY_MISSING",
            Self::ProxyMissing => "AUTH_TAILSCALE_PROXY_MISSING",
            Self::WhoisFailed => "AUTH_TAILSCALE_WHOIS_FAILED",
            Self::UserMismatch => "AUTH_TAILSCALE_IDENTITY_MISMATCH",
        }
    }

    /// What happened, and what mends it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::UserMissing => {
                "tailscale identity missing (tagged devices and Funnel have none: provide the gateway token)"
            }
            Self::ProxyMissing => {
                "tailscale proxy headers missing (come through `tailscale serve`, or provide the gateway token)"
            }
            Self::WhoisFailed => {
                "tailscale identity check failed (see `tailscale whois` on the gateway host, or provide the gateway token)"
            }
            Self::UserMismatch => {
                "tailscale identity mismatch (the header names another user than `tailscale whois`)"
            }
        }
    }
}
