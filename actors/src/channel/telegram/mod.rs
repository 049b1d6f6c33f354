//! Telegram: the Bot API by long polling, or by a webhook.
//!
//! Only translation: one poll at a time, its offset moved when what came is stored. A poll that ends
//! is the sign of life; one that takes longer than asked for is a failure.

mod acts;
mod api;
mod format;
#[cfg(test)]
mod tests;
mod translate;
mod uploads;
mod webhook;
mod wire;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::files::Takes;
use super::hooks::Hooks;
use super::{
    Act, Attached, ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure, Target,
    Transport, World,
};
use api::{Api, ApiError};
use translate::Me;
use wire::{File, Sent, Update, User};

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
/// What it is where the platform comes to us.
pub const WEBHOOK_FACTS: Facts = Facts {
    mode: "webhook",
    ..FACTS
};
/// Where bots are served.
pub const API_ROOT: &str = "https://api.telegram.org";
/// Before the next poll where one brought nothing new, and did not wait for anything new either.
const PAUSE: Duration = Duration::from_secs(1);
/// Most updates of one poll.
const BATCH: u32 = 100;

/// How long requests may take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long the platform holds a poll that has nothing to give.
    pub poll: Duration,
    /// How much longer than that one may take.
    pub grace: Duration,
    /// How long any other request may take.
    pub limit: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(30),
            grace: Duration::from_secs(15),
            limit: Duration::from_secs(20),
        }
    }
}

/// An account as it is configured.
#[derive(Debug, Clone)]
pub struct TelegramSetup {
    /// The bot's token.
    pub token: SecretString,
    /// Where the Bot API is.
    pub api_root: String,
    /// How long requests may take.
    pub pace: Pace,
    /// Whether answers are shown while they are written.
    pub drafts: bool,
    /// Where the platform hands messages over; it is asked for them without.
    pub webhook: Option<Webhook>,
}

/// Where the platform hands messages over.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The address that it is told.
    pub url: String,
    /// The path at which its requests arrive here.
    pub path: String,
    /// What they are proven by.
    pub secret: SecretString,
    /// Between two looks at whether it can reach us.
    pub look: Duration,
}

impl TelegramSetup {
    /// A bot at an address.
    pub fn new(token: SecretString, api_root: &str) -> Self {
        Self {
            token,
            api_root: api_root.to_owned(),
            pace: Pace::default(),
            drafts: true,
            webhook: None,
        }
    }
}

impl ChannelSetup for TelegramSetup {
    fn facts(&self) -> &'static Facts {
        match self.webhook {
            Some(_) => &WEBHOOK_FACTS,
            None => &FACTS,
        }
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.token.expose_secret());
        hash.update([0]);
        hash.update(&self.api_root);
        hash.update([u8::from(self.drafts)]);
        if let Some(webhook) = &self.webhook {
            for part in [&webhook.url, &webhook.path] {
                hash.update(part);
                hash.update([0]);
            }
            hash.update(webhook.secret.expose_secret());
        }
        super::hex(&hash.finalize())
    }

    fn open(&self, world: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        let http = match &**world.http {
            Ok(http) => http.clone(),
            Err(problem) => return Err(ChannelError::Transient(problem.clone())),
        };
        Ok(Rc::new(Telegram {
            api: Api::new(http, &self.api_root, &self.token),
            pace: self.pace,
            webhook: self.webhook.clone(),
            hooks: Arc::clone(&world.hooks),
            me: RefCell::default(),
        }))
    }

    fn drafts(&self) -> bool {
        self.drafts
    }

    fn files(&self) -> Option<Takes> {
        Some(uploads::TAKES)
    }

    fn actions(&self) -> &'static [&'static str] {
        acts::NAMES
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
    pace: Pace,
    webhook: Option<Webhook>,
    hooks: Arc<Hooks>,
    /// Who we are, once the platform said so.
    me: RefCell<Option<Me>>,
}

impl Transport for Telegram {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            let me = match self.introduce(link).await {
                Ok(me) => me,
                Err(error) => return error,
            };
            let done = match &self.webhook {
                Some(own) => webhook::run(self, own, &me, link).await,
                None => self.poll(&me, link).await,
            };
            match done {
                Ok(never) => match never {},
                Err(error) => error,
            }
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(self.send_piece(piece))
    }

    fn act<'a>(
        &'a self,
        to: &'a Target,
        act: &'a Act,
    ) -> Later<'a, Result<Option<String>, SendFailure>> {
        Box::pin(acts::act(&self.api, self.pace.limit, to, act))
    }

    fn fetch<'a>(&'a self, file: &'a Attached, most: u64) -> Later<'a, Result<Vec<u8>, String>> {
        Box::pin(async move {
            let wrong = |error| match error {
                ApiError::NotSent(why) | ApiError::Lost(why) => why,
                ApiError::Answered { description, .. } => description,
            };
            let body = json!({ "file_id": file.id });
            let found = self.api.call::<File>("getFile", &body, self.pace.limit);
            let found = found.await.map_err(wrong)?;
            let path = found
                .path
                .ok_or("Telegram hands on files up to 20 MB only")?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let bytes = self.api.download(&path, most, self.pace.limit * 2);
            bytes.await.map_err(wrong)
        })
    }

    fn typing(&self, to: &Target) {
        let (api, body, limit) = (self.api.clone(), translate::typing(to), self.pace.limit);
        actix_rt::spawn(async move {
            // Whether it is shown makes no difference to anything.
            let _ = api.call::<bool>("sendChatAction", &body, limit).await;
        });
    }
}

impl Telegram {
    async fn introduce(&self, link: &Link) -> Result<Me, ChannelError> {
        let user: User = self.api.call("getMe", &json!({}), self.pace.limit).await?;
        let me = Me::of(&user);
        *self.me.borrow_mut() = Some(me.clone());
        link.alive();
        Ok(me)
    }

    async fn poll(&self, me: &Me, link: &Link) -> Result<std::convert::Infallible, ChannelError> {
        // A webhook and polling exclude each other.
        let body = json!({ "drop_pending_updates": false });
        self.api
            .call::<bool>("deleteWebhook", &body, self.pace.limit)
            .await?;
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
            let updates: Vec<serde_json::Value> = self
                .api
                .call("getUpdates", &body, wait + self.pace.grace)
                .await?;
            link.connected(me.name());
            link.alive();
            wait = self.pace.poll;
            let came = !updates.is_empty();
            let next = self.take(updates, me, link).await?;
            if came && next.is_none_or(|next| offset == Some(next)) {
                // It brings again what was confirmed; asking at once would be asking without end.
                tokio::time::sleep(PAUSE).await;
            }
            offset = next.or(offset);
        }
    }

    /// Takes one poll's updates over; gives back where the next one goes on: behind the newest of them,
    /// also where that is lower than before. After a week without any the platform numbers them anew;
    /// what it brings a second time is dropped by its id.
    async fn take(
        &self,
        updates: Vec<serde_json::Value>,
        me: &Me,
        link: &Link,
    ) -> Result<Option<i64>, ChannelError> {
        let mut messages = Vec::with_capacity(updates.len());
        let mut next: Option<i64> = None;
        for update in updates {
            let Some(id) = update.get("update_id").and_then(serde_json::Value::as_i64) else {
                continue;
            };
            let behind = id.saturating_add(1);
            next = Some(next.map_or(behind, |next| next.max(behind)));
            // One that nobody understands must not hold up those behind it.
            match serde_json::from_value::<Update>(update) {
                Ok(update) => messages.extend(translate::inbound(update, me)),
                Err(error) => {
                    tracing::warn!(update = id, %error, "an update of Telegram cannot be read");
                }
            }
        }
        if let Some(next) = next {
            link.take(messages, Some(&next.to_string())).await?;
        }
        Ok(next)
    }

    async fn send_piece(&self, piece: &Piece) -> Result<String, SendFailure> {
        if let Some(file) = &piece.file {
            return uploads::send(&self.api, self.pace.limit, piece, file).await;
        }
        if let Some(message) = &piece.edits {
            let act = Act::Edit {
                message: message.clone(),
                text: piece.text.clone(),
            };
            match acts::act(&self.api, self.pace.limit, &piece.to, &act).await {
                Ok(_) => return Ok(message.clone()),
                // To say the same again changes nothing, so it may be tried again.
                Err(SendFailure::Unknown(why)) => {
                    return Err(SendFailure::NotSent(ChannelError::Transient(why)));
                }
                Err(SendFailure::NotSent(error)) => return Err(SendFailure::NotSent(error)),
                // It is gone, or cannot be edited any more.
                Err(SendFailure::Refused(_)) => {}
            }
        }
        let limit = self.pace.limit;
        let body = translate::outbound(piece, Some(&format::html(&piece.text)));
        let sent = match self.api.call::<Sent>("sendMessage", &body, limit).await {
            // It was refused for its form, so nothing happened; its plain text is always well formed.
            Err(ApiError::Answered {
                code: 400,
                description,
                ..
            }) if description.contains("can't parse entities") => {
                let plain = translate::outbound(piece, None);
                self.api.call::<Sent>("sendMessage", &plain, limit).await
            }
            other => other,
        };
        sent.map(|sent| sent.message_id.to_string())
            .map_err(ApiError::of_send)
    }
}
