//! IRC: one TCP or TLS connection to a server.
//!
//! Only translation. The socket belongs to the future of [`Transport::receive`]: dropped, it is closed,
//! and there is no second one. The server keeps nothing for us: what is written while no connection
//! lives is lost, what was read is stored before the next line is looked at twice. Its word for a message
//! of ours is the answer to a PING behind it.

mod format;
mod line;
mod session;
mod socket;
mod talk;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::{
    ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure, Target, Transport, World,
};
pub use line::{is_name, lower};
use socket::Job;

/// What the channel is.
pub const FACTS: Facts = Facts {
    id: "irc",
    label: "IRC",
    detail_label: "IRC",
    system_image: Some("number"),
    mode: "socket",
    text_limit: 350,
    sender_word: "IRC mask",
};

/// How long a piece may take, its wait for the socket included; less than what a piece may take at all, so
/// that one that was never begun is known as that.
const LIMIT: Duration = Duration::from_secs(50);

/// An account as it is configured.
#[derive(Debug, Clone)]
pub struct IrcSetup {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted, and the server's certificate checked.
    pub tls: bool,
    /// Who we want to be.
    pub nick: String,
    /// The user name, part of our mask.
    pub username: String,
    /// The name for people.
    pub realname: String,
    /// The password of the server.
    pub password: Option<SecretString>,
    /// Where we are.
    pub channels: Vec<String>,
    /// What those of them ask for that are not open to everybody, by their names in small letters.
    pub keys: BTreeMap<String, SecretString>,
    /// How the nick is proven to be ours.
    pub nickserv: Option<NickServ>,
    /// When what is late.
    pub timing: Timing,
}

/// How a nick is proven to be ours: by SASL where the server offers it, else by a message to a service.
#[derive(Debug, Clone)]
pub struct NickServ {
    /// Nick of the service.
    pub service: String,
    /// The password of the nick.
    pub password: SecretString,
    /// The nick is registered at each connection, with this address.
    pub register: Option<String>,
}

/// When what is late.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a server may take to take us in.
    pub welcome: Duration,
    /// A server that said nothing for so long is asked whether it is there.
    pub quiet: Duration,
    /// How long it may take to answer.
    pub answer: Duration,
    /// Between two tries to come back into a channel, or to our nick.
    pub chores: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            welcome: Duration::from_mins(1),
            quiet: Duration::from_mins(1),
            answer: Duration::from_secs(40),
            chores: Duration::from_mins(1),
        }
    }
}

impl ChannelSetup for IrcSetup {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let secret = |secret: Option<&SecretString>| {
            secret.map_or_else(String::new, |secret| secret.expose_secret().to_owned())
        };
        let nickserv = self.nickserv.as_ref();
        let parts = [
            format!("{}:{} {}", self.host, self.port, self.tls),
            self.nick.clone(),
            self.username.clone(),
            self.realname.clone(),
            secret(self.password.as_ref()),
            self.channels.join(" "),
            nickserv.map_or_else(String::new, |own| {
                format!("{} {:?}", own.service, own.register)
            }),
            secret(nickserv.map(|own| &own.password)),
        ];
        let keys = self.keys.iter();
        let keys = keys.map(|(channel, key)| format!("{channel} {}", key.expose_secret()));
        for part in parts.into_iter().chain(keys) {
            hash.update(part);
            hash.update([0]);
        }
        super::hex(&hash.finalize())
    }

    fn open(&self, _: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        Ok(Rc::new(Irc {
            setup: self.clone(),
            jobs: RefCell::default(),
        }))
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        let mut chat = super::policy::plain_id("irc", written);
        for kind in ["channel:", "user:", "nick:"] {
            chat = chat.strip_prefix(kind).unwrap_or(chat);
        }
        if !is_name(chat) {
            return Err(format!(
                "\"{written}\" is no place on IRC; write a channel (#room) or a nick"
            ));
        }
        let chat = if line::is_channel(chat) {
            lower(chat)
        } else {
            chat.to_owned()
        };
        Ok(Target { chat, thread: None })
    }
}

struct Irc {
    setup: IrcSetup,
    /// The way to the socket, while there is one.
    jobs: RefCell<Option<mpsc::Sender<Job>>>,
}

impl Transport for Irc {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            let (sender, mut jobs) = mpsc::channel(1);
            *self.jobs.borrow_mut() = Some(sender);
            socket::run(&self.setup, link, &mut jobs).await
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(async move {
            let begun = Rc::new(Cell::new(false));
            let written = tokio::time::timeout(LIMIT, self.write(piece, &begun)).await;
            // The end of the socket's work is dropped with that: what it has not begun it leaves.
            written.unwrap_or_else(|_| {
                Err(if begun.get() {
                    SendFailure::Unknown("the IRC server did not confirm it in time".into())
                } else {
                    SendFailure::NotSent(ChannelError::Transient(
                        "the connection to the IRC server is busy with other messages".into(),
                    ))
                })
            })
        })
    }
}

impl Irc {
    /// Hands a piece to the socket, and waits for its end.
    async fn write(&self, piece: &Piece, begun: &Rc<Cell<bool>>) -> Result<String, SendFailure> {
        let away = || {
            SendFailure::NotSent(ChannelError::Transient(
                "there is no connection to the IRC server".into(),
            ))
        };
        let jobs = self.jobs.borrow().clone().ok_or_else(away)?;
        let (done, end) = oneshot::channel();
        let job = Job {
            piece: piece.clone(),
            begun: Rc::clone(begun),
            done,
        };
        jobs.send(job).await.map_err(|_| away())?;
        // The socket ends without a word where the connection does.
        end.await.unwrap_or_else(|_| {
            Err(if begun.get() {
                SendFailure::Unknown(
                    "the connection ended before the IRC server confirmed it".into(),
                )
            } else {
                away()
            })
        })
    }
}
