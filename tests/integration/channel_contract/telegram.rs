//! Telegram, as crabline serves it.

use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::policy::{AllowList, DmPolicy, Policy};
use openclaw_actors::channel::settings::AccountSettings;
use openclaw_actors::channel::telegram::{Pace, TelegramSetup};
use openclaw_actors::channel::text::Split;
use serde_json::{Value, json};

use super::Platform;
use crate::harness::crabline::Crabline;
use crate::harness::proxy::{Break, Proxy, Shape};

/// Who writes.
const ANN: i64 = 1_001;

struct Telegram {
    platform: Crabline,
    proxy: Proxy,
}

const SHAPE: Shape = Shape {
    receives: "/getUpdates",
    sends: "/sendMessage",
    too_many: |seconds| {
        let body = json!({ "ok": false, "error_code": 429, "description": "Too Many Requests",
            "parameters": { "retry_after": seconds } });
        (String::new(), body)
    },
    batch: |answer| answer["result"].as_array_mut(),
};

impl Platform for Telegram {
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

    async fn start() -> Self {
        let platform = Crabline::start("telegram").await;
        let proxy = Proxy::start(platform.address(), SHAPE).await;
        Self { platform, proxy }
    }

    fn account(&self) -> AccountSettings {
        let token = self.platform.manifest["botToken"]
            .as_str()
            .expect("a token");
        let second = Duration::from_secs(1);
        let setup = TelegramSetup {
            pace: Pace {
                poll: second,
                grace: second,
                limit: second,
            },
            ..TelegramSetup::new(token.to_owned().into(), &self.proxy.root)
        };
        AccountSettings {
            name: None,
            enabled: true,
            setup: Ok(Arc::new(setup) as Arc<dyn ChannelSetup>),
            policy: Policy {
                dm: DmPolicy::Allowlist,
                allow_from: AllowList::of("telegram", ["1001"]),
                ..Policy::default()
            },
            split: Split { limit: 4_000 },
            token_source: Some("config"),
        }
    }

    fn recipient(&self) -> String {
        ANN.to_string()
    }

    fn break_receiving(&self, how: Break) {
        self.proxy.break_receiving(how);
    }

    fn break_next_send(&self, how: Break) {
        self.proxy.break_next_send(how);
    }

    async fn met(&self) {
        self.proxy.met().await;
    }

    fn heal(&self) {
        self.proxy.heal();
    }

    fn most_transports(&self) -> usize {
        self.proxy.most_receiving()
    }

    async fn write(&self, texts: &[&str]) {
        for text in texts {
            let message = json!({ "chatId": ANN, "fromId": ANN, "fromName": "Ann", "text": text });
            self.platform.write(&message).await;
        }
    }

    fn arrived(&self) -> Vec<String> {
        let text = |body: Value| body["text"].as_str().unwrap_or_default().to_owned();
        self.platform
            .calls("sendMessage")
            .into_iter()
            .map(text)
            .collect()
    }
}

#[tokio::test]
async fn telegram_comes_back_from_every_fault() {
    super::comes_back::<Telegram>().await;
}

#[tokio::test]
async fn telegram_bears_what_comes_twice_or_in_another_order() {
    super::bears::<Telegram>().await;
}

#[tokio::test]
async fn telegram_sends_once_whatever_breaks() {
    super::sends_once::<Telegram>().await;
}
