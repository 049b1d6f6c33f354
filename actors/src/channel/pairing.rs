//! Who may write to an account without being named in its configuration.
//!
//! A stranger's first direct message makes a request with a code; the owner approves it. Requests
//! live for an hour, three for each account; approvals stay until they are taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccountRef, Sender};
use crate::clock::{Millis, SharedClock, SharedEntropy};
use crate::store::{Op, StoreError, StoreReader, Table, keys, rows};

/// How long a request lives.
pub const TTL: Duration = Duration::from_hours(1);
/// Most requests of one account that wait.
pub const MAX_PENDING: usize = 3;
/// Most people who are approved for one account.
const MAX_APPROVED: usize = 10_000;
/// What codes are made of: nothing that is read for something else.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE_LENGTH: usize = 8;

/// A request that waits for the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Its id.
    pub id: String,
    /// What the stranger was told, and the owner approves.
    pub code: String,
    /// The stranger.
    pub sender: Sender,
    /// The chat in which they wrote.
    pub chat: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// When they wrote last.
    pub last_seen_at: i64,
}

/// A row of the table: what is known of one person at one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
enum Row {
    /// They wait.
    Pending {
        channel: String,
        account: String,
        request: Request,
    },
    /// They may write.
    Approved {
        channel: String,
        account: String,
        sender: Sender,
        at: i64,
    },
}

fn row_key(account: &AccountRef, sender: &str) -> Vec<u8> {
    let mut key = account.prefix();
    key.extend(keys::text(sender));
    key
}

/// The row of somebody whom another gateway let in.
///
/// # Errors
///
/// When it cannot be written as JSON.
pub fn import(account: &AccountRef, sender: &str, now: Millis) -> Result<Op, StoreError> {
    let row = Row::Approved {
        channel: account.channel.to_string(),
        account: account.account.to_string(),
        sender: Sender {
            id: sender.to_owned(),
            name: None,
            username: None,
        },
        at: now.get(),
    };
    Op::put_json(Table::ChannelPairing, row_key(account, sender), &row)
}

/// When somebody asked, for retention; `None` for those who were approved.
pub(crate) fn age(row: &[u8]) -> Option<Millis> {
    match rows::decode(Table::ChannelPairing, row).ok()? {
        Row::Pending { request, .. } => Some(Millis(request.created_at)),
        Row::Approved { .. } => None,
    }
}

/// What became of a stranger's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A request was made; they are told its code.
    Created(Request),
    /// They know already.
    Waits,
    /// Too many wait.
    Full,
}

/// Requests and approvals. Pure.
#[derive(Debug, Default)]
pub struct Book {
    pending: BTreeMap<AccountRef, Vec<Request>>,
    approved: BTreeMap<AccountRef, BTreeSet<String>>,
}

impl Book {
    /// Whether somebody was approved.
    pub fn is_approved(&self, account: &AccountRef, sender: &str) -> bool {
        self.approved
            .get(account)
            .is_some_and(|people| people.contains(sender))
    }

    /// A stranger wrote.
    pub fn ask(
        &mut self,
        account: &AccountRef,
        (sender, chat): (&Sender, &str),
        now: Millis,
        random: [u8; 32],
    ) -> Asked {
        let pending = self.pending.entry(account.clone()).or_default();
        pending.retain(|request| is_alive(request, now));
        if let Some(known) = pending
            .iter_mut()
            .find(|request| request.sender.id == sender.id)
        {
            known.last_seen_at = now.get();
            return Asked::Waits;
        }
        if pending.len() >= MAX_PENDING {
            return Asked::Full;
        }
        let code: String = random[..CODE_LENGTH]
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
            .collect();
        let id = super::hex(&random[CODE_LENGTH..CODE_LENGTH + 8]);
        let request = Request {
            id,
            code,
            sender: sender.clone(),
            chat: chat.to_owned(),
            created_at: now.get(),
            last_seen_at: now.get(),
        };
        pending.push(request.clone());
        Asked::Created(request)
    }

    /// A request that could not be stored was never made.
    pub fn retract(&mut self, account: &AccountRef, id: &str) {
        if let Some(pending) = self.pending.get_mut(account) {
            pending.retain(|request| request.id != id);
        }
    }

    /// The requests that wait, oldest first.
    pub fn waiting(&self, account: &AccountRef, now: Millis) -> Vec<Request> {
        let pending = self.pending.get(account);
        let alive = pending.into_iter().flatten();
        alive
            .filter(|request| is_alive(request, now))
            .cloned()
            .collect()
    }

    /// The request with this id or code.
    pub fn find(&self, account: &AccountRef, wanted: &str, now: Millis) -> Option<Request> {
        self.waiting(account, now)
            .into_iter()
            .find(|request| request.id == wanted || request.code.eq_ignore_ascii_case(wanted))
    }

    /// How many were approved.
    pub fn approved_count(&self, account: &AccountRef) -> usize {
        self.approved.get(account).map_or(0, BTreeSet::len)
    }

    /// Who was approved, by the platform's ids.
    pub fn approved(&self, account: &AccountRef) -> Vec<String> {
        let people = self.approved.get(account);
        people.into_iter().flatten().cloned().collect()
    }

    /// An approval was taken back.
    fn remove(&mut self, account: &AccountRef, sender: &str) {
        if let Some(people) = self.approved.get_mut(account) {
            people.remove(sender);
        }
    }

    fn approve(&mut self, account: &AccountRef, request: &Request) {
        self.retract(account, &request.id);
        self.approved
            .entry(account.clone())
            .or_default()
            .insert(request.sender.id.clone());
    }
}

fn is_alive(request: &Request, now: Millis) -> bool {
    now.since(Millis(request.created_at)) < TTL
}

/// The book with its rows on the disk; clones share it.
#[derive(Clone)]
pub struct Desk {
    book: Arc<Mutex<Book>>,
    clock: SharedClock,
    entropy: SharedEntropy,
}

impl Desk {
    /// A desk whose book is empty until [`Desk::load`].
    pub fn new(clock: SharedClock, entropy: SharedEntropy) -> Self {
        Self {
            book: Arc::default(),
            clock,
            entropy,
        }
    }

    /// Reads requests and approvals.
    ///
    /// # Errors
    ///
    /// When the table cannot be read.
    pub fn load(&self, reader: &StoreReader) -> Result<(), StoreError> {
        let mut book = Book::default();
        reader.readable(Table::ChannelPairing, |row: Row| match row {
            Row::Pending {
                channel,
                account,
                request,
            } => {
                let account = AccountRef::new(&channel, &account);
                book.pending.entry(account).or_default().push(request);
            }
            Row::Approved {
                channel,
                account,
                sender,
                ..
            } => {
                let account = AccountRef::new(&channel, &account);
                book.approved.entry(account).or_default().insert(sender.id);
            }
        })?;
        self.with(|own| *own = book);
        Ok(())
    }

    /// Reads or changes the book; only rows that were committed are in it.
    pub fn with<R>(&self, f: impl FnOnce(&mut Book) -> R) -> R {
        f(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether somebody was approved.
    pub fn is_approved(&self, account: &AccountRef, sender: &str) -> bool {
        self.with(|book| book.is_approved(account, sender))
    }

    /// A stranger wrote: the request that was made for it, with its row.
    ///
    /// # Errors
    ///
    /// When the row cannot be written down.
    pub fn ask(
        &self,
        account: &AccountRef,
        sender: &Sender,
        chat: &str,
    ) -> Result<(Asked, Option<Op>), StoreError> {
        let (now, random) = (self.clock.now(), self.entropy.bytes32());
        let asked = self.with(|book| book.ask(account, (sender, chat), now, random));
        let Asked::Created(request) = &asked else {
            return Ok((asked, None));
        };
        let row = Row::Pending {
            channel: account.channel.to_string(),
            account: account.account.to_string(),
            request: request.clone(),
        };
        let op = Op::put_json(Table::ChannelPairing, row_key(account, &sender.id), &row)?;
        Ok((asked, Some(op)))
    }

    /// The change that approves a request; [`Desk::approved`] follows its commit.
    ///
    /// # Errors
    ///
    /// When the row cannot be written down.
    pub fn approval(&self, account: &AccountRef, request: &Request) -> Result<Op, StoreError> {
        let row = Row::Approved {
            channel: account.channel.to_string(),
            account: account.account.to_string(),
            sender: request.sender.clone(),
            at: self.clock.now().get(),
        };
        Op::put_json(
            Table::ChannelPairing,
            row_key(account, &request.sender.id),
            &row,
        )
    }

    /// The approval is committed.
    pub fn approved(&self, account: &AccountRef, request: &Request) {
        self.with(|book| book.approve(account, request));
    }

    /// Whether one more may be approved.
    pub fn has_room(&self, account: &AccountRef) -> bool {
        self.with(|book| book.approved_count(account)) < MAX_APPROVED
    }

    /// The change that takes an approval back; [`Desk::removed`] follows its commit.
    pub fn removal(account: &AccountRef, sender: &str) -> Op {
        Op::delete(Table::ChannelPairing, row_key(account, sender))
    }

    /// That is committed: from here on they are a stranger.
    pub fn removed(&self, account: &AccountRef, sender: &str) {
        self.with(|book| book.remove(account, sender));
    }

    /// The change that forgets a request.
    pub fn dismissal(account: &AccountRef, request: &Request) -> Op {
        Op::delete(Table::ChannelPairing, row_key(account, &request.sender.id))
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(id: &str) -> Sender {
        Sender {
            id: id.into(),
            name: None,
            username: None,
        }
    }

    #[test]
    fn three_strangers_may_wait_for_an_hour() {
        let account = AccountRef::new("telegram", "default");
        let mut book = Book::default();
        let ask = |book: &mut Book, who: &str, at: i64| {
            book.ask(
                &account,
                (&sender(who), who),
                Millis(at),
                [at.to_be_bytes()[7]; 32],
            )
        };
        let Asked::Created(first) = ask(&mut book, "a", 0) else {
            panic!("a request")
        };
        assert_eq!(first.code.len(), CODE_LENGTH);
        assert!(first.code.bytes().all(|byte| LETTERS.contains(&byte)));
        assert_eq!(ask(&mut book, "a", 1), Asked::Waits);
        assert!(matches!(ask(&mut book, "b", 2), Asked::Created(_)));
        assert!(matches!(ask(&mut book, "c", 3), Asked::Created(_)));
        assert_eq!(ask(&mut book, "d", 4), Asked::Full);
        let hour = 3_600_000;
        assert!(book.find(&account, &first.code, Millis(hour)).is_none());
        assert!(matches!(ask(&mut book, "d", hour), Asked::Created(_)));
    }

    #[test]
    fn an_approval_is_for_one_account() {
        let account = AccountRef::new("telegram", "default");
        let mut book = Book::default();
        let Asked::Created(request) = book.ask(&account, (&sender("a"), "a"), Millis(0), [7; 32])
        else {
            panic!("a request")
        };
        let found = book.find(&account, &request.code.to_lowercase(), Millis(1));
        assert_eq!(found.as_ref(), Some(&request));
        book.approve(&account, &request);
        assert!(book.is_approved(&account, "a") && !book.is_approved(&account, "b"));
        assert!(!book.is_approved(&AccountRef::new("telegram", "second"), "a"));
        assert!(book.waiting(&account, Millis(1)).is_empty());
        book.remove(&account, "a");
        assert!(!book.is_approved(&account, "a"));
        assert!(matches!(
            book.ask(&account, (&sender("a"), "a"), Millis(2), [8; 32]),
            Asked::Created(_)
        ));
    }
}
