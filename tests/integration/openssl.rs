//! Keys and signatures of OpenSSL: what we take for Ed25519 is Ed25519, in both directions, and not
//! only what we agree with ourselves about.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::{SinkExt as _, StreamExt as _};
use openclaw_client::{ClientId, ClientMode, DeviceIdentity, Options, client_info};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::payload;
use crate::harness::soon;
use crate::harness::trust::{face, with_secret};

/// What a DER public key of Ed25519 begins with; the raw key follows.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Runs `openssl`; whether it said yes, and what it wrote.
fn openssl(args: &[&str], files: &[(&str, &Path)]) -> (bool, Vec<u8>) {
    let mut command = Command::new("openssl");
    command.args(args);
    for (flag, file) in files {
        command.arg(flag).arg(file);
    }
    let output = command.output().expect("openssl is installed");
    (output.status.success(), output.stdout)
}

fn must(args: &[&str], files: &[(&str, &Path)]) -> Vec<u8> {
    let (done, output) = openssl(args, files);
    assert!(done, "openssl {args:?} failed");
    output
}

/// A device whose key OpenSSL made and keeps.
struct Key {
    folder: TempDir,
    raw: [u8; 32],
    id: String,
}

impl Key {
    fn generate() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the key");
        let key = folder.path().join("key.pem");
        must(&["genpkey", "-algorithm", "ed25519"], &[("-out", &key)]);
        let der = must(&["pkey", "-pubout", "-outform", "DER"], &[("-in", &key)]);
        assert_eq!(der[..12], SPKI, "a public key of Ed25519");
        let raw: [u8; 32] = der[12..].try_into().expect("32 bytes");
        std::fs::write(folder.path().join("raw"), raw).expect("the raw key");
        let digest = must(
            &["dgst", "-sha256", "-r"],
            &[("--", &folder.path().join("raw"))],
        );
        let digest = String::from_utf8(digest).expect("text");
        let id = digest.split(' ').next().expect("a digest").to_owned();
        Self { folder, raw, id }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pem(&self) -> String {
        let pem = must(&["pkey", "-pubout"], &[("-in", &self.path("key.pem"))]);
        String::from_utf8(pem).expect("a PEM is text")
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        std::fs::write(self.path("text"), text).expect("the text to sign");
        must(
            &["pkeyutl", "-sign", "-rawin"],
            &[
                ("-inkey", &self.path("key.pem")),
                ("-in", &self.path("text")),
            ],
        )
    }
}

/// Whether OpenSSL finds that `signature` is the one of `text` by the raw public `key`.
fn verifies(key: &[u8], text: &str, signature: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let der: Vec<u8> = SPKI.iter().chain(key).copied().collect();
    std::fs::write(path("key"), der).expect("the key");
    std::fs::write(path("text"), text).expect("the text");
    std::fs::write(path("signature"), signature).expect("the signature");
    let (key, text, signature) = (path("key"), path("text"), path("signature"));
    openssl(
        &["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER"],
        &[("-inkey", &key), ("-in", &text), ("-sigfile", &signature)],
    )
    .0
}

#[tokio::test]
async fn a_device_with_a_key_and_signatures_of_openssl_is_paired() {
    let daemon = Daemon::start(Plan::default());
    let key = Key::generate();
    let encodings = [
        URL_SAFE_NO_PAD.encode(key.raw),
        STANDARD.encode(key.raw),
        key.pem(),
    ];
    let mut token = None;
    for (generation, version) in [(4, "v3"), (4, "v2"), (3, "v2")] {
        for public in &encodings {
            let mut socket = daemon.socket().await;
            let mut params = with_secret(generation, &["operator.read", "operator.write"]);
            params["client"]["deviceFamily"] = json!(" Linux ");
            if let Some(token) = &token {
                // Once it is paired it comes with its own token, which it signs.
                params["auth"] = json!({ "deviceToken": token });
            }
            let text = payload(version, &key.id, &params, socket.ts, &socket.nonce);
            params["device"] = json!({
                "id": key.id, "publicKey": public, "signedAt": socket.ts, "nonce": socket.nonce,
                "signature": URL_SAFE_NO_PAD.encode(key.sign(&text)),
            });
            let hello = socket.hello(params).await;
            token = Some(
                hello["auth"]["deviceToken"]
                    .as_str()
                    .expect("a token")
                    .to_owned(),
            );
            socket.call("status", json!({})).await;
        }
    }
    let mut owner = daemon.client().await;
    let list = owner.call("device.pair.list", json!({})).await;
    assert_eq!(list["paired"][0]["deviceId"], key.id.as_str());
    assert_eq!(list["paired"][0]["publicKey"], encodings[0].as_str());
    // The same key over another text is refused.
    let mut socket = daemon.socket().await;
    let mut params = face(4, &["operator.admin"], &json!({ "token": TOKEN }));
    let other = payload(
        "v3",
        &key.id,
        &with_secret(4, &[]),
        socket.ts,
        &socket.nonce,
    );
    params["device"] = json!({
        "id": key.id, "publicKey": encodings[0], "signedAt": socket.ts, "nonce": socket.nonce,
        "signature": URL_SAFE_NO_PAD.encode(key.sign(&other)),
    });
    let (error, ..) = socket.turned_away(params).await;
    assert_eq!(error["details"]["code"], "DEVICE_AUTH_SIGNATURE_INVALID");
}

/// What our client sends as its connect to a gateway with this challenge.
async fn connect_of(options: Options, nonce: &str, ts: u64) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("its address"));
    let client =
        tokio::spawn(async move { openclaw_client::connect(&url, &options).await.is_ok() });
    let (tcp, _) = soon("the client", listener.accept())
        .await
        .expect("it comes");
    let mut socket = tokio_tungstenite::accept_async(tcp)
        .await
        .expect("a WebSocket");
    let challenge = json!({ "type": "event", "event": "connect.challenge", "payload": { "nonce": nonce, "ts": ts } });
    socket
        .send(Message::text(challenge.to_string()))
        .await
        .expect("it listens");
    let frame = soon("its connect", socket.next())
        .await
        .expect("a frame")
        .expect("a frame");
    drop(socket);
    assert!(!client.await.expect("the client ends"), "nobody let it in");
    let frame: Value = serde_json::from_str(frame.to_text().expect("text")).expect("JSON");
    frame["params"].clone()
}

#[tokio::test]
async fn openssl_verifies_what_our_client_signs() {
    let identity = Arc::new(DeviceIdentity::generate());
    for (token, device_token) in [
        (Some("shared"), None),
        (None, Some("its own")),
        (None, None),
    ] {
        let options = Options {
            token: token.map(str::to_owned),
            device_token: device_token.map(str::to_owned),
            scopes: vec!["operator.read".into(), "operator.write".into()],
            identity: Some(Arc::clone(&identity)),
            ..Options::new(client_info(ClientId::GatewayClient, ClientMode::Ui, "1"))
        };
        let ts = 1_790_000_000_000;
        let params = connect_of(options, "nonce-1", ts).await;
        let device = &params["device"];
        let bytes = |key: &str| {
            let text = device[key].as_str().expect("text");
            URL_SAFE_NO_PAD.decode(text).expect("base64url")
        };
        let (key, signature) = (bytes("publicKey"), bytes("signature"));
        assert_eq!(device["id"], identity.id());
        assert_eq!(device["signedAt"], ts);
        let text = payload("v3", identity.id(), &params, ts, "nonce-1");
        assert!(verifies(&key, &text, &signature), "{text}");
        assert!(!verifies(
            &key,
            &text.replace("nonce-1", "nonce-2"),
            &signature
        ));
        let mut altered = signature.clone();
        altered[40] ^= 1;
        assert!(!verifies(&key, &text, &altered));
    }
}

#[tokio::test]
async fn the_gateways_own_key_is_a_key_for_openssl() {
    let daemon = Daemon::start(Plan::default());
    let mut client = daemon.client().await;
    let identity = client.call("gateway.identity.get", json!({})).await;
    let raw = URL_SAFE_NO_PAD
        .decode(identity["publicKey"].as_str().expect("a key"))
        .expect("base64url");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let der: Vec<u8> = SPKI.iter().chain(&raw).copied().collect();
    std::fs::write(path("key"), der).expect("the key");
    std::fs::write(path("raw"), &raw).expect("the raw key");
    let text = must(
        &["pkey", "-pubin", "-inform", "DER", "-noout", "-text"],
        &[("-in", &path("key"))],
    );
    assert!(String::from_utf8_lossy(&text).contains("ED25519"));
    let digest = must(&["dgst", "-sha256", "-r"], &[("--", &path("raw"))]);
    let digest = String::from_utf8(digest).expect("text");
    assert_eq!(digest.split(' ').next(), identity["deviceId"].as_str());
}
