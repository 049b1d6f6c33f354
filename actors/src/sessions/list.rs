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
    let pins = params.sort_by != Some(SessionSort::Activity);
    let fits = |record: &&Record| {
        let agent = params.agent_id.as_ref();
        let label = params.label.as_ref();
        agent.is_none_or(|agent| *agent == record.agent_id)
            && label.is_none_or(|label| record.label.as_ref() == Some(label))
            && oldest.is_none_or(|oldest| record.updated_at >= oldest)
            && search.as_ref().is_none_or(|search| matches(record, search))
            && (params.active_only != Some(true) || works(record))
            // Nothing is spawned yet.
            && params.spawned_by.is_none()
    };
    let everything = params.agent_id.is_none()
        && params.label.is_none()
        && oldest.is_none()
        && search.is_none()
        && params.active_only != Some(true)
        && params.spawned_by.is_none();
    let archived = match params.archived {
        Some(ArchivedFilter::All(_)) => None,
        Some(ArchivedFilter::Only(archived)) => Some(archived),
        None => Some(false),
    };
    let mut matching: Vec<&Record> = Vec::new();
    // What most clients ask for costs no more than the page; what is looked for is looked for in all of it.
    let (rows, total): (Box<dyn Iterator<Item = &Record> + '_>, usize) = match archived {
        Some(archived) if everything => (
            Box::new(index.ordered(archived, pins)),
            index.count(archived),
        ),
        Some(archived) => {
            matching.extend(index.ordered(archived, pins).filter(fits));
            let total = matching.len();
            (Box::new(matching.into_iter()), total)
        }
        None => {
            matching.extend(index.records().filter(fits));
            matching.sort_by(|a, b| {
                (b.pinned && pins)
                    .cmp(&(a.pinned && pins))
                    .then_with(|| b.updated_at.cmp(&a.updated_at))
                    .then_with(|| a.key.cmp(&b.key))
            });
            let total = matching.len();
            (Box::new(matching.into_iter()), total)
        }
    };
    let limit = params
        .limit
        .map_or(DEFAULT_LIMIT, |limit| {
            usize::try_from(limit).unwrap_or(MAX_LIMIT)
        })
        .min(MAX_LIMIT);
    let offset = params
        .offset
        .map_or(0, |offset| usize::try_from(offset).unwrap_or(usize::MAX));
    let sessions: Vec<SessionRow> = rows.skip(offset).take(limit).map(row).collect();
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
