//! The order in which sessions are listed, kept while they change: a page costs what it shows, not what there is. Pure.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::record::Record;

/// Newest first; of those that changed in the same millisecond, by key.
type Newest = BTreeSet<(Reverse<i64>, Arc<str>)>;

/// Keys of all sessions in the order of lists.
#[derive(Debug, Default)]
pub(super) struct Order {
    present: Part,
    archived: Part,
}

#[derive(Debug, Default)]
struct Part {
    pinned: Newest,
    others: Newest,
}

impl Order {
    pub(super) fn put(&mut self, record: &Record) {
        self.of(record).insert(place(record));
    }

    pub(super) fn remove(&mut self, record: &Record) {
        self.of(record).remove(&place(record));
    }

    fn of(&mut self, record: &Record) -> &mut Newest {
        let part = if record.archived {
            &mut self.archived
        } else {
            &mut self.present
        };
        if record.pinned {
            &mut part.pinned
        } else {
            &mut part.others
        }
    }

    const fn part(&self, archived: bool) -> &Part {
        if archived {
            &self.archived
        } else {
            &self.present
        }
    }

    /// How many there are in or outside the archive.
    pub(super) fn count(&self, archived: bool) -> usize {
        let part = self.part(archived);
        part.pinned.len() + part.others.len()
    }

    /// The keys in or outside the archive, newest first; where `pins` count, the pinned ones before all others.
    pub(super) fn keys(&self, archived: bool, pins: bool) -> impl Iterator<Item = &Arc<str>> {
        let part = self.part(archived);
        let (mut pinned, mut others) =
            (part.pinned.iter().peekable(), part.others.iter().peekable());
        std::iter::from_fn(move || {
            let first = match (pinned.peek(), others.peek()) {
                (Some(pin), Some(other)) => pins || pin < other,
                (pin, _) => pin.is_some(),
            };
            let (_, key) = if first { pinned.next() } else { others.next() }?;
            Some(key)
        })
    }
}

fn place(record: &Record) -> (Reverse<i64>, Arc<str>) {
    (Reverse(record.updated_at), Arc::clone(&record.key))
}
