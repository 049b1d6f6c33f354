//! Signal, by signal-cli: a daemon of its own that speaks JSON-RPC over HTTP and streams what comes in.
//! It is one that this account starts, watches and ends ([`daemon`]), or one that runs elsewhere.
//!
//! Where no account is linked, whoever asks for a login gets what a phone has to scan ([`link`]).
//!
//! Only translation. The stream belongs to the future of [`Transport::receive`], and so does the daemon:
//! dropped, both end. signal-cli hands a message to a stream once: what it writes while none is open it
//! keeps (`on-connection`), what was written is stored before the next event is looked at.

mod acts;
mod api;
mod daemon;
mod link;
mod sse;
mod stream;
#[cfg(test)]
mod tests;
mod translate;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::files::Takes;
use super::login::{Logins, Step};
use super::{
    AccountRef, Act, Attached, ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure,
    Target, Transport, World,
};
use api::{Api, ApiError};
use translate::Me;
pub use translate::place;

/// What the channel is.
pub const FACTS: Facts = Facts {
    id: "signal",
    label: "Signal",
    detail_label: "Signal REST",
    system_image: Some("antenna.radiowaves.left.and.right"),
    mode: "socket",
    text_limit: 4_000,
    sender_word: "Signal number or id",
};
/// What it takes of us.
const TAKES: Takes = Takes {
    max_bytes: 8 * 1024 * 1024,
    caption: 4_000,
    mute_sounds: false,
};
/// Most messages of ours that are remembered, for reactions to them.
const MAX_SENT: usize = 500;
/// Most chats, and messages of each, whose reading is not told yet.
const MAX_UNREAD: (usize, usize) = (200, 20);

/// How long messages may take on their way to the disk, when the account is stopped; less than the supervisor waits.
const PARTING: Duration = Duration::from_secs(8);

/// Where signal-cli is.
#[derive(Debug, Clone)]
pub enum Way {
    /// It runs elsewhere.
    External {
        /// Its address.
        url: String,
    },
    /// This account runs it.
    Managed(Managed),
}

/// How signal-cli is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managed {
    /// The program.
    pub program: PathBuf,
    /// The only account that it serves, where another signal-cli has others of the same folder.
    pub only: Option<String>,
    /// Its folder, where it is not its usual one.
    pub config: Option<PathBuf>,
    /// The address that it listens on.
    pub host: String,
    /// The port; a free one when left out.
    pub port: Option<u16>,
    /// How long it may take to start.
    pub startup: Duration,
    /// When it takes messages from Signal.
    pub receive_mode: String,
    /// Whether stories are left out.
    pub ignore_stories: bool,
}

/// An account as it is configured.
#[derive(Debug, Clone)]
pub struct SignalSetup {
    /// Its name in the configuration.
    pub name: String,
    /// Where signal-cli is.
    pub way: Way,
    /// Our number; the only one that signal-cli has, when left out.
    pub account: Option<String>,
    /// Our id.
    pub uuid: Option<String>,
    /// Whether people see that we read what they wrote.
    pub read_receipts: bool,
    /// Whether files are left where they are.
    pub ignore_files: bool,
    /// People that the configuration names by their id.
    pub named: BTreeSet<String>,
    /// When what is late.
    pub timing: Timing,
}

/// When what is late.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long the stream may be silent; signal-cli says something every 15 seconds.
    pub silence: Duration,
    /// How long it may take to open.
    pub open: Duration,
    /// How long a request may take: signal-cli answers when Signal's servers did.
    pub request: Duration,
    /// Between two looks whether signal-cli has the account still: its stream goes on without it.
    pub look: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(50),
            open: Duration::from_secs(20),
            request: Duration::from_secs(50),
            look: Duration::from_mins(1),
        }
    }
}

impl ChannelSetup for SignalSetup {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let named: Vec<&str> = self.named.iter().map(String::as_str).collect();
        for part in [
            format!("{:?}", self.way),
            format!("{:?} {:?}", self.account, self.uuid),
            format!("{} {}", self.read_receipts, self.ignore_files),
            named.join(" "),
        ] {
            hash.update(part);
            hash.update([0]);
        }
        super::hex(&hash.finalize())
    }

    fn open(&self, world: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        let http = match &**world.http {
            Ok(http) => http.clone(),
            Err(problem) => return Err(ChannelError::Transient(problem.clone())),
        };
        Ok(Rc::new(Signal {
            who: AccountRef::new(FACTS.id, &self.name),
            logins: Arc::clone(&world.logins),
            is_unlinked: Cell::default(),
            setup: self.clone(),
            http,
            api: RefCell::default(),
            me: RefCell::default(),
            sent: RefCell::default(),
            unread: RefCell::default(),
            last_event: RefCell::default(),
            ending: daemon::Ending::default(),
            storing: Cell::default(),
        }))
    }

    fn actions(&self) -> &'static [&'static str] {
        acts::NAMES
    }

    fn files(&self) -> Option<Takes> {
        Some(TAKES)
    }

    fn links(&self) -> Option<&'static str> {
        Some("Signal, Settings, Linked devices")
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        let chat = place(written).ok_or_else(|| {
            format!(
                "\"{written}\" is nobody on Signal; write +447700900123, uuid:..., username:name.01 or group:ID"
            )
        })?;
        Ok(Target { chat, thread: None })
    }
}

struct Signal {
    who: AccountRef,
    logins: Arc<Logins>,
    /// Whether signal-cli said last that it has no such account.
    is_unlinked: Cell<bool>,
    setup: SignalSetup,
    http: reqwest::Client,
    /// The way to signal-cli, while it is there.
    api: RefCell<Option<Rc<Api>>>,
    /// Who we are, once that is known.
    me: RefCell<Me>,
    /// Times of what we wrote last.
    sent: RefCell<VecDeque<u64>>,
    /// Times of what was taken and not answered yet, by chat.
    unread: RefCell<BTreeMap<String, Vec<u64>>>,
    /// The last event, by which signal-cli knows what comes after it.
    last_event: RefCell<Option<String>>,
    ending: daemon::Ending,
    /// Whether messages are on their way to the disk: they do not come again.
    storing: Cell<bool>,
}

impl Transport for Signal {
    fn receive<'a>(&'a self, own: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            loop {
                self.api.borrow_mut().take();
                let mut asked = self.logins.wish(&self.who).is_some();
                if asked && self.is_unlinked.get() {
                    if let Err(error) = link::link(self).await {
                        self.logins.step(&self.who, Step::Failed(error.to_string()));
                        return error;
                    }
                    self.is_unlinked.set(false);
                    asked = false;
                }
                let error = self.serve(own).await;
                let is_unlinked = api::is_not_linked(&error);
                self.is_unlinked.set(is_unlinked);
                if is_unlinked {
                    own.linked(false);
                    if asked {
                        continue;
                    }
                }
                if matches!(error, ChannelError::Auth(_) | ChannelError::Conflict(_)) {
                    self.logins.step(&self.who, Step::Failed(error.to_string()));
                }
                return error;
            }
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(async move {
            let params = translate::outbound(piece, &self.me.borrow());
            self.post("send", params).await
        })
    }

    fn act<'a>(
        &'a self,
        to: &'a Target,
        act: &'a Act,
    ) -> Later<'a, Result<Option<String>, SendFailure>> {
        Box::pin(async move {
            let is_ours = |at| self.sent.borrow().contains(&at);
            let (method, params) = acts::request(to, act, &self.me.borrow(), is_ours)?;
            let sent = self.post(method, params).await?;
            Ok(matches!(act, Act::Edit { .. }).then_some(sent))
        })
    }

    fn fetch<'a>(&'a self, file: &'a Attached, most: u64) -> Later<'a, Result<Vec<u8>, String>> {
        Box::pin(async move {
            if self.setup.ignore_files {
                return Err("channels.signal.ignoreAttachments leaves it where it is".into());
            }
            let params = translate::file_params(&file.id).ok_or("signal-cli has no name for it")?;
            let api = self.api().ok_or("signal-cli is not there now")?;
            // Base64 has four signs for three bytes.
            let room = usize::try_from(most / 3 * 4).unwrap_or(usize::MAX);
            let params = self.of_account(params);
            let limit = Duration::from_secs(30);
            let room = room.saturating_add(64 * 1024);
            let asked = api.call_within("getAttachment", &params, limit, room);
            let answer = asked.await.map_err(ApiError::words)?;
            let text = answer.get("data").unwrap_or(&answer).as_str();
            let bytes = STANDARD.decode(text.ok_or("signal-cli sent no bytes")?);
            bytes.map_err(|_| "signal-cli sent something else than a file".to_owned())
        })
    }

    fn parting(&self) -> Option<Duration> {
        self.storing.get().then_some(PARTING)
    }

    fn typing(&self, to: &Target) {
        let Some(api) = self.api() else { return };
        let typing = self.of_account(translate::recipient(to));
        let read = self.unread.borrow_mut().remove(&to.chat);
        let read = read.map(|times| self.of_account(acts::read_receipt(to, &times)));
        actix_rt::spawn(async move {
            // Nobody waits for either; a chat that does not want them says so each time.
            if let Some(read) = read
                && let Err(error) = api.call("sendReceipt", &read).await
            {
                tracing::debug!(why = error.words(), "Signal is not told that it was read");
            }
            if let Err(error) = api.call("sendTyping", &typing).await {
                tracing::debug!(why = error.words(), "Signal is not told of the typing");
            }
        });
    }
}

impl Signal {
    /// Runs signal-cli, where that is ours to do, and receives until that fails.
    async fn serve(&self, link: &Link) -> ChannelError {
        match &self.setup.way {
            Way::External { url } => stream::run(self, url, link).await,
            Way::Managed(own) => {
                // Another daemon counts its events anew.
                self.last_event.borrow_mut().take();
                let mut daemon = match daemon::Daemon::start(own, &self.ending).await {
                    Ok(daemon) => daemon,
                    Err(error) => return error,
                };
                let url = daemon.url().to_owned();
                let api = Api::new(self.http.clone(), &url, self.setup.timing.request);
                if let Err(error) = daemon.ready(&api, link).await {
                    return error;
                }
                tokio::select! {
                    error = stream::run(self, &url, link) => error,
                    error = daemon.ended() => error,
                }
            }
        }
    }

    fn api(&self) -> Option<Rc<Api>> {
        self.api.borrow().clone()
    }

    /// Params of one account of signal-cli.
    fn of_account(&self, mut params: Value) -> Value {
        let me = self.me.borrow();
        if !me.number.is_empty() {
            params["account"] = json!(me.number);
        }
        params
    }

    /// Sends something; gives back its time, which is its id.
    async fn post(&self, method: &str, params: Value) -> Result<String, SendFailure> {
        let away = || {
            SendFailure::NotSent(ChannelError::Transient(
                "there is no connection to signal-cli".into(),
            ))
        };
        let api = self.api().ok_or_else(away)?;
        let id = match api.call(method, &self.of_account(params)).await {
            Ok(answer) => {
                let at = answer.get("timestamp").and_then(Value::as_u64);
                let missing = || SendFailure::Unknown("signal-cli gave it no time".into());
                at.ok_or_else(missing)?.to_string()
            }
            Err(error) => error.of_send()?,
        };
        let mut sent = self.sent.borrow_mut();
        if sent.len() >= MAX_SENT {
            sent.pop_front();
        }
        sent.extend(id.parse::<u64>());
        Ok(id)
    }

    /// A message was taken; its writer is told that it was read, once it is being answered.
    fn note_unread(&self, chat: &str, at: i64) {
        let Ok(at) = u64::try_from(at) else { return };
        let mut unread = self.unread.borrow_mut();
        if unread.len() >= MAX_UNREAD.0 && !unread.contains_key(chat) {
            unread.pop_first();
        }
        let times = unread.entry(chat.to_owned()).or_default();
        if times.len() >= MAX_UNREAD.1 {
            times.remove(0);
        }
        times.push(at);
    }
}
