//! Whose word counts: tailscaled's and a proxy's.

use std::net::SocketAddr;

use super::super::TailscaleFailure::{ProxyMissing, UserMismatch, UserMissing, WhoisFailed};
use super::super::*;
use super::{ip, proxies, surroundings};
use crate::gate::Served;
use crate::network::Tailnet;

fn identity(login: Option<&str>, addresses: &[&str]) -> Identity {
    Identity {
        login: login.map(str::to_owned),
        addresses: addresses.iter().map(|text| ip(text)).collect(),
    }
}

fn question(
    from: &str,
    headers: &[(&str, &str)],
    gate: &GateSettings,
    tailnet: Tailnet,
) -> Question {
    let inbound = Inbound {
        from: SocketAddr::new(ip(from), 40_001),
        headers,
    };
    match resolve(&inbound, gate, &surroundings(tailnet)).unwrap() {
        Seen::Ask(question) => question,
        Seen::Known(peer) => panic!("known without asking: {peer:?}"),
    }
}

#[test]
fn where_tailscaled_has_no_interface_its_word_tells_a_tailnet_peer_from_a_local_client() {
    let gate = GateSettings::new(AuthMode::None);
    let failed = || AskError::Failed("slow".into());
    for tailnet in [Tailnet::Userspace, Tailnet::Unclear] {
        for (answer, client, local) in [
            (Ok(None), "127.0.0.1", true),
            (Err(AskError::Absent), "127.0.0.1", true),
            (
                Ok(Some(identity(Some("a@b"), &["100.101.1.9"]))),
                "100.101.1.9",
                false,
            ),
            (Ok(Some(identity(None, &[]))), "127.0.0.1", false),
            (Err(failed()), "127.0.0.1", false),
        ] {
            let question = question("127.0.0.1", &[], &gate, tailnet);
            let connection: SocketAddr = "127.0.0.1:40001".parse().unwrap();
            assert_eq!(question.subject, Subject::Connection(connection));
            let peer = question.settle(&answer);
            let got = (peer.client_ip(), peer.local, peer.tailscale);
            assert_eq!(got, (ip(client), local, None), "{answer:?}");
        }
    }
}

#[test]
fn what_tailscale_serve_forwards_is_asked_about() {
    let gate = GateSettings {
        allow_tailscale: true,
        ..GateSettings::new(AuthMode::Token("x".into()))
    };
    let known = |login: Option<&str>| Ok(Some(identity(login, &["100.101.1.9"])));
    let serve = |login: Option<&'static str>| {
        let mut headers = vec![
            ("x-forwarded-for", "100.101.1.9"),
            ("x-forwarded-host", "pi.tail1.ts.net"),
            ("x-forwarded-proto", "https"),
        ];
        headers.extend(login.map(|login| ("tailscale-user-login", login)));
        headers
    };
    let alice = Some("alice@example.com");
    for (headers, answer, client, found) in [
        (
            serve(Some("Alice@Example.com")),
            known(alice),
            "100.101.1.9",
            Ok("alice@example.com".to_owned()),
        ),
        (serve(None), known(alice), "100.101.1.9", Err(UserMissing)),
        (
            serve(Some(" ")),
            known(alice),
            "100.101.1.9",
            Err(UserMissing),
        ),
        (serve(alice), known(None), "100.101.1.9", Err(UserMissing)),
        (
            serve(Some("mallory@example.com")),
            known(alice),
            "100.101.1.9",
            Err(UserMismatch),
        ),
        (
            vec![
                ("x-forwarded-for", "100.101.1.9"),
                ("tailscale-user-login", "alice@example.com"),
            ],
            known(alice),
            "100.101.1.9",
            Err(ProxyMissing),
        ),
        // Nobody vouches for the address: failures count for loopback, and nothing is local.
        (serve(alice), Ok(None), "127.0.0.1", Err(WhoisFailed)),
        (
            serve(alice),
            Err(AskError::Absent),
            "127.0.0.1",
            Err(WhoisFailed),
        ),
        (
            serve(alice),
            Err(AskError::Failed("slow".into())),
            "127.0.0.1",
            Err(WhoisFailed),
        ),
    ] {
        let question = question("127.0.0.1", &headers, &gate, Tailnet::Interface);
        assert_eq!(question.subject, Subject::Address(ip("100.101.1.9")));
        let peer = question.settle(&answer);
        let got = (peer.client_ip(), peer.local, peer.tailscale);
        assert_eq!(got, (ip(client), false, Some(found)), "{headers:?}");
    }
}

#[test]
fn nothing_else_passes_for_tailscale_serve() {
    let mut gate = GateSettings {
        allow_tailscale: true,
        ..GateSettings::new(AuthMode::Token("x".into()))
    };
    let login = ("tailscale-user-login", "alice@example.com");
    let host = ("x-forwarded-host", "pi.tail1.ts.net");
    let refused = |from: &str, gate: &GateSettings, forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded), host, login];
        let inbound = Inbound {
            from: SocketAddr::new(ip(from), 1),
            headers: &headers,
        };
        let seen = resolve(&inbound, gate, &surroundings(Tailnet::Interface));
        assert!(
            matches!(seen, Err(Unattributed::NotTrusted { .. })),
            "{from} {forwarded}: {seen:?}"
        );
    };
    // Another proxy in between, an address outside the tailnet, no address.
    for forwarded in [
        "203.0.113.7, 100.101.1.9",
        "100.101.1.9, 100.101.1.8",
        "203.0.113.7",
        "127.0.0.1",
        "",
        UNREADABLE,
    ] {
        refused("127.0.0.1", &gate, forwarded);
    }
    // Only the daemon of this host forwards.
    refused("100.101.1.9", &gate, "100.101.1.9");
    refused("10.0.0.9", &gate, "100.101.1.9");
    gate.allow_tailscale = false;
    refused("127.0.0.1", &gate, "100.101.1.9");
}

#[test]
fn what_tailscale_forwards_by_our_own_configuration_is_remote_and_needs_the_secret() {
    let gate = |served| GateSettings {
        served,
        ..GateSettings::new(AuthMode::Password("x".into()))
    };
    let host = ("x-forwarded-host", "pi.tail1.ts.net");
    let marked = ("tailscale-funnel-request", "?1");
    let seen = |served, from: &str, headers: &[(&str, &str)]| {
        let inbound = Inbound {
            from: SocketAddr::new(ip(from), 1),
            headers,
        };
        resolve(&inbound, &gate(served), &surroundings(Tailnet::Interface))
    };
    // From the tailnet: whoever tailscaled says that it is, though no login opens this gate.
    let tailnet = [("x-forwarded-for", "100.101.1.9"), host];
    for served in [Served::Tailnet, Served::Internet] {
        let asked = seen(served, "127.0.0.1", &tailnet).unwrap();
        assert!(matches!(asked, Seen::Ask(_)), "{asked:?}");
        assert!(seen(served, "10.0.0.9", &tailnet).is_err());
    }
    // From the internet: only where that was asked for, only from this host's tailscaled.
    let public = [("x-forwarded-for", "203.0.113.7"), host, marked];
    let Seen::Known(peer) = seen(Served::Internet, "127.0.0.1", &public).unwrap() else {
        panic!("nobody has to be asked");
    };
    assert_eq!((peer.client_ip(), peer.local), (ip("203.0.113.7"), false));
    assert!(peer.https && peer.proxy.is_some() && peer.tailscale.is_none());
    assert!(seen(Served::Tailnet, "127.0.0.1", &public).is_err());
    assert!(seen(Served::No, "127.0.0.1", &public).is_err());
    assert!(seen(Served::Internet, "203.0.113.7", &public).is_err());
    for wrong in ["127.0.0.1", "203.0.113.7, 203.0.113.8", "", UNREADABLE] {
        let headers = [("x-forwarded-for", wrong), host, marked];
        let seen = seen(Served::Internet, "127.0.0.1", &headers);
        assert!(seen.is_err(), "{wrong}: {seen:?}");
    }
    let unmarked = [("x-forwarded-for", "203.0.113.7"), host];
    assert!(seen(Served::Internet, "127.0.0.1", &unmarked).is_err());
}

#[test]
fn a_proxy_names_its_user_in_the_configured_way_only() {
    let rules = |allow_loopback| ProxyRules {
        user_header: "x-forwarded-user".into(),
        required_headers: vec!["x-forwarded-proto".into(), "x-sso".into()],
        allow_users: Vec::new(),
        allow_loopback,
    };
    let full = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-sso", "1"),
        ("x-forwarded-user", " alice "),
    ];
    let without = |name: &str| {
        let mut headers = full.to_vec();
        headers.retain(|(header, _)| *header != name);
        headers
    };
    let with = |name: &'static str, value: &'static str| {
        let mut headers = without(name);
        headers.push((name, value));
        headers
    };
    let twice = [full.to_vec(), vec![("x-forwarded-user", "root")]].concat();
    let missing = |name: &str| Err(ProxyFailure::MissingHeader(name.to_owned()));
    let alice = || Ok("alice".to_owned());
    for (from, headers, allow_loopback, user) in [
        ("10.0.0.1", full.to_vec(), false, alice()),
        ("10.0.0.1", without("x-sso"), false, missing("x-sso")),
        ("10.0.0.1", with("x-sso", ""), false, missing("x-sso")),
        (
            "10.0.0.1",
            without("x-forwarded-user"),
            false,
            Err(ProxyFailure::UserMissing),
        ),
        (
            "10.0.0.1",
            with("x-forwarded-user", " "),
            false,
            Err(ProxyFailure::UserMissing),
        ),
        (
            "10.0.0.1",
            with("x-forwarded-user", UNREADABLE),
            false,
            Err(ProxyFailure::UserMissing),
        ),
        ("10.0.0.1", twice, false, Err(ProxyFailure::UserMissing)),
        (
            "127.0.0.1",
            full.to_vec(),
            false,
            Err(ProxyFailure::LoopbackSource),
        ),
        ("127.0.0.1", full.to_vec(), true, alice()),
        (
            "10.0.0.5",
            full.to_vec(),
            false,
            Err(ProxyFailure::LocalInterfaceSource),
        ),
        ("10.0.0.5", full.to_vec(), true, alice()),
    ] {
        let gate = GateSettings {
            proxies: proxies(&["10.0.0.0/24", "127.0.0.1"], false),
            ..GateSettings::new(AuthMode::TrustedProxy {
                rules: rules(allow_loopback),
                password: None,
            })
        };
        let inbound = Inbound {
            from: SocketAddr::new(ip(from), 1),
            headers: &headers,
        };
        let seen = resolve(&inbound, &gate, &surroundings(Tailnet::Absent)).unwrap();
        let Seen::Known(peer) = seen else {
            panic!("{seen:?}");
        };
        assert_eq!(peer.proxy_user, Some(user), "{from} {headers:?}");
        assert!(!peer.local);
    }
}
