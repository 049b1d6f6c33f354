//! The index of sessions. Pure: it says what to commit, and changes once that is under way.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use openclaw_protocol::methods::common::ModelDefaults;
use openclaw_protocol::methods::message::{Message, MessageMeta, MessageRole};
use openclaw_protocol::methods::sessions::{SessionKind, SessionRow, SessionStatus};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::store::{Op, StoreError, Table, keys};

/// Sessions that a digest lists.
const RECENT: usize = 10;
/// Characters of a message that the index keeps as its preview.
const PREVIEW_CHARS: usize = 160;

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Canonical key.
    pub key: Arc<str>,
    /// Identity of its transcript.
    pub session_id: Arc<str>,
    /// Its agent.
    pub agent_id: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch.
    pub updated_at: i64,
    /// Number of the next transcript row.
    pub next_seq: u64,
    /// Name that a person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its first user message, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its newest message, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// The run that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
}

/// The run of a session that ended last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Its id.
    pub run_id: String,
    /// How it ended.
    pub status: SessionStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Rows to append, and what has to be committed with them.
#[derive(Debug)]
pub struct Draft {
    /// Canonical key.
    pub key: Arc<str>,
    /// Its agent.
    pub agent_id: String,
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
    /// The session as the commit writes it.
    pub record: Record,
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    records: BTreeMap<Arc<str>, Record>,
    by_id: HashMap<Arc<str>, Arc<str>>,
    /// Keys of the sessions that changed last, newest first.
    recent: VecDeque<Arc<str>>,
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
        let mut record = self
            .records
            .get(&draft.key)
            .cloned()
            .unwrap_or_else(|| Record {
                key: Arc::clone(&draft.key),
                session_id: new_id().into(),
                agent_id: draft.agent_id.clone(),
                created_at: now.get(),
                updated_at: now.get(),
                next_seq: 1,
                label: None,
                title: None,
                preview: None,
                last_run: None,
            });
        let mut ops = draft.ops;
        let mut rows = Vec::with_capacity(draft.messages.len());
        for mut message in draft.messages {
            let seq = record.next_seq;
            record.next_seq += 1;
            let meta = message.meta.get_or_insert_with(MessageMeta::default);
            meta.seq = Some(seq);
            meta.id
                .get_or_insert_with(|| format!("{}-{seq}", record.session_id));
            meta.record_timestamp_ms = u64::try_from(now.get()).ok();
            let text = shorten(&message.plain_text());
            if message.role == MessageRole::User && record.title.is_none() {
                record.title.clone_from(&text);
            }
            record.preview = text.or(record.preview);
            ops.push(Op::put_json(
                Table::Transcript,
                keys::transcript(&record.session_id, seq),
                &message,
            )?);
            rows.push((seq, message));
        }
        record.updated_at = record.updated_at.max(now.get());
        record.last_run = draft.last_run.or(record.last_run);
        ops.push(Op::put_json(
            Table::Sessions,
            keys::text(&record.key),
            &record,
        )?);
        let session_id = Arc::clone(&record.session_id);
        self.put(record.clone());
        Ok(Prepared {
            session_id,
            rows,
            ops,
            record,
        })
    }

    /// A commit of this record is on the disk. Puts it back where the failure of an earlier commit
    /// took it away.
    pub fn confirm(&mut self, record: Record) {
        let known = self.records.get(&record.key);
        if known.is_none_or(|known| known.next_seq < record.next_seq) {
            self.put(record);
        }
    }

    /// A commit of this record failed: shows again what is on the disk. The numbers stay spent.
    pub fn retract(&mut self, failed: &Record, stored: Option<Record>) {
        let Some(known) = self.records.get(&failed.key) else {
            return;
        };
        if let Some(mut stored) = stored {
            stored.next_seq = known.next_seq;
            self.records.insert(Arc::clone(&stored.key), stored);
        } else {
            // A later session of this key has a transcript of its own.
            self.by_id.remove(&known.session_id);
            self.records.remove(&failed.key);
            self.recent.retain(|key| *key != failed.key);
        }
    }
}

impl Record {
    /// The row that clients see.
    pub fn row(&self, main_key: &str, defaults: &ModelDefaults, active: &[String]) -> SessionRow {
        let last = self.last_run.as_ref();
        let is_main =
            self.key.rsplit(':').next() == Some(main_key) && self.key.matches(':').count() == 2;
        let epoch = |at: i64| u64::try_from(at).ok();
        SessionRow {
            key: self.key.to_string(),
            session_id: Some(self.session_id.to_string()),
            kind: SessionKind::Direct,
            label: self.label.clone(),
            display_name: self.label.clone(),
            derived_title: self.title.clone(),
            last_message_preview: self.preview.clone(),
            agent_id: Some(self.agent_id.clone()),
            is_main: Some(is_main),
            updated_at: epoch(self.updated_at).into(),
            created_at: epoch(self.created_at),
            last_activity_at: epoch(self.updated_at),
            last_interaction_at: epoch(self.updated_at),
            status: if active.is_empty() {
                last.map(|run| run.status)
            } else {
                Some(SessionStatus::Running)
            },
            has_active_run: Some(!active.is_empty()),
            active_run_ids: Some(active.to_vec()),
            last_run_id: last.map(|run| run.run_id.clone()),
            last_run_error: last.and_then(|run| run.error.clone()),
            model: last
                .and_then(|run| run.model.clone())
                .or_else(|| defaults.model.clone()),
            model_provider: last
                .and_then(|run| run.provider.clone())
                .or_else(|| defaults.model_provider.clone()),
            context_tokens: defaults.context_tokens,
            ..SessionRow::default()
        }
    }
}

fn shorten(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(PREVIEW_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(index: &mut Index, text: &str) -> Prepared {
        let draft = Draft {
            key: "agent:main:main".into(),
            agent_id: "main".into(),
            messages: vec![Message::text(MessageRole::User, text, 0)],
            last_run: None,
            ops: Vec::new(),
        };
        index.prepare(draft, || "id".into(), Millis(1)).unwrap()
    }

    #[test]
    fn a_failed_commit_leaves_the_index_as_stored_but_for_the_spent_numbers() {
        let mut index = Index::default();
        let lost = append(&mut index, "lost");
        index.retract(&lost.record, None);
        assert!(index.is_empty() && index.by_id("id").is_none());
        assert_eq!(index.recent().count(), 0);

        let kept = append(&mut index, "kept").record;
        let lost = append(&mut index, "lost").record;
        index.retract(&lost, Some(kept.clone()));
        let shown = index.get("agent:main:main").unwrap();
        assert_eq!(shown.preview.as_deref(), Some("kept"));
        assert_eq!(shown.next_seq, lost.next_seq);
    }

    #[test]
    fn a_commit_that_succeeds_after_an_earlier_one_failed_is_shown() {
        let mut index = Index::default();
        let lost = append(&mut index, "lost").record;
        let kept = append(&mut index, "kept").record;
        index.retract(&lost, None);
        index.confirm(kept.clone());
        assert_eq!(index.by_id("id"), Some(&kept));
        index.confirm(lost);
        assert_eq!(index.by_id("id"), Some(&kept));
    }
}
