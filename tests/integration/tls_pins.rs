//! Which certificate clients of ours take: the pinned one, the one that a person said yes to, the one
//! that a setup code carries.

use std::process::Stdio;

use openclaw_client::Error;
use openclaw_protocol::methods::common::EmptyParams;
use openclaw_protocol::methods::system::SystemPresence;
use openclaw_protocol::setup_code::SetupCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::harness::child::{Gateway, Home, Shown};
use crate::harness::{TOKEN, soon};
use crate::tls::{connected, fingerprint, home, new_pair};

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
    for (pin, code, words) in [
        (wrong.as_str(), 77, "expected AB:AB"),
        (
            "AB:CD",
            78,
            "gateway.remote.tlsFingerprint: 64 hexadecimal digits",
        ),
    ] {
        remote.configure(&json!({ "gateway": {
            "mode": "remote",
            "remote": { "url": url, "token": TOKEN, "tlsFingerprint": pin },
        } }));
        let (found, out, err) = remote.run(&["health"]).await;
        assert_eq!(found, Some(code), "{out}{err}");
        assert!(err.contains(words), "{err}");
    }
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

/// A command in a terminal.
fn terminal(home: &Home, args: &[&str]) -> Child {
    let program = env!("CARGO_BIN_EXE_openclaw");
    let line = format!("exec {program} {}", args.join(" "));
    let variables = home.command(&[]);
    let variables = variables.as_std().get_envs();
    Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("script (package bsdutils)")
}

/// A command in a terminal, to whose question somebody answers so.
async fn in_a_terminal(home: &Home, args: &[&str], answer: &str) -> (Option<i32>, String) {
    let mut child = terminal(home, args);
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

    let health = ["health", "--url", &url, "--token", TOKEN];
    let (code, text) = in_a_terminal(&client, &health, "n\n").await;
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains(&right) && !known.exists(), "{text}");
    let (code, text) = in_a_terminal(&client, &health, "y\n").await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&right), "{text}");
    // From now on without a question, also where nobody could be asked.
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
    let (code, text) = in_a_terminal(&client, &health, "y\n").await;
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains(&right) && text.contains(&other), "{text}");
    assert!(!text.contains("[y/N]"), "{text}");
    let (code, _, err) = client.run(&health).await;
    assert_eq!(code, Some(77), "{err}");
    // Naming the new one where the gateway has it renews what is known; a wrong one changes nothing.
    let wrong = "AB".repeat(32);
    for (pin, code) in [(wrong.as_str(), 77), (other.as_str(), 0)] {
        let pinned = [health.as_slice(), &["--tls-fingerprint", pin]].concat();
        let (found, _, err) = client.run(&pinned).await;
        assert_eq!(found, Some(code), "{err}");
        let (found, _, err) = client.run(&health).await;
        assert_eq!(found, Some(code), "{err}");
    }
    drop(gateway);
}

#[tokio::test]
async fn a_node_asks_about_an_unknown_certificate_and_knows_it_afterwards() {
    let home = home();
    let gateway = Gateway::start(&home).await;
    let url = format!("wss://127.0.0.1:{}", gateway.port);
    let right = fingerprint(&home).await;
    let attic = Home::new();
    let known = attic.state().join("gateway/cli-gateways.json");
    let run = [
        "node",
        "run",
        "--no-programs",
        "--url",
        &url,
        "--token",
        TOKEN,
    ];
    let (code, text) = in_a_terminal(&attic, &run, "n\n").await;
    assert_eq!(code, Some(77), "{text}");
    assert!(
        text.contains(&right) && text.contains("[y/N]") && !known.exists(),
        "{text}"
    );

    let mut terminal = terminal(&attic, &run);
    let mut keys = terminal.stdin.take().expect("a pipe");
    keys.write_all(b"y\n").await.expect("a terminal");
    let mut shown = BufReader::new(terminal.stdout.take().expect("a pipe")).lines();
    loop {
        let line = soon("the connect", shown.next_line()).await.expect("text");
        if line
            .expect("it goes on")
            .contains(&format!("connected to {url}"))
        {
            break;
        }
    }
    drop(terminal);
    Shown::start(&attic, &run)
        .until(&format!("connected to {url}"))
        .await;
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
    let code = SetupCode::parse(answer["setupCode"].as_str().expect("a code"));
    let code = code.expect("a setup code");
    assert_eq!(code.url, "wss://gateway.example");
    assert_eq!(code.tls_fingerprint, None);
}
