//! Golden frames: each is accepted or refused alike by the schema and by the types.
//!
//! A file's name says what it is: `request*` and `response*`, `event*`; `invalid.CASE` is a
//! request that `refusal.CASE` answers word by word; `*.v3` is the frame as a v3 client sees it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jsonschema::Validator;
use openclaw_protocol::connect::HelloOk;
use openclaw_protocol::frame::RequestFrame;
use openclaw_protocol::{ErrorShape, events, methods, schema, validate};
use serde_json::{Value, json};

use crate::catalogue::{Entry, connect, entries};

struct Fixture {
    /// Folder: a method or an event.
    subject: String,
    /// File name without its extension.
    case: String,
    text: String,
    frame: Value,
}

impl Fixture {
    fn place(&self) -> String {
        format!("{}/{}.json", self.subject, self.case)
    }

    fn is_v3(&self) -> bool {
        self.case.split('.').next_back() == Some("v3")
    }

    /// `params` as a handler gets them: absent ones are an empty object.
    fn params(&self) -> Value {
        self.frame.get("params").cloned().unwrap_or(json!({}))
    }
}

fn fixtures(prefix: &str) -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/frames");
    let mut found = Vec::new();
    for folder in fs::read_dir(&root).expect("fixtures/frames exists") {
        let folder = folder.expect("it can be listed").path();
        let subject = name_of(&folder);
        for file in fs::read_dir(&folder).expect("it holds folders only") {
            let file = file.expect("it can be listed").path();
            let case = name_of(&file).trim_end_matches(".json").to_owned();
            if case.starts_with(prefix) {
                let text = fs::read_to_string(&file).expect("it is text");
                let frame = serde_json::from_str(&text).expect("it is JSON");
                let subject = subject.clone();
                found.push(Fixture {
                    subject,
                    case,
                    text,
                    frame,
                });
            }
        }
    }
    assert!(!found.is_empty(), "no {prefix}* in {}", root.display());
    found.sort_by_key(Fixture::place);
    found
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().expect("it has a name");
    name.to_str().expect("it is ASCII").to_owned()
}

/// Every method, and `connect`, which is answered before any method can be called.
fn by_name() -> BTreeMap<&'static str, Entry> {
    entries()
        .into_iter()
        .chain([connect()])
        .map(|entry| (entry.name, entry))
        .collect()
}

fn check_params(method: &str, params: &Value) -> Result<(), String> {
    if method == connect().name {
        validate::connect(params)
    } else {
        validate::params(method, params)
    }
}

fn compile(schema: &Value) -> Validator {
    jsonschema::draft7::new(schema).expect("it is a schema")
}

fn result_schemas() -> BTreeMap<&'static str, Validator> {
    methods::CONTRACTS
        .iter()
        .map(|contract| (contract.name, schema::with(contract.result)))
        .chain([(connect().name, schema::of::<HelloOk>())])
        .map(|(name, schema)| (name, compile(&schema)))
        .collect()
}

fn assert_valid(validator: &Validator, value: &Value, place: &str) {
    let problems: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("at {}: {error}", error.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{place}: {problems:?}");
}

#[test]
fn requests_are_accepted_by_the_parser_the_schema_and_the_types() {
    let entries = by_name();
    for fixture in fixtures("request") {
        let place = fixture.place();
        let frame = RequestFrame::parse(&fixture.text).unwrap_or_else(|error| {
            panic!("{place}: {error:?}");
        });
        assert_eq!(frame.method, fixture.subject, "{place}");
        let params = fixture.params();
        assert_eq!(check_params(&frame.method, &params), Ok(()), "{place}");
        let decoded = (entries[&*frame.method].params)(&params);
        let again = decoded.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(
            check_params(&frame.method, &again),
            Ok(()),
            "{place}: what the type writes breaks the schema"
        );
    }
}

#[test]
fn broken_params_are_refused_in_the_words_of_their_refusal() {
    let refusals: BTreeMap<String, Fixture> = fixtures("refusal")
        .into_iter()
        .map(|fixture| (fixture.place().replace("/refusal.", "/invalid."), fixture))
        .collect();
    let broken = fixtures("invalid");
    assert_eq!(broken.len(), refusals.len());
    for fixture in broken {
        let place = fixture.place();
        let problem = check_params(&fixture.subject, &fixture.params());
        let message = format!(
            "invalid {} params: {}",
            fixture.subject,
            problem.expect_err(&place)
        );
        let answer = serde_json::to_value(ErrorShape::invalid(message)).unwrap();
        assert_eq!(refusals[&place].frame["error"], answer, "{place}");
    }
}

#[test]
fn results_are_what_their_types_read_and_write() {
    let (entries, schemas) = (by_name(), result_schemas());
    for fixture in fixtures("response") {
        let (place, method) = (fixture.place(), fixture.subject.as_str());
        if fixture.frame["ok"] == json!(false) {
            let error: ErrorShape = serde_json::from_value(fixture.frame["error"].clone())
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(
                serde_json::to_value(&error).unwrap(),
                fixture.frame["error"],
                "{place}"
            );
        }
        let Some(payload) = fixture.frame.get("payload") else {
            assert_eq!(fixture.frame["ok"], json!(false), "{place}: no payload");
            continue;
        };
        assert_valid(&schemas[method], payload, &place);
        assert_eq!(
            (entries[method].result)(payload).as_ref(),
            Ok(payload),
            "{place}"
        );
    }
}

#[test]
fn events_are_what_their_types_read_and_write() {
    for fixture in fixtures("event") {
        if fixture.is_v3() {
            continue;
        }
        let place = fixture.place();
        let spec = events::CONTRACTS
            .iter()
            .find(|contract| contract.name == fixture.subject)
            .expect(&place);
        assert_eq!(fixture.frame["event"], spec.name, "{place}");
        let payload = &fixture.frame["payload"];
        assert_valid(&compile(&schema::with(spec.payload)), payload, &place);
        assert_eq!((spec.decode)(payload).as_ref(), Ok(payload), "{place}");
        let versioned = matches!(spec.name, events::PRESENCE | events::HEALTH);
        assert_eq!(
            fixture.frame.get("stateVersion").is_some(),
            versioned,
            "{place}"
        );
    }
}

#[test]
fn v3_clients_see_the_shape_of_their_generation() {
    let events: BTreeMap<String, Fixture> = fixtures("event")
        .into_iter()
        .map(|fixture| (fixture.place(), fixture))
        .collect();
    let mut compared = 0;
    for (place, fixture) in &events {
        if !fixture.is_v3() {
            continue;
        }
        let newer = &events[&place.replace(".v3.json", ".json")].frame["payload"];
        let shaped = events::payload_for_v3(&fixture.subject, newer, Some("main"));
        assert_eq!(shaped.as_ref(), Some(&fixture.frame["payload"]), "{place}");
        compared += 1;
    }
    assert!(compared > 6, "only {compared} frames of v3");
}

#[test]
fn every_method_and_event_has_its_frames() {
    let count = |prefix: &str, subject: &str, want: &dyn Fn(&Value) -> bool| {
        fixtures(prefix)
            .iter()
            .filter(|fixture| fixture.subject == subject && want(&fixture.frame))
            .count()
    };
    for spec in methods::ALL {
        assert!(count("request", spec.name, &|_| true) > 0, "{}", spec.name);
        for ok in [true, false] {
            let found = count("response", spec.name, &|frame| frame["ok"] == json!(ok));
            assert!(found > 0, "{}: no response with ok: {ok}", spec.name);
        }
        if spec.effect {
            assert!(count("invalid", spec.name, &|_| true) > 0, "{}", spec.name);
        }
    }
    for spec in events::ALL {
        assert!(count("event", spec.name, &|_| true) > 0, "{}", spec.name);
    }
    for fixture in fixtures("") {
        let known = methods::ALL.iter().any(|spec| spec.name == fixture.subject)
            || events::find(&fixture.subject).is_some()
            || fixture.subject == connect().name;
        assert!(known, "{} belongs to nothing", fixture.place());
    }
}
