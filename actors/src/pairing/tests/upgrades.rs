//! Connected devices that ask for more, older selves that are forgotten, and approvals anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::methods::common::EmptyParams;
use openclaw_protocol::methods::device::{
    DevicePairApprove, DevicePairApproveParams, DevicePairList, DevicePairReject,
    DevicePairRejectParams, DeviceTokenRevoke, DeviceTokenRevokeParams,
};
use openclaw_protocol::methods::device_scopes::{
    DeviceScopesRequestUpgrade, DeviceScopesRequestUpgradeParams, DeviceScopesWaitUpgrade,
    DeviceScopesWaitUpgradeParams,
};
use serde_json::{Value, json};

use super::actor::{World, caller, memory};
use super::*;
use crate::call::Caller;
use crate::clock::{pass, quiet};
use crate::pairing::prune::Prune;
use crate::session::queue::HubItem;

/// A paired device with a connection that has no scope at all.
async fn connected(world: &mut World) -> Arc<Caller> {
    world.token(local(1)).await;
    let own = caller(Some("device-1"), Scopes::NONE, Arc::default());
    world.connect(&own);
    own
}

/// Another connection of the same device, so that answers do not meet.
fn second(world: &World) -> Arc<Caller> {
    let second = caller(Some("device-1"), Scopes::NONE, Arc::default());
    world.connect(&second);
    second
}

async fn ask(world: &mut World, by: &Arc<Caller>, scope: &str) -> String {
    let params = DeviceScopesRequestUpgradeParams {
        scopes: vec![scope.to_owned()],
    };
    let answer = world
        .call_as::<DeviceScopesRequestUpgrade>(by, params)
        .await;
    answer.unwrap()["requestId"].as_str().unwrap().to_owned()
}

fn wait_for(request_id: &str) -> DeviceScopesWaitUpgradeParams {
    DeviceScopesWaitUpgradeParams {
        request_id: request_id.to_owned(),
    }
}

async fn wait(world: &mut World, by: &Arc<Caller>, request_id: &str) -> Result<Value, Value> {
    world
        .call_as::<DeviceScopesWaitUpgrade>(by, wait_for(request_id))
        .await
}

async fn approve(world: &mut World, request_id: &str) {
    let request_id = request_id.to_owned();
    let params = DevicePairApproveParams { request_id };
    world.call::<DevicePairApprove>(params).await.unwrap();
}

#[actix::test]
async fn a_connected_device_asks_waits_and_gets_a_token_that_works() {
    tokio::time::pause();
    let medium = memory();
    let mut world = World::start(&medium);
    let own = connected(&mut world).await;
    let other = second(&world);
    let request = ask(&mut world, &own, "operator.write").await;
    assert_eq!(ask(&mut world, &own, "operator.write").await, request);
    world
        .send_as::<DeviceScopesWaitUpgrade>(&other, wait_for(&request))
        .await;
    approve(&mut world, &request).await;
    let answer = world.reply(&other).await.unwrap();
    assert_eq!(answer["status"], "approved");
    assert_eq!(answer["scopes"], json!(["operator.write"]));
    let token = answer["deviceToken"].as_str().unwrap();
    let write = Admit {
        scopes: Scopes::of(&[Scope::Write]),
        ..by_token(remote(1), token)
    };
    assert!(world.admit(write.clone()).await.is_ok());
    // Asking late gives the same answer, and what it gave is on the disk.
    assert_eq!(
        wait(&mut world, &own, &request).await.unwrap()["status"],
        "approved"
    );
    drop(world);
    let world = World::start(&medium);
    assert!(world.admit(write).await.is_ok());
}

#[actix::test]
async fn a_request_ends_as_rejected_replaced_or_expired() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let own = connected(&mut world).await;
    let other = second(&world);
    let first = ask(&mut world, &own, "operator.write").await;
    world
        .send_as::<DeviceScopesWaitUpgrade>(&other, wait_for(&first))
        .await;
    let wider = ask(&mut world, &own, "operator.admin").await;
    assert_ne!(
        first, wider,
        "a wider request takes the place of the narrower"
    );
    let answer = world.reply(&other).await.unwrap();
    assert_eq!(
        (&answer["status"], &answer["requestId"]),
        (&json!("rejected"), &json!(first))
    );
    world
        .send_as::<DeviceScopesWaitUpgrade>(&other, wait_for(&wider))
        .await;
    let params = DevicePairRejectParams { request_id: wider };
    world.call::<DevicePairReject>(params).await.unwrap();
    assert_eq!(world.reply(&other).await.unwrap()["status"], "rejected");
    let last = ask(&mut world, &own, "operator.write").await;
    world
        .send_as::<DeviceScopesWaitUpgrade>(&other, wait_for(&last))
        .await;
    pass(Duration::from_secs(301)).await;
    assert_eq!(world.reply(&other).await.unwrap()["status"], "expired");
}

#[actix::test]
async fn what_was_approved_before_needs_nobody_and_what_was_ended_gives_nothing() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let own = connected(&mut world).await;
    let request = ask(&mut world, &own, "operator.read").await;
    let list = world.call::<DevicePairList>(EmptyParams {}).await.unwrap();
    assert_eq!(list["pending"], json!([]));
    let params = DeviceTokenRevokeParams {
        device_id: "device-1".into(),
        role: "operator".into(),
    };
    world.call::<DeviceTokenRevoke>(params).await.unwrap();
    assert_eq!(
        wait(&mut world, &own, &request).await.unwrap()["status"],
        "rejected"
    );
    let params = DeviceScopesRequestUpgradeParams {
        scopes: vec!["operator.read".into()],
    };
    let answer = world
        .call_as::<DeviceScopesRequestUpgrade>(&own, params)
        .await;
    assert!(answer.is_err());
}

#[actix::test]
async fn nobody_waits_for_the_request_of_another_device_or_without_one() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let own = connected(&mut world).await;
    let request = ask(&mut world, &own, "operator.write").await;
    world.token(local(2)).await;
    let other = caller(Some("device-2"), admin(), Arc::default());
    world.connect(&other);
    let answer = wait(&mut world, &other, &request).await.unwrap_err();
    assert_eq!(answer["message"], "unknown requestId");
    let owner = Arc::clone(&world.owner);
    let answer = wait(&mut world, &owner, &request).await.unwrap_err();
    assert_eq!(answer["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
    let params = DeviceScopesRequestUpgradeParams {
        scopes: vec!["operator.root".into()],
    };
    let answer = world
        .call_as::<DeviceScopesRequestUpgrade>(&own, params)
        .await;
    assert!(
        answer.unwrap_err()["message"]
            .as_str()
            .unwrap()
            .contains("operator.root")
    );
}

#[actix::test]
async fn those_who_wait_are_bounded_and_leave_with_their_socket() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let own = connected(&mut world).await;
    let request = ask(&mut world, &own, "operator.write").await;
    for _ in 0..crate::pairing::upgrades::MAX_WAITING {
        world
            .send_as::<DeviceScopesWaitUpgrade>(&own, wait_for(&request))
            .await;
    }
    let again = caller(Some("device-1"), Scopes::NONE, Arc::default());
    world.connect(&again);
    let answer = wait(&mut world, &again, &request).await.unwrap_err();
    assert_eq!(
        (&answer["code"], &answer["retryable"]),
        (&json!("UNAVAILABLE"), &json!(true))
    );
    world.disconnect(&own).await;
    world
        .send_as::<DeviceScopesWaitUpgrade>(&again, wait_for(&request))
        .await;
    approve(&mut world, &request).await;
    assert_eq!(world.reply(&again).await.unwrap()["status"], "approved");
}

#[test]
fn attack_22_an_approval_anew_does_not_keep_what_is_not_asked_for() {
    let mut machine = Machine::new();
    let wide = Admit {
        scopes: admin(),
        ..local(1)
    };
    let token = machine.token(&wide);
    let mut changed = Admit {
        scopes: Scopes::NONE,
        ..remote(1)
    };
    changed.client.platform = "Windows 11".into();
    changed.client.device_family = Some("PC".into());
    let details = machine.refused(&changed);
    assert_eq!(details["reason"], "metadata-upgrade");
    let by = crate::pairing::authority::Authority {
        scopes: admin(),
        device_id: None,
        generation: Generation::V4,
        name: "owner".into(),
    };
    let request = details["requestId"].as_str().unwrap();
    machine
        .state
        .approve(request, &by, machine.now)
        .answer
        .unwrap();
    assert_eq!(machine.state.devices["device-1"].scopes(), Scopes::NONE);
    let mut back = Admit {
        scopes: admin(),
        ..by_token(remote(1), &token)
    };
    back.client = changed.client.clone();
    assert!(machine.admit(&back).is_err(), "its wide token went too");
    let mut back = Admit {
        scopes: admin(),
        ..remote(1)
    };
    back.client = changed.client;
    assert_eq!(machine.refused(&back)["reason"], "scope-upgrade");
}

/// A connect of a program that gets a new key each time, and a name that stays.
fn named(n: u8) -> Admit {
    let mut ask = local(n);
    ask.client.display_name = Some("openclaw on pi".into());
    ask
}

#[actix::test]
async fn an_older_self_that_comes_in_while_it_is_forgotten_is_closed() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let judged = world.views.trust_ends.now();
    let ends = world.views.trust_ends.clone();
    let ended = |device| ends.ended_since(judged, device, Role::Operator);
    world.token(named(1)).await;
    let live = caller(Some("device-1"), read(), Arc::default());
    world.connect(&live);
    pass(Duration::from_secs(61)).await;
    world.token(named(2)).await;
    quiet().await;
    assert_eq!(world.paired().await, ["device-1", "device-2"]);
    // It came in after the Gateway had said who is there.
    let of = "device-2".to_owned();
    let connected = BTreeSet::new();
    world.pairing.send(Prune { of, connected }).await.unwrap();
    quiet().await;
    assert_eq!(world.paired().await, ["device-2"]);
    assert!(
        ended("device-1") && !ended("device-2"),
        "who is let in just now finds it out"
    );
    let close = |item: &HubItem| matches!(item, HubItem::Close { code: 4001, .. });
    assert!(world.next(&live, close).await.is_some());
}

#[actix::test]
async fn older_selves_that_nobody_approved_or_uses_are_forgotten() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    world.token(named(1)).await;
    world.token(named(2)).await;
    world.token(local(3)).await;
    // An owner decided about this one once.
    let mut approved = remote(4);
    approved.client.display_name = Some("openclaw on pi".into());
    let error = world.admit(approved.clone()).await.unwrap_err();
    let request = error.details.unwrap()["requestId"]
        .as_str()
        .unwrap()
        .to_owned();
    approve(&mut world, &request).await;
    // This one is connected.
    let live = caller(Some("device-2"), read(), Arc::default());
    world.connect(&live);
    pass(Duration::from_secs(30)).await;
    world.token(named(5)).await;
    assert_eq!(
        world.paired().await.len(),
        5,
        "nobody was away for a minute"
    );
    pass(Duration::from_secs(61)).await;
    world.token(named(6)).await;
    assert_eq!(
        world.paired().await,
        ["device-2", "device-3", "device-4", "device-6"]
    );
}
