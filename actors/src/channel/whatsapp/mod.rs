//! WhatsApp: a sidecar that runs stock Baileys, as a linked device of a phone.
//!
//! Only translation, and the care for what must not exist twice. One connection is one process, that
//! ends with the future of [`Transport::receive`]; [`lock`] says who may have one, [`auth`] looks after
//! the device's keys before it starts. The platform is told that a message came before we store it (that
//! is Baileys' way): what was not stored yet when the process was killed is lost. While the store takes
//! nothing, the sidecar holds what came, stops reading at a few hundred, and sends nothing: what confirms
//! it would not be read.

mod auth;
mod close;
mod format;
mod lock;
mod process;
mod run;
mod session;
#[cfg(test)]
mod tests;
mod translate;
mod wire;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::files::Takes;
use super::login::Logins;
use super::{
    AccountRef, Act, Attached, ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure,
    Target, Transport, World,
};
pub use process::Program;
pub use session::lock_name;
pub use translate::number_of;

/// What the channel is.
pub const FACTS: Facts = Facts {
    id: "whatsapp",
    label: "WhatsApp",
    detail_label: "WhatsApp Web",
    system_image: Some("message"),
    mode: "sidecar",
    text_limit: 4_000,
    sender_word: "WhatsApp number",
};
/// What it connects with, exactly: another version is another set of keys and habits.
pub const BAILEYS: &str = "7.0.0-rc14";
/// The sidecar, as this release has it.
pub const SCRIPT: &str = include_str!("sidecar/sidecar.mjs");
/// What is installed for it.
pub const PACKAGE: &str = include_str!("sidecar/package.json");
/// What exactly is installed for it.
pub const PACKAGE_LOCK: &str = include_str!("sidecar/package-lock.json");

/// Most messages of ours that are told from those that the account's owner writes.
const SENT: usize = 500;
/// Most chats with messages that nobody has seen, and most messages of each.
const UNSEEN: (usize, usize) = (200, 20);
/// Requests that wait for the connection.
const JOBS: usize = 64;
/// How long the sidecar may take to hand over what came, when the account is stopped; less than the supervisor waits.
const PARTING: Duration = Duration::from_secs(8);

/// An account as it is configured.
#[derive(Debug, Clone)]
pub struct WhatsAppSetup {
    /// Its name in the configuration.
    pub account: String,
    /// Where the device's keys are.
    pub auth_dir: PathBuf,
    /// Where gateways of this user lock accounts.
    pub host_dir: PathBuf,
    /// What is run.
    pub program: Program,
    /// In place of WhatsApp's address; only of this host.
    pub server: Option<String>,
    /// Whether what the account's owner writes to themself is for us.
    pub self_chat: bool,
    /// Whether people see that their messages were read.
    pub read_receipts: bool,
    /// When what is late.
    pub timing: Timing,
}

/// When what is late.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long the sidecar may take to start.
    pub start: Duration,
    /// It is asked that often whether it lives.
    pub ask: Duration,
    /// How long it may take to answer, whatever it is asked.
    pub answer: Duration,
    /// WhatsApp is asked that often whether it is there.
    pub keep_alive: Duration,
    /// How long a connection has to have lived, to be exchanged without a pause.
    pub lived: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            start: Duration::from_mins(1),
            ask: Duration::from_secs(15),
            answer: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            lived: Duration::from_secs(10),
        }
    }
}

impl ChannelSetup for WhatsAppSetup {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let server = self.server.as_deref().unwrap_or_default();
        for part in [
            self.auth_dir.as_os_str(),
            self.host_dir.as_os_str(),
            self.program.node.as_os_str(),
            self.program.script.as_os_str(),
            server.as_ref(),
        ] {
            hash.update(part.as_encoded_bytes());
            hash.update([0]);
        }
        hash.update([u8::from(self.self_chat), u8::from(self.read_receipts)]);
        super::hex(&hash.finalize())
    }

    fn open(&self, world: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        Ok(Rc::new(WhatsApp {
            who: AccountRef::new(FACTS.id, &self.account),
            setup: self.clone(),
            logins: Arc::clone(&world.logins),
            started_at_ms: world.started_at.get(),
            logged_out: Cell::default(),
            jobs: RefCell::default(),
            sent: RefCell::default(),
            unseen: RefCell::default(),
        }))
    }

    fn actions(&self) -> &'static [&'static str] {
        translate::ACTS
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        translate::target(written)
    }

    fn files(&self) -> Option<Takes> {
        Some(translate::TAKES)
    }

    fn links(&self) -> Option<&'static str> {
        Some("WhatsApp, Settings, Linked devices")
    }

    fn links_by_code(&self) -> bool {
        true
    }

    fn forget<'a>(&'a self, world: &'a World) -> Later<'a, Result<(), String>> {
        Box::pin(session::forget(&self.auth_dir, world.started_at.get()))
    }
}

/// Something that the sidecar is asked for.
struct Job {
    method: &'static str,
    params: Value,
    /// Whether it was put on its way.
    begun: Rc<Cell<bool>>,
    /// Who waits; nobody where it does not matter.
    done: Option<oneshot::Sender<Result<Value, SendFailure>>>,
}

struct WhatsApp {
    who: AccountRef,
    setup: WhatsAppSetup,
    logins: Arc<Logins>,
    started_at_ms: i64,
    /// Whether the platform said that this device is none any more.
    logged_out: Cell<bool>,
    /// The way to the connection, while there is one.
    jobs: RefCell<Option<mpsc::Sender<Job>>>,
    /// Ids of what we sent last.
    sent: RefCell<VecDeque<String>>,
    /// What came and was not shown as read, by chat.
    unseen: RefCell<BTreeMap<String, Vec<Value>>>,
}

/// A file that the sidecar reads or writes; it goes with this.
struct Beside(PathBuf);

impl Beside {
    /// A place for one in the folder of the device's keys.
    fn new(folder: &Path) -> Self {
        Self(folder.join(auth::part()))
    }

    /// Writes one into the folder of the device's keys, which nobody else reads.
    async fn write(folder: &Path, bytes: &[u8]) -> Result<Self, SendFailure> {
        let beside = Self::new(folder);
        let written = tokio::fs::write(&beside.0, bytes).await;
        written.map_err(|error| {
            let why = format!("its file cannot be written for WhatsApp's sidecar: {error}");
            SendFailure::NotSent(ChannelError::Transient(why))
        })?;
        Ok(beside)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        let remove = move || {
            // What stays behind is swept away when the session begins anew.
            let _ = std::fs::remove_file(path);
        };
        // Large files take their time to go, and all channels share this thread.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

fn away() -> SendFailure {
    SendFailure::NotSent(ChannelError::Transient("WhatsApp is not connected".into()))
}

impl WhatsApp {
    /// Asks the sidecar for something.
    async fn ask(&self, method: &'static str, params: Value) -> Result<Value, SendFailure> {
        let jobs = self.jobs.borrow().clone().ok_or_else(away)?;
        let begun = Rc::new(Cell::new(false));
        let (done, end) = oneshot::channel();
        let job = Job {
            method,
            params,
            begun: Rc::clone(&begun),
            done: Some(done),
        };
        jobs.send(job).await.map_err(|_| away())?;
        // The connection ends without a word where the process does.
        end.await.unwrap_or_else(|_| {
            Err(if begun.get() {
                SendFailure::Unknown("the connection ended before WhatsApp confirmed it".into())
            } else {
                away()
            })
        })
    }

    /// Asks for what may come to nothing.
    fn tell(&self, method: &'static str, params: Value) {
        if let Some(jobs) = &*self.jobs.borrow() {
            let _ = jobs.try_send(Job {
                method,
                params,
                begun: Rc::default(),
                done: None,
            });
        }
    }

    /// An id for a message of ours, remembered before it leaves: it may come back at once.
    fn next_id(&self) -> String {
        let random = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
        // As the platform's own clients write them.
        let id = format!("3EB0{}", &random[..18]);
        let mut sent = self.sent.borrow_mut();
        if sent.len() >= SENT {
            sent.pop_front();
        }
        sent.push_back(id.clone());
        id
    }

    fn is_ours(&self, id: &str) -> bool {
        self.sent.borrow().iter().any(|own| own == id)
    }

    /// A message came that is shown as read once it is being answered.
    fn is_unseen(&self, chat: &Target, message: &str) {
        if !self.setup.read_receipts {
            return;
        }
        let mut unseen = self.unseen.borrow_mut();
        if unseen.len() >= UNSEEN.0 && !unseen.contains_key(&chat.chat) {
            unseen.pop_first();
        }
        let keys = unseen.entry(chat.chat.clone()).or_default();
        if keys.len() >= UNSEEN.1 {
            keys.remove(0);
        }
        keys.push(translate::key(chat, message));
    }
}

impl Transport for WhatsApp {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            let (sender, mut jobs) = mpsc::channel(JOBS);
            *self.jobs.borrow_mut() = Some(sender);
            run::run(self, link, &mut jobs).await
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(async move {
            let id = self.next_id();
            let mut params = translate::outbound(piece, &id);
            // Kept until the sidecar has read it.
            let _beside = match &piece.file {
                Some(file) => {
                    let beside = Beside::write(&self.setup.auth_dir, &file.bytes).await?;
                    params["content"]["file"] = translate::media(file, &beside.0);
                    Some(beside)
                }
                None => None,
            };
            let answer = self.ask("send", params).await?;
            Ok(translate::ours(answer["id"].as_str().unwrap_or(&id)))
        })
    }

    fn act<'a>(
        &'a self,
        to: &'a Target,
        act: &'a Act,
    ) -> Later<'a, Result<Option<String>, SendFailure>> {
        Box::pin(async move {
            let id = self.next_id();
            let answer = self.ask("send", translate::act(to, act, &id)?).await?;
            let made = matches!(act, Act::Poll(_));
            Ok(made.then(|| translate::ours(answer["id"].as_str().unwrap_or(&id))))
        })
    }

    fn fetch<'a>(&'a self, file: &'a Attached, most: u64) -> Later<'a, Result<Vec<u8>, String>> {
        Box::pin(async move {
            let mut params = translate::place(&file.id, self.setup.server.is_some())?;
            // Also where nobody waits for it any more.
            let into = Beside::new(&self.setup.auth_dir);
            params["into"] = json!(into.0);
            params["most"] = most.into();
            let fetched = self.ask("fetch", params).await;
            let bytes = tokio::fs::read(&into.0).await;
            fetched.map_err(|failure| match failure {
                SendFailure::NotSent(error) => error.to_string(),
                SendFailure::Refused(why) | SendFailure::Unknown(why) => why,
            })?;
            bytes.map_err(|error| error.to_string())
        })
    }

    fn parting(&self) -> Option<Duration> {
        Some(PARTING)
    }

    fn leave(&self) -> Later<'_, Result<(), SendFailure>> {
        Box::pin(async move { self.ask("logout", json!({})).await.map(|_| ()) })
    }

    fn typing(&self, to: &Target) {
        if let Some(keys) = self.unseen.borrow_mut().remove(&to.chat) {
            self.tell("read", json!({ "keys": keys }));
        }
        let presence = json!({ "to": translate::jid(to), "state": "composing" });
        self.tell("presence", presence);
    }
}
