//! `openclaw gateway probe` names the step that stops a connection.

use std::sync::Arc;

use openclaw_client::{
    ClientId, ClientMode, DeviceIdentity, DeviceTokenStore, Options, StoredToken, client_info,
    connect,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::harness::child::{Gateway, Home};
use crate::harness::{TOKEN, soon};

/// Steps that went well, the one that did not with its remedy, and the exit code.
async fn probe(home: &Home, url: &str, more: &[&str]) -> (Vec<String>, Option<Value>, i32) {
    let mut args = vec![
        "gateway",
        "probe",
        "--json",
        "--timeout",
        "5s",
        "--url",
        url,
    ];
    args.extend(more);
    let (code, out, err) = home.run(&args).await;
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let steps = answer["steps"].as_array().expect("steps").clone();
    let (done, failed): (Vec<Value>, Vec<Value>) =
        steps.into_iter().partition(|step| step["ok"] == true);
    let names = done
        .iter()
        .map(|step| step["step"].as_str().expect("a name").to_owned());
    assert!(failed.len() <= 1);
    (
        names.collect(),
        failed.into_iter().next(),
        code.expect("a code"),
    )
}

fn config(tls: bool) -> Value {
    json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN }, "tls": { "enabled": tls } } })
}

#[tokio::test]
async fn each_step_is_the_one_that_is_named() {
    let home = Home::with(&config(false));
    let gateway = Gateway::start(&home).await;
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let all = ["name", "tcp", "tls", "upgrade", "auth", "pairing", "scopes"];
    let (done, failed, code) = probe(&home, &url, &["--token", TOKEN]).await;
    assert_eq!(
        (done.as_slice(), failed, code),
        (all.map(str::to_owned).as_slice(), None, 0)
    );

    let stops = |found: &(Vec<String>, Option<Value>, i32)| {
        let failed = found.1.as_ref().expect("it stops somewhere");
        assert!(
            failed["remedy"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{failed}"
        );
        (
            found.0.len(),
            failed["step"].as_str().expect("a name").to_owned(),
            found.2,
        )
    };
    let nobody = probe(&home, "wss://nobody.invalid:1", &[]).await;
    assert_eq!(stops(&nobody), (0, "name".into(), 69));

    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = format!("ws://{}", free.local_addr().expect("its address"));
    drop(free);
    assert_eq!(
        stops(&probe(&home, &closed, &[]).await),
        (1, "tcp".into(), 69)
    );

    // A port that speaks no TLS, asked for it.
    let secure = url.replace("ws:", "wss:");
    assert_eq!(
        stops(&probe(&home, &secure, &[]).await),
        (2, "tls".into(), 69)
    );

    // Something that is no gateway.
    let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("ws://{}", other.local_addr().expect("its address"));
    let answers = tokio::spawn(async move {
        while let Ok((mut stream, _)) = other.accept().await {
            let page = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
            let _ = stream.write_all(page).await;
            let _ = stream.shutdown().await;
        }
    });
    assert_eq!(stops(&probe(&home, &address, &[]).await).1, "upgrade");
    answers.abort();

    let wrong = probe(&home, &url, &["--token", "wrong-token-0123456789"]).await;
    assert_eq!(stops(&wrong), (4, "auth".into(), 77));
}

#[tokio::test]
async fn a_device_that_waits_stops_at_pairing_and_one_that_may_less_at_scopes() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "none" } } }));
    let gateway = Gateway::start(&home).await;
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let laptop = Home::new();
    let (done, failed, code) = probe(&laptop, &url, &[]).await;
    let failed = failed.expect("nobody approved it");
    assert_eq!(done.last().map(String::as_str), Some("auth"));
    assert_eq!((failed["step"].as_str(), code), (Some("pairing"), 77));
    let remedy = failed["remedy"].as_str().expect("a remedy");
    let (_, id) = remedy.split_once("devices approve ").expect("a command");
    let id = id.split('`').next().expect("its id");
    // What proves the gateway's user, who is on the same host.
    let own = std::fs::read_to_string(home.state().join("gateway/token")).expect("a secret");
    let approve = [
        "devices",
        "approve",
        id,
        "--url",
        &url,
        "--token",
        own.trim(),
    ];
    let (code, _, err) = home.run(&approve).await;
    assert_eq!(code, Some(0), "{err}");
    let (done, failed, code) = probe(&laptop, &url, &[]).await;
    assert_eq!((done.len(), failed, code), (7, None, 0));

    // A device of this host whose token is for less than what is asked.
    let home = Home::with(&config(false));
    let gateway = Gateway::start(&home).await;
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let laptop = Home::new();
    let folder = laptop.state().join("gateway");
    std::fs::create_dir_all(&folder).expect("a folder");
    let identity = DeviceIdentity::generate();
    identity
        .save(&folder.join("cli-identity.json"))
        .expect("an identity");
    let device = identity.id().to_owned();
    let options = Options {
        token: Some(TOKEN.into()),
        scopes: vec!["operator.pairing".into()],
        identity: Some(Arc::new(identity)),
        ..Options::new(client_info(ClientId::Cli, ClientMode::Cli, "1"))
    };
    let connection = soon("the connect", connect(&url, &options)).await;
    let connection = connection.expect("it comes in by the secret");
    let auth = connection.hello.auth.as_ref().expect("what it was given");
    let token = StoredToken {
        token: auth.device_token.clone().expect("a token of its own"),
        scopes: vec!["operator.pairing".into()],
    };
    let mut tokens = DeviceTokenStore::open(&folder.join("cli-tokens.json")).expect("tokens");
    tokens
        .put(&url, &device, "operator", token)
        .expect("it is kept");
    connection.close().await;
    let (done, failed, code) = probe(&laptop, &url, &[]).await;
    assert_eq!(done.last().map(String::as_str), Some("pairing"));
    let failed = failed.expect("it may not read");
    assert_eq!((failed["step"].as_str(), code), (Some("scopes"), 77));
    let remedy = failed["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("approved for less"), "{remedy}");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_stops_at_tls() {
    let home = Home::with(&config(true));
    let gateway = Gateway::start(&home).await;
    let url = format!("wss://127.0.0.1:{}", gateway.port);
    let (done, failed, code) = probe(&home, &url, &["--token", TOKEN]).await;
    assert_eq!(done, ["name", "tcp"]);
    assert_eq!(
        (failed.expect("it stops")["step"].as_str(), code),
        (Some("tls"), 77)
    );
    let (_, pin, _) = home.run(&["gateway", "tls", "fingerprint"]).await;
    let pinned = ["--token", TOKEN, "--tls-fingerprint", pin.trim()];
    let (done, failed, code) = probe(&home, &url, &pinned).await;
    assert_eq!((done.len(), failed, code), (7, None, 0));
}
