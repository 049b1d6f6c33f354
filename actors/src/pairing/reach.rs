//! Under which address another device reaches this gateway, for setup codes. The choice is pure;
//! the host's own addresses come through a trait.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::device_setup::DevicePairSetupCodeParams;
use serde_json::json;

use crate::network::interfaces::{Interfaces, SystemInterfaces};
use crate::network::is_tailnet;

/// Most addresses of one code.
const MAX_ADDRESSES: usize = 8;

/// What the configuration says about how others reach this gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// `gateway.publicOrigin`.
    pub public_origin: Option<String>,
    /// `gateway.remote.url`.
    pub remote_url: Option<String>,
    /// Where the gateway listens.
    pub listens: Listens,
    /// Whether it speaks TLS there.
    pub secure: bool,
}

/// Where the gateway listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Listens {
    /// On 127.0.0.1 only.
    #[default]
    Loopback,
    /// On every interface.
    Everywhere,
    /// On this address.
    On(IpAddr),
    /// On this host's tailnet addresses.
    Tailnet,
}

/// The host's network, as far as setup codes need it.
pub trait Network: Send + Sync + 'static {
    /// Addresses of this host that others on its network can reach, the best one first.
    fn addresses(&self) -> Vec<IpAddr>;
}

/// A view of the network that is handed to the registry.
pub type SharedNetwork = Arc<dyn Network>;

/// The host's own network.
#[derive(Debug, Clone, Copy)]
pub struct HostNetwork;

impl Network for HostNetwork {
    /// First those from which packets to the outside would leave (connecting a UDP socket only asks
    /// the routing table; nothing is sent), then those of the other interfaces, a tailnet's included.
    fn addresses(&self) -> Vec<IpAddr> {
        let outside: [(IpAddr, IpAddr); 2] = [
            (
                Ipv4Addr::UNSPECIFIED.into(),
                Ipv4Addr::new(192, 0, 2, 1).into(),
            ),
            (
                Ipv6Addr::UNSPECIFIED.into(),
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
            ),
        ];
        let routed = outside.into_iter().filter_map(|(from, to)| {
            let socket = UdpSocket::bind(SocketAddr::new(from, 0)).ok()?;
            socket.connect(SocketAddr::new(to, 9)).ok()?;
            Some(socket.local_addr().ok()?.ip())
        });
        let all = SystemInterfaces.addresses().unwrap_or_default();
        routed
            .chain(all)
            .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
            .collect()
    }
}

/// The addresses of a setup code, the best one first, and the setting that they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// `ws://` or `wss://` addresses; never empty.
    pub urls: Vec<String>,
    /// The setting.
    pub source: String,
}

impl Addresses {
    /// Whether they are of the gateway's own listener, and not of something before it.
    pub fn own(&self) -> bool {
        self.source.starts_with("gateway.bind")
    }
}

/// Chooses the addresses of a setup code.
///
/// # Errors
///
/// `INVALID_REQUEST` with what to configure, when there is no address that another device reaches,
/// or a public one without TLS.
pub fn choose(
    reach: &Reach,
    port: u16,
    network: &dyn Network,
    params: &DevicePairSetupCodeParams,
) -> Result<Addresses, ErrorShape> {
    let one = |url: &str, source: &str| {
        let url = websocket_url(url, source)?;
        Ok(Addresses {
            urls: vec![url],
            source: source.to_owned(),
        })
    };
    let remote = reach.remote_url.as_deref();
    if let Some(url) = &params.public_url {
        return one(url, "publicUrl");
    }
    if let (Some(true), Some(url)) = (params.prefer_remote_url, remote) {
        return one(url, "gateway.remote.url");
    }
    if let Some(url) = &reach.public_origin {
        return one(url, "gateway.publicOrigin");
    }
    if let Some(url) = remote {
        return one(url, "gateway.remote.url");
    }
    let (addresses, source) = match reach.listens {
        Listens::Loopback => return Err(only_here()),
        Listens::On(ip) if ip.is_loopback() => return Err(only_here()),
        Listens::On(ip) if !ip.is_unspecified() => (vec![ip], "gateway.bind=custom"),
        Listens::Tailnet => {
            let mut addresses = network.addresses();
            addresses.retain(is_tailnet);
            (addresses, "gateway.bind=tailnet")
        }
        Listens::Everywhere | Listens::On(_) => {
            // The gateway listens on 0.0.0.0, which takes no IPv6.
            let mut addresses = network.addresses();
            addresses.retain(IpAddr::is_ipv4);
            (addresses, "gateway.bind=lan")
        }
    };
    let scheme = if reach.secure { "wss" } else { "ws" };
    let mut urls: Vec<String> = Vec::new();
    for ip in addresses.into_iter().filter(is_private) {
        let url = format!("{scheme}://{}", SocketAddr::new(ip, port));
        if urls.len() < MAX_ADDRESSES && !urls.contains(&url) {
            urls.push(url);
        }
    }
    if urls.is_empty() {
        return Err(refused(
            "this host has no address in a private network; name the gateway's address with publicUrl (`openclaw qr --public-url wss://HOST`), or set gateway.publicOrigin",
        ));
    }
    Ok(Addresses {
        urls,
        source: source.to_owned(),
    })
}

/// A WebSocket address: http becomes ws; without TLS only inside a private network.
fn websocket_url(text: &str, source: &str) -> Result<String, ErrorShape> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("wss", text));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => {
            return Err(refused(&format!(
                "{source} must be a ws://, wss://, http:// or https:// address"
            )));
        }
    };
    let rest = rest.trim_end_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host_of(authority);
    if host.is_empty() || authority.contains('@') || rest.contains(['?', '#']) {
        return Err(refused(&format!(
            "{source} must be an address such as wss://gateway.example, without user, query or fragment"
        )));
    }
    if scheme == "ws" && !is_private_host(host) {
        return Err(refused(&format!(
            "{source} is a public address without TLS, which would show the code's token to everyone on the way; use wss://"
        )));
    }
    Ok(format!("{scheme}://{rest}"))
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

fn is_private_host(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let local = |name: &str| {
        std::path::Path::new(name)
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("local"))
    };
    host == "localhost"
        || local(&host)
        || host
            .parse()
            .is_ok_and(|ip: IpAddr| is_private(&ip) || ip.is_loopback())
}

/// Whether an address belongs to a home, an office or a link; tailnets included, whose packets are
/// encrypted.
fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || is_tailnet(&IpAddr::V4(*ip)),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn only_here() -> ErrorShape {
    refused(
        "this gateway listens on 127.0.0.1 only, so no other device can reach it: name its address with publicUrl (`openclaw qr --public-url wss://HOST`), set gateway.publicOrigin, or listen wider with gateway.bind \"lan\"",
    )
}

fn refused(message: &str) -> ErrorShape {
    ErrorShape::invalid(message.to_owned()).with_details(json!({ "code": "SETUP_NO_ADDRESS" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lan(Vec<&'static str>);

    impl Network for Lan {
        fn addresses(&self) -> Vec<IpAddr> {
            self.0.iter().map(|ip| ip.parse().unwrap()).collect()
        }
    }

    fn chosen(
        reach: &Reach,
        lan: &[&'static str],
        public: Option<&str>,
    ) -> Result<Addresses, String> {
        let params = DevicePairSetupCodeParams {
            public_url: public.map(str::to_owned),
            ..DevicePairSetupCodeParams::default()
        };
        choose(reach, 18789, &Lan(lan.to_vec()), &params).map_err(|error| error.message.to_string())
    }

    fn everywhere() -> Reach {
        Reach {
            listens: Listens::Everywhere,
            ..Reach::default()
        }
    }

    #[test]
    fn a_gateway_on_loopback_says_what_to_configure() {
        let error = chosen(&Reach::default(), &["192.168.1.2"], None).unwrap_err();
        for way in ["publicUrl", "gateway.publicOrigin", "gateway.bind"] {
            assert!(error.contains(way), "{error}");
        }
    }

    #[test]
    fn a_listener_in_the_tailnet_is_reached_there_only() {
        let reach = Reach {
            listens: Listens::Tailnet,
            ..Reach::default()
        };
        let lan = ["192.168.1.2", "100.64.7.1", "fd7a:115c:a1e0::7", "fd00::2"];
        let chosen = chosen(&reach, &lan, None).unwrap();
        let urls = ["ws://100.64.7.1:18789", "ws://[fd7a:115c:a1e0::7]:18789"];
        assert_eq!(
            (chosen.urls, chosen.source.as_str()),
            (urls.map(str::to_owned).to_vec(), "gateway.bind=tailnet")
        );
    }

    #[test]
    fn a_listener_with_tls_is_named_as_such_and_has_its_own_certificate() {
        let reach = Reach {
            secure: true,
            ..everywhere()
        };
        let own = chosen(&reach, &["192.168.1.2"], None).unwrap();
        assert_eq!(own.urls, ["wss://192.168.1.2:18789"]);
        assert!(own.own());
        let proxy = chosen(&reach, &["192.168.1.2"], Some("wss://gw.example")).unwrap();
        assert!(!proxy.own());
    }

    #[test]
    fn what_was_asked_for_goes_before_the_configuration_and_that_before_the_network() {
        let mut reach = everywhere();
        let first = |reach: &Reach, public| {
            let chosen = chosen(
                reach,
                &["192.168.1.2", "10.0.0.2", "fd00::2", "8.8.8.8"],
                public,
            )
            .unwrap();
            (chosen.urls, chosen.source)
        };
        assert_eq!(
            first(&reach, None),
            (
                vec![
                    "ws://192.168.1.2:18789".into(),
                    "ws://10.0.0.2:18789".into()
                ],
                "gateway.bind=lan".into()
            )
        );
        reach.remote_url = Some("wss://tunnel.example/gw/".into());
        assert_eq!(first(&reach, None).0, ["wss://tunnel.example/gw"]);
        reach.public_origin = Some("https://home.example".into());
        assert_eq!(first(&reach, None).0, ["wss://home.example"]);
        assert_eq!(
            first(&reach, Some("http://10.0.0.9:80")).0,
            ["ws://10.0.0.9:80"]
        );
    }

    #[test]
    fn a_public_address_without_tls_is_refused() {
        let reach = Reach::default();
        for wrong in [
            "ws://gateway.example",
            "http://8.8.8.8",
            "ftp://10.0.0.1",
            "wss://",
            "wss://user:secret@host",
            "wss://host?token=1",
            "ws://10.0.0.1@evil.example",
        ] {
            assert!(chosen(&reach, &[], Some(wrong)).is_err(), "{wrong}");
        }
        for right in [
            "ws://pi.local:18789",
            "ws://100.64.0.7:18789",
            "gateway.example",
        ] {
            assert!(chosen(&reach, &[], Some(right)).is_ok(), "{right}");
        }
    }

    #[test]
    fn a_host_without_a_private_address_needs_one_named() {
        assert!(chosen(&everywhere(), &["8.8.8.8"], None).is_err());
        assert!(chosen(&everywhere(), &[], None).is_err());
    }
}
