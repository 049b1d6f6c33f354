//! Our contract beside what was released of it: what would break a client that knows the release.

use serde_json::Value;

use super::{Difference, Direction, Kind, rows, schemas};

/// A change that a client of the release may trip over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Break {
    /// `chat.send params /message`, `chat payload /seq`, `health`.
    pub place: String,
    /// What is not as it was.
    pub what: String,
}

/// Every breaking change from `released` to `current`, both documents of `protocol-gen`.
///
/// Params may take more, results and payloads may hold more: a method, an event or a required key
/// that went away, a type that changed, a key that is now needed or a bound that became tighter is
/// a break. Words of a list may be added: clients keep those that they do not know.
pub fn breaks(released: &Value, current: &Value) -> Vec<Break> {
    let mut found = frames(released, current);
    let now = rows(current, "methods");
    for (name, before) in rows(released, "methods") {
        let Some(after) = now.get(name) else {
            found.push(Break::new(name, "the method is gone"));
            continue;
        };
        if before["access"] != after["access"] {
            let what = format!("needs {} instead of {}", after["access"], before["access"]);
            found.push(Break::new(name, &what));
        }
        let params = schemas((current, &after["params"]), (released, &before["params"]));
        let narrower = params
            .iter()
            .filter(|found| found.direction == Direction::Narrower);
        found.extend(narrower.map(|found| found.as_break(name, "params", "no longer takes")));
        let result = schemas((current, &after["result"]), (released, &before["result"]));
        found.extend(given(&result).map(|found| found.as_break(name, "result", "changed")));
    }
    let now = rows(current, "events");
    for (name, before) in rows(released, "events") {
        let Some(after) = now.get(name) else {
            found.push(Break::new(name, "the event is gone"));
            continue;
        };
        if before["gate"] != after["gate"] {
            let what = format!("is for {} instead of {}", after["gate"], before["gate"]);
            found.push(Break::new(name, &what));
        }
        let payload = schemas((current, &after["payload"]), (released, &before["payload"]));
        found.extend(given(&payload).map(|found| found.as_break(name, "payload", "changed")));
    }
    found.sort();
    found
}

/// The envelope and the handshake: what a client sends in frames, and what it is given in them.
fn frames(released: &Value, current: &Value) -> Vec<Break> {
    let mut found = Vec::new();
    for (name, before) in rows(released, "frames") {
        let after = &current["frames"][name];
        if after.is_null() {
            found.push(Break::new(name, "the frame is gone"));
            continue;
        }
        let differences = schemas((current, after), (released, before));
        if matches!(name, "connect" | "request") {
            let narrower = differences
                .iter()
                .filter(|found| found.direction == Direction::Narrower);
            found.extend(narrower.map(|found| found.as_break(name, "frame", "no longer takes")));
        } else {
            let given = given(&differences);
            found.extend(given.map(|found| found.as_break(name, "frame", "changed")));
        }
    }
    found
}

/// Of what the gateway gives: a key that was promised and no longer is, or another type. More keys
/// and more words are no break; fewer are one only where they were promised.
fn given(differences: &[Difference]) -> impl Iterator<Item = &Difference> {
    differences.iter().filter(|found| match found.kind {
        Kind::Required | Kind::Open => found.direction == Direction::Wider,
        Kind::Type => found.direction == Direction::Wider && !found.what.starts_with('`'),
        Kind::Key => found.direction == Direction::Narrower,
        Kind::Bound => false,
    })
}

impl Difference {
    fn as_break(&self, name: &str, part: &str, verb: &str) -> Break {
        Break::new(
            &format!("{name} {part} {}", self.place),
            &format!("{verb}: {}", self.what),
        )
    }
}

impl Break {
    fn new(place: &str, what: &str) -> Self {
        Self {
            place: place.trim_end().to_owned(),
            what: what.to_owned(),
        }
    }
}
