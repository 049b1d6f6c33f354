//! Markdown as the HTML that Telegram takes. Pure.

use crate::channel::markup::{self, Dialect, Emphasis};

struct Html;

/// The HTML of a piece.
pub(super) fn html(markdown: &str) -> String {
    markup::render(markdown, &Html)
}

impl Dialect for Html {
    fn text(&self, out: &mut String, text: &str) {
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                c => out.push(c),
            }
        }
    }

    fn marks(&self, emphasis: Emphasis) -> (&'static str, &'static str) {
        match emphasis {
            Emphasis::Strong => ("<b>", "</b>"),
            Emphasis::Weak => ("<i>", "</i>"),
            Emphasis::Struck => ("<s>", "</s>"),
            Emphasis::Hidden => ("<tg-spoiler>", "</tg-spoiler>"),
        }
    }

    fn code(&self, out: &mut String, code: &str) {
        out.push_str("<code>");
        self.text(out, code);
        out.push_str("</code>");
    }

    fn block(&self, out: &mut String, code: &str, language: &str) {
        if language.is_empty() {
            out.push_str("<pre>");
            self.text(out, code);
            out.push_str("</pre>");
        } else {
            out.push_str("<pre><code class=\"language-");
            out.push_str(language);
            out.push_str("\">");
            self.text(out, code);
            out.push_str("</code></pre>");
        }
    }

    fn link(&self, out: &mut String, address: &str, label: &str) {
        out.push_str("<a href=\"");
        self.text(out, address);
        out.push_str("\">");
        out.push_str(label);
        out.push_str("</a>");
    }

    fn quote(&self, out: &mut String, quoted: &str) {
        out.push_str("<blockquote>");
        out.push_str(quoted);
        out.push_str("</blockquote>");
    }

    fn links(&self, address: &str) -> bool {
        let lower = address.to_lowercase();
        let known = ["https://", "http://", "tg://", "mailto:"];
        known.iter().any(|scheme| lower.starts_with(scheme))
    }
}
