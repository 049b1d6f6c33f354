//! Who asks: from the TCP peer and the headers of a request to the address that limits, pairing,
//! presence and logs go by. Pure; where only tailscaled can tell, it says what to ask.
//!
//! **Invariants.** A forwarding header is believed from a trusted proxy (or, where
//! `gateway.auth.allowTailscale` is on or this gateway told tailscale to serve it, from `tailscale serve`
//! with tailscaled's own proof, and from `tailscale funnel`) and from nobody else. Whoever comes through
//! a proxy is never local.

mod identity;
mod proxies;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

pub use identity::{ProxyFailure, ProxyRules, TailscaleFailure};
pub use proxies::{NotANetwork, Proxies};

use crate::gate::{AuthMode, GateSettings, Served};
use crate::network::{AskError, Identity, Subject, Surroundings, is_tailnet};

/// A request as the HTTP side saw it.
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    /// The TCP peer.
    pub from: SocketAddr,
    /// Every header in its order, names in lower case. A value that is no text is given as
    /// [`UNREADABLE`].
    pub headers: &'a [(&'a str, &'a str)],
}

/// Stands for a header value that is no text; equals nothing that is configured and parses as
/// nothing.
pub const UNREADABLE: &str = "\u{fffd}";

impl<'a> Inbound<'a> {
    /// Every value of a header, in order.
    fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(candidate, _)| *candidate == name)
            .map(|(_, value)| *value)
    }

    /// The value of a header that must not come twice; [`UNREADABLE`] where it does.
    fn one(&self, name: &str) -> Option<&'a str> {
        let mut values = self.all(name);
        let first = values.next()?;
        Some(values.next().map_or(first, |_| UNREADABLE))
    }

    /// A header by which somebody says that the request is another one's.
    fn forwarding_header(&self) -> Option<&'a str> {
        self.headers.iter().map(|(name, _)| *name).find(|name| {
            *name == "forwarded"
                || *name == "x-real-ip"
                || name.starts_with("x-forwarded-")
                || name.starts_with("tailscale-")
        })
    }
}

/// Who asks, as far as it is known before the first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    client: IpAddr,
    /// Whether it is on this machine, directly.
    pub local: bool,
    /// The trusted proxy that forwarded the request.
    pub proxy: Option<IpAddr>,
    /// In mode `trusted-proxy`, the user that the proxy names.
    pub proxy_user: Option<Result<String, ProxyFailure>>,
    /// Through `tailscale serve`, the login that tailscaled proves.
    pub tailscale: Option<Result<String, TailscaleFailure>>,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// The host that was asked for: the `Host` header, or what a trusted proxy says it was.
    pub host: Option<String>,
    /// Whether the client asked over TLS: as its proxy says, or this gateway itself where there is none.
    pub https: bool,
}

impl Peer {
    /// A peer whose TCP address is its own.
    pub fn direct(client: IpAddr, local: bool) -> Self {
        Self {
            client: client.to_canonical(),
            local,
            proxy: None,
            proxy_user: None,
            tailscale: None,
            origin: None,
            host: None,
            https: false,
        }
    }

    /// The peer of a connection that this gateway speaks TLS on. What a proxy's own client used, only the proxy
    /// can say.
    #[must_use]
    pub const fn over_tls(mut self) -> Self {
        self.https |= self.proxy.is_none() && self.tailscale.is_none();
        self
    }

    /// The address of the client itself, behind whatever proxies: what limits, pairing requests,
    /// presence and logs use. An IPv4-mapped IPv6 address is given as the IPv4 address that it is.
    pub const fn client_ip(&self) -> IpAddr {
        self.client
    }

    /// The address for others to see; `None` for a client on this machine.
    pub fn remote_ip(&self) -> Option<String> {
        (!self.local).then(|| self.client.to_string())
    }
}

/// Why a request is refused before it may open a socket: HTTP 403 `proxy_attribution_required`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unattributed {
    /// Only a trusted proxy may say whom it asks for.
    #[error(
        "the request carries `{header}`, but its sender {from} is not in gateway.trustedProxies; connect directly, or through a tunnel that adds no headers, or add the proxy's address to gateway.trustedProxies"
    )]
    NotTrusted {
        /// The header.
        header: String,
        /// The TCP peer.
        from: IpAddr,
    },
    /// The proxy does not say whom it asks for.
    #[error(
        "{from} is in gateway.trustedProxies, but its request does not name a client; let the proxy set X-Forwarded-For, or set gateway.allowRealIpFallback if it sets X-Real-IP, or take the address out of gateway.trustedProxies if it is no proxy"
    )]
    NoClient {
        /// The proxy.
        from: IpAddr,
    },
    /// What it says is no address of a client.
    #[error(
        "{from} is in gateway.trustedProxies, but its `{header}` names no usable client address; let the proxy write the address that it sees itself"
    )]
    BadClient {
        /// The proxy.
        from: IpAddr,
        /// The header.
        header: &'static str,
    },
}

/// What is known at first sight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Who asks.
    Known(Peer),
    /// Tailscaled has to tell.
    Ask(Question),
}

/// A question to tailscaled, and what its answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom it is about.
    pub subject: Subject,
    /// The peer, with the TCP peer's address, not local.
    peer: Peer,
    /// Through `tailscale serve`: the login that its headers name.
    serve: Option<Result<String, TailscaleFailure>>,
}

impl Question {
    /// Who asks, by tailscaled's answer.
    pub fn settle(self, answer: &Result<Option<Identity>, AskError>) -> Peer {
        let Self {
            subject,
            mut peer,
            serve,
        } = self;
        match (subject, answer) {
            (Subject::Connection(_), Ok(None) | Err(AskError::Absent)) => peer.local = true,
            (Subject::Connection(_), Ok(Some(identity))) => {
                // Its own address, so that its failures are not those of everyone behind loopback.
                peer.client = identity.addresses.first().copied().unwrap_or(peer.client);
            }
            (Subject::Connection(_), Err(AskError::Failed(_))) => {}
            (Subject::Address(client), Ok(Some(identity))) => {
                peer.client = client;
                peer.tailscale = serve.map(|named| proven(&named?, identity));
            }
            (Subject::Address(_), Ok(None) | Err(_)) => {
                peer.tailscale = Some(Err(TailscaleFailure::WhoisFailed));
            }
        }
        peer
    }
}

/// The login that both the header and tailscaled name.
fn proven(named: &str, identity: &Identity) -> Result<String, TailscaleFailure> {
    let login = identity.login.as_deref().map(str::trim);
    let login = login.ok_or(TailscaleFailure::UserMissing)?;
    if login.eq_ignore_ascii_case(named) {
        Ok(login.to_ascii_lowercase())
    } else {
        Err(TailscaleFailure::UserMismatch)
    }
}

/// Tells who asks.
///
/// # Errors
///
/// [`Unattributed`] when the request is somebody else's and it is not known whose.
pub fn resolve(
    inbound: &Inbound<'_>,
    gate: &GateSettings,
    surroundings: &Surroundings,
) -> Result<Seen, Unattributed> {
    let from = inbound.from.ip().to_canonical();
    let direct = |local: bool| Peer {
        origin: inbound.one("origin").map(str::to_owned),
        host: inbound.one("host").map(str::to_owned),
        ..Peer::direct(from, local)
    };
    let trusted = gate.proxies.trusts(from);
    let https = || inbound.one("x-forwarded-proto") == Some("https");
    let Some(header) = inbound.forwarding_header() else {
        // A command line beside a trusted proxy of the same host is no proxy's client.
        if from.is_loopback() && surroundings.asks_for_loopback() {
            return Ok(Seen::Ask(Question {
                subject: Subject::Connection(SocketAddr::new(from, inbound.from.port())),
                peer: direct(false),
                serve: None,
            }));
        }
        if from.is_loopback() || surroundings.own_tailnet.contains(&from) {
            return Ok(Seen::Known(direct(true)));
        }
        if trusted {
            return Err(Unattributed::NoClient { from });
        }
        return Ok(Seen::Known(direct(false)));
    };
    if trusted {
        let client = gate.proxies.client(inbound, from)?;
        let user = match &gate.mode {
            AuthMode::TrustedProxy { rules, .. } => {
                Some(rules.user(inbound, from, &surroundings.interfaces))
            }
            _ => None,
        };
        let peer = direct(false);
        let host = inbound.one("x-forwarded-host").map(str::to_owned);
        return Ok(Seen::Known(Peer {
            client,
            proxy: Some(from),
            proxy_user: user,
            host: host.or(peer.host),
            https: https(),
            ..peer
        }));
    }
    if gate.served == Served::Internet
        && from.is_loopback()
        && let Some(client) = funnel_client(inbound)
    {
        let peer = direct(false);
        return Ok(Seen::Known(Peer {
            client,
            proxy: Some(from),
            https: true,
            ..peer
        }));
    }
    if (gate.allow_tailscale || gate.served != Served::No)
        && from.is_loopback()
        && let Some(client) = serve_client(inbound)
    {
        return Ok(Seen::Ask(Question {
            subject: Subject::Address(client),
            peer: Peer {
                https: https(),
                ..direct(false)
            },
            serve: Some(serve_user(inbound)),
        }));
    }
    Err(Unattributed::NotTrusted {
        header: header.chars().take(64).collect(),
        from,
    })
}

/// The tailnet peer that `tailscale serve` forwards for: the one address of `X-Forwarded-For`. It
/// replaces whatever its client sent, so more than one is another proxy's work.
fn serve_client(inbound: &Inbound<'_>) -> Option<IpAddr> {
    let address: IpAddr = inbound.one("x-forwarded-for")?.trim().parse().ok()?;
    let address = address.to_canonical();
    is_tailnet(&address).then_some(address)
}

/// Whom `tailscale funnel` forwards for: it marks what came from the internet, and names one address.
/// Another program of this host can say the same, and is then remote: it gains nothing but another
/// address for its failures, against a password that is strong.
fn funnel_client(inbound: &Inbound<'_>) -> Option<IpAddr> {
    let marked = inbound.one("tailscale-funnel-request") == Some("?1");
    let address: IpAddr = inbound.one("x-forwarded-for")?.trim().parse().ok()?;
    let address = address.to_canonical();
    (marked && !address.is_loopback()).then_some(address)
}

/// The login that `tailscale serve` names. It always names the host that was asked for.
fn serve_user(inbound: &Inbound<'_>) -> Result<String, TailscaleFailure> {
    if inbound.one("x-forwarded-host").is_none() {
        return Err(TailscaleFailure::ProxyMissing);
    }
    let login = inbound.one("tailscale-user-login").map(str::trim);
    match login {
        None | Some("" | UNREADABLE) => Err(TailscaleFailure::UserMissing),
        Some(login) => Ok(login.to_owned()),
    }
}
