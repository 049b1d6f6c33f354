//! Telegram, as crabline serves it.

use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::telegram::{Pace as Polling, TelegramSetup};
use serde_json::{Value, json};

use super::{Pace, Peer, Sent};
use crate::harness::crabline::Crabline;
use crate::harness::faults::{Break, Faults};
use crate::harness::proxy::{Proxy, Shape};

/// Who writes.
const ANN: i64 = 1_001;

pub(crate) struct Platform {
    platform: Crabline,
    proxy: Proxy,
}

const SHAPE: Shape = Shape {
    receives: &["/getUpdates"],
    sends: "/sendMessage",
    too_many: |seconds| {
        let body = json!({ "ok": false, "error_code": 429, "description": "Too Many Requests",
            "parameters": { "retry_after": seconds } });
        (String::new(), body)
    },
    revoked: || {
        let body = json!({ "ok": false, "error_code": 401, "description": "Unauthorized" });
        (401, body)
    },
    batch: |answer| answer["result"].as_array_mut(),
    brings: |_| false,
};

impl Peer for Platform {
    const CHANNEL: &'static str = "telegram";
    const ENDS: &'static [Break] = &[
        Break::TooMany(1),
        Break::BadGateway,
        Break::Refuse,
        Break::Hang,
        Break::HalfOpen,
        Break::CloseMidBody,
    ];
    const BEARS: &'static [Break] = &[Break::Duplicate, Break::Reorder];
    const SENDS: &'static [Break] = &[
        Break::TooMany(1),
        Break::BadGateway,
        Break::Refuse,
        Break::Hang,
        Break::HalfOpen,
        Break::CloseMidBody,
    ];
    /// Polls of ten quiet hours.
    const QUIET: usize = 1_200;
    const FILES: bool = true;

    async fn start() -> Self {
        let platform = Crabline::start("telegram").await;
        let proxy = Proxy::start(platform.address(), SHAPE).await;
        Self { platform, proxy }
    }

    fn setup(&self, pace: Pace) -> Arc<dyn ChannelSetup> {
        let token = self.platform.manifest["botToken"].as_str();
        let poll = Duration::from_secs(u64::from(pace != Pace::Quiet));
        Arc::new(TelegramSetup {
            pace: Polling {
                poll,
                grace: pace.limit(),
                limit: pace.limit(),
            },
            ..TelegramSetup::new(token.expect("a token").to_owned().into(), &self.proxy.root)
        })
    }

    fn people(&self) -> &'static [&'static str] {
        &["1001"]
    }

    fn recipient(&self) -> String {
        ANN.to_string()
    }

    fn faults(&self) -> &Faults {
        &self.proxy.faults
    }

    async fn write(&self, texts: &[&str]) {
        for text in texts {
            let message = json!({ "chatId": ANN, "fromId": ANN, "fromName": "Ann", "text": text });
            self.platform.write(&message).await;
        }
    }

    fn arrived(&self) -> Vec<String> {
        texts(self.platform.calls("sendMessage"), "text")
    }

    async fn files(&self) -> Vec<Sent> {
        let kinds = [("sendPhoto", "photo"), ("sendDocument", "document")];
        let sent = |(method, field): (&str, &str)| {
            let file = |body: Value| Sent {
                name: body[field].as_str().unwrap_or_default().to_owned(),
                size: None,
                text: body["caption"].as_str().unwrap_or_default().to_owned(),
            };
            self.platform.calls(method).into_iter().map(file).collect()
        };
        kinds.into_iter().flat_map::<Vec<Sent>, _>(sent).collect()
    }
}

/// What these bodies say.
pub(super) fn texts(bodies: Vec<Value>, key: &str) -> Vec<String> {
    let text = |body: Value| body[key].as_str().unwrap_or_default().to_owned();
    bodies.into_iter().map(text).collect()
}
