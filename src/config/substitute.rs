//! `${VAR}` in strings.
//!
//! Names are upper case (`[A-Z_][A-Z0-9_]*`); `${VAR:-text}` falls back to `text` when the variable
//! is unset or empty; `$${VAR}` is the literal `${VAR}`. Anything else stays as written.

use serde_json::Value;

use super::place::{push_index, push_key};

/// A reference to a variable that is not set; the string was left as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Where the string stands, as in `gateway.auth.token`.
    pub(crate) path: String,
    /// The variable.
    pub(crate) name: String,
    /// Whether the reference is all there is to the string.
    pub(crate) whole: bool,
}

/// Replaces every reference in `value` and returns those that have no value.
///
/// The `env` block is left alone: it defines variables and uses none.
pub(crate) fn substitute(value: &mut Value, get: &dyn Fn(&str) -> Option<String>) -> Vec<Missing> {
    let mut missing = Vec::new();
    if let Value::Object(sections) = value {
        for (name, section) in sections.iter_mut().filter(|(name, _)| *name != "env") {
            walk(section, name, get, &mut missing);
        }
    }
    missing
}

fn walk(
    value: &mut Value,
    path: &str,
    get: &dyn Fn(&str) -> Option<String>,
    missing: &mut Vec<Missing>,
) {
    match value {
        Value::String(text) if text.contains("${") => {
            let (replaced, names) = expand(text, get);
            let whole = names.len() == 1 && *text == format!("${{{}}}", names[0]);
            missing.extend(names.into_iter().map(|name| Missing {
                path: path.to_owned(),
                name,
                whole,
            }));
            *text = replaced;
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &push_index(path, index), get, missing);
            }
        }
        Value::Object(entries) => {
            for (key, entry) in entries {
                walk(entry, &push_key(path, key), get, missing);
            }
        }
        _ => {}
    }
}

/// One string: the result, and the names that have no value.
fn expand(text: &str, get: &dyn Fn(&str) -> Option<String>) -> (String, Vec<String>) {
    let mut out = String::with_capacity(text.len());
    let mut missing = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(reference) = Reference::parse(rest) else {
            out.push_str("${");
            rest = &rest[2..];
            continue;
        };
        let (source, after) = rest.split_at(reference.length);
        rest = after;
        if escaped {
            out.pop();
            out.push_str(source);
        } else if let Some(value) = get(reference.name).or(reference.fallback.map(str::to_owned)) {
            out.push_str(&value);
        } else {
            missing.push(reference.name.to_owned());
            out.push_str(source);
        }
    }
    out.push_str(rest);
    (out, missing)
}

struct Reference<'a> {
    name: &'a str,
    fallback: Option<&'a str>,
    length: usize,
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let inside = text.strip_prefix("${")?;
        let inside = &inside[..inside.find('}')?];
        let (name, fallback) = match inside.split_once(":-") {
            Some((name, fallback)) => (name, Some(fallback)),
            None => (inside, None),
        };
        let plain = fallback.is_none_or(|text| !text.contains(['$', '{']));
        (is_variable_name(name) && plain).then_some(Self {
            name,
            fallback,
            length: inside.len() + 3,
        })
    }
}

/// Whether `name` can be referenced: upper-case letters, digits and `_`, no digit first.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    first
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn get(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".to_owned()),
            "NESTED" => Some("${A}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn references_fallbacks_and_escapes() {
        let cases = [
            ("${A}", "one"),
            ("x-${A}-${A}.", "x-one-one."),
            ("${NONE:-60}", "60"),
            ("${NONE:-}", ""),
            ("${A:-x}", "one"),
            ("$${A}", "${A}"),
            ("$${A} ${A}", "${A} one"),
            ("${NESTED}", "${A}"),
            ("${lower} ${A ${A:=x} $A", "${lower} ${A ${A:=x} $A"),
            ("${", "${"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &get), (expected.to_owned(), vec![]), "{text}");
        }
    }

    #[test]
    fn a_missing_variable_keeps_its_text_and_names_its_place() {
        let mut value = json!({ "gateway": { "auth": { "token": "${T}" } }, "list": ["a ${U}"], "env": { "X": "${V}" } });
        let missing = substitute(&mut value, &get);
        let expected = [("gateway.auth.token", "T", true), ("list[0]", "U", false)].map(
            |(path, name, whole)| Missing {
                path: path.to_owned(),
                name: name.to_owned(),
                whole,
            },
        );
        assert_eq!(missing, expected);
        assert_eq!(value["gateway"]["auth"]["token"], "${T}");
    }

    proptest! {
        #[test]
        fn never_panics(text in r"([$:}{A-]|\PC)*") {
            expand(&text, &get);
        }
    }
}
