//! Pages of a transcript, read from the store.

use std::ops::{ControlFlow, Range};

use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::chat::ChatHistoryParams;
use openclaw_protocol::methods::message::Message;

use crate::store::{StoreError, StoreReader, Table, keys, rows};

/// Messages of a page when the client names no limit.
const DEFAULT_LIMIT: usize = 200;
/// Most bytes of a page.
const MAX_BYTES: usize = 6 * 1024 * 1024;
/// Most stored bytes that are taken for a run's context or a preview: text of four bytes a token fills
/// a context of two million tokens with them.
const RECENT_BYTES: usize = 8 * 1024 * 1024;

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
    let mut messages = Vec::new();
    let mut bytes = 0;
    let mut oldest = newest;
    let mut more = false;
    // One row at a time: a page is full long before the memory of a thousand large rows is needed.
    newest_first(reader, &range, |key, value| {
        if messages.len() == limit {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        let mut message: Message = rows::decode(Table::Transcript, value)?;
        bytes += match params.max_chars {
            Some(longest) => {
                message.cut_text(longest as usize);
                to_bytes(&message).len()
            }
            None => value.len(),
        };
        if bytes > MAX_BYTES && !messages.is_empty() {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        oldest = keys::transcript_seq(key).unwrap_or(oldest);
        messages.push(message);
        Ok(ControlFlow::Continue(()))
    })?;
    messages.reverse();
    Ok(Page {
        messages,
        next_offset: more.then_some(next_seq - oldest),
        total: next_seq.saturating_sub(1),
    })
}

/// The newest messages with a number in `seqs`, at most `limit` and about [`RECENT_BYTES`], oldest
/// first. The newest one is always there, however large it is.
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
    let mut messages = Vec::new();
    let mut bytes = 0;
    newest_first(reader, &range, |_, value| {
        bytes += value.len();
        if messages.len() == limit || (bytes > RECENT_BYTES && !messages.is_empty()) {
            return Ok(ControlFlow::Break(()));
        }
        messages.push(rows::decode(Table::Transcript, value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    messages.reverse();
    Ok(messages)
}

/// Shows rows of the transcript, the newest first, until `visit` breaks or fails.
pub(super) fn newest_first(
    reader: &StoreReader,
    range: &Range<Vec<u8>>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    reader.scan(
        Table::Transcript,
        range.start.as_slice()..range.end.as_slice(),
        true,
        |key, value| {
            visit(key, value).unwrap_or_else(|error| {
                outcome = Err(error);
                ControlFlow::Break(())
            })
        },
    )?;
    outcome
}
