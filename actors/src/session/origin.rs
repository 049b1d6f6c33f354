//! Browser rules: which pages may open a socket.

use std::net::IpAddr;

use openclaw_protocol::ErrorShape;
use serde_json::json;

use super::peer::Peer;
use crate::gate::GateSettings;

/// Checks the `Origin` header. True when the page is our own or listed by name (or there is no
/// page at all): only then may a new device be approved silently.
///
/// # Errors
///
/// `CONTROL_UI_ORIGIN_NOT_ALLOWED`, with what to configure.
pub fn check(peer: &Peer, gate: &GateSettings, browser_class: bool) -> Result<bool, ErrorShape> {
    let allowed = &gate.allowed_origins;
    let Some(origin) = peer.origin.as_deref() else {
        return if browser_class {
            Err(refusal("origin missing or invalid"))
        } else {
            Ok(true)
        };
    };
    if allowed
        .iter()
        .any(|entry| entry.eq_ignore_ascii_case(origin))
    {
        return Ok(true);
    }
    let Some(authority) = authority(origin) else {
        return Err(refusal("origin missing or invalid"));
    };
    let same_host = is_host(peer, authority);
    if same_host && trusted_host(authority, peer.local) {
        return Ok(true);
    }
    if peer.local && is_loopback(host_of(authority)) {
        return Ok(false);
    }
    if allowed.iter().any(|entry| entry == "*") || (same_host && gate.host_origin_fallback) {
        return Ok(false);
    }
    Err(refusal("origin not allowed"))
}

/// Whether the page was served by this gateway to a browser on this machine.
pub fn is_own_loopback_page(peer: &Peer) -> bool {
    peer.origin
        .as_deref()
        .and_then(authority)
        .zip(peer.host.as_deref())
        .is_some_and(|(page, host)| page.eq_ignore_ascii_case(host) && is_loopback(host_of(page)))
}

/// Whether a page of another site asks, which is refused before the upgrade: it could otherwise
/// hold the few places that sockets have before their handshake, against everyone behind the same
/// address, and browsers give it no other way to reach this host.
///
/// A page that this gateway served itself, under a name that is not trusted yet, is let through to
/// the refusal in the `connect` answer: that one it can read, and show what to configure.
pub fn is_foreign(peer: &Peer, gate: &GateSettings) -> bool {
    let from_here = peer
        .origin
        .as_deref()
        .and_then(authority)
        .is_some_and(|authority| is_host(peer, authority));
    peer.origin.is_some() && !from_here && check(peer, gate, false).is_err()
}

fn is_host(peer: &Peer, authority: &str) -> bool {
    peer.host
        .as_deref()
        .is_some_and(|host| host.eq_ignore_ascii_case(authority))
}

/// What a refused page, or whoever looks after it, can do.
pub const REMEDY: &str = "origin not allowed (open the page from the gateway host or allow it in gateway.controlUi.allowedOrigins)";

fn refusal(reason: &str) -> ErrorShape {
    ErrorShape::invalid(REMEDY)
        .with_details(json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": reason}))
}

/// `host[:port]` of an origin.
fn authority(origin: &str) -> Option<&str> {
    let rest = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))?;
    (!rest.is_empty() && !rest.contains(['/', '?', '#', '@'])).then_some(rest)
}

fn host_of(authority: &str) -> &str {
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Names that public DNS cannot point here on behalf of an attacker's page.
fn trusted_host(authority: &str, local: bool) -> bool {
    let host = host_of(authority);
    if is_loopback(host) {
        return local;
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return match ip.to_canonical() {
            IpAddr::V4(ip) => {
                ip.is_private()
                    || ip.is_link_local()
                    || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
            }
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        };
    }
    let host = host.to_ascii_lowercase();
    [".local", ".ts.net"]
        .iter()
        .any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::AuthMode;

    fn peer(local: bool, origin: Option<&str>, host: &str) -> Peer {
        let mut peer = Peer::direct("127.0.0.1".parse().unwrap(), local);
        peer.origin = origin.map(Into::into);
        peer.host = Some(host.into());
        peer
    }

    #[test]
    fn pages_are_admitted_by_where_they_come_from() {
        let mut gate = GateSettings::new(AuthMode::None);
        gate.allowed_origins = vec!["https://ui.example".to_owned()];
        let cases = [
            (peer(true, None, "127.0.0.1:1"), false, Ok(true)),
            (peer(true, None, "127.0.0.1:1"), true, Err(())),
            (
                peer(true, Some("http://127.0.0.1:1"), "127.0.0.1:1"),
                true,
                Ok(true),
            ),
            (
                peer(true, Some("http://localhost:9"), "127.0.0.1:1"),
                true,
                Ok(false),
            ),
            (
                peer(false, Some("http://localhost:9"), "10.0.0.2:1"),
                true,
                Err(()),
            ),
            (
                peer(false, Some("http://10.0.0.2:1"), "10.0.0.2:1"),
                true,
                Ok(true),
            ),
            (
                peer(false, Some("http://evil.example"), "evil.example"),
                true,
                Err(()),
            ),
            (
                peer(false, Some("https://ui.example"), "10.0.0.2:1"),
                true,
                Ok(true),
            ),
            (peer(true, Some("null"), "127.0.0.1:1"), false, Err(())),
            (
                peer(true, Some("http://[::1]:5"), "127.0.0.1:1"),
                false,
                Ok(false),
            ),
        ];
        for (peer, browser, expected) in cases {
            assert_eq!(
                check(&peer, &gate, browser).map_err(|_| ()),
                expected,
                "{peer:?}"
            );
        }
    }

    #[test]
    fn a_page_of_another_site_is_told_from_our_own_under_a_new_name() {
        let mut gate = GateSettings::new(AuthMode::None);
        gate.allowed_origins = vec!["https://ui.example".to_owned()];
        let cases = [
            (None, "gw.example:1", false),
            (Some("http://127.0.0.1:1"), "127.0.0.1:1", false),
            (Some("https://ui.example"), "gw.example:1", false),
            // Ours, by a name that has to be allowed first: it is told so in the handshake.
            (Some("http://gw.example:1"), "gw.example:1", false),
            (Some("https://evil.example"), "gw.example:1", true),
            (Some("https://evil.example"), "127.0.0.1:1", true),
            (Some("https://gw.example.evil"), "gw.example", true),
            (Some("null"), "127.0.0.1:1", true),
            (Some("file://"), "127.0.0.1:1", true),
            (Some(""), "127.0.0.1:1", true),
        ];
        for (origin, host, foreign) in cases {
            let peer = peer(true, origin, host);
            assert_eq!(is_foreign(&peer, &gate), foreign, "{origin:?} {host}");
        }
        gate.host_origin_fallback = true;
        let ours = peer(false, Some("http://gw.example:1"), "gw.example:1");
        assert_eq!(check(&ours, &gate, true), Ok(false));
        let other = peer(false, Some("http://evil.example"), "gw.example:1");
        assert!(check(&other, &gate, true).is_err());
    }
}
