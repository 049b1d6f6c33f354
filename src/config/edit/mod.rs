//! Changing the configuration file: what is to stand in it, and how its text becomes that.

mod merge;
mod restore;
mod text;

use std::path::Path;

use openclaw_actors::config::state::Wish;
use serde_json::json;

use super::error::{ConfigError, Issue};
use super::parse::parse;
use super::redact::redacted;

pub use text::Rewritten;

/// The text that a wish asks for.
#[derive(Debug)]
pub struct Edited {
    /// What is to be in the file.
    pub text: String,
    /// Whether anything but its form is another than before.
    pub changed: bool,
    /// What of the old text is lost, in words.
    pub lost: Option<String>,
}

/// Makes the text that `wish` asks for out of the text `old`, the content of `file`.
///
/// Placeholders of `config.get` stand for what they hide: the old secret at the same place.
///
/// # Errors
///
/// [`ConfigError`] for a text that is no JSON5, and each place where a placeholder hides nothing or
/// a list would lose entries.
pub fn edit(file: &Path, old: &str, wish: &Wish) -> Result<Edited, ConfigError> {
    let read = |text: &str, name: &Path| {
        if text.trim().is_empty() {
            return Ok(json!({}));
        }
        parse(name, text).map(|document| document.value)
    };
    // A whole new text repairs a file that cannot be read; a patch needs something to be merged into.
    let before = match (read(old, file), wish) {
        (Err(_), Wish::Replace(_)) => json!({}),
        (before, _) => before?,
    };
    let wrong = |issues: Vec<Issue>| ConfigError::Invalid {
        file: file.to_owned(),
        issues,
    };
    let (base, mut target) = match wish {
        Wish::Replace(raw) => (raw.as_str(), read(raw, Path::new("params.raw"))?),
        Wish::Patch { raw, replace_paths } => {
            let patch = read(raw, Path::new("params.raw"))?;
            if !patch.is_object() {
                let issue = Issue::new("", "the patch must be an object: { ... }");
                return Err(wrong(vec![issue]));
            }
            let mut target = before.clone();
            merge::merge(&mut target, &patch, replace_paths).map_err(wrong)?;
            (old, target)
        }
    };
    restore::restore(&mut target, &before, &redacted(&before)).map_err(wrong)?;
    let Rewritten { text, lost } = text::rewrite(base, &target);
    Ok(Edited {
        changed: target != before,
        text,
        lost,
    })
}

#[cfg(test)]
mod tests {
    use super::super::redact::SENTINEL;
    use super::*;

    const OLD: &str = "// mine\n{\n  // who comes in\n  gateway: { auth: { mode: 'token', token: 'my-secret-token' } }, // here\n  models: { providers: { a: { baseUrl: 'https://me:pw@host/v1', apiKey: 'key-a', models: [{ id: 'x' }, { id: 'y' }] } } },\n}\n";

    fn patched(raw: &str, replace: &[&str]) -> Result<Edited, String> {
        let wish = Wish::Patch {
            raw: raw.to_owned(),
            replace_paths: replace.iter().map(ToString::to_string).collect(),
        };
        edit(Path::new("openclaw.json"), OLD, &wish).map_err(|error| error.to_string())
    }

    #[test]
    fn a_patch_changes_its_place_and_keeps_the_rest_of_the_text() {
        let edited = patched(
            "{ agents: { defaults: { model: 'a/x' } }, gateway: { auth: { token: 'other-token' } } }",
            &[],
        )
        .unwrap();
        assert!(edited.changed && edited.lost.is_none());
        let expected = OLD.replace("'my-secret-token'", "\"other-token\"").replace(
            "{ id: 'y' }] } } },\n}",
            "{ id: 'y' }] } } },\n  \"agents\": {\n    \"defaults\": {\n      \"model\": \"a/x\",\n    },\n  },\n}",
        );
        assert_eq!(edited.text, expected);
    }

    #[test]
    fn a_patch_that_says_nothing_new_changes_nothing() {
        let edited = patched("{ gateway: { auth: { mode: 'token' } }, cron: null }", &[]).unwrap();
        assert!(!edited.changed);
        assert_eq!(edited.text, OLD);
    }

    #[test]
    fn a_placeholder_stands_for_the_secret_at_its_place_and_nowhere_else() {
        let shown = redacted(&parse(Path::new(""), OLD).unwrap().value).to_string();
        assert!(shown.contains(SENTINEL));
        let wish = Wish::Replace(shown);
        let edited = edit(Path::new("openclaw.json"), OLD, &wish).unwrap();
        assert!(!edited.changed, "{}", edited.text);
        assert!(!edited.text.contains(SENTINEL));
        let moved = patched(
            &format!("{{ models: {{ providers: {{ b: {{ apiKey: '{SENTINEL}' }} }} }} }}"),
            &[],
        );
        assert!(
            moved
                .as_ref()
                .is_err_and(|error| error.contains("models.providers.b.apiKey")),
            "{moved:?}"
        );
        // A part of an address: the rest of it may not change under the placeholder.
        let other = patched(
            &format!(
                "{{ models: {{ providers: {{ a: {{ baseUrl: 'https://{SENTINEL}@evil/v1' }} }} }} }}"
            ),
            &[],
        );
        assert!(other.is_err_and(|error| error.contains("models.providers.a.baseUrl")),);
    }

    #[test]
    fn lists_are_merged_by_id_and_lose_entries_only_on_demand() {
        let models = |edited: &Edited| {
            let value = parse(Path::new(""), &edited.text).unwrap().value;
            value["models"]["providers"]["a"]["models"].clone()
        };
        let patch =
            "{ models: { providers: { a: { models: [{ id: 'y', name: 'Y' }, { id: 'z' }] } } } }";
        let edited = patched(patch, &[]).unwrap();
        assert_eq!(
            models(&edited),
            json!([{ "id": "x" }, { "id": "y", "name": "Y" }, { "id": "z" }])
        );
        let edited = patched(patch, &["models.providers.a.models"]).unwrap();
        assert_eq!(
            models(&edited),
            json!([{ "id": "y", "name": "Y" }, { "id": "z" }])
        );
        let emptied = patched("{ models: { providers: { a: { models: [] } } } }", &[]);
        assert!(
            emptied
                .as_ref()
                .is_err_and(|error| error.contains("models.providers.a.models")
                    && error.contains("replacePaths")),
            "{emptied:?}"
        );
    }

    #[test]
    fn a_text_that_is_no_json5_is_named() {
        let error = patched("{ gateway: ", &[]).unwrap_err();
        assert!(error.starts_with("params.raw:1:"), "{error}");
        let error = patched("[]", &[]).unwrap_err();
        assert!(error.contains("must be an object"), "{error}");
    }

    #[test]
    fn a_first_file_is_written_readably() {
        let wish = Wish::Patch {
            raw: "{ gateway: { port: 1 } }".to_owned(),
            replace_paths: Vec::new(),
        };
        let edited = edit(Path::new("openclaw.json"), "", &wish).unwrap();
        assert_eq!(
            edited.text,
            "{\n  \"gateway\": {\n    \"port\": 1\n  }\n}\n"
        );
    }
}
