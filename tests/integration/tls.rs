//! TLS on the gateway's port: OpenSSL looks at it, and the certificate is exchanged while sessions go
//! on. The canvas has its own port over TLS too.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use openclaw::tls::{Certificates, Files};
use openclaw_client::{
    ClientId, ClientMode, Connection, Error, Fingerprint, Options, client_info, connect,
};
use openclaw_protocol::methods::common::EmptyParams;
use openclaw_protocol::methods::system::SystemPresence;
use rustix::process::Signal;
use serde_json::json;
use tokio::process::Command;

use crate::harness::child::{Gateway, Home};
use crate::harness::daemon::{Daemon, Plan, provider};
use crate::harness::http::ask;
use crate::harness::{TOKEN, soon};

pub(crate) fn home() -> Home {
    Home::with(&json!({
        "gateway": {
            "auth": { "mode": "token", "token": TOKEN },
            "tls": { "enabled": true },
        },
    }))
}

pub(crate) async fn fingerprint(home: &Home) -> String {
    let (code, out, err) = home.run(&["gateway", "tls", "fingerprint"]).await;
    assert_eq!(code, Some(0), "{err}");
    out.trim().to_owned()
}

/// Runs `openssl`; whether it said yes, and all that it wrote.
pub(crate) async fn openssl(args: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = soon("the end of openssl", command.output())
        .await
        .expect("openssl is installed");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

pub(crate) async fn connected(port: u16, pin: &str) -> Result<Connection, Error> {
    provider();
    let options = Options {
        token: Some(TOKEN.into()),
        scopes: vec!["operator.read".into()],
        tls_fingerprint: Fingerprint::parse(pin),
        ..Options::new(client_info(ClientId::Cli, ClientMode::Cli, "1"))
    };
    soon(
        "the connect",
        connect(&format!("wss://127.0.0.1:{port}"), &options),
    )
    .await
}

#[tokio::test]
async fn openssl_finds_modern_tls_and_the_certificate_that_the_command_names() {
    let home = home();
    let gateway = Gateway::start(&home).await;
    let address = format!("127.0.0.1:{}", gateway.port);
    for (version, answered) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false)] {
        let args = [
            "s_client",
            "-connect",
            &address,
            version,
            "-alpn",
            "h2,http/1.1",
        ];
        let (done, text) = openssl(&args).await;
        assert_eq!(done, answered, "{version}: {text}");
        if answered {
            assert!(
                text.contains("ALPN protocol: http/1.1"),
                "{version}: {text}"
            );
        }
    }
    // Modern suites only, and each of them hides what was said if the key is lost later.
    for suites in [
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA384",
        "AES128-GCM-SHA256",
        "DHE-RSA-AES128-GCM-SHA256",
        "DES-CBC3-SHA",
        "aNULL:eNULL:@SECLEVEL=0",
    ] {
        let args = [
            "s_client", "-connect", &address, "-tls1_2", "-cipher", suites,
        ];
        let (done, text) = openssl(&args).await;
        assert!(!done, "{suites}: {text}");
    }
    let (_, text) = openssl(&["s_client", "-connect", &address, "-tls1_2"]).await;
    let suite = text.lines().find(|line| line.contains("Cipher is "));
    let suite = suite.unwrap_or_else(|| panic!("{text}"));
    assert!(suite.contains("ECDHE-"), "{suite}");
    assert!(
        suite.contains("GCM") || suite.contains("CHACHA20"),
        "{suite}"
    );
    let path = home.state().join("gateway/tls/cert.pem");
    let path = path.to_str().expect("a path in text");
    let (_, text) = openssl(&["x509", "-in", path, "-noout", "-ext", "extendedKeyUsage"]).await;
    assert!(text.contains("TLS Web Server Authentication"), "{text}");
    let (done, text) = openssl(&["x509", "-in", path, "-noout", "-fingerprint", "-sha256"]).await;
    assert!(done, "{text}");
    let shown = fingerprint(&home).await;
    assert!(text.contains(&shown), "{text} is not {shown}");

    // Who speaks plain HTTP there is told why it does not work.
    let plain = ask(([127, 0, 0, 1], gateway.port).into(), "GET", "/healthz", "").await;
    assert_eq!(plain.status, 400);
    let link = format!("<a href=\"https://{address}/healthz\">");
    assert!(plain.body.contains(&link), "{}", plain.body);
    assert_eq!(
        plain.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(plain.header("location"), None);
    let plain = ask(
        ([127, 0, 0, 1], gateway.port).into(),
        "POST",
        "/v1/responses",
        "",
    )
    .await;
    assert_eq!(plain.status, 400);
    assert!(
        plain.body.starts_with("This port speaks TLS"),
        "{}",
        plain.body
    );
}

/// Makes a pair with OpenSSL, as an owner does who brings their own.
pub(crate) async fn new_pair(folder: &Path) {
    let (key, cert) = (folder.join("new-key.pem"), folder.join("new-cert.pem"));
    let (key, cert) = (key.to_str().expect("text"), cert.to_str().expect("text"));
    let (done, text) = openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=gateway",
        "-keyout",
        key,
        "-out",
        cert,
    ])
    .await;
    assert!(done, "{text}");
}

#[tokio::test]
async fn the_certificate_is_exchanged_under_load_and_no_session_ends() {
    let home = home();
    let gateway = Gateway::start(&home).await;
    let before = fingerprint(&home).await;
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicU64::new(0));
    let mut load = Vec::new();
    for _ in 0..8 {
        let connection = connected(gateway.port, &before).await.expect("a session");
        let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
        load.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                connection
                    .request::<SystemPresence>(&EmptyParams {})
                    .await?;
                served.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Error>(())
        }));
    }
    let folder = home.state().join("gateway/tls");
    new_pair(&folder).await;
    for name in ["key.pem", "cert.pem"] {
        std::fs::rename(folder.join(format!("new-{name}")), folder.join(name)).expect("exchanged");
        // Between the two the pair does not fit: the one before is still shown.
        if name == "key.pem" {
            connected(gateway.port, &before)
                .await
                .expect("the old certificate");
        }
    }
    let after = fingerprint(&home).await;
    assert_ne!(before, after);
    connected(gateway.port, &after)
        .await
        .expect("the new certificate");
    let refused = connected(gateway.port, &before)
        .await
        .expect_err("the old one is gone");
    assert!(matches!(refused, Error::Untrusted { .. }), "{refused:?}");

    let at_exchange = served.load(Ordering::Relaxed);
    while served.load(Ordering::Relaxed) < at_exchange + 100 {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    for session in load {
        soon("the end of a session", session)
            .await
            .expect("it did not panic")
            .expect("it was never interrupted");
    }
    gateway.signal(Signal::TERM);
}

#[tokio::test]
async fn doctor_shows_the_certificate_and_a_pair_that_cannot_be_used() {
    let home = home();
    let gateway = Gateway::start(&home).await;
    let pin = fingerprint(&home).await;
    let (_, out, err) = home.run(&["doctor"]).await;
    assert!(
        out.contains(&format!("clients see the certificate {pin}")),
        "{out}{err}"
    );
    // Half of an exchange: the gateway shows the one before, and doctor says that it is not this one.
    let folder = home.state().join("gateway/tls");
    new_pair(&folder).await;
    std::fs::rename(folder.join("new-cert.pem"), folder.join("cert.pem")).expect("exchanged");
    connected(gateway.port, &pin).await.expect("the one before");
    let (code, out, err) = home.run(&["doctor"]).await;
    assert_ne!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("does not belong to") && out.contains("the certificate it had before"),
        "{out}{err}"
    );
    drop(gateway);
}

/// What `curl` reads in clear behind TLS: the head in lower case, and the page.
async fn curl(url: &str, more: &[&str]) -> String {
    let mut command = Command::new("curl");
    command
        .args(["-sSik", "--http1.1", "--max-time", "10"])
        .args(more)
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = soon("the end of curl", command.output())
        .await
        .expect("curl is installed");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).to_ascii_lowercase()
}

#[tokio::test]
async fn the_canvas_has_its_own_port_over_tls_and_nothing_else_is_there() {
    provider();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let files = Files {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
        generate: true,
        own: true,
    };
    let certificates = Certificates::open(files, "box").expect("a certificate");
    let pin = certificates.fingerprint();
    let daemon = Daemon::start(Plan {
        canvas: true,
        certificates: Some(Arc::new(certificates)),
        ..Plan::default()
    });
    let gateway = format!("https://127.0.0.1:{}", daemon.address.port());
    let own = format!("https://127.0.0.1:{}", daemon.canvas_port);
    let session = connected(daemon.address.port(), &pin)
        .await
        .expect("a session");
    let given = session.hello.plugin_surface_urls.as_ref();
    let given = &given.expect("addresses of pages")["canvas"];
    let path = given
        .strip_prefix(&gateway)
        .unwrap_or_else(|| panic!("{given} is not of {gateway}"));
    for (base, policy) in [
        (&gateway, "content-security-policy: sandbox allow-scripts"),
        (&own, "content-security-policy: object-src 'none'"),
    ] {
        let page = curl(&format!("{base}{path}/__openclaw__/canvas/"), &[]).await;
        assert!(page.starts_with("http/1.1 200"), "{base}: {page}");
        assert!(page.contains(policy), "{base}: {page}");
        let stranger = curl(&format!("{base}/__openclaw__/canvas/"), &[]).await;
        assert!(stranger.starts_with("http/1.1 401"), "{base}: {stranger}");
    }
    let probe = curl(&format!("{gateway}/healthz"), &[]).await;
    assert!(probe.starts_with("http/1.1 200"), "{probe}");
    let first = curl(&own, &[]).await;
    assert!(first.contains("location: /__openclaw__/canvas/"), "{first}");
    for path in ["/healthz", "/index.html", "/chat/main", "/v1/models"] {
        let other = curl(&format!("{own}{path}"), &[]).await;
        assert!(other.starts_with("http/1.1 404"), "{path}: {other}");
    }
    // Nor does a page of that port get a socket of the gateway's.
    let origin = format!("origin: {own}");
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut asks = Vec::new();
    for header in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        key,
        &origin,
    ] {
        asks.extend(["-H", header]);
    }
    let refused = curl(&gateway, &asks).await;
    assert!(refused.starts_with("http/1.1 403"), "{refused}");
    session.close().await;
}
