//! What came in and is not answered yet. Rows are committed before the platform's offset moves; what
//! is here is their image in memory. Pure but for building rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outbox::Row as Sent;
use super::{AccountRef, Inbound, Target};
use crate::clock::Millis;
use crate::store::{Op, StoreError, StoreReader, Table, keys, rows};

/// Most messages of one account that wait for their answer; the transport is held at more.
pub const MAX_WAITING: usize = 500;
/// A message that waited longer than this is not answered any more.
pub const MAX_AGE: Duration = Duration::from_hours(24);
/// How long it is remembered that a message was answered, so that a second delivery of it is dropped.
pub const REMEMBERED: Duration = Duration::from_hours(72);

/// A message as it is stored; without its content once it is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// When it came, milliseconds since the epoch.
    at: i64,
    /// Order of arrival.
    seq: u64,
    /// Whether its writer may give commands and use tools.
    trusted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<Inbound>,
}

impl Row {
    /// The message, while it waits.
    fn into_item(self) -> Option<Item> {
        let message = self.message?;
        Some(Item::new(self.seq, self.at, self.trusted, message))
    }
}

pub(crate) fn row_key(account: &AccountRef, id: &str) -> Vec<u8> {
    let mut key = account.prefix();
    key.extend(keys::text(id));
    key
}

/// When an answered message came, for retention; `None` while it waits.
pub(crate) fn age(row: &[u8]) -> Option<Millis> {
    let row: Row = rows::decode(Table::ChannelInbox, row).ok()?;
    row.message.is_none().then_some(Millis(row.at))
}

/// What the disk knows of a message.
#[derive(Debug)]
pub(crate) enum Known {
    /// Nothing.
    New,
    /// It waits for its answer.
    Waiting(Item),
    /// It was answered, or its row cannot be read.
    Over,
}

/// What the disk knows of a message.
///
/// # Errors
///
/// When the table cannot be read.
pub(crate) fn known(
    reader: &StoreReader,
    account: &AccountRef,
    id: &str,
) -> Result<Known, StoreError> {
    let row = reader.get(Table::ChannelInbox, &row_key(account, id))?;
    Ok(Known::of(row.as_deref()))
}

impl Known {
    /// What the row of a message says.
    pub(crate) fn of(row: Option<&[u8]>) -> Self {
        let Some(row) = row else { return Self::New };
        let row = rows::decode::<Row>(Table::ChannelInbox, row).ok();
        row.and_then(Row::into_item)
            .map_or(Self::Over, Self::Waiting)
    }
}

/// A message that waits.
#[derive(Debug, Clone)]
pub struct Item {
    /// Order of arrival.
    pub seq: u64,
    /// When it came, milliseconds since the epoch.
    pub at: i64,
    /// Whether its writer may give commands and use tools.
    pub trusted: bool,
    /// It.
    pub message: Arc<Inbound>,
    /// Pieces of answers to it whose commit was not confirmed.
    pub left: Vec<(u64, Sent)>,
    step: Step,
    /// Whoever was to answer it is gone, as far as is known while it is handed over.
    is_dropped: bool,
}

/// How far an item has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It may be handed over from then on.
    Waiting(Duration),
    /// It is being handed over.
    Offered,
    /// Its run is on its way.
    Accepted,
}

impl Item {
    fn new(seq: u64, at: i64, trusted: bool, message: Inbound) -> Self {
        Self {
            seq,
            at,
            trusted,
            message: Arc::new(message),
            left: Vec::new(),
            step: Step::Waiting(Duration::ZERO),
            is_dropped: false,
        }
    }

    /// The row of a message that comes in.
    ///
    /// # Errors
    ///
    /// When it cannot be JSON.
    pub fn op(&self, account: &AccountRef) -> Result<Op, StoreError> {
        let row = Row {
            at: self.at,
            seq: self.seq,
            trusted: self.trusted,
            message: Some((*self.message).clone()),
        };
        Op::put_json(
            Table::ChannelInbox,
            row_key(account, &self.message.id),
            &row,
        )
    }

    /// The row of a message that was answered.
    ///
    /// # Errors
    ///
    /// When it cannot be JSON.
    pub fn done_op(&self, account: &AccountRef) -> Result<Op, StoreError> {
        let row = Row {
            at: self.at,
            seq: self.seq,
            trusted: self.trusted,
            message: None,
        };
        Op::put_json(
            Table::ChannelInbox,
            row_key(account, &self.message.id),
            &row,
        )
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Next {
    /// This one is handed over.
    Offer(Item),
    /// Nothing until then, or until something comes.
    Wait(Option<Duration>),
}

/// The messages of one account that wait.
#[derive(Debug, Default)]
pub struct Backlog {
    items: BTreeMap<u64, Item>,
    ids: BTreeSet<String>,
    last_seq: u64,
}

impl Backlog {
    /// Reads what an earlier process left.
    ///
    /// # Errors
    ///
    /// When the table cannot be read.
    pub fn load(reader: &StoreReader, account: &AccountRef) -> Result<Self, StoreError> {
        let mut backlog = Self::default();
        let range = account.rows();
        reader.scan(
            Table::ChannelInbox,
            range.start.as_slice()..range.end.as_slice(),
            false,
            |key, value| {
                backlog.take_up(key, value);
                std::ops::ControlFlow::Continue(())
            },
        )?;
        Ok(backlog)
    }

    /// Takes up a row of the disk.
    pub(crate) fn take_up(&mut self, key: &[u8], value: &[u8]) {
        match rows::decode::<Row>(Table::ChannelInbox, value) {
            Ok(row) => {
                self.last_seq = self.last_seq.max(row.seq);
                if let Some(item) = row.into_item() {
                    self.insert(item);
                }
            }
            Err(error) => {
                let row = keys::display(key);
                tracing::error!(row, %error, "a message that waited cannot be read");
            }
        }
    }

    /// A message that is about to be stored.
    pub fn draft(&mut self, message: Inbound, trusted: bool, now: Millis) -> Item {
        self.last_seq += 1;
        Item::new(self.last_seq, now.get(), trusted, message)
    }

    /// A message that is stored.
    pub fn insert(&mut self, item: Item) {
        self.ids.insert(item.message.id.clone());
        self.items.insert(item.seq, item);
    }

    /// The messages that wait.
    pub fn ids(&self) -> BTreeSet<String> {
        self.ids.clone()
    }

    /// Adds what `disk` has and this has not. `before` are the ids that waited here before `disk` was
    /// read: what of them is not here any more was answered meanwhile.
    pub fn complete(&mut self, disk: Self, before: &BTreeSet<String>) -> usize {
        let known = self.items.len();
        self.last_seq = self.last_seq.max(disk.last_seq);
        for item in disk.items.into_values() {
            let id = &item.message.id;
            if !before.contains(id) && !self.knows(id) {
                self.insert(item);
            }
        }
        self.items.len() - known
    }

    /// Whether a message waits already.
    pub fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether `more` messages have room.
    pub fn has_room(&self, more: usize) -> bool {
        self.items.is_empty() || self.items.len() + more <= MAX_WAITING
    }

    /// The oldest message that may be handed over. In one chat they go in order.
    pub fn next(&mut self, now: Duration) -> Next {
        let mut held: BTreeSet<Target> = BTreeSet::new();
        let mut wake: Option<Duration> = None;
        let mut found = None;
        for item in self.items.values() {
            match item.step {
                Step::Accepted => {}
                Step::Offered => {
                    held.insert(item.message.chat.clone());
                }
                Step::Waiting(from) => {
                    let first = held.insert(item.message.chat.clone());
                    if !first {
                        continue;
                    }
                    if from <= now {
                        found = Some(item.seq);
                        break;
                    }
                    wake = Some(wake.map_or(from, |wake| wake.min(from)));
                }
            }
        }
        let Some(item) = found.and_then(|seq| self.items.get_mut(&seq)) else {
            return Next::Wait(wake);
        };
        item.step = Step::Offered;
        item.is_dropped = false;
        Next::Offer(item.clone())
    }

    /// Chats where something is being answered, at most so many.
    pub fn under_way(&self, most: usize) -> Vec<Target> {
        let accepted = |item: &&Item| item.step == Step::Accepted;
        let chats = self.items.values().filter(accepted);
        let chats: BTreeSet<Target> = chats.map(|item| item.message.chat.clone()).collect();
        chats.into_iter().take(most).collect()
    }

    /// Its run is on its way. Where that was lost already, it is handed over again from `again` on.
    pub fn accepted(&mut self, seq: u64, again: Duration) {
        if let Some(item) = self.items.get_mut(&seq) {
            item.step = if item.is_dropped {
                Step::Waiting(again)
            } else {
                Step::Accepted
            };
        }
    }

    /// Its run is gone, and no end of it was confirmed: it is handed over again from `again` on. `left`
    /// is what that end may have put on the disk all the same.
    pub fn dropped(&mut self, seq: u64, again: Duration, left: Vec<(u64, Sent)>) {
        let Some(item) = self.items.get_mut(&seq) else {
            return;
        };
        item.left.extend(left);
        match item.step {
            Step::Accepted => item.step = Step::Waiting(again),
            // Being handed over, it may have been accepted without that being noted yet.
            Step::Offered => item.is_dropped = true,
            Step::Waiting(_) => {}
        }
    }

    /// It could not be handed over now.
    pub fn later(&mut self, seq: u64, from: Duration) {
        if let Some(item) = self.items.get_mut(&seq) {
            item.step = Step::Waiting(from);
        }
    }

    /// Its end is committed.
    pub fn finished(&mut self, seq: u64) {
        if let Some(item) = self.items.remove(&seq) {
            self.ids.remove(&item.message.id);
        }
    }

    /// What was being handed over when the provider failed is handed over again; its key tells whether
    /// that had come to anything.
    pub fn offer_again(&mut self) {
        for item in self.items.values_mut() {
            if item.step == Step::Offered {
                item.step = Step::Waiting(Duration::ZERO);
            }
        }
    }
}

/// The platform's cursor: where receiving goes on after a restart.
pub(crate) mod cursor {
    use super::{AccountRef, Op, StoreError, StoreReader, Table, keys};

    fn key(account: &AccountRef) -> Vec<u8> {
        let mut key = account.prefix();
        key.extend(keys::text("cursor"));
        key
    }

    pub(crate) fn read(
        reader: &StoreReader,
        account: &AccountRef,
    ) -> Result<Option<String>, StoreError> {
        reader.get_json(Table::ChannelState, &key(account))
    }

    pub(crate) fn op(account: &AccountRef, cursor: &str) -> Result<Op, StoreError> {
        Op::put_json(Table::ChannelState, key(account), cursor)
    }

    pub(crate) fn forget(account: &AccountRef) -> Op {
        Op::delete(Table::ChannelState, key(account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tests::message;

    fn backlog(chats: &[&str]) -> Backlog {
        let mut backlog = Backlog::default();
        for (number, chat) in chats.iter().enumerate() {
            let mut message = message(chat, "hi");
            message.id = number.to_string();
            let item = backlog.draft(message, true, Millis(0));
            backlog.insert(item);
        }
        backlog
    }

    fn offered(backlog: &mut Backlog, now: u64) -> Option<u64> {
        match backlog.next(Duration::from_secs(now)) {
            Next::Offer(item) => Some(item.seq),
            Next::Wait(_) => None,
        }
    }

    #[test]
    fn a_chat_that_is_refused_holds_only_itself() {
        let mut backlog = backlog(&["a", "a", "b"]);
        assert_eq!(offered(&mut backlog, 0), Some(1));
        assert_eq!(
            offered(&mut backlog, 0),
            Some(3),
            "`a` is being handed over"
        );
        backlog.later(1, Duration::from_secs(5));
        backlog.accepted(3, Duration::ZERO);
        let Next::Wait(wake) = backlog.next(Duration::ZERO) else {
            panic!("the second of `a` waits behind the first")
        };
        assert_eq!(wake, Some(Duration::from_secs(5)));
        assert_eq!(backlog.under_way(8).len(), 1, "`b` is being answered");
        assert_eq!(offered(&mut backlog, 5), Some(1));
        backlog.accepted(1, Duration::ZERO);
        assert_eq!(offered(&mut backlog, 5), Some(2));
        backlog.finished(1);
        assert!(!backlog.knows("0") && backlog.knows("1"));
    }

    #[test]
    fn what_was_being_handed_over_is_again() {
        let mut backlog = backlog(&["a"]);
        assert_eq!(offered(&mut backlog, 0), Some(1));
        assert_eq!(offered(&mut backlog, 0), None);
        backlog.offer_again();
        assert_eq!(offered(&mut backlog, 0), Some(1));
    }

    #[test]
    fn what_was_lost_on_its_way_is_handed_over_again_once() {
        let mut backlog = backlog(&["a"]);
        let again = Duration::from_secs(30);
        assert_eq!(offered(&mut backlog, 0), Some(1));
        // Whoever drops it may be faster than whoever notes that it was accepted.
        backlog.dropped(1, again, Vec::new());
        backlog.accepted(1, again);
        assert_eq!(offered(&mut backlog, 29), None);
        assert_eq!(offered(&mut backlog, 30), Some(1));
        backlog.accepted(1, again);
        assert_eq!(offered(&mut backlog, 99), None, "its run is on its way");
        backlog.dropped(1, Duration::from_secs(100), Vec::new());
        assert_eq!(offered(&mut backlog, 100), Some(1));
    }

    #[test]
    fn what_was_answered_while_the_disk_was_read_does_not_come_back() {
        let mut memory = backlog(&["a"]);
        let before = memory.ids();
        let disk = backlog(&["a", "b"]);
        memory.finished(1);
        assert_eq!(memory.complete(disk, &before), 1);
        assert!(!memory.knows("0") && memory.knows("1"));
    }
}
