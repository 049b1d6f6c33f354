//! The pieces of one account that wait, and which of them leaves next. Pure but for building rows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use super::{
    MAX_AGE, MAX_WAITING, Row, SendState, Settled, SharedWaiter, Undelivered, op, row_key,
};
use crate::channel::state::LONGEST_DELAY;
use crate::channel::{AccountRef, ChannelError, SendFailure, Target};
use crate::clock::Millis;
use crate::store::{Op, StoreError, StoreReader, Table, keys, rows};

/// Most pieces that are shown as not delivered for one account.
const SHOWN: usize = 50;
/// Before the second try of a piece that certainly did not leave.
const RETRY: Duration = Duration::from_secs(2);
/// Between later tries.
const RETRY_CEILING: Duration = Duration::from_mins(2);
/// Most tries of one piece.
const MAX_TRIES: u32 = 30;
/// How long a piece has the account to itself. So a crash leaves one piece of which nobody knows;
/// one that takes longer holds its conversation only.
pub(super) const ALONE: Duration = Duration::from_secs(3);
/// Most pieces of one account that hang at the same time.
const HANGING: usize = 8;

/// A piece that waits.
pub struct Entry {
    /// It.
    pub row: Row,
    /// Told of its end.
    pub waiter: Option<SharedWaiter>,
    /// Whether no piece of its message follows.
    pub last: bool,
    tries: u32,
    /// Since when it is on its way.
    left: Option<Duration>,
}

impl Entry {
    /// A piece that nobody waits for.
    pub const fn new(row: Row) -> Self {
        Self {
            row,
            waiter: None,
            last: true,
            tries: 0,
            left: None,
        }
    }

    /// The same with somebody who waits for it; `last` when no piece of the message follows.
    #[must_use]
    pub fn with(mut self, waiter: SharedWaiter, last: bool) -> Self {
        self.waiter = Some(waiter);
        self.last = last;
        self
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
    lost: BTreeMap<u64, Undelivered>,
    /// Pieces that a person decides about just now.
    decided: BTreeSet<u64>,
    last_seq: u64,
    /// Until when nothing leaves.
    hold: Duration,
    /// Until when nothing leaves for these, because the platform said so.
    holds: BTreeMap<Target, Duration>,
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
                match queue.take_up(account, key, value) {
                    Ok(op) => ops.extend(op),
                    Err(error) => failed = Some(error),
                }
                ControlFlow::Continue(())
            },
        )?;
        failed.map_or(Ok((queue, ops)), Err)
    }

    /// Takes up a row of the disk; gives back the change for one that was on its way.
    pub(crate) fn take_up(
        &mut self,
        account: &AccountRef,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<Op>, StoreError> {
        let seq = keys::transcript_seq(key).unwrap_or_default();
        self.last_seq = self.last_seq.max(seq);
        let mut row = match rows::decode::<Row>(Table::Sends, value) {
            Ok(row) => row,
            Err(error) => {
                let row = keys::display(key);
                tracing::error!(row, %error, "a message that was to be sent cannot be read");
                return Ok(None);
            }
        };
        let mut change = None;
        match row.state {
            SendState::Queued => {
                self.entries.insert(seq, Entry::new(row));
                return Ok(None);
            }
            SendState::Sending => {
                row.state = SendState::Unknown;
                row.why =
                    Some("the gateway ended while it was being sent; it may have arrived".into());
                change = Some(op(account, seq, &row)?);
            }
            SendState::Unknown | SendState::Refused | SendState::Expired => {}
        }
        self.lose(seq, &row);
        Ok(change)
    }

    fn lose(&mut self, seq: u64, row: &Row) {
        self.lost.insert(seq, row.shown());
        if self.lost.len() > SHOWN {
            self.lost.pop_first();
        }
    }

    /// What did not arrive, oldest first.
    pub fn lost(&self) -> impl Iterator<Item = &Undelivered> {
        self.lost.values()
    }

    /// A person decides about a piece that did not arrive. False while another one does.
    pub fn decide(&mut self, seq: u64) -> bool {
        self.decided.insert(seq)
    }

    /// That is over; `done` when the piece is no longer among those that did not arrive.
    pub fn decided(&mut self, seq: u64, done: bool) {
        self.decided.remove(&seq);
        if done {
            self.lost.remove(&seq);
        }
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

    /// What is to be done. In one conversation pieces leave in order, each when the one before has
    /// come to its end; see [`ALONE`] for several conversations.
    pub fn next(&self, now: Duration, clock: Millis) -> Next {
        let mut held: BTreeSet<&Target> = BTreeSet::new();
        let mut alone: Option<Duration> = None;
        for entry in self.entries.values() {
            let Some(left) = entry.left else { continue };
            held.insert(&entry.row.to);
            if left + ALONE > now {
                alone = alone.max(Some(left + ALONE));
            }
        }
        if alone.is_some() || held.len() >= HANGING {
            return Next::Wait(alone);
        }
        let mut wake: Option<Duration> = None;
        for (seq, entry) in &self.entries {
            if entry.left.is_some() || held.contains(&entry.row.to) {
                continue;
            }
            if clock.since(Millis(entry.row.at)) > MAX_AGE {
                return Next::Expire(*seq);
            }
            if self.hold > now {
                return Next::Wait(Some(self.hold));
            }
            match self.holds.get(&entry.row.to) {
                Some(until) if *until > now => {
                    wake = Some(wake.map_or(*until, |wake| wake.min(*until)));
                }
                _ => return Next::Send(*seq),
            }
        }
        Next::Wait(wake)
    }

    /// The row of a piece that is about to leave.
    pub fn leaving(&mut self, seq: u64, now: Duration) -> Option<Row> {
        let entry = self.entries.get_mut(&seq)?;
        entry.left = Some(now);
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
            entry.left = None;
        }
    }

    /// Whoever waits for a piece failed with it, and is not told of its end.
    pub fn forsake(&mut self, seq: u64) {
        if let Some(entry) = self.entries.get_mut(&seq) {
            entry.waiter = None;
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
                if let ChannelError::RateLimited { delay, .. } = error {
                    self.limited(seq, now + delay.clamp(RETRY, LONGEST_DELAY), now);
                } else {
                    let wait = RETRY
                        .saturating_mul(1 << tries.saturating_sub(1).min(10))
                        .min(RETRY_CEILING);
                    self.hold = self.hold.max(now + wait);
                }
                Outcome::Again
            }
        }
    }

    /// The platform wants nothing more there for now. Platforms limit conversations one by one; where one
    /// limits the account, the others are told so each.
    fn limited(&mut self, seq: u64, until: Duration, now: Duration) {
        self.holds.retain(|_, until| *until > now);
        if let Some(entry) = self.entries.get(&seq) {
            self.holds.insert(entry.row.to.clone(), until);
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
            let row = Row {
                state: *state,
                why: Some(why.clone()),
                ..entry.row
            };
            self.lose(seq, &row);
        }
        entry.waiter.map(|waiter| (waiter, entry.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            edits: None,
            file: None,
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
        assert_eq!(
            queue.leaving(1, Duration::ZERO).unwrap().state,
            SendState::Sending
        );
        assert_eq!(queue.next(Duration::ZERO, START), Next::Wait(Some(ALONE)));
        assert_eq!(queue.next(ALONE, START), Next::Wait(None), "the same chat");
        let sent = Settled::Sent("m1".into());
        assert_eq!(
            queue.judge(1, Ok("m1".into()), Duration::ZERO),
            Outcome::End(sent.clone())
        );
        queue.ended(1, &sent);
        assert_eq!(queue.next(Duration::ZERO, START), Next::Send(2));
        assert_eq!(queue.lost().count(), 0);
    }

    #[test]
    fn only_what_certainly_did_not_leave_is_tried_again() {
        let mut queue = queue(&["a"]);
        queue.leaving(1, Duration::ZERO);
        let limited = SendFailure::NotSent(ChannelError::RateLimited {
            delay: Duration::from_secs(9),
            why: String::new(),
        });
        assert_eq!(queue.judge(1, Err(limited), Duration::ZERO), Outcome::Again);
        queue.stayed(1, Duration::ZERO);
        let until = Duration::from_secs(9);
        assert_eq!(queue.next(Duration::ZERO, START), Next::Wait(Some(until)));
        assert_eq!(queue.next(until, START), Next::Send(1));
        queue.leaving(1, Duration::ZERO);
        let lost = SendFailure::Unknown("closed".into());
        let Outcome::End(settled) = queue.judge(1, Err(lost), until) else {
            panic!("never again by itself")
        };
        queue.ended(1, &settled);
        assert_eq!(queue.lost().next().unwrap().state, "unknown");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_piece_that_hangs_holds_its_conversation_and_no_other() {
        let mut queue = queue(&["a", "b"]);
        let mut other = row("c");
        other.to.chat = "2".into();
        queue.insert(3, Entry::new(other));
        queue.leaving(1, Duration::ZERO);
        assert_eq!(queue.next(Duration::ZERO, START), Next::Wait(Some(ALONE)));
        assert_eq!(queue.next(ALONE, START), Next::Send(3));
        queue.leaving(3, ALONE);
        assert_eq!(queue.next(ALONE, START), Next::Wait(Some(ALONE * 2)));
        let sent = Settled::Sent("m".into());
        queue.ended(3, &sent);
        assert_eq!(queue.next(ALONE, START), Next::Wait(None));
        queue.ended(1, &sent);
        assert_eq!(queue.next(ALONE, START), Next::Send(2));
    }

    #[test]
    fn a_chat_that_is_limited_holds_only_itself_and_not_for_ever() {
        let mut queue = queue(&["a", "b"]);
        let mut other = row("c");
        other.to.chat = "2".into();
        queue.insert(3, Entry::new(other));
        queue.leaving(1, Duration::ZERO);
        let limited = SendFailure::NotSent(ChannelError::RateLimited {
            delay: Duration::MAX,
            why: String::new(),
        });
        assert_eq!(queue.judge(1, Err(limited), Duration::ZERO), Outcome::Again);
        queue.stayed(1, Duration::ZERO);
        assert_eq!(queue.next(Duration::ZERO, START), Next::Send(3));
        queue.ended(3, &Settled::Sent("m".into()));
        let wait = Next::Wait(Some(LONGEST_DELAY));
        assert_eq!(queue.next(Duration::ZERO, START), wait);
        assert_eq!(queue.next(LONGEST_DELAY, START), Next::Send(1));
    }

    #[test]
    fn two_people_do_not_decide_about_one_piece() {
        let mut queue = queue(&["a"]);
        let lost = Settled::Failed {
            state: SendState::Unknown,
            why: String::new(),
        };
        queue.ended(1, &lost);
        assert!(queue.decide(1) && !queue.decide(1));
        queue.decided(1, false);
        assert_eq!(queue.lost().count(), 1, "it could not be done");
        assert!(queue.decide(1));
        queue.decided(1, true);
        assert_eq!(queue.lost().count(), 0);
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
