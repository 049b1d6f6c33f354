//! Reads, from any thread, of what was last committed.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata, TableError};
use serde::de::DeserializeOwned;

use super::database::Shared;
use super::error::StoreError;
use super::rows;
use super::table::Table;

type OpenTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A row: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Reads the store. Cheap to clone; never waits for the writer (1.4 us for a `get`).
///
/// It always reads through the database that is open now. A read that is under way while the file
/// is closed and opened again gets [`StoreError::Unavailable`], and can be repeated.
/// In every range an empty end means to the end of the table.
#[derive(Clone)]
pub struct StoreReader {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for StoreReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreReader").finish_non_exhaustive()
    }
}

/// One consistent view: everything read through it is of the same commit.
pub struct Snapshot<'a> {
    transaction: ReadTransaction,
    shared: &'a Shared,
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl StoreReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A view of the last commit, for several reads that must agree with one another.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, StoreError> {
        Ok(Snapshot {
            transaction: self.shared.begin_read()?,
            shared: &self.shared,
        })
    }

    /// One row.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot()?.get(table, key)
    }

    /// One typed row.
    pub fn get_json<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        self.snapshot()?.get_json(table, key)
    }

    /// Up to `limit` rows of `range` in key order, or from its end backwards with `reverse`.
    pub fn range(
        &self,
        table: Table,
        range: Range<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        self.snapshot()?.range(table, range, limit, reverse)
    }

    /// As [`StoreReader::range`], with typed rows.
    pub fn range_json<T: DeserializeOwned>(
        &self,
        table: Table,
        range: Range<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        self.snapshot()?.range_json(table, range, limit, reverse)
    }

    /// Shows every row of `range` to `visit` until it breaks.
    pub fn scan(
        &self,
        table: Table,
        range: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.snapshot()?.scan(table, range, reverse, visit)
    }

    /// Shows every row of a table that can be decoded to `take`. The others stay where they are and are
    /// left out: one bad row must not keep a gateway from starting. Gives their number; the first few
    /// are named in the log.
    ///
    /// # Errors
    ///
    /// When the table cannot be read.
    pub fn readable<T: DeserializeOwned>(
        &self,
        table: Table,
        mut take: impl FnMut(T),
    ) -> Result<u64, StoreError> {
        /// Rows that are named; a damaged table must not flood the log.
        const NAMED: u64 = 10;
        let mut left_out = 0;
        self.scan(table, &[]..&[], false, |key, value| {
            match rows::decode(table, value) {
                Ok(row) => take(row),
                Err(error) => {
                    left_out += 1;
                    if left_out <= NAMED {
                        let row = super::keys::display(key);
                        tracing::error!(row, %error, "a stored row is left out");
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        if left_out > NAMED {
            tracing::error!(
                table = table.name(),
                rows = left_out,
                "many stored rows are left out"
            );
        }
        Ok(left_out)
    }

    /// The error for a row that the gateway must not start without.
    pub fn damaged(&self, reason: String) -> StoreError {
        self.shared.corrupt(reason)
    }

    /// How many rows a table has; does not read them.
    pub fn count(&self, table: Table) -> Result<u64, StoreError> {
        self.snapshot()?.count(table)
    }

    /// Runs a read of more than a page on the blocking pool.
    ///
    /// # Errors
    ///
    /// Those of `read`; [`StoreError::Unavailable`] when it panics or the runtime is going down.
    pub fn offload<T, F>(
        &self,
        read: F,
    ) -> impl Future<Output = Result<T, StoreError>> + 'static + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    {
        let reader = self.clone();
        let task = tokio::task::spawn_blocking(move || read(&reader));
        async move {
            task.await.unwrap_or_else(|error| {
                Err(StoreError::Unavailable(format!(
                    "the read did not finish: {error}"
                )))
            })
        }
    }
}

impl Snapshot<'_> {
    /// What it is read through.
    pub(super) const fn transaction(&self) -> &ReadTransaction {
        &self.transaction
    }

    /// One row.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(open) = self.open(table)? else {
            return Ok(None);
        };
        let found = open
            .get(key)
            .map_err(|error| self.shared.storage_error(&error))?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    /// One typed row.
    pub fn get_json<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        let Some(open) = self.open(table)? else {
            return Ok(None);
        };
        let found = open
            .get(key)
            .map_err(|error| self.shared.storage_error(&error))?;
        found
            .map(|value| rows::decode(table, value.value()))
            .transpose()
    }

    /// Up to `limit` rows of `range` in key order, or from its end backwards with `reverse`.
    pub fn range(
        &self,
        table: Table,
        range: Range<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        self.limited(table, range, limit, reverse, |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(rows)
    }

    /// As [`Snapshot::range`], with typed rows.
    pub fn range_json<T: DeserializeOwned>(
        &self,
        table: Table,
        range: Range<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        let mut rows = Vec::new();
        self.limited(table, range, limit, reverse, |key, value| {
            rows.push((key.to_vec(), rows::decode(table, value)?));
            Ok(())
        })?;
        Ok(rows)
    }

    /// Shows every row of `range` to `visit` until it breaks.
    pub fn scan(
        &self,
        table: Table,
        range: Range<&[u8]>,
        reverse: bool,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(open) = self.open(table)? else {
            return Ok(());
        };
        let mut rows = if range.end.is_empty() {
            open.range(range.start..)
        } else if range.start < range.end {
            open.range(range)
        } else {
            return Ok(());
        }
        .map_err(|error| self.shared.storage_error(&error))?;
        while let Some(row) = if reverse {
            rows.next_back()
        } else {
            rows.next()
        } {
            let (key, value) = row.map_err(|error| self.shared.storage_error(&error))?;
            if visit(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// How many rows a table has; does not read them.
    pub fn count(&self, table: Table) -> Result<u64, StoreError> {
        let Some(open) = self.open(table)? else {
            return Ok(0);
        };
        open.len()
            .map_err(|error| self.shared.storage_error(&error))
    }

    fn limited(
        &self,
        table: Table,
        range: Range<&[u8]>,
        limit: usize,
        reverse: bool,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if limit == 0 {
            return Ok(());
        }
        let (mut left, mut outcome) = (limit, Ok(()));
        self.scan(table, range, reverse, |key, value| {
            outcome = take(key, value);
            left -= 1;
            if left == 0 || outcome.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        outcome
    }

    fn open(&self, table: Table) -> Result<Option<OpenTable>, StoreError> {
        match self.transaction.open_table(table.definition()) {
            Ok(open) => Ok(Some(open)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.shared.table_error(error)),
        }
    }
}
