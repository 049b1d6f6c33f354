//! Text from elsewhere, made safe to show, and the few colours.

use super::Style;

/// Shows what others wrote without letting it move the cursor, change colours or reverse the
/// reading direction: names of devices that ask to be paired are written by strangers.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The same for text of several lines.
pub fn plain_lines(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if is_unsafe(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The beginning of a long id.
pub fn short(id: &str) -> String {
    plain(&id.chars().take(12).collect::<String>())
}

/// Scopes as people say them: `operator.read` is `read`.
pub fn scopes<S: AsRef<str>>(scopes: &[S]) -> String {
    if scopes.is_empty() {
        return "none".into();
    }
    let short = |scope: &S| {
        let scope = scope.as_ref();
        plain(scope.strip_prefix("operator.").unwrap_or(scope))
    };
    scopes.iter().map(short).collect::<Vec<_>>().join(", ")
}

/// `1 client`, `2 clients`.
pub fn count(number: u64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
}

/// What a word means for the one who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Not as it should be.
    Bad,
    /// Beside the point.
    Faint,
    /// A heading.
    Strong,
}

impl Style {
    /// Colours a text, where colours help.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_cannot_touch_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\r\nc\u{202e}d"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d"
        );
        assert_eq!(plain("Zoë’s π 📱"), "Zoë’s π 📱");
        assert_eq!(plain_lines("a\n\tb\u{7}"), "a\n\tb\u{fffd}");
    }

    #[test]
    fn scopes_are_said_shortly() {
        assert_eq!(
            scopes(&["operator.read", "operator.talk.secrets"]),
            "read, talk.secrets"
        );
        assert_eq!(scopes::<String>(&[]), "none");
    }
}
