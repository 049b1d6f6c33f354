//! How places in the configuration are written: `gateway.port`, `agents.list[0].id`.

/// Appends a key; one that is not a plain word is quoted in brackets.
pub(crate) fn push_key(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '*' | '/');
    if key.is_empty() || !key.chars().all(plain) {
        return format!("{path}[{}]", serde_json::Value::from(key));
    }
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Appends a list index.
pub(crate) fn push_index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Whether `path` is `outer` or a part of it.
pub(crate) fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The line (from 1) on which `needle` first stands in `text`; 0 when it does not.
pub(crate) fn line_of(text: &str, needle: &str) -> usize {
    text.find(needle)
        .map_or(0, |at| text[..at].matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_not_plain_words_are_quoted() {
        assert_eq!(push_key("", "gateway"), "gateway");
        assert_eq!(push_key("a", "b-1"), "a.b-1");
        assert_eq!(
            push_key("agents.defaults.models", "openai/gpt-4.1"),
            "agents.defaults.models[\"openai/gpt-4.1\"]"
        );
        assert_eq!(push_index("agents.list", 2), "agents.list[2]");
        assert!(is_within("agents.list[2].id", "agents.list") && is_within("a", "a"));
        assert!(!is_within("agents.listed", "agents.list"));
    }
}
