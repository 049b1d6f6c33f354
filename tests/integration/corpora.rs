//! Every kept input of the fuzz targets, through the same code that is fuzzed (see `tests/fuzz`).

use std::path::Path;

#[expect(unreachable_pub, reason = "it is the root of a crate for the fuzzer")]
#[path = "../fuzz/src/bodies.rs"]
mod bodies;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/fuzz")
        .join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus") {
        let path = entry.expect("its entry").path();
        let data = std::fs::read(&path).expect("an input");
        // Names the input when it fails: the panic's own message comes before.
        let failed = std::panic::catch_unwind(|| body(&data)).is_err();
        assert!(!failed, "{} fails", path.display());
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", folder.display());
}

#[test]
fn kept_envelopes_are_harmless() {
    replay("envelope", bodies::envelope);
}

#[test]
fn kept_connects_are_harmless() {
    replay("connect", bodies::connect);
}

#[test]
fn kept_device_claims_are_harmless() {
    replay("device", bodies::device);
}

#[test]
fn kept_configurations_are_harmless() {
    replay("config", bodies::config);
}
