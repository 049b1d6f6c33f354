//! `chat.history`: a page of a transcript, or what came since one; owner: sessions.

use std::sync::Arc;

use actix::Handler;
use openclaw_protocol::events::SessionMessageEvent;
use openclaw_protocol::methods::chat::{
    ChatHistory, ChatHistoryAnswer, ChatHistoryDelta, ChatHistoryParams, ChatHistoryReset,
    ChatHistoryResult, DeltaKind, InFlightRun, PendingInput, PendingInputs, PendingState,
    ResetKind,
};
use openclaw_protocol::methods::message::Message;
use openclaw_protocol::{ErrorShape, Method};

use crate::call::{Call, Reply};
use crate::kept::Kept;
use crate::methods::store_error;
use crate::sessions::history::{self, Page};
use crate::sessions::state::{Index, Record};
use crate::sessions::{self, QueuedRun, Sessions, keys};
use crate::store::{StoreError, StoreReader};
use crate::views::Views;

/// How often rows are read again because a run ended meanwhile.
const MAX_READS: usize = 3;

impl Handler<Call<ChatHistory>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<ChatHistory>, _: &mut Self::Context) {
        let (key, looked_up) = match self.look_up(&call.params) {
            Ok(found) => found,
            Err(error) => return call.reply.error(error),
        };
        let reply = call.reply.alias(&key, &call.params.session_key);
        looked_up.answer(call.params, reply, |history| history);
    }
}

/// A session whose history is about to be read.
pub(crate) struct LookedUp {
    views: Views,
    reader: StoreReader,
    index: Kept<Index>,
    key: Arc<str>,
}

impl Sessions {
    /// Finds the session that a history request means.
    pub(crate) fn look_up(
        &self,
        params: &ChatHistoryParams,
    ) -> Result<(Arc<str>, LookedUp), ErrorShape> {
        one_place(params)?;
        let settings = self.deps.views.settings.load();
        let (key, agent) = (&params.session_key, params.agent_id.as_deref());
        let session = keys::of_params::<ChatHistory>(key, agent, &settings)?;
        let looked_up = LookedUp {
            views: self.deps.views.clone(),
            reader: self.deps.store.reader().clone(),
            index: self.deps.index.clone(),
            key: Arc::clone(&session.canonical),
        };
        Ok((session.canonical, looked_up))
    }
}

/// A request names one place of the transcript, or none.
fn one_place(params: &ChatHistoryParams) -> Result<(), ErrorShape> {
    let (offset, message) = (params.offset.is_some(), params.message_id.is_some());
    let wrong = if offset && message {
        "offset and messageId cannot be used together"
    } else if params.cursor.is_some() && (offset || message) {
        "cursor cannot be used with offset or messageId"
    } else if params.session_id.is_some() && !message {
        "sessionId requires messageId"
    } else {
        return Ok(());
    };
    Err(ErrorShape::invalid(wrong))
}

/// Why a history cannot be given.
enum Refused {
    Store(StoreError),
    Asked(ErrorShape),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl LookedUp {
    /// Reads the page and writes the answer on the blocking pool: megabytes of JSON would hold up
    /// every event on the thread of the owners. Bounded by the connection's own cap on requests in
    /// flight.
    pub(crate) fn answer<M: Method>(
        self,
        params: ChatHistoryParams,
        reply: Reply<M>,
        finish: impl FnOnce(ChatHistoryAnswer) -> M::Result + Send + 'static,
    ) {
        let reader = self.reader.clone();
        // Nobody waits for it: a reply that is dropped on the way answers for itself.
        drop(reader.offload(move |reader| {
            let result = self.read(reader, &params);
            reply.settle(result.map(finish).map_err(|refused| match refused {
                Refused::Store(error) => store_error(&error),
                Refused::Asked(error) => error,
            }));
            Ok(())
        }));
    }

    /// Reads rows, and says which run was under way before that. A run that ended meanwhile may have
    /// its end in neither; the rows are read again then, because its end is stored before it is no
    /// longer under way.
    fn read(
        &self,
        reader: &StoreReader,
        params: &ChatHistoryParams,
    ) -> Result<ChatHistoryAnswer, Refused> {
        let mut run = self.under_way();
        for _ in 1..MAX_READS {
            let answer = self.read_once(reader, params, run.clone())?;
            let now = self.under_way();
            let ended = |run: InFlightRun| now.as_ref().is_none_or(|now| now.run_id != run.run_id);
            if !run.is_some_and(ended) {
                return Ok(answer);
            }
            run = now;
        }
        self.read_once(reader, params, run)
    }

    fn read_once(
        &self,
        reader: &StoreReader,
        params: &ChatHistoryParams,
        run: Option<InFlightRun>,
    ) -> Result<ChatHistoryAnswer, Refused> {
        let record = self.index.with(|index| index.get(&self.key).cloned());
        let page = match (&record, &params.cursor, &params.message_id) {
            (None, Some(_), _) => return Ok(reset()),
            (Some(record), Some(cursor), _) => {
                return Ok(self.since(reader, record, cursor, params, run)?);
            }
            (None, None, _) => self.nothing(params),
            (Some(record), None, Some(id)) => self.around(reader, record, id, params)?,
            (Some(record), None, None) => self.page(reader, record, params, run)?,
        };
        Ok(ChatHistoryAnswer::Page(Box::new(page)))
    }

    /// The history of a session that nobody wrote in.
    fn nothing(&self, params: &ChatHistoryParams) -> ChatHistoryResult {
        ChatHistoryResult {
            session_key: params.session_key.clone(),
            session_id: None,
            messages: Vec::new(),
            thinking_level: None,
            pending_inputs: Some(PendingInputs::default()),
            delta_cursor: None,
            offset: None,
            next_offset: None.into(),
            has_more: Some(false),
            total_messages: Some(0),
            defaults: Some(self.views.settings.load().model_defaults()),
            session_info: None,
            in_flight_run: None,
        }
    }

    fn page(
        &self,
        reader: &StoreReader,
        record: &Record,
        params: &ChatHistoryParams,
        in_flight_run: Option<InFlightRun>,
    ) -> Result<ChatHistoryResult, StoreError> {
        let id = &record.session_id;
        let page = history::read(reader, id, record.next_seq, params)?;
        let newest = page.newest;
        let is_newest = params.offset.unwrap_or(0) == 0;
        Ok(ChatHistoryResult {
            pending_inputs: Some(self.pending(reader, record)?),
            delta_cursor: is_newest.then(|| history::cursor(id, newest)),
            in_flight_run,
            ..self.shown(record, id, page, params)
        })
    }

    /// The page around a message, also one of a transcript that was set aside.
    fn around(
        &self,
        reader: &StoreReader,
        record: &Record,
        message: &str,
        params: &ChatHistoryParams,
    ) -> Result<ChatHistoryResult, Refused> {
        let wanted = params.session_id.as_deref().unwrap_or(&record.session_id);
        let present = (&record.session_id, record.next_seq);
        let past = record
            .past
            .iter()
            .map(|past| (&past.session_id, past.next_seq));
        let (id, next_seq) = std::iter::once(present)
            .chain(past)
            .find(|(id, _)| ***id == *wanted)
            .ok_or_else(|| refused("sessionId does not belong to sessionKey"))?;
        let found = match history::seq_of(reader, id, message)? {
            Some(seq) => history::around(reader, id, next_seq, seq, params)?,
            None => None,
        };
        let (page, newer) = found.ok_or_else(|| {
            refused("messageId is not in this session; chat.history without it gives the newest messages")
        })?;
        Ok(ChatHistoryResult {
            offset: Some(newer),
            ..self.shown(record, id, page, params)
        })
    }

    fn shown(
        &self,
        record: &Record,
        session_id: &str,
        page: Page,
        params: &ChatHistoryParams,
    ) -> ChatHistoryResult {
        ChatHistoryResult {
            session_id: Some(session_id.to_owned()),
            messages: page.messages,
            thinking_level: record.thinking.map(|level| level.name().to_owned()),
            has_more: Some(page.next_offset.is_some()),
            next_offset: page.next_offset.into(),
            total_messages: Some(page.total),
            session_info: Some(sessions::row(&self.views, record)),
            ..self.nothing(params)
        }
    }

    /// What came since an earlier answer.
    fn since(
        &self,
        reader: &StoreReader,
        record: &Record,
        cursor: &str,
        params: &ChatHistoryParams,
        in_flight_run: Option<InFlightRun>,
    ) -> Result<ChatHistoryAnswer, StoreError> {
        let id = &record.session_id;
        let Some(after) = history::after_cursor(cursor, id, record.next_seq) else {
            return Ok(reset());
        };
        let Some((messages, newest)) = history::since(reader, id, after)? else {
            return Ok(reset());
        };
        let told = messages.into_iter().map(|mut message| {
            if let Some(longest) = params.max_chars {
                message.cut_text(longest as usize);
            }
            told(record, message)
        });
        Ok(ChatHistoryAnswer::Delta(Box::new(ChatHistoryDelta {
            kind: DeltaKind::Delta,
            messages: told.collect(),
            delta_cursor: history::cursor(id, newest),
            session_info: sessions::row(&self.views, record),
            pending_inputs: Some(self.pending(reader, record)?),
            in_flight_run,
        })))
    }

    fn under_way(&self) -> Option<InFlightRun> {
        let runs = self.views.runs.load();
        let run = runs.get(&self.key)?.first()?;
        Some(InFlightRun {
            run_id: run.run_id.clone(),
            text: run.text(),
            started_at: Some(run.started_at),
        })
    }

    fn pending(&self, reader: &StoreReader, record: &Record) -> Result<PendingInputs, StoreError> {
        let waiting = self.views.queued.load().get(&record.key).cloned();
        pending(reader, &record.session_id, &waiting.unwrap_or_default())
    }
}

const fn reset() -> ChatHistoryAnswer {
    ChatHistoryAnswer::Reset(ChatHistoryReset {
        kind: ResetKind::Reset,
    })
}

fn refused(message: &'static str) -> Refused {
    Refused::Asked(ErrorShape::invalid(message))
}

/// A message as listeners were told of it.
fn told(record: &Record, message: Message) -> SessionMessageEvent {
    let meta = message.meta.clone().unwrap_or_default();
    SessionMessageEvent {
        session_key: record.key.to_string(),
        agent_id: record.agent_id.clone(),
        message,
        message_id: meta.id.unwrap_or_default(),
        message_seq: meta.seq.unwrap_or_default(),
        session: None,
        run_id: meta.run_id,
    }
}

/// The messages that wait for their run, as they stand in the transcript.
fn pending(
    reader: &StoreReader,
    session_id: &str,
    waiting: &[QueuedRun],
) -> Result<PendingInputs, StoreError> {
    /// Most that are listed.
    const MAX_LISTED: usize = 20;
    let mut items = Vec::new();
    for queued in waiting.iter().take(MAX_LISTED) {
        let rows = history::recent(reader, session_id, queued.user_seq..queued.user_seq + 1, 1)?;
        // Not there while it is being stored, or when the session began anew meanwhile.
        let own = |row: &Message| {
            let meta = row.meta.as_ref();
            meta.and_then(|meta| meta.run_id.as_deref()) == Some(&queued.run_id)
        };
        items.extend(rows.into_iter().filter(own).map(|message| {
            PendingInput {
                id: message
                    .meta
                    .as_ref()
                    .and_then(|meta| meta.id.clone())
                    .unwrap_or_default(),
                run_id: Some(queued.run_id.clone()),
                message,
                accepted_at: queued.accepted_at,
                state: PendingState::Queued,
            }
        }));
    }
    Ok(PendingInputs {
        items,
        total: waiting.len() as u64,
        next_before: None,
    })
}
