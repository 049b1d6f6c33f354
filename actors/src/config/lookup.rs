//! One place of the configuration's schema. Pure.

use openclaw_protocol::methods::config::{
    ConfigSchemaChild, ConfigSchemaLookupResult, ConfigSchemaResult, ReloadKind, SchemaType,
};
use serde_json::{Map, Value};

/// Most parts of a path.
const MAX_PARTS: usize = 32;
/// Most references that lead to one place.
const MAX_REFERENCES: usize = 16;
/// What stands below a place, and is not shown with it.
const BELOW: [&str; 8] = [
    "properties",
    "additionalProperties",
    "items",
    "prefixItems",
    "required",
    "$defs",
    "definitions",
    "patternProperties",
];

/// A place on the way down.
struct Place<'a> {
    schema: &'a Value,
    /// As it was asked for.
    path: String,
    /// As hints are named: `*` for any key, `[]` for any entry.
    hint: String,
}

/// What stands at `path`; `None` where the configuration has no such place. `fixed` are the places whose
/// change needs a restart.
pub(crate) fn lookup(
    all: &ConfigSchemaResult,
    path: &str,
    fixed: &[&str],
) -> Option<ConfigSchemaLookupResult> {
    let root = &all.schema;
    let mut place = Place {
        schema: resolved(root, root),
        path: String::new(),
        hint: String::new(),
    };
    if path.trim() != "." {
        let parts: Vec<String> = path
            .replace('[', ".")
            .replace(']', "")
            .split('.')
            .map(str::to_owned)
            .collect();
        if parts.len() > MAX_PARTS {
            return None;
        }
        for part in parts {
            let mut children = below(root, &place).into_iter();
            let found = children.find(|child| {
                let key = child.path.rsplit('.').next();
                key == Some("*") || key == Some(&part)
            });
            place = found?.named(&place.path, &part);
        }
    }
    let children = below(root, &place);
    let children = children
        .into_iter()
        .map(|child| row(all, &place, child, fixed));
    let children = children.collect();
    let hint = all.ui_hints.get(&place.hint);
    Some(ConfigSchemaLookupResult {
        schema: alone(root, place.schema),
        reload_kind: Some(reload(&place.hint, fixed)),
        hint: hint.cloned(),
        hint_path: hint.map(|_| place.hint.clone()),
        children,
        path: if place.path.is_empty() {
            ".".to_owned()
        } else {
            place.path
        },
    })
}

impl Place<'_> {
    /// The same place, by the key that was asked for.
    fn named(self, parent: &str, key: &str) -> Self {
        Self {
            path: joined(parent, key),
            ..self
        }
    }
}

fn row(
    all: &ConfigSchemaResult,
    parent: &Place<'_>,
    child: Place<'_>,
    fixed: &[&str],
) -> ConfigSchemaChild {
    let key = child.path.rsplit('.').next().unwrap_or_default().to_owned();
    let needed = variants(&all.schema, parent.schema)
        .into_iter()
        .any(|schema| {
            let required = schema["required"].as_array();
            required.is_some_and(|names| names.iter().any(|name| *name == *key))
        });
    let hint = all.ui_hints.get(&child.hint);
    ConfigSchemaChild {
        kind: kind(&all.schema, child.schema),
        required: needed,
        has_children: !below(&all.schema, &child).is_empty(),
        reload_kind: Some(reload(&child.hint, fixed)),
        hint: hint.cloned(),
        hint_path: hint.map(|_| child.hint.clone()),
        path: child.path,
        key,
    }
}

/// The places right below one: its named ones, then the one that stands for all others.
fn below<'a>(root: &'a Value, place: &Place<'a>) -> Vec<Place<'a>> {
    let mut found: Vec<Place<'a>> = Vec::new();
    for schema in variants(root, place.schema) {
        let named = schema["properties"].as_object();
        let named = named.into_iter().flatten();
        found.extend(named.map(|(key, schema)| Place {
            schema: resolved(root, schema),
            path: joined(&place.path, key),
            hint: joined(&place.hint, key),
        }));
        let any = |schema: &'a Value, hint: String| Place {
            schema: resolved(root, schema),
            path: joined(&place.path, "*"),
            hint,
        };
        if schema["additionalProperties"].is_object() {
            found.push(any(
                &schema["additionalProperties"],
                joined(&place.hint, "*"),
            ));
        }
        if schema["items"].is_object() {
            found.push(any(&schema["items"], format!("{}[]", place.hint)));
        }
    }
    found
}

fn joined(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// Where a reference leads.
fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..MAX_REFERENCES {
        let pointer = schema["$ref"]
            .as_str()
            .and_then(|reference| reference.strip_prefix('#'));
        match pointer.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// A schema, and what it may be instead.
fn variants<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let mut all = vec![schema];
    for key in ["anyOf", "oneOf", "allOf"] {
        let parts = schema[key].as_array().into_iter().flatten();
        all.extend(parts.map(|part| resolved(root, part)));
    }
    all
}

fn kind(root: &Value, schema: &Value) -> Option<SchemaType> {
    let mut names: Vec<String> = Vec::new();
    for schema in variants(root, schema) {
        let kinds = match &schema["type"] {
            Value::String(name) => vec![name.clone()],
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str);
                names.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        for kind in kinds {
            if !names.contains(&kind) {
                names.push(kind);
            }
        }
    }
    match names.len() {
        0 => None,
        1 => names.pop().map(SchemaType::One),
        _ => Some(SchemaType::Any(names)),
    }
}

/// A schema without what stands below it.
fn alone(root: &Value, schema: &Value) -> Value {
    let strip = |schema: &Value| -> Map<String, Value> {
        let fields = schema.as_object().into_iter().flatten();
        let own = fields.filter(|(key, _)| !BELOW.contains(&key.as_str()));
        own.map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let mut own = strip(schema);
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(parts)) = own.get_mut(key) {
            for part in parts {
                *part = strip(resolved(root, part)).into();
            }
        }
    }
    own.into()
}

/// What a change of a place needs.
fn reload(hint: &str, fixed: &[&str]) -> ReloadKind {
    let within = |outer: &str, inner: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let restart = !hint.is_empty() && fixed.iter().any(|place| within(place, hint));
    if restart {
        ReloadKind::Restart
    } else {
        ReloadKind::Hot
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openclaw_protocol::methods::config::ConfigUiHint;
    use serde_json::json;

    use super::*;

    fn all() -> ConfigSchemaResult {
        let hint = |label: &str| ConfigUiHint {
            label: Some(label.into()),
            ..ConfigUiHint::default()
        };
        ConfigSchemaResult {
            schema: json!({
                "type": "object",
                "properties": {
                    "gateway": { "$ref": "#/$defs/Gateway" },
                    "agents": { "type": "object", "properties": {
                        "list": { "type": "array", "items": { "$ref": "#/$defs/Agent" } },
                    } },
                    "models": { "type": "object", "additionalProperties": { "$ref": "#/$defs/Agent" } },
                },
                "$defs": {
                    "Gateway": { "type": "object", "required": ["port"], "properties": {
                        "port": { "type": "integer" },
                        "reload": { "anyOf": [{ "$ref": "#/$defs/Agent" }, { "type": "null" }] },
                    } },
                    "Agent": { "type": "object", "description": "One.", "properties": {
                        "id": { "type": ["string", "null"] },
                    } },
                },
            }),
            ui_hints: BTreeMap::from([
                ("gateway.port".to_owned(), hint("Port")),
                ("agents.list[].id".to_owned(), hint("Id")),
                ("models.*.id".to_owned(), hint("Model")),
            ]),
            version: "1".into(),
            generated_at: "now".into(),
        }
    }

    #[test]
    fn a_place_is_found_by_its_path_with_what_stands_below() {
        let all = all();
        let find = |path: &str| lookup(&all, path, &["gateway.port"]);
        let whole = find(".").unwrap();
        assert_eq!(whole.schema, json!({ "type": "object" }));
        let keys: Vec<&str> = whole.children.iter().map(|child| &*child.key).collect();
        assert_eq!(keys, ["agents", "gateway", "models"]);
        let gateway = find("gateway").unwrap();
        assert_eq!(gateway.reload_kind, Some(ReloadKind::Hot));
        let port = &gateway.children[0];
        assert_eq!(
            (&*port.path, port.required, port.has_children),
            ("gateway.port", true, false)
        );
        assert_eq!(port.hint_path.as_deref(), Some("gateway.port"));
        assert_eq!(port.reload_kind, Some(ReloadKind::Restart));
        let reload = &gateway.children[1];
        assert!(reload.has_children && !reload.required);
        let types = SchemaType::Any(vec!["object".into(), "null".into()]);
        assert_eq!(reload.kind, Some(types));
        for path in [
            "agents.list[0].id",
            "agents.list.0.id",
            "agents.list.*.id",
            "agents.list[].id",
        ] {
            let Some(id) = find(path) else {
                // An empty key names nothing but the entries' own place.
                assert_eq!(path, "agents.list[].id");
                continue;
            };
            assert_eq!(id.hint_path.as_deref(), Some("agents.list[].id"), "{path}");
        }
        let model = find("models.mine").unwrap();
        assert_eq!(
            (&*model.path, model.children[0].path.as_str()),
            ("models.mine", "models.mine.id")
        );
        assert_eq!(model.schema["description"], "One.");
        for path in [
            "nowhere",
            "gateway.port.x",
            "",
            "gateway..port",
            &"a.".repeat(40),
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
