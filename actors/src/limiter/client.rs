//! Whose attempts are counted together.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::session::origin;
use crate::session::peer::Peer;

/// One bucket of every limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Client {
    /// Programs of this machine, whichever of its loopback addresses they use.
    Loopback,
    /// One IPv4 address, also when it is written as an IPv6 address.
    V4(Ipv4Addr),
    /// An IPv6 network of 64 bits. Whoever has one address of it can take any other of its 2^64, so
    /// that a bucket per address would be none.
    V6([u8; 8]),
    /// One private IPv6 address (unique-local or link-local). All peers of a tailnet share a network of
    /// 64 bits, and one of them must not lock the others out. Whoever is on such a link itself can take
    /// many addresses, as in a private IPv4 network; the number of places bounds it.
    PrivateV6(Ipv6Addr),
    /// The gateway's own page in a browser of this machine.
    OwnPage,
    /// A page of this machine's browser whose origin the configuration lists.
    ListedPage(Arc<str>),
    /// Every other page in a browser of this machine. All of them share one bucket: a page chooses
    /// its origin and port freely, and must not get new guesses by that.
    OtherPages,
    /// A paired device that has its own token, and guesses at the shared secret beside it.
    Device(Arc<str>),
    /// Every address that is not counted by itself, while all places are taken by locks.
    Rest,
}

impl Client {
    /// The bucket of an address, without regard to what speaks from there.
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) if address.is_unique_local() || address.is_unicast_link_local() => {
                Self::PrivateV6(address)
            }
            IpAddr::V6(address) => {
                let mut network = [0; 8];
                network.copy_from_slice(&address.octets()[..8]);
                Self::V6(network)
            }
        }
    }

    /// The bucket of a peer. A page on loopback is not what runs on this machine: any site that a
    /// person visits can open a socket to 127.0.0.1.
    pub fn of(peer: &Peer, allowed_origins: &[String]) -> Self {
        let client = Self::of_address(peer.client_ip());
        let (Self::Loopback, Some(page)) = (&client, peer.origin.as_deref()) else {
            return client;
        };
        let listed = allowed_origins
            .iter()
            .find(|entry| entry.eq_ignore_ascii_case(page));
        match listed {
            Some(entry) => Self::ListedPage(entry.as_str().into()),
            None if origin::is_own_loopback_page(peer) => Self::OwnPage,
            None => Self::OtherPages,
        }
    }

    /// Whether an attacker may have as many of these as it likes.
    pub(super) const fn is_address(&self) -> bool {
        matches!(self, Self::V4(_) | Self::V6(_) | Self::PrivateV6(_))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("programs of this machine"),
            Self::V4(address) => address.fmt(f),
            Self::PrivateV6(address) => address.fmt(f),
            Self::V6(network) => {
                let mut octets = [0; 16];
                octets[..8].copy_from_slice(network);
                write!(f, "{}/64", Ipv6Addr::from(octets))
            }
            Self::OwnPage => f.write_str("browser-origin:own"),
            Self::ListedPage(origin) => write!(f, "browser-origin:{}", origin.escape_default()),
            Self::OtherPages => f.write_str("browser-origin:other pages on this machine"),
            Self::Device(id) => write!(f, "device {}", id.escape_default()),
            Self::Rest => f.write_str("addresses beyond those that are counted one by one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Client {
        Client::of_address(address.parse().unwrap())
    }

    fn page(address: &str, origin: Option<&str>) -> Client {
        let mut peer = Peer::direct(address.parse().unwrap(), true);
        peer.origin = origin.map(Into::into);
        peer.host = Some("127.0.0.1:1".into());
        Client::of(&peer, &["https://ui.example".to_owned(), "*".to_owned()])
    }

    #[test]
    fn an_address_has_one_bucket_however_it_is_written() {
        assert_eq!(of("1.2.3.4"), of("::ffff:1.2.3.4"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(of(loopback), Client::Loopback, "{loopback}");
        }
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::9"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
    }

    #[test]
    fn peers_of_a_private_network_do_not_answer_for_each_other() {
        for (one, other) in [
            ("fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2"),
            ("fc00::1", "fc00::2"),
            ("fe80::1", "fe80::2"),
        ] {
            assert_ne!(of(one), of(other));
            assert_eq!(of(one).to_string(), one);
            assert!(of(one).is_address());
        }
    }

    #[test]
    fn pages_on_loopback_are_counted_apart_and_cannot_multiply() {
        assert_eq!(page("127.0.0.1", None), Client::Loopback);
        assert_eq!(
            page("127.0.0.1", Some("http://127.0.0.1:1")),
            Client::OwnPage
        );
        let listed = page("127.0.0.1", Some("https://UI.example"));
        assert_eq!(listed, Client::ListedPage("https://ui.example".into()));
        for other in [
            "http://localhost:2",
            "http://localhost:3",
            "http://a.example",
            "null",
            "*",
            "\u{1b}[31m",
        ] {
            let client = page("127.0.0.1", Some(other));
            let expected = if other == "*" {
                // Nobody's origin; a listed word all the same.
                Client::ListedPage("*".into())
            } else {
                Client::OtherPages
            };
            assert_eq!(client, expected, "{other}");
        }
        // From elsewhere the address is what counts.
        assert_eq!(page("10.0.0.9", Some("http://x.example")), of("10.0.0.9"));
    }
}
