//! `chat.history`: a page of a transcript; owner: sessions.

use std::sync::Arc;

use actix::Handler;
use openclaw_protocol::methods::chat::{
    ChatHistory, ChatHistoryParams, ChatHistoryResult, InFlightRun, PendingInput, PendingInputs,
    PendingState,
};
use openclaw_protocol::methods::message::Message;
use openclaw_protocol::{ErrorShape, Method};

use crate::call::{Call, Reply};
use crate::methods::store_error;
use crate::sessions::history::{self, Page};
use crate::sessions::{self, QueuedRun, Sessions, keys};
use crate::store::{StoreError, StoreReader};
use crate::views::Views;

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
    record: Option<sessions::state::Record>,
}

impl Sessions {
    /// Finds the session that a history request means.
    pub(crate) fn look_up(
        &self,
        params: &ChatHistoryParams,
    ) -> Result<(Arc<str>, LookedUp), ErrorShape> {
        let settings = self.deps.views.settings.load();
        let (key, agent) = (&params.session_key, params.agent_id.as_deref());
        let session = keys::of_params::<ChatHistory>(key, agent, &settings)?;
        let record = self
            .deps
            .index
            .with(|index| index.get(&session.canonical).cloned());
        let looked_up = LookedUp {
            views: self.deps.views.clone(),
            reader: self.deps.store.reader().clone(),
            record,
        };
        Ok((session.canonical, looked_up))
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
        finish: impl FnOnce(ChatHistoryResult) -> M::Result + Send + 'static,
    ) {
        let reader = self.reader.clone();
        // Nobody waits for it: a reply that is dropped on the way answers for itself.
        drop(reader.offload(move |reader| {
            let result = self.read(reader, params);
            reply.settle(result.map(finish).map_err(|error| store_error(&error)));
            Ok(())
        }));
    }

    fn read(
        self,
        reader: &StoreReader,
        params: ChatHistoryParams,
    ) -> Result<ChatHistoryResult, StoreError> {
        let defaults = Some(self.views.settings.load().model_defaults());
        let Some(record) = self.record else {
            return Ok(ChatHistoryResult {
                session_key: params.session_key,
                session_id: None,
                messages: Vec::new(),
                thinking_level: None,
                pending_inputs: Some(PendingInputs::default()),
                next_offset: None.into(),
                has_more: Some(false),
                total_messages: Some(0),
                defaults,
                session_info: None,
                in_flight_run: None,
            });
        };
        let written = params.session_key.clone();
        let (session_id, next_seq) = (Arc::clone(&record.session_id), record.next_seq);
        let Page {
            messages,
            next_offset,
            total,
        } = history::read(reader, &session_id, next_seq, &params)?;
        let runs = self.views.runs.load();
        let in_flight_run = runs
            .get(&record.key)
            .and_then(|runs| runs.first())
            .map(|run| InFlightRun {
                run_id: run.run_id.clone(),
                text: run.text(),
                started_at: Some(run.started_at),
            });
        let waiting = self.views.queued.load().get(&record.key).cloned();
        let pending_inputs = pending(reader, &session_id, &waiting.unwrap_or_default())?;
        Ok(ChatHistoryResult {
            session_key: written,
            session_id: Some(record.session_id.to_string()),
            messages,
            thinking_level: record.thinking.map(|level| level.name().to_owned()),
            pending_inputs: Some(pending_inputs),
            has_more: Some(next_offset.is_some()),
            next_offset: next_offset.into(),
            total_messages: Some(total),
            defaults,
            session_info: Some(sessions::row(&self.views, &record)),
            in_flight_run,
        })
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
