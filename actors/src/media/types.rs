//! What a file is, told by its first bytes: what its sender claims may be anything.

/// The kinds of files that models can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A picture.
    Image,
    /// A PDF.
    Document,
    /// UTF-8 text of any sort.
    Text,
}

impl Kind {
    /// The kind that a MIME type of ours names.
    pub fn of_mime(mime: &str) -> Self {
        if mime.starts_with("image/") {
            Self::Image
        } else if mime == "application/pdf" {
            Self::Document
        } else {
            Self::Text
        }
    }
}

/// The pictures that every model which sees takes, by their first bytes.
fn picture(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

/// Kind and MIME type of a file; `None` when no model could be given it.
///
/// What is told of a text (`text/csv`, `application/json`) is kept, because only its sender knows.
pub(super) fn tell(bytes: &[u8], claimed: Option<&str>) -> Option<(Kind, String)> {
    if let Some(mime) = picture(bytes) {
        return Some((Kind::Image, mime.to_owned()));
    }
    if bytes.starts_with(b"%PDF-") {
        return Some((Kind::Document, "application/pdf".to_owned()));
    }
    let is_text = std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'));
    let claimed = claimed.map(base_type).unwrap_or_default();
    // A drawing of text is text to a model; the name of a picture would promise what is not there.
    let other = ["image/", "audio/", "video/"];
    if !is_text || claimed == "application/pdf" {
        return None;
    }
    let plain = claimed.is_empty()
        || claimed == "application/octet-stream"
        || other.iter().any(|family| claimed.starts_with(family));
    let mime = if claimed == "image/svg+xml" {
        "text/xml".to_owned()
    } else if plain {
        "text/plain".to_owned()
    } else {
        claimed
    };
    Some((Kind::Text, mime))
}

/// A MIME type without its parameters, as far as it is one.
fn base_type(mime: &str) -> String {
    let base = mime.split(';').next().unwrap_or_default().trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '+' | '-' | '_');
    let fits = base.len() <= 100 && base.contains('/') && base.chars().all(allowed);
    if fits {
        base.to_ascii_lowercase()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_bytes_are() {
        let told = |bytes: &[u8], claimed: &str| tell(bytes, Some(claimed));
        let png = b"\x89PNG\r\n\x1a\n....";
        assert_eq!(
            told(png, "text/plain"),
            Some((Kind::Image, "image/png".into()))
        );
        assert_eq!(
            told(b"%PDF-1.7 \x00\x01", "image/png"),
            Some((Kind::Document, "application/pdf".into()))
        );
        assert_eq!(
            told(b"a,b\n1,2\n", "text/CSV; charset=utf-8"),
            Some((Kind::Text, "text/csv".into()))
        );
        assert_eq!(
            told(b"<svg/>", "image/svg+xml"),
            Some((Kind::Text, "text/xml".into()))
        );
        assert_eq!(
            told(b"no picture", "image/png"),
            Some((Kind::Text, "text/plain".into()))
        );
        assert_eq!(told(b"no\0text", "text/plain"), None);
        assert_eq!(told(b"\xff\xfe", "application/zip"), None);
        assert_eq!(told(b"not one", "application/pdf"), None);
        assert_eq!(
            told(b"x", "a/b<script>"),
            Some((Kind::Text, "text/plain".into()))
        );
    }
}
