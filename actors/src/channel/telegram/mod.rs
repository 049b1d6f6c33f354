//! Telegram: the Bot API by long polling.
//!
//! Only translation: one poll at a time, its offset moved when what came is stored. A poll that ends
//! is the sign of life; one that takes longer than asked for is a failure.

mod api;
mod format;
#[cfg(test)]
mod tests;
mod translate;
mod wire;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure, Target, Transport, World,
};
use api::{Api, ApiError};
use translate::Me;
use wire::{Sent, Update, User};

/// What the channel is.
pub const FACTS: Facts = Facts {
    id: "telegram",
    label: "Telegram",
    detail_label: "Telegram Bot",
    system_image: Some("paperplane"),
    mode: "polling",
    text_limit: 4_000,
    sender_word: "Telegram user id",
};
/// Where bots are served.
pub const API_ROOT: &str = "https://api.telegram.org";
/// How long the platform holds a poll that has nothing to give.
const POLL: Duration = Duration::from_secs(30);
/// How much longer than that one may take.
const GRACE: Duration = Duration::from_secs(15);
/// How long any other request may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Most updates of one poll.
const BATCH: u32 = 100;

/// An account as it is configured.
#[derive(Debug, Clone)]
pub struct TelegramSetup {
    /// The bot's token.
    pub token: SecretString,
    /// Where the Bot API is.
    pub api_root: String,
}

impl ChannelSetup for TelegramSetup {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.token.expose_secret());
        hash.update([0]);
        hash.update(&self.api_root);
        super::hex(&hash.finalize())
    }

    fn open(&self, world: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        let http = match &**world.http {
            Ok(http) => http.clone(),
            Err(problem) => return Err(ChannelError::Transient(problem.clone())),
        };
        Ok(Rc::new(Telegram {
            api: Api::new(http, &self.api_root, &self.token),
            me: RefCell::default(),
        }))
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        let plain = super::policy::plain_id("telegram", written);
        let (chat, thread) = match plain.split_once(":topic:") {
            Some((chat, thread)) => (chat, Some(thread.to_owned())),
            None => (plain, None),
        };
        let is_name = chat.strip_prefix('@').is_some_and(|name| !name.is_empty());
        let is_thread = thread.as_ref().is_none_or(|id| id.parse::<i64>().is_ok());
        if !is_thread || (chat.parse::<i64>().is_err() && !is_name) {
            return Err(format!(
                "\"{written}\" is no Telegram chat; write a chat id (123456, -100123456), with :topic:ID for a topic, or the @name of a public channel"
            ));
        }
        Ok(Target {
            chat: chat.to_owned(),
            thread,
        })
    }
}

struct Telegram {
    api: Api,
    /// Who we are, once the platform said so.
    me: RefCell<Option<Me>>,
}

impl Transport for Telegram {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            match self.poll(link).await {
                Ok(never) => match never {},
                Err(error) => error,
            }
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(self.send_piece(piece))
    }

    fn typing(&self, to: &Target) {
        let (api, body) = (self.api.clone(), translate::typing(to));
        actix_rt::spawn(async move {
            // Whether it is shown makes no difference to anything.
            let _ = api.call::<bool>("sendChatAction", &body, LIMIT).await;
        });
    }
}

impl Telegram {
    async fn poll(&self, link: &Link) -> Result<std::convert::Infallible, ChannelError> {
        let user: User = self.api.call("getMe", &json!({}), LIMIT).await?;
        let me = Me::of(&user);
        let name = me.name().to_owned();
        *self.me.borrow_mut() = Some(me.clone());
        link.alive();
        // A webhook and polling exclude each other.
        let body = json!({ "drop_pending_updates": false });
        self.api.call::<bool>("deleteWebhook", &body, LIMIT).await?;
        let mut offset: Option<i64> = link.cursor()?.and_then(|cursor| cursor.parse().ok());
        // The first poll comes back at once, and tells that nobody else polls.
        let mut wait = Duration::ZERO;
        loop {
            let mut body = json!({
                "timeout": wait.as_secs(), "limit": BATCH, "allowed_updates": ["message"],
            });
            if let Some(offset) = offset {
                body["offset"] = offset.into();
            }
            let updates: Vec<serde_json::Value> =
                self.api.call("getUpdates", &body, wait + GRACE).await?;
            link.connected(&name);
            link.alive();
            wait = POLL;
            if let Some(next) = self.take(updates, offset, &me, link).await? {
                offset = Some(next);
            }
        }
    }

    /// Takes one poll's updates over; gives back where the next one goes on.
    async fn take(
        &self,
        updates: Vec<serde_json::Value>,
        offset: Option<i64>,
        me: &Me,
        link: &Link,
    ) -> Result<Option<i64>, ChannelError> {
        let mut messages = Vec::with_capacity(updates.len());
        let mut next = offset;
        for update in updates {
            let Some(id) = update.get("update_id").and_then(serde_json::Value::as_i64) else {
                continue;
            };
            if offset.is_some_and(|offset| id < offset) {
                continue;
            }
            next = Some(next.map_or(id + 1, |next| next.max(id + 1)));
            // One that nobody understands must not hold up those behind it.
            match serde_json::from_value::<Update>(update) {
                Ok(update) => messages.extend(translate::inbound(update, me)),
                Err(error) => {
                    tracing::warn!(update = id, %error, "an update of Telegram cannot be read");
                }
            }
        }
        if next == offset {
            return Ok(None);
        }
        let cursor = next.map(|next| next.to_string());
        link.take(messages, cursor.as_deref()).await?;
        Ok(next)
    }

    async fn send_piece(&self, piece: &Piece) -> Result<String, SendFailure> {
        let body = translate::outbound(piece, Some(&format::html(&piece.text)));
        let sent = match self.api.call::<Sent>("sendMessage", &body, LIMIT).await {
            // It was refused for its form, so nothing happened; its plain text is always well formed.
            Err(ApiError::Answered {
                code: 400,
                description,
                ..
            }) if description.contains("can't parse entities") => {
                let plain = translate::outbound(piece, None);
                self.api.call::<Sent>("sendMessage", &plain, LIMIT).await
            }
            other => other,
        };
        sent.map(|sent| sent.message_id.to_string())
            .map_err(ApiError::of_send)
    }
}
