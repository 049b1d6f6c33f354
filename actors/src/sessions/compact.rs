//! What models see of a long transcript: a summary in place of its older rows. History shows all.

use std::sync::Arc;

use actix::{Handler, Message, ResponseFuture};
use openclaw_protocol::methods::message::Message as Row;
use serde::{Deserialize, Serialize};

use super::keys::SessionKey;
use super::record::Record;
use super::state::{Draft, Index, Prepared};
use super::{Appended, Sessions};
use crate::clock::Millis;
use crate::event::EventOut;
use crate::store::StoreError;

/// From where on models see a transcript as it is, and which row stands for what is before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compacted {
    /// Number of the row with the summary.
    pub row: u64,
    /// The first message that models still see.
    pub kept_from: u64,
    /// How often this transcript was shortened.
    pub count: u64,
}

/// Stores a summary and puts it into effect, in one commit.
#[derive(Message)]
#[rtype(result = "Result<Vec<EventOut>, NotStored>")]
pub struct StoreSummary {
    /// The session.
    pub session: SessionKey,
    /// The transcript that the summary is of.
    pub session_id: Arc<str>,
    /// What was in effect when the summary was begun; another one in the meantime wins.
    pub before: Option<Compacted>,
    /// The summary.
    pub row: Row,
    /// The first message that models still see.
    pub kept_from: u64,
    /// The run, or the operation, that made it.
    pub run_id: String,
}

/// Why a summary is not in effect.
#[derive(Debug, thiserror::Error)]
pub enum NotStored {
    /// The conversation began anew, ended, or was shortened by somebody else.
    #[error("the session changed before its compaction was done; try again")]
    Changed,
    /// Its commit failed.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Handler<StoreSummary> for Sessions {
    type Result = ResponseFuture<Result<Vec<EventOut>, NotStored>>;

    fn handle(&mut self, msg: StoreSummary, _: &mut Self::Context) -> Self::Result {
        let key = Arc::clone(&msg.session.canonical);
        let run_id = Some(msg.run_id.clone());
        let now = self.deps.clock.now();
        let prepared = self.deps.index.with(|index| index.compact(msg, now));
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        let stored = self.store(&key, prepared, run_id, "compact");
        Box::pin(async move {
            let Appended { events, .. } = stored.await?;
            Ok(events)
        })
    }
}

impl Index {
    fn compact(&mut self, msg: StoreSummary, now: Millis) -> Result<Prepared, NotStored> {
        let StoreSummary {
            session,
            session_id,
            before,
            row,
            kept_from,
            ..
        } = msg;
        let current =
            |record: &Record| record.session_id == session_id && record.compacted == before;
        if !self.get(&session.canonical).is_some_and(current) {
            return Err(NotStored::Changed);
        }
        let draft = Draft {
            key: session.canonical,
            agent_id: session.agent,
            session_id: Some(session_id),
            messages: vec![row],
            last_run: None,
            ops: Vec::new(),
        };
        let mut prepared = self.prepare(draft, String::new, now)?;
        let (Some(record), Some((row, _))) = (prepared.record.take(), prepared.rows.first()) else {
            return Err(NotStored::Changed);
        };
        let key = Arc::clone(&record.key);
        let effect = Compacted {
            row: *row,
            kept_from,
            count: before.map_or(0, |before| before.count) + 1,
        };
        let place = (&key, record.agent_id.as_str());
        let changed = self.change(place, String::new, now, |_, record| {
            record.compacted = Some(effect);
            Ok::<_, StoreError>(())
        })?;
        // Behind the row of the session that `prepare` wrote: of two puts of one key the last counts.
        prepared.ops.extend(changed.ops);
        prepared.record = changed.record;
        Ok(prepared)
    }
}
