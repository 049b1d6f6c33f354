//! Markdown as plain text, and ranges of it that stand out: Signal shows both, iMessage the text. Pure.

use crate::channel::markup::{self, Dialect, Emphasis};

/// Signs that no text has: while it is rendered they stand where a range begins and ends.
const SIGNS: std::ops::RangeInclusive<char> = '\u{e9a0}'..='\u{e9a9}';
/// The kinds of ranges, each with its two signs.
const STYLES: [(&str, char, char); 5] = [
    ("BOLD", '\u{e9a0}', '\u{e9a1}'),
    ("ITALIC", '\u{e9a2}', '\u{e9a3}'),
    ("STRIKETHROUGH", '\u{e9a4}', '\u{e9a5}'),
    ("SPOILER", '\u{e9a6}', '\u{e9a7}'),
    ("MONOSPACE", '\u{e9a8}', '\u{e9a9}'),
];

/// A text with its ranges, as signal-cli takes them: `start:length:STYLE`, in UTF-16 units.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Styled {
    /// The text.
    pub(crate) text: String,
    /// The ranges.
    pub(crate) styles: Vec<String>,
}

/// Markdown as text in which nothing stands out.
#[cfg(feature = "imessage")]
pub(crate) fn plain_text(markdown: &str) -> String {
    styled(markdown).text
}

struct Signs;

/// The text of a piece.
pub(crate) fn styled(markdown: &str) -> Styled {
    let signed = markup::render(markdown, &Signs);
    let mut text = String::with_capacity(signed.len());
    let mut styles = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    for c in signed.chars() {
        if let Some(style) = STYLES.iter().position(|(_, begin, _)| *begin == c) {
            open.push((style, at));
        } else if let Some(style) = STYLES.iter().position(|(_, _, end)| *end == c) {
            let from = open.iter().rposition(|(own, _)| *own == style);
            if let Some(from) = from {
                let (_, start) = open.remove(from);
                if at > start {
                    styles.push(format!("{start}:{}:{}", at - start, STYLES[style].0));
                }
            }
        } else {
            at += c.len_utf16();
            text.push(c);
        }
    }
    Styled { text, styles }
}

impl Dialect for Signs {
    fn text(&self, out: &mut String, text: &str) {
        out.extend(text.chars().filter(|c| !SIGNS.contains(c)));
    }

    fn marks(&self, emphasis: Emphasis) -> (&'static str, &'static str) {
        match emphasis {
            Emphasis::Strong => ("\u{e9a0}", "\u{e9a1}"),
            Emphasis::Weak => ("\u{e9a2}", "\u{e9a3}"),
            Emphasis::Struck => ("\u{e9a4}", "\u{e9a5}"),
            Emphasis::Hidden => ("\u{e9a6}", "\u{e9a7}"),
        }
    }

    fn code(&self, out: &mut String, code: &str) {
        out.push('\u{e9a8}');
        self.text(out, code);
        out.push('\u{e9a9}');
    }

    fn block(&self, out: &mut String, code: &str, _: &str) {
        self.code(out, code);
    }

    fn link(&self, out: &mut String, address: &str, label: &str) {
        let plain: String = label.chars().filter(|c| !SIGNS.contains(c)).collect();
        out.push_str(label);
        if plain != address {
            out.push_str(" (");
            self.text(out, address);
            out.push(')');
        }
    }

    fn quote(&self, out: &mut String, quoted: &str) {
        for (number, line) in quoted.lines().enumerate() {
            if number > 0 {
                out.push('\n');
            }
            out.push_str("> ");
            out.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markdown_becomes_text_and_ranges() {
        let found = styled("**Bold 🙂** and `code`, ~~no~~ [here](https://example.org)\n> *so*");
        assert_eq!(
            found.text,
            "Bold 🙂 and code, no here (https://example.org)\n> so"
        );
        assert_eq!(
            found.styles,
            [
                "0:7:BOLD",
                "12:4:MONOSPACE",
                "18:2:STRIKETHROUGH",
                "50:2:ITALIC"
            ]
        );
        assert_eq!(styled("\u{e9a0}plain").styles, Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn ranges_are_within_the_text(markdown in "\\PC{0,80}") {
            let found = styled(&markdown);
            let length = crate::channel::text::units(&found.text);
            for style in &found.styles {
                let mut parts = style.split(':').map(str::parse::<usize>);
                let (start, range) = (parts.next().unwrap().unwrap(), parts.next().unwrap().unwrap());
                prop_assert!(range > 0 && start + range <= length, "{style} of {length}");
            }
        }
    }
}
