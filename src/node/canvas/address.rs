//! Which pages a canvas shows, and where they are. Pure.

/// What an address means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A path of the gateway, which is read with a capability.
    Gateway(String),
    /// Elsewhere.
    Elsewhere(String),
}

/// What all addresses of the gateway begin with.
const PREFIX: &str = "/__openclaw__/";
/// The pages that agents wrote.
pub(super) const CANVAS: &str = "/__openclaw__/canvas/";
/// The page that shows A2UI surfaces.
pub(super) const A2UI: &str = "/__openclaw__/a2ui/";

impl Address {
    /// Reads an address: a path of the gateway, a path below its canvas, or a page of the web.
    ///
    /// # Errors
    ///
    /// When it is another one: files of this machine are not an agent's to read.
    pub(super) fn read(url: &str) -> Result<Self, String> {
        let url = url.trim();
        let lower = url.to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            return Ok(Self::Elsewhere(url.to_owned()));
        }
        if lower.starts_with("data:") || lower == "about:blank" {
            return Ok(Self::Elsewhere(url.to_owned()));
        }
        if url.starts_with(PREFIX) {
            return Ok(Self::Gateway(url.to_owned()));
        }
        // What has a scheme before its first slash is no path.
        let first = url.split('/').next().unwrap_or_default();
        if url.is_empty() || first.contains(':') || url.starts_with("//") || url.contains('\\') {
            return Err(format!(
                "this canvas shows pages of http:, https: and data:, and paths of the gateway's canvas; not {url}"
            ));
        }
        Ok(Self::Gateway(format!(
            "{CANVAS}{}",
            url.trim_start_matches('/')
        )))
    }

    /// Where it is, with the address that the gateway gave for its pages.
    pub(super) fn resolve(&self, base: &str) -> String {
        match self {
            Self::Elsewhere(url) => url.clone(),
            Self::Gateway(path) => format!("{}{path}", base.trim_end_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_of_the_canvas_or_pages_of_the_web() {
        let base = "http://gw:1/__openclaw__/cap/t/";
        for (url, expected) in [
            ("https://example.org/a", "https://example.org/a"),
            (
                "/__openclaw__/canvas/x.html?a=b:c",
                "http://gw:1/__openclaw__/cap/t/__openclaw__/canvas/x.html?a=b:c",
            ),
            (
                "index.html",
                "http://gw:1/__openclaw__/cap/t/__openclaw__/canvas/index.html",
            ),
            ("/", "http://gw:1/__openclaw__/cap/t/__openclaw__/canvas/"),
            ("data:text/html,hi", "data:text/html,hi"),
            ("about:blank", "about:blank"),
        ] {
            assert_eq!(Address::read(url).unwrap().resolve(base), expected);
        }
        for url in [
            "",
            "file:///etc/passwd",
            "FILE:/etc/passwd",
            "javascript:alert(1)",
            "chrome://settings",
            "//host/x",
            "about:config",
            "view-source:http://x",
            "C:\\x",
        ] {
            assert!(Address::read(url).is_err(), "{url}");
        }
    }
}
