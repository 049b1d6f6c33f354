//! Pages of a transcript, read from the store.

use std::ops::Range;

use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::chat::ChatHistoryParams;
use openclaw_protocol::methods::message::Message;

use crate::store::{StoreError, StoreReader, Table, keys};

/// Messages of a page when the client names no limit.
const DEFAULT_LIMIT: usize = 200;
/// Most bytes of a page.
const MAX_BYTES: usize = 6 * 1024 * 1024;

/// A page, oldest message first.
#[derive(Debug, Default)]
pub struct Page {
    /// The messages.
    pub messages: Vec<Message>,
    /// Offset of the next older page.
    pub next_offset: Option<u64>,
    /// Messages of the whole transcript.
    pub total: u64,
}

/// Reads the page that `params` asks for; `next_seq` bounds the transcript.
///
/// # Errors
///
/// When the store cannot be read.
pub fn read(
    reader: &StoreReader,
    session_id: &str,
    next_seq: u64,
    params: &ChatHistoryParams,
) -> Result<Page, StoreError> {
    let limit = params.limit.map_or(DEFAULT_LIMIT, |limit| limit as usize);
    let offset = params.offset.unwrap_or(0);
    let newest = next_seq.saturating_sub(offset).max(1);
    let range = keys::transcript_range(session_id, 1..newest);
    let rows: Vec<(Vec<u8>, Message)> = reader.range_json(
        Table::Transcript,
        range.start.as_slice()..range.end.as_slice(),
        limit + 1,
        true,
    )?;
    let mut messages = Vec::with_capacity(rows.len().min(limit));
    let mut bytes = 0;
    let mut oldest = newest;
    let mut more = false;
    for (key, mut message) in rows {
        if messages.len() == limit {
            more = true;
            break;
        }
        if let Some(longest) = params.max_chars {
            message.cut_text(longest as usize);
        }
        bytes += to_bytes(&message).len();
        if bytes > MAX_BYTES && !messages.is_empty() {
            more = true;
            break;
        }
        oldest = keys::transcript_seq(&key).unwrap_or(oldest);
        messages.push(message);
    }
    messages.reverse();
    Ok(Page {
        messages,
        next_offset: more.then_some(next_seq - oldest),
        total: next_seq.saturating_sub(1),
    })
}

/// The newest messages with a number in `seqs`, at most `limit`, oldest first.
///
/// # Errors
///
/// When the store cannot be read.
pub fn recent(
    reader: &StoreReader,
    session_id: &str,
    seqs: Range<u64>,
    limit: usize,
) -> Result<Vec<Message>, StoreError> {
    let range = keys::transcript_range(session_id, seqs);
    let rows: Vec<(Vec<u8>, Message)> = reader.range_json(
        Table::Transcript,
        range.start.as_slice()..range.end.as_slice(),
        limit,
        true,
    )?;
    let mut messages: Vec<Message> = rows.into_iter().map(|(_, message)| message).collect();
    messages.reverse();
    Ok(messages)
}
