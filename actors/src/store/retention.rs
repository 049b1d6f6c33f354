//! Bounded retention: which rows of a table have had their time.

use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::clock::Millis;

use super::error::StoreError;
use super::reader::StoreReader;
use super::table::{Op, Table};

/// How long and how many rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Older rows go.
    pub max_age: Option<Duration>,
    /// Above this many rows the oldest go.
    pub max_rows: Option<u64>,
}

/// What to delete now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The deletes, for one commit.
    pub ops: Vec<Op>,
    /// Whether `batch` cut it short: commit these and ask again.
    pub more: bool,
}

/// Finds the rows of `table` that `keep` lets go, at most `batch` of them. It reads the whole
/// table, in memory bounded by `batch`: run it with [`StoreReader::offload`].
///
/// `age_of` tells a row's time from its key and value; rows for which it says `None` stay.
///
/// # Errors
///
/// Those of a read.
pub fn prune(
    reader: &StoreReader,
    table: Table,
    keep: Keep,
    now: Millis,
    batch: usize,
    mut age_of: impl FnMut(&[u8], &[u8]) -> Option<Millis>,
) -> Result<Pruned, StoreError> {
    let snapshot = reader.snapshot()?;
    let mut choice = Choice::new(keep, now, batch, snapshot.count(table)?);
    snapshot.scan(table, &[]..&[], false, |key, value| {
        if let Some(at) = age_of(key, value) {
            choice.see(at, key);
        }
        ControlFlow::Continue(())
    })?;
    let (keys, more) = choice.finish();
    Ok(Pruned {
        ops: keys.into_iter().map(|key| Op::delete(table, key)).collect(),
        more,
    })
}

/// The oldest rows seen so far, at most `batch`. The rows that go are always the oldest ones, so
/// both limits come down to how many of these: all too old, and enough to get below the count.
struct Choice {
    expired_before: Option<Millis>,
    excess: usize,
    batch: usize,
    oldest: BinaryHeap<(Millis, Vec<u8>)>,
    expired: usize,
}

impl Choice {
    fn new(keep: Keep, now: Millis, batch: usize, rows: u64) -> Self {
        let excess = keep.max_rows.map_or(0, |max| rows.saturating_sub(max));
        Self {
            expired_before: keep.max_age.map(|age| now.minus(age)),
            excess: usize::try_from(excess).unwrap_or(usize::MAX),
            batch,
            oldest: BinaryHeap::new(),
            expired: 0,
        }
    }

    fn see(&mut self, at: Millis, key: &[u8]) {
        let expired = self.expired_before.is_some_and(|before| at < before);
        self.expired += usize::from(expired);
        if self.oldest.len() < self.batch {
            self.oldest.push((at, key.to_vec()));
        } else if let Some(mut youngest) = self.oldest.peek_mut()
            && (at, key) < (youngest.0, youngest.1.as_slice())
        {
            *youngest = (at, key.to_vec());
        }
    }

    fn finish(self) -> (Vec<Vec<u8>>, bool) {
        let wanted = self.expired.max(self.excess);
        let sorted = self.oldest.into_sorted_vec();
        let more = wanted > sorted.len() && sorted.len() == self.batch;
        (
            sorted
                .into_iter()
                .take(wanted)
                .map(|(_, key)| key)
                .collect(),
            more,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(rows: &[(i64, u8)], keep: Keep, now: i64, batch: usize) -> (Vec<Vec<u8>>, bool) {
        let mut choice = Choice::new(keep, Millis(now), batch, rows.len() as u64);
        for (at, key) in rows {
            choice.see(Millis(*at), &[*key]);
        }
        choice.finish()
    }

    proptest! {
        #[test]
        fn batches_end_in_what_one_look_at_everything_would_leave(
            rows in prop::collection::btree_map(any::<u8>(), 0i64..50, 0..40),
            max_rows in prop::option::of(0u64..20), max_age in prop::option::of(0u64..50), batch in 1usize..8,
        ) {
            let keep = Keep { max_rows, max_age: max_age.map(Duration::from_millis) };
            let mut left: Vec<(i64, u8)> = rows.iter().map(|(key, at)| (*at, *key)).collect();
            left.sort_unstable();
            let mut expected = left.clone();
            expected.retain(|(at, _)| max_age.is_none_or(|age| *at >= 50 - i64::try_from(age).unwrap()));
            let over = max_rows.map_or(0, |max| expected.len().saturating_sub(usize::try_from(max).unwrap()));
            expected.drain(..over);

            loop {
                let (gone, more) = chosen(&left, keep, 50, batch);
                prop_assert!(gone.len() <= batch);
                left.retain(|(_, key)| !gone.contains(&vec![*key]));
                if !more { break }
            }
            prop_assert_eq!(left, expected);
        }
    }
}
