//! Conversations of another gateway, as rows of this one. Pure, but for the order in which rows are given away.
//!
//! A transcript there is a tree of entries, of which the branch that ends in the newest entry is the conversation;
//! the messages of that branch are taken, in their order. Its rows go before the session's own, so that an import
//! that is cut off shows nothing, and is done again by the next one. A session that is here already keeps what it
//! has: the other transcript is put before its own, among those that were set aside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use openclaw_protocol::methods::message::{
    Content, ContentPart, KnownPart, Message, MessageMeta, MessageRole,
};
use serde_json::Value;

use super::compact::Compacted;
use super::record::{COMPACTION, Past, Record};
use crate::agent::model::thinking::Thinking;
use crate::clock::Millis;
use crate::media;
use crate::store::{Op, StoreError, Table, keys};
use crate::usage;

/// Rows that are given away at once, bytes.
const BATCH: usize = 1024 * 1024;
/// Longest message that is taken, bytes as JSON.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Kinds of entries that say nothing that is shown.
const SILENT: [&str; 8] = [
    "session",
    "model_change",
    "thinking_level_change",
    "custom",
    "custom_message",
    "label",
    "session_info",
    "leaf",
];

/// The entries of a transcript, which can be read more than once.
pub trait Events {
    /// Shows each entry, oldest first.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    fn each(&self, take: &mut dyn FnMut(&Value)) -> Result<(), String>;
}

/// A conversation of the other gateway.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// Its key.
    pub key: &'a str,
    /// The agent whose store it lies in.
    pub agent: &'a str,
    /// What its store says of it.
    pub entry: &'a Value,
    /// Its transcript; none where there is none.
    pub transcript: Option<&'a dyn Events>,
    /// What is here under its key already.
    pub there: Option<&'a Record>,
}

/// A conversation that was understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Its messages.
    pub messages: u64,
    /// What of it was not taken over: what, and how often.
    pub left: BTreeMap<String, u64>,
}

/// Why it was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum NotImported {
    /// It cannot be understood.
    #[error("{0}")]
    Wrong(String),
    /// It is here.
    #[error("it is here already")]
    There,
    /// Rows cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key that a session has here: other gateways wrote those of the default agent without its name once.
pub fn key_of(written: &str, agent: &str) -> Option<String> {
    match written {
        "" | "unknown" => None,
        "global" => Some(written.to_owned()),
        _ if written.starts_with("agent:") => Some(written.to_owned()),
        _ => Some(format!("agent:{agent}:{written}")),
    }
}

/// The identity of the transcript that an entry of the store names.
pub fn transcript_of(entry: &Value) -> Option<&str> {
    let id = entry["sessionId"].as_str()?;
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!id.is_empty() && id.len() <= 128 && id.chars().all(safe) && !id.starts_with('.'))
        .then_some(id)
}

/// Takes over a conversation; its rows are given to `write` in the order in which they must be committed.
///
/// # Errors
///
/// [`NotImported`]; what `write` refuses ends it.
pub fn session(
    from: Session<'_>,
    now: Millis,
    write: &mut dyn FnMut(Vec<Op>) -> Result<(), StoreError>,
) -> Result<Imported, NotImported> {
    let wrong = |why: &str| NotImported::Wrong(why.to_owned());
    let id = transcript_of(from.entry).ok_or_else(|| wrong("it names no transcript"))?;
    if let Some(there) = from.there
        && (*there.session_id == *id || there.past.iter().any(|past| *past.session_id == *id))
    {
        return Err(NotImported::There);
    }
    let mut rows = Rows::new(&from, id, now);
    if let Some(transcript) = from.transcript {
        let branch = Branch::of(transcript).map_err(NotImported::Wrong)?;
        let mut failed = None;
        let read = transcript.each(&mut |event| {
            if failed.is_none() && branch.has(event) {
                failed = rows.take(event, write).err();
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        read.map_err(NotImported::Wrong)?;
    }
    let Rows {
        mut record,
        mut ops,
        imported,
        ..
    } = rows;
    if let Some(there) = from.there {
        let past = Past {
            session_id: Arc::clone(&record.session_id),
            next_seq: record.next_seq,
        };
        record = there.clone();
        record.past.insert(0, past);
    }
    ops.push(record.to_op()?);
    write(ops)?;
    Ok(imported)
}

/// Which entries are the conversation.
struct Branch(Option<HashSet<String>>);

impl Branch {
    fn of(transcript: &dyn Events) -> Result<Self, String> {
        let mut parents: HashMap<String, Option<String>> = HashMap::new();
        let mut newest: Option<String> = None;
        let mut is_tree = true;
        transcript.each(&mut |event| {
            if event["type"] == "session" {
                return;
            }
            let Some(id) = event["id"].as_str() else {
                // Transcripts were plain lists once.
                is_tree &= event["type"] != "message";
                return;
            };
            let parent = event["parentId"].as_str().map(str::to_owned);
            parents.insert(id.to_owned(), parent);
            newest = Some(id.to_owned());
        })?;
        if !is_tree {
            return Ok(Self(None));
        }
        let mut branch = HashSet::new();
        let mut at = newest;
        while let Some(id) = at {
            at = parents.get(&id).cloned().flatten();
            if !branch.insert(id) {
                break;
            }
        }
        Ok(Self(Some(branch)))
    }

    fn has(&self, event: &Value) -> bool {
        match (&self.0, event["id"].as_str()) {
            (Some(branch), Some(id)) => event["type"] == "session" || branch.contains(id),
            // What cannot be read has no place, and is counted.
            (Some(_), None) => event["type"] != "message",
            (None, _) => true,
        }
    }
}

struct Rows {
    record: Record,
    ops: Vec<Op>,
    bytes: usize,
    imported: Imported,
    /// The number of the first message from each entry on.
    numbers: HashMap<String, u64>,
    now: Millis,
}

impl Rows {
    fn new(from: &Session<'_>, id: &str, now: Millis) -> Self {
        let entry = from.entry;
        let time = |name: &str| entry[name].as_i64().filter(|at| *at > 0);
        let text = |name: &str| {
            let text = entry[name].as_str().map(str::trim);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let updated = time("updatedAt").unwrap_or(now.get());
        let began = time("sessionStartedAt").or_else(|| time("createdAt"));
        let model = text("modelOverride").map(|model| match text("providerOverride") {
            Some(provider) if !model.contains('/') => format!("{provider}/{model}"),
            _ => model,
        });
        let thinking = text("thinkingLevel").and_then(|level| {
            let known = Thinking::ALL
                .into_iter()
                .find(|known| known.name() == level);
            known.filter(|known| *known != Thinking::Off)
        });
        let record = Record {
            key: from.key.into(),
            session_id: id.into(),
            agent_id: agent_of(from.key).unwrap_or(from.agent).to_owned(),
            created_at: began.unwrap_or(updated),
            updated_at: updated,
            began_at: began,
            next_seq: 1,
            label: text("label"),
            title: None,
            preview: None,
            last_run: None,
            model: model.filter(|model| model.contains('/')),
            thinking,
            compacted: None,
            queue_mode: None,
            archived: entry["archivedAt"].is_number() || entry["archived"] == true,
            pinned: entry["pinnedAt"].is_number() || entry["pinned"] == true,
            past: Vec::new(),
            revision: 0,
        };
        Self {
            record,
            ops: Vec::new(),
            bytes: 0,
            imported: Imported::default(),
            numbers: HashMap::new(),
            now,
        }
    }

    fn leave(&mut self, what: impl Into<String>) {
        *self.imported.left.entry(what.into()).or_default() += 1;
    }

    fn take(
        &mut self,
        event: &Value,
        write: &mut dyn FnMut(Vec<Op>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "session" {
            if let Some(at) = when(event) {
                self.record.created_at = self.record.created_at.min(at);
            }
            return Ok(());
        }
        if let Some(id) = event["id"].as_str() {
            self.numbers.insert(id.to_owned(), self.record.next_seq);
        }
        match kind {
            "message" => match serde_json::from_value::<Message>(event["message"].clone()) {
                Ok(message)
                    if serde_json::to_vec(&message).is_ok_and(|text| text.len() <= MAX_MESSAGE) =>
                {
                    self.message(message, when(event))?;
                }
                Ok(_) => self.leave("messages that are too long"),
                Err(_) => self.leave("messages of a form that is not known here"),
            },
            "compaction" => self.compaction(event)?,
            "branch_summary" => self.leave("summaries of other branches"),
            "" => self.leave("entries without a kind"),
            known if SILENT.contains(&known) => {}
            other => self.leave(format!("entries of the kind `{other}`")),
        }
        if self.bytes >= BATCH {
            self.bytes = 0;
            write(std::mem::take(&mut self.ops))?;
        }
        Ok(())
    }

    fn message(&mut self, mut message: Message, at: Option<i64>) -> Result<u64, StoreError> {
        let dropped = without_bytes(&mut message);
        for _ in 0..dropped {
            self.leave("pictures within messages");
        }
        let seq = self.record.next_seq;
        self.record.next_seq += 1;
        let stamp = message
            .timestamp
            .or_else(|| at.and_then(|at| u64::try_from(at).ok()));
        message.timestamp = stamp;
        let run_id = message.meta.take().and_then(|meta| meta.run_id);
        message.meta = Some(MessageMeta {
            id: Some(format!("{}-{seq}", self.record.session_id)),
            seq: Some(seq),
            record_timestamp_ms: stamp.or_else(|| Some(self.now.wire())),
            run_id,
            ..MessageMeta::default()
        });
        self.record.show(&message);
        let id = Arc::clone(&self.record.session_id);
        let op = Op::put_json(Table::Transcript, keys::transcript(&id, seq), &message)?;
        self.bytes += op.bytes();
        self.ops.push(op);
        self.ops.append(&mut media::rows_of(&id, seq, &message)?);
        let at = stamp
            .and_then(|at| i64::try_from(at).ok())
            .map_or(self.now, Millis);
        let whose = (&*self.record.key, &*self.record.agent_id);
        self.ops
            .extend(usage::row_of(whose, &id, seq, &message, at)?);
        self.imported.messages += 1;
        Ok(seq)
    }

    fn compaction(&mut self, event: &Value) -> Result<(), StoreError> {
        let summary = event["summary"].as_str().unwrap_or_default().to_owned();
        let kept = event["firstKeptEntryId"].as_str();
        let kept = kept.and_then(|id| self.numbers.get(id)).copied();
        let at = when(event).unwrap_or(self.now.get());
        let mut row = Message::text(
            MessageRole::Custom,
            summary,
            u64::try_from(at).unwrap_or_default(),
        );
        row.custom_type = Some(COMPACTION.into());
        let seq = self.message(row, Some(at))?;
        self.imported.messages -= 1;
        let count = self.record.compacted.map_or(0, |before| before.count) + 1;
        self.record.compacted = Some(Compacted {
            row: seq,
            kept_from: kept.unwrap_or(seq + 1),
            count,
        });
        Ok(())
    }
}

fn agent_of(key: &str) -> Option<&str> {
    key.strip_prefix("agent:")?.split(':').next()
}

fn when(event: &Value) -> Option<i64> {
    let written = event["timestamp"].as_str()?.parse::<Timestamp>().ok()?;
    Some(written.as_millisecond())
}

/// Takes pictures out that lie in the message itself, and says in words that there were any.
fn without_bytes(message: &mut Message) -> usize {
    let Content::Parts(parts) = &mut message.content else {
        return 0;
    };
    let mut dropped = 0;
    for part in parts {
        if let ContentPart::Known(KnownPart::Image(image)) = part
            && image.data.is_some()
        {
            dropped += 1;
            let kind = image.mime_type.as_deref().unwrap_or("image");
            *part = ContentPart::text(format!("[a picture ({kind}) that was left behind]"));
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::rows;

    struct Listed(Vec<Value>);

    impl Events for Listed {
        fn each(&self, take: &mut dyn FnMut(&Value)) -> Result<(), String> {
            self.0.iter().for_each(take);
            Ok(())
        }
    }

    fn said(id: &str, parent: Option<&str>, role: &str, text: &str) -> Value {
        json!({
            "type": "message", "id": id, "parentId": parent, "timestamp": "2026-11-23T10:06:17.096Z",
            "message": { "role": role, "content": [{ "type": "text", "text": text }], "timestamp": 1_795_428_377_089_u64 },
        })
    }

    fn import(events: Vec<Value>, there: Option<&Record>) -> (Imported, Record, Vec<Message>) {
        let transcript = Listed(events);
        let entry =
            json!({ "sessionId": "t1", "updatedAt": 1_795_428_377_124_u64, "label": "Door" });
        let from = Session {
            key: "agent:main:main",
            agent: "main",
            entry: &entry,
            transcript: Some(&transcript),
            there,
        };
        let mut ops = Vec::new();
        let imported = session(from, Millis(1), &mut |batch| {
            ops.extend(batch);
            Ok(())
        });
        let mut messages = Vec::new();
        let mut record = None;
        for op in &ops {
            let Op::Put { table, value, .. } = op else {
                panic!("{op:?}");
            };
            match table {
                Table::Transcript => messages.push(rows::decode(*table, value).unwrap()),
                Table::Sessions => record = Some(rows::decode(*table, value).unwrap()),
                _ => assert_eq!(*table, Table::Usage),
            }
        }
        (imported.unwrap(), record.unwrap(), messages)
    }

    #[test]
    fn the_branch_of_the_newest_entry_is_the_conversation() {
        let (imported, record, messages) = import(
            vec![
                json!({ "type": "session", "id": "t1", "timestamp": "2026-11-23T10:00:00Z" }),
                said("a", None, "user", "one"),
                said("b", Some("a"), "assistant", "a dead end"),
                said("c", Some("a"), "assistant", "two"),
                json!({ "type": "mystery", "id": "d", "parentId": "c" }),
            ],
            None,
        );
        let texts: Vec<String> = messages.iter().map(Message::plain_text).collect();
        assert_eq!(texts, ["one", "two"]);
        assert_eq!((imported.messages, record.next_seq), (2, 3));
        assert_eq!(record.title.as_deref(), Some("one"));
        assert_eq!(record.label.as_deref(), Some("Door"));
        assert_eq!(record.created_at, 1_795_428_000_000);
        assert_eq!(
            imported.left.keys().collect::<Vec<_>>(),
            ["entries of the kind `mystery`"]
        );
    }

    #[test]
    fn a_summary_stands_for_what_was_before_it() {
        let compaction = json!({
            "type": "compaction", "id": "c", "parentId": "b", "summary": "doors", "firstKeptEntryId": "b",
        });
        let (imported, record, messages) = import(
            vec![
                said("a", None, "user", "one"),
                said("b", Some("a"), "assistant", "two"),
                compaction,
                said("d", Some("c"), "user", "three"),
            ],
            None,
        );
        assert_eq!((imported.messages, messages.len()), (3, 4));
        let compacted = record.compacted.unwrap();
        assert_eq!((compacted.row, compacted.kept_from), (3, 2));
        assert_eq!(messages[2].custom_type.as_deref(), Some(COMPACTION));
        assert_eq!(record.preview.as_deref(), Some("three"));
    }

    #[test]
    fn what_is_here_stays_and_the_other_transcript_lies_before_it() {
        let (_, mut here, _) = import(vec![said("a", None, "user", "mine")], None);
        here.session_id = "mine".into();
        let (_, record, messages) = import(vec![said("x", None, "user", "theirs")], Some(&here));
        assert_eq!(&*record.session_id, "mine");
        assert_eq!(&*record.past[0].session_id, "t1");
        assert_eq!(messages.len(), 1);
        let entry = json!({ "sessionId": "t1" });
        let from = Session {
            key: "k",
            agent: "main",
            entry: &entry,
            transcript: None,
            there: Some(&record),
        };
        let again = session(from, Millis(1), &mut |_| Ok(()));
        assert!(matches!(again, Err(NotImported::There)));
    }

    #[test]
    fn pictures_stay_behind_and_are_counted_and_plain_lists_are_read() {
        let mut picture = said("a", None, "user", "look");
        picture["message"]["content"] =
            json!([{ "type": "image", "mimeType": "image/png", "data": "AAAA" }]);
        let old = json!({ "type": "message", "message": { "role": "user", "content": "plain" } });
        let (imported, _, messages) = import(vec![picture, old], None);
        assert_eq!(imported.left["pictures within messages"], 1);
        assert_eq!(messages.len(), 2);
        assert!(messages[0].plain_text().contains("image/png"));
    }

    #[test]
    fn names_of_transcripts_lead_nowhere_else() {
        for bad in ["../x", "", ".hidden", "a/b"] {
            assert_eq!(transcript_of(&json!({ "sessionId": bad })), None, "{bad}");
        }
        assert_eq!(key_of("main", "work").as_deref(), Some("agent:work:main"));
        assert_eq!(key_of("unknown", "main"), None);
    }
}
