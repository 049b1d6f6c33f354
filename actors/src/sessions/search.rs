//! Search in transcripts: every word has to be there. Nothing is indexed: a scan reads some hundred
//! megabytes a second, and what it looks at is bounded.

use std::ops::ControlFlow;

use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::session_search::{SearchHit, SessionsSearchResult};

use super::history::newest_first;
use super::record::Record;
use crate::store::{StoreError, StoreReader, Table, keys, rows};

/// Most stored bytes that one search reads.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Most hits that are compared.
const MAX_FOUND: usize = 1_000;
/// Characters of a snippet before the first word, and behind its beginning.
const AROUND: (usize, usize) = (60, 140);

/// What is looked for.
#[derive(Debug)]
pub struct Query {
    words: Vec<String>,
    limit: usize,
}

impl Query {
    /// The words of a text; `None` when there are none.
    pub fn new(text: &str, limit: usize) -> Option<Self> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        (!words.is_empty()).then_some(Self { words, limit })
    }

    /// How well a text fits, and where it begins to; `None` when a word is missing. A whole phrase
    /// counts more than its words.
    fn rate(&self, text: &str) -> Option<(f64, usize)> {
        let text = text.to_lowercase();
        let mut score = 0.0;
        for word in &self.words {
            let count = text.matches(word.as_str()).take(10).count();
            if count == 0 {
                return None;
            }
            score += 1.0 + f64::from(u8::try_from(count).unwrap_or(u8::MAX)) / 10.0;
        }
        let phrase = self.words.join(" ");
        let whole = text.find(&phrase);
        if self.words.len() > 1 && whole.is_some() {
            score *= 2.0;
        }
        let first = whole.or_else(|| text.find(&self.words[0]))?;
        Some((score, text[..first].chars().count()))
    }

    /// Looks through the transcripts, in their order, each from its newest row on.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn run(
        &self,
        reader: &StoreReader,
        sessions: &[Record],
    ) -> Result<SessionsSearchResult, StoreError> {
        let mut found: Vec<SearchHit> = Vec::new();
        let (mut bytes, mut cut) = (0, false);
        for record in sessions {
            let range = keys::transcript_range(&record.session_id, 1..record.next_seq);
            newest_first(reader, &range, |_, value| {
                bytes += value.len();
                if bytes > MAX_BYTES || found.len() >= MAX_FOUND {
                    cut = true;
                    return Ok(ControlFlow::Break(()));
                }
                let row: Message = rows::decode(Table::Transcript, value)?;
                found.extend(self.hit(record, &row));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        found.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| b.timestamp.cmp(&a.timestamp))
        });
        cut |= found.len() > self.limit;
        found.truncate(self.limit);
        Ok(SessionsSearchResult {
            results: found,
            truncated: cut.then_some(true),
        })
    }

    fn hit(&self, record: &Record, row: &Message) -> Option<SearchHit> {
        if !matches!(row.role, MessageRole::User | MessageRole::Assistant) {
            return None;
        }
        let meta = row.meta.as_ref()?;
        if meta.command == Some(true) {
            return None;
        }
        let text = row.plain_text();
        let (score, at) = self.rate(&text)?;
        Some(SearchHit {
            session_key: record.key.to_string(),
            session_id: record.session_id.to_string(),
            message_id: meta.id.clone()?,
            role: row.role,
            timestamp: row.timestamp.or(meta.record_timestamp_ms).unwrap_or(0),
            snippet: snippet(&text, at),
            score,
        })
    }
}

/// What stands around a place of a text, in one line.
fn snippet(text: &str, at: usize) -> String {
    let start = at.saturating_sub(AROUND.0);
    let length = at - start + AROUND.1;
    let cut: String = text.chars().skip(start).take(length).collect();
    let line = cut.split_whitespace().collect::<Vec<_>>().join(" ");
    let before = if start > 0 { "…" } else { "" };
    let behind = if text.chars().nth(start + length).is_some() {
        "…"
    } else {
        ""
    };
    format!("{before}{line}{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_to_be_there_and_a_phrase_fits_best() {
        let query = Query::new(" Blue  TRAIN ", 10).unwrap();
        let score = |text| query.rate(text).map(|(score, _)| score);
        assert_eq!(score("a blue car"), None);
        let apart = score("the train is blue").unwrap();
        let more = score("train, train, blue").unwrap();
        let phrase = score("The Blue Train leaves").unwrap();
        assert!(phrase > more && more > apart);
        assert!(Query::new(" \n", 10).is_none());
    }

    #[test]
    fn a_snippet_shows_the_place_in_any_script() {
        let text = format!("{}蓝色的火车\n{}", "前".repeat(100), "后".repeat(300));
        let query = Query::new("火车", 1).unwrap();
        let (_, at) = query.rate(&text).unwrap();
        assert_eq!(at, 103);
        let shown = snippet(&text, at);
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.contains("火车 后"));
        assert_eq!(snippet("short", 0), "short");
    }
}
