//! Keys whose byte order is the order that reads want.

use std::ops::Range;

/// Ends the text part of a key.
const END: u8 = 0x00;
/// Follows a zero byte that belongs to the text. A sequence number never begins with it.
const ESCAPED: u8 = 0xff;

/// Text, ended so that no text's rows lie between those of another (`a` and `ab`, `a` and `a\0b`).
pub fn text(value: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(value.len() + 9);
    for byte in value.bytes() {
        key.push(byte);
        if byte == END {
            key.push(ESCAPED);
        }
    }
    key.push(END);
    key
}

/// The key of one chat row. `seq` must be below 2^56, so that its first byte is never the escape.
pub fn transcript(session_id: &str, seq: u64) -> Vec<u8> {
    let mut key = text(session_id);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// All rows of one session, oldest first.
pub fn transcript_all(session_id: &str) -> Range<Vec<u8>> {
    let from = text(session_id);
    let mut to = from.clone();
    to.push(ESCAPED);
    from..to
}

/// The rows of one session with a number in `seqs`.
pub fn transcript_range(session_id: &str, seqs: Range<u64>) -> Range<Vec<u8>> {
    transcript(session_id, seqs.start)..transcript(session_id, seqs.end)
}

/// The key of a file that a transcript names; among [`transcript_all`] of its session. A hash may
/// begin with any byte, the escape too, so another one stands before it.
pub fn media(session_id: &str, hash: &[u8; 32]) -> Vec<u8> {
    let mut key = text(session_id);
    key.push(1);
    key.extend_from_slice(hash);
    key
}

/// The hash at the end of a file's key.
pub fn media_hash(key: &[u8]) -> Option<[u8; 32]> {
    key.last_chunk().copied()
}

/// The key of what a message took: all of them in the order of time.
pub fn usage(at: u64, session_id: &str, seq: u64) -> Vec<u8> {
    let mut key = at.to_be_bytes().to_vec();
    key.extend_from_slice(&transcript(session_id, seq));
    key
}

/// The sequence number at the end of a chat row's key.
pub fn transcript_seq(key: &[u8]) -> Option<u64> {
    key.last_chunk().copied().map(u64::from_be_bytes)
}

/// A key for a log line: its texts with a space between them, cut at 160 characters.
pub fn display(key: &[u8]) -> String {
    const LONGEST: usize = 160;
    let text = String::from_utf8_lossy(key);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_of_one_session_are_together_and_in_order(a in "[a\0]{0,4}", b in "[a\0]{0,4}", x in 0..1u64 << 40, y in 0..1u64 << 40) {
            let (left, right) = (transcript(&a, x), transcript(&b, y));
            if a == b {
                prop_assert_eq!(left.cmp(&right), x.cmp(&y));
            }
            prop_assert_eq!(transcript_all(&a).contains(&right), a == b);
            prop_assert_eq!(transcript_range(&a, 0..x).contains(&right), a == b && y < x);
            prop_assert_eq!(transcript_seq(&left), Some(x));
        }
    }
}
