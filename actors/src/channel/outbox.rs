//! What is to be sent. A row is committed before anything leaves, as `sending` before it leaves, and
//! is gone when the platform confirmed it. What left and was not confirmed is `unknown`, and stays so
//! until a person looks. Pure but for building rows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

pub use openclaw_protocol::methods::channels::Undelivered;
use serde::{Deserialize, Serialize};

use super::{AccountRef, Piece, SendFailure, Target};
use crate::clock::Millis;
use crate::store::{Op, StoreError, StoreReader, Table, keys, rows};

/// Most pieces of one account that wait; more are refused.
pub const MAX_WAITING: usize = 2_000;
/// A piece that waited longer than this is not sent any more.
pub const MAX_AGE: Duration = Duration::from_hours(24);
/// How long pieces that did not arrive are kept for a person to see.
pub const KEPT: Duration = Duration::from_hours(30 * 24);
/// Most of them that are shown for one account.
const SHOWN: usize = 50;
/// Before the second try of a piece that certainly did not leave.
const RETRY: Duration = Duration::from_secs(2);
/// Between later tries.
const RETRY_CEILING: Duration = Duration::from_mins(2);
/// Most tries of one piece.
const MAX_TRIES: u32 = 30;

/// Where a piece stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SendState {
    /// It waits.
    Queued,
    /// It is on its way.
    Sending,
    /// It left, and nobody can say what became of it.
    Unknown,
    /// The platform refused it.
    Refused,
    /// It waited too long.
    Expired,
}

/// A piece as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Names it: whose answer it is, and which part.
    pub id: String,
    /// Where it goes.
    pub to: Target,
    /// Markdown.
    pub text: String,
    /// The message that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Without a sound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// When it was written, milliseconds since the epoch.
    pub at: i64,
    /// What wrote it.
    pub by: String,
    /// Where it stands.
    pub state: SendState,
    /// Why it did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl SendState {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

impl Row {
    /// As the transport gets it.
    pub fn piece(&self) -> Piece {
        Piece {
            to: self.to.clone(),
            text: self.text.clone(),
            reply_to: self.reply_to.clone(),
            silent: self.silent,
        }
    }
}

fn row_key(account: &AccountRef, seq: u64) -> Vec<u8> {
    let mut key = account.prefix();
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// The change that writes a row.
///
/// # Errors
///
/// When it cannot be JSON.
pub fn op(account: &AccountRef, seq: u64, row: &Row) -> Result<Op, StoreError> {
    Op::put_json(Table::Sends, row_key(account, seq), row)
}

/// When a piece that did not arrive was written, for retention; `None` while it waits.
pub(crate) fn age(row: &[u8]) -> Option<Millis> {
    let row: Row = rows::decode(Table::Sends, row).ok()?;
    let over = !matches!(row.state, SendState::Queued | SendState::Sending);
    over.then_some(Millis(row.at))
}

/// Who waits for pieces to arrive.
pub trait Waiter: Send {
    /// One of them came to its end; gives back what is committed together with it.
    fn settled(&mut self, settled: &Settled, last: bool, now: Millis) -> Vec<Op>;

    /// That is committed.
    fn committed(&mut self, last: bool);
}

/// The end of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It arrived, under this id.
    Sent(String),
    /// It did not, or nobody knows.
    Failed {
        /// Which of these.
        state: SendState,
        /// In words.
        why: String,
    },
}

/// Several pieces of one message share a waiter.
pub type SharedWaiter = std::sync::Arc<std::sync::Mutex<dyn Waiter>>;

/// A piece that waits.
pub struct Entry {
    /// It.
    pub row: Row,
    /// Told of its end.
    pub waiter: Option<SharedWaiter>,
    /// Whether no piece of its message follows.
    pub last: bool,
    tries: u32,
    in_flight: bool,
}

impl Entry {
    /// A piece that nobody waits for.
    pub const fn new(row: Row) -> Self {
        Self {
            row,
            waiter: None,
            last: true,
            tries: 0,
            in_flight: false,
        }
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This one is sent.
    Send(u64),
    /// This one waited too long.
    Expire(u64),
    /// Nothing until then, or until something comes.
    Wait(Option<Duration>),
}

/// What becomes of a piece that was tried.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its end.
    End(Settled),
    /// It is tried again.
    Again,
}

/// The pieces of one account, in order.
#[derive(Default)]
pub struct Queue {
    entries: BTreeMap<u64, Entry>,
    lost: Vec<Undelivered>,
    last_seq: u64,
    hold: Duration,
}

impl Queue {
    /// Reads what an earlier process left. What was on its way then is `unknown` from here on; the
    /// changes that say so are given back.
    ///
    /// # Errors
    ///
    /// When the table cannot be read, or a row not be written.
    pub fn load(reader: &StoreReader, account: &AccountRef) -> Result<(Self, Vec<Op>), StoreError> {
        let mut queue = Self::default();
        let mut ops = Vec::new();
        let mut failed = None;
        let range = account.rows();
        reader.scan(
            Table::Sends,
            range.start.as_slice()..range.end.as_slice(),
            false,
            |key, value| {
                let seq = keys::transcript_seq(key).unwrap_or_default();
                queue.last_seq = queue.last_seq.max(seq);
                match rows::decode::<Row>(Table::Sends, value) {
                    Ok(mut row) => match row.state {
                        SendState::Queued => {
                            queue.entries.insert(seq, Entry::new(row));
                        }
                        SendState::Sending => {
                            row.state = SendState::Unknown;
                            row.why = Some(
                                "the gateway ended while it was being sent; it may have arrived"
                                    .into(),
                            );
                            match op(account, seq, &row) {
                                Ok(op) => ops.push(op),
                                Err(error) => failed = Some(error),
                            }
                            queue.lose(&row);
                        }
                        _ => queue.lose(&row),
                    },
                    Err(error) => {
                        let row = keys::display(key);
                        tracing::error!(row, %error, "a message that was to be sent cannot be read");
                    }
                }
                ControlFlow::Continue(())
            },
        )?;
        failed.map_or(Ok((queue, ops)), Err)
    }

    fn lose(&mut self, row: &Row) {
        if self.lost.len() >= SHOWN {
            self.lost.remove(0);
        }
        self.lost.push(Undelivered {
            id: row.id.clone(),
            to: row.to.to_string(),
            at: Millis(row.at).wire(),
            state: row.state.as_str().to_owned(),
            why: row.why.clone(),
            by: row.by.clone(),
        });
    }

    /// What did not arrive, oldest first.
    pub fn lost(&self) -> &[Undelivered] {
        &self.lost
    }

    /// Numbers for pieces that are about to be stored; they order them, also after a restart.
    pub fn reserve(&mut self, pieces: usize, now: Millis) -> std::ops::Range<u64> {
        let from = (self.last_seq + 1).max(now.wire() << 10);
        let end = from + pieces as u64;
        self.last_seq = end.saturating_sub(1).max(self.last_seq);
        from..end
    }

    /// Whether `more` pieces have room.
    pub fn has_room(&self, more: usize) -> bool {
        self.entries.len() + more <= MAX_WAITING
    }

    /// A piece that is stored.
    pub fn insert(&mut self, seq: u64, entry: Entry) {
        self.entries.insert(seq, entry);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is to be done. One piece of an account is under way at a time, so that a crash leaves at
    /// most one of which nobody knows.
    pub fn next(&self, now: Duration, clock: Millis) -> Next {
        let Some((seq, entry)) = self.entries.first_key_value() else {
            return Next::Wait(None);
        };
        if self.entries.values().any(|entry| entry.in_flight) {
            return Next::Wait(None);
        }
        if clock.since(Millis(entry.row.at)) > MAX_AGE {
            return Next::Expire(*seq);
        }
        if self.hold > now {
            return Next::Wait(Some(self.hold));
        }
        Next::Send(*seq)
    }

    /// The row of a piece that is about to leave.
    pub fn leaving(&mut self, seq: u64) -> Option<Row> {
        let entry = self.entries.get_mut(&seq)?;
        entry.in_flight = true;
        entry.tries += 1;
        Some(Row {
            state: SendState::Sending,
            ..entry.row.clone()
        })
    }

    /// It did not leave after all.
    pub fn stayed(&mut self, seq: u64, until: Duration) {
        self.hold = self.hold.max(until);
        if let Some(entry) = self.entries.get_mut(&seq) {
            entry.in_flight = false;
        }
    }

    /// What becomes of a piece whose try ended so.
    pub fn judge(
        &mut self,
        seq: u64,
        result: Result<String, SendFailure>,
        now: Duration,
    ) -> Outcome {
        let failed = |state, why| Outcome::End(Settled::Failed { state, why });
        let tries = self.entries.get(&seq).map_or(0, |entry| entry.tries);
        match result {
            Ok(id) => Outcome::End(Settled::Sent(id)),
            Err(SendFailure::Refused(why)) => failed(SendState::Refused, why),
            Err(SendFailure::Unknown(why)) => failed(SendState::Unknown, why),
            Err(SendFailure::NotSent(error)) if tries >= MAX_TRIES => {
                failed(SendState::Expired, format!("{tries} tries: {error}"))
            }
            Err(SendFailure::NotSent(error)) => {
                let own = RETRY
                    .saturating_mul(1 << tries.saturating_sub(1).min(10))
                    .min(RETRY_CEILING);
                let wait = match error {
                    super::ChannelError::RateLimited { delay, .. } => delay.max(RETRY),
                    _ => own,
                };
                self.hold = self.hold.max(now + wait);
                Outcome::Again
            }
        }
    }

    /// The changes of a piece's end, with those of whoever waits for it.
    ///
    /// # Errors
    ///
    /// When a row cannot be JSON.
    pub fn end_ops(
        &self,
        account: &AccountRef,
        seq: u64,
        settled: &Settled,
        now: Millis,
    ) -> Result<Vec<Op>, StoreError> {
        let Some(entry) = self.entries.get(&seq) else {
            return Ok(Vec::new());
        };
        let mut ops = vec![match settled {
            Settled::Sent(_) => Op::delete(Table::Sends, row_key(account, seq)),
            Settled::Failed { state, why } => op(
                account,
                seq,
                &Row {
                    state: *state,
                    why: Some(why.clone()),
                    ..entry.row.clone()
                },
            )?,
        }];
        if let Some(waiter) = &entry.waiter {
            let mut waiter = waiter
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            ops.extend(waiter.settled(settled, entry.last, now));
        }
        Ok(ops)
    }

    /// The change that puts a piece back that did not leave.
    ///
    /// # Errors
    ///
    /// When it cannot be JSON.
    pub fn back_op(&self, account: &AccountRef, seq: u64) -> Result<Option<Op>, StoreError> {
        let row = self.entries.get(&seq).map(|entry| &entry.row);
        row.map(|row| op(account, seq, row)).transpose()
    }

    /// A piece's end is committed; gives back who waited for it, to be told outside of the lock.
    pub fn ended(&mut self, seq: u64, settled: &Settled) -> Option<(SharedWaiter, bool)> {
        let entry = self.entries.remove(&seq)?;
        if let Settled::Failed { state, why } = settled {
            self.lose(&Row {
                state: *state,
                why: Some(why.clone()),
                ..entry.row
            });
        }
        entry.waiter.map(|waiter| (waiter, entry.last))
    }

    /// The provider failed; what was leaving is left to its own task.
    pub fn is_leaving(&self) -> bool {
        self.entries.values().any(|entry| entry.in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::ChannelError;

    fn row(id: &str) -> Row {
        Row {
            id: id.into(),
            to: Target {
                chat: "1".into(),
                thread: None,
            },
            text: "hi".into(),
            reply_to: None,
            silent: false,
            at: 0,
            by: "test".into(),
            state: SendState::Queued,
            why: None,
        }
    }

    fn queue(ids: &[&str]) -> Queue {
        let mut queue = Queue::default();
        for (id, seq) in ids.iter().zip(queue.reserve(ids.len(), Millis(0))) {
            queue.insert(seq, Entry::new(row(id)));
        }
        queue
    }

    const START: Millis = Millis(0);

    #[test]
    fn one_piece_is_under_way_and_they_leave_in_order() {
        let mut queue = queue(&["a", "b"]);
        assert_eq!(queue.next(Duration::ZERO, START), Next::Send(1));
        assert_eq!(queue.leaving(1).unwrap().state, SendState::Sending);
        assert_eq!(queue.next(Duration::ZERO, START), Next::Wait(None));
        let sent = Settled::Sent("m1".into());
        assert_eq!(
            queue.judge(1, Ok("m1".into()), Duration::ZERO),
            Outcome::End(sent.clone())
        );
        queue.ended(1, &sent);
        assert_eq!(queue.next(Duration::ZERO, START), Next::Send(2));
        assert!(queue.lost().is_empty());
    }

    #[test]
    fn only_what_certainly_did_not_leave_is_tried_again() {
        let mut queue = queue(&["a"]);
        queue.leaving(1);
        let limited = SendFailure::NotSent(ChannelError::RateLimited {
            delay: Duration::from_secs(9),
            why: String::new(),
        });
        assert_eq!(queue.judge(1, Err(limited), Duration::ZERO), Outcome::Again);
        queue.stayed(1, Duration::ZERO);
        let until = Duration::from_secs(9);
        assert_eq!(queue.next(Duration::ZERO, START), Next::Wait(Some(until)));
        assert_eq!(queue.next(until, START), Next::Send(1));
        queue.leaving(1);
        let lost = SendFailure::Unknown("closed".into());
        let Outcome::End(settled) = queue.judge(1, Err(lost), until) else {
            panic!("never again by itself")
        };
        queue.ended(1, &settled);
        assert_eq!(queue.lost()[0].state, "unknown");
        assert!(queue.is_empty());
    }

    #[test]
    fn what_waited_for_a_day_is_not_sent() {
        let queue = queue(&["a"]);
        let late = Millis(0).plus(MAX_AGE + Duration::from_secs(1));
        assert_eq!(queue.next(Duration::ZERO, late), Next::Expire(1));
    }

    #[test]
    fn numbers_grow_also_when_everything_before_is_gone() {
        let mut queue = Queue::default();
        let first = queue.reserve(2, Millis(5));
        let mut later = Queue::default();
        assert!(later.reserve(1, Millis(6)).start >= first.end);
        assert_eq!(queue.reserve(1, Millis(0)).start, first.end);
    }
}
