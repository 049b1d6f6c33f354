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

/// Most messages, and their stored bytes, that are caught up with after a cursor.
const MAX_CAUGHT_UP: (usize, usize) = (200, 1_000_000);

/// Most messages that are searched for one by its name.
const MAX_SEARCHED: usize = 10_000;

/// A page, oldest message first.
#[derive(Debug, Default)]
pub struct Page {
    /// The messages.
    pub messages: Vec<Message>,
    /// Offset of the next older page.
    pub next_offset: Option<u64>,
    /// Messages of the whole transcript.
    pub total: u64,
    /// Number of its newest message, 0 where it has none.
    pub newest: u64,
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
    let mut seen = 0;
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
        seen = seen.max(oldest);
        messages.push(message);
        Ok(ControlFlow::Continue(()))
    })?;
    messages.reverse();
    Ok(Page {
        messages,
        next_offset: more.then_some(next_seq - oldest),
        total: next_seq.saturating_sub(1),
        newest: seen,
    })
}

/// The page in whose middle a message is, and how many messages are newer than it; `None` where there
/// is no such message.
///
/// # Errors
///
/// When the store cannot be read.
pub fn around(
    reader: &StoreReader,
    session_id: &str,
    next_seq: u64,
    seq: u64,
    params: &ChatHistoryParams,
) -> Result<Option<(Page, u64)>, StoreError> {
    let limit = params.limit.map_or(DEFAULT_LIMIT as u64, u64::from);
    let holds = |message: &Message| {
        let meta = message.meta.as_ref();
        meta.and_then(|meta| meta.seq) == Some(seq)
    };
    // Where the messages behind it fill the page by their size, the page ends with it.
    for newer in [limit / 2, 0] {
        let offset = next_seq.saturating_sub(seq + newer + 1);
        let params = ChatHistoryParams {
            offset: Some(offset),
            ..params.clone()
        };
        let page = read(reader, session_id, next_seq, &params)?;
        if page.messages.iter().any(holds) {
            return Ok(Some((page, offset)));
        }
    }
    Ok(None)
}

/// What came after the message `after`, oldest first, with the number of the newest; `None` where
/// that is more than a client is caught up with.
///
/// Rows of one transcript are committed in the order of their numbers, so that none can appear
/// behind the newest that was read.
///
/// # Errors
///
/// When the store cannot be read.
pub fn since(
    reader: &StoreReader,
    session_id: &str,
    after: u64,
) -> Result<Option<(Vec<Message>, u64)>, StoreError> {
    let range = keys::transcript_range(session_id, after + 1..u64::MAX);
    let (mut messages, mut bytes, mut newest) = (Vec::new(), 0, after);
    let mut outcome = Ok(true);
    reader.scan(
        Table::Transcript,
        range.start.as_slice()..range.end.as_slice(),
        false,
        |key, value| {
            bytes += value.len();
            if messages.len() == MAX_CAUGHT_UP.0 || bytes > MAX_CAUGHT_UP.1 {
                outcome = Ok(false);
                return ControlFlow::Break(());
            }
            match rows::decode(Table::Transcript, value) {
                Ok(message) => messages.push(message),
                Err(error) => {
                    outcome = Err(error);
                    return ControlFlow::Break(());
                }
            }
            newest = keys::transcript_seq(key).unwrap_or(newest);
            ControlFlow::Continue(())
        },
    )?;
    Ok(outcome?.then_some((messages, newest)))
}

/// Where a client goes on after a page: names its transcript and newest message.
pub fn cursor(session_id: &str, newest: u64) -> String {
    format!("{newest}.{session_id}")
}

/// The number that a cursor names; `None` where it belongs to another transcript, or to rows that
/// are not there.
pub fn after_cursor(cursor: &str, session_id: &str, next_seq: u64) -> Option<u64> {
    let (newest, of) = cursor.split_once('.')?;
    let newest = newest.parse().ok()?;
    (of == session_id && newest < next_seq).then_some(newest)
}

/// The number of a message in its transcript, by its name. Most names hold it; for those that were
/// given with the message, its rows are searched, the newest first.
///
/// # Errors
///
/// When the store cannot be read.
pub fn seq_of(
    reader: &StoreReader,
    session_id: &str,
    message_id: &str,
) -> Result<Option<u64>, StoreError> {
    if let Some(seq) = numbered(session_id, message_id) {
        return Ok(Some(seq));
    }
    let range = keys::transcript_range(session_id, 1..u64::MAX);
    let (mut left, mut found) = (MAX_SEARCHED, None);
    newest_first(reader, &range, |_, value| {
        left -= 1;
        // Decoding each row of a long transcript would take a second.
        if std::str::from_utf8(value).is_ok_and(|text| text.contains(message_id)) {
            let message: Message = rows::decode(Table::Transcript, value)?;
            let meta = message.meta.unwrap_or_default();
            found = meta.seq.filter(|_| meta.id.as_deref() == Some(message_id));
        }
        let over = found.is_some() || left == 0;
        Ok(if over {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    Ok(found)
}

fn numbered(session_id: &str, message_id: &str) -> Option<u64> {
    let seq = message_id.strip_prefix(session_id)?.strip_prefix('-')?;
    seq.parse()
        .ok()
        .filter(|seq| (1..u64::MAX / 2).contains(seq))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_transcript() {
        let given = cursor("a-transcript", 7);
        assert_eq!(after_cursor(&given, "a-transcript", 8), Some(7));
        assert_eq!(after_cursor(&given, "another", 8), None);
        // Rows that it names are not there: an older copy of the store is in use.
        assert_eq!(after_cursor(&given, "a-transcript", 7), None);
        for odd in ["", ".", "7", "-1.t", "99999999999999999999.t"] {
            assert_eq!(after_cursor(odd, "t", 8), None, "{odd}");
        }
    }

    #[test]
    fn most_names_hold_the_number_of_their_message() {
        assert_eq!(numbered("id", "id-3"), Some(3));
        for odd in [
            "id",
            "id-",
            "id-x",
            "id-0",
            "other-3",
            "id-18446744073709551615",
        ] {
            assert_eq!(numbered("id", odd), None, "{odd}");
        }
    }
}
