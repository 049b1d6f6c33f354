//! A JSON5 text changed to hold another value, with everything else in it kept.
//!
//! The text is edited as a syntax tree, so that comments, quotes and the order of keys stay. What
//! comes out is read again; a text that would not hold exactly the value is written anew instead.

use std::path::Path;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstObjectProp, CstRootNode};
use serde_json::Value;

use super::merge::has_ids;
use crate::config::parse::parse;

/// A text, and what of the one before is not in it.
#[derive(Debug)]
pub struct Rewritten {
    /// The text.
    pub text: String,
    /// What is lost, in words.
    pub lost: Option<String>,
}

/// `base`, changed so that it holds `target`.
pub(super) fn rewrite(base: &str, target: &Value) -> Rewritten {
    let holds = |text: &str| {
        parse(Path::new(""), text)
            .is_ok_and(|document| document.value == *target && document.duplicates.is_empty())
    };
    if holds(base) {
        return Rewritten {
            text: base.to_owned(),
            lost: None,
        };
    }
    if let Some(text) = edited(base, target).filter(|text| holds(text)) {
        return Rewritten { text, lost: None };
    }
    let lost = has_comments(base).then(|| {
        "the text could not be edited in place, so it was written anew: its comments, the order of its keys and its quotes are lost"
            .to_owned()
    });
    Rewritten {
        text: format!("{target:#}\n"),
        lost,
    }
}

fn has_comments(text: &str) -> bool {
    CstRootNode::parse(text, &ParseOptions::default()).map_or_else(
        |_| text.contains("//") || text.contains("/*"),
        |root| holds_comment(&root.children()),
    )
}

fn holds_comment(nodes: &[CstNode]) -> bool {
    nodes
        .iter()
        .any(|node| node.is_comment() || holds_comment(&node.children()))
}

fn edited(base: &str, target: &Value) -> Option<String> {
    let base = base.strip_prefix('\u{feff}').unwrap_or(base);
    let root = CstRootNode::parse(base, &ParseOptions::default()).ok()?;
    object(&root.object_value()?, target)?;
    Some(root.to_string())
}

/// `None` where the text cannot be understood well enough to be edited.
fn object(node: &CstObject, target: &Value) -> Option<()> {
    let target = target.as_object()?;
    let mut seen: Vec<(String, CstObjectProp)> = Vec::new();
    for property in node.properties() {
        let name = property.decoded_name()?;
        // Of a key that is written twice the last one counts.
        if let Some(at) = seen.iter().position(|(known, _)| *known == name) {
            seen.remove(at).1.remove();
        }
        seen.push((name, property));
    }
    for (name, property) in &seen {
        match target.get(name) {
            None => property.clone().remove(),
            Some(value) => {
                if !inside(&property.value()?, value)? {
                    property.set_value(input(value));
                }
            }
        }
    }
    for (name, value) in target {
        if !seen.iter().any(|(known, _)| known == name) {
            node.append(name, input(value));
        }
    }
    Some(())
}

/// Changes a value in its place; false when it has to be replaced as a whole.
fn inside(node: &CstNode, target: &Value) -> Option<bool> {
    if let (Some(node), Value::Object(_)) = (node.as_object(), target) {
        object(&node, target)?;
        return Some(true);
    }
    if let (Some(node), Value::Array(items)) = (node.as_array(), target) {
        array(&node, items)?;
        return Some(true);
    }
    Some(value_of(node)? == *target)
}

fn array(node: &CstArray, target: &[Value]) -> Option<()> {
    let elements = node.elements();
    let values: Vec<Value> = elements.iter().map(value_of).collect::<Option<_>>()?;
    let by_id = has_ids(&values) && has_ids(target);
    let stays = |value: &Value| {
        if by_id {
            target.iter().any(|wanted| wanted["id"] == value["id"])
        } else {
            target.contains(value)
        }
    };
    // Surplus entries go, those first that are nowhere in the target.
    let mut surplus = values.len().saturating_sub(target.len());
    let mut kept = Vec::new();
    for (element, value) in elements.into_iter().zip(&values) {
        if surplus > 0 && !stays(value) {
            surplus -= 1;
            element.remove();
        } else {
            kept.push(element);
        }
    }
    for element in kept.split_off(kept.len() - surplus) {
        element.remove();
    }
    for (element, value) in kept.iter().zip(target) {
        if !inside(element, value)? {
            replace(element, value)?;
        }
    }
    for value in &target[kept.len()..] {
        node.append(input(value));
    }
    Some(())
}

fn replace(node: &CstNode, value: &Value) -> Option<()> {
    let value = input(value);
    if let Some(node) = node.as_object() {
        node.replace_with(value);
    } else if let Some(node) = node.as_array() {
        node.replace_with(value);
    } else if let Some(node) = node.as_string_lit() {
        node.replace_with(value);
    } else if let Some(node) = node.as_number_lit() {
        node.replace_with(value);
    } else if let Some(node) = node.as_boolean_lit() {
        node.replace_with(value);
    } else if let Some(node) = node.as_null_keyword() {
        node.replace_with(value);
    } else {
        return None;
    }
    Some(())
}

fn value_of(node: &CstNode) -> Option<Value> {
    let document = parse(Path::new(""), &node.to_string()).ok()?;
    Some(document.value)
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(value) => CstInputValue::Number(value.to_string()),
        Value::String(value) => CstInputValue::String(value.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(entries) => CstInputValue::Object(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), input(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_of_lists_keep_their_comments() {
        let base = "{ list: [\n  { id: 'a' }, // one\n  { id: 'b' }, // two\n  { id: 'c', n: .5 }, // three\n] }";
        let out = rewrite(
            base,
            &json!({ "list": [{ "id": "b" }, { "id": "c", "n": 2 }] }),
        );
        assert!(out.lost.is_none());
        assert!(
            out.text.contains("// two") && out.text.contains("// three"),
            "{}",
            out.text
        );
        let out = rewrite(base, &json!({ "list": "none" }));
        assert_eq!(out.text, "{ list: \"none\" }");
    }

    #[test]
    fn a_text_that_cannot_be_edited_is_written_anew_and_says_what_is_lost() {
        let out = rewrite("// why\n[1]", &json!({ "a": 1 }));
        assert_eq!(out.text, "{\n  \"a\": 1\n}\n");
        assert!(out.lost.is_some());
        assert!(rewrite("[1]", &json!({ "a": 1 })).lost.is_none());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (-9i64..9).prop_map(Value::from),
            "[a-z '\"\\\\/*]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(id|[a-c /]{1,2})", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("(id|[a-c /]{1,2})", value(), 0..4)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        /// Whatever is in the text, it holds the target in the end and its first comment stays.
        #[test]
        fn any_object_becomes_any_other(old in object(), new in object()) {
            let base = format!("// first\n{old:#}\n");
            let out = rewrite(&base, &new);
            let read = parse(Path::new(""), &out.text).unwrap().value;
            prop_assert_eq!(&read, &new);
            prop_assert_eq!(out.lost, None);
            prop_assert!(out.text.starts_with("// first\n"));
        }
    }
}
