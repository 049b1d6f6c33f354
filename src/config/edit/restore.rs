//! Placeholders of `config.get` become again what they hide.
//!
//! A placeholder counts only where the whole text is what `config.get` showed at that place: a
//! secret never moves to another place, nor under another address.

use serde_json::Value;

use super::merge::has_ids;
use crate::config::error::Issue;
use crate::config::place::{push_index, push_key};
use crate::config::redact::SENTINEL;

/// Replaces the placeholders in `target` by what stands in `before`; `shown` is `before` as it was
/// shown.
///
/// # Errors
///
/// The places of placeholders that hide nothing.
pub(super) fn restore(target: &mut Value, before: &Value, shown: &Value) -> Result<(), Vec<Issue>> {
    let mut issues = Vec::new();
    walk(target, before, shown, "", &mut issues);
    if issues.is_empty() {
        Ok(())
    } else {
        Err(issues)
    }
}

fn walk(target: &mut Value, before: &Value, shown: &Value, path: &str, issues: &mut Vec<Issue>) {
    match target {
        Value::String(text) if text.contains(SENTINEL) => {
            if shown.as_str() == Some(text) {
                *target = before.clone();
            } else {
                issues.push(Issue::new(
                    path,
                    "holds the placeholder of a hidden secret, and there is none to keep at this place; write the secret itself, or a reference as ${VAR}",
                ));
            }
        }
        Value::Array(items) => {
            let empty = Vec::new();
            let old = before.as_array().unwrap_or(&empty);
            let by_id = has_ids(items) && has_ids(old);
            for (index, item) in items.iter_mut().enumerate() {
                let at = if by_id {
                    old.iter().position(|entry| entry["id"] == item["id"])
                } else {
                    Some(index)
                };
                let of = |list: &Value| at.and_then(|at| list.get(at)).cloned().unwrap_or_default();
                walk(
                    item,
                    &of(before),
                    &of(shown),
                    &push_index(path, index),
                    issues,
                );
            }
        }
        Value::Object(entries) => {
            for (key, entry) in entries {
                walk(
                    entry,
                    &before[key],
                    &shown[key],
                    &push_key(path, key),
                    issues,
                );
            }
        }
        _ => {}
    }
}
