//! A2UI v0.8: what an agent writes to have a surface drawn, one message a line. Checked before a node is sent it,
//! so that the agent is told which line is wrong, and why. Facts: the v0.8 server-to-client schema with its
//! standard catalogue.

use serde_json::{Map, Value};

/// Most messages at one time.
pub const MAX_MESSAGES: usize = 1_000;
/// Most wrong messages that are named.
const MAX_NAMED: usize = 10;
/// Longest piece of a message that is repeated.
const MAX_SHOWN: usize = 60;

/// A message that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {number}: {problem}")]
pub struct Wrong {
    /// `line` or `message`.
    place: &'static str,
    /// Counted from 1.
    pub number: usize,
    /// What is wrong.
    pub problem: String,
}

/// The messages of a text with one JSON object a line; empty lines are left out.
///
/// # Errors
///
/// The wrong lines, at most ten.
pub fn read_lines(text: &str) -> Result<Vec<Value>, Vec<Wrong>> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    collect(
        "line",
        lines.map(|(at, line)| {
            let message = serde_json::from_str(line).map_err(|error| {
                let whole = error.to_string();
                let problem = whole.split(" at line ").next().unwrap_or_default();
                format!("no JSON at column {}: {problem}", error.column())
            });
            (at + 1, message)
        }),
    )
}

/// Checks a list of messages.
///
/// # Errors
///
/// As [`read_lines`].
pub fn check(messages: &[Value]) -> Result<Vec<Value>, Vec<Wrong>> {
    let messages = messages.iter().cloned().enumerate();
    collect(
        "message",
        messages.map(|(at, message)| (at + 1, Ok(message))),
    )
}

fn collect(
    place: &'static str,
    given: impl Iterator<Item = (usize, Result<Value, String>)>,
) -> Result<Vec<Value>, Vec<Wrong>> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for (number, message) in given {
        let full = good.len() >= MAX_MESSAGES;
        let checked = message.and_then(|message| {
            if full {
                return Err(format!(
                    "there are at most {MAX_MESSAGES} messages at one time"
                ));
            }
            check_message(&message).map(|()| message)
        });
        match checked {
            Ok(message) => good.push(message),
            Err(problem) => wrong.push(Wrong {
                place,
                number,
                problem,
            }),
        }
        if wrong.len() >= MAX_NAMED || full {
            break;
        }
    }
    if wrong.is_empty() {
        Ok(good)
    } else {
        Err(wrong)
    }
}

const KINDS: [&str; 4] = [
    "surfaceUpdate",
    "dataModelUpdate",
    "beginRendering",
    "deleteSurface",
];

fn check_message(message: &Value) -> Result<(), String> {
    let fields = object(message, "the message")?;
    let mut named = fields.iter();
    let (Some((kind, body)), None) = (named.next(), named.next()) else {
        return Err(format!("a message is exactly one of {}", KINDS.join(", ")));
    };
    let newer = [
        "createSurface",
        "updateComponents",
        "updateDataModel",
        "version",
    ];
    if newer.contains(&kind.as_str()) {
        return Err(format!(
            "{kind} is of A2UI v0.9; the canvas shows v0.8: {}",
            KINDS.join(", ")
        ));
    }
    let body = object(body, kind)?;
    match kind.as_str() {
        "surfaceUpdate" => {
            keys(body, kind, &["surfaceId", "components"], &[])?;
            components(&body["components"])?;
        }
        "dataModelUpdate" => {
            keys(body, kind, &["surfaceId", "contents"], &["path"])?;
            entries(&body["contents"], "contents", true)?;
            optional(body, "path", text)?;
        }
        "beginRendering" => {
            keys(body, kind, &["surfaceId", "root"], &["catalogId", "styles"])?;
            text(&body["root"], "root")?;
            optional(body, "catalogId", text)?;
            optional(body, "styles", |styles, at| object(styles, at).map(drop))?;
        }
        "deleteSurface" => keys(body, kind, &["surfaceId"], &[])?,
        other => {
            return Err(format!(
                "there is no {}; a message is one of {}",
                shown(other),
                KINDS.join(", ")
            ));
        }
    }
    text(&body["surfaceId"], "surfaceId")
}

/// What a property of a component takes.
#[derive(Clone, Copy)]
enum Kind {
    /// A text, number, yes or no, or list of texts: given, or found in the data model.
    Bound(&'static str),
    /// The id of a component.
    Id,
    /// Ids of components, or a template.
    Children,
    /// Exactly one of these.
    One(&'static [&'static str]),
    Text,
    Flag,
    Number,
    Action,
    /// Titles with a child each.
    Tabs,
    /// Labels with a value each.
    Options,
}

use Kind::{Action, Bound, Children, Flag, Id, Number, One, Options, Tabs, Text};

const STRING: Kind = Bound("literalString");
const ALIGNED: Kind = One(&["start", "center", "end", "stretch"]);
const SPREAD: Kind = One(&[
    "start",
    "center",
    "end",
    "spaceBetween",
    "spaceAround",
    "spaceEvenly",
]);

/// A component of the standard catalogue: its name, what it must have, what it may have.
type Component = (
    &'static str,
    &'static [(&'static str, Kind)],
    &'static [(&'static str, Kind)],
);

const CATALOGUE: &[Component] = &[
    (
        "Text",
        &[("text", STRING)],
        &[(
            "usageHint",
            One(&["h1", "h2", "h3", "h4", "h5", "caption", "body"]),
        )],
    ),
    (
        "Image",
        &[("url", STRING)],
        &[
            ("altText", STRING),
            (
                "fit",
                One(&["contain", "cover", "fill", "none", "scale-down"]),
            ),
            (
                "usageHint",
                One(&[
                    "icon",
                    "avatar",
                    "smallFeature",
                    "mediumFeature",
                    "largeFeature",
                    "header",
                ]),
            ),
        ],
    ),
    ("Icon", &[("name", STRING)], &[]),
    ("Video", &[("url", STRING)], &[]),
    (
        "AudioPlayer",
        &[("url", STRING)],
        &[("description", STRING)],
    ),
    (
        "Row",
        &[("children", Children)],
        &[("distribution", SPREAD), ("alignment", ALIGNED)],
    ),
    (
        "Column",
        &[("children", Children)],
        &[("distribution", SPREAD), ("alignment", ALIGNED)],
    ),
    (
        "List",
        &[("children", Children)],
        &[
            ("direction", One(&["vertical", "horizontal"])),
            ("alignment", ALIGNED),
        ],
    ),
    ("Card", &[("child", Id)], &[]),
    ("Tabs", &[("tabItems", Tabs)], &[]),
    (
        "Divider",
        &[],
        &[("axis", One(&["horizontal", "vertical"]))],
    ),
    (
        "Modal",
        &[("entryPointChild", Id), ("contentChild", Id)],
        &[],
    ),
    (
        "Button",
        &[("child", Id), ("action", Action)],
        &[("primary", Flag)],
    ),
    (
        "CheckBox",
        &[("label", STRING), ("value", Bound("literalBoolean"))],
        &[],
    ),
    (
        "TextField",
        &[("label", STRING)],
        &[
            ("text", STRING),
            (
                "textFieldType",
                One(&["date", "longText", "number", "shortText", "obscured"]),
            ),
            ("validationRegexp", Text),
        ],
    ),
    (
        "DateTimeInput",
        &[("value", STRING)],
        &[("enableDate", Flag), ("enableTime", Flag)],
    ),
    (
        "MultipleChoice",
        &[("selections", Bound("literalArray")), ("options", Options)],
        &[
            ("maxAllowedSelections", Number),
            ("variant", One(&["checkbox", "chips"])),
            ("filterable", Flag),
        ],
    ),
    (
        "Slider",
        &[("value", Bound("literalNumber"))],
        &[
            ("label", STRING),
            ("minValue", Number),
            ("maxValue", Number),
        ],
    ),
];

fn components(given: &Value) -> Result<(), String> {
    let rows = list(given, "components")?;
    if rows.is_empty() {
        return Err("components: a surfaceUpdate has at least one".into());
    }
    let mut ids = std::collections::BTreeSet::new();
    for (at, row) in rows.iter().enumerate() {
        let place = format!("components[{at}]");
        let row = object(row, &place)?;
        keys(row, &place, &["id", "component"], &["weight"])?;
        text(&row["id"], &format!("{place}.id"))?;
        if !ids.insert(row["id"].as_str()) {
            return Err(format!("{place}.id: {} is there twice", row["id"]));
        }
        optional(row, "weight", number)?;
        component(&row["component"], &format!("{place}.component"))?;
    }
    Ok(())
}

fn component(given: &Value, place: &str) -> Result<(), String> {
    let fields = object(given, place)?;
    let mut named = fields.iter();
    let (Some((name, body)), None) = (named.next(), named.next()) else {
        return Err(format!(
            "{place}: has exactly one key, the kind of the component"
        ));
    };
    let Some((_, must, may)) = CATALOGUE.iter().find(|(known, ..)| known == name) else {
        let names: Vec<&str> = CATALOGUE.iter().map(|(name, ..)| *name).collect();
        return Err(format!(
            "{place}: there is no {}; there are {}",
            shown(name),
            names.join(", ")
        ));
    };
    let place = format!("{place}.{name}");
    let body = object(body, &place)?;
    let names = |kinds: &[(&'static str, Kind)]| -> Vec<&'static str> {
        kinds.iter().map(|(name, _)| *name).collect()
    };
    keys(body, &place, &names(must), &names(may))?;
    for (name, kind) in must.iter().chain(*may) {
        if let Some(value) = body.get(*name) {
            property(value, &format!("{place}.{name}"), *kind)?;
        }
    }
    Ok(())
}

fn property(value: &Value, place: &str, kind: Kind) -> Result<(), String> {
    match kind {
        Bound(literal) => bound(value, place, &[literal]),
        Id | Text => text(value, place),
        Number => number(value, place),
        Flag => value
            .as_bool()
            .map(drop)
            .ok_or_else(|| format!("{place}: must be true or false")),
        One(names) => match value.as_str() {
            Some(name) if names.contains(&name) => Ok(()),
            _ => Err(format!("{place}: must be one of {}", names.join(", "))),
        },
        Children => children(value, place),
        Action => action(value, place),
        Tabs => each(value, place, |row, at| {
            keys(row, at, &["title", "child"], &[])?;
            bound(&row["title"], &format!("{at}.title"), &["literalString"])?;
            text(&row["child"], &format!("{at}.child"))
        }),
        Options => each(value, place, |row, at| {
            keys(row, at, &["label", "value"], &[])?;
            bound(&row["label"], &format!("{at}.label"), &["literalString"])?;
            text(&row["value"], &format!("{at}.value"))
        }),
    }
}

/// A value that is given as one of these literals, or as a path in the data model.
fn bound(value: &Value, place: &str, literals: &[&str]) -> Result<(), String> {
    let fields = object(value, place).map_err(|_| {
        format!(
            "{place}: must be an object with {} or path",
            literals.join(", ")
        )
    })?;
    keys(fields, place, &[], &[literals, &["path"]].concat())?;
    if fields.is_empty() {
        return Err(format!("{place}: needs {} or path", literals.join(", ")));
    }
    for (name, value) in fields {
        let place = format!("{place}.{name}");
        match name.as_str() {
            "literalNumber" => number(value, &place)?,
            "literalBoolean" => property(value, &place, Flag)?,
            "literalArray" => texts(value, &place)?,
            _ => text(value, &place)?,
        }
    }
    Ok(())
}

fn children(value: &Value, place: &str) -> Result<(), String> {
    let fields = object(value, place)?;
    keys(fields, place, &[], &["explicitList", "template"])?;
    if fields.is_empty() {
        return Err(format!("{place}: needs explicitList or template"));
    }
    optional(fields, "explicitList", texts)?;
    optional(fields, "template", |template, at| {
        let template = object(template, at)?;
        keys(template, at, &["componentId", "dataBinding"], &[])?;
        text(&template["componentId"], at)?;
        text(&template["dataBinding"], at)
    })
}

fn action(value: &Value, place: &str) -> Result<(), String> {
    let fields = object(value, place)?;
    keys(fields, place, &["name"], &["context"])?;
    text(&fields["name"], &format!("{place}.name"))?;
    optional(fields, "context", |context, _| {
        each(context, &format!("{place}.context"), |row, at| {
            keys(row, at, &["key", "value"], &[])?;
            text(&row["key"], &format!("{at}.key"))?;
            let literals = ["literalString", "literalNumber", "literalBoolean"];
            bound(&row["value"], &format!("{at}.value"), &literals)
        })
    })
}

/// Entries of the data model; a map of them holds plain ones only.
fn entries(value: &Value, place: &str, maps: bool) -> Result<(), String> {
    const PLAIN: [&str; 4] = ["valueString", "valueNumber", "valueBoolean", "valueMap"];
    let values = if maps { &PLAIN[..] } else { &PLAIN[..3] };
    each(value, place, |row, at| {
        keys(row, at, &["key"], values)?;
        text(&row["key"], &format!("{at}.key"))?;
        let mut given = row.iter().filter(|(name, _)| *name != "key");
        let (Some((name, value)), None) = (given.next(), given.next()) else {
            return Err(format!("{at}: needs exactly one of {}", values.join(", ")));
        };
        let at = format!("{at}.{name}");
        match name.as_str() {
            "valueNumber" => number(value, &at),
            "valueBoolean" => property(value, &at, Flag),
            "valueMap" => entries(value, &at, false),
            _ => text(value, &at),
        }
    })
}

fn each(
    value: &Value,
    place: &str,
    check: impl Fn(&Map<String, Value>, &str) -> Result<(), String>,
) -> Result<(), String> {
    for (at, row) in list(value, place)?.iter().enumerate() {
        let place = format!("{place}[{at}]");
        check(object(row, &place)?, &place)?;
    }
    Ok(())
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{place}: must be an object"))
}

fn list<'a>(value: &'a Value, place: &str) -> Result<&'a Vec<Value>, String> {
    value
        .as_array()
        .ok_or_else(|| format!("{place}: must be a list"))
}

fn text(value: &Value, place: &str) -> Result<(), String> {
    value
        .as_str()
        .map(drop)
        .ok_or_else(|| format!("{place}: must be a text"))
}

fn texts(value: &Value, place: &str) -> Result<(), String> {
    list(value, place)?
        .iter()
        .try_for_each(|row| text(row, place))
}

fn number(value: &Value, place: &str) -> Result<(), String> {
    value
        .as_f64()
        .map(drop)
        .ok_or_else(|| format!("{place}: must be a number"))
}

fn optional(
    fields: &Map<String, Value>,
    name: &str,
    check: impl Fn(&Value, &str) -> Result<(), String>,
) -> Result<(), String> {
    fields.get(name).map_or(Ok(()), |value| check(value, name))
}

/// Names what is missing, and what is unknown.
fn keys(
    fields: &Map<String, Value>,
    place: &str,
    must: &[&str],
    may: &[&str],
) -> Result<(), String> {
    if let Some(missing) = must.iter().find(|name| !fields.contains_key(**name)) {
        return Err(format!("{place}: {missing} is missing"));
    }
    let known = |name: &str| must.contains(&name) || may.contains(&name);
    match fields.keys().find(|name| !known(name)) {
        Some(unknown) => Err(format!("{place}: there is no {}", shown(unknown))),
        None => Ok(()),
    }
}

fn shown(text: &str) -> String {
    let text: String = text.chars().take(MAX_SHOWN).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GOOD: &str = r##"{"surfaceUpdate":{"surfaceId":"s","components":[
        {"id":"root","component":{"Column":{"children":{"explicitList":["t","b"]}}}},
        {"id":"t","weight":1,"component":{"Text":{"text":{"path":"/name"},"usageHint":"h1"}}},
        {"id":"l","component":{"Text":{"text":{"literalString":"Go"}}}},
        {"id":"b","component":{"Button":{"child":"l","primary":true,"action":{"name":"go","context":[
            {"key":"name","value":{"path":"/name"}},{"key":"n","value":{"literalNumber":2}}]}}}}]}}
        {"dataModelUpdate":{"surfaceId":"s","path":"/","contents":[{"key":"name","valueString":"x"},
            {"key":"m","valueMap":[{"key":"a","valueBoolean":true}]}]}}
        {"beginRendering":{"surfaceId":"s","root":"root","styles":{"primaryColor":"#00BFFF"}}}
        {"deleteSurface":{"surfaceId":"s"}}"##;

    /// Whole messages on a line each.
    fn lines() -> String {
        let messages = serde_json::Deserializer::from_str(GOOD).into_iter::<Value>();
        let lines: Vec<String> = messages
            .map(|message| message.unwrap().to_string())
            .collect();
        assert_eq!(lines.len(), 4);
        lines.join("\n")
    }

    #[test]
    fn messages_of_every_kind_are_read() {
        let text = format!("\n{}\r\n\n", lines());
        assert_eq!(read_lines(&text).unwrap().len(), 4);
        assert_eq!(read_lines("").unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn every_wrong_line_is_named_with_its_place() {
        let text = format!(
            "{}\n{{\"deleteSurface\":\n\n{{\"deleteSurface\":{{}}}}\n[]",
            lines()
        );
        let wrong = read_lines(&text).unwrap_err();
        let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 5: no JSON at column 17: EOF while parsing a value",
                "line 7: deleteSurface: surfaceId is missing",
                "line 8: the message: must be an object",
            ]
        );
    }

    #[test]
    fn what_is_wrong_in_a_component_is_said() {
        let problem = |component: Value| {
            let message = json!({ "surfaceUpdate": { "surfaceId": "s", "components": [
                { "id": "a", "component": component },
            ] } });
            check(&[message]).unwrap_err()[0].to_string()
        };
        for (component, told) in [
            (
                json!({ "Heading": {} }),
                "there is no \"Heading\"; there are Text, Image",
            ),
            (json!({ "Text": {} }), "Text: text is missing"),
            (
                json!({ "Text": { "text": "x" } }),
                "must be an object with literalString or path",
            ),
            (
                json!({ "Text": { "text": {} } }),
                "needs literalString or path",
            ),
            (
                json!({ "Text": { "text": { "path": 1 } } }),
                "text.path: must be a text",
            ),
            (
                json!({ "Text": { "text": { "path": "/" }, "size": 1 } }),
                "there is no \"size\"",
            ),
            (
                json!({ "Row": { "children": ["a"] } }),
                "children: must be an object",
            ),
            (
                json!({ "Button": { "child": "a", "action": {} } }),
                "action: name is missing",
            ),
            (
                json!({ "Slider": { "value": { "literalNumber": "1" } } }),
                "must be a number",
            ),
            (json!({ "Text": {}, "Row": {} }), "exactly one key"),
        ] {
            let problem = problem(component);
            assert!(problem.starts_with("message 1: components[0]"), "{problem}");
            assert!(problem.contains(told), "{problem}");
        }
    }

    #[test]
    fn other_generations_and_too_many_are_refused() {
        let newer = json!({ "createSurface": { "surfaceId": "s" } });
        assert!(check(&[newer]).unwrap_err()[0].problem.contains("v0.9"));
        let two = json!({ "deleteSurface": { "surfaceId": "s" }, "beginRendering": {} });
        assert!(
            check(&[two]).unwrap_err()[0]
                .problem
                .contains("exactly one")
        );
        let twice = json!({ "surfaceUpdate": { "surfaceId": "s", "components": [
            { "id": "a", "component": { "Divider": {} } },
            { "id": "a", "component": { "Divider": {} } },
        ] } });
        assert!(check(&[twice]).unwrap_err()[0].problem.contains("twice"));
        let many = vec![json!({ "deleteSurface": { "surfaceId": "s" } }); MAX_MESSAGES + 5];
        let wrong = check(&many).unwrap_err();
        assert_eq!((wrong.len(), wrong[0].number), (1, MAX_MESSAGES + 1));
        assert_eq!(check(&vec![json!(1); 50]).unwrap_err().len(), MAX_NAMED);
    }
}
