//! `secrets`: where references to secrets lead, and what they hold.
//!
//! A reference is resolved once, when the configuration is loaded. One that cannot be resolved is
//! an error of whoever needs the secret, not of the whole file: a key for a model that nobody uses
//! does not keep the daemon from starting.

mod input;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use input::{SecretFault, SecretInput, SecretRef, SecretSource};

use super::environment::Environment;
use crate::state_dir::{StatePaths, read_bounded};

/// Largest secrets file in bytes.
const MAX_SECRET_FILE: u64 = 1024 * 1024;
/// The provider that a reference means when neither it nor `secrets.defaults` names one.
const DEFAULT_PROVIDER: &str = "default";

/// `secrets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Secrets {
    /// Providers by name.
    pub providers: BTreeMap<String, SecretProvider>,
    /// The provider of references that name none.
    pub defaults: SecretDefaults,
}

/// `secrets.providers.<name>`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretProvider {
    /// Its kind.
    pub source: SecretSource,
    /// The file of a `file` provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How that file is read.
    #[serde(default)]
    pub mode: SecretFileMode,
    /// The only variables that an `env` provider may give; any when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowlist: Option<Vec<String>>,
}

/// `secrets.providers.<name>.mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SecretFileMode {
    /// A JSON object; a reference's id is a JSON pointer into it.
    #[default]
    Json,
    /// One secret; a reference's id is `value`.
    SingleValue,
}

/// `secrets.defaults`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretDefaults {
    /// For `env` references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// For `file` references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Secrets {
    /// Follows one reference.
    ///
    /// # Errors
    ///
    /// [`SecretFault`] with the reason and the remedy.
    pub(crate) fn follow(
        &self,
        reference: &SecretRef,
        env: &Environment<'_>,
        paths: &StatePaths,
    ) -> Result<SecretString, SecretFault> {
        let name = reference
            .provider
            .as_deref()
            .or(self.default_of(reference.source))
            .unwrap_or(DEFAULT_PROVIDER);
        let provider = self.providers.get(name);
        if provider.is_some_and(|provider| provider.source != reference.source) {
            return Err(SecretFault::new(format!(
                "secrets.providers.{name} is not of source \"{}\"",
                reference.source.name()
            )));
        }
        match reference.source {
            SecretSource::Env => from_env(&reference.id, name, provider, env),
            SecretSource::File => from_file(&reference.id, name, provider, paths),
            SecretSource::Exec | SecretSource::Store => Err(SecretFault::new(format!(
                "secrets of source \"{}\" are not supported; use source \"env\" or \"file\"",
                reference.source.name()
            ))),
        }
    }

    fn default_of(&self, source: SecretSource) -> Option<&str> {
        match source {
            SecretSource::Env => self.defaults.env.as_deref(),
            SecretSource::File => self.defaults.file.as_deref(),
            SecretSource::Exec | SecretSource::Store => None,
        }
    }
}

fn from_env(
    id: &str,
    name: &str,
    provider: Option<&SecretProvider>,
    env: &Environment<'_>,
) -> Result<SecretString, SecretFault> {
    if provider.is_none() && name != DEFAULT_PROVIDER {
        return Err(SecretFault::new(format!(
            "secrets.providers.{name} does not exist"
        )));
    }
    let allowed = provider.and_then(|provider| provider.allowlist.as_ref());
    if allowed.is_some_and(|names| !names.iter().any(|allowed| allowed == id)) {
        return Err(SecretFault::new(format!(
            "{id} is not in secrets.providers.{name}.allowlist"
        )));
    }
    let value = env
        .get(id)
        .ok_or_else(|| SecretFault::new(format!("the environment variable {id} is not set")))?;
    Ok(value.into())
}

fn from_file(
    id: &str,
    name: &str,
    provider: Option<&SecretProvider>,
    paths: &StatePaths,
) -> Result<SecretString, SecretFault> {
    let place = format!("secrets.providers.{name}");
    let provider = provider.ok_or_else(|| {
        SecretFault::new(format!(
            "{place} does not exist; add {{ source: \"file\", path: \"...\" }}"
        ))
    })?;
    let path = provider
        .path
        .as_ref()
        .ok_or_else(|| SecretFault::new(format!("{place}.path is missing")))?;
    let path = paths.expand(path, &paths.state_dir);
    let text =
        read_secret_file(&path).map_err(|reason| SecretFault::new(format!("{place}: {reason}")))?;
    match provider.mode {
        SecretFileMode::SingleValue if id == "value" => {
            Ok(text.trim_end_matches(['\r', '\n']).into())
        }
        SecretFileMode::SingleValue => Err(SecretFault::new(format!(
            "{place} holds one value; its id is \"value\", not {id:?}"
        ))),
        SecretFileMode::Json => {
            // The parser's own message could quote the file.
            let value: Value = serde_json::from_str(&text).map_err(|_| {
                SecretFault::new(format!("{place}: {} is not JSON", path.display()))
            })?;
            let found = value
                .pointer(id)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty());
            let found = found.ok_or_else(|| {
                SecretFault::new(format!(
                    "{place}: {} has no text at {id:?} (a JSON pointer such as \"/openai/apiKey\")",
                    path.display()
                ))
            })?;
            Ok(found.into())
        }
    }
}

/// Reads a secrets file that only its owner can change.
fn read_secret_file(path: &PathBuf) -> Result<String, String> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if !metadata.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return Err(format!(
            "{} can be changed by other users; run: chmod 600 {}",
            path.display(),
            path.display()
        ));
    }
    let text = read_bounded(path, MAX_SECRET_FILE).map_err(|error| error.to_string())?;
    text.ok_or_else(|| format!("{} is gone", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::ExposeSecret;

    use super::*;

    fn follow(secrets: &str, reference: &str, dir: &Path) -> Result<String, String> {
        let process = |name: &str| (name == "KEY").then(|| "from env".to_owned());
        let paths = StatePaths::resolve(&|_| None, Some(dir), None).unwrap();
        let secrets: Secrets = json5::from_str(secrets).unwrap();
        let reference: SecretRef = json5::from_str(reference).unwrap();
        secrets
            .follow(&reference, &Environment::new(&process), &paths)
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|fault| fault.to_string().replace(&dir.display().to_string(), "DIR"))
    }

    #[test]
    fn env_references_are_followed_and_explained() {
        let dir = Path::new("/nowhere");
        let ask = |secrets: &str, reference: &str| follow(secrets, reference, dir);
        assert_eq!(
            ask("{}", "{ source: 'env', id: 'KEY' }").unwrap(),
            "from env"
        );
        assert_eq!(
            ask("{}", "{ source: 'env', provider: 'default', id: 'KEY' }").unwrap(),
            "from env"
        );
        assert_eq!(
            ask("{}", "{ source: 'env', id: 'NONE' }").unwrap_err(),
            "the environment variable NONE is not set"
        );
        let limited = "{ providers: { mine: { source: 'env', allowlist: ['OTHER'] } }, defaults: { env: 'mine' } }";
        assert_eq!(
            ask(limited, "{ source: 'env', id: 'KEY' }").unwrap_err(),
            "KEY is not in secrets.providers.mine.allowlist"
        );
        assert!(
            ask("{}", "{ source: 'exec', provider: 'vault', id: 'x' }")
                .unwrap_err()
                .contains("not supported")
        );
    }

    #[test]
    fn file_references_are_followed_and_explained() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write(
            "all.json",
            r#"{ "openai": { "apiKey": "sk-1" }, "n": 1 }"#,
            0o600,
        );
        write("one.txt", "sk-2\n", 0o600);
        write("open.json", "{}", 0o666);
        write("broken.json", "sk-secret-not-json", 0o600);
        let secrets = "{ providers: {
            all: { source: 'file', path: '~/all.json' }, one: { source: 'file', path: '~/one.txt', mode: 'singleValue' },
            open: { source: 'file', path: '~/open.json' }, broken: { source: 'file', path: '~/broken.json' },
        }, defaults: { file: 'all' } }";
        let ask = |provider: &str, id: &str| {
            follow(
                secrets,
                &format!("{{ source: 'file', provider: '{provider}', id: '{id}' }}"),
                dir.path(),
            )
        };
        assert_eq!(
            follow(
                secrets,
                "{ source: 'file', id: '/openai/apiKey' }",
                dir.path()
            )
            .unwrap(),
            "sk-1"
        );
        assert_eq!(ask("one", "value").unwrap(), "sk-2");
        assert!(
            ask("one", "/x")
                .unwrap_err()
                .contains("its id is \"value\"")
        );
        assert!(
            ask("all", "/n")
                .unwrap_err()
                .contains("has no text at \"/n\"")
        );
        assert!(
            ask("open", "/x")
                .unwrap_err()
                .contains("chmod 600 DIR/open.json")
        );
        assert_eq!(
            ask("broken", "/x").unwrap_err(),
            "secrets.providers.broken: DIR/broken.json is not JSON"
        );
        assert!(
            ask("none", "/x")
                .unwrap_err()
                .contains("secrets.providers.none does not exist")
        );
    }
}
