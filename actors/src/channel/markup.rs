//! Markdown in the dialects of platforms. What is not understood stays as it was written; what is opened
//! is always closed. Pure.

/// How a part of a text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emphasis {
    /// `**so**`, and headings.
    Strong,
    /// `*so*`
    Weak,
    /// `~~so~~`
    Struck,
    /// `||so||`
    Hidden,
}

/// How a platform writes it.
pub(crate) trait Dialect {
    /// Text as it stands, with what has a meaning escaped.
    fn text(&self, out: &mut String, text: &str);

    /// What stands before and behind emphasised text.
    fn marks(&self, emphasis: Emphasis) -> (&'static str, &'static str);

    /// Code within a line.
    fn code(&self, out: &mut String, code: &str);

    /// Lines of code; the language is empty where none, or no plain name, is given.
    fn block(&self, out: &mut String, code: &str, language: &str);

    /// A link; its label is rendered already.
    fn link(&self, out: &mut String, address: &str, label: &str);

    /// A quotation, rendered already.
    fn quote(&self, out: &mut String, quoted: &str);

    /// Whether an address may be linked.
    fn links(&self, address: &str) -> bool {
        let lower = address.to_lowercase();
        let known = ["https://", "http://", "mailto:"];
        known.iter().any(|scheme| lower.starts_with(scheme))
    }
}

/// The text of a piece of markdown.
pub(crate) fn render(markdown: &str, dialect: &dyn Dialect) -> String {
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
            let is_name =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '#' | '_' | '.');
            let named = language.chars().all(is_name);
            dialect.block(&mut out, &code, if named { language } else { "" });
            continue;
        }
        if line.trim_start().starts_with('>') {
            let mut quoted = vec![unquoted(line)];
            while let Some(next) = lines.next_if(|next| next.trim_start().starts_with('>')) {
                quoted.push(unquoted(next));
            }
            let mut inner = String::new();
            inline(&mut inner, &quoted.join("\n"), 0, dialect);
            dialect.quote(&mut out, &inner);
            continue;
        }
        block(&mut out, line, dialect);
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

fn unquoted(line: &str) -> &str {
    let line = line.trim_start();
    let line = line.strip_prefix('>').unwrap_or(line);
    line.strip_prefix(' ').unwrap_or(line)
}

/// A line: a heading, a point of a list, or text.
fn block(out: &mut String, line: &str, dialect: &dyn Dialect) {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let hashes = text.chars().take_while(|c| *c == '#').count();
    if (1..=6).contains(&hashes)
        && let Some(heading) = text[hashes..].strip_prefix(' ')
    {
        let (open, close) = dialect.marks(Emphasis::Strong);
        out.push_str(open);
        inline(out, heading.trim_end_matches('#').trim(), 0, dialect);
        out.push_str(close);
        return;
    }
    out.push_str(indent);
    let point = ["- ", "* ", "+ "]
        .iter()
        .find_map(|mark| text.strip_prefix(mark));
    if let Some(point) = point {
        out.push_str("• ");
        inline(out, point, 0, dialect);
    } else {
        inline(out, text, 0, dialect);
    }
}

/// Most emphasis inside of another one.
const DEPTH: usize = 8;
/// What opens and closes an emphasis; the longer marks first.
const MARKS: &[(&str, Emphasis)] = &[
    ("**", Emphasis::Strong),
    ("__", Emphasis::Strong),
    ("~~", Emphasis::Struck),
    ("||", Emphasis::Hidden),
    ("*", Emphasis::Weak),
    ("_", Emphasis::Weak),
];

fn inline(out: &mut String, text: &str, depth: usize, dialect: &dyn Dialect) {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let step = if depth < DEPTH {
            escaped(out, rest, dialect)
                .or_else(|| code(out, rest, dialect))
                .or_else(|| link(out, rest, depth, dialect))
                .or_else(|| emphasis(out, text, at, depth, dialect))
        } else {
            None
        };
        at += step.unwrap_or_else(|| {
            let Some(c) = rest.chars().next() else {
                return 1;
            };
            dialect.text(out, rest.get(..c.len_utf8()).unwrap_or_default());
            c.len_utf8()
        });
    }
}

fn escaped(out: &mut String, rest: &str, dialect: &dyn Dialect) -> Option<usize> {
    let next = rest.strip_prefix('\\')?.chars().next()?;
    next.is_ascii_punctuation().then(|| {
        dialect.text(out, next.encode_utf8(&mut [0; 4]));
        2
    })
}

fn code(out: &mut String, rest: &str, dialect: &dyn Dialect) -> Option<usize> {
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
    dialect.code(out, content);
    Some(ticks + end + ticks)
}

fn link(out: &mut String, rest: &str, depth: usize, dialect: &dyn Dialect) -> Option<usize> {
    let inner = rest.strip_prefix('[')?;
    let close = inner.find("](")?;
    let (label, tail) = (&inner[..close], &inner[close + 2..]);
    let end = tail.find(')')?;
    let address = tail[..end].split_whitespace().next()?;
    if label.contains(['[', '\n']) || !dialect.links(address) {
        return None;
    }
    let mut rendered = String::new();
    inline(&mut rendered, label, depth + 1, dialect);
    dialect.link(out, address, &rendered);
    Some(1 + close + 2 + end + 1)
}

fn emphasis(
    out: &mut String,
    text: &str,
    at: usize,
    depth: usize,
    dialect: &dyn Dialect,
) -> Option<usize> {
    let rest = &text[at..];
    let (mark, emphasis) = MARKS.iter().find(|(mark, _)| rest.starts_with(mark))?;
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
    let (open, close) = dialect.marks(*emphasis);
    out.push_str(open);
    inline(out, &inner[..end], depth + 1, dialect);
    out.push_str(close);
    Some(mark.len() * 2 + end)
}
