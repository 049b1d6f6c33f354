//! Published attacks on gateways of this kind, by the number of their list: each that touches
//! something that is here is a test named after it, anywhere in this binary (`attack_14_...`);
//! [`NOT_HERE`] says of every other one where its test is, or why there is none.

mod guessing;
mod handshake;
mod http;
mod leaks;
mod pairing;
mod proxies;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How many attacks the list has.
const ATTACKS: u8 = 47;

/// What there is in place of a test in this binary.
enum Instead {
    /// A test under another name: its file, and words of the name.
    Test(&'static str, &'static str),
    /// The surface does not exist yet; what brings it brings the test.
    Waits(&'static str),
    /// There is no such surface by design.
    Never(&'static str),
}

use Instead::{Never, Test, Waits};

/// Every attack without a test in this binary.
const NOT_HERE: &[(u8, &str, Instead)] = &[
    (
        1,
        "the page is told another gateway in its address",
        Test("tests/browser/attacks.test.mjs", "attack 1:"),
    ),
    (
        4,
        "one address in two notations has two buckets",
        Test(
            "actors/src/limiter/client.rs",
            "fn an_address_has_one_bucket_however_it_is_written",
        ),
    ),
    (
        10,
        "thousands of sockets before their handshake",
        Test(
            "actors/src/limiter/arrivals.rs",
            "fn places_are_bounded_per_client_and_in_all_and_given_back",
        ),
    ),
    (
        12,
        "an oversized first frame",
        Test(
            "tests/integration/process.rs",
            "an_unknown_peer_that_announces_a_gibibyte",
        ),
    ),
    (
        13,
        "a large webhook body before its secret",
        Test(
            "tests/integration/hooks.rs",
            "attack_13_nothing_of_a_webhook_is_read_before_its_secret_was_seen",
        ),
    ),
    (
        18,
        "a stranger in a chat runs /pair",
        Never("chat has no pairing command: codes are approved by an operator's method"),
    ),
    (
        32,
        "the HTTP twin of a method checks less",
        Test(
            "tests/integration/openai.rs",
            "nobody_comes_in_without_the_secret_and_who_guesses_is_locked_out",
        ),
    ),
    (
        33,
        "POST /tools/invoke reaches session tools",
        Test(
            "tests/integration/hooks.rs",
            "attack_33_tools_over_http_keep_the_rules_of_tools",
        ),
    ),
    (
        34,
        "a forged mDNS record steers a client",
        Test(
            "tests/integration/discovery.rs",
            "avahi_finds_the_gateway_and_the_gateways_program_finds_what_avahi_announces",
        ),
    ),
    (
        35,
        "a client path skips the TLS pin",
        Test(
            "tests/integration/tls_pins.rs",
            "our_clients_take_the_pinned_certificate_and_no_other",
        ),
    ),
    (
        36,
        "markup in a message runs in the page",
        Test("tests/browser/attacks.test.mjs", "attack 36:"),
    ),
    (
        42,
        "a run reaches the owner's tools",
        Test(
            "actors/src/tests/tools.rs",
            "the_inventory_follows_the_callers_scopes_and_the_rules",
        ),
    ),
    (
        44,
        "hook names and completions pass as trusted events",
        Test(
            "tests/integration/hooks.rs",
            "attack_44_what_a_webhook_says_is_marked_and_gives_no_rights",
        ),
    ),
    (
        46,
        "an approval is used for another command",
        Test(
            "actors/src/tests/approvals.rs",
            "a_script_that_is_changed_after_the_yes_was_asked_for_is_not_run",
        ),
    ),
    (
        47,
        "an MCP client sets the owner header",
        Waits("the MCP server"),
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of the tests") {
        let path = entry.expect("its entry").path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            texts.push(std::fs::read_to_string(&path).expect("its text"));
        }
    }
    texts
}

/// Numbers of the attacks that have a test in this binary.
fn tested() -> BTreeSet<u8> {
    let texts = sources(&root().join("tests/integration"));
    texts
        .iter()
        .flat_map(|text| text.split("async fn attack_").skip(1))
        .filter_map(|rest| rest.split('_').next()?.parse().ok())
        .collect()
}

#[test]
fn every_known_attack_has_a_test_or_a_reason() {
    let tested = tested();
    let mut elsewhere = BTreeMap::new();
    for (number, what, instead) in NOT_HERE {
        assert!(
            elsewhere.insert(*number, instead).is_none(),
            "attack {number} is listed twice"
        );
        match instead {
            Test(file, name) => {
                let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
                assert!(
                    text.contains(name),
                    "attack {number} ({what}): {file} has no test named {name:?}"
                );
            }
            Waits(reason) | Never(reason) => {
                assert!(!reason.is_empty(), "attack {number} needs a reason");
                assert!(
                    !tested.contains(number),
                    "attack {number} ({what}) has a test now: take it out of NOT_HERE"
                );
            }
        }
    }
    for number in 1..=ATTACKS {
        assert!(
            tested.contains(&number) || elsewhere.contains_key(&number),
            "attack {number} has neither a test nor a reason"
        );
    }
    assert!(
        tested
            .iter()
            .chain(elsewhere.keys())
            .all(|number| (1..=ATTACKS).contains(number))
    );
}
