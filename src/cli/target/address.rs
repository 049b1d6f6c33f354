//! Addresses of gateways, as people write them.

use std::net::IpAddr;

use actix_web::http::Uri;

/// Turns what people write into a WebSocket address: `http` becomes `ws`, a bare host gets the
/// scheme that fits it.
pub(super) fn normalise(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let wrong = |why: &str| format!("`{text}` is not the address of a gateway: {why}");
    let (scheme, rest) = match text.split_once("://") {
        Some(("ws" | "http", rest)) => ("ws", rest),
        Some(("wss" | "https", rest)) => ("wss", rest),
        Some(_) => return Err(wrong("use ws:// or wss://")),
        None => return Err(wrong("write it as ws://HOST:PORT or wss://HOST")),
    };
    if rest.contains(['#', '@']) || rest.contains("token=") {
        return Err(wrong(
            "it must not hold credentials; pass them with --token",
        ));
    }
    let url = format!("{scheme}://{rest}");
    let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(url),
        _ => Err(wrong("the host is missing")),
    }
}

/// The host of a normalised address, without the brackets of IPv6.
pub(super) fn host_of(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

pub(super) fn port_of(url: &str) -> Option<u16> {
    let uri: Uri = url.parse().ok()?;
    uri.port_u16()
        .or(Some(if url.starts_with("wss:") { 443 } else { 80 }))
}

/// Whether two addresses name the same gateway.
pub(super) fn same(known: &str, url: &str) -> bool {
    let Ok(known) = normalise(known) else {
        return false;
    };
    let (one, other) = (host_of(&known), host_of(url));
    let host = one == other || (is_loopback(&one) && is_loopback(&other));
    host && port_of(&known) == port_of(url)
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Loopback does not leave the host, and a tailnet is encrypted below.
pub(super) fn may_be_plain(host: &str) -> bool {
    let tailnet = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let [a, b, ..] = address.octets();
            a == 100 && (64..128).contains(&b)
        }
        Ok(IpAddr::V6(address)) => address.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0],
        Err(_) => host.ends_with(".ts.net"),
    };
    tailnet || is_loopback(host)
}
