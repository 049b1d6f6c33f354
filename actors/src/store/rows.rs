//! Typed rows: one byte of format, then JSON. Owners of a table define their row types and use
//! [`Op::put_json`] and [`StoreReader::get_json`](super::StoreReader::get_json).

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::table::{Op, Table};

/// The first byte of every row: JSON follows. Another value comes from a later release.
pub const FORMAT_JSON: u8 = 1;

/// The bytes of a row.
///
/// # Errors
///
/// [`StoreError::Row`] when the type cannot be JSON (a map with keys that are not text).
pub fn encode<T: Serialize + ?Sized>(table: Table, row: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![FORMAT_JSON];
    serde_json::to_writer(&mut bytes, row).map_err(|error| unreadable(table, &error))?;
    Ok(bytes)
}

/// The row in these bytes.
///
/// # Errors
///
/// [`StoreError::Row`] when the format byte or the JSON is not what this build knows.
pub fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&FORMAT_JSON, json)) => {
            serde_json::from_slice(json).map_err(|error| unreadable(table, &error))
        }
        Some((format, _)) => Err(StoreError::Row {
            table,
            reason: format!(
                "row format {format} is not known to version {}",
                env!("CARGO_PKG_VERSION")
            ),
        }),
        None => Err(StoreError::Row {
            table,
            reason: "it is empty".to_owned(),
        }),
    }
}

fn unreadable(table: Table, error: &serde_json::Error) -> StoreError {
    // serde's own text can quote values, and a row can hold what nobody may see in a log.
    let reason = format!("{:?} error at column {}", error.classify(), error.column());
    StoreError::Row { table, reason }
}

impl Op {
    /// A put of raw bytes.
    pub fn put(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put {
            table,
            key: key.into(),
            value: value.into(),
        }
    }

    /// A put of a typed row.
    ///
    /// # Errors
    ///
    /// As [`encode`].
    pub fn put_json<T: Serialize + ?Sized>(
        table: Table,
        key: impl Into<Vec<u8>>,
        row: &T,
    ) -> Result<Self, StoreError> {
        Ok(Self::put(table, key, encode(table, row)?))
    }

    /// A delete.
    pub fn delete(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self::Delete {
            table,
            key: key.into(),
        }
    }

    /// A delete of every row whose key is in `range`; an empty end means to the end of the table.
    pub fn delete_range(table: Table, range: std::ops::Range<Vec<u8>>) -> Self {
        Self::DeleteRange {
            table,
            from: range.start,
            to: range.end,
        }
    }
}
