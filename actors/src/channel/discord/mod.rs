//! Discord: the gateway (a WebSocket) in, REST out.
//!
//! Only translation. The socket belongs to the future of [`Transport::receive`], which does nothing but
//! serve it, so that a heartbeat is never late; what came in is stored beside it. Where the session went
//! on up to is the account's cursor, committed with the messages: a connection, or a gateway, that ended
//! is resumed behind the last message that is stored, and what came meanwhile is replayed.

mod acts;
mod api;
mod gateway;
mod session;
#[cfg(test)]
mod tests;
mod translate;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::files::{Form, Takes};
use super::{
    Act, Attached, ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure, Target,
    Transport, World,
};
use api::{Api, Method};

/// What the channel is.
pub const FACTS: Facts = Facts {
    id: "discord",
    label: "Discord",
    detail_label: "Discord Bot",
    system_image: Some("bubble.left.and.bubble.right"),
    mode: "gateway",
    text_limit: 2_000,
    sender_word: "Discord user id",
};
/// Where the API is; the version is added.
pub const API_ROOT: &str = "https://discord.com/api";
/// How long one request may take, unless it is said otherwise.
pub const LIMIT: Duration = Duration::from_secs(20);
/// What bots may send.
const TAKES: Takes = Takes {
    max_bytes: 10 * 1024 * 1024,
    caption: 2_000,
    mute_sounds: false,
};
/// Most direct chats whose place is remembered.
const MAX_DIRECT: usize = 1_000;

/// An account as it is configured.
#[derive(Debug, Clone)]
pub struct DiscordSetup {
    /// The bot's token, without `Bot` before it.
    pub token: SecretString,
    /// Where the API is, without its version.
    pub api_root: String,
    /// Whether answers are shown while they are written.
    pub drafts: bool,
    /// How long one request may take.
    pub limit: Duration,
}

impl ChannelSetup for DiscordSetup {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.token.expose_secret());
        hash.update([0]);
        hash.update(&self.api_root);
        hash.update([u8::from(self.drafts)]);
        super::hex(&hash.finalize())
    }

    fn open(&self, world: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        let http = match &**world.http {
            Ok(http) => http.clone(),
            Err(problem) => return Err(ChannelError::Transient(problem.clone())),
        };
        Ok(Rc::new(Discord {
            api: Api::new(http, &self.api_root, &self.token, self.limit),
            direct: RefCell::default(),
            places: RefCell::default(),
            resume: RefCell::default(),
            failed: Cell::default(),
        }))
    }

    fn drafts(&self) -> bool {
        self.drafts
    }

    fn actions(&self) -> &'static [&'static str] {
        acts::NAMES
    }

    fn files(&self) -> Option<Takes> {
        Some(TAKES)
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        let plain = super::policy::plain_id("discord", written);
        let parts = [":thread:", ":topic:"].map(|mark| plain.split_once(mark));
        let (plain, thread) = match parts.into_iter().flatten().next() {
            Some((place, thread)) => (place, Some(thread.to_owned())),
            None => (plain, None),
        };
        let person = plain
            .strip_prefix("user:")
            .or_else(|| plain.strip_prefix("<@")?.strip_suffix('>'));
        let person = person.map(|id| id.trim_start_matches('!'));
        let place = plain.strip_prefix("channel:").unwrap_or(plain);
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let chat = match person {
            Some(id) if is_id(id) && thread.is_none() => format!("user:{id}"),
            None if is_id(place) && thread.as_deref().is_none_or(is_id) => place.to_owned(),
            _ => {
                return Err(format!(
                    "\"{written}\" is no place on Discord; write channel:ID (a thread is a channel too) or user:ID"
                ));
            }
        };
        Ok(Target { chat, thread })
    }
}

struct Discord {
    api: Api,
    /// Direct chats by person, where a message goes to a person.
    direct: RefCell<BTreeMap<String, String>>,
    /// Which channels are threads of which.
    places: RefCell<translate::Places>,
    /// Where the session goes on.
    resume: RefCell<Option<session::Resume>>,
    /// Connections in a row that could not take it up.
    failed: Cell<u32>,
}

impl Transport for Discord {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(gateway::run(self, link))
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(async move {
            let channel = self.place(&piece.to).await?;
            if let (Some(message), None) = (&piece.edits, &piece.file)
                && self.edited(&channel, message, &piece.text).await?
            {
                return Ok(message.clone());
            }
            let path = format!("/channels/{channel}/messages");
            let body = translate::outbound(piece);
            let sent = if let Some(file) = &piece.file {
                let mut form = Form::new();
                form.text("payload_json", &body.to_string());
                form.file("files[0]", file);
                self.api.upload(&path, form).await
            } else {
                self.api.call(Method::Post, &path, Some(&body)).await
            };
            let sent = sent.map_err(api::ApiError::of_send)?;
            sent.get("id")
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| {
                    SendFailure::Unknown("Discord answered without the id of the message".into())
                })
        })
    }

    fn act<'a>(
        &'a self,
        to: &'a Target,
        act: &'a Act,
    ) -> Later<'a, Result<Option<String>, SendFailure>> {
        Box::pin(async move {
            let channel = self.place(to).await?;
            acts::act(&self.api, &channel, act).await
        })
    }

    fn fetch<'a>(&'a self, file: &'a Attached, most: u64) -> Later<'a, Result<Vec<u8>, String>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Box::pin(self.api.download(&file.id, most))
    }

    fn typing(&self, to: &Target) {
        let api = self.api.clone();
        let path = format!("/channels/{}/typing", translate::channel(to));
        actix_rt::spawn(async move {
            // Whether it is shown makes no difference to anything.
            let _ = api.call(Method::Post, &path, None).await;
        });
    }
}

impl Discord {
    /// Whether a message of ours says this now; not where it is gone.
    async fn edited(&self, channel: &str, message: &str, text: &str) -> Result<bool, SendFailure> {
        let act = Act::Edit {
            message: message.to_owned(),
            text: text.to_owned(),
        };
        match acts::act(&self.api, channel, &act).await {
            Ok(_) => Ok(true),
            Err(SendFailure::Refused(_)) => Ok(false),
            // To say the same again changes nothing, so it may be tried again.
            Err(SendFailure::Unknown(why)) => {
                Err(SendFailure::NotSent(ChannelError::Transient(why)))
            }
            Err(SendFailure::NotSent(error)) => Err(SendFailure::NotSent(error)),
        }
    }

    /// The channel that a piece goes to; a person has one of their own, which is opened once.
    async fn place(&self, to: &Target) -> Result<String, SendFailure> {
        let channel = translate::channel(to);
        let Some(person) = channel.strip_prefix("user:") else {
            return Ok(channel.to_owned());
        };
        if let Some(known) = self.direct.borrow().get(person) {
            return Ok(known.clone());
        }
        let body = json!({ "recipient_id": person });
        let opened = self
            .api
            .call(Method::Post, "/users/@me/channels", Some(&body))
            .await;
        // Opening a chat sends nothing, so that it may be tried again.
        let opened = opened.map_err(|error| match error.of_send() {
            SendFailure::Unknown(why) => SendFailure::NotSent(ChannelError::Transient(why)),
            other => other,
        })?;
        let id = opened.get("id").and_then(Value::as_str).unwrap_or_default();
        let mut direct = self.direct.borrow_mut();
        if direct.len() >= MAX_DIRECT {
            direct.pop_first();
        }
        direct.insert(person.to_owned(), id.to_owned());
        Ok(id.to_owned())
    }
}
