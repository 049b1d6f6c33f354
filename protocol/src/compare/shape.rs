//! What a schema admits, by kinds of JSON values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Follows references of one document.
pub(super) struct Resolver<'a> {
    document: &'a Value,
}

/// What a schema admits.
#[derive(Default)]
pub(super) struct Shape<'a> {
    pub(super) any: bool,
    pub(super) null: bool,
    pub(super) truth: bool,
    pub(super) number: Option<Number>,
    pub(super) text: Option<Text<'a>>,
    pub(super) list: Option<List<'a>>,
    pub(super) objects: Vec<Object<'a>>,
}

pub(super) struct Number {
    pub(super) whole: bool,
    pub(super) bounds: Bounds,
}

pub(super) struct Text<'a> {
    /// The only words, if there is a list of them.
    pub(super) words: Option<BTreeSet<&'a str>>,
    pub(super) bounds: Bounds,
    pub(super) pattern: Option<&'a str>,
}

pub(super) struct List<'a> {
    pub(super) items: Vec<&'a Value>,
    pub(super) bounds: Bounds,
}

#[derive(Clone, Default)]
pub(super) struct Object<'a> {
    pub(super) keys: BTreeMap<&'a str, Key<'a>>,
    /// Whether a key without a name is refused.
    pub(super) closed: bool,
    /// What keys without a name hold, where the schema says it.
    pub(super) values: Option<&'a Value>,
    /// Whether it says that keys without a name are kept.
    said_open: bool,
}

#[derive(Clone, Default)]
pub(super) struct Key<'a> {
    pub(super) required: bool,
    pub(super) schemas: Vec<&'a Value>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) low: Option<u64>,
    pub(super) high: Option<u64>,
}

/// One kind of object on both sides: the value that tells it apart, and each side's.
pub(super) type Pair<'s, 'a> = (&'a str, Option<&'s Object<'a>>, Option<&'s Object<'a>>);

impl<'a> Resolver<'a> {
    pub(super) const fn new(document: &'a Value) -> Self {
        Self { document }
    }

    pub(super) fn shape(&self, schema: &'a Value) -> Shape<'a> {
        self.union(&[schema])
    }

    /// What any of these admits.
    pub(super) fn union(&self, schemas: &[&'a Value]) -> Shape<'a> {
        let mut shape = Shape::default();
        for schema in schemas {
            self.add(schema, &Object::default(), &mut shape, 0);
        }
        shape
    }

    /// Adds what a schema admits. `around` has the keys that stand beside a choice.
    fn add(&self, schema: &'a Value, around: &Object<'a>, shape: &mut Shape<'a>, depth: usize) {
        // Longer than any chain of references that says something.
        if depth > 32 {
            return;
        }
        if let Some(target) = schema["$ref"].as_str() {
            let pointer = target.trim_start_matches('#');
            if let Some(found) = self.document.pointer(pointer) {
                self.add(found, around, shape, depth + 1);
            }
            return;
        }
        let mut around = around.clone();
        if schema["properties"].is_object() {
            around.take(schema);
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(branches) = schema[key].as_array() {
                for branch in branches {
                    self.add(branch, &around, shape, depth + 1);
                }
                return;
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            // Parts of one object: all but the last are gathered, the last brings the rest.
            let [others @ .., last] = parts.as_slice() else {
                return;
            };
            for part in others {
                around.take(self.target(part));
            }
            self.add(last, &around, shape, depth + 1);
            return;
        }
        plain(schema, &around, shape);
    }

    fn target(&self, schema: &'a Value) -> &'a Value {
        schema["$ref"]
            .as_str()
            .and_then(|target| self.document.pointer(target.trim_start_matches('#')))
            .unwrap_or(schema)
    }
}

/// Adds what a schema without references and choices admits.
fn plain<'a>(schema: &'a Value, around: &Object<'a>, shape: &mut Shape<'a>) {
    if let Some(word) = schema["const"].as_str() {
        shape.words([word]);
        return;
    }
    if let Some(words) = schema["enum"].as_array() {
        shape.words(words.iter().filter_map(Value::as_str));
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ if !around.keys.is_empty() => vec!["object"],
        _ => {
            // A fixed value that is no text is seldom, and of the kind that it is.
            match &schema["const"] {
                Value::Bool(_) => vec!["boolean"],
                Value::Number(_) => vec!["number"],
                _ => {
                    shape.any = true;
                    return;
                }
            }
        }
    };
    for kind in kinds {
        match kind {
            "null" => shape.null = true,
            "boolean" => shape.truth = true,
            "integer" | "number" => {
                let found = Number {
                    whole: kind == "integer",
                    bounds: Bounds::of(schema, "minimum", "maximum"),
                };
                shape.number = Some(match shape.number.take() {
                    None => found,
                    Some(other) => Number {
                        whole: other.whole && found.whole,
                        bounds: other.bounds.union(found.bounds),
                    },
                });
            }
            "string" => shape.free_text(schema),
            "array" => {
                let bounds = Bounds::of(schema, "minItems", "maxItems");
                let list = shape.list.get_or_insert(List {
                    items: Vec::new(),
                    bounds,
                });
                list.items.push(&schema["items"]);
                list.bounds = list.bounds.union(bounds);
            }
            _ => {
                let mut object = around.clone();
                object.take(schema);
                shape.objects.push(object);
            }
        }
    }
}

impl<'a> Shape<'a> {
    fn words(&mut self, words: impl IntoIterator<Item = &'a str>) {
        let text = self.text.get_or_insert(Text {
            words: Some(BTreeSet::new()),
            bounds: Bounds::default(),
            pattern: None,
        });
        if let Some(known) = &mut text.words {
            known.extend(words);
        }
    }

    fn free_text(&mut self, schema: &'a Value) {
        let bounds = Bounds::of(schema, "minLength", "maxLength");
        self.text = Some(match self.text.take() {
            Some(other) if other.words.is_none() => Text {
                bounds: other.bounds.union(bounds),
                ..other
            },
            _ => Text {
                words: None,
                bounds,
                pattern: schema["pattern"].as_str(),
            },
        });
    }
}

impl<'a> Object<'a> {
    /// Whether keys without a name are part of what it is.
    pub(super) fn open(&self) -> bool {
        self.said_open
    }

    fn take(&mut self, schema: &'a Value) {
        let none = Vec::new();
        let required = schema["required"].as_array().unwrap_or(&none);
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let known = self.keys.entry(key).or_default();
            known.required |= required.iter().any(|name| name == key);
            if !known.schemas.contains(&property) {
                known.schemas.push(property);
            }
        }
        match &schema["additionalProperties"] {
            Value::Bool(false) => self.closed = true,
            Value::Bool(true) => self.said_open = true,
            Value::Object(_) => {
                self.values = Some(&schema["additionalProperties"]);
                self.said_open = true;
            }
            _ => {
                let mut patterns = schema["patternProperties"]
                    .as_object()
                    .into_iter()
                    .flatten();
                if let Some((_, values)) = patterns.next() {
                    self.values = Some(values);
                    self.said_open = true;
                }
            }
        }
    }

    /// One object that admits what any of these does.
    pub(super) fn merged(objects: &[Self]) -> Self {
        let mut merged = Self {
            closed: objects.iter().all(|object| object.closed),
            said_open: objects.iter().any(|object| object.said_open),
            values: objects.iter().find_map(|object| object.values),
            keys: BTreeMap::new(),
        };
        for object in objects {
            for (key, found) in &object.keys {
                let known = merged.keys.entry(key).or_default();
                for schema in &found.schemas {
                    if !known.schemas.contains(schema) {
                        known.schemas.push(schema);
                    }
                }
            }
        }
        for (key, known) in &mut merged.keys {
            known.required = objects
                .iter()
                .all(|object| object.keys.get(key).is_some_and(|found| found.required));
        }
        merged
    }

    /// The word that this kind of object has at a key.
    fn word(&self, key: &str) -> Option<&'a str> {
        let [only] = self.keys.get(key)?.schemas.as_slice() else {
            return None;
        };
        only["const"].as_str()
    }
}

/// Pairs kinds of objects by the key that tells them apart on both sides, if there is one.
pub(super) fn matched<'s, 'a>(
    left: &'s [Object<'a>],
    right: &'s [Object<'a>],
) -> Option<Vec<Pair<'s, 'a>>> {
    if left.len() < 2 && right.len() < 2 {
        return None;
    }
    let key = left.first()?.keys.keys().find(|key| {
        let words = |side: &[Object<'a>]| -> Option<BTreeSet<&'a str>> {
            let words: Option<BTreeSet<&str>> =
                side.iter().map(|object| object.word(key)).collect();
            words.filter(|words| words.len() == side.len())
        };
        words(left).is_some() && words(right).is_some()
    })?;
    let mut pairs: BTreeMap<&str, (Option<&Object<'a>>, Option<&Object<'a>>)> = BTreeMap::new();
    for object in left {
        pairs.entry(object.word(key)?).or_default().0 = Some(object);
    }
    for object in right {
        pairs.entry(object.word(key)?).or_default().1 = Some(object);
    }
    Some(
        pairs
            .into_iter()
            .map(|(word, (left, right))| (word, left, right))
            .collect(),
    )
}

impl Bounds {
    fn of(schema: &Value, low: &str, high: &str) -> Self {
        Self {
            low: schema[low].as_u64(),
            high: schema[high].as_u64(),
        }
    }

    fn union(self, other: Self) -> Self {
        Self {
            low: self.low.zip(other.low).map(|(one, two)| one.min(two)),
            high: self.high.zip(other.high).map(|(one, two)| one.max(two)),
        }
    }
}
