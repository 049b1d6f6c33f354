//! iMessage, by `imsg rpc`: a program on the Mac that is signed in to Messages, here or over ssh.
//!
//! Only translation. The program belongs to the future of [`Transport::receive`]: dropped, its input ends,
//! and it with that. Messages keeps everything, so that nothing is lost while nobody listens: the row up
//! to which messages were taken is stored with them, and what came behind it is asked for at each start.
//! That a watch lives is not believed: now and then it is looked whether rows came that it did not tell.

mod child;
mod echo;
mod files;
pub mod protocol;
mod run;
#[cfg(test)]
mod tests;
mod translate;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::files::{Style, Takes};
use super::styled::plain_text;
use super::{
    Act, Attached, ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure, Target,
    Transport, World,
};
use child::{Call, Ending, Program};
use echo::Echoes;
use files::Staged;
use protocol::{Abilities, Fault};
pub use translate::place;

/// What the channel is.
pub const FACTS: Facts = Facts {
    id: "imessage",
    label: "iMessage",
    detail_label: "iMessage",
    system_image: Some("message.fill"),
    mode: "stdio",
    text_limit: 4_000,
    sender_word: "number or address",
};
/// What it takes of us. Voice messages have nothing beside them.
const TAKES: Takes = Takes {
    max_bytes: 16 * 1024 * 1024,
    caption: 4_000,
    mute_sounds: true,
};
/// What ssh is told: never to ask, to notice a Mac that is gone, and no terminal.
const SSH: [&str; 9] = [
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=15",
    "-o",
    "ServerAliveInterval=20",
    "-o",
    "ServerAliveCountMax=3",
];
/// What else than sending it can do, where the Mac can.
const ACTIONS: &[&str] = &["react", "edit", "delete"];
/// Requests that wait for the program.
const MAX_CALLS: usize = 32;
/// Most reactions of ours that are remembered, to be taken back.
const MAX_REACTIONS: usize = 200;

/// Where `imsg` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// On this host; or a program here that brings its input and output to a Mac.
    Here {
        /// It.
        program: PathBuf,
    },
    /// On a Mac that ssh reaches.
    Ssh {
        /// `user@mac`.
        host: String,
        /// The program there.
        program: String,
    },
}

/// An account as it is configured.
#[derive(Debug, Clone)]
pub struct IMessageSetup {
    /// Where `imsg` is.
    pub way: Way,
    /// The database of Messages there, where it is not the usual one.
    pub database: Option<String>,
    /// By which service somebody is written to who has no chat yet.
    pub service: Option<String>,
    /// The country of numbers without one.
    pub region: Option<String>,
    /// How messages are sent: `auto`, `bridge`, `applescript`.
    pub transport: Option<String>,
    /// Whether files that come are read.
    pub files: bool,
    /// Where such files may lie; `*` is any one folder.
    pub roots: Vec<String>,
    /// From where they are fetched, where `imsg` is not on this host.
    pub files_host: Option<String>,
    /// Chats that count as groups, whatever Messages says.
    pub groups: BTreeSet<String>,
    /// How old a message may be that came while nobody listened; none is taken without.
    pub catch_up: Option<Duration>,
    /// When what is late.
    pub timing: Timing,
}

/// When what is late.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long it may take to say how it is.
    pub probe: Duration,
    /// How long any other request may take that only reads.
    pub answer: Duration,
    /// Between two looks whether the watch lives.
    pub look: Duration,
    /// How long a watch may take with a row that is there.
    pub grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            look: Duration::from_mins(1),
            grace: Duration::from_secs(15),
        }
    }
}

impl ChannelSetup for IMessageSetup {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn fingerprint(&self) -> String {
        let mut own = self.clone();
        own.timing = Timing::default();
        super::hex(&Sha256::digest(format!("{own:?}")))
    }

    fn open(&self, _: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        Ok(Rc::new(IMessage {
            setup: self.clone(),
            began: Instant::now(),
            calls: RefCell::default(),
            abilities: RefCell::default(),
            echoes: RefCell::default(),
            reactions: RefCell::default(),
            blocked: Rc::default(),
            ending: Ending::default(),
        }))
    }

    fn actions(&self) -> &'static [&'static str] {
        ACTIONS
    }

    fn files(&self) -> Option<Takes> {
        Some(TAKES)
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        let chat = place(written).ok_or_else(|| {
            format!(
                "\"{written}\" is nobody on iMessage; write +447700900123, ann@example.org or chat_id:42"
            )
        })?;
        Ok(Target { chat, thread: None })
    }
}

struct IMessage {
    setup: IMessageSetup,
    /// What times of echoes are counted from.
    began: Instant,
    /// The way to the program, while it listens.
    calls: RefCell<Option<mpsc::Sender<Call>>>,
    abilities: RefCell<Abilities>,
    echoes: RefCell<Echoes>,
    /// What we reacted with, by message.
    reactions: RefCell<BTreeMap<String, (&'static str, String)>>,
    /// Told when nothing more can be sent until the program is started anew.
    blocked: Rc<tokio::sync::Notify>,
    ending: Ending,
}

/// Why a request gave nothing.
#[derive(Debug)]
enum CallError {
    /// It was not written.
    NotSent,
    /// It was, and no answer came.
    Lost,
    /// It was refused.
    Fault(Fault),
}

impl Transport for IMessage {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            self.calls.borrow_mut().take();
            let mut program = match Program::start(&self.setup, &self.ending).await {
                Ok(program) => program,
                Err(error) => return error,
            };
            let (calls, mut waiting) = mpsc::channel(MAX_CALLS);
            let (told, mut notes) = mpsc::channel(run::MAX_TOLD);
            let error = tokio::select! {
                error = program.work(&mut waiting, told, link) => error,
                error = run::run(self, &calls, &mut notes, link) => error,
                () = self.blocked.notified() => ChannelError::Transient(
                    "imsg sends nothing more, because an earlier message is not over; it is started anew".into(),
                ),
            };
            self.calls.borrow_mut().take();
            error
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(async move {
            let text = plain_text(&piece.text);
            // Kept until imsg says that it has it.
            let staged = self.stage(piece).await?;
            let (method, mut params) = self.way(piece, staged.is_some());
            if let Some(staged) = &staged {
                params["file"] = staged.path.as_str().into();
            }
            // Messages may have a row for the words and one for the file.
            let mut numbers = Vec::new();
            if let Some(file) = &piece.file {
                let mark = translate::file_mark(files::name(&file.name));
                numbers.push(self.leaves(piece, &mark));
            }
            if !text.is_empty() {
                numbers.push(self.leaves(piece, &text));
                params["text"] = text.into();
            }
            let sent = self.change(method, params).await;
            self.left(&numbers, sent)
        })
    }

    fn act<'a>(
        &'a self,
        to: &'a Target,
        act: &'a Act,
    ) -> Later<'a, Result<Option<String>, SendFailure>> {
        Box::pin(async move {
            let (method, params) = self.request(to, act)?;
            if !self.abilities.borrow().has(method) {
                return Err(SendFailure::Refused(
                    "this needs Messages itself: run `imsg launch` on the Mac, then: openclaw channels start imessage".into(),
                ));
            }
            self.change(method, params).await?;
            Ok(None)
        })
    }

    fn fetch<'a>(&'a self, file: &'a Attached, most: u64) -> Later<'a, Result<Vec<u8>, String>> {
        Box::pin(async move {
            let setup = &self.setup;
            files::fetch(&file.id, setup.files_host.as_deref(), &setup.roots, most).await
        })
    }
}

impl IMessage {
    /// Brings a file to where imsg finds it.
    async fn stage(&self, piece: &Piece) -> Result<Option<Staged>, SendFailure> {
        let Some(file) = &piece.file else {
            return Ok(None);
        };
        let staged = Staged::put(file, self.setup.files_host.as_deref()).await;
        staged.map(Some).map_err(|why| {
            let why = format!("its file cannot be brought to Messages: {why}");
            SendFailure::NotSent(ChannelError::Transient(why))
        })
    }

    /// How a piece is sent: the method, and its params without what is in the piece.
    fn way(&self, piece: &Piece, has_file: bool) -> (&'static str, Value) {
        let abilities = self.abilities.borrow();
        let is_voice = (piece.file.as_ref()).is_some_and(|file| file.style == Some(Style::Voice));
        let answered = piece.reply_to.as_ref();
        if has_file && is_voice && piece.text.is_empty() && abilities.has(protocol::ATTACHMENT) {
            let mut params = translate::chat(&piece.to);
            params["audio"] = true.into();
            if let Some(guid) = answered {
                params["reply_to"] = guid.as_str().into();
            }
            return (protocol::ATTACHMENT, params);
        }
        if let Some(guid) = answered.filter(|_| abilities.has(protocol::RICH)) {
            let mut params = translate::chat(&piece.to);
            params["reply_to"] = guid.as_str().into();
            return (protocol::RICH, params);
        }
        let setup = &self.setup;
        let (service, region) = (setup.service.as_deref(), setup.region.as_deref());
        let mut params = translate::recipient(&piece.to, service, region);
        if let Some(transport) = &setup.transport {
            params["transport"] = transport.as_str().into();
        }
        (protocol::SEND, params)
    }

    /// Something leaves, which is known by this when it comes back.
    fn leaves(&self, piece: &Piece, mark: &str) -> u64 {
        let now = self.began.elapsed();
        self.echoes.borrow_mut().leaves(&piece.to.chat, mark, now)
    }

    /// What became of what left; gives back its id.
    fn left(
        &self,
        numbers: &[u64],
        sent: Result<Value, SendFailure>,
    ) -> Result<String, SendFailure> {
        let now = self.began.elapsed();
        let mut echoes = self.echoes.borrow_mut();
        match sent {
            Ok(answer) => {
                let guid = answer["guid"].as_str().or(answer["message_id"].as_str());
                let guid = guid.filter(|guid| !guid.is_empty());
                for number in numbers {
                    // The id is that of one row, and nobody says of which.
                    let own = guid.filter(|_| numbers.len() == 1);
                    echoes.left(*number, own, now);
                }
                let number = numbers.last().copied().unwrap_or_default();
                Ok(guid.map_or_else(|| format!("sent-{number}"), str::to_owned))
            }
            Err(failure) => {
                // What may have left has an echo.
                if !matches!(failure, SendFailure::Unknown(_)) {
                    for number in numbers {
                        echoes.stayed(*number);
                    }
                }
                Err(failure)
            }
        }
    }

    /// Something that changes a chat. Nothing of it is ever asked twice.
    async fn change(&self, method: &'static str, params: Value) -> Result<Value, SendFailure> {
        let calls = self.calls.borrow().clone();
        let away = || {
            SendFailure::NotSent(ChannelError::Transient(
                "there is no connection to imsg".into(),
            ))
        };
        let calls = calls.ok_or_else(away)?;
        match call(&calls, method, params).await {
            Ok(answer) if answer["ok"] == true => Ok(answer),
            Ok(_) => Err(SendFailure::Unknown(
                "imsg answered without saying that it was sent".into(),
            )),
            Err(CallError::NotSent) => Err(away()),
            Err(CallError::Lost) => Err(SendFailure::Unknown(
                "imsg ended before it said what became of it".into(),
            )),
            Err(CallError::Fault(fault)) => {
                if fault.is_blocked() {
                    self.blocked.notify_one();
                }
                Err(fault.of_send())
            }
        }
    }

    fn request(&self, to: &Target, act: &Act) -> Result<(&'static str, Value), SendFailure> {
        let mut params = translate::chat(to);
        let method = match act {
            Act::React { message, emoji } => {
                let mut reactions = self.reactions.borrow_mut();
                let (key, value) = match emoji {
                    Some(emoji) => self.abilities.borrow().reaction(emoji),
                    None => (reactions.remove(message))
                        .ok_or_else(|| "it is not known what the reaction was".to_owned()),
                }
                .map_err(SendFailure::Refused)?;
                params["message_guid"] = message.as_str().into();
                params[key] = value.as_str().into();
                if emoji.is_none() {
                    params["remove"] = true.into();
                } else {
                    if reactions.len() >= MAX_REACTIONS {
                        reactions.pop_first();
                    }
                    reactions.insert(message.clone(), (key, value));
                }
                protocol::TAPBACK
            }
            Act::Edit { message, text } => {
                params["message_guid"] = message.as_str().into();
                params["text"] = plain_text(text).into();
                protocol::EDIT
            }
            Act::Delete { message } => {
                params["message_guid"] = message.as_str().into();
                protocol::UNSEND
            }
            Act::Pin { .. } | Act::Poll(_) => {
                return Err(SendFailure::Refused(
                    "iMessage cannot do that here; it can react, edit and delete".into(),
                ));
            }
        };
        Ok((method, params))
    }
}

/// Asks the program; its answer, whenever that comes.
async fn call(
    calls: &mpsc::Sender<Call>,
    method: &'static str,
    params: Value,
) -> Result<Value, CallError> {
    let begun = Rc::new(Cell::new(false));
    let (done, end) = oneshot::channel();
    let asked = Call {
        method,
        params,
        begun: Rc::clone(&begun),
        done,
    };
    calls.send(asked).await.map_err(|_| CallError::NotSent)?;
    match end.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(fault)) => Err(CallError::Fault(fault)),
        Err(_) if begun.get() => Err(CallError::Lost),
        Err(_) => Err(CallError::NotSent),
    }
}

/// A cursor as it is stored: rows are counted by one database.
fn cursor_text(database: &str, row: i64) -> String {
    json!({ "database": database, "row": row }).to_string()
}

/// The row of a stored cursor, where it is of this database.
fn cursor_row(text: &str, database: &str) -> Option<i64> {
    let cursor: Value = serde_json::from_str(text).ok()?;
    let row = cursor["row"].as_i64()?;
    (cursor["database"] == database).then_some(row)
}
