//! WhatsApp: crabline's server with a fault layer, linked devices for it, and sidecars that follow a script.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use openclaw_actors::channel::whatsapp::{Program, Timing, WhatsAppSetup};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::crabline::{Crabline, node};
use super::soon;

/// Where the sidecar is, with what it needs.
pub(crate) fn sidecar() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("actors/src/channel/whatsapp/sidecar");
    assert!(
        folder.join("node_modules/baileys").is_dir(),
        "Baileys is not installed; run: npm ci --ignore-scripts in actors/src/channel/whatsapp/sidecar"
    );
    folder
}

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/integration/harness/whatsapp")
        .join(name)
}

/// Node, as the tests have it.
pub(crate) fn program() -> PathBuf {
    node(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/node_modules"))
}

/// A server that runs, and the folder of devices that it knows.
pub(crate) struct Server {
    pub(crate) platform: Crabline,
    pub(crate) folder: TempDir,
}

impl Server {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// Starts one that asks there what is broken.
    pub(crate) async fn with(faults: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the platform");
        let file = |name: &str| folder.path().join(name).into_os_string();
        let own_certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
        let own_certificate = own_certificate.expect("a certificate");
        for (name, text) in [
            ("cert.pem", own_certificate.cert.pem()),
            ("key.pem", own_certificate.signing_key.serialize_pem()),
        ] {
            std::fs::write(file(name), text).expect("a certificate for files");
        }
        let mut variables = vec![
            ("WHATSAPP_MEDIA", folder.path().into()),
            ("WHATSAPP_SIDECAR", sidecar().into()),
            ("WHATSAPP_CONNECTIONS", file("connections.jsonl")),
            ("WHATSAPP_CONTROL", file("control")),
        ];
        variables.extend(faults.map(|path| ("WHATSAPP_FAULTS", path.into())));
        let layer = own("faults.mjs").into_os_string();
        let platform =
            Crabline::start_with("whatsapp", &["--import".into(), layer], &variables).await;
        Self { platform, folder }
    }

    /// Its address for clients.
    pub(crate) fn url(&self) -> String {
        let url = self.platform.manifest["endpoints"]["baileysWebSocketUrl"].as_str();
        url.expect("an address").to_owned()
    }

    /// The account that it serves.
    pub(crate) fn me(&self) -> String {
        let jid = self.platform.manifest["selfJid"].as_str();
        jid.expect("an account").to_owned()
    }

    /// The account's number.
    pub(crate) fn number(&self) -> String {
        let me = self.me();
        me.split(['@', ':']).next().expect("a number").to_owned()
    }

    /// Links a device of the account, with its keys in this folder.
    pub(crate) fn link(&self, folder: &Path) {
        let linked = Command::new(program())
            .arg(own("link.mjs"))
            .arg(sidecar())
            .arg(folder)
            .arg(self.me())
            .status();
        assert!(linked.expect("node runs").success(), "no device was linked");
    }

    /// Node that takes the certificate of files, whose name nobody vouches for.
    fn node(&self) -> PathBuf {
        let path = self.folder.path().join("node");
        let node = program();
        let text = format!(
            "#!/bin/sh\nNODE_NO_WARNINGS=1 NODE_TLS_REJECT_UNAUTHORIZED=0 exec '{}' \"$@\"\n",
            node.display()
        );
        std::fs::write(&path, text).expect("a program");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))
            .expect("its permissions");
        path
    }

    /// An account with a linked device.
    pub(crate) fn setup(&self) -> WhatsAppSetup {
        let auth_dir = self.folder.path().join("device");
        self.link(&auth_dir);
        WhatsAppSetup {
            account: "default".into(),
            auth_dir,
            host_dir: self.folder.path().join("host"),
            program: Program {
                node: self.node(),
                script: sidecar().join("sidecar.mjs"),
                ours: true,
            },
            server: Some(self.url()),
            self_chat: false,
            read_receipts: true,
            timing: Timing::default(),
        }
    }

    /// Somebody writes, alone or in a group.
    pub(crate) async fn write(&self, chat: &str, sender: &str, text: &str) {
        let message =
            json!({ "chatJid": chat, "senderJid": sender, "pushName": "Ann", "text": text });
        self.platform.write(&message).await;
    }

    /// Everything that it has of us, oldest first: whom to, and what.
    pub(crate) fn arrived(&self) -> Vec<(String, String)> {
        let rows = self.platform.journal();
        let accepted = rows.iter().filter(|row| row["accepted"] == true);
        let texts = accepted.filter_map(|row| {
            let text = row["body"]["message"]["conversation"].as_str()?;
            let to = row["body"]["key"]["remoteJid"].as_str()?;
            Some((to.to_owned(), text.to_owned()))
        });
        texts.collect()
    }

    /// Waits until it has this.
    pub(crate) async fn has(&self, text: &str) {
        soon(&format!("\"{text}\" at WhatsApp"), async {
            while !self.arrived().iter().any(|(_, own)| own == text) {
                crate::harness::look_again().await;
            }
        })
        .await;
    }

    /// Everything that clients sent.
    pub(crate) fn nodes(&self) -> Vec<Value> {
        let rows = self.platform.journal();
        rows.into_iter().map(|mut row| row["body"].take()).collect()
    }

    /// Every file that it could read of us, oldest first, with what its message says of it.
    pub(crate) fn files(&self) -> Vec<Value> {
        let texts = self.arrived().into_iter();
        let files = texts.filter_map(|(_, text)| serde_json::from_str::<Value>(&text).ok());
        files.filter(|said| said["file"].is_string()).collect()
    }

    /// Does something with every connection; gives back how many there were.
    pub(crate) async fn order(&self, order: &Value) -> u64 {
        let stream = UnixStream::connect(self.folder.path().join("control"));
        let mut stream = stream.await.expect("the fault layer listens");
        let line = format!("{order}\n");
        stream.write_all(line.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        let mut lines = BufReader::new(stream);
        soon("the fault layer", lines.read_line(&mut answer))
            .await
            .expect("it answers");
        let answer: Value = serde_json::from_str(&answer).expect("an answer");
        answer["reached"].as_u64().expect("a number")
    }

    /// Ends every session as WhatsApp does.
    pub(crate) async fn stream_error(&self, code: u16) {
        let node = json!({ "tag": "stream:error", "attrs": { "code": code.to_string() } });
        let reached = self.order(&json!({ "node": node })).await;
        assert!(reached > 0, "nobody was connected");
    }

    /// Its log of connections: how many there were, and most at one time.
    pub(crate) fn connections(&self) -> (usize, u64) {
        let text = std::fs::read_to_string(self.folder.path().join("connections.jsonl"));
        let text = text.unwrap_or_default();
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a row"));
        let opened: Vec<Value> = rows.filter(|row| row["event"] == "open").collect();
        let most = opened.iter().filter_map(|row| row["live"].as_u64()).max();
        (opened.len(), most.unwrap_or_default())
    }
}

/// A sidecar that follows a script, in a folder of its own.
pub(crate) struct Scripted {
    pub(crate) folder: TempDir,
}

impl Scripted {
    /// One list of steps for each start; the last one is for all that follow.
    pub(crate) fn new(runs: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the sidecar");
        std::fs::copy(own("scripted.mjs"), folder.path().join("scripted.mjs"))
            .expect("the sidecar");
        std::fs::write(folder.path().join("script.json"), runs.to_string()).expect("its script");
        Self { folder }
    }

    /// An account that it serves, without a linked device.
    pub(crate) fn setup(&self) -> WhatsAppSetup {
        WhatsAppSetup {
            account: "default".into(),
            auth_dir: self.folder.path().join("device"),
            host_dir: self.folder.path().join("host"),
            program: Program {
                node: program(),
                script: self.folder.path().join("scripted.mjs"),
                ours: false,
            },
            server: None,
            self_chat: false,
            read_receipts: true,
            timing: Timing::default(),
        }
    }

    /// One with a linked device.
    pub(crate) fn linked(&self) -> WhatsAppSetup {
        let setup = self.setup();
        std::fs::create_dir_all(&setup.auth_dir).expect("a folder for the keys");
        let creds = json!({ "noiseKey": {}, "signedIdentityKey": {}, "signedPreKey": {}, "registrationId": 1,
            "advSecretKey": "x", "me": { "id": "15550009999:7@s.whatsapp.net", "name": "Ann" } });
        std::fs::write(setup.auth_dir.join("creds.json"), creds.to_string()).expect("the keys");
        setup
    }

    /// What it heard, in order.
    pub(crate) fn heard(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("heard.jsonl"));
        let text = text.unwrap_or_default();
        let lines = text.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}
