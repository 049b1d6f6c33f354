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
