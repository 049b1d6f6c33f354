//! What the code may not grow into: a Gateway that works, a method that nobody serves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openclaw_protocol::{Access, Role, Scope, Scopes, events, methods};

use crate::gateway::router;
use crate::session::dispatch::Denied;

/// Everything that the Gateway may be told; it routes, orders and registers, and does no work.
const GATEWAY_HANDLES: [&str; 8] = [
    "CloseAll",
    "Connected",
    "Deliver",
    "Emit",
    "Kick",
    "Register",
    "Route",
    "Unregister",
];

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
    found
}

#[test]
fn the_gateway_handles_nothing_outside_its_list() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut handled = BTreeSet::new();
    for (path, text) in sources(&source) {
        // Relative to the sources: the folder of the repository may be called anything.
        let inside = Path::new(&path).strip_prefix(&source).unwrap();
        if inside.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        // Line breaks inside an `impl` header do not matter.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (at, _) in text.match_indices("Handler<") {
            let Some((message, rest)) = text[at + "Handler<".len()..].split_once(" for ") else {
                continue;
            };
            let target: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == ':')
                .collect();
            if target.rsplit(':').next() == Some("Gateway") && message.len() < 80 {
                handled.insert(message.trim_end_matches('>').to_owned());
            }
        }
        if inside.starts_with("gateway") {
            for forbidden in [
                ".await",
                "async ",
                "actix_rt::spawn",
                "tokio::spawn",
                "spawn_blocking",
                "std::fs",
                "StoreHandle",
            ] {
                assert!(
                    !text.contains(forbidden),
                    "{path} contains `{forbidden}`: the Gateway never waits and does no IO"
                );
            }
        }
    }
    let allowed: BTreeSet<String> = GATEWAY_HANDLES
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(
        handled, allowed,
        "the Gateway routes; work belongs to an owner"
    );
}

#[test]
fn every_method_has_exactly_one_place_that_answers_it() {
    let all: BTreeSet<&str> = methods::ALL.iter().map(|spec| spec.name).collect();
    let dispatch = router::dispatch();
    assert_eq!(dispatch.methods().into_iter().collect::<BTreeSet<_>>(), all);
}

/// HTTP is the binary's; of `actors`, sessions alone know it.
#[test]
fn only_sessions_know_http() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, text) in sources(&source) {
        let inside = Path::new(&path).strip_prefix(&source).unwrap();
        let knows = ["actix_web", "actix_http"].map(|word| format!("use {word}"));
        let knows = knows.iter().any(|word| text.contains(word));
        assert!(!knows || inside.starts_with("session"), "{path}");
    }
}

/// Methods that are handled a second time below their owner: the gate of idempotency keys hands on what
/// has none, the registry of nodes what a node has under way.
const HANDED_DOWN: [(&str, &str); 3] = [
    ("NodeInvokeProgress", "Node"),
    ("NodeInvokeResult", "Node"),
    ("ToolsInvoke", "AgentRunner"),
];

#[test]
fn every_method_is_handled_by_one_owner() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, text) in sources(&source) {
        for (at, _) in text.match_indices("impl Handler<Call<") {
            let rest = &text[at + "impl Handler<Call<".len()..];
            let word = |text: &str| text.split([' ', '>', '<']).next().unwrap().to_owned();
            let (method, rest) = (word(rest), rest.split_once(" for ").unwrap().1);
            owners.entry(method).or_default().insert(word(rest));
        }
    }
    assert!(owners.len() > 80, "the sources are read: {}", owners.len());
    for (method, below) in HANDED_DOWN {
        assert!(owners.get_mut(method).unwrap().remove(below), "{method}");
    }
    owners.retain(|_, owners| owners.len() > 1);
    assert_eq!(
        owners,
        BTreeMap::new(),
        "each asks others by their own messages"
    );
}

/// Every caller may use these, nodes and operators without any scope too.
const OPEN: [&str; 1] = ["health"];

#[test]
fn every_method_says_who_may_call_it_and_one_place_asks() {
    let open: Vec<&str> = methods::ALL
        .iter()
        .filter(|spec| spec.access == Access::Open)
        .map(|spec| spec.name)
        .collect();
    assert_eq!(
        open, OPEN,
        "a method without a scope is open to every connection"
    );
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let asks = |(path, text): &(String, String)| {
        let asks = text.contains("access.check(") || text.contains("ACCESS.check(");
        (asks && !path.ends_with("boundaries.rs")).then(|| path.clone())
    };
    let places: Vec<String> = sources(&source)
        .iter()
        .chain(&sources(&root))
        .filter_map(asks)
        .collect();
    assert_eq!(places.len(), 1, "{places:?}");
    assert!(places[0].ends_with("dispatch.rs"), "{places:?}");
}

#[test]
fn roles_and_scopes_are_judged_before_anything_is_said_of_a_method() {
    let dispatch = router::dispatch();
    let ask = |method, role, scopes: &[Scope]| {
        dispatch
            .authorize(method, role, Scopes::of(scopes))
            .map(|_| ())
    };
    for spec in methods::ALL {
        match spec.access {
            Access::Open => assert_eq!(ask(spec.name, Role::Node, &[]), Ok(())),
            Access::Node => {
                assert_eq!(ask(spec.name, Role::Node, &[]), Ok(()));
                assert!(matches!(
                    ask(spec.name, Role::Operator, &[Scope::Admin]),
                    Err(Denied::Role(_))
                ));
            }
            Access::AnyOperator => {
                assert_eq!(ask(spec.name, Role::Operator, &[]), Ok(()));
            }
            Access::Operator(scope) => {
                assert_eq!(ask(spec.name, Role::Operator, &[scope]), Ok(()));
                assert!(matches!(
                    ask(spec.name, Role::Node, &[]),
                    Err(Denied::Role(_))
                ));
                let Err(Denied::Scope(error)) = ask(spec.name, Role::Operator, &[]) else {
                    panic!("{} is open to everyone", spec.name);
                };
                let details = error.details.unwrap();
                assert_eq!(details["missingScope"], scope.as_str());
                assert!(details["remediationHint"].is_string());
            }
        }
    }
    assert!(matches!(
        ask("no.such", Role::Node, &[]),
        Err(Denied::Role(_))
    ));
    let Err(Denied::Scope(error)) = ask("no.such", Role::Operator, &[Scope::Write]) else {
        panic!("only an admin learns that there is no such method");
    };
    assert_eq!(error.message, "missing scope: operator.admin");
    let Err(Denied::Unknown(error)) = ask("no.such", Role::Operator, &[Scope::Admin]) else {
        panic!("it does not exist");
    };
    assert_eq!(error.message, "unknown method: no.such");
}

#[test]
fn only_methods_without_effect_are_answered_from_snapshots() {
    let routed: BTreeSet<&str> = router::dispatch().routed_methods().collect();
    for spec in methods::ALL.iter().filter(|spec| spec.effect) {
        assert!(
            routed.contains(spec.name),
            "{} changes state and has no owner",
            spec.name
        );
    }
}

#[test]
fn the_announced_events_are_those_of_the_protocol() {
    let all: Vec<&str> = events::ALL.iter().map(|spec| spec.name).collect();
    assert_eq!(router::EVENTS, all);
}
