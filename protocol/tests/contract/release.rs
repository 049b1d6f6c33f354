//! What was released is not broken by accident.

use std::fs;
use std::path::Path;

use openclaw_protocol::compare::release::breaks;
use serde_json::Value;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schema")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_str(&file(name)).expect("it is JSON")
}

#[test]
fn a_released_shape_breaks_only_with_a_new_generation_or_an_allowance() {
    let (released, current) = (json("released.json"), json("gateway.schema.json"));
    let newest = |document: &Value| document["protocol"]["newest"].as_u64().expect("it says");
    if newest(&current) > newest(&released) {
        return;
    }
    let text = file("allowances.txt");
    let allowed: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            line.split_once(" -- ")
                .expect("a break, ` -- `, and why it is allowed")
                .0
        })
        .collect();
    let found: Vec<String> = breaks(&released, &current)
        .into_iter()
        .map(|found| format!("{}: {}", found.place, found.what))
        .collect();
    let new: Vec<_> = found
        .iter()
        .filter(|line| !allowed.contains(&line.as_str()))
        .collect();
    assert!(
        new.is_empty(),
        "clients that know the released contract would break:\n{new:#?}\n\
         Undo it; or allow it with a line `BREAK -- WHY` in protocol/schema/allowances.txt; or make it part of a new \
         generation (version.rs). `cargo run -p openclaw-protocol --bin protocol-gen release` takes the contract as it is \
         for the released one, when a release is made."
    );
    let over: Vec<_> = allowed
        .iter()
        .filter(|line| !found.iter().any(|found| found == *line))
        .collect();
    assert!(
        over.is_empty(),
        "allowances.txt allows what is not there: {over:#?}"
    );
}
