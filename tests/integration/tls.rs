//! TLS on the gateway's port: OpenSSL looks at it, our client pins it, and the certificate is
//! exchanged while sessions go on. The canvas has its own port over TLS too.

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
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::child::{Gateway, Home};
use crate::harness::daemon::{Daemon, Plan, provider};
use crate::harness::http::ask;
use crate::harness::{TOKEN, soon};

fn home() -> Home {
    Home::with(&json!({
        "gateway": {
            "auth": { "mode": "token", "token": TOKEN },
            "tls": { "enabled": true },
        },
    }))
}

async fn fingerprint(home: &Home) -> String {
    let (code, out, err) = home.run(&["gateway", "tls", "fingerprint"]).await;
    assert_eq!(code, Some(0), "{err}");
    out.trim().to_owned()
}

/// Runs `openssl`; whether it said yes, and all that it wrote.
async fn openssl(args: &[&str]) -> (bool, String) {
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

async fn connected(port: u16, pin: &str) -> Result<Connection, Error> {
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
    let path = home.state().join("gateway/tls/cert.pem");
    let path = path.to_str().expect("a path in text");
    let (done, text) = openssl(&["x509", "-in", path, "-noout", "-fingerprint", "-sha256"]).await;
    assert!(done, "{text}");
    let shown = fingerprint(&home).await;
    assert!(text.contains(&shown), "{text} is not {shown}");

    // Who speaks plain HTTP there is told why it does not work.
    let plain = ask(([127, 0, 0, 1], gateway.port).into(), "GET", "/healthz", "").await;
    assert_eq!(plain.status, 400);
    assert!(plain.body.contains("https://"), "{}", plain.body);
}

#[tokio::test]
async fn our_clients_take_the_pinned_certificate_and_no_other() {
    let home = home();
    let gateway = Gateway::start(&home).await;
    let url = format!("wss://127.0.0.1:{}", gateway.port);
    let right = fingerprint(&home).await;
    let wrong = "AB".repeat(32);

    let connection = connected(gateway.port, &right)
        .await
        .expect("the right certificate");
    connection
        .request::<SystemPresence>(&EmptyParams {})
        .await
        .expect("an answer");
    connection.close().await;
    let refused = connected(gateway.port, &wrong)
        .await
        .expect_err("another certificate");
    let Error::Untrusted { untrusted, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(untrusted.found.to_string(), right);

    let health = |pin: Option<&str>| {
        let mut args = vec!["health", "--url", &url, "--token", TOKEN, "--json"];
        if let Some(pin) = pin {
            args.extend(["--tls-fingerprint", pin]);
        }
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let home = &home;
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            home.run(&args).await
        }
    };
    let (code, out, err) = health(Some(&right)).await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        serde_json::from_str::<Value>(&out).expect("JSON")["ok"],
        true
    );
    let (code, _, err) = health(Some(&wrong)).await;
    assert_eq!(code, Some(77), "{err}");
    assert!(
        err.contains("expected AB:AB") && err.contains(&right),
        "{err}"
    );
    assert!(err.contains("openclaw gateway tls fingerprint"), "{err}");
    // Without a pin and without a terminal nobody can say yes: the command says what to compare.
    let (code, _, err) = health(None).await;
    assert_eq!(code, Some(77), "{err}");
    assert!(
        err.contains(&right) && err.contains("--tls-fingerprint"),
        "{err}"
    );

    // As the configured remote gateway.
    let remote = Home::with(&json!({ "gateway": {
        "mode": "remote",
        "remote": { "url": url, "token": TOKEN, "tlsFingerprint": right },
    } }));
    let (code, _, err) = remote.run(&["health"]).await;
    assert_eq!(code, Some(0), "{err}");
    drop(gateway);
}

#[tokio::test]
async fn a_node_takes_no_other_certificate_than_the_pinned_one() {
    let home = home();
    let gateway = Gateway::start(&home).await;
    let url = format!("wss://127.0.0.1:{}", gateway.port);
    let right = fingerprint(&home).await;
    let wrong = "AB".repeat(32);
    let node = Home::new();
    let run = [
        "node",
        "run",
        "--no-programs",
        "--url",
        &url,
        "--token",
        TOKEN,
    ];
    let pinned = [run.as_slice(), &["--tls-fingerprint", &wrong]].concat();
    let (code, out, err) = node.run(&pinned).await;
    assert_eq!(code, Some(77), "{out}{err}");
    assert!(
        err.contains("expected AB:AB") && err.contains(&right),
        "{err}"
    );
    let (code, out, err) = node.run(&run).await;
    assert_eq!(code, Some(77), "{out}{err}");
    drop(gateway);
}

/// `health` in a terminal, to whose question somebody answers so.
async fn in_a_terminal(home: &Home, url: &str, answer: &str) -> (Option<i32>, String) {
    use tokio::io::AsyncWriteExt as _;
    let program = env!("CARGO_BIN_EXE_openclaw");
    let line = format!("{program} health --url {url} --token {TOKEN}");
    let variables = home.command(&[]);
    let variables = variables.as_std().get_envs();
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("script (package bsdutils)");
    let mut keys = child.stdin.take().expect("a pipe");
    keys.write_all(answer.as_bytes()).await.expect("a terminal");
    let output = soon("the end of the command", child.wait_with_output())
        .await
        .expect("it ends");
    drop(keys);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[tokio::test]
async fn an_unknown_certificate_is_asked_about_once_and_another_one_refused() {
    let home = home();
    let gateway = Gateway::start(&home).await;
    let url = format!("wss://127.0.0.1:{}", gateway.port);
    let right = fingerprint(&home).await;
    let client = Home::new();
    let known = client.state().join("gateway/cli-gateways.json");

    let (code, text) = in_a_terminal(&client, &url, "n\n").await;
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains(&right) && !known.exists(), "{text}");
    let (code, text) = in_a_terminal(&client, &url, "y\n").await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&right), "{text}");
    // From now on without a question, also where nobody could be asked.
    let health = ["health", "--url", &url, "--token", TOKEN];
    let (code, out, err) = client.run(&health).await;
    assert_eq!(code, Some(0), "{out}{err}");

    // Another certificate is refused, in a terminal too.
    let folder = home.state().join("gateway/tls");
    new_pair(&folder).await;
    for name in ["key.pem", "cert.pem"] {
        let new = folder.join(format!("new-{name}"));
        std::fs::rename(new, folder.join(name)).expect("the pair is exchanged");
    }
    let other = fingerprint(&home).await;
    assert_ne!(other, right);
    let (code, text) = in_a_terminal(&client, &url, "y\n").await;
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains(&right) && text.contains(&other), "{text}");
    assert!(!text.contains("[y/N]"), "{text}");
    let (code, _, err) = client.run(&health).await;
    assert_eq!(code, Some(77), "{err}");
    drop(gateway);
}

/// Makes a pair with OpenSSL, as an owner does who brings their own.
async fn new_pair(folder: &Path) {
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
async fn a_setup_code_names_the_address_and_the_certificate() {
    let home = Home::with(&json!({
        "gateway": {
            "auth": { "mode": "token", "token": TOKEN },
            "tls": { "enabled": true },
            "bind": "custom",
            "customBindHost": "127.0.0.1",
            "publicOrigin": "https://gateway.example",
        },
    }));
    let gateway = Gateway::start(&home).await;
    let url = format!("wss://127.0.0.1:{}", gateway.port);
    let pin = fingerprint(&home).await;
    let args = ["qr", "--token", TOKEN, "--json", "--tls-fingerprint", &pin];
    let mut command = home.command(&args);
    command.env("OPENCLAW_GATEWAY_URL", &url);
    let output = soon("the code", command.output()).await.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    // A proxy's own address: its certificate is not ours to name.
    let code = openclaw_protocol::setup_code::SetupCode::parse(
        answer["setupCode"].as_str().expect("a code"),
    )
    .expect("a setup code");
    assert_eq!(code.url, "wss://gateway.example");
    assert_eq!(code.tls_fingerprint, None);
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
