//! Markdown as the HTML that Telegram takes. What is not understood stays as it was written; tags are
//! always closed. Pure.

/// The HTML of a piece.
pub(super) fn html(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len() + 32);
    let mut lines = markdown.lines().peekable();
    let mut first = true;
    while let Some(line) = lines.next() {
        if !std::mem::take(&mut first) {
            out.push('\n');
        }
        if let Some((mark, language)) = fence(line) {
            let mut code = String::new();
            for inner in lines.by_ref() {
                if inner.trim_start().starts_with(mark)
                    && inner.trim().trim_matches('`').trim_matches('~').is_empty()
                {
                    break;
                }
                if !code.is_empty() {
                    code.push('\n');
                }
                code.push_str(inner);
            }
            pre(&mut out, &code, language);
            continue;
        }
        if line.trim_start().starts_with('>') {
            let mut quoted = vec![unquoted(line)];
            while let Some(next) = lines.next_if(|next| next.trim_start().starts_with('>')) {
                quoted.push(unquoted(next));
            }
            out.push_str("<blockquote>");
            inline(&mut out, &quoted.join("\n"), 0);
            out.push_str("</blockquote>");
            continue;
        }
        block(&mut out, line);
    }
    out
}

fn fence(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    for mark in ["```", "~~~"] {
        if let Some(info) = line.strip_prefix(mark)
            && !info.contains('`')
        {
            let info = info.trim_start_matches(['`', '~']).trim();
            return Some((mark, info.split_whitespace().next().unwrap_or_default()));
        }
    }
    None
}

fn pre(out: &mut String, code: &str, language: &str) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '#' | '_' | '.');
    if !language.is_empty() && language.chars().all(is_name) {
        out.push_str("<pre><code class=\"language-");
        out.push_str(language);
        out.push_str("\">");
        escape(out, code);
        out.push_str("</code></pre>");
    } else {
        out.push_str("<pre>");
        escape(out, code);
        out.push_str("</pre>");
    }
}

fn unquoted(line: &str) -> &str {
    let line = line.trim_start();
    let line = line.strip_prefix('>').unwrap_or(line);
    line.strip_prefix(' ').unwrap_or(line)
}

/// A line: a heading, a point of a list, or text.
fn block(out: &mut String, line: &str) {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let hashes = text.chars().take_while(|c| *c == '#').count();
    if (1..=6).contains(&hashes)
        && let Some(heading) = text[hashes..].strip_prefix(' ')
    {
        out.push_str("<b>");
        inline(out, heading.trim_end_matches('#').trim(), 0);
        out.push_str("</b>");
        return;
    }
    out.push_str(indent);
    let point = ["- ", "* ", "+ "]
        .iter()
        .find_map(|mark| text.strip_prefix(mark));
    if let Some(point) = point {
        out.push_str("• ");
        inline(out, point, 0);
    } else {
        inline(out, text, 0);
    }
}

/// Most tags inside of each other.
const DEPTH: usize = 8;
/// What opens and closes an emphasis, and its tag; the longer marks first.
const MARKS: &[(&str, &str)] = &[
    ("**", "b"),
    ("__", "b"),
    ("~~", "s"),
    ("||", "tg-spoiler"),
    ("*", "i"),
    ("_", "i"),
];

fn inline(out: &mut String, text: &str, depth: usize) {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let step = if depth < DEPTH {
            escaped(out, rest)
                .or_else(|| code(out, rest))
                .or_else(|| link(out, rest, depth))
                .or_else(|| emphasis(out, text, at, depth))
        } else {
            None
        };
        at += step.unwrap_or_else(|| {
            let Some(c) = rest.chars().next() else {
                return 1;
            };
            escape(out, rest.get(..c.len_utf8()).unwrap_or_default());
            c.len_utf8()
        });
    }
}

fn escaped(out: &mut String, rest: &str) -> Option<usize> {
    let next = rest.strip_prefix('\\')?.chars().next()?;
    next.is_ascii_punctuation().then(|| {
        escape(out, next.encode_utf8(&mut [0; 4]));
        2
    })
}

fn code(out: &mut String, rest: &str) -> Option<usize> {
    let ticks = rest.chars().take_while(|c| *c == '`').count();
    if ticks == 0 {
        return None;
    }
    let mark = &rest[..ticks];
    let inner = &rest[ticks..];
    let end = inner.find(mark)?;
    let content = inner[..end].trim_matches(' ');
    let content = if content.is_empty() {
        &inner[..end]
    } else {
        content
    };
    if content.is_empty() {
        return None;
    }
    out.push_str("<code>");
    escape(out, content);
    out.push_str("</code>");
    Some(ticks + end + ticks)
}

fn link(out: &mut String, rest: &str, depth: usize) -> Option<usize> {
    let inner = rest.strip_prefix('[')?;
    let close = inner.find("](")?;
    let (label, tail) = (&inner[..close], &inner[close + 2..]);
    let end = tail.find(')')?;
    let address = tail[..end].split_whitespace().next()?;
    let known = ["https://", "http://", "tg://", "mailto:"];
    let lower = address.to_lowercase();
    if label.contains(['[', '\n']) || !known.iter().any(|scheme| lower.starts_with(scheme)) {
        return None;
    }
    out.push_str("<a href=\"");
    escape(out, address);
    out.push_str("\">");
    inline(out, label, depth + 1);
    out.push_str("</a>");
    Some(1 + close + 2 + end + 1)
}

fn emphasis(out: &mut String, text: &str, at: usize, depth: usize) -> Option<usize> {
    let rest = &text[at..];
    let (mark, tag) = MARKS.iter().find(|(mark, _)| rest.starts_with(mark))?;
    let inner = &rest[mark.len()..];
    // `2 * 3` and `snake_case` are no emphasis.
    if inner.starts_with(char::is_whitespace) {
        return None;
    }
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    if mark.starts_with('_') && word(text[..at].chars().next_back()) {
        return None;
    }
    let mut from = 0;
    let end = loop {
        let end = from + inner[from..].find(mark)?;
        let after = &inner[end + mark.len()..];
        let inside = &inner[..end];
        let is_empty = inside.is_empty() || inside.ends_with(char::is_whitespace);
        let in_word = mark.starts_with('_') && word(after.chars().next());
        // A single mark is not half of a double one.
        let is_half = mark.len() == 1 && (after.starts_with(mark) || inside.ends_with(mark));
        let closes = !(is_empty || in_word || is_half);
        if closes {
            break end;
        }
        from = end + mark.len();
    };
    out.push('<');
    out.push_str(tag);
    out.push('>');
    inline(out, &inner[..end], depth + 1);
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
    Some(mark.len() * 2 + end)
}

fn escape(out: &mut String, text: &str) {
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
