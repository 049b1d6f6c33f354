//! What must hold for any input: nothing panics, and what a schema admits its type can read.

use openclaw_protocol::frame::RequestFrame;
use openclaw_protocol::{methods, schema, validate};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::catalogue::entries;
use crate::instances::{any_json, instances};

fn runner() -> TestRunner {
    TestRunner::new(Config {
        // Per method: `PROPTEST_CASES` counts for these as for every other property.
        cases: Config::default().cases / 4,
        failure_persistence: None,
        ..Config::default()
    })
}

fn params_of(name: &str) -> Value {
    let spec = methods::ALL.iter().find(|spec| spec.name == name);
    schema::with(spec.expect("it is in the table").params)
}

proptest! {
    #![proptest_config(Config { cases: Config::default().cases * 2, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_text_is_a_request_or_a_described_error(text in ".{0,80}") {
        let _ = RequestFrame::parse(&text);
    }

    #[test]
    fn any_json_is_a_request_or_a_described_error(value in any_json()) {
        let _ = RequestFrame::parse(&value.to_string());
    }

    #[test]
    fn a_request_with_any_params_is_parsed(params in any_json(), id in "[^\\x00]{1,64}", method in "[a-z.]{1,20}") {
        let text = serde_json::json!({"type": "req", "id": id, "method": method, "params": params}).to_string();
        let frame = RequestFrame::parse(&text).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        prop_assert_eq!(&*frame.id, &id);
        prop_assert_eq!(&*frame.method, &method);
    }
}

#[test]
fn any_json_that_a_schema_admits_is_read_by_its_type() {
    for entry in entries() {
        let outcome = runner().run(&any_json(), |value| {
            if validate::params(entry.name, &value).is_ok() {
                prop_assert!((entry.params)(&value).is_ok(), "{}: {}", entry.name, value);
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
    }
}

#[test]
fn what_a_schema_describes_is_admitted_and_read_and_written_back() {
    for entry in entries() {
        let schema = params_of(entry.name);
        let outcome = runner().run(&instances(&schema, &schema), |value| {
            prop_assert_eq!(validate::params(entry.name, &value), Ok(()), "{}", value);
            let again = (entry.params)(&value).map_err(TestCaseError::fail)?;
            prop_assert_eq!(validate::params(entry.name, &again), Ok(()), "{}", again);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
    }
}

#[test]
fn one_broken_or_unknown_key_is_judged_alike_by_schema_and_type() {
    for entry in entries() {
        let schema = params_of(entry.name);
        let valid = instances(&schema, &schema);
        let broken = (valid, any_json(), any::<prop::sample::Index>());
        let outcome = runner().run(&broken, |(mut value, other, index)| {
            let Value::Object(object) = &mut value else {
                return Ok(());
            };
            if let Some(key) = object.keys().nth(index.index(object.len() + 1)).cloned() {
                // A key with another value: whatever the schema still admits can be read.
                object.insert(key, other);
                if validate::params(entry.name, &value).is_ok() {
                    prop_assert!((entry.params)(&value).is_ok(), "{}", value);
                }
            } else {
                object.insert("no such key".into(), other);
                let admitted = validate::params(entry.name, &value).is_ok();
                prop_assert_eq!(admitted, !entry.effect, "{}", value);
                prop_assert_eq!((entry.params)(&value).is_ok(), !entry.effect, "{}", value);
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
    }
}

#[test]
fn a_missing_key_is_missed_by_schema_and_type() {
    for entry in entries() {
        let schema = params_of(entry.name);
        let Some(Value::Array(required)) = schema.pointer("/required").cloned() else {
            continue;
        };
        let missing = (instances(&schema, &schema), prop::sample::select(required));
        let outcome = runner().run(&missing, |(mut value, key)| {
            let key = key.as_str().unwrap_or_default();
            if let Value::Object(object) = &mut value {
                object.remove(key);
            }
            let problem = validate::params(entry.name, &value).unwrap_err();
            let expected = format!("must have required property '{key}'");
            prop_assert!(problem.contains(&expected), "{}", problem);
            prop_assert!((entry.params)(&value).is_err(), "{}", value);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
    }
}
