//! Slack: crabline behind our Socket Mode.

use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::slack::{SlackSetup, Timing, Way};
use serde_json::json;

use super::telegram::texts;
use super::{Pace, Peer, Sent};
use crate::harness::faults::{Break, Faults};
use crate::harness::proxy::{Proxy, Shape};
use crate::harness::slack::{APP_TOKEN, Slack};

/// Who writes, and where.
const ANN: &str = "U0000000001";
const DIRECT: &str = "D0000000001";

pub(crate) struct Platform {
    slack: Slack,
    proxy: Proxy,
}

const SHAPE: Shape = Shape {
    receives: &["/auth.test", "/apps.connections.open"],
    sends: "/chat.postMessage",
    too_many: |seconds| {
        let body = json!({ "ok": false, "error": "ratelimited" });
        (format!("retry-after: {seconds}\r\n"), body)
    },
    revoked: || (200, json!({ "ok": false, "error": "token_revoked" })),
    batch: |_| None,
    brings: |frame| frame["type"] == "events_api",
};

impl Peer for Platform {
    const CHANNEL: &'static str = "slack";
    const ENDS: &'static [Break] = super::telegram::Platform::ENDS;
    const BEARS: &'static [Break] = &[Break::Duplicate, Break::Reorder];
    const SENDS: &'static [Break] = super::telegram::Platform::SENDS;
    /// Pings of a quiet day.
    const QUIET: usize = 2_880;
    const FILES: bool = true;

    async fn start() -> Self {
        let slack = Slack::start().await;
        let proxy = Proxy::start(slack.address, SHAPE).await;
        Self { slack, proxy }
    }

    fn setup(&self, pace: Pace) -> Arc<dyn ChannelSetup> {
        let token = self.slack.web.manifest["botToken"].as_str();
        let quiet = Duration::from_millis(if pace == Pace::Quiet { 1 } else { 500 });
        Arc::new(SlackSetup {
            bot_token: token.expect("a token").to_owned().into(),
            way: Way::Socket {
                app_token: APP_TOKEN.to_owned().into(),
            },
            drafts: false,
            api_root: format!("{}/api", self.proxy.root),
            timing: Timing {
                quiet,
                answer: pace.limit(),
                limit: pace.limit(),
                ..Timing::default()
            },
        })
    }

    fn people(&self) -> &'static [&'static str] {
        &[ANN]
    }

    fn recipient(&self) -> String {
        format!("channel:{DIRECT}")
    }

    fn faults(&self) -> &Faults {
        &self.proxy.faults
    }

    async fn write(&self, texts: &[&str]) {
        for text in texts {
            let message = json!({ "channel": DIRECT, "user": ANN, "text": text });
            self.slack.write(&message).await;
        }
    }

    fn arrived(&self) -> Vec<String> {
        texts(self.slack.web.calls("chat.postMessage"), "text")
    }

    async fn files(&self) -> Vec<Sent> {
        let rows = self.slack.journal().await;
        let files = rows.iter().filter_map(|row| {
            let file = row["body"].get("received")?;
            let text = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
            Some(Sent {
                name: text("name"),
                size: file["size"].as_u64(),
                text: text("text"),
            })
        });
        files.collect()
    }
}
