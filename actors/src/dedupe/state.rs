//! Idempotency keys: which are known, and what became of them. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::ErrorShape;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Millis;
use crate::store::{Op, StoreError, Table, keys, rows};

/// The method of keys of messages that channels brought.
pub const CHANNEL: &str = "channel";

/// How many keys are kept, and how long: `store.retention.idempotencyKeys` and `idempotencyHours`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most keys; the oldest go first, but never one in flight.
    pub keys: usize,
    /// How long one is kept.
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            keys: 10_000,
            age: Duration::from_hours(24),
        }
    }
}

impl Bounds {
    fn outlived(&self, at: i64, now: Millis) -> bool {
        u128::try_from(now.get() - at).is_ok_and(|age| age > self.age.as_millis())
    }
}

/// A key in its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId {
    /// The method.
    pub method: String,
    /// Whose key it is.
    pub principal: String,
    /// What the client chose.
    pub key: String,
}

/// What a key's request was answered with in the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Whether it succeeded.
    pub ok: bool,
    /// The payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorShape>,
}

impl Stored {
    /// The same result under the name of another run.
    #[must_use]
    pub fn of_run(mut self, run_id: &str) -> Self {
        if let Some(Value::Object(payload)) = &mut self.payload {
            payload.insert("runId".into(), run_id.into());
        }
        self
    }
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRow {
    method: String,
    principal: String,
    key: String,
    digest: String,
    at: i64,
    /// The session of a run, for the note that it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// Absent while the request is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Stored>,
}

/// A stored key as a start reads it: ten thousand results, of which some are megabytes, stay on the disk.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundKey {
    method: String,
    principal: String,
    key: String,
    digest: String,
    at: i64,
    #[serde(default)]
    session: Option<String>,
    /// Only whether there is one.
    #[serde(default)]
    result: Option<IgnoredAny>,
}

impl KeyRow {
    /// The result, once there is one.
    pub fn into_result(self) -> Option<Stored> {
        self.result
    }
}

/// When a key was first used, for retention; `None` while its request is under way.
pub(crate) fn age(row: &[u8]) -> Option<Millis> {
    let row: KeyRow = rows::decode(Table::Idempotency, row).ok()?;
    row.result.is_some().then_some(Millis(row.at))
}

impl KeyId {
    /// The key in the store.
    pub fn row_key(&self) -> Vec<u8> {
        let mut key = keys::text(&self.method);
        key.extend(keys::text(&self.principal));
        key.extend(keys::text(&self.key));
        key
    }

    /// Writes the key down as accepted or done.
    ///
    /// # Errors
    ///
    /// When the result cannot be written as JSON.
    pub fn op(
        &self,
        digest: &str,
        session: Option<&str>,
        result: Option<Stored>,
        now: Millis,
    ) -> Result<Op, StoreError> {
        let row = KeyRow {
            method: self.method.clone(),
            principal: self.principal.clone(),
            key: self.key.clone(),
            digest: digest.to_owned(),
            at: now.get(),
            session: session.map(str::to_owned),
            result,
        };
        Op::put_json(Table::Idempotency, self.row_key(), &row)
    }
}

#[derive(Debug, Clone)]
struct Entry {
    digest: Box<str>,
    at: i64,
    in_flight: bool,
    /// Order of arrival, to find the oldest.
    ticket: u64,
}

/// What a key's request should be answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The key is new; it is in flight from here on.
    New,
    /// The key stood for a request that has outlived its time: as new, whatever is left of that one in
    /// the store.
    Anew,
    /// The same request is under way.
    InFlight,
    /// The same request is done: its stored result is the answer.
    Done,
    /// The key stands for another request.
    Conflict,
    /// Every place is taken by a request under way.
    Full,
}

/// The keys. Ten thousand are an ordinary day, so both maps share what a key is.
#[derive(Debug, Default)]
pub struct Keys {
    entries: HashMap<Arc<KeyId>, Entry>,
    by_age: BTreeMap<u64, Arc<KeyId>>,
    next_ticket: u64,
}

impl Keys {
    /// Begins a request, or says what is known of its key. Gives also the keys that were forgotten
    /// for it, to be deleted from the store.
    pub fn begin(
        &mut self,
        id: &KeyId,
        digest: &str,
        now: Millis,
        bounds: Bounds,
    ) -> (Verdict, Vec<KeyId>) {
        let known = self.entries.get(id);
        let outlived =
            known.is_some_and(|known| !known.in_flight && bounds.outlived(known.at, now));
        if let Some(known) = known.filter(|_| !outlived) {
            let verdict = match (&*known.digest == digest, known.in_flight) {
                (false, _) => Verdict::Conflict,
                (true, true) => Verdict::InFlight,
                (true, false) => Verdict::Done,
            };
            return (verdict, Vec::new());
        }
        let mut forgotten = self.forget(now, bounds);
        if outlived && !forgotten.contains(id) {
            self.release(id);
            forgotten.push(id.clone());
        }
        if self.entries.len() >= bounds.keys {
            return (Verdict::Full, forgotten);
        }
        self.insert(id.clone(), digest.into(), now.get(), true);
        let verdict = if outlived {
            Verdict::Anew
        } else {
            Verdict::New
        };
        (verdict, forgotten)
    }

    fn insert(&mut self, id: KeyId, digest: Box<str>, at: i64, in_flight: bool) {
        self.next_ticket += 1;
        let id = Arc::new(id);
        self.by_age.insert(self.next_ticket, Arc::clone(&id));
        self.entries.insert(
            id,
            Entry {
                digest,
                at,
                in_flight,
                ticket: self.next_ticket,
            },
        );
    }

    /// The request's result is committed.
    pub fn done(&mut self, id: &KeyId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.in_flight = false;
        }
    }

    /// The request was refused before anything was committed: its key is free again.
    pub fn release(&mut self, id: &KeyId) {
        if let Some(entry) = self.entries.remove(id) {
            self.by_age.remove(&entry.ticket);
        }
    }

    /// Drops what is too old, and the oldest while there are too many; at most a few per call.
    fn forget(&mut self, now: Millis, bounds: Bounds) -> Vec<KeyId> {
        const BATCH: usize = 16;
        let too_many = self.entries.len() >= bounds.keys;
        let mut ids = Vec::new();
        for id in self.by_age.values() {
            let Some(entry) = self.entries.get(id) else {
                continue;
            };
            let old = bounds.outlived(entry.at, now);
            // In order of age: behind the first young one there are only younger ones.
            if ids.len() == BATCH || !(too_many || old) {
                break;
            }
            if !entry.in_flight {
                ids.push(KeyId::clone(id));
            }
        }
        for id in &ids {
            self.release(id);
        }
        ids
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A run that an earlier process left unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The run.
    pub run_id: String,
    /// Its session (canonical key).
    pub session: String,
}

/// What a start makes of the stored keys.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The keys that are known from here on.
    pub keys: Keys,
    /// To be committed before the first request is served.
    pub ops: Vec<Op>,
    /// Runs that were interrupted.
    pub interrupted: Vec<Interrupted>,
}

/// Gives every accepted key without a result one, and forgets what is too old.
///
/// # Errors
///
/// When a row cannot be written.
pub fn recover(
    mut rows: Vec<FoundKey>,
    now: Millis,
    bounds: Bounds,
) -> Result<Recovery, StoreError> {
    let mut recovery = Recovery::default();
    rows.sort_by_key(|row| row.at);
    let surplus = rows.len().saturating_sub(bounds.keys);
    for (index, row) in rows.into_iter().enumerate() {
        let id = KeyId {
            method: row.method,
            principal: row.principal,
            key: row.key,
        };
        if row.result.is_some() && (index < surplus || bounds.outlived(row.at, now)) {
            recovery
                .ops
                .push(Op::delete(Table::Idempotency, id.row_key()));
            continue;
        }
        if row.result.is_none() {
            let result = interrupted(&id);
            recovery
                .ops
                .push(id.op(&row.digest, row.session.as_deref(), Some(result), now)?);
            // What a channel brought is taken up again; its conversation has nothing to be told.
            if let Some(session) = row.session.filter(|_| id.method != CHANNEL) {
                recovery.interrupted.push(Interrupted {
                    run_id: id.key.clone(),
                    session,
                });
            }
        }
        recovery.keys.insert(id, row.digest.into(), row.at, false);
    }
    Ok(recovery)
}

/// The result of a request that was under way when its gateway ended.
pub fn interrupted(id: &KeyId) -> Stored {
    const RUN: &str = "interrupted by a gateway restart";
    const SEND: &str = "outcome unknown: the gateway restarted while the message was on its way; it is not sent again by itself";
    const NODE: &str = "outcome unknown: the gateway restarted while the node was at work; it is not asked again by itself";
    failed(
        id,
        match id.method.as_str() {
            "send" => SEND,
            "node.invoke" => NODE,
            _ => RUN,
        },
    )
}

/// The answer for a request that is over in this process and has no stored result: the gateway failed
/// while it ran or waited, or its end could not be written down.
pub fn without_result(id: &KeyId) -> Stored {
    const RUN: &str = "this request ended without a stored result; look at the session, and use a new idempotencyKey to ask again";
    const NODE: &str = "this command was cancelled, or ended without a stored result; use a new idempotencyKey to ask again";
    failed(
        id,
        if id.method == "node.invoke" {
            NODE
        } else {
            RUN
        },
    )
}

fn failed(id: &KeyId, summary: &'static str) -> Stored {
    Stored {
        ok: false,
        payload: (id.method != "node.invoke")
            .then(|| json!({ "runId": id.key, "status": "error", "summary": summary })),
        error: Some(ErrorShape::new(
            openclaw_protocol::ErrorCode::Unavailable,
            summary,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: Bounds = Bounds {
        keys: 40,
        age: Duration::from_secs(1),
    };

    fn id(key: &str) -> KeyId {
        KeyId {
            method: "agent".into(),
            principal: "device:1".into(),
            key: key.into(),
        }
    }

    #[test]
    fn a_key_stands_for_one_request_for_ever() {
        let mut keys = Keys::default();
        assert_eq!(keys.begin(&id("a"), "d1", Millis(0), FEW).0, Verdict::New);
        assert_eq!(
            keys.begin(&id("a"), "d1", Millis(1), FEW).0,
            Verdict::InFlight
        );
        assert_eq!(
            keys.begin(&id("a"), "d2", Millis(1), FEW).0,
            Verdict::Conflict
        );
        keys.done(&id("a"));
        assert_eq!(keys.begin(&id("a"), "d1", Millis(2), FEW).0, Verdict::Done);
        assert_eq!(
            keys.begin(&id("a"), "d2", Millis(2), FEW).0,
            Verdict::Conflict
        );
        keys.release(&id("a"));
        assert_eq!(keys.begin(&id("a"), "d2", Millis(3), FEW).0, Verdict::New);
    }

    #[test]
    fn keys_are_bounded_and_never_forgotten_in_flight() {
        let mut keys = Keys::default();
        for n in 0..FEW.keys {
            assert_eq!(
                keys.begin(&id(&n.to_string()), "d", Millis(0), FEW).0,
                Verdict::New
            );
        }
        assert_eq!(
            keys.begin(&id("more"), "d", Millis(2_001), FEW).0,
            Verdict::Full
        );
        keys.done(&id("0"));
        let (verdict, forgotten) = keys.begin(&id("more"), "d", Millis(0), FEW);
        assert_eq!((verdict, forgotten), (Verdict::New, vec![id("0")]));
        assert_eq!(keys.len(), FEW.keys);
    }

    #[test]
    fn keys_go_when_they_are_older_than_the_bound() {
        let mut keys = Keys::default();
        keys.begin(&id("a"), "d", Millis(0), FEW);
        keys.done(&id("a"));
        assert!(keys.begin(&id("b"), "d", Millis(1_000), FEW).1.is_empty());
        let (_, forgotten) = keys.begin(&id("c"), "d", Millis(1_001), FEW);
        assert_eq!(forgotten, vec![id("a")]);
    }

    #[test]
    fn a_key_that_outlived_its_time_is_new_whatever_it_stood_for() {
        let mut keys = Keys::default();
        for key in ["a", "b", "c"] {
            keys.begin(&id(key), "d1", Millis(0), FEW);
        }
        keys.done(&id("a"));
        keys.done(&id("b"));
        let late = Millis(1_001);
        let mut begin = |key, digest| keys.begin(&id(key), digest, late, FEW);
        // The row goes before another is written in its place.
        assert_eq!(begin("b", "d2"), (Verdict::Anew, vec![id("a"), id("b")]));
        assert_eq!(begin("b", "d1").0, Verdict::Conflict);
        assert_eq!(begin("a", "d1"), (Verdict::New, Vec::new()));
        // What is under way is never forgotten.
        assert_eq!(begin("c", "d1").0, Verdict::InFlight);
        assert_eq!((keys.len(), keys.by_age.len()), (3, 3));
    }

    #[test]
    fn a_start_ends_what_was_under_way_and_keeps_what_was_done() {
        let row = |key: &str, result| {
            let row = KeyRow {
                method: "chat.send".into(),
                principal: "p".into(),
                key: key.into(),
                digest: "d".into(),
                at: 5,
                session: Some("agent:main:main".into()),
                result,
            };
            serde_json::from_slice(&serde_json::to_vec(&row).unwrap()).unwrap()
        };
        let done = Stored {
            ok: true,
            payload: Some(json!({"runId": "b"})),
            error: None,
        };
        let mut recovery =
            recover(vec![row("a", None), row("b", Some(done))], Millis(10), FEW).unwrap();
        assert_eq!(
            recovery.interrupted,
            vec![Interrupted {
                run_id: "a".into(),
                session: "agent:main:main".into()
            }]
        );
        assert_eq!(recovery.ops.len(), 1);
        let id = KeyId {
            method: "chat.send".into(),
            principal: "p".into(),
            key: "a".into(),
        };
        assert_eq!(
            recovery.keys.begin(&id, "d", Millis(11), FEW).0,
            Verdict::Done
        );
    }
}
