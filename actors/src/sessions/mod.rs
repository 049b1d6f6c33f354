//! Conversations: the session index and the transcripts. The only writer of both.
//!
//! Replaceable: the index outlives a panic in its slot, and so do appends that are being committed.
//! **Invariant:** what an [`Append`] answers is committed.

pub mod ask;
pub mod change;
pub mod compact;
pub mod end;
pub mod freshness;
pub mod history;
pub mod import;
pub mod keys;
pub mod list;
mod order;
pub mod passing;
pub mod record;
pub mod route;
pub mod search;
pub mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, ResponseFuture};
use openclaw_protocol::events::{
    SESSION_MESSAGE, SESSIONS_CHANGED, SessionMessageEvent, SessionsChangedEvent,
};
use openclaw_protocol::methods::chat::QueueMode;
use openclaw_protocol::methods::message::MessageRole;
use openclaw_protocol::methods::sessions::SessionRow;

use crate::agent::model::thinking::Thinking;
use crate::clock::{Millis, SharedClock, SharedEntropy};
use crate::event::{Audience, Class, EventOut, PlainV4};
use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::media::Blobs;
use crate::store::{StoreError, StoreHandle, StoreReader, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use freshness::ResetRule;
use state::{Draft, Index, Prepared, Record};

/// What conversations work with.
#[derive(Clone)]
pub struct SessionsDeps {
    /// The index; survives a rebuild.
    pub index: Kept<Index>,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// The store.
    pub store: StoreHandle,
    /// Published snapshots.
    pub views: Views,
    /// Files that came with messages.
    pub media: Blobs,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

/// The owner of conversations.
pub struct Sessions {
    pub(crate) deps: SessionsDeps,
}

/// Reads the index from the store. A session whose row cannot be decoded is left out and named in the
/// log; its next message begins it anew.
///
/// # Errors
///
/// When the store cannot be read.
pub fn load(reader: &StoreReader) -> Result<Index, StoreError> {
    let mut records: Vec<Record> = Vec::new();
    reader.readable(Table::Sessions, |record| records.push(record))?;
    Ok(Index::of(records))
}

impl Rebuild for Sessions {
    type Deps = SessionsDeps;
    const NAME: &'static str = "sessions";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 8_192;

    fn build(deps: Self::Deps) -> Self {
        // Not read from the store: rows may be on their way there, and their numbers are spent.
        deps.index
            .recover(|index| Index::of(index.records().cloned()));
        Self { deps }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Sessions);

impl Actor for Sessions {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.deps.publish();
        ctx.run_interval(passing::INTERVAL, |_, ctx| ctx.notify(passing::Look));
    }
}

/// A run as readers see it.
#[derive(Debug, Clone)]
pub struct ActiveRun {
    /// Its id.
    pub run_id: String,
    /// Start, milliseconds since the epoch.
    pub started_at: u64,
    /// Its text so far.
    pub text: Arc<Mutex<String>>,
}

impl ActiveRun {
    /// The text so far.
    pub fn text(&self) -> String {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Active runs by canonical session key.
pub type ActiveRuns = BTreeMap<Arc<str>, Vec<ActiveRun>>;

/// A message that waits for its run, as readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRun {
    /// Its run.
    pub run_id: String,
    /// Its number in the transcript; 0 while it is being stored.
    pub user_seq: u64,
    /// When it came, milliseconds since the epoch.
    pub accepted_at: u64,
}

/// Waiting messages by canonical session key, oldest first.
pub type QueuedRuns = BTreeMap<Arc<str>, Vec<QueuedRun>>;

/// What readers see of the index without asking for it.
#[derive(Debug, Clone, Default)]
pub struct SessionsDigest {
    /// How many sessions there are.
    pub count: u64,
    /// The same by agent.
    pub by_agent: BTreeMap<String, u64>,
    /// The newest, newest first.
    pub recent: Vec<SessionRow>,
}

impl SessionsDigest {
    /// How many sessions an agent has.
    pub fn of_agent(&self, id: &str) -> u64 {
        self.by_agent.get(id).copied().unwrap_or_default()
    }
}

/// Rows to append to a transcript, in one commit with the changes of the asking owner.
#[derive(Message)]
#[rtype(result = "Result<Appended, StoreError>")]
pub struct Append {
    /// The rows.
    pub draft: Draft,
    /// The run they belong to.
    pub run_id: Option<String>,
    /// Why the session changed, for `sessions.changed`.
    pub reason: &'static str,
}

/// What was appended.
#[derive(Debug)]
pub struct Appended {
    /// Identity of the transcript.
    pub session_id: Arc<str>,
    /// Number of the newest row.
    pub last_seq: u64,
    /// The model that was chosen for the session.
    pub model: Option<String>,
    /// How much models think, where somebody chose it for the session.
    pub thinking: Option<Thinking>,
    /// What becomes of a message that comes during a run, where the session has its own mode.
    pub queue_mode: Option<QueueMode>,
    /// What listeners have to be told, after the asking owner's own reply.
    pub events: Vec<EventOut>,
}

impl Handler<Append> for Sessions {
    type Result = ResponseFuture<Result<Appended, StoreError>>;

    fn handle(&mut self, msg: Append, _: &mut Self::Context) -> Self::Result {
        let Append {
            draft,
            run_id,
            reason,
        } = msg;
        let key = Arc::clone(&draft.key);
        let entropy = Arc::clone(&self.deps.entropy);
        let now = self.deps.clock.now();
        let over = self.is_over(&draft);
        let prepared = self.deps.index.with(|index| {
            let mut ops = Vec::new();
            if over {
                let place = (&draft.key, draft.agent_id.as_str());
                ops = index.reset(place, || entropy.uuid().to_string(), now)?.ops;
            }
            let mut prepared = index.prepare(draft, || entropy.uuid().to_string(), now)?;
            ops.append(&mut prepared.ops);
            prepared.ops = ops;
            Ok(prepared)
        });
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        self.store(&key, prepared, run_id, reason)
    }
}

impl Sessions {
    /// Commits what was prepared, and says what listeners have to be told.
    fn store(
        &self,
        key: &Arc<str>,
        prepared: Prepared,
        run_id: Option<String>,
        reason: &'static str,
    ) -> ResponseFuture<Result<Appended, StoreError>> {
        let Prepared {
            session_id,
            rows,
            ops,
            record,
        } = prepared;
        // On its way before this returns: commits keep the order of their messages. Each answer is a
        // task of its own, because those are woken in order, and an actor's own futures are not.
        let commit = self.deps.store.commit(ops);
        let (deps, key) = (self.deps.clone(), Arc::clone(key));
        Box::pin(async move {
            let model = record.as_ref().and_then(|record| record.model.clone());
            let thinking = record.as_ref().and_then(|record| record.thinking);
            let queue_mode = record.as_ref().and_then(|record| record.queue_mode);
            deps.settle(record, commit.await)?;
            let last_seq = rows.last().map_or(0, |(seq, _)| *seq);
            let events = deps.events(&key, rows, run_id, reason);
            Ok(Appended {
                session_id,
                last_seq,
                model,
                thinking,
                queue_mode,
                events,
            })
        })
    }

    /// Whether a message comes to a conversation that is over by `session.reset`, so that it begins
    /// another one. None is over while anything of it runs or waits.
    fn is_over(&self, draft: &Draft) -> bool {
        let asks = draft.session_id.is_none()
            && draft
                .messages
                .iter()
                .any(|row| row.role == MessageRole::User);
        let settings = self.deps.views.settings.load();
        let rule = settings.resets.of(&draft.key);
        if !asks || rule == ResetRule::default() {
            return false;
        }
        let views = &self.deps.views;
        let waiting = views.queued.load();
        // The message itself waits already.
        let others = waiting.get(&draft.key).is_some_and(|runs| runs.len() > 1);
        if others || views.runs.load().contains_key(&draft.key) {
            return false;
        }
        let now = self.deps.clock.now();
        self.deps.index.with(|index| {
            index.get(&draft.key).is_some_and(|record| {
                let active = Millis(record.updated_at);
                let began = record.began_at.map_or(active, Millis);
                settings.resets.is_over(rule, began, active, now)
            })
        })
    }

    /// The row of a record with what is running in it.
    pub(crate) fn row(&self, record: &Record) -> SessionRow {
        row(&self.deps.views, record)
    }
}

impl SessionsDeps {
    fn events(
        &self,
        key: &Arc<str>,
        rows: Vec<(u64, openclaw_protocol::methods::message::Message)>,
        run_id: Option<String>,
        reason: &'static str,
    ) -> Vec<EventOut> {
        let Some(record) = self.index.with(|index| index.get(key).cloned()) else {
            return Vec::new();
        };
        let row = row(&self.views, &record);
        let mut events: Vec<EventOut> = rows
            .into_iter()
            .map(|(seq, message)| {
                let event = SessionMessageEvent {
                    session_key: key.to_string(),
                    agent_id: record.agent_id.clone(),
                    message_id: message
                        .meta
                        .as_ref()
                        .and_then(|meta| meta.id.clone())
                        .unwrap_or_default(),
                    message,
                    message_seq: seq,
                    session: Some(row.clone()),
                    run_id: run_id.clone(),
                };
                EventOut::new(
                    SESSION_MESSAGE,
                    Audience::SessionMessages(Arc::clone(key)),
                    PlainV4(event),
                )
            })
            .collect();
        let changed = SessionsChangedEvent {
            session_key: key.to_string(),
            agent_id: Some(record.agent_id),
            reason: Some(reason.to_owned()),
            phase: None,
            run_id,
            ts: self.clock.now().wire(),
            session: Some(row),
        };
        events.push(changed_event(changed));
        events
    }

    /// The event for those who watch the list: this session changed, or is gone.
    pub(crate) fn changed(&self, key: &str, agent_id: &str, reason: &str) -> EventOut {
        let record = self.index.with(|index| index.get(key).cloned());
        changed_event(SessionsChangedEvent {
            session_key: key.to_owned(),
            agent_id: Some(agent_id.to_owned()),
            reason: Some(reason.to_owned()),
            phase: None,
            run_id: None,
            ts: self.clock.now().wire(),
            session: record.map(|record| row(&self.views, &record)),
        })
    }

    /// A session's commit came to an end: the index shows what is on the disk.
    ///
    /// # Errors
    ///
    /// That of the commit.
    pub(crate) fn settle(
        &self,
        record: Option<Record>,
        outcome: Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match (record, &outcome) {
            (Some(record), Ok(())) => self.index.with(|index| index.confirm(record)),
            (Some(record), Err(_)) => self.retract(&record),
            (None, _) => {}
        }
        self.publish();
        outcome
    }

    /// Shows again what is stored of a session whose commit failed. Where that cannot be read either,
    /// the index keeps what it has until a commit succeeds.
    fn retract(&self, failed: &Record) {
        let key = crate::store::keys::text(&failed.key);
        match self.store.reader().get_json(Table::Sessions, &key) {
            Ok(stored) => self.index.with(|index| index.retract(failed, stored)),
            Err(error) => {
                tracing::debug!(%error, "a session that could not be stored is shown as if it were");
            }
        }
    }

    /// Publishes the digest for `health` and `status`.
    pub(crate) fn publish(&self) {
        let digest = self.index.with(|index| SessionsDigest {
            count: index.len() as u64,
            by_agent: index.by_agent().clone(),
            recent: index
                .recent()
                .map(|record| row(&self.views, record))
                .collect(),
        });
        self.views.sessions.publish(digest);
    }
}

fn changed_event(changed: SessionsChangedEvent) -> EventOut {
    EventOut::new(SESSIONS_CHANGED, Audience::SessionIndex, PlainV4(changed))
        .class(Class::Droppable)
}

/// The row of a record with what is running in it.
pub(crate) fn row(views: &Views, record: &Record) -> SessionRow {
    let settings = views.settings.load();
    let runs = views.runs.load();
    let active: Vec<String> = runs
        .get(&record.key)
        .map(|runs| runs.iter().map(|run| run.run_id.clone()).collect())
        .unwrap_or_default();
    let mut row = record.row(&settings.main_key, &settings.model_defaults(), &active);
    let queued = views.queued.load();
    let waiting = queued
        .get(&record.key)
        .map_or(0, |waiting| waiting.len() as u64);
    // A message that begins at once only seems to wait.
    row.queued_count = (!active.is_empty() && waiting > 0).then_some(waiting);
    row
}
