//! Markdown as Slack's mrkdwn. Pure.

use crate::channel::markup::{self, Dialect, Emphasis};

struct Mrkdwn;

/// The mrkdwn of a piece.
pub(super) fn mrkdwn(markdown: &str) -> String {
    markup::render(markdown, &Mrkdwn)
}

impl Dialect for Mrkdwn {
    fn text(&self, out: &mut String, text: &str) {
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                // What stands in these calls people and channels.
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                c => out.push(c),
            }
        }
    }

    fn marks(&self, emphasis: Emphasis) -> (&'static str, &'static str) {
        match emphasis {
            Emphasis::Strong => ("*", "*"),
            Emphasis::Weak => ("_", "_"),
            Emphasis::Struck => ("~", "~"),
            Emphasis::Hidden => ("", ""),
        }
    }

    fn code(&self, out: &mut String, code: &str) {
        out.push('`');
        self.text(out, code);
        out.push('`');
    }

    fn block(&self, out: &mut String, code: &str, _: &str) {
        out.push_str("```\n");
        self.text(out, code);
        out.push_str("\n```");
    }

    fn link(&self, out: &mut String, address: &str, label: &str) {
        out.push('<');
        self.text(out, &address.replace('|', "%7C"));
        out.push('|');
        out.push_str(label);
        out.push('>');
    }

    fn quote(&self, out: &mut String, quoted: &str) {
        let lines: Vec<String> = quoted.lines().map(|line| format!("> {line}")).collect();
        out.push_str(&lines.join("\n"));
    }
}
