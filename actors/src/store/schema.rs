//! The format stamp of the file, so that an older build refuses what it cannot understand.

use redb::{Database, ReadableDatabase};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;

use super::error::StoreError;
use super::medium::Medium;
use super::rows;
use super::table::Table;

/// The format this build reads and writes. Raise it when an older build must not touch the file.
pub const SCHEMA_VERSION: u32 = 1;

const KEY: &[u8] = b"schema";
const PROBE_KEY: &[u8] = b"probe";

/// Who wrote the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaVersion {
    /// The format.
    pub version: u32,
    /// The release that wrote it last.
    pub written_by: String,
}

impl SchemaVersion {
    fn ours() -> Self {
        Self {
            version: SCHEMA_VERSION,
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Refuses a newer file; stamps a new one, and one that another release wrote.
pub(super) fn check_and_stamp(database: &Database, medium: &dyn Medium) -> Result<(), StoreError> {
    let name = &medium.name();
    let ours = SchemaVersion::ours();
    match read(database, name)? {
        Some(found) if found == ours => Ok(()),
        Some(found) if found.version > SCHEMA_VERSION => Err(StoreError::Newer {
            name: name.to_owned(),
            written_by: found.written_by,
            found: found.version,
            supported: SCHEMA_VERSION,
        }),
        Some(older) if older.version < SCHEMA_VERSION => {
            // Who goes back to the older release needs its file.
            let suffix = format!(".format-{}", older.version);
            let kept = medium.keep_copy(&suffix).map_err(|error| {
                StoreError::Unavailable(format!("cannot keep a copy of `{name}`: {error}"))
            })?;
            tracing::warn!(from = older.version, to = SCHEMA_VERSION, kept = ?kept, "the database is taken over by a newer format");
            stamp(database, &ours, name)
        }
        Some(_) | None => stamp(database, &ours, name),
    }
}

/// Whether a row is of the file itself, not of anybody who keeps rows in it.
pub(super) fn is_own(key: &[u8]) -> bool {
    key == KEY || key == PROBE_KEY
}

fn stamp(database: &Database, ours: &SchemaVersion, name: &str) -> Result<(), StoreError> {
    let value = rows::encode(Table::Meta, ours)?;
    put(database, KEY, &value)
        .map_err(|error| StoreError::Unavailable(format!("cannot write `{name}`: {error}")))
}

/// Proves that the file takes a commit.
pub(super) fn probe(database: &Database, now: Millis) -> Result<(), redb::Error> {
    put(database, PROBE_KEY, &now.get().to_be_bytes())
}

fn read(database: &Database, name: &str) -> Result<Option<SchemaVersion>, StoreError> {
    let corrupt = |error: redb::Error| StoreError::Corrupt {
        name: name.to_owned(),
        reason: error.to_string(),
    };
    let transaction = database
        .begin_read()
        .map_err(|error| corrupt(error.into()))?;
    let table = match transaction.open_table(Table::Meta.definition()) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(corrupt(error.into())),
    };
    let stored = table.get(KEY).map_err(|error| corrupt(error.into()))?;
    let Some(stored) = stored else {
        return Ok(None);
    };
    rows::decode(Table::Meta, stored.value()).map(Some)
}

fn put(database: &Database, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction
        .open_table(Table::Meta.definition())?
        .insert(key, value)?;
    transaction.commit()?;
    Ok(())
}
