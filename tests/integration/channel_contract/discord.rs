//! Discord, as crabline serves it, with a gateway that remembers its sessions.

use std::sync::Arc;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::discord::DiscordSetup;
use serde_json::json;

use super::telegram::texts;
use super::{Pace, Peer, Sent};
use crate::harness::discord::Discord;
use crate::harness::faults::{Break, Faults};
use crate::harness::proxy::{Proxy, Shape};

/// Who writes, and where.
const ANN: &str = "200000000000000001";
const DIRECT: &str = "300000000000000001";
/// Between two heartbeats of a quiet time, milliseconds.
const BEAT: u64 = 500;

pub(crate) struct Platform {
    discord: Discord,
    proxy: Proxy,
}

const SHAPE: Shape = Shape {
    receives: &["/users/@me", "/gateway/bot"],
    sends: "/messages",
    too_many: |seconds| {
        let body = json!({ "message": "You are being rate limited.", "retry_after": seconds, "global": false });
        (String::new(), body)
    },
    revoked: || (401, json!({ "message": "401: Unauthorized", "code": 0 })),
    batch: |_| None,
    brings: |frame| frame["t"] == "MESSAGE_CREATE",
};

impl Peer for Platform {
    const CHANNEL: &'static str = "discord";
    const ENDS: &'static [Break] = super::telegram::Platform::ENDS;
    const BEARS: &'static [Break] = &[Break::Duplicate, Break::Reorder];
    const SENDS: &'static [Break] = super::telegram::Platform::SENDS;
    /// Heartbeats of a quarter of an hour; a whole day is in the tests of the session (`actors/src/channel/discord`).
    const QUIET: usize = 20;
    const FILES: bool = true;

    async fn start() -> Self {
        let discord = Discord::start(BEAT).await;
        let names = [discord.platform.address()];
        let proxy = Proxy::with_names(discord.address, &names, SHAPE).await;
        let own = Self { discord, proxy };
        // The chat exists once somebody wrote in it; nobody hears this.
        own.write(&["hello"]).await;
        own
    }

    fn setup(&self, pace: Pace) -> Arc<dyn ChannelSetup> {
        let token = self.discord.platform.manifest["botToken"].as_str();
        // One that is not acknowledged before the next ends a connection.
        self.discord.beat(match pace {
            Pace::Short => 1_000,
            Pace::Long => 20_000,
            Pace::Quiet => BEAT,
        });
        Arc::new(DiscordSetup {
            token: token.expect("a token").to_owned().into(),
            api_root: format!("{}/api", self.proxy.root),
            drafts: false,
            limit: pace.limit(),
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
            let message = json!({ "channelId": DIRECT, "senderId": ANN, "senderName": "Ann", "content": text });
            self.discord.platform.write(&message).await;
        }
    }

    fn arrived(&self) -> Vec<String> {
        texts(self.discord.platform.calls("messages"), "content")
    }

    async fn files(&self) -> Vec<Sent> {
        let bodies = self.discord.platform.calls("messages").into_iter();
        let files = bodies.filter_map(|body| {
            let file = body["attachments"].get(0)?;
            let name = file["filename"].as_str()?.to_owned();
            let text = body["content"].as_str().unwrap_or_default();
            Some(Sent {
                name,
                size: file["size"].as_u64(),
                text: text.to_owned(),
            })
        });
        files.collect()
    }
}
