//! Slack: Socket Mode or the Events API in, the Web API out.
//!
//! Only translation. An event is acknowledged when its message is stored, so that Slack keeps what is not.

mod acts;
mod api;
mod events;
mod format;
mod socket;
#[cfg(test)]
mod tests;
mod translate;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::files::Takes;
use super::hooks::Hooks;
use super::{
    Act, Attached, ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure, Target,
    Transport, World,
};
use api::{Api, ApiError};
use translate::Me;

/// What the channel is, by Socket Mode.
pub const FACTS: Facts = Facts {
    id: "slack",
    label: "Slack",
    detail_label: "Slack App",
    system_image: Some("number.square"),
    mode: "socket",
    text_limit: 8_000,
    sender_word: "Slack user id",
};
/// What it is, by the Events API.
pub const HTTP_FACTS: Facts = Facts {
    mode: "http",
    ..FACTS
};
/// Where the Web API is.
pub const API_ROOT: &str = "https://slack.com/api";
/// Most direct chats whose place is remembered.
const MAX_DIRECT: usize = 1_000;

/// How messages come in.
#[derive(Debug, Clone)]
pub enum Way {
    /// Over a socket that we open.
    Socket {
        /// The app's token.
        app_token: SecretString,
    },
    /// By requests of the platform.
    Http {
        /// What they are signed with.
        signing_secret: SecretString,
        /// Where they arrive.
        path: String,
    },
}

/// An account as it is configured.
#[derive(Debug, Clone)]
pub struct SlackSetup {
    /// The bot's token.
    pub bot_token: SecretString,
    /// How messages come in.
    pub way: Way,
    /// Whether answers are shown while they are written.
    pub drafts: bool,
    /// Where the Web API is.
    pub api_root: String,
    /// When what is late.
    pub timing: Timing,
}

/// When what is late.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// A socket that said nothing for so long is asked whether it is there.
    pub quiet: Duration,
    /// How long it may take to answer.
    pub answer: Duration,
    /// How long a connection has to have lived, to be exchanged without a pause.
    pub lived: Duration,
    /// How long one request may take.
    pub limit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(30),
            answer: Duration::from_secs(15),
            lived: Duration::from_secs(10),
            limit: Duration::from_secs(20),
        }
    }
}

impl ChannelSetup for SlackSetup {
    fn facts(&self) -> &'static Facts {
        match self.way {
            Way::Socket { .. } => &FACTS,
            Way::Http { .. } => &HTTP_FACTS,
        }
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let (second, path) = match &self.way {
            Way::Socket { app_token } => (app_token, ""),
            Way::Http {
                signing_secret,
                path,
            } => (signing_secret, path.as_str()),
        };
        for part in [
            self.bot_token.expose_secret(),
            second.expose_secret(),
            path,
            &self.api_root,
        ] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update([u8::from(self.drafts)]);
        super::hex(&hash.finalize())
    }

    fn open(&self, world: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        let http = match &**world.http {
            Ok(http) => http.clone(),
            Err(problem) => return Err(ChannelError::Transient(problem.clone())),
        };
        Ok(Rc::new(Slack {
            api: Api::new(http, &self.api_root, self.timing.limit),
            bot_token: self.bot_token.clone(),
            way: self.way.clone(),
            timing: self.timing,
            hooks: Arc::clone(&world.hooks),
            direct: RefCell::default(),
        }))
    }

    fn actions(&self) -> &'static [&'static str] {
        acts::NAMES
    }

    fn files(&self) -> Option<Takes> {
        Some(acts::TAKES)
    }

    fn drafts(&self) -> bool {
        self.drafts
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        let plain = super::policy::plain_id("slack", written);
        let parts = [":thread:", ":topic:"].map(|mark| plain.split_once(mark));
        let (place, thread) = match parts.into_iter().flatten().next() {
            Some((place, thread)) => (place, Some(thread.to_owned())),
            None => (plain, None),
        };
        let is_time = |id: &str| {
            let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'.';
            !id.is_empty() && id.bytes().all(is_digit)
        };
        let person = place
            .strip_prefix("user:")
            .or_else(|| place.strip_prefix("<@")?.strip_suffix('>'));
        let bare = person
            .or_else(|| place.strip_prefix("channel:"))
            .unwrap_or(place);
        let is_id = bare.len() > 2
            && (bare.bytes()).all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let is_thread = thread.as_deref().is_none_or(is_time);
        if !is_id || !is_thread || !bare.starts_with(['C', 'D', 'G', 'U', 'W']) {
            return Err(format!(
                "\"{written}\" is no place on Slack; write channel:C0123456 (with :thread:TS for a thread) or user:U0123456"
            ));
        }
        let is_person = person.is_some() || bare.starts_with(['U', 'W']);
        Ok(Target {
            chat: if is_person {
                format!("user:{bare}")
            } else {
                bare.to_owned()
            },
            thread,
        })
    }
}

struct Slack {
    api: Api,
    bot_token: SecretString,
    way: Way,
    timing: Timing,
    hooks: Arc<Hooks>,
    /// Direct chats by person, where a message goes to a person.
    direct: RefCell<BTreeMap<String, String>>,
}

impl Transport for Slack {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            let known = self.call("auth.test", &json!({})).await;
            let me = match known {
                Ok(answer) => Me::of(&answer),
                Err(error) => return error.class("botToken"),
            };
            link.alive();
            match &self.way {
                Way::Socket { app_token } => socket::run(self, app_token, &me, link).await,
                Way::Http {
                    signing_secret,
                    path,
                } => events::run(&self.hooks, signing_secret, path, &me, link).await,
            }
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(async move {
            let channel = self.place(&piece.to).await?;
            if let Some(file) = &piece.file {
                return acts::upload(self, &channel, piece, file).await;
            }
            if let Some(message) = &piece.edits
                && acts::edited(self, &channel, message, &piece.text).await?
            {
                return Ok(message.clone());
            }
            let body = translate::outbound(piece, &channel);
            let sent = self.call("chat.postMessage", &body).await;
            let sent = sent.map_err(ApiError::of_send)?;
            let ts = sent.get("ts").and_then(Value::as_str);
            ts.map(str::to_owned).ok_or_else(|| {
                SendFailure::Unknown("Slack answered without the time of the message".into())
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
            acts::act(self, &channel, act).await.map(|()| None)
        })
    }

    fn fetch<'a>(&'a self, file: &'a Attached, most: u64) -> Later<'a, Result<Vec<u8>, String>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Box::pin(self.api.download(&self.bot_token, file, most))
    }
}

impl Slack {
    async fn call(&self, method: &str, body: &Value) -> Result<Value, ApiError> {
        self.api.call(&self.bot_token, method, body).await
    }

    /// The channel that a piece goes to; a person has one of their own, which is opened once.
    async fn place(&self, to: &Target) -> Result<String, SendFailure> {
        let Some(person) = to.chat.strip_prefix("user:") else {
            return Ok(to.chat.clone());
        };
        if let Some(known) = self.direct.borrow().get(person) {
            return Ok(known.clone());
        }
        let opened = self
            .call("conversations.open", &json!({ "users": person }))
            .await;
        // Opening a chat sends nothing, so that it may be tried again.
        let opened = opened.map_err(|error| match error.of_send() {
            SendFailure::Unknown(why) => SendFailure::NotSent(ChannelError::Transient(why)),
            other => other,
        })?;
        let id = opened["channel"]["id"].as_str().unwrap_or_default();
        let mut direct = self.direct.borrow_mut();
        if direct.len() >= MAX_DIRECT {
            direct.pop_first();
        }
        direct.insert(person.to_owned(), id.to_owned());
        Ok(id.to_owned())
    }
}
