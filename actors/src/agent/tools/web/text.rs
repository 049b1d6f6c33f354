//! The text of a web page. Pure; a page is never more than read once from front to back.

/// Elements whose content is not read.
const SILENT: [&str; 8] = [
    "script", "style", "noscript", "template", "svg", "iframe", "head", "select",
];
/// Elements that begin a new paragraph.
const BLOCKS: [&str; 22] = [
    "p",
    "div",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "nav",
    "ul",
    "ol",
    "table",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "pre",
    "blockquote",
    "form",
    "dl",
    "figure",
];
/// Elements that begin a new line.
const LINES: [&str; 5] = ["br", "li", "tr", "dt", "dd"];

/// Whether a text without a type is a web page.
pub(super) fn looks_like_html(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(200).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html") || start.contains("<head")
}

/// Title and text of a page.
pub(super) fn of_html(html: &str) -> (Option<String>, String) {
    let mut reader = Reader::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        reader.text(&rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
        if !is_tag {
            reader.text("<");
            rest = &rest[1..];
            continue;
        }
        let Some(end) = rest.find('>') else {
            break;
        };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let name = reader.tag(tag);
        // Scripts hold `<` that begins nothing: they are passed over to their own end.
        if matches!(name.as_str(), "script" | "style" | "title" | "textarea") {
            let close = find_close(rest, &name);
            if name == "title" && reader.title.is_none() {
                let title = words(&unescape(&rest[..close]));
                reader.title = Some(title).filter(|title| !title.is_empty());
            }
            rest = &rest[close..];
        }
    }
    if !rest.starts_with('<') {
        reader.text(rest);
    }
    (reader.title, reader.out.trim().to_owned())
}

/// Where `</name` begins; the end of the page when it never does.
fn find_close(rest: &str, name: &str) -> usize {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</") {
        let start = from + at;
        let candidate = rest.as_bytes().get(start + 2..start + 2 + name.len());
        if candidate.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
            return start;
        }
        from = start + 2;
    }
    rest.len()
}

#[derive(Default)]
struct Reader {
    title: Option<String>,
    out: String,
    /// Names of open elements that are not read.
    silent: Vec<String>,
}

impl Reader {
    /// Notes a tag; gives the name of one that opens.
    fn tag(&mut self, tag: &str) -> String {
        let closes = tag.starts_with('/');
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase();
        // A page whose head is never closed still has its body.
        if name == "body" {
            self.silent.clear();
        }
        if SILENT.contains(&name.as_str()) && !tag.ends_with('/') {
            if closes {
                if let Some(at) = self.silent.iter().rposition(|open| *open == name) {
                    self.silent.truncate(at);
                }
            } else if self.silent.len() < 32 {
                self.silent.push(name.clone());
            }
        }
        if self.silent.is_empty() {
            if BLOCKS.contains(&name.as_str()) {
                self.breaks(2);
            } else if LINES.contains(&name.as_str()) {
                self.breaks(1);
                if name == "li" && !closes {
                    self.out.push_str("- ");
                }
            } else if matches!(name.as_str(), "td" | "th") {
                self.space();
            }
        }
        if closes { String::new() } else { name }
    }

    fn text(&mut self, raw: &str) {
        if !self.silent.is_empty() || raw.is_empty() {
            return;
        }
        let text = unescape(raw);
        if text.starts_with(char::is_whitespace) {
            self.space();
        }
        let said = words(&text);
        self.out.push_str(&said);
        if !said.is_empty() && text.ends_with(char::is_whitespace) {
            self.space();
        }
    }

    fn space(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with(char::is_whitespace) {
            self.out.push(' ');
        }
    }

    fn breaks(&mut self, wanted: usize) {
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        if self.out.is_empty() {
            return;
        }
        let there = self.out.len() - self.out.trim_end_matches('\n').len();
        for _ in there..wanted {
            self.out.push('\n');
        }
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest[1..]
            .char_indices()
            .take(32)
            .find(|(_, c)| *c == ';')
            .map(|(end, _)| end + 1);
        if let Some((c, end)) = end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            out.push(c);
            rest = &rest[end + 1..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control() || c.is_whitespace());
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "copy" => '©',
        "euro" => '€',
        "middot" => '·',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_keeps_its_words_and_loses_its_machinery() {
        let html = "<!doctype html><html><head><title>The &quot;title&quot;</title><style>p{}</style>\
            <script>if (a < b) document.write('<p>no</p>')</script></head><body><!-- no <p>no</p> -->\
            <nav><ul><li>one<li>two</ul></nav><h1>Head&shy;line</h1><p>a  <b>b</b>c\n<i>d</i> 1 < 2</p>\
            <table><tr><td>x</td><td>y</td></tr></table><noscript>no</noscript><svg><text>no</text></svg></body></html>";
        let (title, text) = of_html(html);
        assert_eq!(title.as_deref(), Some("The \"title\""));
        assert_eq!(text, "- one\n- two\n\nHead&shy;line\n\na bc d 1 < 2\n\nx y");
        assert!(looks_like_html(html));
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(html in "[a<>/!\\-&;#x0-9 ]{0,60}|(<(script|title|p|head|!--)[> ]?|</script>|x|ä){0,20}") {
            let (_, text) = of_html(&html);
            prop_assert!(text.len() <= html.len() * 3);
        }
    }
}
