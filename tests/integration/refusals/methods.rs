//! Errors of the methods that decide about devices (protocol section 5.6).

use serde_json::json;

use super::{Expected, invalid};
use crate::harness::device::Device;
use crate::harness::socket::connect_params;
use crate::harness::trust::{accepted, pair, request, strict, with_secret};

#[tokio::test]
async fn what_cannot_be_decided_is_refused_by_name() {
    let daemon = strict();
    let (device, waiting) = (Device::new(90), Device::new(91));
    pair(&daemon, &device, &["operator.pairing"]).await;
    let id = request(&daemon, &waiting, with_secret(4, &["operator.admin"])).await;
    let (own, unknown) = (device.id.as_str(), waiting.id.as_str());
    let unknown_request: Expected = invalid("unknown requestId").details("UNKNOWN_REQUEST_ID");
    let rotation = invalid("device token rotation denied");
    let revocation = invalid("device token revocation denied");
    let by_admin = [
        (
            "device.pair.approve",
            json!({ "requestId": "no-such" }),
            unknown_request,
        ),
        (
            "device.pair.reject",
            json!({ "requestId": "no-such" }),
            unknown_request,
        ),
        (
            "device.pair.remove",
            json!({ "deviceId": unknown }),
            invalid("unknown deviceId"),
        ),
        (
            "device.pair.rename",
            json!({ "deviceId": unknown, "label": "x" }),
            invalid("unknown deviceId"),
        ),
        (
            "device.pair.rename",
            json!({ "deviceId": own, "label": "  " }),
            invalid("label must not be blank"),
        ),
        (
            "device.token.rotate",
            json!({ "deviceId": unknown, "role": "operator" }),
            rotation,
        ),
        (
            "device.token.rotate",
            json!({ "deviceId": own, "role": "node" }),
            rotation,
        ),
        (
            "device.token.rotate",
            json!({ "deviceId": own, "role": "emperor" }),
            rotation,
        ),
        (
            "device.token.rotate",
            json!({ "deviceId": own, "role": "operator", "scopes": ["operator.admin"] }),
            rotation,
        ),
        (
            "device.token.revoke",
            json!({ "deviceId": unknown, "role": "operator" }),
            revocation,
        ),
        (
            "device.token.revoke",
            json!({ "deviceId": own, "role": "node" }),
            revocation,
        ),
        (
            "node.pair.approve",
            json!({ "requestId": "no-such" }),
            unknown_request,
        ),
        (
            "node.pair.reject",
            json!({ "requestId": "no-such" }),
            unknown_request,
        ),
        (
            "node.pair.remove",
            json!({ "nodeId": own }),
            invalid("unknown nodeId"),
        ),
        (
            "node.rename",
            json!({ "nodeId": own, "displayName": "x" }),
            invalid("unknown nodeId"),
        ),
        (
            "node.rename",
            json!({ "nodeId": own, "displayName": "  " }),
            invalid("displayName must not be blank"),
        ),
        (
            "node.describe",
            json!({ "nodeId": unknown }),
            invalid("unknown nodeId"),
        ),
    ];
    let by_clerk = [(
        "device.pair.approve",
        json!({ "requestId": id }),
        invalid("missing scope: operator.admin"),
    )];
    let by_device = [
        (
            "device.pair.approve",
            json!({ "requestId": id }),
            invalid("device pairing approval denied"),
        ),
        (
            "device.pair.reject",
            json!({ "requestId": id }),
            invalid("device pairing rejection denied"),
        ),
        (
            "device.pair.remove",
            json!({ "deviceId": unknown }),
            invalid("device pairing removal denied"),
        ),
        (
            "device.pair.rename",
            json!({ "deviceId": unknown, "label": "x" }),
            invalid("device pairing rename denied"),
        ),
        (
            "device.token.rotate",
            json!({ "deviceId": unknown, "role": "operator" }),
            rotation,
        ),
        (
            "device.token.revoke",
            json!({ "deviceId": unknown, "role": "operator" }),
            revocation,
        ),
    ];
    for generation in [3, 4] {
        let mut admin = daemon.generation(generation).await;
        let mut clerk = daemon.socket().await;
        let mut params = connect_params(generation);
        params["scopes"] = json!(["operator.pairing"]);
        clerk.hello(params).await;
        let (mut paired, _) = accepted(
            &daemon,
            &device,
            with_secret(generation, &["operator.pairing"]),
        )
        .await;
        for (socket, who, rows) in [
            (&mut admin, "admin", &by_admin[..]),
            (&mut clerk, "clerk", &by_clerk),
            (&mut paired, "device", &by_device),
        ] {
            for (method, params, expected) in rows {
                let error = socket.refused(method, params.clone()).await;
                expected.check(
                    &format!("{method} {params} by the {who}, v{generation}"),
                    &error,
                );
            }
        }
    }
    // Nothing was decided by any of it.
    let mut owner = daemon.client().await;
    let list = owner.call("device.pair.list", json!({})).await;
    assert_eq!(list["pending"][0]["requestId"], id.as_str());
    assert_eq!(list["paired"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_request_is_decided_once() {
    let daemon = strict();
    let mut owner = daemon.client().await;
    let mut again = async |method: &'static str, other: &'static str, seed: u8| {
        let id = request(&daemon, &Device::new(seed), with_secret(4, &[])).await;
        owner.call(method, json!({ "requestId": id })).await;
        for method in [method, other] {
            let error = owner.refused(method, json!({ "requestId": id })).await;
            invalid("unknown requestId")
                .details("UNKNOWN_REQUEST_ID")
                .check(method, &error);
            let hint = error["details"]["remediationHint"].as_str().unwrap();
            assert!(hint.contains("openclaw devices list"), "{hint}");
        }
    };
    again("device.pair.approve", "device.pair.reject", 92).await;
    again("device.pair.reject", "device.pair.approve", 93).await;
}
