//! The store as a model: what a crash leaves, and commits that fail in each way that a disk has.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::de::DeserializeOwned;

use super::law::Law;
use super::sim::Sim;
use crate::store::{Op, Table, rows};

/// The rows that outlive a process.
#[derive(Default)]
pub(super) struct Disk(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Disk {
    fn apply(&mut self, ops: Vec<Op>) {
        for op in ops {
            match op {
                Op::Put { table, key, value } => drop(self.0.insert((table, key), value)),
                Op::Delete { table, key } => drop(self.0.remove(&(table, key))),
                Op::DeleteRange { table, from, to } => self
                    .0
                    .retain(|(of, key), _| *of != table || *key < from || *key >= to),
            }
        }
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<&[u8]> {
        self.0.get(&(table, key.to_vec())).map(Vec::as_slice)
    }

    /// One typed row.
    pub(super) fn row<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Option<T> {
        let row = self.get(table, key)?;
        Some(rows::decode(table, row).unwrap())
    }

    pub(super) fn all(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        let from = Bound::Included((table, Vec::new()));
        self.0
            .range((from, Bound::Unbounded))
            .take_while(move |((of, _), _)| *of == table)
            .map(|((_, key), row)| (key.as_slice(), row.as_slice()))
    }

    pub(super) fn table<T: DeserializeOwned>(&self, table: Table) -> BTreeMap<String, T> {
        self.all(table)
            .map(|(key, row)| {
                let key = String::from_utf8(key.to_vec()).unwrap();
                (key, rows::decode(table, row).unwrap())
            })
            .collect()
    }
}

/// What the reference learns when a commit is on the disk, whether that is confirmed or not.
pub(super) type Durable = Box<dyn FnOnce(&mut Law)>;
/// What follows a commit that was confirmed, or was not.
pub(super) type Then = Box<dyn FnOnce(&mut Sim, bool)>;

struct Commit {
    ops: Vec<Op>,
    durable: Option<Durable>,
    then: Then,
}

/// The way of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Everything is written and confirmed.
    Fair,
    /// Nothing is written: the disk is full.
    Full,
    /// Some flushes are written and fail all the same: only their sync did.
    Foggy,
}

/// Group commit: what waits is one transaction.
pub(super) struct Writer {
    waiting: Vec<Commit>,
    pub(super) weather: Weather,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            weather: Weather::Fair,
        }
    }
}

impl Sim {
    /// Commits; mirrors `StoreHandle::commit` and the flush of the store's actor.
    pub(super) fn commit(&mut self, ops: Vec<Op>, then: impl FnOnce(&mut Self, bool) + 'static) {
        self.commit_so(ops, None, Box::new(then));
    }

    pub(super) fn commit_so(&mut self, ops: Vec<Op>, durable: Option<Durable>, then: Then) {
        let first = self.writer.waiting.is_empty();
        self.writer.waiting.push(Commit { ops, durable, then });
        if first {
            self.soon((1, 40), Self::flush);
        }
    }

    fn flush(&mut self) {
        let commits = std::mem::take(&mut self.writer.waiting);
        let (written, confirmed) = match self.writer.weather {
            Weather::Fair => (true, true),
            Weather::Full => (false, false),
            Weather::Foggy => {
                let failed = self.dice.one_in(2);
                (!failed || self.dice.one_in(2), !failed)
            }
        };
        if !confirmed {
            self.note(|| format!("a flush of {} fails, written: {written}", commits.len()));
        }
        let mut told = Vec::new();
        for commit in commits {
            if written {
                self.disk.apply(commit.ops);
                if let Some(durable) = commit.durable {
                    durable(&mut self.law);
                }
            }
            told.push(commit.then);
        }
        for then in told {
            then(self, confirmed);
        }
    }

    /// What was on its way when the power went: written as a whole, or not at all.
    pub(super) fn cut(&mut self) {
        let commits = std::mem::take(&mut self.writer.waiting);
        if self.writer.weather != Weather::Full && self.dice.one_in(2) {
            for commit in commits {
                self.disk.apply(commit.ops);
                if let Some(durable) = commit.durable {
                    durable(&mut self.law);
                }
            }
        }
    }
}
