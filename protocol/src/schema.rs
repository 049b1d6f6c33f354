//! JSON Schemas derived from the types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

/// The contract says "absent, never null" for optional fields: `Option` in a type would otherwise
/// admit null, which serde accepts and clients do not expect.
fn strip_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(mut branches)) = object.remove("anyOf") {
                branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
                // One branch left is no choice: `allOf` keeps its own errors readable.
                let key = if branches.len() == 1 {
                    "allOf"
                } else {
                    "anyOf"
                };
                object.insert(key.into(), Value::Array(branches));
            }
            object.values_mut().for_each(strip_null);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_null),
        _ => {}
    }
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft07().into_generator()
}

/// The draft-07 schema of `T`.
pub fn of<T: JsonSchema>() -> Value {
    with(|generator| T::json_schema(generator))
}

/// The draft-07 schema that `make` gives, with its definitions.
pub fn with(make: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Value {
    let mut generator = generator();
    let mut schema = make(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty()
        && let Value::Object(object) = &mut schema
    {
        object.insert("definitions".into(), Value::Object(definitions));
    }
    strip_null(&mut schema);
    schema
}

/// The same schema in the words of JSON Schema 2020-12. What these schemas use differs in two
/// names only: the dialect, and where shared definitions are.
#[must_use]
pub fn to_2020_12(mut schema: Value) -> Value {
    if let Value::Object(root) = &mut schema {
        if root.contains_key("$schema") {
            let dialect = "https://json-schema.org/draft/2020-12/schema";
            root.insert("$schema".into(), dialect.into());
        }
        if let Some(definitions) = root.remove("definitions") {
            root.insert("$defs".into(), definitions);
        }
    }
    rename_references(&mut schema);
    schema
}

fn rename_references(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/definitions/")
            {
                *target = format!("#/$defs/{name}");
            }
            object.values_mut().for_each(rename_references);
        }
        Value::Array(items) => items.iter_mut().for_each(rename_references),
        _ => {}
    }
}
