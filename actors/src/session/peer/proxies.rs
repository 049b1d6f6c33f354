//! Whose forwarding headers are believed, and what they say.

use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use super::{Inbound, Unattributed};

/// Most entries of `X-Forwarded-For` that are looked at, from the right.
const MAX_HOPS: usize = 32;

/// `gateway.trustedProxies` and `gateway.allowRealIpFallback`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    networks: Vec<IpNet>,
    real_ip_fallback: bool,
}

/// An entry that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a network such as 10.0.0.0/8")]
pub struct NotANetwork(pub String);

impl Proxies {
    /// Reads addresses and networks; `real_ip_fallback` believes `X-Real-IP` where there is no
    /// `X-Forwarded-For`.
    ///
    /// # Errors
    ///
    /// The first entry that is neither.
    pub fn parse(entries: &[String], real_ip_fallback: bool) -> Result<Self, NotANetwork> {
        let networks = entries.iter().map(|entry| network(entry));
        Ok(Self {
            networks: networks.collect::<Result<_, _>>()?,
            real_ip_fallback,
        })
    }

    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Whether this address is a trusted proxy's.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// The client that the trusted proxy `from` names: the rightmost entry of `X-Forwarded-For`
    /// that is not itself a trusted proxy. What stands left of it is the client's own claim.
    pub(super) fn client(
        &self,
        inbound: &Inbound<'_>,
        from: IpAddr,
    ) -> Result<IpAddr, Unattributed> {
        const FORWARDED_FOR: &str = "x-forwarded-for";
        const REAL_IP: &str = "x-real-ip";
        let mut hops = inbound
            .all(FORWARDED_FOR)
            .flat_map(|value| value.split(','))
            .rev()
            .take(MAX_HOPS)
            .peekable();
        if hops.peek().is_some() {
            for text in hops {
                let hop = client_address(text);
                if hop.is_some_and(|hop| self.trusts(hop)) {
                    continue;
                }
                return hop.filter(usable).ok_or(Unattributed::BadClient {
                    from,
                    header: FORWARDED_FOR,
                });
            }
            return Err(Unattributed::NoClient { from });
        }
        if let Some(text) = inbound.one(REAL_IP).filter(|_| self.real_ip_fallback) {
            return client_address(text)
                .filter(usable)
                .filter(|client| !self.trusts(*client))
                .ok_or(Unattributed::BadClient {
                    from,
                    header: REAL_IP,
                });
        }
        Err(Unattributed::NoClient { from })
    }
}

fn network(text: &str) -> Result<IpNet, NotANetwork> {
    let text = text.trim();
    let parsed = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match parsed.map_err(|_| NotANetwork(text.to_owned()))? {
        // Addresses are compared in their canonical form.
        IpNet::V6(mapped) if mapped.prefix_len() >= 96 => {
            let v4 = mapped.addr().to_ipv4_mapped();
            let v4 = v4.and_then(|addr| Ipv4Net::new(addr, mapped.prefix_len() - 96).ok());
            Ok(v4.map_or(IpNet::V6(mapped), IpNet::V4))
        }
        network => Ok(network),
    }
}

/// An address as proxies write it: bare, or with a port, an IPv6 address also in brackets.
fn client_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
        .or_else(bracketed)?;
    Some(address.to_canonical())
}

/// Nobody forwards for a loopback address: it would stand for the proxy's own host.
fn usable(address: &IpAddr) -> bool {
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast())
}
