//! Pieces that did not arrive, for the person who decides about them.

use std::ops::ControlFlow;

use super::{Row, SendState, row_key};
use crate::channel::AccountRef;
use crate::store::{Op, StoreError, StoreReader, Table, keys, rows};

impl SendState {
    /// Whether nothing more happens by itself.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Unknown | Self::Refused | Self::Expired)
    }
}

/// Every piece of an account, oldest first.
///
/// # Errors
///
/// When the table cannot be read.
pub(crate) fn all(
    reader: &StoreReader,
    account: &AccountRef,
) -> Result<Vec<(u64, Row)>, StoreError> {
    let mut found = Vec::new();
    let range = account.rows();
    reader.scan(
        Table::Sends,
        range.start.as_slice()..range.end.as_slice(),
        false,
        |key, value| {
            if let (Some(seq), Ok(row)) = (
                keys::transcript_seq(key),
                rows::decode::<Row>(Table::Sends, value),
            ) {
                found.push((seq, row));
            }
            ControlFlow::Continue(())
        },
    )?;
    Ok(found)
}

/// One piece.
///
/// # Errors
///
/// When the table cannot be read, or the row.
pub(crate) fn one(
    reader: &StoreReader,
    account: &AccountRef,
    seq: u64,
) -> Result<Option<Row>, StoreError> {
    let row = reader.get(Table::Sends, &row_key(account, seq))?;
    row.map(|row| rows::decode(Table::Sends, &row)).transpose()
}

/// The change that forgets a piece.
pub(crate) fn forget(account: &AccountRef, seq: u64) -> Op {
    Op::delete(Table::Sends, row_key(account, seq))
}
