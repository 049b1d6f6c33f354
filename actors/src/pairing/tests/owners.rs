//! What owners may decide, and what it ends.

use std::sync::Arc;

use openclaw_protocol::methods::common::EmptyParams;
use openclaw_protocol::methods::device::{
    DevicePairApprove, DevicePairApproveParams, DevicePairList, DevicePairReject,
    DevicePairRejectParams, DevicePairRemove, DevicePairRemoveParams, DevicePairRename,
    DevicePairRenameParams, DeviceTokenRevoke, DeviceTokenRevokeParams, DeviceTokenRotate,
    DeviceTokenRotateParams,
};
use openclaw_protocol::{Role, Scope, Scopes};
use serde_json::{Value, json};

use super::actor::{World, caller, memory};
use super::*;
use crate::session::queue::HubItem;

async fn waiting(world: &World, ask: Admit) -> String {
    let error = world.admit(ask).await.unwrap_err();
    error.details.unwrap()["requestId"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn pairing_and(scope: Scope) -> Scopes {
    Scopes::of(&[Scope::Pairing, scope])
}

fn message(answer: Result<Value, Value>) -> String {
    answer.unwrap_err()["message"].as_str().unwrap().to_owned()
}

#[actix::test]
async fn nobody_approves_more_than_they_hold() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let reader = caller(None, pairing_and(Scope::Read), Arc::default());
    world.connect(&reader);
    let approve = |request_id: &str| DevicePairApproveParams {
        request_id: request_id.to_owned(),
    };
    let wide = waiting(
        &world,
        Admit {
            scopes: admin(),
            ..remote(1)
        },
    )
    .await;
    let answer = world
        .call_as::<DevicePairApprove>(&reader, approve(&wide))
        .await;
    assert_eq!(message(answer), "missing scope: operator.admin");
    let node = Admit {
        role: Role::Node,
        scopes: Scopes::NONE,
        ..remote(2)
    };
    let node = waiting(&world, node).await;
    let answer = world
        .call_as::<DevicePairApprove>(&reader, approve(&node))
        .await;
    assert_eq!(message(answer), "device pairing approval denied");
    let narrow = waiting(&world, remote(3)).await;
    assert!(
        world
            .call_as::<DevicePairApprove>(&reader, approve(&narrow))
            .await
            .is_ok()
    );
    let answer = world
        .call_as::<DevicePairApprove>(&reader, approve(&narrow))
        .await;
    assert_eq!(message(answer), "unknown requestId");
    let answer = world
        .call::<DevicePairReject>(DevicePairRejectParams {
            request_id: wide.clone(),
        })
        .await;
    assert_eq!(
        answer.unwrap(),
        json!({"requestId": wide, "deviceId": "device-1"})
    );
    assert_ne!(waiting(&world, remote(1)).await, wide, "it may ask again");
}

#[actix::test]
async fn a_paired_device_that_is_no_admin_sees_and_decides_only_its_own() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    world.token(local(1)).await;
    world.token(local(2)).await;
    let other = waiting(&world, remote(3)).await;
    let own = caller(Some("device-1"), pairing_and(Scope::Read), Arc::default());
    world.connect(&own);
    let list = world
        .call_as::<DevicePairList>(&own, EmptyParams {})
        .await
        .unwrap();
    assert_eq!(list["pending"], json!([]));
    assert_eq!(list["paired"].as_array().unwrap().len(), 1);
    assert_eq!(list["paired"][0]["deviceId"], "device-1");
    let request_id = other.clone();
    let answer = world
        .call_as::<DevicePairApprove>(&own, DevicePairApproveParams { request_id })
        .await;
    assert_eq!(message(answer), "device pairing approval denied");
    let answer = world
        .call_as::<DevicePairReject>(&own, DevicePairRejectParams { request_id: other })
        .await;
    assert_eq!(message(answer), "device pairing rejection denied");
    let device_id = "device-2".to_owned();
    let answer = world
        .call_as::<DevicePairRemove>(
            &own,
            DevicePairRemoveParams {
                device_id: device_id.clone(),
            },
        )
        .await;
    assert_eq!(message(answer), "device pairing removal denied");
    for (device_id, scopes) in [
        (device_id, None),
        ("device-1".into(), Some("operator.write")),
    ] {
        let rotate = DeviceTokenRotateParams {
            device_id,
            role: "operator".into(),
            scopes: scopes.map(|scope| vec![scope.to_owned()]),
        };
        let answer = world.call_as::<DeviceTokenRotate>(&own, rotate).await;
        assert_eq!(message(answer), "device token rotation denied");
    }
}

/// Waits until the connection is closed, and gives code and reason.
async fn closed(world: &mut World, of: &Arc<crate::call::Caller>) -> (u16, String) {
    loop {
        let item = world
            .next(of, |item| matches!(item, HubItem::Close { .. }))
            .await;
        if let Some(HubItem::Close { conn, code, reason }) = item {
            assert_eq!(conn, of.conn);
            return (code, reason);
        }
    }
}

#[actix::test]
async fn rotate_revoke_and_remove_end_tokens_and_connections() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let live = caller(Some("device-1"), read(), Arc::default());
    let bystander = caller(Some("device-2"), read(), Arc::clone(&live.hub));
    world.connect(&live);
    world.connect(&bystander);
    world.token(local(2)).await;
    let (device_id, role) = ("device-1".to_owned(), "operator".to_owned());

    let token = world.token(local(1)).await;
    let rotate = DeviceTokenRotateParams {
        device_id: device_id.clone(),
        role: role.clone(),
        scopes: None,
    };
    let rotated = world.call::<DeviceTokenRotate>(rotate).await.unwrap();
    assert_eq!(rotated["tokenDelivery"], "withheld-cross-device");
    assert!(rotated.get("token").is_none());
    assert_eq!(
        closed(&mut world, &live).await,
        (4001, "device token rotated".into())
    );
    assert!(world.admit(by_token(remote(1), &token)).await.is_err());

    let token = world.token(local(1)).await;
    let revoke = DeviceTokenRevokeParams {
        device_id: device_id.clone(),
        role: role.clone(),
    };
    world
        .call::<DeviceTokenRevoke>(revoke.clone())
        .await
        .unwrap();
    loop {
        let (code, reason) = closed(&mut world, &live).await;
        assert_eq!(code, 4001);
        if reason == "device token revoked" {
            break;
        }
    }
    assert!(world.admit(by_token(remote(1), &token)).await.is_err());
    let again = world.admit(local(1)).await.unwrap_err().details.unwrap();
    assert_eq!(
        again["reason"], "role-upgrade",
        "only an owner gives it back"
    );
    let answer = world.call::<DeviceTokenRevoke>(revoke).await;
    assert_eq!(message(answer), "device token revocation denied");

    let rename = DevicePairRenameParams {
        device_id: device_id.clone(),
        label: " Kitchen ".into(),
    };
    world.call::<DevicePairRename>(rename).await.unwrap();
    let list = world.call::<DevicePairList>(EmptyParams {}).await.unwrap();
    let kitchen = list["paired"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["displayName"] == "Kitchen");
    assert!(kitchen.unwrap()["tokens"][0]["revokedAtMs"].is_number());

    let remove = DevicePairRemoveParams { device_id };
    world
        .call::<DevicePairRemove>(remove.clone())
        .await
        .unwrap();
    let answer = world.call::<DevicePairRemove>(remove).await;
    assert_eq!(message(answer), "unknown deviceId");
    let list = world.call::<DevicePairList>(EmptyParams {}).await.unwrap();
    assert_eq!(list["pending"], json!([]), "its request went with it");
}
