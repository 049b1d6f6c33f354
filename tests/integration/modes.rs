//! The modes without a shared secret: a trusted proxy's word, tailscaled's, and none at all.

use std::sync::Arc;

use futures_util::FutureExt as _;
use openclaw_actors::gate::{AuthMode, GateSettings};
use openclaw_actors::network::{
    AskError, Asked, FirstOf, Identity, Sources, Status, Subject, SystemInterfaces, Tailscale,
};
use openclaw_actors::session::peer::{Proxies, ProxyRules};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params, upgrade};

/// A mode in which the test's own address is a trusted proxy.
pub(crate) fn plan(mode: AuthMode) -> Plan {
    let proxies = Proxies::parse(&["127.0.0.1".to_owned()], false).expect("an address");
    Plan {
        gate: GateSettings {
            proxies,
            ..GateSettings::new(mode)
        },
        ..Plan::default()
    }
}

pub(crate) fn by_proxy(allow_loopback: bool, password: Option<&str>) -> AuthMode {
    AuthMode::TrustedProxy {
        rules: ProxyRules {
            user_header: "x-sso-user".into(),
            required_headers: vec!["x-sso".into()],
            allow_users: vec!["alice".into()],
            allow_loopback,
        },
        password: password.map(Into::into),
    }
}

/// Connect parameters without any secret.
fn bare(generation: u32) -> Value {
    let mut params = connect_params(generation);
    params["auth"] = json!({});
    params
}

async fn refused(socket: &mut Socket, params: Value) -> (String, Value) {
    let (error, code, _) = socket.turned_away(params).await;
    assert_eq!(code, 1008, "{error}");
    let details = error["details"].clone();
    (
        details["code"].as_str().unwrap_or_default().to_owned(),
        details,
    )
}

#[tokio::test]
async fn a_proxys_user_still_needs_an_approved_device() {
    let daemon = Daemon::start(plan(by_proxy(true, Some(TOKEN))));
    let user = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-sso", "1"),
        ("x-sso-user", "alice"),
    ];
    for generation in [3, 4] {
        let device = Device::new(u8::try_from(generation).unwrap());
        let mut socket = Socket::open(daemon.address, &user).await;
        let params = device.sign(bare(generation), &socket);
        let (error, _, _) = socket.turned_away(params).await;
        let request = error["details"]["requestId"].as_str().expect("a request");
        assert_eq!(error["code"], "NOT_PAIRED");

        // The owner is on the host, with the password, and sees where it came from.
        let mut owner = daemon.socket().await;
        let mut params = connect_params(4);
        params["auth"] = json!({ "password": TOKEN });
        owner.hello(params).await;
        let list = owner.call("device.pair.list", json!({})).await;
        assert_eq!(list["pending"][0]["remoteIp"], "203.0.113.7", "{list}");
        owner
            .call("device.pair.approve", json!({ "requestId": request }))
            .await;

        let mut socket = Socket::open(daemon.address, &user).await;
        let params = device.sign(bare(generation), &socket);
        let hello = socket.hello(params).await;
        assert_eq!(hello["protocol"], generation);
        let presence = owner.call("system-presence", json!({})).await;
        assert!(!presence.to_string().contains("127.0.0.1"), "{presence}");
    }
}

#[tokio::test]
async fn a_proxys_user_without_a_device_is_refused_whatever_it_calls_itself() {
    let daemon = Daemon::start(plan(by_proxy(true, None)));
    let user = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-sso", "1"),
        ("x-sso-user", "alice"),
        ("x-forwarded-host", "gw.local"),
        ("origin", "https://gw.local"),
    ];
    for (id, mode, code) in [
        (
            "openclaw-control-ui",
            "ui",
            "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        ),
        ("webchat-ui", "webchat", "DEVICE_IDENTITY_REQUIRED"),
        ("cli", "cli", "DEVICE_IDENTITY_REQUIRED"),
        ("gateway-client", "backend", "DEVICE_IDENTITY_REQUIRED"),
    ] {
        let mut socket = Socket::open(daemon.address, &user).await;
        let mut params = bare(4);
        params["client"]["id"] = json!(id);
        params["client"]["mode"] = json!(mode);
        assert_eq!(refused(&mut socket, params).await.0, code, "{id}");
    }
}

#[tokio::test]
async fn a_proxys_word_that_is_not_enough_says_what_is_missing() {
    let identity = "AUTH_IDENTITY_HEADER_REQUIRED";
    let unauthorized = "AUTH_UNAUTHORIZED";
    let from = ("x-forwarded-for", "203.0.113.7");
    let sso = ("x-sso", "1");
    let cases = [
        (
            true,
            vec![from, ("x-sso-user", "alice")],
            identity,
            "trusted_proxy_missing_header_x-sso",
        ),
        (
            true,
            vec![from, sso],
            identity,
            "trusted_proxy_user_missing",
        ),
        (
            true,
            vec![from, sso, ("x-sso-user", "mallory")],
            unauthorized,
            "trusted_proxy_user_not_allowed",
        ),
        (
            false,
            vec![from, sso, ("x-sso-user", "alice")],
            unauthorized,
            "trusted_proxy_loopback_source",
        ),
        // Not through the proxy at all: only a local client's secret counts.
        (true, vec![], "AUTH_PASSWORD_MISSING", "password_missing"),
    ];
    for (allow_loopback, headers, code, reason) in cases {
        let daemon = Daemon::start(plan(by_proxy(allow_loopback, Some(TOKEN))));
        for generation in [3, 4] {
            let mut socket = Socket::open(daemon.address, &headers).await;
            let params = Device::new(1).sign(bare(generation), &socket);
            let (found, details) = refused(&mut socket, params).await;
            assert_eq!(
                (found.as_str(), details["authReason"].as_str()),
                (code, Some(reason))
            );
            let next = details["recommendedNextStep"]
                .as_str()
                .expect("a next step");
            assert!(next.ends_with("_auth_configuration"), "{next}");
            assert_eq!(details["canRetryWithDeviceToken"], false);
        }
        // The shared password does not cross the proxy in place of a user.
        if !headers.is_empty() {
            let mut socket = Socket::open(daemon.address, &headers).await;
            let mut params = bare(4);
            params["auth"] = json!({ "password": TOKEN });
            let params = Device::new(1).sign(params, &socket);
            assert_eq!(refused(&mut socket, params).await.0, code);
        }
    }
    let without = Daemon::start(plan(by_proxy(true, None)));
    let mut socket = without.socket().await;
    let params = Device::new(1).sign(bare(4), &socket);
    let (code, details) = refused(&mut socket, params).await;
    assert_eq!(code, "AUTH_PASSWORD_NOT_CONFIGURED");
    assert_eq!(details["authReason"], "password_missing_config");
}

#[tokio::test]
async fn a_proxy_that_names_no_client_gets_no_socket() {
    let daemon = Daemon::start(plan(by_proxy(true, None)));
    for headers in [
        &[("x-sso", "1"), ("x-forwarded-proto", "https")][..],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("x-forwarded-for", "unknown")],
    ] {
        let (status, body) = upgrade(daemon.address, headers).await.expect_err("refused");
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(body.contains("proxy_attribution_required"), "{body}");
    }
}

#[tokio::test]
async fn without_a_secret_the_gateways_user_still_decides_who_gets_in() {
    let owner = "owner-secret-0123456789abcdef";
    for mode in [AuthMode::None, by_proxy(true, None)] {
        let with_secret_none = matches!(mode, AuthMode::None);
        let mut plan = plan(mode);
        plan.gate.owner = Some(owner.into());
        let daemon = Daemon::start(plan);

        let mut params = connect_params(4);
        params["auth"] = json!({ "token": owner });
        let mut decides = daemon.socket().await;
        decides.hello(params.clone()).await;

        if with_secret_none {
            // Whoever proves nothing waits for a decision, on this host too.
            let device = Device::new(1);
            let mut socket = daemon.socket().await;
            let mut unproven = bare(4);
            unproven["client"]["mode"] = json!("ui");
            unproven["client"]["id"] = json!("gateway-client");
            let (error, ..) = socket
                .turned_away(device.sign(unproven.clone(), &socket))
                .await;
            assert_eq!(error["details"]["code"], "PAIRING_REQUIRED");
            let request = error["details"]["requestId"].clone();
            decides
                .call("device.pair.approve", json!({ "requestId": request }))
                .await;
            let mut socket = daemon.socket().await;
            let signed = device.sign(unproven, &socket);
            socket.hello(signed).await;
        }

        // A page, and a client behind a proxy, prove nothing with it.
        let page = [("origin", format!("http://{}", daemon.address))];
        let page: Vec<(&str, &str)> = page.iter().map(|(k, v)| (*k, v.as_str())).collect();
        for headers in [page.as_slice(), &[("x-forwarded-for", "203.0.113.7")]] {
            let mut socket = Socket::open(daemon.address, headers).await;
            let (error, ..) = socket.turned_away(params.clone()).await;
            assert_ne!(error["code"], Value::Null, "{headers:?}: {error}");
        }
    }
}

/// A tailscaled that knows one peer.
struct OnePeer {
    userspace: bool,
}

impl Tailscale for OnePeer {
    fn seems_up(&self) -> bool {
        true
    }

    fn status(&self) -> Asked<Status> {
        let status = Status {
            interface: !self.userspace,
            own: Vec::new(),
        };
        async move { Ok(status) }.boxed()
    }

    fn whois(&self, subject: Subject) -> Asked<Option<Identity>> {
        let alice = Identity {
            login: Some("alice@example.com".into()),
            addresses: vec!["100.101.1.9".parse().expect("an address")],
        };
        let answer: Result<Option<Identity>, AskError> = match subject {
            Subject::Address(address) if alice.addresses[0] == address => Ok(Some(alice)),
            Subject::Address(_) => Ok(None),
            // Everyone on loopback, which only happens without an interface.
            Subject::Connection(_) => Ok(Some(alice)),
        };
        async move { answer }.boxed()
    }
}

pub(crate) fn in_a_tailnet(userspace: bool, allow_tailscale: bool) -> Plan {
    let mut plan = Plan::default();
    plan.gate.allow_tailscale = allow_tailscale;
    plan.network = Sources {
        interfaces: Arc::new(SystemInterfaces),
        tailscale: FirstOf::new(vec![Arc::new(OnePeer { userspace })]),
    };
    plan
}

pub(crate) fn page(generation: u32) -> Value {
    let mut params = bare(generation);
    params["client"]["id"] = json!("webchat-ui");
    params["client"]["mode"] = json!("webchat");
    params
}

pub(crate) const SERVED: [(&str, &str); 5] = [
    ("host", "pi.tail1.ts.net"),
    ("origin", "https://pi.tail1.ts.net"),
    ("x-forwarded-host", "pi.tail1.ts.net"),
    ("x-forwarded-for", "100.101.1.9"),
    ("tailscale-user-login", "Alice@example.com"),
];

#[tokio::test]
async fn a_proven_tailnet_user_opens_gate_one_for_the_page_and_nothing_more() {
    let daemon = Daemon::start(in_a_tailnet(false, true));
    let mut owner = daemon.client().await;
    for generation in [3, 4] {
        let device = Device::new(u8::try_from(generation).unwrap());
        let mut socket = Socket::open(daemon.address, &SERVED).await;
        let params = device.sign(page(generation), &socket);
        let (error, ..) = socket.turned_away(params).await;
        assert_eq!(error["code"], "NOT_PAIRED", "{error}");
        let request = error["details"]["requestId"].clone();
        let list = owner.call("device.pair.list", json!({})).await;
        assert_eq!(list["pending"][0]["remoteIp"], "100.101.1.9", "{list}");
        owner
            .call("device.pair.approve", json!({ "requestId": request }))
            .await;
        let mut socket = Socket::open(daemon.address, &SERVED).await;
        let params = device.sign(page(generation), &socket);
        socket.hello(params).await;
    }
    // Another kind of client needs the secret, and a wrong secret is not made good.
    let mut socket = Socket::open(daemon.address, &SERVED).await;
    let params = Device::new(9).sign(bare(4), &socket);
    assert_eq!(refused(&mut socket, params).await.0, "AUTH_TOKEN_MISSING");
    let mut socket = Socket::open(daemon.address, &SERVED).await;
    let mut params = page(4);
    params["auth"] = json!({ "token": "wrong" });
    let params = Device::new(3).sign(params, &socket);
    assert_eq!(refused(&mut socket, params).await.0, "AUTH_TOKEN_MISMATCH");
}

#[tokio::test]
async fn a_tailnet_identity_that_is_not_proven_says_why() {
    let daemon = Daemon::start(in_a_tailnet(false, true));
    let with = |name: &str, value: Option<&'static str>| {
        let mut headers = SERVED.to_vec();
        headers.retain(|(header, _)| *header != name);
        let name = SERVED.iter().find(|(header, _)| *header == name);
        headers.extend(name.zip(value).map(|((name, _), value)| (*name, value)));
        headers
    };
    for (headers, code, reason) in [
        (
            with("tailscale-user-login", None),
            "AUTH_TAILSCALE_IDENTITY_MISSING",
            "tailscale_user_missing",
        ),
        (
            with("x-forwarded-host", None),
            "AUTH_TAILSCALE_PROXY_MISSING",
            "tailscale_proxy_missing",
        ),
        (
            with("x-forwarded-for", Some("100.101.1.10")),
            "AUTH_TAILSCALE_WHOIS_FAILED",
            "tailscale_whois_failed",
        ),
        (
            with("tailscale-user-login", Some("mallory@example.com")),
            "AUTH_TAILSCALE_IDENTITY_MISMATCH",
            "tailscale_user_mismatch",
        ),
    ] {
        for generation in [3, 4] {
            let mut socket = Socket::open(daemon.address, &headers).await;
            let params = Device::new(1).sign(page(generation), &socket);
            let (found, details) = refused(&mut socket, params).await;
            assert_eq!(found, code);
            assert_eq!(details["authReason"], reason);
            assert_eq!(details["recommendedNextStep"], "review_auth_configuration");
        }
    }
    // Without gateway.auth.allowTailscale its headers are an untrusted proxy's.
    let daemon = Daemon::start(in_a_tailnet(false, false));
    let (status, _) = upgrade(daemon.address, &SERVED).await.expect_err("refused");
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_tailnet_peer_that_comes_from_loopback_is_not_local() {
    let daemon = Daemon::start(in_a_tailnet(true, false));
    let mut socket = daemon.socket().await;
    let (error, ..) = socket.turned_away(connect_params(4)).await;
    assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
    let mut socket = daemon.socket().await;
    let params = Device::new(1).sign(connect_params(4), &socket);
    let (error, ..) = socket.turned_away(params).await;
    assert_eq!(error["details"]["code"], "PAIRING_REQUIRED", "{error}");
    // With an interface of its own, loopback is this host.
    let daemon = Daemon::start(in_a_tailnet(false, false));
    daemon.client().await;
}

/// The program, not only the settings: with a configuration that has no secret, the command line of
/// the same user lets a first device in.
#[tokio::test]
async fn a_first_device_is_let_in_by_the_gateways_user_where_no_secret_is_configured() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "none" } } }));
    let gateway = Gateway::start(&home).await;
    let mut socket = gateway.socket().await;
    let mut params = bare(4);
    params["client"]["id"] = json!("gateway-client");
    params["client"]["mode"] = json!("ui");
    let device = Device::new(1);
    let (error, ..) = socket
        .turned_away(device.sign(params.clone(), &socket))
        .await;
    let request = error["details"]["requestId"].as_str().expect("a request");

    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let (code, ..) = home
        .run(&["devices", "approve", request, "--url", &url])
        .await;
    assert_ne!(
        code,
        Some(0),
        "nothing proves this to be the gateway's user"
    );
    let secret = std::fs::read_to_string(home.state().join("gateway/token")).expect("the secret");
    let args = [
        "devices",
        "approve",
        request,
        "--url",
        &url,
        "--token",
        secret.trim(),
    ];
    let (code, out, err) = home.run(&args).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let mut socket = gateway.socket().await;
    let signed = device.sign(params, &socket);
    socket.hello(signed).await;

    gateway.terminate();
    let (_, output) = gateway.ended().await;
    assert!(
        output.contains("every user on this host may ask"),
        "{output}"
    );
    assert!(!format!("{output}{}", home.log()).contains(secret.trim()));
}
