//! Where the official package has schemas for parts of an answer only, and what could be overlooked there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::official::{PARAMS, RESULTS, pascal};
use super::{Difference, given};

/// Rows of answers: method, place in the answer, and the way to the official schema below `definitions`.
const PARTS: &[(&str, &str, &[&str])] = &[
    ("cron.list", "/jobs/*", &["CronJob"]),
    ("cron.runs", "/entries/*", &["CronRunLogEntry"]),
    ("health", "", &["Snapshot", "properties", "health"]),
    ("sessions.describe", "/session", &["SessionRow"]),
    ("sessions.list", "/sessions/*", &["SessionRow"]),
    ("system-presence", "/*", &["PresenceEntry"]),
];

/// Official schemas whose name looks like that of a method, and which are of something else.
const OTHERS: &[&str] = &[
    // Answers to a cursor: recorded ones are checked against them (tests/conformance/lib/schemas.mjs).
    "ChatHistoryCursorResult",
    "ChatHistoryDeltaResult",
    "ChatHistoryResetResult",
];

/// How names of schemas end that are of params, and of results.
const ENDS: [(&str, &[&str]); 2] = [
    ("params", &["Params", "Request", "Wait"]),
    (
        "result",
        &["Result", "Response", "Snapshot", "Registration"],
    ),
];

/// Compares the rows of a method's answer; none if the package has no schema for them either.
pub(super) fn of_result(
    ours: &Value,
    official: &Value,
    schema: &Value,
    method: &str,
) -> Option<Vec<Difference>> {
    let (_, place, way) = PARTS.iter().find(|(known, ..)| *known == method)?;
    let theirs = way
        .iter()
        .try_fold(&official["definitions"], |found, key| found.get(key))?;
    let part = at(ours, schema, place)?;
    let found = given((ours, part), (official, theirs));
    let placed = found.into_iter().map(|difference| Difference {
        place: format!("{place}{}", difference.place),
        ..difference
    });
    Some(placed.collect())
}

/// The schema at a place of another one.
fn at<'a>(document: &'a Value, schema: &'a Value, place: &str) -> Option<&'a Value> {
    let mut here = plain(document, schema)?;
    for step in place.split('/').skip(1) {
        let next = match step {
            "*" => here.get("items"),
            key => here.get("properties")?.get(key),
        };
        here = plain(document, next?)?;
    }
    Some(here)
}

/// A schema behind its references, without `null` beside it.
fn plain<'a>(document: &'a Value, mut schema: &'a Value) -> Option<&'a Value> {
    loop {
        if let Some(name) = schema.get("$ref") {
            schema = document.pointer(name.as_str()?.strip_prefix('#')?)?;
            continue;
        }
        let choices = ["allOf", "oneOf", "anyOf"]
            .iter()
            .find_map(|key| schema.get(key)?.as_array());
        let Some(choices) = choices else {
            return Some(schema);
        };
        let mut real = choices.iter().filter(|choice| choice["type"] != "null");
        match (real.next(), real.next()) {
            (Some(one), None) => schema = one,
            _ => return Some(schema),
        }
    }
}

/// Official schemas that nothing was compared with, though they look like those of the methods in
/// `untold`: pairs of a method and `params` or `result`.
pub(super) fn overlooked(official: &Value, untold: &[(&str, &str)]) -> Vec<String> {
    let methods: Vec<String> = names(official, "methods").into_iter().map(pascal).collect();
    let taken: BTreeSet<&str> = PARAMS
        .iter()
        .chain(RESULTS)
        .map(|(_, name)| *name)
        .chain(OTHERS.iter().copied())
        .collect();
    let of_another = |definition: &str, stem: &str| {
        methods
            .iter()
            .any(|known| known.len() > stem.len() && definition.starts_with(known.as_str()))
            || methods.iter().any(|known| {
                known != stem
                    && (definition == format!("{known}Params")
                        || definition == format!("{known}Result"))
            })
    };
    let mut found = Vec::new();
    for (method, part) in untold {
        let stem = pascal(method);
        let noun = method.rsplit_once('.').map(|(noun, _)| pascal(noun));
        let ends = ENDS.iter().find(|(known, _)| known == part);
        let ends = ends.map_or(&[][..], |(_, ends)| *ends);
        for definition in names(official, "definitions") {
            let Some(body) = ends.iter().find_map(|end| definition.strip_suffix(*end)) else {
                continue;
            };
            let more = body.strip_prefix(stem.as_str());
            let like = more.is_some_and(|more| more.is_empty() || starts_a_word(more))
                || noun.as_deref() == Some(body);
            if like && !taken.contains(definition) && !of_another(definition, &stem) {
                found.push(format!(
                    "{method} {part}: the package has {definition}, which is compared with nothing"
                ));
            }
        }
    }
    found
}

fn names<'a>(document: &'a Value, table: &str) -> Vec<&'a str> {
    let table = document[table].as_object();
    let rows = table.into_iter().flatten();
    rows.map(|(name, _)| name.as_str()).collect()
}

fn starts_a_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_compared_where_they_are() {
        let ours = json!({"definitions": {
            "Page": {"properties": {"jobs": {"type": "array", "items": {"allOf": [{"$ref": "#/definitions/Job"}]}}}},
            "Job": {"type": "object", "properties": {"id": {"type": "string"}, "own": {"type": "string"}}},
            "One": {"properties": {"session": {"oneOf": [{"$ref": "#/definitions/Job"}, {"type": "null"}]}}},
        }});
        let official = json!({"definitions": {
            "CronJob": {"type": "object", "properties": {"id": {"type": "string"}}, "additionalProperties": false},
            "SessionRow": {"type": "object", "properties": {"id": {"type": "integer"}}},
        }});
        let schema = |name: &str| json!({"$ref": format!("#/definitions/{name}")});
        let places = |method: &str, name: &str| -> Vec<String> {
            let found = of_result(&ours, &official, &schema(name), method).unwrap();
            found.into_iter().map(|found| found.place).collect()
        };
        assert_eq!(places("cron.list", "Page"), ["/jobs/*/own"]);
        assert!(places("sessions.describe", "One").contains(&"/session/id".to_owned()));
        assert_eq!(
            of_result(&ours, &official, &schema("Page"), "cron.status"),
            None
        );
    }

    #[test]
    fn a_schema_that_looks_like_a_methods_is_not_overlooked() {
        let official = json!({
            "methods": {"thing.get": {}, "thing.getAll": {}, "chat.history": {}},
            "definitions": {
                "ThingParams": {}, "ThingGetSpecialResult": {}, "ThingGetAllResult": {}, "ThingGetter": {},
                "ChatHistoryCursorResult": {},
            },
        });
        let untold = [
            ("thing.get", "params"),
            ("thing.get", "result"),
            ("chat.history", "result"),
        ];
        let found = overlooked(&official, &untold);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("thing.get params") && found[0].contains("ThingParams"));
        assert!(found[1].contains("ThingGetSpecialResult"), "{found:?}");
    }
}
