//! Cuts an answer into messages of a platform: at paragraphs, then lines, then words, with fenced code
//! kept whole where it fits. Pure.

/// How answers are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Most UTF-16 units of one message.
    pub limit: usize,
}

/// Length as platforms count it, UTF-16 units.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// A run of lines that belong together.
struct Block<'a> {
    text: &'a str,
    /// The opening line of fenced code.
    fence: Option<&'a str>,
}

/// Cuts markdown into pieces, each within the limit; none for a text without content.
pub fn pieces(markdown: &str, split: Split) -> Vec<String> {
    let limit = split.limit.max(64);
    let mut pieces = Vec::new();
    let mut current = String::new();
    for block in blocks(markdown.trim()) {
        let joined = units(&current) + 2 + units(block.text);
        if !current.is_empty() && joined <= limit {
            current.push_str("\n\n");
            current.push_str(block.text);
            continue;
        }
        if !current.is_empty() {
            pieces.push(std::mem::take(&mut current));
        }
        if units(block.text) <= limit {
            block.text.clone_into(&mut current);
            continue;
        }
        let mut cut = match block.fence {
            Some(fence) => cut_fence(block.text, fence, limit),
            None => cut_lines(block.text, limit),
        };
        current = cut.pop().unwrap_or_default();
        pieces.append(&mut cut);
    }
    pieces.push(current);
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

/// The fence that a line opens, with its indentation left out.
fn fence_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let mark = line
        .chars()
        .next()
        .filter(|mark| matches!(mark, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    // Inline code may begin a line, but has no backtick behind its opening.
    let info = &line[length..];
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some(line)
}

fn marks(fence: &str) -> &str {
    let mark = fence.chars().next().unwrap_or('`');
    let end = fence.find(|c| c != mark).unwrap_or(fence.len());
    &fence[..end]
}

fn closes(line: &str, fence: &str) -> bool {
    let line = line.trim();
    line.starts_with(marks(fence)) && line.chars().all(|c| fence.starts_with(c))
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut start: Option<usize> = None;
    let mut fence: Option<&str> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let (from, bare) = (at, line.trim_end_matches('\n'));
        at += line.len();
        if let Some(open) = fence {
            if closes(bare, open) {
                let begin = start.take().unwrap_or(from);
                blocks.push(Block {
                    text: text[begin..at].trim_end(),
                    fence: Some(open),
                });
                fence = None;
            }
            continue;
        }
        if let Some(open) = fence_of(bare) {
            if let Some(begin) = start.take() {
                blocks.push(Block {
                    text: text[begin..from].trim_end(),
                    fence: None,
                });
            }
            (fence, start) = (Some(open), Some(from));
        } else if bare.trim().is_empty() {
            if let Some(begin) = start.take() {
                blocks.push(Block {
                    text: text[begin..from].trim_end(),
                    fence: None,
                });
            }
        } else {
            start.get_or_insert(from);
        }
    }
    if let Some(begin) = start {
        blocks.push(Block {
            text: text[begin..].trim_end(),
            fence,
        });
    }
    blocks
}

/// Cuts fenced code at lines; every part is fenced by itself.
fn cut_fence(text: &str, fence: &str, limit: usize) -> Vec<String> {
    let close = marks(fence);
    let frame = units(fence) + units(close) + 2;
    let mut body: Vec<&str> = text.lines().skip(1).collect();
    if body.last().is_some_and(|line| closes(line, fence)) {
        body.pop();
    }
    // An opening line that leaves no room is no fence worth keeping.
    if frame + 16 > limit {
        return cut_lines(text, limit);
    }
    cut_lines(&body.join("\n"), limit - frame)
        .into_iter()
        .map(|part| format!("{fence}\n{part}\n{close}"))
        .collect()
}

/// Cuts text at lines, then at spaces, then anywhere between characters.
fn cut_lines(text: &str, limit: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut current = String::new();
    for line in text.split('\n') {
        let mut rest = line;
        loop {
            let before = if current.is_empty() {
                0
            } else {
                units(&current) + 1
            };
            if before + units(rest) <= limit {
                if !current.is_empty() {
                    current.push('\n');
                }
                current.push_str(rest);
                break;
            }
            if !current.is_empty() {
                parts.push(std::mem::take(&mut current));
                continue;
            }
            let end = prefix(rest, limit);
            let cut = rest[..end]
                .rfind(' ')
                .filter(|at| *at > end / 2)
                .unwrap_or(end);
            parts.push(rest[..cut].to_owned());
            rest = rest[cut..].trim_start_matches(' ');
        }
    }
    parts.push(current);
    parts
}

/// Bytes of the longest beginning of at most `limit` units; at least one character.
fn prefix(text: &str, limit: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.len_utf16();
        if used > limit && at > 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &str, limit: usize) -> Vec<String> {
        pieces(text, Split { limit })
    }

    #[test]
    fn short_texts_stay_whole_and_empty_ones_vanish() {
        assert_eq!(cut("a\n\nb", 100), ["a\n\nb"]);
        assert!(cut(" \n\n ", 100).is_empty());
    }

    #[test]
    fn code_that_fits_is_never_cut() {
        let code = format!("```rust\n{}\n```", "let x = 1;\n".repeat(6).trim_end());
        let text = format!("{}\n\n{code}\n\nbye", "word ".repeat(10).trim_end());
        let parts = cut(&text, 100);
        assert_eq!(parts[1], format!("{code}\n\nbye"));
    }

    #[test]
    fn code_that_does_not_fit_is_fenced_in_every_part() {
        let code = format!("```sh\n{}\n```", "echo hello world\n".repeat(30).trim_end());
        let parts = cut(&code, 120);
        assert!(parts.len() > 3);
        for part in &parts {
            assert!(
                part.starts_with("```sh\n") && part.ends_with("\n```"),
                "{part}"
            );
        }
        let lines: usize = parts.iter().map(|part| part.lines().count() - 2).sum();
        assert_eq!(lines, 30);
    }

    #[test]
    fn a_blank_line_behind_a_full_message_has_no_room_in_it() {
        let full = "x".repeat(64);
        assert_eq!(cut_lines(&format!("{full}\n\ny"), 64), [full.as_str(), "y"]);
    }

    #[test]
    fn blank_lines_in_code_do_not_end_it() {
        let text = "```\na\n\nb\n```";
        assert_eq!(cut(text, 100), [text]);
    }

    proptest! {
        #[test]
        fn nothing_is_longer_than_the_limit_and_no_word_is_lost(text in "[a-z 😀\n`]{0,600}", limit in 64usize..200) {
            let parts = cut(&text, limit);
            for part in &parts {
                prop_assert!(units(part) <= limit, "{} > {limit}: {part:?}", units(part));
            }
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic() || *c == '😀').collect::<String>();
            let whole: String = parts.iter().map(|part| letters(part)).collect();
            // An info string behind a fence may stand in several parts.
            if !text.contains("```") {
                prop_assert_eq!(whole, letters(&text));
            }
        }
    }
}
