//! Channels: conversations on other platforms, one provider for each account.
//!
//! **Who owns what.**
//! * [`supervisor::Channels`] owns which accounts there are and which of them are to run. It starts a
//!   provider for each, ends it, answers `channels.*` and `send`, and follows the configuration.
//! * [`provider::Provider`], one per (channel, account), owns the account's one live transport, the
//!   hand-over of its inbox to the agent runner, and the delivery of its outbox. Its work is three
//!   loops that live in the actor: dropping the actor drops the transport.
//! * [`account::Account`] is what outlives a provider's panic: backlog, outbox, status, generation.
//! * [`pairing::Desk`] owns who may write to an account without being in the configuration.
//! * A channel's own folder only translates: [`ChannelSetup`] opens a [`Transport`], which receives
//!   into a [`Link`] and sends [`Piece`]s. Retry, backoff, policy, order and durability are here.
//!
//! **A message in**: transport -> [`Link::take`] (policy; then inbox rows and the platform's cursor in
//! one commit; only then may the transport move its offset) -> backlog -> key claimed -> agent runner.
//! The end of the run is one commit with its transcript row, the outbox rows of the answer and the end
//! of the inbox row. **A message out**: outbox row -> state `sending` committed -> platform -> receipt
//! committed. Only what certainly did not happen is tried again; anything else is `unknown`, shown, and
//! never sent again by itself.
//!
//! **When a part dies, is full or slow.** A transport that ends is started anew after a backoff, or its
//! account is parked where only a person can help. A panic in a translator rebuilds the provider, and
//! what it was sending goes on outside of it. A killed gateway finds every unanswered message in the
//! inbox: those whose run had called no tool are run again, the others are answered with what happened.
//! A full backlog holds the transport, so that the platform keeps what follows; a full outbox holds the
//! backlog.
//! A store that takes no commit stops confirming. A runner that is full is asked again later.
//!
//! **Invariants.** At most one transport of an account lives. A platform's offset never passes a message
//! that is not committed. What left for a platform is never sent again without a person's word.

#![cfg_attr(
    not(feature = "channels"),
    allow(dead_code, reason = "what only some channels need")
)]

pub mod account;
pub(crate) mod delivery;
#[cfg(feature = "discord")]
pub mod discord;
pub(crate) mod drafts;
pub mod files;
pub mod hooks;
#[cfg(feature = "imessage")]
pub mod imessage;
pub mod inbox;
#[cfg(feature = "irc")]
pub mod irc;
pub mod login;
pub(crate) mod markup;
pub(crate) mod media;
pub mod outbox;
pub mod pairing;
pub mod policy;
pub mod provider;
pub(crate) mod request;
pub mod route;
pub(crate) mod sends;
pub mod settings;
#[cfg(feature = "signal")]
pub mod signal;
#[cfg(feature = "slack")]
pub mod slack;
pub mod state;
pub mod status;
#[cfg(any(feature = "imessage", feature = "signal"))]
pub(crate) mod styled;
pub mod supervisor;
#[cfg(feature = "telegram")]
pub mod telegram;
#[cfg(test)]
pub(crate) mod tests;
pub mod text;
#[cfg(feature = "whatsapp")]
pub mod whatsapp;

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use provider::link::{Link, Refused};

/// Bytes as people and keys write them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One account on one channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountRef {
    /// The channel's id.
    pub channel: Arc<str>,
    /// The account's id.
    pub account: Arc<str>,
}

impl AccountRef {
    /// `account` on `channel`.
    pub fn new(channel: &str, account: &str) -> Self {
        Self {
            channel: channel.into(),
            account: account.into(),
        }
    }

    /// The beginning of this account's keys in a table.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        let mut key = crate::store::keys::text(&self.channel);
        key.extend(crate::store::keys::text(&self.account));
        key
    }

    /// All keys of this account in a table.
    pub(crate) fn rows(&self) -> std::ops::Range<Vec<u8>> {
        let from = self.prefix();
        let mut to = from.clone();
        to.push(0xff);
        from..to
    }
}

impl fmt::Display for AccountRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.channel, self.account)
    }
}

/// What a channel is.
#[derive(Debug)]
pub struct Facts {
    /// Its id, as configuration and wire have it.
    pub id: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// A longer name.
    pub detail_label: &'static str,
    /// Name of its icon on Apple systems.
    pub system_image: Option<&'static str>,
    /// How it receives.
    pub mode: &'static str,
    /// Most UTF-16 units of one message, as upstream sets it.
    pub text_limit: usize,
    /// How a person's id is obtained, for answers to strangers.
    pub sender_word: &'static str,
}

/// Work of a transport; it stays on its provider's thread.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What transports are opened with.
#[derive(Clone)]
pub struct World {
    /// The process's one HTTP client, made by the first that needs it.
    pub http: Arc<LazyLock<Result<reqwest::Client, String>>>,
    /// Where platforms hand messages over.
    pub hooks: Arc<hooks::Hooks>,
    /// What becomes of accounts that a phone links.
    pub logins: Arc<login::Logins>,
    /// When this gateway started.
    pub started_at: crate::clock::Millis,
}

/// An account as its channel needs it.
pub trait ChannelSetup: fmt::Debug + Send + Sync {
    /// What the channel is.
    fn facts(&self) -> &'static Facts;

    /// Tells one transport's settings from another's; holds no secret that could be read back.
    fn fingerprint(&self) -> String;

    /// Makes a transport that is not connected yet.
    ///
    /// # Errors
    ///
    /// What keeps this process from having one at all.
    fn open(&self, world: &World) -> Result<Rc<dyn Transport>, ChannelError>;

    /// What else than sending it can do with messages: names of [`Act`]s.
    fn actions(&self) -> &'static [&'static str] {
        &[]
    }

    /// Which files it takes; `None` where it takes none.
    fn files(&self) -> Option<files::Takes> {
        None
    }

    /// Whether answers are shown while they are written, by editing a message.
    fn drafts(&self) -> bool {
        false
    }

    /// Where on a phone it is linked, in place of a secret of the configuration; `None` where none links it.
    fn links(&self) -> Option<&'static str> {
        None
    }

    /// Whether that can also be done by a code that is typed into the phone.
    fn links_by_code(&self) -> bool {
        false
    }

    /// Forgets the device that a phone linked. Its transport has ended. What stays is told in words, and
    /// who uses it, where somebody does.
    fn forget<'a>(&'a self, world: &'a World) -> Later<'a, Result<(), String>> {
        let _ = world;
        Box::pin(async { Ok(()) })
    }

    /// Reads a recipient as a person writes it, or as a [`Target`] is shown.
    ///
    /// # Errors
    ///
    /// In words, with what would be right.
    fn target(&self, written: &str) -> Result<Target, String>;
}

/// The platform's side of an account. Only translates.
pub trait Transport {
    /// Connects and receives until that fails. Dropped, the connection is gone.
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError>;

    /// Sends one piece; gives back the platform's id of it.
    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>>;

    /// Does something else than sending; gives back the id of a message that arose.
    fn act<'a>(
        &'a self,
        to: &'a Target,
        act: &'a Act,
    ) -> Later<'a, Result<Option<String>, SendFailure>> {
        let _ = (to, act);
        Box::pin(async {
            Err(SendFailure::Refused(
                "this channel cannot do that".to_owned(),
            ))
        })
    }

    /// Reads a file that came with a message; no more than so many bytes of it.
    fn fetch<'a>(&'a self, file: &'a Attached, most: u64) -> Later<'a, Result<Vec<u8>, String>> {
        let _ = (file, most);
        Box::pin(async { Err("this channel hands on no files".to_owned()) })
    }

    /// How long [`Self::receive`] may go on once [`Link::stopping`] says that it is not wanted any more, to store
    /// what the platform does not keep. Without, it is dropped at once.
    fn parting(&self) -> Option<Duration> {
        None
    }

    /// Tells the platform that this device is linked no more.
    fn leave(&self) -> Later<'_, Result<(), SendFailure>> {
        Box::pin(async { Ok(()) })
    }

    /// Shows that an answer is being written. Nobody waits for it, and it may fail.
    fn typing(&self, to: &Target) {
        let _ = to;
    }
}

/// Why a transport ended. The class decides what becomes of the account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The platform does not know who we are. Only a person can help.
    #[error("{0}")]
    Auth(String),
    /// Another program uses the account.
    #[error("{0}")]
    Conflict(String),
    /// The platform wants to be left alone.
    #[error("{why}")]
    RateLimited {
        /// For how long.
        delay: Duration,
        /// In words.
        why: String,
    },
    /// May be better next time.
    #[error("{0}")]
    Transient(String),
}

/// What became of a piece that was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendFailure {
    /// Certainly nothing happened; it may be tried again.
    NotSent(ChannelError),
    /// The platform refused it, and would again.
    Refused(String),
    /// It left, and nobody can say what became of it.
    Unknown(String),
}

/// A place on a platform to which messages go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The chat.
    pub chat: String,
    /// The thread in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.thread {
            Some(thread) => write!(out, "{}:topic:{thread}", self.chat),
            None => out.write_str(&self.chat),
        }
    }
}

/// One message to a platform, within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where to.
    pub to: Target,
    /// Markdown; the transport renders it.
    pub text: String,
    /// The message that is answered.
    pub reply_to: Option<String>,
    /// Without a sound.
    pub silent: bool,
    /// A message of ours that becomes this one; only where drafts are shown.
    pub edits: Option<String>,
    /// A file, with the text beside it; only where [`ChannelSetup::files`] says so.
    pub file: Option<files::Upload>,
}

/// What else than sending is done with messages of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// An emoji at a message, or none any more.
    React {
        /// The message.
        message: String,
        /// The emoji.
        emoji: Option<String>,
    },
    /// One of ours says something else.
    Edit {
        /// The message.
        message: String,
        /// Markdown.
        text: String,
    },
    /// A message goes.
    Delete {
        /// The message.
        message: String,
    },
    /// A message stays in view, or does no longer.
    Pin {
        /// The message.
        message: String,
        /// Which of these.
        pinned: bool,
    },
    /// People are asked to choose.
    Poll(Poll),
}

impl Act {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::React { .. } => "react",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::Pin { pinned: true, .. } => "pin",
            Self::Pin { pinned: false, .. } => "unpin",
            Self::Poll(_) => "poll",
        }
    }
}

/// A question with options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// The question.
    pub question: String,
    /// What can be chosen.
    pub options: Vec<String>,
    /// Most that one person can choose.
    pub most: u32,
    /// How long it is open.
    pub seconds: Option<u64>,
    /// Whether nobody sees who chose what.
    pub anonymous: bool,
    /// Without a sound.
    pub silent: bool,
}

/// What kind of conversation a message is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChatKind {
    /// With one person.
    Direct,
    /// With several.
    Group,
}

/// Who wrote a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// The platform's id of them; the only thing that trust is bound to.
    pub id: String,
    /// What they call themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their handle, without `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl Sender {
    /// What people call them.
    pub fn label(&self) -> &str {
        self.name
            .as_deref()
            .or(self.username.as_deref())
            .unwrap_or(&self.id)
    }
}

/// A file that came with a message. Its bytes stay on the platform until the message is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// What [`Transport::fetch`] finds it by.
    pub id: String,
    /// What it is, in words: photo, voice message.
    pub what: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its MIME type, as the platform says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// A message that is answered by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// Who wrote it.
    pub by: String,
    /// The beginning of it.
    pub text: String,
}

/// A message from a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// The platform's id of the delivery; the same id is the same message.
    pub id: String,
    /// The platform's id of the message, for answers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Where it was written, and where answers go.
    pub chat: Target,
    /// What kind of place that is.
    pub kind: ChatKind,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The server or the team that the place is one of many rooms of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// By whom.
    pub sender: Sender,
    /// The roles of the writer on that server, by the platform's ids of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The text.
    pub text: String,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// What came with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Attached>,
    /// Whether we are named in it, or it answers one of ours.
    #[serde(default)]
    pub mentioned: bool,
    /// When it was written, milliseconds since the epoch.
    pub at: i64,
}
