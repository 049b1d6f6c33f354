//! Reads of the trail, newest first.

use std::ops::ControlFlow;

use openclaw_protocol::methods::audit::{AuditEntry, AuditListParams, AuditListResult};

use super::row::{Kind, Weight};
use crate::clock::Millis;
use crate::store::{StoreError, StoreReader, Table, rows};

/// Rows of an answer whose caller does not say.
const DEFAULT_LIMIT: u32 = 100;

/// The key of a row: its number, so that key order is the order of noting.
pub(super) fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The newest row's number.
pub(super) fn last_number(reader: &StoreReader) -> Result<Option<u64>, StoreError> {
    let rows = reader.range(Table::Audit, &[]..&[], 1, true)?;
    Ok(rows.first().and_then(|(key, _)| number(key)))
}

fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// The rows that are asked for. A row that this build cannot read is left out and said in the log.
///
/// # Errors
///
/// When the store cannot be read.
pub fn list(
    reader: &StoreReader,
    params: &AuditListParams,
    dropped: u64,
) -> Result<AuditListResult, StoreError> {
    let limit = usize::try_from(params.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
    let end = params
        .before
        .map_or_else(Vec::new, |number| key(number).to_vec());
    let mut result = AuditListResult {
        dropped,
        ..AuditListResult::default()
    };
    let mut more = false;
    if params.before != Some(0) {
        reader.scan(Table::Audit, &[]..&end, true, |key, value| {
            let Some(entry) = entry(key, value) else {
                return ControlFlow::Continue(());
            };
            if params.since.is_some_and(|since| last(&entry) < since) || !wanted(params, &entry) {
                return ControlFlow::Continue(());
            }
            if result.entries.len() == limit {
                more = true;
                return ControlFlow::Break(());
            }
            result.entries.push(entry);
            ControlFlow::Continue(())
        })?;
    }
    result.next_before = result.entries.last().filter(|_| more).map(|entry| entry.id);
    Ok(result)
}

fn last(entry: &AuditEntry) -> u64 {
    entry.last_ts.unwrap_or(entry.ts)
}

fn wanted(params: &AuditListParams, entry: &AuditEntry) -> bool {
    let of_device = params.device.as_deref().is_none_or(|wanted| {
        entry
            .device_id
            .as_deref()
            .is_some_and(|device| device.starts_with(wanted))
    });
    let of_kind = params.kind.as_deref().is_none_or(|wanted| {
        entry
            .kind
            .strip_prefix(wanted)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    of_device && of_kind
}

fn entry(key: &[u8], value: &[u8]) -> Option<AuditEntry> {
    match rows::decode::<AuditEntry>(Table::Audit, value) {
        Ok(entry) => Some(AuditEntry {
            id: number(key)?,
            ..entry
        }),
        Err(error) => {
            tracing::debug!(%error, "a row of the audit trail cannot be read");
            None
        }
    }
}

/// When a row was, for retention; `None` for those that are to stay for now.
pub(crate) fn age(value: &[u8], with_decisions: bool) -> Option<Millis> {
    let entry = rows::decode::<AuditEntry>(Table::Audit, value).ok()?;
    // What a later release calls a decision is not for this one to throw away.
    let decision = Kind::parse(&entry.kind).is_none_or(|kind| kind.weight() == Weight::Decision);
    (with_decisions || !decision).then(|| Millis(i64::try_from(last(&entry)).unwrap_or(i64::MAX)))
}
