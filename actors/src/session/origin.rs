//! Browser rules: which pages may open a socket.

use std::net::IpAddr;

use openclaw_protocol::ErrorShape;
use serde_json::json;

use super::handshake::Peer;

/// Checks the `Origin` header. True when the page is our own or listed by name (or there is no
/// page at all): only then may a new device be approved silently.
///
/// # Errors
///
/// `CONTROL_UI_ORIGIN_NOT_ALLOWED`, with what to configure.
pub fn check(peer: &Peer, allowed: &[String], browser_class: bool) -> Result<bool, ErrorShape> {
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
    if peer
        .host
        .as_deref()
        .is_some_and(|host| host.eq_ignore_ascii_case(authority))
        && trusted_host(authority, peer.local)
    {
        return Ok(true);
    }
    if peer.local && is_loopback(host_of(authority)) {
        return Ok(false);
    }
    if allowed.iter().any(|entry| entry == "*") {
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

fn refusal(reason: &str) -> ErrorShape {
    ErrorShape::invalid(
        "origin not allowed (open the page from the gateway host or allow it in gateway.controlUi.allowedOrigins)",
    )
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

    fn peer(local: bool, origin: Option<&str>, host: &str) -> Peer {
        Peer {
            ip: "127.0.0.1".parse().unwrap(),
            local,
            origin: origin.map(Into::into),
            host: Some(host.into()),
        }
    }

    #[test]
    fn pages_are_admitted_by_where_they_come_from() {
        let listed = ["https://ui.example".to_owned()];
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
                check(&peer, &listed, browser).map_err(|_| ()),
                expected,
                "{peer:?}"
            );
        }
    }
}
