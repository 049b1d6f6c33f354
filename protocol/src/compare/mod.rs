//! Two contracts side by side: where one takes or gives less, and where more.
//!
//! Schemas are compared by what they admit, not by how they are written: references are followed,
//! choices are flattened, and branches are matched by the key that tells them apart. Two uses:
//! our contract beside the official package ([`official`]), and beside what was released of it
//! ([`release`]).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

mod parts;
mod shape;

pub mod official;
pub mod release;

use shape::{Bounds, Object, Resolver, Shape};

/// How deep schemas are followed; deeper, types that hold themselves repeat.
const MAX_DEPTH: usize = 12;

/// On which side there is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The left side admits less.
    Narrower,
    /// The left side admits more.
    Wider,
}

/// What kind of difference it is, for reasons that hold for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A key that only one side has.
    Key,
    /// A key that only one side requires.
    Required,
    /// A type, or a word of a closed list, that only one side has.
    Type,
    /// A length, a count or a number that only one side bounds, or bounds differently.
    Bound,
    /// One side takes keys that have no name.
    Open,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// JSON pointer to the place, `*` for items of lists and values of maps.
    pub place: String,
    /// What kind it is.
    pub kind: Kind,
    /// On which side there is more.
    pub direction: Direction,
    /// What differs, in words.
    pub what: String,
}

/// How two schemas stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They admit the same.
    Same,
    /// The left one admits less.
    Narrower,
    /// The left one admits more.
    Wider,
    /// Each admits something that the other does not.
    Differs,
}

impl Verdict {
    /// The verdict over these differences.
    pub fn of(differences: &[Difference]) -> Self {
        let has = |direction| differences.iter().any(|found| found.direction == direction);
        match (has(Direction::Narrower), has(Direction::Wider)) {
            (false, false) => Self::Same,
            (true, false) => Self::Narrower,
            (false, true) => Self::Wider,
            (true, true) => Self::Differs,
        }
    }

    /// One word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Narrower => "narrower",
            Self::Wider => "wider",
            Self::Differs => "differs",
        }
    }
}

/// Compares a schema of one document with a schema of another: each a document and the schema.
pub fn schemas(left: (&Value, &Value), right: (&Value, &Value)) -> Vec<Difference> {
    all(left, right, false)
}

/// Compares what the left side gives: it gives no key that its schema does not name.
pub fn given(left: (&Value, &Value), right: (&Value, &Value)) -> Vec<Difference> {
    all(left, right, true)
}

fn all(left: (&Value, &Value), right: (&Value, &Value), given: bool) -> Vec<Difference> {
    let mut comparison = Comparison {
        left: Resolver::new(left.0),
        right: Resolver::new(right.0),
        given,
        found: BTreeSet::new(),
    };
    let shapes = (
        comparison.left.shape(left.1),
        comparison.right.shape(right.1),
    );
    comparison.shapes("", &shapes.0, &shapes.1, 0);
    comparison.found.into_iter().collect()
}

struct Comparison<'a> {
    left: Resolver<'a>,
    right: Resolver<'a>,
    /// Whether the left side gives only what it names.
    given: bool,
    found: BTreeSet<Difference>,
}

impl<'a> Comparison<'a> {
    fn note(&mut self, place: &str, kind: Kind, direction: Direction, what: impl Into<String>) {
        self.found.insert(Difference {
            place: place.to_owned(),
            kind,
            direction,
            what: what.into(),
        });
    }

    /// Notes what only one of two sides has.
    fn either(&mut self, place: &str, kind: Kind, (left, right): (bool, bool), what: &str) {
        match (left, right) {
            (true, false) => self.note(place, kind, Direction::Wider, what),
            (false, true) => self.note(place, kind, Direction::Narrower, what),
            _ => {}
        }
    }

    fn shapes(&mut self, place: &str, left: &Shape<'a>, right: &Shape<'a>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        if left.any || right.any {
            self.either(place, Kind::Type, (left.any, right.any), "anything");
            return;
        }
        self.either(place, Kind::Type, (left.null, right.null), "null");
        self.either(place, Kind::Type, (left.truth, right.truth), "a boolean");
        self.numbers(place, left, right);
        self.texts(place, left, right);
        self.lists(place, left, right, depth);
        self.objects(place, left, right, depth);
    }

    fn numbers(&mut self, place: &str, left: &Shape<'a>, right: &Shape<'a>) {
        match (&left.number, &right.number) {
            (Some(ours), Some(theirs)) => {
                self.either(
                    place,
                    Kind::Type,
                    (!ours.whole, !theirs.whole),
                    "numbers with a fraction",
                );
                self.bounds(place, "", ours.bounds, theirs.bounds);
            }
            (ours, theirs) => {
                self.either(
                    place,
                    Kind::Type,
                    (ours.is_some(), theirs.is_some()),
                    "a number",
                );
            }
        }
    }

    fn texts(&mut self, place: &str, left: &Shape<'a>, right: &Shape<'a>) {
        match (&left.text, &right.text) {
            (Some(ours), Some(theirs)) => {
                match (&ours.words, &theirs.words) {
                    (Some(some), Some(others)) => {
                        for word in some.difference(others) {
                            self.note(place, Kind::Type, Direction::Wider, format!("`{word}`"));
                        }
                        for word in others.difference(some) {
                            self.note(place, Kind::Type, Direction::Narrower, format!("`{word}`"));
                        }
                        return;
                    }
                    (ours, theirs) => self.either(
                        place,
                        Kind::Type,
                        (ours.is_none(), theirs.is_none()),
                        "any text",
                    ),
                }
                if ours.words.is_none() && theirs.words.is_none() {
                    self.bounds(place, " characters", ours.bounds, theirs.bounds);
                    if ours.pattern != theirs.pattern {
                        let form = "texts of another form";
                        let free = (ours.pattern.is_none(), theirs.pattern.is_none());
                        self.either(place, Kind::Bound, free, form);
                        // Which of two forms takes more is not known: each may refuse what the other takes.
                        if free == (false, false) {
                            for direction in [Direction::Narrower, Direction::Wider] {
                                self.note(place, Kind::Bound, direction, form.to_owned());
                            }
                        }
                    }
                }
            }
            (ours, theirs) => {
                self.either(
                    place,
                    Kind::Type,
                    (ours.is_some(), theirs.is_some()),
                    "a text",
                );
            }
        }
    }

    fn lists(&mut self, place: &str, left: &Shape<'a>, right: &Shape<'a>, depth: usize) {
        match (&left.list, &right.list) {
            (Some(ours), Some(theirs)) => {
                self.bounds(place, " items", ours.bounds, theirs.bounds);
                let items = (
                    self.left.union(&ours.items),
                    self.right.union(&theirs.items),
                );
                self.shapes(&format!("{place}/*"), &items.0, &items.1, depth + 1);
            }
            (ours, theirs) => {
                self.either(
                    place,
                    Kind::Type,
                    (ours.is_some(), theirs.is_some()),
                    "a list",
                );
            }
        }
    }

    fn objects(&mut self, place: &str, left: &Shape<'a>, right: &Shape<'a>, depth: usize) {
        match (left.objects.as_slice(), right.objects.as_slice()) {
            ([], []) => {}
            ([], _) | (_, []) => {
                let sides = (!left.objects.is_empty(), !right.objects.is_empty());
                self.either(place, Kind::Type, sides, "an object");
            }
            (ours, theirs) => {
                if let Some(pairs) = shape::matched(ours, theirs) {
                    for (value, ours, theirs) in pairs {
                        let place = format!("{place}[{value}]");
                        match (ours, theirs) {
                            (Some(ours), Some(theirs)) => self.object(&place, ours, theirs, depth),
                            (ours, theirs) => self.either(
                                &place,
                                Kind::Type,
                                (ours.is_some(), theirs.is_some()),
                                "this kind of object",
                            ),
                        }
                    }
                } else {
                    let merged = (Object::merged(ours), Object::merged(theirs));
                    self.object(place, &merged.0, &merged.1, depth);
                }
            }
        }
    }

    fn object(&mut self, place: &str, left: &Object<'a>, right: &Object<'a>, depth: usize) {
        let keys: BTreeSet<&str> = left.keys.keys().chain(right.keys.keys()).copied().collect();
        for key in keys {
            let at = format!("{place}/{key}");
            match (left.keys.get(key), right.keys.get(key)) {
                (Some(ours), Some(theirs)) => {
                    // Requiring a key admits less.
                    self.either(
                        &at,
                        Kind::Required,
                        (!ours.required, !theirs.required),
                        "objects without it",
                    );
                    let shapes = (
                        self.left.union(&ours.schemas),
                        self.right.union(&theirs.schemas),
                    );
                    self.shapes(&at, &shapes.0, &shapes.1, depth + 1);
                }
                (Some(ours), None) => {
                    self.lone(&at, ours.required, right.closed, Direction::Wider);
                }
                (None, Some(theirs)) => {
                    let closed = left.closed || (self.given && !left.open());
                    self.lone(&at, theirs.required, closed, Direction::Narrower);
                }
                (None, None) => {}
            }
        }
        self.either(
            place,
            Kind::Open,
            (left.open(), right.open()),
            "keys without a name",
        );
        if let (Some(ours), Some(theirs)) = (left.values, right.values) {
            let shapes = (self.left.shape(ours), self.right.shape(theirs));
            self.shapes(&format!("{place}/*"), &shapes.0, &shapes.1, depth + 1);
        }
    }

    /// A key that only one side names; `closed` says whether the other one refuses it.
    fn lone(&mut self, at: &str, required: bool, closed: bool, direction: Direction) {
        let opposite = match direction {
            Direction::Narrower => Direction::Wider,
            Direction::Wider => Direction::Narrower,
        };
        if required {
            // The other side admits objects without it.
            self.note(at, Kind::Required, opposite, "objects without it");
        }
        if closed {
            self.note(at, Kind::Key, direction, "this key");
        }
    }

    fn bounds(&mut self, place: &str, unit: &str, left: Bounds, right: Bounds) {
        let low = (left.low.unwrap_or(0), right.low.unwrap_or(0));
        if left.low.is_some() != right.low.is_some() || low.0 != low.1 {
            self.either(
                place,
                Kind::Bound,
                (low.0 < low.1, low.1 < low.0),
                &format!("fewer than {}{unit}", low.0.max(low.1)),
            );
        }
        let high = (
            left.high.unwrap_or(u64::MAX),
            right.high.unwrap_or(u64::MAX),
        );
        self.either(
            place,
            Kind::Bound,
            (high.0 > high.1, high.1 > high.0),
            &format!("more than {}{unit}", high.0.min(high.1)),
        );
    }
}

/// Names of methods or events with their schemas.
fn rows<'a>(document: &'a Value, table: &str) -> BTreeMap<&'a str, &'a Value> {
    document[table]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, row)| (name.as_str(), row))
        .collect()
}

#[cfg(test)]
mod tests;
