//! What people write, as ours. Pure.

use super::line::{Line, is_channel, lower, mask, same};
use crate::channel::{ChatKind, Inbound, Sender, Target};

/// The message of a PRIVMSG line; `None` where it is none for us. `names` are the nicks that are ours.
pub(super) fn inbound(line: &Line<'_>, names: [&str; 2], id: String, at: i64) -> Option<Inbound> {
    // Servers have no mask; notices never come here, so that bots do not answer each other.
    let nick = line.nick()?;
    if names.first().is_some_and(|own| same(nick, own)) {
        return None;
    }
    let to = line.param(0);
    // `@#room` was told to the operators of `#room` only, who would be answered before everybody.
    let (chat, kind) = if is_channel(to) {
        (lower(to), ChatKind::Group)
    } else if names.iter().any(|own| same(to, own)) {
        (nick.to_owned(), ChatKind::Direct)
    } else {
        return None;
    };
    let text = plain(&spoken(line.words())?);
    let (text, addressed) = addressed(text.trim(), names);
    if text.is_empty() {
        return None;
    }
    let mentioned = kind == ChatKind::Direct || addressed || is_named(text, names);
    Some(Inbound {
        id,
        message_id: None,
        title: (kind == ChatKind::Group).then(|| to.to_owned()),
        space: None,
        chat: Target { chat, thread: None },
        kind,
        sender: Sender {
            id: mask(line.prefix),
            name: Some(nick.to_owned()),
            username: None,
        },
        roles: Vec::new(),
        mentioned,
        text: text.to_owned(),
        quote: None,
        files: Vec::new(),
        at,
    })
}

/// The text of a message; an action is text too, other commands of clients are not.
fn spoken(text: &str) -> Option<String> {
    let Some(command) = text.strip_prefix('\x01') else {
        return Some(text.to_owned());
    };
    let action = command.strip_prefix("ACTION ")?;
    Some(format!("* {}", action.trim_end_matches('\x01')))
}

/// The text without colours and the like.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // A colour: up to two digits, and another one behind a comma.
            '\x03' => {
                for part in 0..2 {
                    if part == 1 && chars.next_if_eq(&',').is_none() {
                        break;
                    }
                    for _ in 0..2 {
                        if chars.next_if(char::is_ascii_digit).is_none() {
                            break;
                        }
                    }
                }
            }
            '\x04' => {
                for _ in 0..6 {
                    if chars.next_if(char::is_ascii_hexdigit).is_none() {
                        break;
                    }
                }
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The text without `nick:` before it, and whether that was there.
fn addressed<'t>(text: &'t str, names: [&str; 2]) -> (&'t str, bool) {
    if let Some((first, rest)) = text.split_once([':', ',']) {
        let first = first.strip_prefix('@').unwrap_or(first);
        if names.iter().any(|own| same(first, own)) {
            return (rest.trim_start(), true);
        }
    }
    (text, false)
}

/// Whether a word of the text is one of our nicks.
fn is_named(text: &str, names: [&str; 2]) -> bool {
    let in_nick = |c: char| c.is_alphanumeric() || "-_[]\\{}|^`".contains(c);
    let mut words = text.split(|c: char| !in_nick(c));
    words.any(|word| names.iter().any(|own| same(word, own)))
}
