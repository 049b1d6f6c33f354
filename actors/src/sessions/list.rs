//! Filters, order and pages of the session list. Pure.

use openclaw_protocol::methods::sessions::{
    ArchivedFilter, SessionRow, SessionSort, SessionsListParams, SessionsListResult,
};

use super::state::{Index, Record};
use crate::clock::Millis;

/// Rows of a page when the client names no limit.
const DEFAULT_LIMIT: usize = 200;
/// Most rows of a page.
const MAX_LIMIT: usize = 1_000;

/// A page of the index, newest first; `works` says of which sessions a run is under way or waits.
pub fn page(
    index: &Index,
    params: &SessionsListParams,
    now: Millis,
    works: impl Fn(&Record) -> bool,
    row: impl Fn(&Record) -> SessionRow,
) -> SessionsListResult {
    let search = params
        .search
        .as_deref()
        .map(str::to_lowercase)
        .filter(|search| !search.is_empty());
    let oldest = params.active_minutes.map(|minutes| {
        now.get().saturating_sub(
            i64::try_from(minutes)
                .unwrap_or(i64::MAX)
                .saturating_mul(60_000),
        )
    });
    let mut matching: Vec<&Record> = index
        .records()
        .filter(|record| {
            params
                .agent_id
                .as_ref()
                .is_none_or(|agent| *agent == record.agent_id)
        })
        .filter(|record| {
            params
                .label
                .as_ref()
                .is_none_or(|label| record.label.as_ref() == Some(label))
        })
        .filter(|record| oldest.is_none_or(|oldest| record.updated_at >= oldest))
        .filter(|record| search.as_ref().is_none_or(|search| matches(record, search)))
        .filter(|record| match params.archived {
            Some(ArchivedFilter::All(_)) => true,
            Some(ArchivedFilter::Only(archived)) => record.archived == archived,
            None => !record.archived,
        })
        // Nothing is spawned yet.
        .filter(|_| params.spawned_by.is_none())
        .filter(|record| params.active_only != Some(true) || works(record))
        .collect();
    let pins = params.sort_by != Some(SessionSort::Activity);
    matching.sort_by(|a, b| {
        (b.pinned && pins)
            .cmp(&(a.pinned && pins))
            .then_with(|| b.updated_at.cmp(&a.updated_at))
            .then_with(|| a.key.cmp(&b.key))
    });
    let total = matching.len();
    let limit = params
        .limit
        .map_or(DEFAULT_LIMIT, |limit| {
            usize::try_from(limit).unwrap_or(MAX_LIMIT)
        })
        .min(MAX_LIMIT);
    let offset = params
        .offset
        .map_or(0, |offset| usize::try_from(offset).unwrap_or(usize::MAX));
    let sessions: Vec<SessionRow> = matching
        .into_iter()
        .skip(offset)
        .take(limit)
        .map(row)
        .collect();
    let next = offset.saturating_add(sessions.len());
    let more = next < total;
    SessionsListResult {
        ts: now.wire(),
        count: sessions.len() as u64,
        sessions,
        total_count: Some(total as u64),
        limit_applied: Some(limit as u64),
        next_offset: more.then_some(next as u64).into(),
        has_more: Some(more),
        ..SessionsListResult::default()
    }
}

fn matches(record: &Record, search: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(search);
    has(&record.key)
        || record.label.as_deref().is_some_and(has)
        || record.title.as_deref().is_some_and(has)
        || record.preview.as_deref().is_some_and(has)
}
