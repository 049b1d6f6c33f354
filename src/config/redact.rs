//! What others may see of the configuration.
//!
//! `config.get` is read by people and programs that must not learn secrets. Values under keys that
//! name a secret, credentials in addresses and the ids of references are replaced; substituted
//! variables are never in what is shown (see [`super::Loaded::display`]).

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::{ConfigError, Issue};
use super::parse::parse;
use super::{Loaded, StatePaths};

/// Stands in for a secret; writing it back means "keep what is there".
pub const SENTINEL: &str = "__OPENCLAW_REDACTED__";

/// Keys that end like one for a secret and are none.
const HARMLESS_KEYS: &[&str] = &[
    "mainkey",
    "sessionkey",
    "defaultsessionkey",
    "publickey",
    "keyprefix",
    "rawkeyprefix",
];
/// Keys whose every text is hidden, however deep.
const WHOLE_KEYS: &[&str] = &[
    "env",
    "headers",
    "serviceaccount",
    "serviceaccountref",
    "credentials",
];
/// Texts this short cannot be told apart from other text, so that `raw` is rewritten as a whole.
const MIN_REPLACED: usize = 6;

/// Whether a key names a secret.
pub(crate) fn is_sensitive_key(key: &str) -> bool {
    let key: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    if HARMLESS_KEYS.contains(&key.as_str()) {
        return false;
    }
    let endings = [
        "token",
        "password",
        "passphrase",
        "key",
        "keydata",
        "webhookurl",
        "cookie",
        "cookies",
    ];
    endings.iter().any(|ending| key.ends_with(ending))
        || key.contains("secret")
        || key == "authorization"
}

/// A copy without secrets.
pub fn redacted(value: &Value) -> Value {
    let mut hidden = Vec::new();
    hide(value, Hide::ByKey, &mut hidden)
}

#[derive(Clone, Copy, PartialEq)]
enum Hide {
    /// Keys decide.
    ByKey,
    /// Every text here is a secret.
    All,
}

/// Copies `value` without secrets, and collects what was hidden.
fn hide(value: &Value, mode: Hide, hidden: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) if mode == Hide::All => hide_text(text, hidden),
        Value::String(text) => hide_address(text, hidden),
        Value::Number(number) if mode == Hide::All => {
            hidden.push(number.to_string());
            SENTINEL.into()
        }
        Value::Array(items) => items.iter().map(|item| hide(item, mode, hidden)).collect(),
        Value::Object(entries) => Value::Object(hide_entries(entries, mode, hidden)),
        other => other.clone(),
    }
}

fn hide_entries(
    entries: &Map<String, Value>,
    mode: Hide,
    hidden: &mut Vec<String>,
) -> Map<String, Value> {
    let mut shown = Map::new();
    for (key, value) in entries {
        let lower = key.to_ascii_lowercase();
        let copy = match value {
            Value::Object(reference) if is_reference(reference) => {
                hide_reference(reference, hidden)
            }
            // A group of settings under a telling name, such as `secrets`, is looked into by key.
            Value::Object(_) if WHOLE_KEYS.contains(&lower.as_str()) => {
                hide(value, Hide::All, hidden)
            }
            Value::Object(_) => hide(value, mode, hidden),
            _ if mode == Hide::All || is_sensitive_key(key) => hide(value, Hide::All, hidden),
            _ => hide(value, mode, hidden),
        };
        shown.insert(key.clone(), copy);
    }
    shown
}

/// A whole secret; a bare `${VAR}` says where it is and not what it is.
fn hide_text(text: &str, hidden: &mut Vec<String>) -> Value {
    let variable = text.starts_with("${") && text.ends_with('}') && !text.contains(":-");
    if variable || text.is_empty() || text == SENTINEL {
        return text.into();
    }
    hidden.push(text.to_owned());
    SENTINEL.into()
}

/// Credentials inside an address: `user:password@` and parameters that name a secret.
fn hide_address(text: &str, hidden: &mut Vec<String>) -> Value {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.into();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let mut out = format!("{scheme}://");
    match authority.rsplit_once('@') {
        Some((userinfo, host)) => {
            hidden.push(userinfo.to_owned());
            out.extend([SENTINEL, "@", host]);
        }
        None => out.push_str(authority),
    }
    out.push_str(&hide_parameters(tail, hidden));
    out.into()
}

fn hide_parameters(tail: &str, hidden: &mut Vec<String>) -> String {
    let mut out = String::new();
    for part in tail.split_inclusive(['?', '&', '#']) {
        let body = part.trim_end_matches(['?', '&', '#']);
        match body.split_once('=') {
            Some((name, value)) if is_sensitive_key(name) && !value.is_empty() => {
                hidden.push(value.to_owned());
                out.extend([name, "=", SENTINEL, &part[body.len()..]]);
            }
            _ => out.push_str(part),
        }
    }
    out
}

fn is_reference(entries: &Map<String, Value>) -> bool {
    let text = |key: &str| entries.get(key).is_some_and(Value::is_string);
    text("source")
        && text("id")
        && entries
            .keys()
            .all(|key| matches!(key.as_str(), "source" | "provider" | "id"))
}

fn hide_reference(entries: &Map<String, Value>, hidden: &mut Vec<String>) -> Value {
    let mut shown = entries.clone();
    if let Some(Value::String(id)) = entries.get("id") {
        hidden.push(id.clone());
    }
    shown.insert("id".to_owned(), SENTINEL.into());
    Value::Object(shown)
}

/// The file's text without secrets, comments included; rewritten from its values when the text
/// cannot be cleaned with certainty.
fn redacted_raw(raw: &str, parsed: &Value) -> String {
    let mut hidden = Vec::new();
    let shown = hide(parsed, Hide::ByKey, &mut hidden);
    let rewritten = || serde_json::to_string_pretty(&shown).unwrap_or_default();
    hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
    hidden.dedup();
    if hidden.iter().any(|text| text.len() < MIN_REPLACED) {
        return rewritten();
    }
    let mut text = hide_in_comments(raw);
    for secret in &hidden {
        text = text.replace(secret.as_str(), SENTINEL);
    }
    match parse(std::path::Path::new(""), &text) {
        Ok(document) if document.value == shown => text,
        _ => rewritten(),
    }
}

/// Replaces what could be a secret in comments: quoted texts and long unbroken words.
fn hide_in_comments(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(first) = rest.chars().next() {
        let (comment, length) = match first {
            '"' | '\'' => (false, string_length(rest, first)),
            '/' if rest.starts_with("//") => (true, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                (true, rest.find("*/").map_or(rest.len(), |end| end + 2))
            }
            other => (false, other.len_utf8()),
        };
        let (part, after) = rest.split_at(length);
        if comment {
            out.push_str(&hide_words(part));
        } else {
            out.push_str(part);
        }
        rest = after;
    }
    out
}

fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn hide_words(comment: &str) -> String {
    let word =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '=' | '~');
    let mut out = String::new();
    let mut rest = comment;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' | '`' => rest[1..].find(first).map_or(1, |end| end + 2),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        let quoted = length > 1 && matches!(first, '"' | '\'' | '`');
        let telling = part.len() >= 16 && part.contains(|c: char| c.is_ascii_digit());
        out.push_str(if quoted || telling { SENTINEL } else { part });
        rest = after;
    }
    out
}

/// The answer to `config.get`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSnapshot {
    /// The file.
    pub path: String,
    /// Whether there is one.
    pub exists: bool,
    /// Its text; `null` when there is none or it cannot be shown.
    pub raw: Option<String>,
    /// Its values as written.
    pub parsed: Value,
    /// Whether it can be used.
    pub valid: bool,
    /// The values that count: defaults, file with its includes, environment and flags.
    pub config: Value,
    /// SHA-256 of the text, in hex.
    pub hash: String,
    /// What is wrong with it.
    pub issues: Vec<Issue>,
    /// What it is worth knowing about it.
    pub warnings: Vec<Issue>,
    /// The files it includes.
    pub included_paths: Vec<String>,
}

impl ConfigSnapshot {
    /// What may be seen of a loaded configuration.
    pub fn of(loaded: &Loaded) -> Self {
        Self {
            path: loaded.paths.config_path.display().to_string(),
            exists: loaded.raw.is_some(),
            raw: loaded
                .raw
                .as_deref()
                .map(|raw| redacted_raw(raw, &loaded.parsed)),
            parsed: redacted(&loaded.parsed),
            valid: true,
            config: redacted(&loaded.display),
            hash: loaded.hash.clone(),
            issues: Vec::new(),
            warnings: loaded
                .warnings
                .iter()
                .map(|text| Issue::new("", text.clone()))
                .collect(),
            included_paths: loaded
                .included
                .iter()
                .map(|file| file.display().to_string())
                .collect(),
        }
    }

    /// What may be seen of a file that cannot be used: nothing of its content, because what is not
    /// understood cannot be cleaned.
    pub fn invalid(paths: &StatePaths, hash: String, error: &ConfigError) -> Self {
        Self {
            path: paths.config_path.display().to_string(),
            exists: true,
            raw: None,
            parsed: Value::Null,
            valid: false,
            config: Value::Object(Map::new()),
            hash,
            issues: error.issues(),
            warnings: Vec::new(),
            included_paths: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_replaced_and_the_rest_is_kept() {
        let value = json!({
            "gateway": { "port": 1, "auth": { "mode": "token", "token": "abc", "password": 12345 } },
            "models": { "providers": { "x": {
                "baseUrl": "https://me:pw@host/v1?api_key=k1&a=b", "apiKey": { "source": "env", "id": "X_KEY" },
                "headers": { "X-Team": "t" }, "models": [{ "maxTokens": 8, "contextTokens": 9 }],
            } } },
            "channels": { "telegram": { "botToken": "1:a", "webhookSecret": "s" }, "slack": { "signingSecret": "${S}" } },
            "session": { "mainKey": "main" },
            "env": { "vars": { "A": "b" }, "shellEnv": { "enabled": true } },
            "secrets": { "providers": { "f": { "path": "/x" } } },
            "tokens": ["plain"], "privateKey": ["k"],
        });
        let s = SENTINEL;
        let expected = json!({
            "gateway": { "port": 1, "auth": { "mode": "token", "token": s, "password": s } },
            "models": { "providers": { "x": {
                "baseUrl": format!("https://{s}@host/v1?api_key={s}&a=b"), "apiKey": { "source": "env", "id": s },
                "headers": { "X-Team": s }, "models": [{ "maxTokens": 8, "contextTokens": 9 }],
            } } },
            "channels": { "telegram": { "botToken": s, "webhookSecret": s }, "slack": { "signingSecret": "${S}" } },
            "session": { "mainKey": "main" },
            "env": { "vars": { "A": s }, "shellEnv": { "enabled": true } },
            "secrets": { "providers": { "f": { "path": "/x" } } },
            "tokens": ["plain"], "privateKey": [s],
        });
        assert_eq!(redacted(&value), expected);
    }

    fn clean(raw: &str) -> String {
        redacted_raw(raw, &parse(std::path::Path::new(""), raw).unwrap().value)
    }

    #[test]
    fn the_text_keeps_its_form_and_loses_its_secrets() {
        let raw = "{\n  // was 'old-secret', sk-0123456789abcdef01, see docs\n  token: 'my-secret-1', // my-secret-1\n  port: 1,\n}";
        let expected = format!(
            "{{\n  // was {SENTINEL}, {SENTINEL}, see docs\n  token: '{SENTINEL}', // {SENTINEL}\n  port: 1,\n}}"
        );
        assert_eq!(clean(raw), expected);
    }

    #[test]
    fn a_text_that_cannot_be_cleaned_is_rewritten() {
        let escaped = clean("{ token: 'my-\\x73ecret' /* c */ }");
        assert!(
            !escaped.contains("x73") && escaped.contains(SENTINEL),
            "{escaped}"
        );
        let short = clean("{ token: 'to', port: 1 }");
        assert_eq!(
            short,
            format!("{{\n  \"port\": 1,\n  \"token\": \"{SENTINEL}\"\n}}")
        );
    }

    #[test]
    fn slashes_in_texts_are_no_comments() {
        assert_eq!(
            clean("{ url: 'https://host/a', x: \"// 'kept'\" }"),
            "{ url: 'https://host/a', x: \"// 'kept'\" }"
        );
    }
}
