//! A secret in the configuration: written out, or a reference to where it is.

use std::fmt;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::config::redact::SENTINEL;
use crate::config::substitute::is_variable_name;

/// A secret and where it came from. Cannot be printed and is never serialised.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(from = "Written")]
#[schemars(with = "Written", inline)]
pub struct SecretInput {
    reference: Option<SecretRef>,
    value: Result<SecretString, SecretFault>,
}

/// Where a secret is: `{ source, provider?, id }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The kind of place.
    pub source: SecretSource,
    /// The entry of `secrets.providers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The variable, or the place in the file.
    #[schemars(length(min = 1))]
    pub id: String,
}

/// The kind of place where a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// An environment variable.
    Env,
    /// A file of `secrets.providers`.
    File,
    /// A program; not supported here.
    Exec,
    /// Upstream's own store; not supported here.
    Store,
}

impl SecretSource {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Exec => "exec",
            Self::Store => "store",
        }
    }
}

/// Why a reference gave no secret. Its text never holds one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SecretFault(String);

impl SecretFault {
    /// Builds a fault from its text.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// What may be written in the file.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Plain(String),
    Reference(SecretRef),
}

impl From<Written> for SecretInput {
    fn from(written: Written) -> Self {
        match written {
            // `${NAME}` is left in place when the variable is not set; then, as for `$NAME`, the
            // error belongs to whoever needs the secret.
            Written::Plain(text) => match variable_of(&text) {
                Some(name) => Self::refer(SecretRef {
                    source: SecretSource::Env,
                    provider: None,
                    id: name.to_owned(),
                }),
                None => Self::plain(text),
            },
            Written::Reference(reference) => Self::refer(reference),
        }
    }
}

impl SecretInput {
    /// A secret that is written out.
    pub fn plain(text: impl Into<SecretString>) -> Self {
        Self {
            reference: None,
            value: Ok(text.into()),
        }
    }

    fn refer(reference: SecretRef) -> Self {
        let fault = SecretFault::new("the reference was not followed");
        Self {
            reference: Some(reference),
            value: Err(fault),
        }
    }

    /// The reference, unless the secret is written out.
    pub fn reference(&self) -> Option<&SecretRef> {
        self.reference.as_ref()
    }

    /// Keeps what following the reference gave.
    pub(crate) fn settle(&mut self, value: Result<SecretString, SecretFault>) {
        self.value = value;
    }

    /// The secret; an empty one counts as not set.
    ///
    /// # Errors
    ///
    /// Why the reference leads nowhere.
    pub fn secret(&self) -> Result<Option<&SecretString>, &SecretFault> {
        self.value
            .as_ref()
            .map(|secret| Some(secret).filter(|secret| !secret.expose_secret().is_empty()))
    }
}

impl fmt::Debug for SecretInput {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Some(reference) => write!(out, "SecretInput({reference:?})"),
            None => out.write_str("SecretInput(plain)"),
        }
    }
}

impl Serialize for SecretInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SENTINEL)
    }
}

/// The name in `${NAME}` or `$NAME`, when that is the whole text.
fn variable_of(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('$')?;
    let name = rest
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(rest);
    is_variable_name(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_a_variable_is_a_reference() {
        let id = |text: &str| {
            let input: SecretInput = serde_json::from_value(text.into()).unwrap();
            input.reference().map(|reference| reference.id.clone())
        };
        assert_eq!(id("${OPENAI_API_KEY}").as_deref(), Some("OPENAI_API_KEY"));
        assert_eq!(id("$OPENAI_API_KEY").as_deref(), Some("OPENAI_API_KEY"));
        assert_eq!(id("sk-123"), None);
        assert_eq!(id("$lower"), None);
    }

    #[test]
    fn a_secret_is_never_shown() {
        let input = SecretInput::plain("s3cret-value".to_owned());
        assert_eq!(format!("{input:?}"), "SecretInput(plain)");
        assert_eq!(
            serde_json::to_string(&input).unwrap(),
            format!("\"{SENTINEL}\"")
        );
    }
}
