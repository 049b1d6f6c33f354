//! One-time setup codes (attacks 16 and 17), as decisions and through the actor.

use std::collections::BTreeMap;

use openclaw_protocol::methods::device::{DevicePairRemove, DevicePairRemoveParams};
use openclaw_protocol::methods::device_setup::{
    DevicePairSetupCode, DevicePairSetupCodeParams, DevicePairSetupStatus,
    DevicePairSetupStatusParams, SetupProfile,
};
use openclaw_protocol::setup_code::SetupCode;
use serde_json::json;

use super::actor::{World, memory};
use super::*;
use crate::pairing::authority::Authority;
use crate::pairing::setup::{MAX_SETUPS, NewSetup, scopes};
use crate::session::handshake::GateOne;

/// A phone that holds a code: remote, as a node.
pub(super) fn phone(n: u8, token: &str) -> Admit {
    let mut ask = Admit {
        role: Role::Node,
        scopes: Scopes::NONE,
        gate: GateOne::Bootstrap {
            token: token.to_owned(),
            otherwise: Err(Box::new(ErrorShape::invalid("no such code"))),
        },
        ..remote(n)
    };
    ask.client.id = ClientId::Ios;
    ask.client.platform = "iOS 18.4".into();
    ask.client.device_family = Some("iPhone".into());
    ask
}

fn by() -> Authority {
    Authority {
        scopes: admin(),
        device_id: None,
        generation: Generation::V4,
        name: "owner".into(),
    }
}

impl Machine {
    fn setup(&mut self, profile: SetupProfile) -> NewSetup {
        let (now, entropy) = (self.now, self.entropy.clone());
        self.state.make_setup(profile, &by(), now, &*entropy).answer
    }

    fn completed(&mut self, setup: &NewSetup) -> bool {
        let status = self.state.setup_status(&setup.id, self.now).unwrap();
        status.completion.is_some()
    }
}

#[test]
fn attack_16_a_code_pairs_one_device_once() {
    let mut machine = Machine::new();
    let code = machine.setup(SetupProfile::Limited);
    let first = machine.admit(&phone(1, &code.token)).unwrap();
    assert_eq!(first.method, "bootstrap-token");
    assert_eq!(first.scopes, Scopes::NONE);
    let [operator] = &first.further[..] else {
        panic!("{:?}", first.further);
    };
    assert_eq!(operator.role, Role::Operator);
    assert_eq!(
        operator.scopes,
        scopes(SetupProfile::Limited, Role::Operator)
    );
    assert!(!operator.scopes.grants(Scope::Admin) && !operator.scopes.grants(Scope::Pairing));
    // Another device never, whether the first one was told or not.
    let refusal = machine.admit(&phone(2, &code.token)).unwrap_err();
    assert_eq!(refusal.message, "no such code");
    // The same device may try again until it was told, and then never again.
    machine.admit(&phone(1, &code.token)).unwrap();
    assert!(!machine.completed(&code));
    machine.state.complete_setup(&code.id, machine.now);
    assert!(machine.completed(&code));
    machine.admit(&phone(1, &code.token)).unwrap_err();
    // What it gave is good.
    let device = &machine.state.devices["device-1"];
    assert_eq!(
        device.to_wire("device-1").approved_via.as_deref(),
        Some("bootstrap")
    );
    let operator = Admit {
        scopes: read(),
        ..by_token(remote(1), &operator.token.token)
    };
    let mut operator = operator;
    operator.client = phone(1, "").client;
    machine.admit(&operator).unwrap();
}

#[test]
fn attack_17_a_code_holds_no_secret_that_outlives_it() {
    let mut machine = Machine::new();
    let code = machine.setup(SetupProfile::Limited);
    let admission = machine.admit(&phone(1, &code.token)).unwrap();
    assert_ne!(admission.token.unwrap().token, code.token);
    let kept = format!("{:?}", machine.state);
    assert!(!kept.contains(&code.token), "only its hash is kept");
    machine.wait(601);
    let late = machine.setup(SetupProfile::Limited);
    machine.admit(&phone(1, &code.token)).unwrap_err();
    machine.wait(599);
    machine.admit(&phone(2, &late.token)).unwrap();
    machine.wait(2);
    machine.admit(&phone(2, &late.token)).unwrap_err();
}

#[test]
fn a_code_gives_what_its_profile_says_and_no_more() {
    let mut machine = Machine::new();
    let limited = machine.setup(SetupProfile::Limited);
    let wide = Admit {
        role: Role::Operator,
        scopes: admin(),
        ..phone(1, &limited.token)
    };
    machine.admit(&wide).unwrap_err();
    let fair = Admit {
        scopes: read(),
        ..wide
    };
    let admission = machine.admit(&fair).unwrap();
    assert_eq!((admission.scopes, admission.further.len()), (read(), 1));
    let node = machine.setup(SetupProfile::Node);
    let operator = Admit {
        role: Role::Operator,
        ..phone(2, &node.token)
    };
    machine.admit(&operator).unwrap_err();
    let admission = machine.admit(&phone(2, &node.token)).unwrap();
    assert!(admission.further.is_empty());
    assert_eq!(machine.state.devices["device-2"].role_names(), ["node"]);
}

#[test]
fn another_kind_of_client_waits_for_an_owner_besides_and_keeps_the_code() {
    let mut machine = Machine::new();
    let code = machine.setup(SetupProfile::Limited);
    let mut desktop = phone(1, &code.token);
    desktop.client = remote(1).client;
    let details = machine.refused(&desktop);
    assert_eq!(details["code"], "PAIRING_REQUIRED");
    assert_eq!(details["recommendedNextStep"], "wait_then_retry");
    assert_eq!(details["pauseReconnect"], false);
    machine.admit(&phone(2, &code.token)).unwrap_err();
    let request = details["requestId"].as_str().unwrap();
    machine
        .state
        .approve(request, &by(), machine.now)
        .answer
        .unwrap();
    assert_eq!(machine.admit(&desktop).unwrap().method, "bootstrap-token");
}

#[test]
fn a_wrong_code_leaves_the_other_ways_in_open() {
    let mut machine = Machine::new();
    let with_secret = Admit {
        gate: GateOne::Bootstrap {
            token: "wrong".into(),
            otherwise: Ok(Box::new(GateOne::Shared("token"))),
        },
        ..local(1)
    };
    assert_eq!(machine.admit(&with_secret).unwrap().method, "token");
}

#[test]
fn removing_the_device_ends_its_code() {
    let mut machine = Machine::new();
    let code = machine.setup(SetupProfile::Limited);
    machine.admit(&phone(1, &code.token)).unwrap();
    machine
        .state
        .remove("device-1", &by(), machine.now)
        .answer
        .unwrap();
    machine.admit(&phone(1, &code.token)).unwrap_err();
}

#[test]
fn codes_are_bounded_and_finished_ones_go_first() {
    let mut machine = Machine::new();
    let codes: Vec<NewSetup> = (0..MAX_SETUPS)
        .map(|_| {
            machine.wait(1);
            machine.setup(SetupProfile::Node)
        })
        .collect();
    machine.admit(&phone(1, &codes[5].token)).unwrap();
    machine.state.complete_setup(&codes[5].id, machine.now);
    machine.setup(SetupProfile::Node);
    assert!(!machine.state.setups.contains_key(&codes[5].id));
    machine.setup(SetupProfile::Node);
    assert!(!machine.state.setups.contains_key(&codes[0].id));
    assert_eq!(machine.state.setups.len(), MAX_SETUPS);
    machine.admit(&phone(2, &codes[1].token)).unwrap();
}

#[test]
fn what_was_made_is_on_the_disk_before_the_code_leaves() {
    let mut machine = Machine::new();
    let (now, entropy) = (machine.now, machine.entropy.clone());
    let step = machine
        .state
        .make_setup(SetupProfile::Node, &by(), now, &*entropy);
    assert_eq!(step.effects.ops.len(), 1);
    assert!(!format!("{:?}", step.effects.ops).contains(&step.answer.token));
    let setups: BTreeMap<_, _> = machine.state.setups.clone();
    machine.state = PairingState::load(BTreeMap::new(), BTreeMap::new(), setups, now);
    machine.admit(&phone(1, &step.answer.token)).unwrap();
}

async fn new_code(world: &mut World) -> (String, SetupCode) {
    let params = DevicePairSetupCodeParams {
        public_url: Some("wss://gateway.example".into()),
        include_qr: Some(true),
        join_url: Some(true),
        ..DevicePairSetupCodeParams::default()
    };
    let made = world.call::<DevicePairSetupCode>(params).await.unwrap();
    assert_eq!(made["gatewayUrl"], "wss://gateway.example");
    assert_eq!(
        (&made["auth"], &made["access"]),
        (&json!("token"), &json!("limited"))
    );
    assert!(
        made["qrDataUrl"]
            .as_str()
            .unwrap()
            .starts_with("data:image/png;base64,")
    );
    let code = made["setupCode"].as_str().unwrap();
    assert_eq!(made["joinUrl"], format!("oc-pair://{code}"));
    let id = made["setupId"].as_str().unwrap().to_owned();
    (id, SetupCode::parse(code).unwrap())
}

#[actix::test]
async fn attack_16_of_two_devices_that_race_one_wins_and_a_restart_changes_nothing() {
    tokio::time::pause();
    let medium = memory();
    let mut world = World::start(&medium);
    let (id, code) = new_code(&mut world).await;
    let token = &code.bootstrap_token;
    drop(world);
    let mut world = World::start(&medium);
    let (one, two) = (phone(1, token), phone(2, token));
    let (one, two) = tokio::join!(world.admit(one), world.admit(two));
    assert!(one.is_ok() && two.is_err());
    let status = DevicePairSetupStatusParams { setup_id: id };
    let before = world
        .call::<DevicePairSetupStatus>(status.clone())
        .await
        .unwrap();
    assert_eq!(before["deliveryUncertain"]["deviceId"], "device-1");
    // The connection of the winner takes everything: the code is over.
    let admission = one.unwrap();
    let link = crate::session::link::Link::new(None, 1_000_000, std::time::Duration::ZERO);
    admission.setup.unwrap().once_delivered(&link);
    world.event("device.pair.setup.completed").await;
    let after = world
        .call::<DevicePairSetupStatus>(status.clone())
        .await
        .unwrap();
    assert_eq!(after["completion"]["deviceId"], "device-1");
    drop(world);
    let mut world = World::start(&medium);
    assert!(world.admit(phone(1, token)).await.is_err());
    let kept = world
        .call::<DevicePairSetupStatus>(status.clone())
        .await
        .unwrap();
    assert_eq!(kept, after);
    let remove = DevicePairRemoveParams {
        device_id: "device-1".into(),
    };
    world.call::<DevicePairRemove>(remove).await.unwrap();
    let gone = world
        .call::<DevicePairSetupStatus>(status)
        .await
        .unwrap_err();
    assert_eq!(gone["details"]["code"], "UNKNOWN_SETUP_ID");
}

#[actix::test]
async fn a_device_whose_connection_ended_before_it_was_told_may_try_again() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let (id, code) = new_code(&mut world).await;
    let admission = world.admit(phone(1, &code.bootstrap_token)).await.unwrap();
    drop(admission);
    // Owners are told, in the words that they find in its status too.
    world.event("device.pair.setup.deliveryUncertain").await;
    let status = DevicePairSetupStatusParams { setup_id: id };
    let status = world.call::<DevicePairSetupStatus>(status).await.unwrap();
    assert!(status.get("completion").is_none());
    assert_eq!(status["deliveryUncertain"]["deviceId"], "device-1");
    let again = world.admit(phone(1, &code.bootstrap_token)).await.unwrap();
    let link = crate::session::link::Link::new(None, 1_000_000, std::time::Duration::ZERO);
    again.setup.unwrap().once_delivered(&link);
    world.event("device.pair.setup.completed").await;
}

#[actix::test]
async fn a_gateway_that_nobody_else_reaches_makes_no_code() {
    tokio::time::pause();
    let mut world = World::start(&memory());
    let params = DevicePairSetupCodeParams::default();
    let error = world.call::<DevicePairSetupCode>(params).await.unwrap_err();
    assert_eq!(error["code"], "INVALID_REQUEST");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("gateway.publicOrigin")
    );
}
