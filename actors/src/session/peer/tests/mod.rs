//! Who asks, by table.

mod identity;

use std::net::IpAddr;

use super::*;
use crate::network::Tailnet;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn surroundings(tailnet: Tailnet) -> Surroundings {
    Surroundings {
        tailnet,
        interfaces: vec![ip("127.0.0.1"), ip("10.0.0.5"), ip("100.100.1.2")],
        own_tailnet: vec![ip("100.100.1.2")],
    }
}

fn proxies(entries: &[&str], real_ip: bool) -> Proxies {
    let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
    Proxies::parse(&entries, real_ip).unwrap()
}

/// What a request from `from` with these headers comes to: client, local, proxy.
fn ask(
    from: &str,
    headers: &[(&str, &str)],
    proxies: &Proxies,
) -> Result<(IpAddr, bool, Option<IpAddr>), Unattributed> {
    let inbound = Inbound {
        from: SocketAddr::new(ip(from), 40_000),
        headers,
    };
    let gate = GateSettings {
        proxies: proxies.clone(),
        ..GateSettings::new(AuthMode::None)
    };
    match resolve(&inbound, &gate, &surroundings(Tailnet::Interface))? {
        Seen::Known(peer) => Ok((peer.client_ip(), peer.local, peer.proxy)),
        Seen::Ask(question) => panic!("nothing to ask here: {question:?}"),
    }
}

#[test]
fn a_direct_peer_is_who_it_is() {
    let none = Proxies::default();
    for (from, client, local) in [
        ("127.0.0.1", "127.0.0.1", true),
        ("127.8.9.10", "127.8.9.10", true),
        ("::1", "::1", true),
        ("::ffff:127.0.0.1", "127.0.0.1", true),
        ("100.100.1.2", "100.100.1.2", true),
        ("::ffff:100.100.1.2", "100.100.1.2", true),
        // Another tailnet address, the private network, the internet.
        ("100.100.1.3", "100.100.1.3", false),
        ("10.0.0.9", "10.0.0.9", false),
        ("::ffff:203.0.113.9", "203.0.113.9", false),
        ("2001:db8::9", "2001:db8::9", false),
    ] {
        let host = [("host", "gw.example.com"), ("user-agent", "x")];
        assert_eq!(
            ask(from, &host, &none),
            Ok((ip(client), local, None)),
            "{from}"
        );
    }
}

#[test]
fn nobody_but_a_trusted_proxy_forwards() {
    let trusted = proxies(&["10.0.0.0/24", "2001:db8::1"], true);
    let names = [
        "forwarded",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-anything",
        "tailscale-user-login",
        "tailscale-anything",
    ];
    for from in [
        "127.0.0.1",
        "::1",
        "100.100.1.2",
        "10.0.1.1",
        "2001:db8::2",
        "203.0.113.9",
    ] {
        for name in names {
            let refused = ask(from, &[("host", "gw"), (name, "203.0.113.7")], &trusted);
            let expected = Unattributed::NotTrusted {
                header: name.to_owned(),
                from: ip(from),
            };
            assert_eq!(refused, Err(expected), "{from} {name}");
        }
    }
}

#[test]
fn the_client_is_the_rightmost_entry_that_is_no_trusted_proxy() {
    let trusted = proxies(&["10.0.0.0/24", "127.0.0.1", "::ffff:192.0.2.0/120"], false);
    for (headers, client) in [
        (&[("x-forwarded-for", "203.0.113.7")][..], "203.0.113.7"),
        // The left part is the client's own claim.
        (
            &[("x-forwarded-for", "127.0.0.1, 8.8.8.8, 203.0.113.7")],
            "203.0.113.7",
        ),
        (
            &[("x-forwarded-for", "garbage, 203.0.113.7,10.0.0.3")],
            "203.0.113.7",
        ),
        (
            &[("x-forwarded-for", "203.0.113.7, 192.0.2.9")],
            "203.0.113.7",
        ),
        // Several headers are one list.
        (
            &[
                ("x-forwarded-for", "8.8.8.8"),
                ("x-forwarded-for", "203.0.113.7, 10.0.0.2"),
            ],
            "203.0.113.7",
        ),
        (
            &[
                ("x-forwarded-for", "203.0.113.7"),
                ("x-forwarded-for", "10.0.0.2"),
            ],
            "203.0.113.7",
        ),
        (&[("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7"),
        (&[("x-forwarded-for", "203.0.113.7:4711")], "203.0.113.7"),
        (&[("x-forwarded-for", "[2001:db8::7]:4711")], "2001:db8::7"),
        (&[("x-forwarded-for", "[2001:db8::7]")], "2001:db8::7"),
        // A client in the private network, and one with an own tailnet address, are not local.
        (&[("x-forwarded-for", "192.168.1.4")], "192.168.1.4"),
        (&[("x-forwarded-for", "100.100.1.2")], "100.100.1.2"),
        (
            &[
                ("x-forwarded-for", "203.0.113.7"),
                ("x-real-ip", "127.0.0.1"),
                ("tailscale-user-login", "a@b"),
            ],
            "203.0.113.7",
        ),
    ] {
        for from in ["10.0.0.1", "127.0.0.1", "::ffff:10.0.0.1"] {
            let expected = Ok((ip(client), false, Some(ip(from).to_canonical())));
            assert_eq!(ask(from, headers, &trusted), expected, "{from} {headers:?}");
        }
    }
}

#[test]
fn a_trusted_proxy_that_names_no_client_is_refused() {
    let from = ip("10.0.0.1");
    let no_client = Err(Unattributed::NoClient { from });
    let bad = |header| Err(Unattributed::BadClient { from, header });
    let trusted = proxies(&["10.0.0.1", "10.0.0.2"], false);
    for (headers, expected) in [
        (&[][..], no_client.clone()),
        (&[("forwarded", "for=203.0.113.7")], no_client.clone()),
        (&[("x-forwarded-proto", "https")], no_client.clone()),
        // Only with gateway.allowRealIpFallback.
        (&[("x-real-ip", "203.0.113.7")], no_client.clone()),
        (
            &[("x-forwarded-for", "10.0.0.1, 10.0.0.2")],
            no_client.clone(),
        ),
        (&[("x-forwarded-for", "127.0.0.1")], bad("x-forwarded-for")),
        (&[("x-forwarded-for", "::1")], bad("x-forwarded-for")),
        (
            &[("x-forwarded-for", "::ffff:127.0.0.1")],
            bad("x-forwarded-for"),
        ),
        (&[("x-forwarded-for", "0.0.0.0")], bad("x-forwarded-for")),
        (&[("x-forwarded-for", "")], bad("x-forwarded-for")),
        (&[("x-forwarded-for", "unknown")], bad("x-forwarded-for")),
        (
            &[("x-forwarded-for", "203.0.113.7,")],
            bad("x-forwarded-for"),
        ),
        (
            &[("x-forwarded-for", "203.0.113.7, nonsense")],
            bad("x-forwarded-for"),
        ),
        (&[("x-forwarded-for", UNREADABLE)], bad("x-forwarded-for")),
    ] {
        assert_eq!(
            ask("10.0.0.1", headers, &trusted),
            expected.clone(),
            "{headers:?}"
        );
    }
    let endless = ["10.0.0.2"; 100].join(",");
    let answer = ask(
        "10.0.0.1",
        &[("x-forwarded-for", &format!("203.0.113.7,{endless}"))],
        &trusted,
    );
    assert_eq!(answer, no_client);
}

#[test]
fn x_real_ip_counts_where_it_was_asked_for_and_nothing_better_is_there() {
    let from = ip("10.0.0.1");
    let trusted = proxies(&["10.0.0.1"], true);
    let ok = |client| Ok((ip(client), false, Some(from)));
    let bad = |header| Err(Unattributed::BadClient { from, header });
    for (headers, expected) in [
        (&[("x-real-ip", "203.0.113.7")][..], ok("203.0.113.7")),
        (
            &[
                ("x-real-ip", "198.51.100.1"),
                ("x-forwarded-for", "203.0.113.7"),
            ],
            ok("203.0.113.7"),
        ),
        (&[("x-real-ip", "127.0.0.1")], bad("x-real-ip")),
        (&[("x-real-ip", "10.0.0.1")], bad("x-real-ip")),
        (
            &[("x-real-ip", "203.0.113.7"), ("x-real-ip", "203.0.113.8")],
            bad("x-real-ip"),
        ),
        (
            &[("x-real-ip", "203.0.113.7"), ("x-forwarded-for", "?")],
            bad("x-forwarded-for"),
        ),
    ] {
        assert_eq!(ask("10.0.0.1", headers, &trusted), expected, "{headers:?}");
    }
}

#[test]
fn a_command_line_beside_a_trusted_proxy_of_this_host_is_local() {
    let trusted = proxies(&["127.0.0.1", "100.64.0.0/10"], false);
    assert_eq!(
        ask("127.0.0.1", &[], &trusted),
        Ok((ip("127.0.0.1"), true, None))
    );
    assert_eq!(
        ask("100.100.1.2", &[], &trusted),
        Ok((ip("100.100.1.2"), true, None))
    );
    assert_eq!(
        ask("100.100.1.3", &[], &trusted),
        Err(Unattributed::NoClient {
            from: ip("100.100.1.3")
        })
    );
}

#[test]
fn entries_are_addresses_or_networks() {
    for entry in ["10.0.0.1/33", "proxy.example", "", "10.0.0"] {
        assert!(
            Proxies::parse(&[entry.to_owned()], false).is_err(),
            "{entry}"
        );
    }
    assert!(proxies(&["::1", " 10.1.2.3/8 "], false).trusts(ip("10.9.9.9")));
}

#[test]
fn an_origin_that_comes_twice_is_an_origin_that_nobody_allows() {
    for (headers, origin) in [
        (&[][..], None),
        (&[("origin", "http://a")], Some("http://a")),
        (
            &[("origin", "http://a"), ("origin", "http://a")],
            Some(UNREADABLE),
        ),
    ] {
        let inbound = Inbound {
            from: SocketAddr::new(ip("127.0.0.1"), 1),
            headers,
        };
        let gate = GateSettings::new(AuthMode::None);
        let seen = resolve(&inbound, &gate, &Surroundings::default()).unwrap();
        let Seen::Known(peer) = seen else {
            panic!("{seen:?}");
        };
        assert_eq!(peer.origin.as_deref(), origin);
    }
}
