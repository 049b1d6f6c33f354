//! Which addresses a tailnet gives, and on which of them this host can listen. Pure.

use std::net::IpAddr;

use super::ask::{AskError, Status};

/// Whether a tailnet may have given an address: Tailscale's own part of the private IPv6 addresses, or
/// the IPv4 addresses that it shares with carriers' networks (100.64.0.0/10).
pub fn is_tailnet(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64,
        IpAddr::V6(v6) => v6.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0],
    }
}

/// Why this host cannot listen in a tailnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTailnet {
    /// It has no tailnet address now.
    #[error(
        "this host has no tailnet address: {0}. Start tailscaled and log in (sudo tailscale up), then start the gateway again"
    )]
    Down(String),
    /// It is in one, without an address that a program can listen on.
    #[error(
        "tailscaled of this host has no network interface (userspace networking), so that there is no address to listen on; use gateway.tailscale.mode \"serve\" with gateway.bind \"loopback\""
    )]
    Userspace,
}

/// The addresses to listen on, IPv4 first: those of tailscaled that an interface has. Where tailscaled
/// cannot be asked, those of the interfaces that look like a tailnet's.
///
/// # Errors
///
/// [`NoTailnet`] when there is none.
pub(super) fn listenable(
    status: Result<Status, AskError>,
    interfaces: &[IpAddr],
) -> Result<Vec<IpAddr>, NoTailnet> {
    let (mut found, why): (Vec<IpAddr>, String) = match status {
        Ok(status) if !status.interface && !status.own.is_empty() => {
            return Err(NoTailnet::Userspace);
        }
        Ok(status) if status.own.is_empty() => {
            (Vec::new(), "tailscaled runs and is not connected".into())
        }
        Ok(status) => (status.own, "its interface is not up".into()),
        Err(error) => {
            let alike = interfaces.iter().copied().filter(is_tailnet);
            (alike.collect(), error.to_string())
        }
    };
    found.retain(|address| interfaces.contains(address));
    found.sort_by_key(IpAddr::is_ipv6);
    found.dedup();
    if found.is_empty() {
        return Err(NoTailnet::Down(why));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn status(interface: bool, own: &[&str]) -> Status {
        let own = ips(own);
        Status { interface, own }
    }

    #[test]
    fn it_listens_on_the_addresses_that_tailscaled_names_and_an_interface_has() {
        let here = ips(&[
            "127.0.0.1",
            "fd7a:115c:a1e0::7",
            "100.64.7.1",
            "100.99.0.9",
            "192.168.1.2",
        ]);
        let both = status(true, &["fd7a:115c:a1e0::7", "100.64.7.1", "100.64.7.2"]);
        let found = listenable(Ok(both), &here).unwrap();
        assert_eq!(found, ips(&["100.64.7.1", "fd7a:115c:a1e0::7"]));
        // Nobody to ask: what looks like it.
        let found = listenable(Err(AskError::Absent), &here).unwrap();
        assert_eq!(
            found,
            ips(&["100.64.7.1", "100.99.0.9", "fd7a:115c:a1e0::7"])
        );
    }

    #[test]
    fn without_an_address_it_says_what_to_do() {
        let here = ips(&["127.0.0.1", "192.168.1.2", "100.128.0.1", "fd00::1"]);
        let slow = AskError::Failed("no answer within 2000 ms".into());
        let cases = [
            (Err(AskError::Absent), "tailscaled is not running"),
            (Err(slow), "no answer within 2000 ms"),
            (Ok(status(true, &[])), "is not connected"),
            (Ok(status(false, &[])), "is not connected"),
            (Ok(status(true, &["100.64.7.1"])), "interface is not up"),
        ];
        for (status, why) in cases {
            let error = listenable(status, &here).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(error.contains("sudo tailscale up"), "{error}");
        }
        let userspace = listenable(Ok(status(false, &["100.64.7.1"])), &here);
        assert_eq!(userspace.unwrap_err(), NoTailnet::Userspace);
    }
}
