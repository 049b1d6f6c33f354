use serde_json::{Value, json};

use super::release::breaks;
use super::{Difference, Verdict, given, schemas};

fn told(left: &Value, right: &Value) -> Vec<String> {
    lines(&schemas((left, left), (right, right)))
}

fn lines(found: &[Difference]) -> Vec<String> {
    found
        .iter()
        .map(|found| format!("{} {:?} {}", found.place, found.direction, found.what))
        .collect()
}

#[test]
fn the_same_in_other_words_is_the_same() {
    let ours = json!({"allOf": [{"$ref": "#/definitions/A"}], "definitions": {
        "A": {"type": "object", "properties": {"a": {"$ref": "#/definitions/B"}}, "additionalProperties": false},
        "B": {"oneOf": [{"const": "x", "type": "string"}, {"const": "y", "type": "string"}]},
    }});
    let theirs = json!({"type": "object", "properties": {"a": {"enum": ["y", "x"]}}, "additionalProperties": false});
    assert_eq!(told(&ours, &theirs), Vec::<String>::new());
}

#[test]
fn each_kind_of_difference_is_told_with_its_side() {
    let object = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let ours = object(
        json!({"a": {"type": "string", "maxLength": 5}, "b": {"type": "integer"}, "mine": {}}),
        json!(["a"]),
    );
    let theirs = object(
        json!({"a": {"type": "string"}, "b": {"type": ["number", "null"]}, "yours": {"type": "string"}}),
        json!(["b"]),
    );
    let mut found = told(&ours, &theirs);
    found.sort();
    assert_eq!(
        found,
        [
            "/a Narrower more than 5 characters",
            "/a Narrower objects without it",
            "/b Narrower null",
            "/b Narrower numbers with a fraction",
            "/b Wider objects without it",
            "/mine Wider this key",
            "/yours Narrower this key",
        ]
    );
}

#[test]
fn kinds_of_objects_are_matched_by_the_key_that_tells_them_apart() {
    let kind = |word: &str, more: Value| {
        let mut properties = json!({"type": {"const": word, "type": "string"}});
        properties["more"] = more;
        json!({"type": "object", "properties": properties, "required": ["type"]})
    };
    let ours = json!({"oneOf": [kind("a", json!({"type": "string"})), kind("b", json!({"type": "integer"}))]});
    let theirs = json!({"anyOf": [kind("b", json!({"type": "integer"})), kind("c", json!({}))]});
    assert_eq!(
        told(&ours, &theirs),
        [
            "[a] Wider this kind of object",
            "[c] Narrower this kind of object"
        ]
    );
}

#[test]
fn what_is_given_is_what_is_named() {
    let ours = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let theirs =
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
    assert_eq!(
        Verdict::of(&schemas((&ours, &ours), (&theirs, &theirs))),
        Verdict::Same
    );
    assert_eq!(
        Verdict::of(&given((&ours, &ours), (&theirs, &theirs))),
        Verdict::Narrower
    );
}

#[test]
fn the_envelope_and_the_handshake_are_compared_too() {
    let frame = |keys: Value, required: Value| json!({"type": "object", "properties": keys, "required": required, "additionalProperties": false});
    let text = json!({"type": "string"});
    let with = |connect: Value, hello: Value, response: Value| {
        json!({"methods": {}, "events": {}, "frames": {
            "connect": connect, "hello-ok": hello, "response": response,
            "request": frame(json!({"id": text, "method": text}), json!(["id", "method"])),
        }})
    };
    let connect = frame(json!({"role": text, "locale": text}), json!([]));
    let hello = frame(
        json!({"protocol": text, "server": text}),
        json!(["protocol", "server"]),
    );
    let response = frame(json!({"ok": text}), json!(["ok"]));
    let released = with(connect.clone(), hello.clone(), response.clone());
    let places = |current: &Value| -> Vec<String> {
        let found = breaks(&released, current);
        found.into_iter().map(|found| found.place).collect()
    };
    let more = frame(
        json!({"protocol": text, "server": text, "new": text}),
        json!(["protocol", "server", "new"]),
    );
    assert_eq!(
        places(&with(connect.clone(), more, response.clone())),
        Vec::<String>::new()
    );
    let less = frame(json!({"role": text}), json!([]));
    assert_eq!(
        places(&with(less, hello.clone(), response.clone())),
        ["connect frame /locale"]
    );
    let needs = frame(json!({"role": text, "locale": text}), json!(["role"]));
    assert_eq!(
        places(&with(needs, hello.clone(), response.clone())),
        ["connect frame /role"]
    );
    let without = frame(json!({"protocol": text}), json!(["protocol"]));
    assert_eq!(
        places(&with(connect.clone(), without, response)),
        ["hello-ok frame /server", "hello-ok frame /server"]
    );
    let other = frame(json!({"ok": {"type": "boolean"}}), json!(["ok"]));
    assert!(places(&with(connect, hello, other)).contains(&"response frame /ok".to_owned()));
    let gone = json!({"methods": {}, "events": {}, "frames": {}});
    assert_eq!(
        places(&gone),
        ["connect", "hello-ok", "request", "response"]
    );
}

fn document(params: &Value, result: &Value) -> Value {
    json!({
        "methods": {"m": {"access": "any", "params": params, "result": result}},
        "events": {"e": {"gate": "any", "payload": result}},
    })
}

#[test]
fn what_breaks_a_client_of_the_release_is_found_and_what_is_added_is_not() {
    let object = |keys: &[&str], required: &[&str]| {
        let properties: Value = keys
            .iter()
            .map(|key| ((*key).to_owned(), json!({"type": "string"})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    let released = document(&object(&["a"], &["a"]), &object(&["x", "y"], &["x"]));
    let places = |current: &Value| -> Vec<String> {
        let found = breaks(&released, current);
        let mut places: Vec<String> = found.into_iter().map(|found| found.place).collect();
        places.dedup();
        places
    };
    let more = document(
        &object(&["a", "b"], &[]),
        &object(&["x", "y", "z"], &["x", "z"]),
    );
    assert_eq!(places(&more), Vec::<String>::new());
    let needs_more = document(
        &object(&["a", "b"], &["a", "b"]),
        &object(&["x", "y"], &["x"]),
    );
    assert_eq!(places(&needs_more), ["m params /b"]);
    let gives_less = document(&object(&["a"], &["a"]), &object(&["y"], &[]));
    assert_eq!(places(&gives_less), ["e payload /x", "m result /x"]);
    let gone = json!({"methods": {}, "events": {}});
    assert_eq!(places(&gone), ["e", "m"]);
    let mut other_scope = released.clone();
    other_scope["methods"]["m"]["access"] = json!("operator.admin");
    assert_eq!(places(&other_scope), ["m"]);
}
