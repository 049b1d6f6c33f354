//! A patch merged into a value: RFC 7386, but lists of things with ids.

use serde_json::{Map, Value};

use crate::config::error::Issue;
use crate::config::place::push_key;

/// Merges `patch` into `target`: objects key by key, `null` removes, lists of objects with an `id`
/// entry by entry, everything else is replaced.
///
/// # Errors
///
/// The lists that would lose entries and are not named in `replace`.
pub(super) fn merge(
    target: &mut Value,
    patch: &Value,
    replace: &[String],
) -> Result<(), Vec<Issue>> {
    let mut issues = Vec::new();
    into(target, patch, "", replace, &mut issues);
    if issues.is_empty() {
        Ok(())
    } else {
        Err(issues)
    }
}

fn into(
    target: &mut Value,
    patch: &Value,
    path: &str,
    replace: &[String],
    issues: &mut Vec<Issue>,
) {
    match patch {
        Value::Object(entries) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let Value::Object(own) = target else { return };
            for (key, value) in entries {
                if value.is_null() {
                    own.remove(key);
                } else {
                    let slot = own.entry(key.clone()).or_insert(Value::Null);
                    into(slot, value, &push_key(path, key), replace, issues);
                }
            }
        }
        Value::Array(items) if !replace.iter().any(|named| named == path) => {
            if let Value::Array(own) = &mut *target {
                if has_ids(own) && has_ids(items) && !items.is_empty() {
                    return by_id(own, items, path, replace, issues);
                }
                if own.iter().any(|entry| !items.contains(entry)) {
                    issues.push(Issue::new(
                        path,
                        "the patch would take entries out of this list; name it in replacePaths to replace it as a whole",
                    ));
                    return;
                }
            }
            *target = patch.clone();
        }
        other => *target = without_nulls(other),
    }
}

fn by_id(
    own: &mut Vec<Value>,
    items: &[Value],
    path: &str,
    replace: &[String],
    issues: &mut Vec<Issue>,
) {
    for item in items {
        match own.iter_mut().find(|entry| entry["id"] == item["id"]) {
            Some(entry) => into(entry, item, path, replace, issues),
            None => own.push(without_nulls(item)),
        }
    }
}

pub(super) fn has_ids(items: &[Value]) -> bool {
    items.iter().all(|item| item["id"].is_string())
}

/// A new value: what a patch would remove is not there.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(entries) => entries
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        other => other.clone(),
    }
}
