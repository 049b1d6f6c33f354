//! The environment as the configuration sees it.
//!
//! Process variables first, then `<state>/.env`, then the file's own `env` block: each only fills
//! what the ones before it leave unset or empty. The working directory's `.env` is not read: a
//! daemon must not take secrets from wherever it happens to be started.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::state_dir::{EnvLookup, StateDirError, read_bounded};

/// Largest `.env` file in bytes.
const MAX_ENV_FILE: u64 = 256 * 1024;

/// Variables from three places, in their order of precedence.
pub struct Environment<'a> {
    process: EnvLookup<'a>,
    dotenv: BTreeMap<String, String>,
    block: BTreeMap<String, String>,
}

impl<'a> Environment<'a> {
    /// Starts with the process's variables alone.
    pub fn new(process: EnvLookup<'a>) -> Self {
        Self {
            process,
            dotenv: BTreeMap::new(),
            block: BTreeMap::new(),
        }
    }

    /// Adds the lines of `<state_dir>/.env`, if there is one.
    ///
    /// # Errors
    ///
    /// [`StateDirError`] when it exists and cannot be read.
    pub fn add_dotenv(&mut self, state_dir: &Path) -> Result<(), StateDirError> {
        if let Some(text) = read_bounded(&state_dir.join(".env"), MAX_ENV_FILE)? {
            self.dotenv = parse_dotenv(&text);
        }
        Ok(())
    }

    /// Adds the file's `env` block: `env.vars.NAME` and the short form `env.NAME`.
    pub fn add_block(&mut self, config: &Value) {
        let Some(block) = config.get("env").and_then(Value::as_object) else {
            return;
        };
        let vars = block
            .get("vars")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        self.block = block
            .iter()
            .chain(vars)
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
    }

    /// A variable's value; unset and empty are the same.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.process)(name)
            .filter(|value| !value.is_empty())
            .or_else(|| {
                self.dotenv
                    .get(name)
                    .cloned()
                    .filter(|value| !value.is_empty())
            })
            .or_else(|| {
                self.block
                    .get(name)
                    .cloned()
                    .filter(|value| !value.is_empty())
            })
    }
}

/// `NAME=value` lines; `export`, quotes and `#` comments as usual, no interpolation.
fn parse_dotenv(text: &str) -> BTreeMap<String, String> {
    let entry = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        valid.then(|| (name.to_owned(), unquote(value.trim())))
    };
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(entry)
        .collect()
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some((inside, _)) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.split_once(quote))
        {
            return inside.to_owned();
        }
    }
    value
        .split(" #")
        .next()
        .unwrap_or(value)
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn earlier_places_win_and_empty_is_unset() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join(".env"),
            "A=file\nB=\"file b\" # note\nexport C='c' \n#D=no\nE=x y # note\n",
        )
        .unwrap();
        let process = |name: &str| match name {
            "A" => Some("process".to_owned()),
            "B" => Some(String::new()),
            _ => None,
        };
        let mut env = Environment::new(&process);
        env.add_dotenv(dir.path()).unwrap();
        env.add_block(&json!({ "env": { "B": "block", "G": "short", "vars": { "F": "block f" }, "shellEnv": {} } }));

        let got = ["A", "B", "C", "D", "E", "F", "G"].map(|name| env.get(name));
        let expected = [
            Some("process"),
            Some("file b"),
            Some("c"),
            None,
            Some("x y"),
            Some("block f"),
            Some("short"),
        ];
        assert_eq!(got, expected.map(|value| value.map(str::to_owned)));
    }
}
