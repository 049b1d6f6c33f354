//! JSON text that is the same whatever features `serde_json` was built with.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Keys sorted, two spaces, a line break at the end.
pub(crate) fn pretty(value: Value) -> String {
    let sorted = Sorted::from(value);
    let mut text = serde_json::to_string_pretty(&sorted).expect("a JSON value serialises");
    text.push('\n');
    text
}

/// Keys sorted, one line for each definition, method and event.
pub(crate) fn compact(value: Value) -> String {
    let Value::Object(tables) = value else {
        return value.to_string();
    };
    let tables: BTreeMap<String, Value> = tables.into_iter().collect();
    let mut lines = Vec::new();
    for (name, table) in tables {
        let key = Value::from(name);
        let Value::Object(rows) = table else {
            lines.push(format!("{key}: {}", line(table)));
            continue;
        };
        let rows: BTreeMap<String, Value> = rows.into_iter().collect();
        let rows: Vec<String> = rows
            .into_iter()
            .map(|(name, row)| format!("{}: {}", Value::from(name), line(row)))
            .collect();
        lines.push(format!("{key}: {{\n{}\n}}", rows.join(",\n")));
    }
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

fn line(value: Value) -> String {
    serde_json::to_string(&Sorted::from(value)).expect("a JSON value serialises")
}

/// A JSON value whose keys are in order, whatever features `serde_json` was built with.
#[derive(Serialize)]
#[serde(untagged)]
enum Sorted {
    Object(BTreeMap<String, Self>),
    Array(Vec<Self>),
    Plain(Value),
}

impl From<Value> for Sorted {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(object) => Self::Object(
                object
                    .into_iter()
                    .map(|(key, value)| (key, Self::from(value)))
                    .collect(),
            ),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            plain => Self::Plain(plain),
        }
    }
}
