//! Addresses as people write them.
//!
//! `https://host`, `https://host/`, `https://host/v1`, `https://host/v1/chat/completions` and
//! `127.0.0.1:11434` all occur in configurations and all have to work.

use std::net::IpAddr;

use reqwest::Url;

use super::error::Fault;

/// Parses a base address. Without a scheme, `http` is taken for a local name or a bare IP address and
/// `https` for any other host.
pub(super) fn parse(raw: &str) -> Result<Url, Fault> {
    let text = raw.trim();
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("{}://{text}", guessed_scheme(text))
    };
    let setup = |why: String| Fault::Setup {
        detail: format!("the base address `{}` {why}", shown(raw)),
    };
    let url =
        Url::parse(&with_scheme).map_err(|error| setup(format!("is not an address ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(setup("is neither http nor https".to_owned()));
    }
    Ok(url)
}

/// The address without user name, password and query, for messages.
pub(super) fn shown(raw: &str) -> String {
    let text = raw.trim();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(s, r)| (s, r));
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let start = rest[..authority_end].rfind('@').map_or(0, |at| at + 1);
    if scheme.is_empty() {
        rest[start..].to_owned()
    } else {
        format!("{scheme}://{}", &rest[start..])
    }
}

/// The path's segments without empty ones at its end.
pub(super) fn segments(url: &Url) -> Vec<String> {
    let mut segments: Vec<String> = url
        .path_segments()
        .map(|parts| parts.map(str::to_owned).collect())
        .unwrap_or_default();
    while segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    segments
}

/// Replaces the path's last segments when they are exactly `suffix` by nothing.
pub(super) fn strip(segments: &mut Vec<String>, suffix: &[&str]) {
    if segments.len() >= suffix.len()
        && segments[segments.len() - suffix.len()..]
            .iter()
            .zip(suffix)
            .all(|(have, want)| have == want)
    {
        segments.truncate(segments.len() - suffix.len());
    }
}

/// The address with this path. `segments` that came out of an address are already encoded; `tail` is
/// encoded here.
pub(super) fn with_path(mut url: Url, segments: &[String], tail: &[&str]) -> Url {
    url.set_path(&segments.join("/"));
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(tail);
    }
    url
}

fn guessed_scheme(text: &str) -> &'static str {
    let authority = text.split('/').next().unwrap_or_default();
    let host = if let Some(end) = authority.find(']') {
        authority[..end].trim_start_matches('[')
    } else {
        authority.split(':').next().unwrap_or_default()
    };
    let local = host == "localhost"
        || matches!(host.rsplit_once('.'), Some((_, "local" | "internal")))
        || host.parse::<IpAddr>().is_ok();
    if local { "http" } else { "https" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scheme_is_guessed() {
        for (raw, want) in [
            ("127.0.0.1:11434", "http://127.0.0.1:11434/"),
            ("localhost:1234/v1", "http://localhost:1234/v1"),
            ("[::1]:8080", "http://[::1]:8080/"),
            (
                "host.docker.internal:11434",
                "http://host.docker.internal:11434/",
            ),
            ("api.example.com/v1", "https://api.example.com/v1"),
            (
                " https://api.example.com/v1/ ",
                "https://api.example.com/v1/",
            ),
        ] {
            assert_eq!(parse(raw).unwrap().as_str(), want);
        }
    }

    #[test]
    fn a_bad_address_is_named_without_its_password() {
        let error = parse("ftp://me:hunter2@host/x?key=abc").unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("ftp://host/x"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("abc"), "{text}");
        assert_eq!(shown("host/a@b"), "host/a@b");
    }

    #[test]
    fn segments_are_taken_off_and_put_on() {
        let url = parse("https://h/a%20b/v1/messages//").unwrap();
        let mut parts = segments(&url);
        strip(&mut parts, &["messages"]);
        strip(&mut parts, &["v1"]);
        strip(&mut parts, &["no", "such", "path", "at", "all"]);
        assert_eq!(parts, ["a%20b"]);
        assert_eq!(
            with_path(url, &parts, &["v1", "x y"]).as_str(),
            "https://h/a%20b/v1/x%20y"
        );
    }
}
