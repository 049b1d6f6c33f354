//! `$include`: a configuration in several files.
//!
//! `{ $include: "./a.json5" }` is replaced by that file, a list of files is merged in order, and the
//! keys beside the directive go over the result. Objects merge key by key, lists are joined,
//! anything else is replaced. Included files must lie in the folder of `openclaw.json`, or in one
//! that `OPENCLAW_INCLUDE_ROOTS` names: otherwise who may edit a fragment could read other files.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::parse::parse;
use super::place::line_of;
use crate::state_dir::read_bounded;

const DIRECTIVE: &str = "$include";
/// Deepest chain of files that include each other.
const MAX_INCLUDE_DEPTH: usize = 10;
/// Most files that one configuration may read; a bound on fan-out, which depth is not.
const MAX_FILES: usize = 200;
/// Largest configuration file in bytes.
pub(crate) const MAX_FILE: u64 = 2 * 1024 * 1024;

/// What following every directive gave.
pub(crate) struct Included {
    pub(crate) value: Value,
    /// The files that were read, in order, without the first one.
    pub(crate) files: Vec<PathBuf>,
    /// Keys written twice in one object of an included file.
    pub(crate) duplicates: Vec<String>,
}

/// Follows every `$include` in `value`, the content of `file`, whose text is `raw`.
///
/// `roots` are further folders that may be included from.
///
/// # Errors
///
/// [`ConfigError::Include`] and [`ConfigError::Syntax`], naming the file and line.
pub(crate) fn resolve(
    file: &Path,
    raw: &str,
    value: Value,
    roots: &[PathBuf],
) -> Result<Included, ConfigError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut allowed = vec![canonical(folder)];
    allowed.extend(roots.iter().map(|root| canonical(root)));
    let mut walk = Walk {
        allowed,
        chain: vec![canonical(file)],
        files: Vec::new(),
        duplicates: Vec::new(),
    };
    let value = walk.value(&Source { file, raw }, value)?;
    Ok(Included {
        value,
        files: walk.files,
        duplicates: walk.duplicates,
    })
}

/// Merges `over` onto `under`: objects key by key, lists joined, anything else replaced.
pub(crate) fn deep_merge(under: Value, over: Value) -> Value {
    match (under, over) {
        (Value::Object(mut under), Value::Object(over)) => {
            for (key, value) in over {
                let merged = match under.remove(&key) {
                    Some(existing) => deep_merge(existing, value),
                    None => value,
                };
                under.insert(key, merged);
            }
            Value::Object(under)
        }
        (Value::Array(mut under), Value::Array(over)) => {
            under.extend(over);
            Value::Array(under)
        }
        (_, over) => over,
    }
}

/// The file whose content is being walked.
struct Source<'a> {
    file: &'a Path,
    raw: &'a str,
}

impl Source<'_> {
    /// An error at the line where `needle` (or the first directive) stands.
    fn error(&self, needle: &str, message: String) -> ConfigError {
        let line = match line_of(self.raw, needle) {
            0 => line_of(self.raw, DIRECTIVE),
            line => line,
        };
        ConfigError::Include {
            file: self.file.to_owned(),
            line,
            message,
        }
    }
}

struct Walk {
    allowed: Vec<PathBuf>,
    chain: Vec<PathBuf>,
    files: Vec<PathBuf>,
    duplicates: Vec<String>,
}

impl Walk {
    fn value(&mut self, source: &Source<'_>, value: Value) -> Result<Value, ConfigError> {
        match value {
            Value::Array(items) => {
                let items: Result<_, _> = items
                    .into_iter()
                    .map(|item| self.value(source, item))
                    .collect();
                Ok(Value::Array(items?))
            }
            Value::Object(entries) => self.object(source, entries),
            other => Ok(other),
        }
    }

    fn object(
        &mut self,
        source: &Source<'_>,
        mut entries: Map<String, Value>,
    ) -> Result<Value, ConfigError> {
        let directive = entries.remove(DIRECTIVE);
        let mut own = Map::new();
        for (key, value) in entries {
            own.insert(key, self.value(source, value)?);
        }
        let Some(directive) = directive else {
            return Ok(Value::Object(own));
        };
        let included = self.directive(source, &directive)?;
        if own.is_empty() {
            return Ok(included);
        }
        if !included.is_object() {
            let message =
                "keys beside $include need an included object; put the directive alone".to_owned();
            return Err(source.error(DIRECTIVE, message));
        }
        Ok(deep_merge(included, Value::Object(own)))
    }

    fn directive(&mut self, source: &Source<'_>, directive: &Value) -> Result<Value, ConfigError> {
        let wrong = || {
            source.error(
                DIRECTIVE,
                "expected a file name or a list of file names".to_owned(),
            )
        };
        match directive {
            Value::String(name) => self.file(source, name),
            Value::Array(names) => {
                let mut merged = Value::Object(Map::new());
                for name in names {
                    let name = name.as_str().ok_or_else(wrong)?;
                    merged = deep_merge(merged, self.file(source, name)?);
                }
                Ok(merged)
            }
            _ => Err(wrong()),
        }
    }

    fn file(&mut self, source: &Source<'_>, name: &str) -> Result<Value, ConfigError> {
        let fail = |message: String| source.error(name, message);
        if name.is_empty() || name.contains('\0') || name.len() >= 4096 {
            return Err(fail(
                "the file name is empty, too long or holds a NUL".to_owned(),
            ));
        }
        let target = source.file.parent().unwrap_or(Path::new(".")).join(name);
        let real = target
            .canonicalize()
            .map_err(|error| fail(format!("cannot read {}: {error}", target.display())))?;
        if !self.allowed.iter().any(|root| real.starts_with(root)) {
            let root = self
                .allowed
                .first()
                .map(|root| root.display().to_string())
                .unwrap_or_default();
            return Err(fail(format!(
                "{} is outside {root}; move it there, or name its folder in OPENCLAW_INCLUDE_ROOTS",
                real.display()
            )));
        }
        if self.chain.contains(&real) {
            let chain: Vec<_> = self
                .chain
                .iter()
                .chain([&real])
                .map(|file| file.display().to_string())
                .collect();
            return Err(fail(format!(
                "files include each other: {}",
                chain.join(" -> ")
            )));
        }
        if self.chain.len() > MAX_INCLUDE_DEPTH {
            return Err(fail(format!(
                "more than {MAX_INCLUDE_DEPTH} levels of included files"
            )));
        }
        if self.files.len() >= MAX_FILES {
            return Err(fail(format!("more than {MAX_FILES} included files")));
        }
        let raw = read_bounded(&real, MAX_FILE)?
            .ok_or_else(|| fail(format!("{} is gone", real.display())))?;
        let document = parse(&target, &raw)?;
        self.duplicates.extend(document.duplicates);
        self.files.push(real.clone());
        self.chain.push(real);
        let value = self.value(
            &Source {
                file: &target,
                raw: &raw,
            },
            document.value,
        );
        self.chain.pop();
        value
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Writes the files, then loads the first one.
    fn load(files: &[(&str, &str)], roots: &[PathBuf]) -> Result<Value, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let main = dir.path().join(files[0].0);
        let document = parse(&main, files[0].1).unwrap();
        let base = format!("{}/", dir.path().canonicalize().unwrap().display());
        resolve(&main, files[0].1, document.value, roots)
            .map(|included| included.value)
            .map_err(|error| error.to_string().replace(&base, ""))
    }

    #[test]
    fn a_file_replaces_the_object_and_a_list_merges() {
        let value = load(
            &[
                (
                    "main.json5",
                    "{ agents: { $include: './parts/agents.json5' }, x: { $include: ['a.json5', 'b.json5'], l: [3] } }",
                ),
                (
                    "parts/agents.json5",
                    "{ defaults: { $include: './defaults.json5' } }",
                ),
                ("parts/defaults.json5", "{ model: 'openai/gpt' }"),
                ("a.json5", "{ k: 1, deep: { a: 1 }, l: [1] }"),
                ("b.json5", "{ k: 2, deep: { b: 2 }, l: [2] }"),
            ],
            &[],
        );
        let expected = json!({
            "agents": { "defaults": { "model": "openai/gpt" } },
            "x": { "k": 2, "deep": { "a": 1, "b": 2 }, "l": [1, 2, 3] },
        });
        assert_eq!(value.unwrap(), expected);
    }

    #[test]
    fn errors_name_the_file_and_line_of_the_directive() {
        let missing = load(
            &[(
                "main.json5",
                "{\n  a: 1,\n  b: { $include: './none.json5' },\n}",
            )],
            &[],
        )
        .unwrap_err();
        assert!(
            missing.starts_with("main.json5:3: $include: cannot read ./none.json5"),
            "{missing}"
        );
        let wrong = load(&[("main.json5", "{ $include: 5 }")], &[]).unwrap_err();
        assert_eq!(
            wrong,
            "main.json5:1: $include: expected a file name or a list of file names"
        );
        let broken = load(
            &[
                ("main.json5", "{ $include: 'a.json5' }"),
                ("a.json5", "{\n a 1 }"),
            ],
            &[],
        )
        .unwrap_err();
        assert_eq!(broken, "a.json5:2:4: expected colon");
        let list = load(
            &[
                ("main.json5", "{ $include: 'a.json5', b: 1 }"),
                ("a.json5", "[]"),
            ],
            &[],
        )
        .unwrap_err();
        assert!(list.contains("need an included object"), "{list}");
    }

    #[test]
    fn cycles_and_long_chains_are_refused() {
        let cycle = load(
            &[
                ("a.json5", "{ $include: 'b.json5' }"),
                ("b.json5", "{ $include: 'a.json5' }"),
            ],
            &[],
        );
        assert_eq!(
            cycle.unwrap_err(),
            "b.json5:1: $include: files include each other: a.json5 -> b.json5 -> a.json5"
        );

        let names: Vec<String> = (0..13).map(|index| format!("f{index}.json5")).collect();
        let texts: Vec<String> = (1..14)
            .map(|index| format!("{{ $include: 'f{index}.json5' }}"))
            .collect();
        let mut files: Vec<(&str, &str)> = names
            .iter()
            .map(String::as_str)
            .zip(texts.iter().map(String::as_str))
            .collect();
        files[11].1 = "{ end: true }";
        assert!(
            load(&files, &[])
                .unwrap_err()
                .contains("more than 10 levels")
        );
        files[10].1 = "{ end: true }";
        assert_eq!(load(&files, &[]).unwrap(), json!({ "end": true }));
    }

    #[test]
    fn files_outside_the_folder_need_a_named_root() {
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("other.json5");
        std::fs::write(&secret, "{ a: 1 }").unwrap();
        let main = format!("{{ $include: '{}' }}", secret.display());
        let refused = load(&[("main.json5", &main)], &[]).unwrap_err();
        assert!(refused.contains("OPENCLAW_INCLUDE_ROOTS"), "{refused}");
        assert_eq!(
            load(&[("main.json5", &main)], &[outside.path().to_owned()]).unwrap(),
            json!({ "a": 1 })
        );
    }
}
