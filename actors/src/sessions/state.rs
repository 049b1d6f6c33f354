//! The index of sessions. Pure: it says what to commit, and changes once that is under way.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use openclaw_protocol::methods::message::{Message, MessageMeta};

use super::order::Order;
pub use super::record::{LastRun, Past, Record};
use crate::clock::Millis;
use crate::media;
use crate::store::{Op, StoreError, Table, keys};
use crate::usage;

/// Sessions that a digest lists.
const RECENT: usize = 10;
/// Transcripts of earlier conversations that a session keeps; older ones are deleted.
const MAX_PAST: usize = 20;

/// Rows to append, and what has to be committed with them.
#[derive(Debug)]
pub struct Draft {
    /// Canonical key.
    pub key: Arc<str>,
    /// Its agent.
    pub agent_id: String,
    /// The transcript that the rows belong to; the present one when unset. Rows of a transcript that
    /// is gone are dropped, and `ops` committed alone.
    pub session_id: Option<Arc<str>>,
    /// The messages.
    pub messages: Vec<Message>,
    /// How the session's run ended, where one did.
    pub last_run: Option<LastRun>,
    /// Changes of other owners that belong to the same commit.
    pub ops: Vec<Op>,
}

/// What an append comes to.
#[derive(Debug)]
pub struct Prepared {
    /// Identity of the transcript.
    pub session_id: Arc<str>,
    /// The rows with their numbers.
    pub rows: Vec<(u64, Message)>,
    /// Everything to commit.
    pub ops: Vec<Op>,
    /// The session as the commit writes it; `None` when its row is not written.
    pub record: Option<Record>,
}

/// A session that is to end.
#[derive(Debug)]
pub struct Ending {
    /// As it was.
    pub record: Record,
    /// Everything to commit.
    pub ops: Vec<Op>,
    revision: u64,
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    records: BTreeMap<Arc<str>, Record>,
    by_id: HashMap<Arc<str>, Arc<str>>,
    /// Keys of the sessions that changed last, newest first.
    recent: VecDeque<Arc<str>>,
    by_agent: BTreeMap<String, u64>,
    order: Order,
    revision: u64,
}

impl Index {
    /// The index of stored records.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let mut records: Vec<Record> = records.into_iter().collect();
        records.sort_by_key(|record| record.updated_at);
        let mut index = Self::default();
        for record in records {
            index.put(record);
        }
        index
    }

    fn put(&mut self, record: Record) {
        self.by_id
            .insert(Arc::clone(&record.session_id), Arc::clone(&record.key));
        self.recent.retain(|key| *key != record.key);
        self.recent.push_front(Arc::clone(&record.key));
        self.recent.truncate(RECENT);
        let agent_id = record.agent_id.clone();
        match self.records.get(&record.key) {
            Some(known) => {
                self.order.remove(known);
                // A transcript that was set aside is not found by its identity, as after a restart.
                if known.session_id != record.session_id {
                    self.by_id.remove(&known.session_id);
                }
            }
            None => *self.by_agent.entry(agent_id).or_default() += 1,
        }
        self.order.put(&record);
        self.records.insert(Arc::clone(&record.key), record);
    }

    /// The sessions that changed last, newest first.
    pub fn recent(&self) -> impl Iterator<Item = &Record> {
        self.recent.iter().filter_map(|key| self.records.get(key))
    }

    /// The record of a canonical key.
    pub fn get(&self, key: &str) -> Option<&Record> {
        self.records.get(key)
    }

    /// The record of a transcript.
    pub fn by_id(&self, session_id: &str) -> Option<&Record> {
        self.by_id
            .get(session_id)
            .and_then(|key| self.records.get(key))
    }

    /// Every record, by key.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// Those in or outside the archive, newest first; where `pins` count, the pinned ones before all others.
    pub fn ordered(&self, archived: bool, pins: bool) -> impl Iterator<Item = &Record> {
        let keys = self.order.keys(archived, pins);
        keys.filter_map(|key| self.records.get(key))
    }

    /// How many there are in or outside the archive.
    pub fn count(&self, archived: bool) -> usize {
        self.order.count(archived)
    }

    /// How many sessions each agent has. A key names its agent, so a session never changes it.
    pub const fn by_agent(&self) -> &BTreeMap<String, u64> {
        &self.by_agent
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Numbers the rows of `draft` and says what to commit. Numbers are spent even if that commit
    /// fails: a transcript may have holes, but never two rows with one number.
    ///
    /// # Errors
    ///
    /// When a row cannot be written as JSON.
    pub fn prepare(
        &mut self,
        draft: Draft,
        new_id: impl FnOnce() -> String,
        now: Millis,
    ) -> Result<Prepared, StoreError> {
        let mut record = self.record_or_new(&draft.key, &draft.agent_id, new_id, now);
        let present = Arc::clone(&record.session_id);
        let session_id = draft.session_id.unwrap_or_else(|| Arc::clone(&present));
        let is_present = session_id == present;
        let mut ops = draft.ops;
        let mut rows = Vec::with_capacity(draft.messages.len());
        for mut message in draft.messages {
            let Some(seq) = record.spend(&session_id) else {
                break;
            };
            let meta = message.meta.get_or_insert_with(MessageMeta::default);
            meta.seq = Some(seq);
            meta.id.get_or_insert_with(|| format!("{session_id}-{seq}"));
            meta.record_timestamp_ms = u64::try_from(now.get()).ok();
            if is_present {
                record.show(&message);
            }
            ops.push(Op::put_json(
                Table::Transcript,
                keys::transcript(&session_id, seq),
                &message,
            )?);
            ops.append(&mut media::rows_of(&session_id, seq, &message)?);
            let whose = (&*record.key, &*record.agent_id);
            ops.extend(usage::row_of(whose, &session_id, seq, &message, now)?);
            rows.push((seq, message));
        }
        record.updated_at = record.updated_at.max(now.get());
        if is_present {
            record.last_run = draft.last_run.or(record.last_run);
        }
        // A row of an earlier transcript is no news of the present one.
        rows.retain(|_| is_present);
        let mut written = None;
        if is_present || self.records.contains_key(&record.key) {
            ops.push(record.to_op()?);
            written = Some(self.put_next(record));
        }
        Ok(Prepared {
            session_id,
            rows,
            ops,
            record: written,
        })
    }

    fn record_or_new(
        &self,
        key: &Arc<str>,
        agent: &str,
        new_id: impl FnOnce() -> String,
        now: Millis,
    ) -> Record {
        self.records.get(key).cloned().unwrap_or_else(|| Record {
            key: Arc::clone(key),
            session_id: new_id().into(),
            agent_id: agent.to_owned(),
            created_at: now.get(),
            updated_at: now.get(),
            began_at: Some(now.get()),
            next_seq: 1,
            label: None,
            title: None,
            preview: None,
            last_run: None,
            model: None,
            compacted: None,
            thinking: None,
            queue_mode: None,
            archived: false,
            pinned: false,
            past: Vec::new(),
            revision: 0,
        })
    }

    fn put_next(&mut self, mut record: Record) -> Record {
        self.revision += 1;
        record.revision = self.revision;
        self.put(record.clone());
        record
    }

    /// Changes a session, made where there is none; says what to commit.
    ///
    /// # Errors
    ///
    /// What `change` refuses, or a row that cannot be written as JSON.
    pub fn change<E: From<StoreError>>(
        &mut self,
        (key, agent): (&Arc<str>, &str),
        new_id: impl FnOnce() -> String,
        now: Millis,
        change: impl FnOnce(&Self, &mut Record) -> Result<(), E>,
    ) -> Result<Prepared, E> {
        let mut record = self.record_or_new(key, agent, new_id, now);
        change(self, &mut record)?;
        let ops = vec![record.to_op()?];
        let record = self.put_next(record);
        Ok(Prepared {
            session_id: Arc::clone(&record.session_id),
            rows: Vec::new(),
            ops,
            record: Some(record),
        })
    }

    /// Begins a session anew with the transcript `new_id`; name and model stay.
    ///
    /// # Errors
    ///
    /// When the row cannot be written as JSON.
    pub fn reset(
        &mut self,
        (key, agent): (&Arc<str>, &str),
        new_id: impl FnOnce() -> String,
        now: Millis,
    ) -> Result<Prepared, StoreError> {
        let mut gone = Vec::new();
        let new_id: Arc<str> = new_id().into();
        let first = Arc::clone(&new_id);
        let mut prepared = self.change(
            (key, agent),
            move || first.to_string(),
            now,
            |_, record| -> Result<(), StoreError> {
                if record.session_id != new_id {
                    record.past.push(Past {
                        session_id: Arc::clone(&record.session_id),
                        next_seq: record.next_seq,
                    });
                }
                let surplus = record.past.len().saturating_sub(MAX_PAST);
                gone.extend(record.past.drain(..surplus));
                record.session_id = new_id;
                record.began_at = Some(now.get());
                record.next_seq = 1;
                record.title = None;
                record.preview = None;
                record.last_run = None;
                record.compacted = None;
                record.updated_at = now.get();
                Ok(())
            },
        )?;
        let gone = gone.iter().flat_map(|past| forget(&past.session_id));
        prepared.ops.extend(gone);
        Ok(prepared)
    }

    /// Ends a session, if there is one; says what to commit.
    pub fn delete(&mut self, key: &str) -> Option<Ending> {
        let record = self.remove(key)?;
        let past = record.past.iter().map(|past| &past.session_id);
        let mut ops: Vec<Op> = past
            .chain([&record.session_id])
            .flat_map(|id| forget(id))
            .collect();
        ops.push(Op::delete(Table::Sessions, keys::text(key)));
        self.revision += 1;
        Some(Ending {
            record,
            ops,
            revision: self.revision,
        })
    }

    /// The end of a session is on the disk, or failed and leaves it as it was.
    pub fn settle_end(&mut self, ending: Ending, committed: bool) {
        let key = Arc::clone(&ending.record.key);
        let newer = |record: &Record| record.revision > ending.revision;
        if self.records.get(&key).is_some_and(newer) {
            return;
        }
        if committed {
            // An append that was on its way before it may have put it back.
            self.remove(&key);
        } else {
            self.put(ending.record);
        }
    }

    fn remove(&mut self, key: &str) -> Option<Record> {
        let record = self.records.remove(key)?;
        if let Some(count) = self.by_agent.get_mut(&record.agent_id) {
            *count -= 1;
        }
        self.by_id.remove(&record.session_id);
        self.recent.retain(|recent| **recent != *key);
        self.order.remove(&record);
        Some(record)
    }

    /// A commit of this record is on the disk. Puts it back where the failure of an earlier commit
    /// took it away.
    pub fn confirm(&mut self, record: Record) {
        let known = self.records.get(&record.key);
        if known.is_none_or(|known| known.revision < record.revision) {
            self.put(record);
        }
    }

    /// A commit of this record failed: shows again what is on the disk. The numbers stay spent.
    pub fn retract(&mut self, failed: &Record, stored: Option<Record>) {
        let Some(known) = self.remove(&failed.key) else {
            return;
        };
        if let Some(mut stored) = stored {
            if stored.session_id == known.session_id {
                stored.next_seq = known.next_seq;
            }
            stored.revision = failed.revision;
            self.put(stored);
        }
    }
}

/// Removes a transcript, and what kept its files.
fn forget(session_id: &str) -> [Op; 2] {
    let rows = || keys::transcript_all(session_id);
    [Table::Transcript, Table::Media].map(|table| Op::delete_range(table, rows()))
}

#[cfg(test)]
mod tests;
