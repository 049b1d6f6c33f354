//! JSON values at random: any at all, and those that a schema allows.

use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::{Map, Value, json};

/// Longest text that is made; limits above it are met by the golden frames.
const LONG: u64 = 24;

/// Any JSON value, small.
pub(crate) fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // No whole floats: a JSON writer has no way to send `5.0` other than as `5`.
        any::<f64>()
            .prop_filter("a fraction", |number| number.fract() != 0.0)
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z_]{0,8}", inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Values that `schema` allows; `root` holds its definitions.
pub(crate) fn instances(schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    let Value::Object(object) = schema else {
        return any_json();
    };
    if let Some(Value::String(reference)) = object.get("$ref") {
        let pointer = reference.trim_start_matches('#');
        return instances(root.pointer(pointer).expect("it is defined"), root);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(branches)) = object.get(key) {
            let branches = branches.iter().map(|branch| instances(branch, root));
            return prop::strategy::Union::new(branches).boxed();
        }
    }
    if let Some(Value::Array(parts)) = object.get("allOf") {
        let [only] = parts.as_slice() else {
            panic!("allOf of one is all that schemars writes: {schema}");
        };
        return instances(only, root);
    }
    if let Some(value) = object.get("const") {
        return Just(value.clone()).boxed();
    }
    if let Some(Value::Array(values)) = object.get("enum") {
        return prop::sample::select(values.clone()).boxed();
    }
    match object.get("type").and_then(Value::as_str) {
        None => any_json(),
        Some("null") => Just(Value::Null).boxed(),
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("integer") => integers(object),
        Some("number") => (0.0..1e9_f64).prop_map(Value::from).boxed(),
        Some("string") => strings(object),
        Some("array") => arrays(object, root),
        Some("object") => objects(object, root),
        Some(other) => panic!("no instances of {other}"),
    }
}

fn bound(schema: &Map<String, Value>, key: &str, default: u64) -> u64 {
    schema.get(key).and_then(Value::as_u64).unwrap_or(default)
}

fn integers(schema: &Map<String, Value>) -> BoxedStrategy<Value> {
    let range = bound(schema, "minimum", 0)..=bound(schema, "maximum", u64::from(u32::MAX));
    range.prop_map(Value::from).boxed()
}

fn strings(schema: &Map<String, Value>) -> BoxedStrategy<Value> {
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        // The generator writes whole texts, and knows no anchors.
        let pattern = pattern.trim_matches(['^', '$']).replace(r"\d", "[0-9]");
        let texts = string_regex(&pattern).expect("a pattern that can be written");
        return texts.prop_map(Value::from).boxed();
    }
    let least = bound(schema, "minLength", 0);
    let most = bound(schema, "maxLength", LONG).min(LONG).max(least);
    let regex = format!(".{{{least},{most}}}");
    string_regex(&regex)
        .expect("it is a regex")
        .prop_map(Value::from)
        .boxed()
}

fn arrays(schema: &Map<String, Value>, root: &Value) -> BoxedStrategy<Value> {
    let least = usize::try_from(bound(schema, "minItems", 0)).expect("it is small");
    let item = schema
        .get("items")
        .map_or_else(any_json, |items| instances(items, root));
    prop::collection::vec(item, least..=least + 2)
        .prop_map(Value::from)
        .boxed()
}

fn objects(schema: &Map<String, Value>, root: &Value) -> BoxedStrategy<Value> {
    let required = schema.get("required").cloned().unwrap_or(json!([]));
    let required = required.as_array().expect("it is a list").clone();
    let none = Map::new();
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let mut object: BoxedStrategy<Map<String, Value>> = Just(Map::new()).boxed();
    for (name, property) in properties {
        let always = required.contains(&Value::from(name.as_str()));
        let value = instances(property, root);
        let value = if always {
            value.prop_map(Some).boxed()
        } else {
            prop::option::weighted(0.3, value).boxed()
        };
        let name = name.clone();
        object = (object, value)
            .prop_map(move |(mut object, value)| {
                if let Some(value) = value {
                    object.insert(name.clone(), value);
                }
                object
            })
            .boxed();
    }
    object.prop_map(Value::Object).boxed()
}
