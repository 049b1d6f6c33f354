//! What an agent's answer to a heartbeat means, and whether its list says anything. Pure.

/// What an agent answers when there is nothing to tell.
pub const QUIET: &str = "HEARTBEAT_OK";

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is empty.
    Empty,
    /// There is nothing to tell: the agreed word, alone or with a few others.
    Quiet,
    /// This is told.
    Say(String),
}

/// Reads an answer. The agreed word counts at its beginning or end; with at most `most` characters
/// beside it, there is nothing to tell.
pub fn read(text: &str, most: usize) -> Answer {
    let text = text.trim();
    if text.is_empty() {
        return Answer::Empty;
    }
    // Models like to decorate it.
    let is_decoration = |c: char| c.is_whitespace() || "*_`\"'<>/b.!:-".contains(c);
    let bare = text.trim_matches(is_decoration);
    let rest = if let Some(rest) = bare.strip_prefix(QUIET) {
        rest.trim_start_matches(is_decoration)
    } else if let Some(rest) = bare.strip_suffix(QUIET) {
        rest.trim_end_matches(is_decoration)
    } else {
        return Answer::Say(text.to_owned());
    };
    if rest.chars().count() <= most {
        return Answer::Quiet;
    }
    Answer::Say(rest.trim().to_owned())
}

/// Whether a list of things to look after says nothing: blank lines, headings, and empty items.
pub fn says_nothing(list: &str) -> bool {
    let mut comment = false;
    list.lines().map(str::trim).all(|line| {
        if comment || line.starts_with("<!--") {
            comment = !line.ends_with("-->");
            return true;
        }
        let item = line
            .trim_start_matches(['-', '*', '+'])
            .trim_start()
            .trim_start_matches("[ ]")
            .trim();
        item.is_empty() || (line.starts_with('#') && is_heading(line))
    })
}

fn is_heading(line: &str) -> bool {
    let text = line.trim_start_matches('#');
    text.is_empty() || text.starts_with(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agreed_word_counts_at_either_end() {
        for quiet in [
            "HEARTBEAT_OK",
            " **HEARTBEAT_OK** ",
            "<b>HEARTBEAT_OK</b>",
            "HEARTBEAT_OK.",
            "All is well. HEARTBEAT_OK",
            "HEARTBEAT_OK - nothing new",
        ] {
            assert_eq!(read(quiet, 300), Answer::Quiet, "{quiet}");
        }
        assert_eq!(read(" \n", 300), Answer::Empty);
        let say = |text: &str| Answer::Say(text.to_owned());
        assert_eq!(read("The door is open.", 300), say("The door is open."));
        assert_eq!(
            read("I say HEARTBEAT_OK when all is well, and it is not.", 300),
            say("I say HEARTBEAT_OK when all is well, and it is not.")
        );
        let long = "x".repeat(301);
        assert_eq!(read(&format!("HEARTBEAT_OK {long}"), 300), say(&long));
        assert_eq!(read(&format!("{long}\nHEARTBEAT_OK"), 300), say(&long));
        assert_eq!(read("HEARTBEAT_OK !", 0), Answer::Quiet);
        assert_eq!(read("HEARTBEAT_OK no", 0), say("no"));
    }

    #[test]
    fn a_list_of_headings_and_empty_items_says_nothing() {
        assert!(says_nothing(""));
        assert!(says_nothing(
            "# Heartbeat\n\n-\n* \n- [ ]\n<!-- write\nhere -->\n## More\n"
        ));
        assert!(!says_nothing("# Heartbeat\n- look at the door\n"));
        assert!(!says_nothing("#door is a tag"));
        assert!(!says_nothing("<!-- note -->\nlook"));
    }
}
