//! Devices that wait for an owner (protocol sections 5.2 to 5.5).

use serde_json::{Value, json};

use super::not_paired;
use crate::harness::device::Device;
use crate::harness::trust::{accepted, pair, refused, request, strict, with_secret};

/// A device that was approved to read, and what it asks for now.
struct Row {
    reason: &'static str,
    message: &'static str,
    known: bool,
    change: fn(&mut Value),
}

const ROWS: [Row; 4] = [
    Row {
        reason: "not-paired",
        message: "pairing required: device is not approved yet",
        known: false,
        change: |_| {},
    },
    Row {
        reason: "role-upgrade",
        message: "pairing required: device is asking for a higher role than currently approved",
        known: true,
        change: |params| {
            params["role"] = json!("node");
            params["client"]["id"] = json!("node-host");
            params["client"]["mode"] = json!("node");
            params["scopes"] = json!([]);
        },
    },
    Row {
        reason: "scope-upgrade",
        message: "pairing required: device is asking for more scopes than currently approved",
        known: true,
        change: |params| params["scopes"] = json!(["operator.write"]),
    },
    Row {
        reason: "metadata-upgrade",
        message: "pairing required: device identity changed and must be re-approved",
        known: true,
        change: |params| params["client"]["platform"] = json!("windows"),
    },
];

#[tokio::test]
async fn a_device_that_has_to_wait_is_told_why_and_what_to_do() {
    let daemon = strict();
    for (seed, row) in (60..).zip(ROWS) {
        let device = Device::new(seed);
        if row.known {
            pair(&daemon, &device, &["operator.read"]).await;
        }
        let mut params = with_secret(4, &["operator.read"]);
        (row.change)(&mut params);
        let answer = refused(&daemon, &device, params.clone()).await;
        let (error, code, reason) = &answer;
        not_paired(row.message)
            .details("PAIRING_REQUIRED")
            .reason(row.reason)
            .check(row.reason, error);
        let details = &error["details"];
        let id = details["requestId"].as_str().expect("a request");
        let command = format!("openclaw devices approve {id}");
        assert_eq!(
            *reason,
            format!("pairing required ({}): {command}", row.reason),
            "who sees only the close sees cause, request and command"
        );
        assert_eq!(*code, 1008);
        assert_eq!(details["deviceId"], device.id.as_str());
        assert_eq!(details["requestedRole"], params["role"], "{}", row.reason);
        if params["scopes"] == json!([]) {
            assert!(details["requestedScopes"].is_null());
        } else {
            assert_eq!(details["requestedScopes"], params["scopes"]);
        }
        if row.known {
            assert_eq!(details["approvedRoles"], json!(["operator"]));
            assert_eq!(details["approvedScopes"], json!(["operator.read"]));
        } else {
            assert!(details["approvedRoles"].is_null() && details["approvedScopes"].is_null());
        }
        let hint = details["remediationHint"].as_str().expect("a hint");
        assert!(
            hint.contains(&command) && hint.contains("not approved without asking, because"),
            "{hint}"
        );
        // The same again is the same request.
        assert_eq!(request(&daemon, &device, params.clone()).await, id);
        // Owners see it, and once one of them says yes it is let in.
        let mut owner = daemon.client().await;
        let list = owner.call("device.pair.list", json!({})).await;
        let listed = list["pending"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["requestId"] == id);
        assert!(listed, "{list}");
        owner
            .call("device.pair.approve", json!({ "requestId": id }))
            .await;
        accepted(&daemon, &device, params).await;
    }
}

#[tokio::test]
async fn an_old_client_gets_the_words_that_it_looks_for() {
    let daemon = strict();
    for (seed, row) in (70..).zip(ROWS) {
        let device = Device::new(seed);
        if row.known {
            pair(&daemon, &device, &["operator.read"]).await;
        }
        let mut params = with_secret(3, &["operator.read"]);
        (row.change)(&mut params);
        if row.reason == "metadata-upgrade" {
            // The old generation pins no platform.
            accepted(&daemon, &device, params).await;
            continue;
        }
        let (error, code, reason) = refused(&daemon, &device, params).await;
        let place = row.reason;
        assert_eq!(error["code"], "NOT_PAIRED", "{place}");
        assert_eq!(error["message"], "pairing required", "{place}");
        assert_eq!(
            (code, reason.as_str()),
            (1008, "pairing required"),
            "{place}"
        );
        let details = error["details"].as_object().expect("details");
        assert_eq!(details.keys().collect::<Vec<_>>(), ["requestId"], "{place}");
    }
}

#[tokio::test]
async fn a_role_that_an_owner_revoked_has_to_be_given_again() {
    let daemon = strict();
    let device = Device::new(80);
    pair(&daemon, &device, &["operator.read"]).await;
    let mut owner = daemon.client().await;
    owner
        .call(
            "device.token.revoke",
            json!({ "deviceId": device.id, "role": "operator" }),
        )
        .await;
    let answer = refused(&daemon, &device, with_secret(4, &["operator.read"])).await;
    not_paired(ROWS[1].message)
        .details("PAIRING_REQUIRED")
        .reason("role-upgrade")
        .check("revoked", &answer.0);
    owner
        .call(
            "device.pair.approve",
            json!({ "requestId": answer.0["details"]["requestId"] }),
        )
        .await;
    accepted(&daemon, &device, with_secret(4, &["operator.read"])).await;
}

#[tokio::test]
async fn a_wider_request_takes_the_place_of_a_narrower_one_and_says_so() {
    let daemon = strict();
    let device = Device::new(81);
    let mut owner = daemon.client().await;
    let narrow = request(&daemon, &device, with_secret(4, &["operator.read"])).await;
    let asked = owner
        .until(|frame| frame["event"] == "device.pair.requested")
        .await;
    assert_eq!(asked["payload"]["requestId"], narrow.as_str());
    assert_eq!(asked["payload"]["publicKey"], device.public_key());
    // Covered by what waits: nothing new.
    let same = request(&daemon, &device, with_secret(4, &[])).await;
    assert_eq!(same, narrow);
    let wide = request(&daemon, &device, with_secret(4, &["operator.write"])).await;
    assert_ne!(wide, narrow);
    let ended = owner
        .until(|frame| frame["event"] == "device.pair.resolved")
        .await;
    assert_eq!(ended["payload"]["requestId"], narrow.as_str());
    assert_eq!(ended["payload"]["decision"], "rejected");
    let asked = owner
        .until(|frame| frame["event"] == "device.pair.requested")
        .await;
    assert_eq!(asked["payload"]["requestId"], wide.as_str());
    assert_eq!(
        asked["payload"]["scopes"],
        json!(["operator.read", "operator.write"])
    );
    // An old client's pending request is found again as it is.
    let old = Device::new(82);
    let first = request(&daemon, &old, with_secret(3, &["operator.read"])).await;
    let second = request(&daemon, &old, with_secret(3, &["operator.write"])).await;
    assert_eq!(first, second);
}
