//! Text that is broken between words where a terminal would break inside of them, also while it comes
//! in pieces. Blocks of code are left as they are: people copy them.

/// Breaks a text as it comes; without a width it goes through untouched.
#[derive(Debug, Default)]
pub struct Wrap {
    width: usize,
    /// Where the next character stands.
    column: usize,
    /// Blanks before the word at hand.
    blanks: usize,
    /// A word whose end has not come yet.
    word: String,
    /// How the line at hand begins.
    start: String,
    code: bool,
}

/// What begins and ends a block of code.
const FENCE: &str = "```";

impl Wrap {
    /// For lines of this many columns.
    pub fn new(width: Option<u16>) -> Self {
        Self {
            width: width.map_or(0, usize::from),
            ..Self::default()
        }
    }

    /// Takes a piece of the text, and gives back what can be shown of it.
    pub fn push(&mut self, text: &str) -> String {
        if self.width == 0 {
            return text.to_owned();
        }
        let mut out = String::new();
        for letter in text.chars() {
            self.letter(letter, &mut out);
        }
        out
    }

    /// The word that nothing followed.
    pub fn end(&mut self) -> String {
        let mut out = String::new();
        self.flush(&mut out);
        out
    }

    fn letter(&mut self, letter: char, out: &mut String) {
        if letter == '\n' {
            self.flush(out);
            if self.start.starts_with(FENCE) {
                self.code = !self.code;
            }
            out.push('\n');
            (self.column, self.blanks) = (0, 0);
            return self.start.clear();
        }
        if self.start.len() < FENCE.len() && !(letter == ' ' && self.start.is_empty()) {
            self.start.push(letter);
        }
        match letter {
            _ if self.code => out.push(letter),
            ' ' => {
                self.flush(out);
                self.blanks += 1;
            }
            // Between these, lines may end anywhere.
            wide if columns(wide) == 2 => {
                self.flush(out);
                self.word.push(wide);
                self.flush(out);
            }
            letter => self.word.push(letter),
        }
    }

    fn flush(&mut self, out: &mut String) {
        if self.word.is_empty() {
            return;
        }
        let needed: usize = self.word.chars().map(columns).sum();
        if self.column > 0 && self.column + self.blanks + needed > self.width {
            out.push('\n');
            self.column = 0;
        } else {
            out.extend(std::iter::repeat_n(' ', self.blanks));
            self.column += self.blanks;
        }
        self.blanks = 0;
        out.push_str(&self.word);
        self.column += needed;
        self.word.clear();
    }
}

/// A whole text, broken.
pub fn wrapped(text: &str, width: Option<u16>) -> String {
    let mut wrap = Wrap::new(width);
    let mut out = wrap.push(text);
    out += &wrap.end();
    out
}

/// How many columns a character takes: two for those of East Asian scripts and pictures.
fn columns(letter: char) -> usize {
    match u32::from(letter) {
        0x300..0x370 | 0x200b..0x2010 | 0xfe00..0xfe10 => 0,
        0x1100..0x1160
        | 0x2e80..0xa4d0
        | 0xac00..0xd7a4
        | 0xf900..0xfb00
        | 0xfe30..0xfe70
        | 0xff00..0xff61
        | 0x1_f300..0x1_fb00
        | 0x2_0000..0x4_0000 => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words() {
        assert_eq!(wrapped("one two three", Some(8)), "one two\nthree");
        assert_eq!(
            wrapped("one two  three\n\n  four", Some(20)),
            "one two  three\n\n  four"
        );
        assert_eq!(
            wrapped("a word-that-is-too-long b", Some(8)),
            "a\nword-that-is-too-long\nb"
        );
        assert_eq!(wrapped("one two three", None), "one two three");
    }

    #[test]
    fn pieces_come_to_the_same_as_the_whole() {
        let text = "Here is how it works, in a few words:\n```\nlet a_very_long_line_of_code = 1; // as it is\n```\nAnd 你好世界你好世界 on it goes";
        let whole = wrapped(text, Some(12));
        assert!(
            whole.contains("let a_very_long_line_of_code = 1; // as it is"),
            "{whole}"
        );
        let prose = whole.lines().filter(|line| !line.contains("let "));
        for line in prose {
            assert!(line.chars().map(columns).sum::<usize>() <= 12, "{line}");
        }
        for size in [1, 3, 7] {
            let mut wrap = Wrap::new(Some(12));
            let letters: Vec<char> = text.chars().collect();
            let mut out = String::new();
            for piece in letters.chunks(size) {
                out += &wrap.push(&piece.iter().collect::<String>());
            }
            out += &wrap.end();
            assert_eq!(out, whole);
        }
    }

    #[test]
    fn what_has_no_blanks_is_shown_as_it_comes() {
        let mut wrap = Wrap::new(Some(40));
        assert_eq!(wrap.push("你好"), "你好");
        assert_eq!(wrap.push("a wor"), "a");
        assert_eq!(wrap.push("d "), " word");
    }
}
