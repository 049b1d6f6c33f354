//! Reads the end of a growing file, from a cursor on.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use openclaw_protocol::methods::logs::{LogsTailParams, LogsTailResult};

/// Lines when the client names no number.
const DEFAULT_LINES: usize = 500;
/// Bytes when the client names no number.
const DEFAULT_BYTES: u64 = 250_000;
/// Most bytes of one answer.
const MAX_BYTES: u64 = 1_000_000;

/// Whole lines from the cursor on, or the last ones when there is no cursor. A cursor beyond the
/// end means that the file began anew, and reading does too.
///
/// # Errors
///
/// When the file cannot be read.
pub fn read(path: &Path, params: &LogsTailParams) -> io::Result<LogsTailResult> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let budget = params
        .max_bytes
        .map_or(DEFAULT_BYTES, u64::from)
        .clamp(1, MAX_BYTES);
    let limit = params
        .limit
        .map_or(DEFAULT_LINES, |limit| limit as usize)
        .max(1);
    let reset = params.cursor.is_some_and(|cursor| cursor > size);
    let cursor = params.cursor.filter(|_| !reset);
    let start = cursor.unwrap_or(0).max(size.saturating_sub(budget));
    let skipped = start > cursor.unwrap_or(0);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(size - start).read_to_end(&mut bytes)?;
    // The last line may still be under way.
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if skipped && !lines.is_empty() {
        // It began in the middle.
        lines.remove(0);
    }
    let surplus = lines.len().saturating_sub(limit);
    lines.drain(..surplus);
    Ok(LogsTailResult {
        file: path.display().to_string(),
        cursor: start + end as u64,
        size,
        lines,
        truncated: Some(skipped && cursor.is_some() || surplus > 0),
        reset: Some(reset),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn tail(
        path: &Path,
        cursor: Option<u64>,
        limit: Option<u32>,
        max_bytes: Option<u32>,
    ) -> LogsTailResult {
        read(
            path,
            &LogsTailParams {
                cursor,
                limit,
                max_bytes,
            },
        )
        .unwrap()
    }

    #[test]
    fn a_cursor_reads_each_whole_line_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = File::create(&path).unwrap();
        write!(file, "one\ntwo\nthr").unwrap();
        let first = tail(&path, None, None, None);
        assert_eq!(first.lines, ["one", "two"]);
        writeln!(file, "ee").unwrap();
        let second = tail(&path, Some(first.cursor), None, None);
        assert_eq!(second.lines, ["three"]);
        assert!(
            tail(&path, Some(second.cursor), None, None)
                .lines
                .is_empty()
        );
        let anew = tail(&path, Some(10_000), None, None);
        assert_eq!((anew.reset, anew.lines.len()), (Some(true), 3));
    }

    #[test]
    fn an_answer_is_bounded_in_lines_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let lines: Vec<String> = (0..100).map(|n| format!("line {n:03}")).collect();
        let text = lines.join("\n") + "\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(
            tail(&path, None, Some(2), None).lines,
            ["line 098", "line 099"]
        );
        let few = tail(&path, Some(0), None, Some(25));
        assert_eq!(
            (few.lines, few.truncated),
            (
                vec!["line 098".to_owned(), "line 099".to_owned()],
                Some(true)
            )
        );
    }
}
