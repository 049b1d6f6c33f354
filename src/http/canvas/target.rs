//! What a path of the canvas names, read in one way only.

use openclaw_actors::canvas::address::PREFIX;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A file of the canvas, by its decoded path below the folder; empty, or with a slash at its end, a folder.
    Page(String),
    /// A file of the page that shows A2UI surfaces, as [`Wanted::Page`].
    A2ui(String),
    /// To be told of changes.
    Changes,
}

/// A path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The capability in front of it.
    pub(super) capability: Option<String>,
    /// What it names.
    pub(super) wanted: Wanted,
}

impl Target {
    /// Reads a path as it stands in the request; `None` when it names nothing of the canvas.
    pub(super) fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix(PREFIX)?;
        let (capability, rest) = match rest.strip_prefix("cap/") {
            None => (None, rest),
            Some(rest) => {
                let (token, rest) = rest.split_once('/')?;
                // Upstream's clients put whole paths behind it.
                let rest = rest.strip_prefix("__openclaw__/")?;
                (Some(token.to_owned()), rest)
            }
        };
        let wanted = match rest.split_once('/') {
            Some(("canvas", page)) => Wanted::Page(decoded(page)?),
            Some(("a2ui", page)) => Wanted::A2ui(decoded(page)?),
            None if rest == "ws" => Wanted::Changes,
            _ => return None,
        };
        Some(Self { capability, wanted })
    }
}

/// Each segment decoded once; `None` when one of them would be another path, or leads upwards.
fn decoded(path: &str) -> Option<String> {
    let segments: Option<Vec<String>> = path.split('/').map(segment).collect();
    let segments = segments?;
    let (_, folders) = segments.split_last()?;
    let named = folders.iter().all(|segment| !segment.is_empty());
    let upwards = segments
        .iter()
        .any(|segment| segment.starts_with('.') || segment.contains(['/', '\\', '\0']));
    (named && !upwards).then(|| segments.join("/"))
}

fn segment(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let code = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(code).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str) -> Option<String> {
        match Target::of(path)?.wanted {
            Wanted::Page(page) => Some(page),
            Wanted::A2ui(_) | Wanted::Changes => None,
        }
    }

    #[test]
    fn a_path_has_one_reading() {
        for (path, wanted) in [
            ("/__openclaw__/canvas/", ""),
            ("/__openclaw__/canvas/a/b.html", "a/b.html"),
            ("/__openclaw__/canvas/a%20b/", "a b/"),
            ("/__openclaw__/canvas/%C3%A4", "ä"),
            ("/__openclaw__/cap/t/__openclaw__/canvas/x", "x"),
        ] {
            assert_eq!(page(path).as_deref(), Some(wanted), "{path}");
        }
        for path in [
            "/__openclaw__/canvas",
            "/__openclaw__/canvas/..",
            "/__openclaw__/canvas/../x",
            "/__openclaw__/canvas/a//b",
            "/__openclaw__/canvas//etc/passwd",
            "/__openclaw__/canvas/%2e%2e/x",
            "/__openclaw__/canvas/.hidden",
            "/__openclaw__/canvas/a%2fb",
            "/__openclaw__/canvas/a%5cb",
            "/__openclaw__/canvas/%ff",
            "/__openclaw__/canvas/%00",
            "/__openclaw__/canvas/%2",
            "/__openclaw__/cap/t/canvas/x",
            "/__openclaw__/cap/t",
            "/__openclaw__/cap/",
            "/__openclaw__/other/x",
            "/canvas/x",
        ] {
            assert_eq!(Target::of(path), None, "{path}");
        }
        let doubly = page("/__openclaw__/canvas/%252e%252e%252fx");
        assert_eq!(doubly.as_deref(), Some("%2e%2e%2fx"));
        let a2ui = Target::of("/__openclaw__/a2ui/").unwrap();
        assert_eq!(a2ui.wanted, Wanted::A2ui(String::new()));
        let changes = Target::of("/__openclaw__/cap/t/__openclaw__/ws").unwrap();
        assert_eq!(changes.wanted, Wanted::Changes);
        assert_eq!(changes.capability.as_deref(), Some("t"));
    }
}
