//! Proofs of devices, in the order of their checks (protocol section 3).

use serde_json::{Value, json};

use super::{Expected, invalid, not_paired};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};
use crate::harness::trust::with_secret;

type Change = fn(&mut Value);
type Alteration = Box<dyn Fn(&mut Value)>;

const ID: Expected = invalid("device identity mismatch")
    .details("DEVICE_AUTH_DEVICE_ID_MISMATCH")
    .reason("device-id-mismatch");
const EXPIRED: Expected = invalid("device signature expired")
    .details("DEVICE_AUTH_SIGNATURE_EXPIRED")
    .reason("device-signature-stale");
const NO_NONCE: Expected = invalid("device nonce required")
    .details("DEVICE_AUTH_NONCE_REQUIRED")
    .reason("device-nonce-missing");
const NONCE: Expected = invalid("device nonce mismatch")
    .details("DEVICE_AUTH_NONCE_MISMATCH")
    .reason("device-nonce-mismatch");
const SIGNATURE: Expected = invalid("device signature invalid")
    .details("DEVICE_AUTH_SIGNATURE_INVALID")
    .reason("device-signature");
const KEY: Expected = invalid("device public key invalid")
    .details("DEVICE_AUTH_PUBLIC_KEY_INVALID")
    .reason("device-public-key");

/// Bytes that hash to this id and are on no curve: y = 2 has no x.
fn off_the_curve(claim: &mut Value) {
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};
    let mut key = [0_u8; 32];
    key[0] = 2;
    let id = Sha256::digest(key)
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    claim["id"] = json!(id);
    claim["publicKey"] = json!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key));
}

#[tokio::test]
async fn each_check_of_a_proof_has_its_own_code() {
    let daemon = Daemon::start(Plan::default().patient());
    let device = Device::new(5);
    let moved: fn(&mut Value, i64) = |claim, by| {
        claim["signedAt"] = json!(claim["signedAt"].as_i64().unwrap() + by);
    };
    let rows: Vec<(&str, Alteration, Expected)> = vec![
        (
            "another id",
            Box::new(|c| c["id"] = json!("ab".repeat(32))),
            ID,
        ),
        (
            "upper case",
            Box::new(|c| c["id"] = json!(c["id"].as_str().unwrap().to_uppercase())),
            ID,
        ),
        (
            "no key",
            Box::new(|c| c["publicKey"] = json!("not a key")),
            ID,
        ),
        (
            "a short key",
            Box::new(|c| c["publicKey"] = json!("AAAA")),
            ID,
        ),
        (
            "a key of 5 kB",
            Box::new(|c| c["publicKey"] = json!("A".repeat(5_000))),
            ID,
        ),
        (
            "a PEM of something else",
            Box::new(|c| c["publicKey"] = json!("-----BEGIN RSA-----\nAAAA\n-----END RSA-----")),
            ID,
        ),
        ("long ago", Box::new(move |c| moved(c, -601_000)), EXPIRED),
        (
            "long to come",
            Box::new(move |c| moved(c, 601_000)),
            EXPIRED,
        ),
        (
            "at the epoch",
            Box::new(|c| c["signedAt"] = json!(0)),
            EXPIRED,
        ),
        (
            "a blank nonce",
            Box::new(|c| c["nonce"] = json!("  ")),
            NO_NONCE,
        ),
        (
            "another nonce",
            Box::new(|c| c["nonce"] = json!("another")),
            NONCE,
        ),
        (
            "a short signature",
            Box::new(|c| c["signature"] = json!("AAAA")),
            SIGNATURE,
        ),
        (
            "no base64",
            Box::new(|c| c["signature"] = json!("!!!!")),
            SIGNATURE,
        ),
        (
            "zeros",
            Box::new(|c| c["signature"] = json!("A".repeat(86))),
            SIGNATURE,
        ),
        ("a moment later", Box::new(move |c| moved(c, 1)), SIGNATURE),
        ("a key off the curve", Box::new(off_the_curve), KEY),
    ];
    for generation in [3, 4] {
        for (what, change, expected) in &rows {
            let place = format!("{what} (v{generation})");
            // The token is wrong too: the proof is reported first.
            let mut params = with_secret(generation, &["operator.read"]);
            params["auth"]["token"] = json!("wrong");
            let mut socket = daemon.socket().await;
            let mut params = device.sign(params, &socket);
            change(&mut params["device"]);
            let refused = socket.turned_away(params).await;
            expected.closes(&place, &refused);
            assert!(
                refused.0["details"]["remediationHint"].is_string(),
                "{place}"
            );
        }
    }
}

#[tokio::test]
async fn a_nonce_may_be_left_out_by_an_old_client_on_this_machine_only() {
    let daemon = Daemon::start(Plan::default().patient());
    let device = Device::new(6);
    let left_out: Change = |claim| drop(claim.as_object_mut().unwrap().remove("nonce"));
    // The schema is that of both generations: upstream's v4 names the missing key instead.
    for (generation, expected) in [(4, NO_NONCE), (3, SIGNATURE)] {
        let mut socket = daemon.socket().await;
        socket.check.off_the_record();
        let mut params = device.sign(with_secret(generation, &[]), &socket);
        left_out(&mut params["device"]);
        let refused = socket.turned_away(params).await;
        expected.closes(&format!("v{generation}"), &refused);
    }
}

#[tokio::test]
async fn how_far_a_clock_may_be_off_depends_on_the_generation() {
    let daemon = Daemon::start(Plan::default().patient());
    let device = Device::new(7);
    for (generation, by, accepted) in [
        (4, 115_000, true),
        (4, -115_000, true),
        (4, 125_000, false),
        (4, -125_000, false),
        (3, 590_000, true),
        (3, -590_000, true),
        (3, 610_000, false),
    ] {
        let mut socket = daemon.socket().await;
        socket.ts = socket.ts.checked_add_signed(by).unwrap();
        let params = device.sign(with_secret(generation, &["operator.read"]), &socket);
        if accepted {
            socket.hello(params).await;
        } else {
            let refused = socket.turned_away(params).await;
            EXPIRED.closes(&format!("v{generation} by {by} ms"), &refused);
        }
    }
}

#[tokio::test]
async fn nobody_but_the_local_command_line_comes_in_without_a_device() {
    let daemon = Daemon::start(Plan::default().patient());
    let own = format!("http://{}", daemon.address);
    let required = not_paired("device identity required").details("DEVICE_IDENTITY_REQUIRED");
    let ui = invalid("control ui requires device identity (use HTTPS or localhost secure context)")
        .details("CONTROL_UI_DEVICE_IDENTITY_REQUIRED");
    // (id, mode, role, from our own page, what comes of it). Upstream lets some of them in without
    // scopes; ours says what is missing.
    let rows = [
        ("cli", "cli", "operator", false, None),
        ("cli", "probe", "operator", false, None),
        ("gateway-client", "backend", "operator", false, None),
        ("gateway-client", "ui", "operator", false, Some(required)),
        ("cli", "backend", "operator", false, Some(required)),
        ("test", "test", "operator", false, Some(required)),
        ("openclaw-macos", "ui", "operator", false, Some(required)),
        ("openclaw-ios", "ui", "operator", false, Some(required)),
        ("webchat-ui", "webchat", "operator", true, Some(required)),
        ("cli", "cli", "operator", true, Some(required)),
        ("cli", "cli", "node", false, Some(required)),
        ("node-host", "node", "node", false, Some(required)),
        ("gateway-client", "backend", "node", false, Some(required)),
        ("openclaw-tui", "ui", "operator", false, Some(ui)),
        ("openclaw-control-ui", "webchat", "operator", true, Some(ui)),
        ("openclaw-browser-copilot", "ui", "operator", true, Some(ui)),
    ];
    for generation in [3, 4] {
        for (id, mode, role, page, expected) in rows {
            let headers = [("origin", own.as_str())];
            let headers = if page { &headers[..] } else { &[] };
            let mut socket = Socket::open(daemon.address, headers).await;
            let mut params = connect_params(generation);
            params["client"]["id"] = json!(id);
            params["client"]["mode"] = json!(mode);
            params["role"] = json!(role);
            let place = format!("{id}/{mode} as {role}, v{generation}");
            if let Some(expected) = expected {
                let refused = socket.turned_away(params).await;
                expected.closes(&place, &refused);
            } else {
                let hello = socket.hello(params).await;
                if generation == 4 {
                    assert_eq!(
                        hello["auth"]["scopes"],
                        json!(["operator.admin"]),
                        "{place}"
                    );
                }
            }
        }
    }
}
