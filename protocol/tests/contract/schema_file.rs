//! The generated schema: it is fresh, and it says the same as the types.

use std::process::Command;
use std::{fs, path::Path};

use openclaw_protocol::{events, methods};
use serde_json::Value;

fn schema_file() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/gateway.schema.json");
    let text = fs::read_to_string(path).expect("the schema is committed");
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn the_committed_schema_is_fresh() {
    let output = Command::new(env!("CARGO_BIN_EXE_protocol-gen"))
        .arg("--check")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn frames_of_each_kind_pass_the_committed_schema_and_others_do_not() {
    let validator = jsonschema::draft7::new(&schema_file()).unwrap();
    let valid = [
        r#"{"type":"req","id":"1","method":"health","params":{}}"#,
        r#"{"type":"req","id":"1","method":"health","traceparent":"00-1-2-01"}"#,
        r#"{"type":"res","id":"1","ok":true,"payload":[]}"#,
        r#"{"type":"res","id":"1","ok":false,"error":{"code":"UNAVAILABLE","message":"x"}}"#,
        r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":1}"#,
        r#"{"type":"event","event":"presence","payload":{},"seq":1,"stateVersion":{"presence":1,"health":1}}"#,
    ];
    let broken = [
        r#"{"type":"req","id":"","method":"health"}"#,
        r#"{"type":"req","id":"1"}"#,
        r#"{"type":"req","id":"1","method":"health","extra":1}"#,
        r#"{"type":"res","id":"1"}"#,
        r#"{"type":"res","id":"1","ok":false,"error":{"code":"NOPE","message":"x"}}"#,
        r#"{"type":"event","event":"tick","seq":-1}"#,
        r#"{"type":"push"}"#,
        "[]",
    ];
    for text in valid {
        assert!(
            validator.is_valid(&serde_json::from_str(text).unwrap()),
            "{text}"
        );
    }
    for text in broken {
        assert!(
            !validator.is_valid(&serde_json::from_str(text).unwrap()),
            "{text}"
        );
    }
}

#[test]
fn effects_refuse_unknown_keys_and_reads_do_not() {
    let file = schema_file();
    for spec in methods::ALL {
        let reference = file["methods"][spec.name]["params"]["$ref"].as_str();
        let Some(name) = reference.and_then(|text| text.strip_prefix("#/definitions/")) else {
            assert!(!spec.effect, "{} has no closed params", spec.name);
            continue;
        };
        let closed = file["definitions"][name]["additionalProperties"] == Value::Bool(false);
        assert_eq!(closed, spec.effect, "{}", spec.name);
    }
}

#[test]
fn both_tables_are_sorted_and_complete() {
    let file = schema_file();
    let methods: Vec<_> = methods::ALL.iter().map(|spec| spec.name).collect();
    let events: Vec<_> = events::ALL.iter().map(|spec| spec.name).collect();
    for (section, names) in [("methods", methods), ("events", events)] {
        assert!(names.is_sorted(), "{section}: {names:?}");
        let listed: Vec<_> = file[section].as_object().unwrap().keys().collect();
        assert_eq!(listed, names, "{section}");
    }
}
