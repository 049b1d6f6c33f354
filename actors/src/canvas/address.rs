//! Addresses of the canvas, as the client itself reached this gateway.

use std::sync::Arc;

use openclaw_protocol::Generation;
use serde_json::Value;

use super::may_see;
use crate::call::Caller;
use crate::clock::{Millis, SharedEntropy};
use crate::session::peer::Peer;
use crate::views::Views;

/// Longest name of a host that is repeated to its client, bytes.
const MAX_HOST: usize = 255;
/// What the paths of the canvas begin with.
pub const PREFIX: &str = "/__openclaw__/";

/// Where a client found this gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    https: bool,
    /// `host[:port]`.
    host: String,
    proxied: bool,
}

impl Address {
    /// What the request of a client's socket says; `None` where that cannot be part of an address.
    pub fn of(peer: &Peer) -> Option<Self> {
        let host = peer.host.clone()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let fits = !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(plain);
        fits.then_some(Self {
            https: peer.https,
            host,
            proxied: peer.proxy.is_some() || peer.tailscale.is_some(),
        })
    }

    const fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.host)
    }

    /// The canvas host's own port on the same host; this very address where there is a proxy between.
    fn own(&self, port: u16) -> String {
        if port == 0 || self.proxied {
            return self.origin();
        }
        let name = match self.host.rsplit_once(':') {
            Some((name, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &self.host,
        };
        // The gateway speaks TLS on both ports or on none.
        format!("{}://{name}:{port}", self.scheme())
    }
}

/// Where the canvas is for a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The address, without a slash behind it.
    pub url: String,
    /// Until when it is good if it is not used.
    pub until: Millis,
}

/// An address with a capability of its own, where the connection may see the canvas.
pub fn give(
    views: &Views,
    caller: &Arc<Caller>,
    entropy: &SharedEntropy,
    now: Millis,
) -> Option<Given> {
    let address = caller.address.as_ref().filter(|_| may_see(views, caller))?;
    let v3 = caller.generation == Generation::V3;
    let origin = if v3 {
        address.own(views.canvas.port())
    } else {
        address.origin()
    };
    let token = entropy.uuid().simple().to_string();
    let until = views.canvas.grant(caller, &token, now);
    Some(Given {
        url: format!("{origin}{PREFIX}cap/{token}"),
        until,
    })
}

/// What hello-ok of the older generation says: nodes of this host get the bare address, because some of them
/// keep no path of it; see [`opens_loopback`].
pub fn give_v3(
    views: &Views,
    caller: &Arc<Caller>,
    entropy: &SharedEntropy,
    now: Millis,
) -> Option<String> {
    if is_local_v3(caller) {
        let address = caller.address.as_ref().filter(|_| may_see(views, caller))?;
        return Some(address.own(views.canvas.port()));
    }
    give(views, caller, entropy, now).map(|given| given.url)
}

fn is_local_v3(caller: &Caller) -> bool {
    caller.generation == Generation::V3 && caller.node.is_some() && caller.remote_ip.is_none()
}

/// Whether a node is connected that was given the bare address.
pub fn opens_loopback(views: &Views) -> bool {
    let nodes = views.nodes.load();
    let mut nodes = nodes.iter();
    nodes.any(|(_, node)| is_local_v3(&node.caller) && may_see(views, &node.caller))
}

/// The parameters of a command with the address of a page of the canvas made whole for this node: agents and
/// people name such a page by its path, and each node has another capability.
pub fn expand(
    views: &Views,
    node: &Arc<Caller>,
    entropy: &SharedEntropy,
    now: Millis,
    command: &str,
    params: &mut Option<Value>,
) {
    if !matches!(command, "canvas.present" | "canvas.navigate") {
        return;
    }
    let Some(Value::String(url)) = params.as_mut().and_then(|params| params.get_mut("url")) else {
        return;
    };
    let page = url
        .strip_prefix(PREFIX)
        .is_some_and(|rest| rest.starts_with("canvas/") || rest.starts_with("a2ui/"));
    if let Some(given) = page.then(|| give(views, node, entropy, now)).flatten() {
        *url = format!("{}{url}", given.url);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn address(host: &str) -> Option<Address> {
        let mut peer = Peer::direct(IpAddr::V4(Ipv4Addr::LOCALHOST), true);
        peer.host = Some(host.to_owned());
        Address::of(&peer)
    }

    #[test]
    fn an_address_is_the_one_that_the_client_used() {
        for (host, own) in [
            ("localhost:18789", "http://localhost:18793"),
            ("gateway.local", "http://gateway.local:18793"),
            ("[::1]:18789", "http://[::1]:18793"),
            ("10.0.0.7:80", "http://10.0.0.7:18793"),
        ] {
            let address = address(host).unwrap();
            assert_eq!(address.origin(), format!("http://{host}"));
            assert_eq!(address.own(18_793), own);
            assert_eq!(address.own(0), format!("http://{host}"));
        }
    }

    #[test]
    fn over_tls_both_ports_are_named_as_such_and_a_proxy_speaks_for_itself() {
        let peer = |proxy: Option<IpAddr>| {
            let mut peer = Peer::direct(IpAddr::V4(Ipv4Addr::LOCALHOST), true);
            peer.host = Some("gateway.local:18789".to_owned());
            peer.proxy = proxy;
            Address::of(&peer.over_tls()).unwrap()
        };
        let direct = peer(None);
        assert_eq!(direct.origin(), "https://gateway.local:18789");
        assert_eq!(direct.own(18_793), "https://gateway.local:18793");
        let proxied = peer(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(proxied.own(18_793), "http://gateway.local:18789");
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        for host in ["", "a/b", "a b", "a@b", "a?b", "a#b", "ä", &"a".repeat(256)] {
            assert_eq!(address(host), None, "{host}");
        }
    }
}
