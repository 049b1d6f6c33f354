//! Checks values against their schemas, with errors that name the place.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::connect::ConnectParams;
use crate::methods;

/// How many problems one message lists.
const MAX_LISTED: usize = 5;
/// Longest message, bytes.
const MAX_DESCRIPTION: usize = 1024;

/// A schema that is compiled on first use.
pub struct LazySchema {
    make: fn(usize) -> Value,
    index: usize,
    compiled: OnceLock<Validator>,
}

impl LazySchema {
    const fn new(make: fn(usize) -> Value, index: usize) -> Self {
        Self {
            make,
            index,
            compiled: OnceLock::new(),
        }
    }

    /// Checks `value`.
    ///
    /// # Errors
    ///
    /// One line with up to five problems, each as `at /path: what is wrong`.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let validator = self
            .compiled
            .get_or_init(|| compile(&(self.make)(self.index)));
        if validator.is_valid(value) {
            Ok(())
        } else {
            Err(describe(validator, value))
        }
    }
}

fn compile(schema: &Value) -> Validator {
    jsonschema::draft7::new(schema)
        .expect("schemas are derived from types; a test compiles every one")
}

fn describe(validator: &Validator, value: &Value) -> String {
    let problems: Vec<String> = validator
        .iter_errors(value)
        .take(MAX_LISTED)
        .map(|error| problem(&error))
        .collect();
    let mut text = problems.join("; ");
    // A property name is the client's text and may be of any length.
    if text.len() > MAX_DESCRIPTION {
        text.truncate(text.floor_char_boundary(MAX_DESCRIPTION));
        text.push('…');
    }
    text
}

/// One problem in the words that clients of this protocol know.
fn problem(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let place = if path.is_empty() {
        "at root".to_owned()
    } else {
        format!("at {path}")
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            if path.is_empty() {
                format!("must have required property '{property}'")
            } else {
                format!("{place}: must have required property '{property}'")
            }
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            format!("{place}: unexpected property '{}'", unexpected.join("', '"))
        }
        ValidationErrorKind::FalseSchema => format!("{place}: takes no properties"),
        ValidationErrorKind::Enum { .. }
        | ValidationErrorKind::AnyOf { .. }
        | ValidationErrorKind::OneOfNotValid { .. } => {
            format!("{place}: must be equal to one of the allowed values")
        }
        ValidationErrorKind::Type { kind } => format!("{place}: must be {}", type_name(kind)),
        ValidationErrorKind::MinLength { limit } => {
            format!("{place}: must NOT have fewer than {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!("{place}: must NOT have more than {limit} characters")
        }
        ValidationErrorKind::MinItems { limit } => {
            format!("{place}: must NOT have fewer than {limit} items")
        }
        ValidationErrorKind::MaxItems { limit } => {
            format!("{place}: must NOT have more than {limit} items")
        }
        ValidationErrorKind::Minimum { limit } => format!("{place}: must be >= {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("{place}: must be <= {limit}"),
        // Masked: the value may be a secret, or a megabyte.
        _ => format!("{place}: {}", error.masked()),
    }
}

fn type_name(kind: &jsonschema::error::TypeKind) -> String {
    match kind {
        jsonschema::error::TypeKind::Single(one) => one.to_string(),
        jsonschema::error::TypeKind::Multiple(many) => many
            .iter()
            .map(|one| one.to_string())
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

/// Checks the parameters of `connect`.
///
/// # Errors
///
/// The problems, as [`LazySchema::check`] words them.
pub fn connect(params: &Value) -> Result<(), String> {
    static SCHEMA: LazySchema = LazySchema::new(|_| crate::schema::of::<ConnectParams>(), 0);
    SCHEMA.check(params)
}

static PARAMS: LazyLock<HashMap<&'static str, LazySchema>> = LazyLock::new(|| {
    methods::ALL
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            (
                spec.name,
                LazySchema::new(
                    |index| crate::schema::with(methods::ALL[index].params),
                    index,
                ),
            )
        })
        .collect()
});

/// Checks the parameters of a method of [`methods::ALL`].
///
/// # Errors
///
/// The problems, as [`LazySchema::check`] words them; an unknown method has no schema to break.
pub fn params(method: &str, value: &Value) -> Result<(), String> {
    PARAMS
        .get(method)
        .map_or(Ok(()), |schema| schema.check(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_schema_compiles() {
        for spec in methods::ALL {
            compile(&crate::schema::with(spec.params));
        }
        for contract in methods::CONTRACTS {
            compile(&crate::schema::with(contract.result));
        }
        compile(&crate::schema::of::<ConnectParams>());
    }

    #[test]
    fn a_broken_connect_names_each_place() {
        let error = connect(&json!({"minProtocol": 4, "client": {"id": "ios-node", "version": "", "platform": "x", "mode": "operator"}})).unwrap_err();
        assert!(
            error.contains("must have required property 'maxProtocol'"),
            "{error}"
        );
        assert!(
            error.contains("at /client/id: must be equal to one of the allowed values"),
            "{error}"
        );
        assert!(error.contains("at /client/mode"), "{error}");
    }

    #[test]
    fn null_is_not_absent_and_unknown_keys_pass_only_outside_device_and_auth() {
        let base = |extra: Value| {
            let mut params = json!({"minProtocol": 3, "maxProtocol": 4, "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"}});
            params
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            params
        };
        assert!(connect(&base(json!({"modelCatalog": {"x": 1}}))).is_ok());
        assert!(connect(&base(json!({"role": null}))).is_err());
        assert!(
            connect(&base(json!({"auth": {"tokn": "x"}})))
                .unwrap_err()
                .contains("unexpected property 'tokn'")
        );
    }
}
