//! Remote against local over real addresses, with the built program on a host of its own.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};
use crate::harness::device::Device;
use crate::harness::hosts::{
    GATEWAY, Hosts, OTHER_TAILNET, OWN_TAILNET, PROXY, REMOTE, Remote, connect_from,
};
use crate::harness::socket::{Socket, connect_params, upgrade_over};

/// What a client was answered.
#[derive(Debug)]
enum Answer {
    /// hello-ok.
    Hello(Value),
    /// The error of `connect`.
    Refused(Value),
    /// No WebSocket, but this.
    Http(StatusCode, String),
}

impl Answer {
    fn code(&self) -> &str {
        match self {
            Self::Refused(error) => error["details"]["code"].as_str().unwrap_or_default(),
            Self::Hello(_) => "hello-ok",
            Self::Http(..) => "http",
        }
    }
}

/// A client at `from` asks; with a device of this seed, or without one.
async fn ask(
    from: Ipv4Addr,
    to: SocketAddr,
    headers: &[(&str, &str)],
    device: Option<u8>,
) -> Answer {
    let tcp = connect_from(from, to).await;
    let stream = match upgrade_over(tcp, to, "/", headers).await {
        Ok(stream) => stream,
        Err((status, body)) => return Answer::Http(status, body),
    };
    let mut socket = Socket::greeted(stream).await;
    let mut params = connect_params(4);
    if let Some(seed) = device {
        params["client"]["id"] = json!("gateway-client");
        params["client"]["mode"] = json!("ui");
        params = Device::new(seed).sign(params, &socket);
    }
    let answer = socket.request("connect", params).await;
    if answer["ok"] == true {
        Answer::Hello(answer["payload"].clone())
    } else {
        Answer::Refused(answer["error"].clone())
    }
}

/// The same from the other host.
async fn ask_from_afar(
    remote: &Remote,
    from: Ipv4Addr,
    to: SocketAddr,
    headers: &'static [(&'static str, &'static str)],
    device: Option<u8>,
) -> Answer {
    remote.run(move || ask(from, to, headers, device)).await
}

/// A tailscaled in this state, which says that the gateway's host has a tailnet address.
fn tailscaled(socket: &std::path::Path, state: &'static str) {
    let listener = UnixListener::bind(socket).expect("a socket");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    break;
                };
                head.push(byte);
            }
            let body = json!({
                "TUN": true, "BackendState": state, "TailscaleIPs": [OWN_TAILNET.to_string()],
            });
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            // The gateway may have gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
}

/// Approves a request as its owner does, with the command line on the gateway's host.
async fn approve(home: &Home, gateway: &Gateway, answer: &Answer) {
    let Answer::Refused(error) = answer else {
        panic!("{answer:?}");
    };
    let request = error["details"]["requestId"].as_str().expect("a request");
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let args = [
        "devices", "approve", request, "--url", &url, "--token", TOKEN,
    ];
    let (code, out, err) = home.run(&args).await;
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn remote_and_local_are_told_apart_over_real_addresses() {
    let Some(hosts) = Hosts::make("remote_and_local_are_told_apart_over_real_addresses") else {
        return;
    };
    let remote = hosts.remote();
    hosts.on_gateway(move || async move {
        let home = Home::new();
        let socket = home.runtime().join("tailscaled.sock");
        tailscaled(&socket, "Running");
        home.configure(&json!({ "gateway": {
            "auth": { "mode": "token", "token": TOKEN },
            "trustedProxies": [PROXY.to_string()],
            "tailscale": { "socketPath": socket },
        } }));
        let gateway = Gateway::start_with(&home, &["--bind", "lan"]).await;
        let at = |host: Ipv4Addr| SocketAddr::new(host.into(), gateway.port);
        let loopback = Ipv4Addr::LOCALHOST;

        // This host: approved without asking, by loopback and by its own tailnet address.
        for (host, device) in [(loopback, 1), (OWN_TAILNET, 2)] {
            let answer = ask(host, at(host), &[], Some(device)).await;
            assert_eq!(answer.code(), "hello-ok", "{host}: {answer:?}");
        }
        let answer = ask(loopback, at(loopback), &[], None).await;
        assert_eq!(answer.code(), "hello-ok", "{answer:?}");
        // Its other addresses are not local.
        let answer = ask(GATEWAY, at(GATEWAY), &[], Some(3)).await;
        assert_eq!(answer.code(), "PAIRING_REQUIRED", "{answer:?}");
        // Somebody else on this host who forwards is nobody's proxy.
        let answer = ask(
            loopback,
            at(loopback),
            &[("x-forwarded-for", "127.0.0.1")],
            Some(1),
        )
        .await;
        assert_eq!(answer.code(), "http", "{answer:?}");

        // Another host: never without an owner's act, also from the tailnet.
        for (from, to, device) in [(REMOTE, GATEWAY, 4), (OTHER_TAILNET, OWN_TAILNET, 5)] {
            let answer = ask_from_afar(&remote, from, at(to), &[], Some(device)).await;
            assert_eq!(answer.code(), "PAIRING_REQUIRED", "{from}: {answer:?}");
            let again = ask_from_afar(&remote, from, at(to), &[], Some(device)).await;
            assert_eq!(again.code(), "PAIRING_REQUIRED", "{from}: {again:?}");
            approve(&home, &gateway, &again).await;
            let admitted = ask_from_afar(&remote, from, at(to), &[], Some(device)).await;
            let Answer::Hello(hello) = &admitted else {
                panic!("{from}: {admitted:?}");
            };
            assert!(hello["auth"]["deviceToken"].is_string(), "{hello}");
        }
        let answer = ask_from_afar(&remote, REMOTE, at(GATEWAY), &[], None).await;
        assert_eq!(answer.code(), "DEVICE_IDENTITY_REQUIRED", "{answer:?}");

        // Forwarding headers: from anybody, from the proxy, from the proxy about this host.
        let forwarded: &[(&str, &str)] = &[("x-forwarded-for", "203.0.113.50")];
        let spoofed: &[(&str, &str)] = &[("x-forwarded-for", "127.0.0.1")];
        for (from, headers) in [
            (REMOTE, forwarded),
            (REMOTE, spoofed),
            (PROXY, spoofed),
            (PROXY, &[]),
        ] {
            let answer = ask_from_afar(&remote, from, at(GATEWAY), headers, Some(4)).await;
            let Answer::Http(status, body) = &answer else {
                panic!("{from} {headers:?}: {answer:?}");
            };
            assert_eq!(*status, StatusCode::FORBIDDEN);
            assert!(body.contains("proxy_attribution_required"), "{body}");
        }
        let answer = ask_from_afar(&remote, PROXY, at(GATEWAY), forwarded, Some(6)).await;
        assert_eq!(answer.code(), "PAIRING_REQUIRED", "{answer:?}");
        let answer = ask_from_afar(&remote, PROXY, at(GATEWAY), forwarded, None).await;
        assert_eq!(answer.code(), "DEVICE_IDENTITY_REQUIRED", "{answer:?}");

        // The owner sees where each request came from.
        let mut owner = gateway.client().await;
        let list = owner.call("device.pair.list", json!({})).await;
        let mut waiting: Vec<&str> = list["pending"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|request| request["remoteIp"].as_str())
            .collect();
        waiting.sort_unstable();
        assert_eq!(
            waiting,
            [GATEWAY.to_string().as_str(), "203.0.113.50"],
            "{list}"
        );
        drop(owner);
        gateway.terminate();
        gateway.ended().await;
    });
}

/// Whether somebody listens there, seen from the other host.
async fn is_open(remote: &Remote, from: Ipv4Addr, to: SocketAddr) -> bool {
    remote
        .run(move || async move {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            let from = SocketAddr::new(from.into(), 0);
            socket.bind(from).expect("the address is this host's");
            socket.connect(to).await.is_ok()
        })
        .await
}

#[test]
fn a_gateway_in_the_tailnet_is_reached_there_and_on_loopback_and_nowhere_else() {
    let test = "a_gateway_in_the_tailnet_is_reached_there_and_on_loopback_and_nowhere_else";
    let Some(hosts) = Hosts::make(test) else {
        return;
    };
    let remote = hosts.remote();
    hosts.on_gateway(move || async move {
        let home = Home::new();
        let (up, down) = (
            home.runtime().join("up.sock"),
            home.runtime().join("down.sock"),
        );
        tailscaled(&up, "Running");
        tailscaled(&down, "Stopped");
        let config = |socket: &std::path::Path| {
            json!({ "gateway": {
                "auth": { "mode": "token", "token": TOKEN },
                "bind": "tailnet",
                "tailscale": { "socketPath": socket },
            } })
        };

        // By tailscaled's word, and by the interface where there is nobody to ask.
        for socket in [&up, &home.runtime().join("none.sock")] {
            home.configure(&config(socket));
            let gateway = Gateway::start(&home).await;
            let at = |host: Ipv4Addr| SocketAddr::new(host.into(), gateway.port);
            let mut owner = gateway.client().await;
            assert!(is_open(&remote, OTHER_TAILNET, at(OWN_TAILNET)).await);
            assert!(!is_open(&remote, REMOTE, at(GATEWAY)).await);
            let answer = ask_from_afar(&remote, OTHER_TAILNET, at(OWN_TAILNET), &[], Some(4)).await;
            assert_eq!(answer.code(), "PAIRING_REQUIRED", "{answer:?}");
            let code = owner.call("device.pair.setupCode", json!({})).await;
            let url = format!("ws://{}", at(OWN_TAILNET));
            assert_eq!(code["gatewayUrl"], url, "{code}");
            assert_eq!(code["urlSource"], "gateway.bind=tailnet");
            drop(owner);
            gateway.terminate();
            gateway.ended().await;
        }

        // Not connected: said at once, with an end that a service manager tries again after.
        home.configure(&config(&down));
        let (code, out, error) = home.run(&["gateway", "--port", "0"]).await;
        assert_eq!(code, Some(1), "{out}{error}");
        for text in [
            "gateway.bind \"tailnet\"",
            "not connected",
            "sudo tailscale up",
        ] {
            assert!(error.contains(text), "{text} is not in: {error}");
        }
    });
}
