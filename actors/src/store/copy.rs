//! A copy of what is committed, made while commits go on: what a backup holds.

use std::path::Path;

use redb::{Builder, Durability, ReadableDatabase, TableDefinition, TableHandle as _};
use serde::de::IgnoredAny;

use super::error::StoreError;
use super::medium::{Boxed, FileMedium, Medium as _};
use super::reader::StoreReader;
use super::rows;
use super::salvage::{self, Trouble};
use super::schema::SchemaVersion;
use super::table::Table;

/// Rows that are written at once.
const BATCH: u64 = 10_000;
/// Memory for the copy's pages, bytes.
const CACHE: usize = 4 * 1024 * 1024;

/// What was copied, or found in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Rows of all tables.
    pub rows: u64,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// Rows that this build cannot read.
    pub unreadable: u64,
    /// The file's format.
    pub format: u32,
}

impl StoreReader {
    /// Writes everything that is committed now into a new file at `path` (0600), tables of other
    /// releases included. Blocks for as long as the disk takes; commits go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the file is there already or cannot be written.
    pub fn copy_to(&self, path: &Path) -> Result<Copied, StoreError> {
        if path.exists() {
            return Err(StoreError::Unavailable(format!(
                "`{}` is there already",
                path.display()
            )));
        }
        let failed = |error: redb::Error| {
            StoreError::Unavailable(format!("cannot copy to `{}`: {error}", path.display()))
        };
        let snapshot = self.snapshot()?;
        let from = snapshot.transaction();
        let medium = FileMedium::open(path)?;
        let backend = medium.backend().map_err(|error| failed(error.into()))?;
        let to = Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(Boxed(backend))
            .map_err(|error| failed(error.into()))?;
        let names: Vec<String> = from
            .list_tables()
            .map_err(|error| failed(error.into()))?
            .map(|table| table.name().to_owned())
            .collect();
        let mut rows = 0;
        for name in &names {
            rows += copy_table(from, &to, name).map_err(failed)?;
        }
        let last = to.begin_write().map_err(|error| failed(error.into()))?;
        last.commit().map_err(|error| failed(error.into()))?;
        drop(to);
        Ok(Copied {
            rows,
            bytes: medium.bytes(),
            unreadable: 0,
            format: super::SCHEMA_VERSION,
        })
    }
}

fn copy_table(
    from: &redb::ReadTransaction,
    to: &redb::Database,
    name: &str,
) -> Result<u64, redb::Error> {
    let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(name);
    let source = from.open_table(definition)?;
    let mut copied = 0;
    let mut rows = source.range::<&[u8]>(..)?;
    loop {
        let mut transaction = to.begin_write()?;
        // Nothing of it counts before the last commit, which waits for the disk.
        transaction.set_durability(Durability::None)?;
        let mut more = false;
        {
            let mut target = transaction.open_table(definition)?;
            for row in rows.by_ref() {
                let (key, value) = row?;
                target.insert(key.value(), value.value())?;
                copied += 1;
                if copied % BATCH == 0 {
                    more = true;
                    break;
                }
            }
        }
        transaction.commit()?;
        if !more {
            return Ok(copied);
        }
    }
}

/// Shows the rows of some tables of a file that nobody writes, keys and values. The file stays as it is, also
/// where it was not closed well; one that is not there has no rows.
///
/// # Errors
///
/// As [`verify`].
pub fn look(
    path: &Path,
    tables: &[Table],
    mut take: impl FnMut(Table, &[u8], &[u8]),
) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    each_row(path, tables, |table, key, value| {
        take(table, key, value);
        Ok(())
    })?;
    Ok(())
}

/// Reads a whole file that nobody writes: its structure, its checksums, and every row.
///
/// # Errors
///
/// [`StoreError::Corrupt`], [`StoreError::Newer`], and those of opening it.
pub fn verify(path: &Path) -> Result<Copied, StoreError> {
    if !path.exists() {
        return Err(StoreError::Unavailable(format!(
            "`{}` is not there",
            path.display()
        )));
    }
    let mut found = Copied {
        rows: 0,
        bytes: 0,
        unreadable: 0,
        format: 0,
    };
    found.bytes = each_row(path, &Table::ALL, |table, key, value| {
        found.rows += 1;
        if table == Table::Meta {
            if key == b"schema" {
                found.format = format_of(path, value)?;
            }
        } else if rows::decode::<IgnoredAny>(table, value).is_err() {
            found.unreadable += 1;
        }
        Ok(())
    })?;
    Ok(found)
}

/// The format that a file is stamped with, if this build can read it.
fn format_of(path: &Path, stamp: &[u8]) -> Result<u32, StoreError> {
    let stamp: SchemaVersion = rows::decode(Table::Meta, stamp)?;
    if stamp.version > super::SCHEMA_VERSION {
        return Err(StoreError::Newer {
            name: path.display().to_string(),
            written_by: stamp.written_by,
            found: stamp.version,
            supported: super::SCHEMA_VERSION,
        });
    }
    Ok(stamp.version)
}

/// Shows every row of these tables of a file that nobody writes, once its structure and checksums hold; the size of
/// the file, bytes.
fn each_row(
    path: &Path,
    tables: &[Table],
    mut take: impl FnMut(Table, &[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let name = path.display().to_string();
    let corrupt = |reason: String| StoreError::Corrupt {
        name: name.clone(),
        reason,
    };
    let medium = FileMedium::look(path)?;
    let database = salvage::checked(&medium).map_err(|trouble| match trouble {
        Trouble::Damaged(reason) => corrupt(reason),
        Trouble::Else(reason) => StoreError::Unavailable(format!("cannot read `{name}`: {reason}")),
    })?;
    let read = database
        .begin_read()
        .map_err(|error| corrupt(error.to_string()))?;
    for &table in tables {
        let open = match read.open_table(table.definition()) {
            Ok(open) => open,
            Err(redb::TableError::TableDoesNotExist(_)) => continue,
            Err(error) => return Err(corrupt(error.to_string())),
        };
        let rows = open
            .range::<&[u8]>(..)
            .map_err(|error| corrupt(error.to_string()))?;
        for row in rows {
            let (key, value) = row.map_err(|error| corrupt(error.to_string()))?;
            take(table, key.value(), value.value())?;
        }
    }
    Ok(medium.bytes())
}
