//! The JSON Schema of the configuration: made from the types, used before decoding.
//!
//! Unknown keys are no error (an upgrade must not stop a gateway), so the schema never forbids
//! them; [`unknown_keys`] finds them for one warning. `null` is no value here: a key is there or not.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::Config;
use super::error::Issue;
use super::place::{push_index, push_key};
use super::redact::is_sensitive_key;

/// The schema and its compiled form.
pub(crate) struct ConfigSchema {
    document: Value,
    validator: Validator,
}

impl ConfigSchema {
    /// The schema of the configuration, for as long as somebody has it: compiled it is 3 MB, which a
    /// gateway needs when it reads its configuration and at no other time.
    pub(crate) fn of_config() -> Arc<Self> {
        static IN_USE: Mutex<Weak<ConfigSchema>> = Mutex::new(Weak::new());
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = in_use.upgrade() {
            return schema;
        }
        let schema = Arc::new(Self::of::<Config>());
        *in_use = Arc::downgrade(&schema);
        // Tests load thousands.
        #[cfg(test)]
        std::mem::forget(Arc::clone(&schema));
        schema
    }

    /// Makes the schema of `T`.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let settings =
            SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut document = settings
            .into_generator()
            .into_root_schema_for::<T>()
            .to_value();
        forbid_null(&mut document);
        let validator =
            jsonschema::validator_for(&document).expect("a schema made by schemars is valid");
        Self {
            document,
            validator,
        }
    }

    /// The schema as JSON, for `config.schema`.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// Every value that is not allowed. `written` is the same before variables were put in: what came
    /// from a variable is shown as the variable, because it may be a secret in the wrong place.
    pub(crate) fn issues(&self, value: &Value, written: &Value) -> Vec<Issue> {
        let mut issues = Vec::new();
        let looked_at = LookedAt {
            root: &self.document,
            value,
            written,
        };
        for error in self.validator.iter_errors(value) {
            collect(&error, &looked_at, &mut issues);
        }
        issues.sort_by(|a, b| a.path.cmp(&b.path));
        issues.dedup();
        issues
    }

    /// The keys that no type knows and that `known` (a place with `*` for any key) does not name.
    pub(crate) fn unknown_keys(&self, value: &Value, known: &[&str]) -> Vec<String> {
        let mut unknown = Vec::new();
        let known: Vec<Vec<&str>> = known
            .iter()
            .map(|place| place.split('.').collect())
            .collect();
        find_unknown(
            value,
            &self.document,
            &mut Trail {
                keys: Vec::new(),
                place: String::new(),
            },
            &known,
            &mut unknown,
        );
        unknown
    }
}

/// Removes `null` from every type and every alternative.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        Value::Object(entries) => {
            if let Some(Value::Array(types)) = entries.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    entries.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = entries.get_mut("enum") {
                options.retain(|option| !option.is_null());
            }
            if let Some(Value::Array(alternatives)) = entries.get_mut("anyOf") {
                alternatives.retain(|alternative| alternative["type"] != "null");
                if let [Value::Object(only)] = alternatives.as_slice() {
                    let only = only.clone();
                    entries.remove("anyOf");
                    entries.extend(only);
                }
            }
            entries.values_mut().for_each(forbid_null);
        }
        _ => {}
    }
}

/// A configuration, the schema it is checked by, and how it was written.
struct LookedAt<'a> {
    root: &'a Value,
    value: &'a Value,
    written: &'a Value,
}

/// Turns one error into issues; of alternatives, the one whose type fits speaks.
fn collect(error: &ValidationError<'_>, looked_at: &LookedAt<'_>, issues: &mut Vec<Issue>) {
    let LookedAt {
        root,
        value,
        written,
    } = *looked_at;
    let pointer = error.instance_path().to_string();
    let schema_path = error.schema_path().to_string();
    if let ValidationErrorKind::AnyOf { context } = error.kind() {
        let fitting = context.iter().find(|errors| {
            !errors.is_empty()
                && errors
                    .iter()
                    .all(|inner| inner.instance_path().to_string() != pointer)
        });
        if let Some(errors) = fitting {
            return errors
                .iter()
                .for_each(|inner| collect(inner, looked_at, issues));
        }
    }
    let place = to_place(value, &pointer);
    let node = schema_path
        .rsplit_once('/')
        .and_then(|(node, _)| root.pointer(node))
        .unwrap_or(root);
    let from_variable = |text: &&Value| text.as_str().is_some_and(|text| text.contains("${"));
    let found = written
        .pointer(&pointer)
        .filter(from_variable)
        .or_else(|| value.pointer(&pointer))
        .unwrap_or(&Value::Null);
    let message = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            issues.push(Issue::new(push_key(&place, name), "is missing"));
            return;
        }
        _ => format!(
            "{} is not allowed; expected {}",
            shown(found, &place),
            describe(node)
        ),
    };
    issues.push(Issue::new(place, message));
}

/// A value as an error may show it: no secret, no long text.
fn shown(value: &Value, place: &str) -> String {
    let secret = place.split(['.', '[']).any(is_sensitive_key);
    match value {
        Value::String(_) | Value::Number(_) if secret => "this value".to_owned(),
        Value::String(text) if text.chars().count() > 40 => "this text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// What a schema allows, in words.
fn describe(schema: &Value) -> String {
    if let Some(options) = schema["enum"].as_array() {
        return one_of(options.iter().map(Value::to_string).collect());
    }
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(alternatives) = schema[key].as_array() {
            return one_of(alternatives.iter().map(describe).collect());
        }
    }
    match schema["type"].as_str() {
        Some(kind @ ("integer" | "number")) => {
            let name = if kind == "integer" {
                "a whole number"
            } else {
                "a number"
            };
            let (min, max) = (schema.get("minimum"), schema.get("maximum"));
            match (min, max) {
                (Some(min), Some(max)) => format!("{name} from {} to {}", plain(min), plain(max)),
                (Some(min), None) => format!("{name} of at least {}", plain(min)),
                (None, Some(max)) => format!("{name} of at most {}", plain(max)),
                (None, None) => name.to_owned(),
            }
        }
        Some("boolean") => "true or false".to_owned(),
        Some("string") if schema.get("minLength").is_some() => {
            "a text that is not empty".to_owned()
        }
        Some("string") => "a text".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") => match schema["properties"].as_object() {
            Some(properties) if properties.len() <= 4 => {
                format!(
                    "an object {{ {} }}",
                    properties.keys().cloned().collect::<Vec<_>>().join(", ")
                )
            }
            _ => "an object".to_owned(),
        },
        _ => "another value".to_owned(),
    }
}

fn one_of(mut options: Vec<String>) -> String {
    match options.pop() {
        Some(last) if options.is_empty() => last,
        Some(last) => format!("{} or {last}", options.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// A bound without a fraction that it does not have.
fn plain(bound: &Value) -> String {
    let text = bound.to_string();
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A JSON pointer in our form.
fn to_place(value: &Value, pointer: &str) -> String {
    let mut place = String::new();
    let mut current = value;
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        let next = match current {
            Value::Array(items) => key.parse().ok().and_then(|index: usize| {
                place = push_index(&place, index);
                items.get(index)
            }),
            other => {
                place = push_key(&place, &key);
                other.get(&key)
            }
        };
        current = next.unwrap_or(&Value::Null);
    }
    place
}

struct Trail<'a> {
    keys: Vec<&'a str>,
    place: String,
}

fn find_unknown<'a>(
    value: &'a Value,
    schema: &Value,
    trail: &mut Trail<'a>,
    known: &[Vec<&str>],
    unknown: &mut Vec<String>,
) {
    match value {
        Value::Object(entries) => {
            let Some(shape) = object_shape(schema) else {
                return;
            };
            for (key, entry) in entries {
                let outer = trail.place.clone();
                trail.keys.push(key);
                trail.place = push_key(&outer, key);
                let inner = shape
                    .get("properties")
                    .and_then(|properties| properties.get(key));
                match inner.or(shape.get("additionalProperties")) {
                    Some(inner) => find_unknown(entry, inner, trail, known, unknown),
                    None if is_known(&trail.keys, known) => {}
                    None => unknown.push(trail.place.clone()),
                }
                trail.keys.pop();
                trail.place = outer;
            }
        }
        Value::Array(items) => {
            let outer = trail.place.clone();
            for (index, item) in items.iter().enumerate() {
                trail.place = push_index(&outer, index);
                find_unknown(item, &schema["items"], trail, known, unknown);
            }
            trail.place = outer;
        }
        _ => {}
    }
}

/// The schema that says what an object may hold; `None` where anything goes.
fn object_shape(schema: &Value) -> Option<&Map<String, Value>> {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let mut candidates = std::iter::once(schema).chain(alternatives);
    candidates
        .find(|schema| schema["type"] == "object")
        .and_then(Value::as_object)
}

fn is_known(keys: &[&str], known: &[Vec<&str>]) -> bool {
    let fits = |place: &Vec<&str>| {
        place.len() == keys.len()
            && place
                .iter()
                .zip(keys)
                .all(|(known, key)| *known == "*" || known == key)
    };
    known.iter().any(fits)
}
