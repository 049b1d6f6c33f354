//! One reading of the schema document, for the generators that write programs and prose.
//!
//! The schemas come from serde types, so a few shapes are all there is. One that is not known here
//! is refused with its place: then either its type gets a name, or this file a shape.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Where schemas refer to.
const DEFINITIONS: &str = "#/definitions/";

/// The whole contract.
pub(crate) struct Model {
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    pub(crate) declarations: BTreeMap<String, Declaration>,
    pub(crate) methods: Vec<Method>,
    pub(crate) events: Vec<Event>,
}

/// A named type.
pub(crate) struct Declaration {
    pub(crate) doc: String,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// One of these words; with `open`, also any other.
    Choice { words: Vec<Word>, open: bool },
    /// One of these types, told apart by what they hold; `shared` are in each.
    Union {
        branches: Vec<Branch>,
        shared: Vec<Field>,
    },
    /// `tag` says which record the other keys are; `shared` are in each.
    Tagged {
        tag: String,
        variants: Vec<Variant>,
        shared: Vec<Field>,
    },
    /// An object with these keys; with `open`, others are kept.
    Record { fields: Vec<Field>, open: bool },
    /// Another name of a type.
    Alias(Type),
}

pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) doc: String,
}

pub(crate) struct Branch {
    pub(crate) doc: String,
    pub(crate) of: Type,
}

pub(crate) struct Variant {
    pub(crate) value: String,
    pub(crate) doc: String,
    /// Name of a record.
    pub(crate) body: String,
}

pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) doc: String,
    pub(crate) of: Type,
    pub(crate) required: bool,
    /// Bounds in words, e.g. `1 to 256 characters`.
    pub(crate) limits: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Text,
    Whole,
    Number,
    Truth,
    Any,
    Named(String),
    List(Box<Self>),
    Map(Box<Self>),
    OrNull(Box<Self>),
}

pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) access: String,
    pub(crate) effect: bool,
    pub(crate) params: Type,
    pub(crate) result: Type,
}

pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) gate: String,
    pub(crate) droppable: String,
    pub(crate) since: u64,
    pub(crate) payload: Type,
}

impl Model {
    pub(crate) fn read(document: &Value) -> Result<Self, String> {
        let mut declarations = BTreeMap::new();
        for (name, schema) in sorted(&document["definitions"]) {
            let kind = kind(schema).map_err(|problem| {
                format!("definition {name}: {problem}; give the part a type with a name, or teach protocol-gen this shape")
            })?;
            let doc = doc(schema);
            declarations.insert(name.to_owned(), Declaration { doc, kind });
        }
        let mut methods = Vec::new();
        for (name, row) in sorted(&document["methods"]) {
            let place = |problem| format!("method {name}: {problem}");
            methods.push(Method {
                name: name.to_owned(),
                doc: text(&row["description"]),
                access: text(&row["access"]),
                effect: row["effect"] == Value::Bool(true),
                params: type_of(&row["params"]).map_err(place)?,
                result: type_of(&row["result"]).map_err(place)?,
            });
        }
        let mut events = Vec::new();
        for (name, row) in sorted(&document["events"]) {
            events.push(Event {
                name: name.to_owned(),
                gate: text(&row["gate"]),
                droppable: text(&row["droppable"]),
                since: row["since"].as_u64().unwrap_or_default(),
                payload: type_of(&row["payload"])
                    .map_err(|problem| format!("event {name}: {problem}"))?,
            });
        }
        let version = |key: &str| document["protocol"][key].as_u64().unwrap_or_default();
        let model = Self {
            oldest: version("oldest"),
            newest: version("newest"),
            declarations,
            methods,
            events,
        };
        model.refuse_cycles()?;
        Ok(model)
    }

    /// What a name stands for.
    pub(crate) fn kind(&self, name: &str) -> Option<&Kind> {
        self.declarations.get(name).map(|found| &found.kind)
    }

    /// The tags of the choices that a record is part of: they are no keys of its own.
    pub(crate) fn tags_of(&self, record: &str) -> BTreeSet<&str> {
        self.declarations
            .values()
            .filter_map(|declaration| match &declaration.kind {
                Kind::Tagged { tag, variants, .. } => variants
                    .iter()
                    .any(|variant| variant.body == record)
                    .then_some(tag.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Swift's structs cannot hold themselves; a list or a map in between is enough.
    fn refuse_cycles(&self) -> Result<(), String> {
        for name in self.declarations.keys() {
            let mut seen = BTreeSet::new();
            let mut next = self.held_by(name);
            while let Some(held) = next.pop() {
                if held == *name {
                    return Err(format!("definition {name} holds itself"));
                }
                if seen.insert(held.clone()) {
                    next.extend(self.held_by(&held));
                }
            }
        }
        Ok(())
    }

    fn held_by(&self, name: &str) -> Vec<String> {
        let fields = |fields: &[Field]| fields.iter().filter_map(|field| field.of.held()).collect();
        match self.kind(name) {
            Some(Kind::Record { fields: held, .. }) => fields(held),
            Some(Kind::Union { branches, shared }) => {
                let mut held: Vec<String> = fields(shared);
                held.extend(branches.iter().filter_map(|branch| branch.of.held()));
                held
            }
            Some(Kind::Tagged {
                variants, shared, ..
            }) => {
                let mut held: Vec<String> = fields(shared);
                held.extend(variants.iter().map(|variant| variant.body.clone()));
                held
            }
            Some(Kind::Alias(of)) => of.held().into_iter().collect(),
            Some(Kind::Choice { .. }) | None => Vec::new(),
        }
    }
}

impl Type {
    fn held(&self) -> Option<String> {
        match self {
            Self::Named(name) => Some(name.clone()),
            Self::OrNull(of) => of.held(),
            _ => None,
        }
    }
}

fn kind(schema: &Value) -> Result<Kind, String> {
    let none = Vec::new();
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().map(|word| Word {
            text: text(word),
            doc: String::new(),
        });
        return Ok(Kind::Choice {
            words: words.collect(),
            open: false,
        });
    }
    let branches = schema["oneOf"]
        .as_array()
        .or_else(|| schema["anyOf"].as_array())
        .unwrap_or(&none);
    if let Some(tag) = branches.first().and_then(tag_of) {
        return tagged(schema, branches, &tag);
    }
    if branches.iter().any(|branch| branch["const"].is_string()) {
        return choice(branches);
    }
    if !branches.is_empty() && !is_nullable(branches) {
        let branches = branches.iter().map(|branch| {
            Ok(Branch {
                doc: doc(branch),
                of: type_of(branch)?,
            })
        });
        return Ok(Kind::Union {
            branches: branches.collect::<Result<_, String>>()?,
            shared: fields(schema)?,
        });
    }
    if schema["type"] == "object" && (!schema["properties"].is_null() || is_bare(schema)) {
        return Ok(Kind::Record {
            fields: fields(schema)?,
            open: schema["additionalProperties"] == Value::Bool(true),
        });
    }
    type_of(schema).map(Kind::Alias)
}

fn choice(branches: &[Value]) -> Result<Kind, String> {
    let mut words = Vec::new();
    let mut open = false;
    for branch in branches {
        match &branch["const"] {
            Value::String(word) => words.push(Word {
                text: word.clone(),
                doc: doc(branch),
            }),
            Value::Null if branch["type"] == "string" => open = true,
            _ => return Err(format!("words beside {branch}")),
        }
    }
    Ok(Kind::Choice { words, open })
}

/// The one key whose value is fixed, beside a reference to the rest.
fn tag_of(branch: &Value) -> Option<String> {
    let properties = branch["properties"].as_object()?;
    let [(key, value)] = properties.iter().collect::<Vec<_>>()[..] else {
        return None;
    };
    (value["const"].is_string() && branch["allOf"].is_array()).then(|| key.clone())
}

fn tagged(schema: &Value, branches: &[Value], tag: &str) -> Result<Kind, String> {
    let mut variants = Vec::new();
    for branch in branches {
        if tag_of(branch).as_deref() != Some(tag) {
            return Err(format!("a variant without the tag `{tag}`"));
        }
        let Type::Named(body) = type_of(&branch["allOf"][0])? else {
            return Err("a variant whose rest has no name".to_owned());
        };
        variants.push(Variant {
            value: text(&branch["properties"][tag]["const"]),
            doc: doc(branch),
            body,
        });
    }
    Ok(Kind::Tagged {
        tag: tag.to_owned(),
        variants,
        shared: fields(schema)?,
    })
}

/// Required ones first, each half by name.
fn fields(schema: &Value) -> Result<Vec<Field>, String> {
    let none = Vec::new();
    let required = schema["required"].as_array().unwrap_or(&none);
    let mut fields = Vec::new();
    for (key, property) in sorted(&schema["properties"]) {
        fields.push(Field {
            key: key.to_owned(),
            doc: doc(property),
            of: type_of(property).map_err(|problem| format!("at {key}: {problem}"))?,
            required: required.iter().any(|name| name == key),
            limits: limits(property),
        });
    }
    fields.sort_by_key(|field| !field.required);
    Ok(fields)
}

fn type_of(schema: &Value) -> Result<Type, String> {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.strip_prefix(DEFINITIONS);
        return name
            .map(|name| Type::Named(name.to_owned()))
            .ok_or_else(|| format!("a reference to {target}"));
    }
    if let Some([only]) = schema["allOf"].as_array().map(Vec::as_slice)
        && schema["properties"].is_null()
    {
        return type_of(only);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(branches) = schema[key].as_array() {
            return if is_nullable(branches) {
                let other = branches.iter().find(|branch| branch["type"] != "null");
                let other = other.ok_or("null and nothing else")?;
                Ok(Type::OrNull(Box::new(type_of(other)?)))
            } else {
                Err("a choice inside another type".to_owned())
            };
        }
    }
    match schema["type"].as_str() {
        Some("string") => Ok(Type::Text),
        Some("integer") => Ok(Type::Whole),
        Some("number") => Ok(Type::Number),
        Some("boolean") => Ok(Type::Truth),
        Some("array") => Ok(Type::List(Box::new(type_of(&schema["items"])?))),
        Some("object") if schema["properties"].is_null() => {
            let values = &schema["additionalProperties"];
            let of = if values.is_object() {
                type_of(values)?
            } else {
                Type::Any
            };
            Ok(Type::Map(Box::new(of)))
        }
        Some("object") => Err("an object inside another type".to_owned()),
        Some(other) => Err(format!("the type {other}")),
        None if schema["type"].is_null() => Ok(Type::Any),
        None => Err(format!("several types: {}", schema["type"])),
    }
}

fn is_nullable(branches: &[Value]) -> bool {
    branches.len() == 2 && branches.iter().any(|branch| branch["type"] == "null")
}

/// An object of which nothing else is said has no keys.
fn is_bare(schema: &Value) -> bool {
    matches!(
        schema["additionalProperties"],
        Value::Null | Value::Bool(false)
    )
}

fn limits(schema: &Value) -> String {
    let bound = |low: &str, high: &str, unit: &str| {
        // A bound that only says how large a number type is tells a reader nothing.
        let high = schema[high].as_u64().filter(|high| *high < 1 << 53);
        match (schema[low].as_u64().filter(|low| *low > 0), high) {
            (None, None) => None,
            (Some(low), None) => Some(format!("at least {low}{unit}")),
            (None, Some(high)) => Some(format!("at most {high}{unit}")),
            (Some(low), Some(high)) if low == high => Some(format!("exactly {low}{unit}")),
            (Some(low), Some(high)) => Some(format!("{low} to {high}{unit}")),
        }
    };
    [
        bound("minLength", "maxLength", " characters"),
        bound("minItems", "maxItems", " items"),
        bound("minimum", "maximum", ""),
        schema["pattern"]
            .as_str()
            .map(|pattern| format!("matches `{pattern}`")),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join("; ")
}

fn doc(schema: &Value) -> String {
    // A link of rustdoc is a name in code here.
    text(&schema["description"])
        .replace("[`", "`")
        .replace("`]", "`")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn sorted(object: &Value) -> BTreeMap<&str, &Value> {
    object
        .as_object()
        .into_iter()
        .flat_map(Map::iter)
        .map(|(key, value)| (key.as_str(), value))
        .collect()
}
