//! Messages that steer: they come while a run calls tools, and its model hears of them with the
//! results, instead of in a run of their own.

use std::sync::{Arc, Mutex, PoisonError};

use openclaw_protocol::methods::message::Message;
use serde_json::{Value, json};

use super::attached;
use super::generate::NoAnswer;
use super::model::PromptMessage;
use super::prompt;
use super::rounds::Job;
use super::run::{Joined, Turn};
use crate::sessions::history;

/// Under this name a row says which messages the model heard of right before it was written.
pub(super) const STEERED: &str = "steered";

/// The messages that a run under way took in.
#[derive(Clone, Default)]
pub struct Steering(Arc<Mutex<Vec<TakenIn>>>);

struct TakenIn {
    serial: u64,
    run_id: Arc<str>,
    seq: u64,
    /// Whether a stored row says so.
    noted: bool,
    duty: Option<Joined>,
}

impl Steering {
    fn with<T>(&self, change: impl FnOnce(&mut Vec<TakenIn>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in a turn that waited, and those that it carries; gives the numbers of their messages.
    fn take_in(&self, turn: Turn) -> Vec<u64> {
        let duties = turn.into_joined();
        let seqs = duties.iter().map(|duty| duty.user_seq).collect();
        self.with(|list| {
            list.extend(duties.into_iter().map(|duty| TakenIn {
                serial: duty.serial,
                run_id: Arc::clone(&duty.run_id),
                seq: duty.user_seq,
                noted: false,
                duty: Some(duty),
            }));
        });
        seqs
    }

    /// Who was taken in, also after their duties were handed over.
    pub(super) fn ids(&self) -> Vec<(u64, Arc<str>)> {
        self.with(|list| {
            let ids = list.iter().map(|one| (one.serial, Arc::clone(&one.run_id)));
            ids.collect()
        })
    }

    /// What the end of the run owes them.
    pub(super) fn duties(&self) -> Vec<Joined> {
        self.with(|list| list.iter_mut().filter_map(|one| one.duty.take()).collect())
    }

    /// Writes into a row which messages the model heard of since the last one.
    pub(super) fn mark(&self, row: &mut Message) {
        let seqs: Vec<u64> = self.with(|list| {
            let news = list.iter().filter(|one| !one.noted);
            news.map(|one| one.seq).collect()
        });
        if !seqs.is_empty() {
            let meta = row.meta.get_or_insert_default();
            meta.other.insert(STEERED.into(), json!(seqs));
        }
    }

    /// A row that was marked is on the disk.
    pub(super) fn noted(&self) {
        self.with(|list| list.iter_mut().for_each(|one| one.noted = true));
    }
}

/// The messages that a row's model heard of right before it.
pub(super) fn heard(row: &Message) -> impl Iterator<Item = u64> {
    let meta = row.meta.as_ref();
    let list = meta.and_then(|meta| meta.other.get(STEERED));
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_u64)
}

impl Turn {
    /// Whether the run of this turn, which is under way, may take the next message of its lane in.
    fn may_take_in(&self, next: &Self) -> bool {
        // As for those that share a run: nobody's message runs with what somebody else may do.
        next.steers()
            && self.extra_system.is_none()
            && self.session_id == next.session_id
            && self.origin.scopes == next.origin.scopes
            && self.model == next.model
    }
}

impl Job<'_> {
    /// What came in the meantime and steers this run.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) async fn steered(&self) -> Result<Vec<PromptMessage>, NoAnswer> {
        let (turn, deps) = (self.turn, self.deps);
        let key = &turn.session.canonical;
        let taken = deps
            .state
            .with(|state| state.take_in(turn.serial, key, |next| turn.may_take_in(next)));
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let take_in = |taken| turn.steering.take_in(taken);
        let seqs: Vec<u64> = taken.into_iter().flat_map(take_in).collect();
        deps.publish();
        let session_id = Arc::clone(&turn.session_id);
        let read = deps.reader.offload(move |reader| {
            let mut rows = Vec::with_capacity(seqs.len());
            for seq in seqs {
                rows.extend(history::recent(reader, &session_id, seq..seq + 1, 1)?);
            }
            Ok(rows)
        });
        let rows = read.await.map_err(|error| {
            NoAnswer::Setup(format!(
                "a message that came meanwhile cannot be read: {error}"
            ))
        })?;
        let files = attached::load(&deps.media, rows.iter()).await;
        Ok(prompt::conversation(rows.iter(), &files))
    }
}
