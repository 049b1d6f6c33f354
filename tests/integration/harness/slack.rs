//! Slack: the Web API of crabline behind our Socket Mode (`tests/conformance/lib/slack-socket.mjs`), which
//! Slack's own client has proven.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;

use super::crabline::{Crabline, node};
use super::soon;

/// The app's token.
pub(crate) const APP_TOKEN: &str = "xapp-1-A1-integration";

/// The platform.
pub(crate) struct Slack {
    /// The Web API.
    pub(crate) web: Crabline,
    /// Where it is, with Socket Mode in front of it.
    pub(crate) address: SocketAddr,
    callbacks: Mutex<ChildStdin>,
    _child: Child,
}

impl Slack {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let web = Crabline::start("slack").await;
        let conformance = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
        let root = web.manifest["endpoints"]["apiRoot"].as_str();
        let mut child = Command::new(node(&conformance.join("node_modules")))
            .arg(conformance.join("lib/slack-socket-main.mjs"))
            .args([root.expect("its address"), APP_TOKEN])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its stdout")).lines();
        let line = soon("Socket Mode", lines.next_line()).await;
        let line = line.expect("its stdout is text").expect("it starts");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        let address = told["baseUrl"].as_str().expect("its address");
        let address = address.trim_start_matches("http://").parse();
        Self {
            web,
            address: address.expect("an address"),
            callbacks: Mutex::new(child.stdin.take().expect("its stdin")),
            _child: child,
        }
    }

    /// What was done besides sending text, oldest first.
    pub(crate) async fn journal(&self) -> Vec<Value> {
        let answer = super::http::ask(self.address, "GET", "/journal", "").await;
        let (from, to) = (answer.body.find('['), answer.body.rfind(']'));
        let json = from
            .zip(to)
            .and_then(|(from, to)| answer.body.get(from..=to));
        serde_json::from_str(json.expect("a list")).expect("JSON")
    }

    /// Somebody writes; it is delivered until it is acknowledged.
    pub(crate) async fn write(&self, message: &Value) {
        let told = self.web.write(message).await;
        assert!(told["event"].is_object(), "no callback: {told}");
        let line = format!("{}\n", told["event"]);
        let mut callbacks = self.callbacks.lock().await;
        let written = callbacks.write_all(line.as_bytes()).await;
        written.expect("Socket Mode reads");
    }
}
