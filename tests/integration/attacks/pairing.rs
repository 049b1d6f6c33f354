//! Attacks on approvals: more than the approver holds, other people's requests, what was narrowed.

use serde_json::json;

use crate::harness::daemon::Daemon;
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};
use crate::harness::trust::{accepted, face, pair, refused, request, strict, with_secret};

/// The local command line with these scopes only.
async fn owner(daemon: &Daemon, generation: u32, scopes: &[&str]) -> Socket {
    let mut socket = daemon.socket().await;
    let mut params = connect_params(generation);
    params["scopes"] = json!(scopes);
    socket.hello(params).await;
    socket
}

#[tokio::test]
async fn attack_19_nobody_approves_more_than_they_hold() {
    let daemon = strict();
    for generation in [3, 4] {
        let seed = u8::try_from(generation).unwrap() * 20;
        let admin = Device::new(seed);
        let wanted = with_secret(4, &["operator.admin"]);
        let for_admin = request(&daemon, &admin, wanted).await;
        let node = Device::new(seed + 1);
        let mut wanted = with_secret(4, &[]);
        wanted["role"] = json!("node");
        wanted["client"] =
            json!({ "id": "node-host", "version": "1", "platform": "linux", "mode": "node" });
        let for_node = request(&daemon, &node, wanted).await;

        let mut clerk = owner(&daemon, generation, &["operator.pairing", "operator.read"]).await;
        let mut refuse = async |id: &str, message: &str| {
            let error = clerk
                .refused("device.pair.approve", json!({ "requestId": id }))
                .await;
            assert_eq!(error["code"], "INVALID_REQUEST", "v{generation}: {error}");
            assert_eq!(error["message"], message, "v{generation}");
        };
        refuse(&for_admin, "missing scope: operator.admin").await;
        refuse(&for_node, "device pairing approval denied").await;

        // A request that grew after the clerk saw it has another id, and the old one is void.
        let third = Device::new(seed + 2);
        let narrow = request(&daemon, &third, with_secret(4, &["operator.read"])).await;
        let wide = request(&daemon, &third, with_secret(4, &["operator.admin"])).await;
        assert_ne!(narrow, wide);
        refuse(&narrow, "unknown requestId").await;
        refuse(&wide, "missing scope: operator.admin").await;

        // What the clerk holds, it may give; and no more comes of it.
        let modest = Device::new(seed + 3);
        let id = request(&daemon, &modest, with_secret(4, &["operator.read"])).await;
        let approved = clerk
            .call("device.pair.approve", json!({ "requestId": id }))
            .await;
        assert_eq!(approved["device"]["scopes"], json!(["operator.read"]));
        accepted(&daemon, &modest, with_secret(4, &["operator.read"])).await;
        let (error, ..) = refused(&daemon, &modest, with_secret(4, &["operator.write"])).await;
        assert_eq!(error["details"]["reason"], "scope-upgrade");
        // Nobody else came in.
        for device in [&admin, &third] {
            let (error, ..) = refused(&daemon, device, with_secret(4, &["operator.admin"])).await;
            assert_eq!(error["details"]["reason"], "not-paired");
        }
    }
    // Without the pairing scope there is nothing to decide at all.
    let mut writer = owner(&daemon, 4, &["operator.write"]).await;
    for method in ["device.pair.approve", "device.pair.reject"] {
        let error = writer.refused(method, json!({ "requestId": "x" })).await;
        assert_eq!(
            error["details"]["missingScope"], "operator.pairing",
            "{method}"
        );
    }
}

#[tokio::test]
async fn attack_22_an_empty_list_of_scopes_is_empty() {
    let daemon = strict();
    let device = Device::new(22);
    pair(&daemon, &device, &["operator.admin"]).await;
    // A paired device that asks for nothing gets nothing, and its new token gives nothing.
    let (mut socket, hello) = accepted(&daemon, &device, with_secret(4, &[])).await;
    assert_eq!(hello["auth"]["scopes"], json!([]));
    let error = socket.refused("status", json!({})).await;
    assert_eq!(error["details"]["missingScope"], "operator.read");
    let token = hello["auth"]["deviceToken"].clone();
    for scopes in [&["operator.admin"][..], &["operator.read"]] {
        let (error, ..) = refused(
            &daemon,
            &device,
            face(4, scopes, &json!({ "deviceToken": token })),
        )
        .await;
        assert_eq!(error["details"]["code"], "AUTH_SCOPE_MISMATCH");
    }
    // Paired anew without scopes, it does not find the old ones again.
    let mut owner = daemon.client().await;
    owner
        .call("device.pair.remove", json!({ "deviceId": device.id }))
        .await;
    let id = request(&daemon, &device, with_secret(4, &[])).await;
    let approved = owner
        .call("device.pair.approve", json!({ "requestId": id }))
        .await;
    assert_eq!(approved["device"]["scopes"], json!([]));
    for scopes in [&["operator.admin"][..], &["operator.read"]] {
        let (error, ..) = refused(&daemon, &device, with_secret(4, scopes)).await;
        assert_eq!(error["details"]["reason"], "scope-upgrade", "{error}");
    }
}

#[tokio::test]
async fn attack_23_a_device_sees_and_decides_about_itself_only() {
    let daemon = strict();
    let (clerk, victim, stranger) = (Device::new(31), Device::new(32), Device::new(33));
    let scopes = ["operator.pairing", "operator.read"];
    pair(&daemon, &clerk, &scopes).await;
    pair(&daemon, &victim, &["operator.read"]).await;
    let waiting = request(&daemon, &stranger, with_secret(4, &["operator.read"])).await;
    for generation in [3, 4] {
        let (mut socket, _) = accepted(&daemon, &clerk, with_secret(generation, &scopes)).await;
        let list = socket.call("device.pair.list", json!({})).await;
        assert_eq!(list["pending"], json!([]));
        assert_eq!(list["paired"].as_array().map(Vec::len), Some(1));
        assert_eq!(list["paired"][0]["deviceId"], clerk.id.as_str());
        let about = |id: &str| json!({ "deviceId": id, "role": "operator" });
        for (method, params) in [
            ("device.pair.approve", json!({ "requestId": waiting })),
            ("device.pair.reject", json!({ "requestId": waiting })),
            ("device.pair.remove", json!({ "deviceId": victim.id })),
            (
                "device.pair.rename",
                json!({ "deviceId": victim.id, "label": "mine" }),
            ),
            ("device.token.rotate", about(&victim.id)),
            ("device.token.revoke", about(&victim.id)),
        ] {
            let error = socket.refused(method, params).await;
            assert_eq!(error["code"], "INVALID_REQUEST", "{method}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.ends_with("denied"), "{method}: {message}");
        }
    }
    let mut owner = daemon.client().await;
    let list = owner.call("device.pair.list", json!({})).await;
    assert_eq!(list["pending"][0]["requestId"], waiting.as_str());
    assert_eq!(list["paired"].as_array().map(Vec::len), Some(2));
    accepted(&daemon, &victim, with_secret(4, &["operator.read"])).await;
}
