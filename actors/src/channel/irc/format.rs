//! An answer as lines of a channel. Pure.

use crate::channel::markup::{self, Dialect, Emphasis};

/// Most lines that one piece may become, so that it leaves within its time at the pace of servers.
const MOST: usize = 16;

struct Irc;

impl Dialect for Irc {
    fn text(&self, out: &mut String, text: &str) {
        // What is not printed has a meaning: \x01 begins a command of a client.
        out.extend(text.chars().filter(|c| !c.is_control() || *c == '\n'));
    }

    fn marks(&self, emphasis: Emphasis) -> (&'static str, &'static str) {
        match emphasis {
            Emphasis::Strong => ("\x02", "\x02"),
            Emphasis::Weak => ("\x1d", "\x1d"),
            Emphasis::Struck => ("\x1e", "\x1e"),
            Emphasis::Hidden => ("", ""),
        }
    }

    fn code(&self, out: &mut String, code: &str) {
        out.push('`');
        self.text(out, code);
        out.push('`');
    }

    fn block(&self, out: &mut String, code: &str, _: &str) {
        self.text(out, &code.replace('\t', "    "));
    }

    fn link(&self, out: &mut String, address: &str, label: &str) {
        out.push_str(label);
        if label != address {
            out.push_str(" (");
            self.text(out, address);
            out.push(')');
        }
    }

    fn quote(&self, out: &mut String, quoted: &str) {
        let lines: Vec<String> = quoted.lines().map(|line| format!("> {line}")).collect();
        out.push_str(&lines.join("\n"));
    }
}

/// The lines of a piece, each of at most `room` bytes; none for what has no text.
pub(super) fn lines(markdown: &str, room: usize) -> Vec<String> {
    let text = markup::render(markdown, &Irc);
    let mut lines = Vec::new();
    // A server ends a line at either of them.
    for line in text.split(['\r', '\n']) {
        let mut rest = line.trim_end();
        while rest.len() > room {
            let (head, tail) = rest.split_at(cut(rest, room));
            lines.push(head.trim_end().to_owned());
            rest = tail.trim_start();
        }
        if !rest.trim().is_empty() {
            lines.push(rest.to_owned());
        }
    }
    while lines.len() > MOST {
        let before = lines.len();
        lines = joined(lines, room);
        if lines.len() == before {
            break;
        }
    }
    lines
}

/// Where a line that is too long is cut: behind a word, else between characters.
fn cut(line: &str, room: usize) -> usize {
    let end = line.floor_char_boundary(room.max(4));
    let space = line[..end].rfind(' ').filter(|at| *at > end / 2);
    space.unwrap_or(end)
}

/// Short lines, two in one.
fn joined(lines: Vec<String>, room: usize) -> Vec<String> {
    let mut fewer: Vec<String> = Vec::new();
    let mut open = false;
    for line in lines {
        match fewer.last_mut() {
            Some(last) if open && last.len() + 3 + line.len() <= room => {
                last.push_str(" | ");
                last.push_str(&line);
                open = false;
            }
            _ => {
                fewer.push(line);
                open = true;
            }
        }
    }
    fewer
}
