//! Attacks on tokens and secrets: wider ones, ended ones, one secret in two places.

use std::time::{Duration, Instant};

use openclaw_actors::gate::AuthMode;
use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::connect_params;
use crate::harness::trust::{accepted, face, pair, refused, strict, with_secret};

#[tokio::test]
async fn attack_21_a_rotation_never_widens() {
    let daemon = strict();
    let device = Device::new(21);
    let scopes = ["operator.pairing", "operator.read"];
    let token = pair(&daemon, &device, &scopes).await;
    let wider =
        |scopes: &[&str]| json!({ "deviceId": device.id, "role": "operator", "scopes": scopes });
    let (mut own, _) = accepted(&daemon, &device, with_secret(4, &scopes)).await;
    let mut admin = daemon.client().await;
    let mut clerk = daemon.socket().await;
    let mut params = connect_params(4);
    params["scopes"] = json!(["operator.pairing"]);
    clerk.hello(params).await;
    let own_role = |role: &str| json!({ "deviceId": device.id, "role": role });
    let rows = [
        (
            "the device",
            &mut own,
            vec![
                wider(&["operator.admin"]),
                wider(&["operator.pairing", "operator.write"]),
            ],
        ),
        // More than was approved is not to be had from an owner's rotation either.
        (
            "an admin",
            &mut admin,
            vec![wider(&["operator.admin"]), own_role("node")],
        ),
        // Without a list the role's own scopes are meant, of which a clerk holds but one.
        ("a clerk", &mut clerk, vec![own_role("operator")]),
    ];
    for (who, socket, asked) in rows {
        for params in asked {
            let error = socket.refused("device.token.rotate", params.clone()).await;
            assert_eq!(
                error["message"], "device token rotation denied",
                "{who}: {params}"
            );
            assert_eq!(error["code"], "INVALID_REQUEST");
        }
    }
    // The old token goes on: nothing was rotated.
    let by_token = face(4, &scopes, &json!({ "deviceToken": token }));
    accepted(&daemon, &device, by_token).await;
}

/// What ends the trust in a device.
type Ending = fn(&str) -> (&'static str, Value);

#[tokio::test]
async fn attack_24_what_an_owner_ends_is_closed_within_a_second() {
    let daemon = strict();
    let endings: [Ending; 3] = [
        |id| {
            (
                "device.token.revoke",
                json!({ "deviceId": id, "role": "operator" }),
            )
        },
        |id| {
            (
                "device.token.rotate",
                json!({ "deviceId": id, "role": "operator" }),
            )
        },
        |id| ("device.pair.remove", json!({ "deviceId": id })),
    ];
    let neighbour = Device::new(40);
    pair(&daemon, &neighbour, &["operator.read"]).await;
    let (mut untouched, _) =
        accepted(&daemon, &neighbour, with_secret(4, &["operator.read"])).await;
    let mut owner = daemon.client().await;
    for (seed, ending) in (41..).zip(endings) {
        let device = Device::new(seed);
        let token = pair(&daemon, &device, &["operator.read"]).await;
        let by_token = face(4, &["operator.read"], &json!({ "deviceToken": token }));
        let (mut first, _) = accepted(&daemon, &device, with_secret(4, &["operator.read"])).await;
        let (mut second, _) = accepted(&daemon, &device, by_token.clone()).await;
        let (mut old, _) = accepted(&daemon, &device, with_secret(3, &["operator.read"])).await;
        let (method, params) = ending(&device.id);
        let asked = Instant::now();
        owner.call(method, params).await;
        for socket in [&mut first, &mut second, &mut old] {
            let (code, reason) = socket.closed_in_the_end().await.expect("a close frame");
            assert_eq!(code, 4001, "{method}: {reason}");
        }
        let took = asked.elapsed();
        assert!(
            took < Duration::from_secs(1),
            "{method}: closed after {took:?}"
        );
        let (error, ..) = refused(&daemon, &device, by_token).await;
        assert_eq!(
            error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH",
            "{method}"
        );
    }
    untouched.call("status", json!({})).await;
}

#[tokio::test]
async fn attack_26_no_secret_is_made_of_another() {
    let first = Daemon::start(Plan::default().patient());
    let second = Daemon::start(Plan::default().patient());
    let device = Device::new(26);
    let mut seen = Vec::new();
    for daemon in [&first, &second] {
        let (mut socket, hello) =
            accepted(daemon, &device, with_secret(4, &["operator.admin"])).await;
        let identity = socket.call("gateway.identity.get", json!({})).await;
        seen.push(hello["auth"]["deviceToken"].clone());
        seen.push(identity["publicKey"].clone());
        seen.push(json!(socket.nonce));
    }
    // One shared secret, one device: and nothing that the two gateways made is alike.
    for (index, value) in seen.iter().enumerate() {
        assert!(
            value.is_string() && !seen[..index].contains(value),
            "{seen:?}"
        );
    }
    drop(second);
    // Another shared secret leaves the gateway's own key as it is, and ends what hung on the old one.
    let token = seen[0].clone();
    let home = first.stop().await;
    let other = "another-integration-token-0123456789";
    let mut plan = Plan::default()
        .patient()
        .gate(AuthMode::Token(other.into()));
    plan.gate.auto_approve_local = false;
    let daemon = Daemon::start_in(home, plan);
    let mut socket = daemon.socket().await;
    let mut params = connect_params(4);
    params["auth"]["token"] = json!(other);
    socket.hello(params).await;
    let identity = socket.call("gateway.identity.get", json!({})).await;
    assert_eq!(identity["publicKey"], seen[1]);
    let silent = face(4, &["operator.admin"], &json!({ "deviceToken": token }));
    let (error, ..) = refused(&daemon, &device, silent).await;
    assert_eq!(
        error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH",
        "a silently approved device's token ends with the secret"
    );
}
