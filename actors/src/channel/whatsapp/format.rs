//! Markdown as WhatsApp writes it. Pure.

use crate::channel::markup::{self, Dialect, Emphasis};

struct WhatsApp;

/// The text of a piece.
pub(super) fn whatsapp(markdown: &str) -> String {
    markup::render(markdown, &WhatsApp)
}

impl Dialect for WhatsApp {
    fn text(&self, out: &mut String, text: &str) {
        out.push_str(text);
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
        out.push_str(code);
        out.push('`');
    }

    fn block(&self, out: &mut String, code: &str, _: &str) {
        out.push_str("```\n");
        out.push_str(code);
        out.push_str("\n```");
    }

    fn link(&self, out: &mut String, address: &str, label: &str) {
        // Addresses are shown as they are; there are no others.
        if label == address || label.is_empty() {
            out.push_str(address);
        } else {
            out.push_str(label);
            out.push_str(" (");
            out.push_str(address);
            out.push(')');
        }
    }

    fn quote(&self, out: &mut String, quoted: &str) {
        let lines: Vec<String> = quoted.lines().map(|line| format!("> {line}")).collect();
        out.push_str(&lines.join("\n"));
    }
}
