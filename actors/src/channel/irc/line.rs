//! Lines of the protocol (RFC 2812; message tags of `IRCv3`). Pure.

/// A line from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Who it is from: a server, or `nick!user@host`.
    pub(super) prefix: &'a str,
    /// A word in capitals, or three digits.
    pub(super) command: &'a str,
    /// What belongs to it; only the last one may hold spaces.
    pub(super) params: Vec<&'a str>,
}

impl<'a> Line<'a> {
    /// Reads a line without its end; `None` where it has no command.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line.trim_start_matches(' ');
        if rest.starts_with('@') {
            // Tags: none of them is asked for, some servers send them nevertheless.
            rest = rest.split_once(' ')?.1.trim_start_matches(' ');
        }
        let mut prefix = "";
        if let Some(tail) = rest.strip_prefix(':') {
            (prefix, rest) = tail.split_once(' ')?;
        }
        let mut params = Vec::new();
        let mut command = "";
        while !rest.is_empty() {
            rest = rest.trim_start_matches(' ');
            if command.is_empty() {
                (command, rest) = word(rest);
            } else if let Some(last) = rest.strip_prefix(':') {
                params.push(last);
                break;
            } else if !rest.is_empty() {
                let (param, tail) = word(rest);
                params.push(param);
                rest = tail;
            }
        }
        (!command.is_empty()).then_some(Self {
            prefix,
            command,
            params,
        })
    }

    /// A parameter; empty where there is none.
    pub(super) fn param(&self, at: usize) -> &'a str {
        self.params.get(at).copied().unwrap_or_default()
    }

    /// The last parameter, where servers put their words.
    pub(super) fn words(&self) -> &'a str {
        self.params.last().copied().unwrap_or_default()
    }

    /// The nick that it is from; `None` for a server.
    pub(super) fn nick(&self) -> Option<&'a str> {
        self.prefix.split_once('!').map(|(nick, _)| nick)
    }
}

fn word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// A name as servers compare it: `{}|^` are the small letters of `[]\~`.
pub fn lower(name: &str) -> String {
    let small = |c| match c {
        '[' => '{',
        ']' => '}',
        '\\' => '|',
        '~' => '^',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(small).collect()
}

/// Whether two names are the same one to a server.
pub(super) fn same(one: &str, other: &str) -> bool {
    lower(one) == lower(other)
}

/// A person's mask, as lists of people hold it. The `~` before an unproven user name is no letter.
pub(super) fn mask(prefix: &str) -> String {
    prefix.to_lowercase()
}

/// Whether a name is that of a channel.
pub(super) fn is_channel(name: &str) -> bool {
    name.starts_with(['#', '&', '+', '!'])
}

/// Whether a text can be the name of a nick or a channel: one parameter, and one receiver.
pub fn is_name(name: &str) -> bool {
    let taken = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ':' | '!' | '@');
    let bare = name.strip_prefix('!').unwrap_or(name);
    !bare.is_empty() && name.len() <= 64 && !bare.contains(taken)
}
