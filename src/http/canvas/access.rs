//! Who may read the canvas: whoever has a capability, the gateway's secret as a Bearer token, or, where that is
//! allowed, a program of this host that asks for this host by a name of this host.

use actix_web::{HttpRequest, HttpResponse};
use openclaw_actors::canvas::address;
use openclaw_actors::session::peer::Peer;
use openclaw_actors::views::Views;

use super::super::{HttpState, auth, ws};
use super::target::Target;
use super::unauthorized;

/// By what a request was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A capability in its path.
    Capability,
    /// It came from this host.
    Loopback,
    /// The gateway's secret.
    Secret,
}

/// Lets a request in, or says why not.
pub(super) async fn enter(
    request: &HttpRequest,
    state: &HttpState,
    target: &Target,
) -> Result<Way, HttpResponse> {
    let peer = ws::peer_of(request, state).await?;
    let views = &state.sessions.views;
    if let Some(token) = &target.capability {
        return if views.canvas.opens(token, views, state.clock.now()) {
            Ok(Way::Capability)
        } else {
            Err(unauthorized(
                "this address of the canvas is over; the gateway gives a connected client another one",
            ))
        };
    }
    let from_here = request
        .peer_addr()
        .is_some_and(|from| from.ip().to_canonical().is_loopback());
    if from_here && asks_by_loopback(&peer) && loopback_is_open(views) {
        return Ok(Way::Loopback);
    }
    auth::enter(request, state, "canvas").await?;
    Ok(Way::Secret)
}

/// Whether programs of this host need no proof.
pub(super) fn loopback_is_open(views: &Views) -> bool {
    views.settings.load().canvas.allow_loopback_read || address::opens_loopback(views)
}

/// A program of this host, or a page of it, that asks for this host by a name of this host. A name that others
/// could point here is not enough, nor is a page of another site.
pub(in crate::http) fn asks_by_loopback(peer: &Peer) -> bool {
    let is_name = |authority: &str| {
        let port = |rest: &str| {
            rest.is_empty()
                || rest
                    .strip_prefix(':')
                    .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let rest = |name: &str| {
            let (start, rest) = authority.split_at_checked(name.len())?;
            start.eq_ignore_ascii_case(name).then_some(rest)
        };
        ["localhost", "127.0.0.1", "[::1]"]
            .into_iter()
            .any(|name| rest(name).is_some_and(port))
    };
    let page = |origin: &str| {
        let rest = origin.strip_prefix("http://");
        rest.or_else(|| origin.strip_prefix("https://"))
            .is_some_and(is_name)
    };
    peer.local
        && peer.host.as_deref().is_some_and(is_name)
        && peer.origin.as_deref().is_none_or(page)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn only_names_of_this_host_ask_by_loopback() {
        let asks = |host: Option<&str>, origin: Option<&str>, local: bool| {
            let mut peer = Peer::direct(IpAddr::V4(Ipv4Addr::LOCALHOST), local);
            peer.host = host.map(str::to_owned);
            peer.origin = origin.map(str::to_owned);
            asks_by_loopback(&peer)
        };
        for host in ["localhost", "LOCALHOST:18793", "127.0.0.1:1", "[::1]:18793"] {
            assert!(asks(Some(host), None, true), "{host}");
            assert!(!asks(Some(host), None, false), "{host}");
            assert!(asks(Some(host), Some("http://localhost:18793"), true));
            assert!(asks(Some(host), Some("https://localhost:18793"), true));
            assert!(!asks(Some(host), Some("null"), true));
            assert!(!asks(Some(host), Some("https://evil.example"), true));
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "localhost:80@evil.example",
            "127.0.0.2",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "",
        ] {
            assert!(!asks(Some(host), None, true), "{host}");
        }
        assert!(!asks(None, None, true));
    }
}
