//! What nodes may offer: declarations, approvals, and who decides.

use std::collections::BTreeSet;

use openclaw_protocol::methods::device::DeviceTokenRevokeParams;
use openclaw_protocol::methods::node::{
    NodePairApproveParams, NodePairApproveResult, NodePairRequest, NodeRenameParams,
};
use proptest::prelude::*;

use super::*;
use crate::node::NodeTrust;
use crate::node::policy::CommandPolicy;
use crate::pairing::Authority;
use crate::pairing::effects::{Effects, PairEvent};
use crate::pairing::node_decisions::Claim;
use crate::pairing::state::PairingState;

/// A connect of node `n` from this machine that declares these commands.
pub(super) fn node(n: u8, commands: &[&str]) -> Admit {
    let commands: Vec<String> = commands.iter().map(|name| (*name).to_owned()).collect();
    Admit {
        role: Role::Node,
        scopes: Scopes::NONE,
        claims: Surface::declared(&[], &commands, None),
        ..local(n)
    }
}

fn by(scopes: &[Scope], device: Option<&str>) -> Authority {
    Authority {
        scopes: Scopes::of(scopes),
        device_id: device.map(str::to_owned),
        generation: Generation::V4,
        name: "owner".into(),
    }
}

fn owner() -> Authority {
    by(&[Scope::Admin], None)
}

fn free() -> CommandPolicy {
    CommandPolicy::default()
}

impl Machine {
    /// Lets a node in and takes note of what it declares.
    fn declare(&mut self, ask: &Admit, policy: &CommandPolicy) -> Effects {
        let mut effects = self.step(ask).effects;
        self.state
            .declare(ask, policy, self.now, &*self.entropy, &mut effects);
        effects
    }

    /// The one request that waits.
    fn waiting(&self) -> Option<NodePairRequest> {
        let list = self.state.list_nodes(&owner(), &free());
        assert!(list.pending.len() < 2, "{list:?}");
        list.pending.into_iter().next()
    }

    fn decide(
        &mut self,
        request_id: &str,
        commands: Option<&[&str]>,
        by: &Authority,
        policy: &CommandPolicy,
    ) -> crate::pairing::Step<Result<NodePairApproveResult, ErrorShape>> {
        let named = |commands: &[&str]| commands.iter().map(|name| (*name).to_owned()).collect();
        let params = NodePairApproveParams {
            request_id: request_id.to_owned(),
            commands: commands.map(named),
        };
        self.state
            .approve_node(&params, by, policy, self.now, &*self.entropy)
    }

    fn approve_node(&mut self, by: &Authority) -> Result<Vec<String>, ErrorShape> {
        let request = self.waiting().expect("a request waits").request_id;
        let step = self.decide(&request, None, by, &free());
        step.answer.map(|done| done.node.commands)
    }

    fn approved(&self, id: &str) -> Option<BTreeSet<String>> {
        let trust = self.state.node_trust();
        let trust = trust.get(id)?;
        trust.approved().map(|surface| surface.commands.clone())
    }
}

fn told(effects: &Effects) -> Vec<String> {
    let said = |event: &PairEvent| match event {
        PairEvent::NodeRequested(request) => Some(format!("requested {:?}", request.commands)),
        PairEvent::NodeResolved(resolved) => Some(format!("{:?}", resolved.decision)),
        PairEvent::Requested(_)
        | PairEvent::Resolved(_)
        | PairEvent::SetupCompleted(_)
        | PairEvent::SetupUncertain(_) => None,
    };
    effects.events.iter().filter_map(said).collect()
}

#[test]
fn a_device_that_is_paired_without_asking_has_no_command_without_asking() {
    let mut machine = Machine::new();
    let effects = machine.declare(&node(1, &["canvas.hide"]), &free());
    assert_eq!(told(&effects), [r#"requested ["canvas.hide"]"#]);
    assert_eq!(machine.approved("device-1"), None);
    let waiting = machine.waiting().unwrap();
    assert_eq!(
        waiting.required_approve_scopes,
        Some(vec!["operator.pairing".into(), "operator.write".into()])
    );
    assert_eq!(machine.approve_node(&owner()).unwrap(), ["canvas.hide"]);
    assert_eq!(
        machine.approved("device-1"),
        Some(BTreeSet::from(["canvas.hide".into()]))
    );
    // The same declaration asks nothing more.
    let effects = machine.declare(&node(1, &["canvas.hide"]), &free());
    assert_eq!(told(&effects), Vec::<String>::new());
    assert!(machine.waiting().is_none());
}

#[test]
fn another_configuration_changes_what_a_connected_node_waits_for() {
    let mut machine = Machine::new();
    let denied = CommandPolicy::new([], ["camera.*"]);
    let ask = node(1, &["canvas.hide", "camera.snap"]);
    let effects = machine.declare(&ask, &denied);
    assert_eq!(told(&effects), [r#"requested ["canvas.hide"]"#]);
    let mut again = |policy: &CommandPolicy| {
        let mut effects = Effects::about("device-1");
        let claim = Claim {
            id: "device-1",
            surface: &ask.claims,
            client: &ask.client,
        };
        let (now, entropy) = (machine.now, machine.entropy.clone());
        machine
            .state
            .claim(&claim, policy, now, &*entropy, &mut effects);
        told(&effects)
    };
    assert_eq!(
        again(&free()),
        ["Rejected", r#"requested ["camera.snap", "canvas.hide"]"#]
    );
    assert_eq!(again(&free()), Vec::<String>::new());
    assert_eq!(
        again(&CommandPolicy::new([], ["*"])),
        ["Rejected"],
        "nothing of it may be asked for"
    );
}

#[test]
fn a_decision_about_a_device_that_is_one_about_a_node_says_where_it_is_made() {
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide"]), &free());
    let request = machine.waiting().unwrap().request_id;
    let error = machine
        .state
        .approve(&request, &owner(), machine.now)
        .answer
        .unwrap_err();
    let hint = error.details.unwrap()["remediationHint"].to_string();
    let command = format!("openclaw nodes approve {request}");
    assert!(hint.contains(&command), "{hint}");
}

#[test]
fn a_node_that_offers_nothing_waits_for_nothing() {
    let mut machine = Machine::new();
    let effects = machine.declare(&node(1, &[]), &free());
    assert_eq!(told(&effects), Vec::<String>::new());
    assert!(machine.waiting().is_none());
}

#[test]
fn a_request_outlives_the_five_minutes_of_a_device_and_keeps_its_id() {
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide"]), &free());
    let first = machine.waiting().unwrap();
    machine.wait(3_600);
    machine.state.flush(machine.now);
    let again = machine.declare(&node(1, &["canvas.hide"]), &free());
    assert_eq!(told(&again), Vec::<String>::new());
    assert_eq!(machine.waiting().unwrap().request_id, first.request_id);
}

#[test]
fn another_declaration_supersedes_the_request_and_the_old_id_is_good_for_nothing() {
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide"]), &free());
    let first = machine.waiting().unwrap().request_id;
    let effects = machine.declare(&node(1, &["canvas.hide", "camera.snap"]), &free());
    assert_eq!(
        told(&effects),
        ["Rejected", r#"requested ["camera.snap", "canvas.hide"]"#]
    );
    let step = machine.decide(&first, None, &owner(), &free());
    assert_eq!(step.answer.unwrap_err().message, "unknown requestId");
    assert_eq!(machine.approved("device-1"), None);
}

#[test]
fn what_was_approved_stays_in_effect_while_more_waits() {
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide"]), &free());
    machine.approve_node(&owner()).unwrap();
    machine.declare(&node(1, &["canvas.hide", "system.run"]), &free());
    assert_eq!(
        machine.approved("device-1"),
        Some(BTreeSet::from(["canvas.hide".into()]))
    );
    let waiting = machine.waiting().unwrap();
    assert_eq!(waiting.commands, ["canvas.hide", "system.run"]);
    // Turned down: what was approved is in effect all the same, and it may ask again.
    let step = machine
        .state
        .reject_node(&waiting.request_id, &owner(), machine.now);
    assert_eq!(step.answer.unwrap().node_id, "device-1");
    assert!(machine.waiting().is_none());
    assert!(machine.approved("device-1").is_some());
    machine.declare(&node(1, &["canvas.hide", "system.run"]), &free());
    assert!(machine.waiting().is_some());
    // It declares it no more: the question is over.
    let effects = machine.declare(&node(1, &["canvas.hide"]), &free());
    assert_eq!(told(&effects), ["Rejected"]);
    assert!(machine.waiting().is_none());
}

#[test]
fn attack_20_an_approval_takes_the_pairing_scope_and_for_programs_an_admin() {
    use Scope::{Admin, Pairing, Write};
    for (command, scopes, expected) in [
        (
            "canvas.hide",
            &[Pairing][..],
            Err("missing scope: operator.write"),
        ),
        ("canvas.hide", &[Pairing, Write], Ok(())),
        (
            "camera.snap",
            &[Write],
            Err("missing scope: operator.pairing"),
        ),
        ("camera.snap", &[Pairing, Write], Ok(())),
        (
            "system.run",
            &[Pairing, Write],
            Err("missing scope: operator.admin"),
        ),
        (
            "garage.open",
            &[Pairing, Write],
            Err("missing scope: operator.admin"),
        ),
        ("system.run", &[Admin], Ok(())),
    ] {
        let mut machine = Machine::new();
        machine.declare(&node(1, &[command]), &free());
        let answer = machine.approve_node(&by(scopes, None)).map(|_| ());
        assert_eq!(
            answer.as_ref().map_err(|error| &*error.message),
            expected.as_ref().map_err(|message| *message),
            "{command} {scopes:?}"
        );
        assert_eq!(machine.approved("device-1").is_some(), expected.is_ok());
        assert_eq!(machine.waiting().is_none(), expected.is_ok());
    }
}

#[test]
fn attack_23_a_paired_device_sees_and_decides_about_itself_only() {
    use Scope::{Pairing, Write};
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide"]), &free());
    let request = machine.waiting().unwrap().request_id;
    let other = by(&[Pairing, Write], Some("device-2"));
    let list = machine.state.list_nodes(&other, &free());
    assert!(list.pending.is_empty() && list.paired.is_empty());
    let denied = "node pairing decision denied";
    let approve = machine.decide(&request, None, &other, &free()).answer;
    let (state, now) = (&mut machine.state, machine.now);
    assert_eq!(approve.unwrap_err().message, denied);
    let reject = state.reject_node(&request, &other, now).answer;
    assert_eq!(reject.unwrap_err().message, denied);
    let remove = state.remove_node("device-1", &other, now).answer;
    assert_eq!(remove.unwrap_err().message, denied);
    let rename = NodeRenameParams {
        node_id: "device-1".into(),
        display_name: "mine".into(),
    };
    let rename = state.rename_node(&rename, &other).answer;
    assert_eq!(rename.unwrap_err().message, denied);
    let own = by(&[Pairing, Write], Some("device-1"));
    assert!(machine.decide(&request, None, &own, &free()).answer.is_ok());
}

#[test]
fn what_the_configuration_denies_is_neither_asked_nor_approved() {
    let mut machine = Machine::new();
    let policy = CommandPolicy::new([], ["camera.*"]);
    machine.declare(&node(1, &["canvas.hide", "camera.snap"]), &policy);
    assert_eq!(machine.waiting().unwrap().commands, ["canvas.hide"]);
    // Denied after it was asked for: the approval leaves it out for good.
    machine.declare(&node(1, &["canvas.hide", "system.notify"]), &policy);
    let later = CommandPolicy::new([], ["system.notify"]);
    let request = machine.waiting().unwrap().request_id;
    let step = machine.decide(&request, None, &owner(), &later);
    assert_eq!(step.answer.unwrap().node.commands, ["canvas.hide"]);
    assert_eq!(
        machine.approved("device-1"),
        Some(BTreeSet::from(["canvas.hide".into()]))
    );
    // Denied no more: it is asked for.
    machine.declare(&node(1, &["canvas.hide", "system.notify"]), &free());
    assert!(machine.waiting().is_some());
}

#[test]
fn an_owner_may_approve_some_commands_and_the_others_go_on_waiting() {
    use Scope::{Pairing, Write};
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide", "system.run"]), &free());
    let request = machine.waiting().unwrap().request_id;
    let other = machine.decide(&request, Some(&["sms.send"]), &owner(), &free());
    let message = other.answer.unwrap_err().message;
    assert_eq!(message, "the node does not offer this command: sms.send");
    // The scopes are those of the choice.
    let writer = by(&[Pairing, Write], None);
    assert!(machine.approve_node(&writer).is_err());
    let step = machine.decide(&request, Some(&["canvas.hide"]), &writer, &free());
    assert_eq!(
        told(&step.effects),
        ["Approved", r#"requested ["canvas.hide", "system.run"]"#]
    );
    assert_eq!(step.answer.unwrap().node.commands, ["canvas.hide"]);
    assert_eq!(
        machine.approved("device-1"),
        Some(BTreeSet::from(["canvas.hide".into()]))
    );
    let rest = machine.waiting().unwrap();
    assert_ne!(rest.request_id, request);
    // The same node comes again: nobody is told twice.
    let again = machine.declare(&node(1, &["canvas.hide", "system.run"]), &free());
    assert_eq!(told(&again), Vec::<String>::new());
    assert_eq!(machine.waiting().unwrap().request_id, rest.request_id);
    // Nothing at all is a choice too.
    let step = machine.decide(&rest.request_id, Some(&[]), &owner(), &free());
    assert!(step.answer.unwrap().node.commands.is_empty());
}

#[test]
fn a_node_that_is_removed_keeps_nothing() {
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide"]), &free());
    machine.approve_node(&owner()).unwrap();
    machine.declare(&node(1, &["canvas.hide", "system.run"]), &free());
    let step = machine.state.remove_node("device-1", &owner(), machine.now);
    assert_eq!(told(&step.effects), ["Rejected", "Removed"]);
    assert!(machine.state.node_trust().is_empty());
    // It had no other role: the device is unknown, and begins anew.
    let unknown = machine.state.remove_node("device-1", &owner(), machine.now);
    assert_eq!(unknown.answer.unwrap_err().message, "unknown nodeId");
    machine.declare(&node(1, &["canvas.hide"]), &free());
    assert_eq!(machine.approved("device-1"), None);
}

#[test]
fn a_device_with_another_role_stays_paired_when_its_node_is_removed() {
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide"]), &free());
    machine.admit(&local(1)).unwrap();
    let step = machine.state.remove_node("device-1", &owner(), machine.now);
    assert!(step.answer.is_ok());
    let paired = machine.state.list(&owner(), machine.now).paired;
    assert_eq!(paired[0].roles, ["operator"]);
}

#[test]
fn an_approval_ends_with_the_role_that_it_was_given_to() {
    let mut machine = Machine::new();
    machine.declare(&node(1, &["canvas.hide"]), &free());
    machine.approve_node(&owner()).unwrap();
    let params = DeviceTokenRevokeParams {
        device_id: "device-1".into(),
        role: "node".into(),
    };
    let step = machine.state.revoke(&params, &owner(), machine.now);
    assert!(step.answer.is_ok() && step.effects.nodes);
    assert!(machine.state.node_trust().is_empty());
    // Back by an owner's approval of the device; of its commands nobody was asked yet.
    let request = machine.refused(&node(1, &["canvas.hide"]))["requestId"]
        .as_str()
        .unwrap()
        .to_owned();
    let approved = machine.state.approve(&request, &owner(), machine.now);
    assert!(approved.answer.is_ok());
    machine.declare(&node(1, &["canvas.hide"]), &free());
    assert_eq!(machine.approved("device-1"), None);
    assert!(machine.waiting().is_some());
}

#[test]
fn revisions_count_approvals_and_rows_come_back_from_the_disk() {
    let mut machine = Machine::new();
    for (commands, revision) in [(&["canvas.hide"][..], 1), (&["canvas.eval"], 2)] {
        machine.declare(&node(1, commands), &free());
        machine.approve_node(&owner()).unwrap();
        let trust = machine.state.node_trust();
        let approved = trust["device-1"].record.approved.clone().unwrap();
        assert_eq!(approved.revision, revision);
    }
    machine.declare(&node(1, &["canvas.eval", "camera.snap"]), &free());
    let row = serde_json::to_value(&machine.state.devices["device-1"]).unwrap();
    let read = serde_json::from_value(row).unwrap();
    let loaded = PairingState::load(
        [("device-1".to_owned(), read)].into(),
        std::collections::BTreeMap::new(),
        std::collections::BTreeMap::new(),
        machine.now,
    );
    let record = |state: &PairingState| state.node_trust()["device-1"].record.clone();
    assert_eq!(record(&loaded), record(&machine.state));
    assert!(NodeTrust::of(&loaded.devices["device-1"]).is_some());
}

#[derive(Debug, Clone)]
enum Do {
    Declare(BTreeSet<usize>),
    Approve,
    Reject,
    Remove,
    Revoke,
}

const COMMANDS: [&str; 4] = ["canvas.hide", "camera.snap", "system.run", "garage.open"];

fn deeds() -> impl Strategy<Value = Vec<Do>> {
    let deed = prop_oneof![
        4 => prop::collection::btree_set(0..COMMANDS.len(), 0..4).prop_map(Do::Declare),
        3 => Just(Do::Approve),
        1 => Just(Do::Reject),
        1 => Just(Do::Remove),
        1 => Just(Do::Revoke),
    ];
    prop::collection::vec(deed, 1..24)
}

proptest! {
    #[test]
    fn only_an_approval_widens_what_may_be_in_effect(deeds in deeds()) {
        let mut machine = Machine::new();
        let mut approved: BTreeSet<String> = BTreeSet::new();
        let mut asked: BTreeSet<String> = BTreeSet::new();
        let mut waits = false;
        for deed in deeds {
            machine.wait(1);
            match deed {
                Do::Declare(which) => {
                    let names: Vec<&str> = which.iter().map(|at| COMMANDS[*at]).collect();
                    let ask = node(1, &names);
                    if machine.step(&ask).answer.is_err() {
                        // Revoked: it is not let in, and declares nothing.
                        continue;
                    }
                    machine.declare(&ask, &free());
                    asked = names.iter().map(|name| (*name).to_owned()).collect();
                    waits = !asked.is_subset(&approved);
                }
                Do::Approve if waits => {
                    machine.approve_node(&owner()).unwrap();
                    approved = asked.clone();
                    waits = false;
                }
                Do::Reject if waits => {
                    let request = machine.waiting().unwrap().request_id;
                    machine.state.reject_node(&request, &owner(), machine.now);
                    waits = false;
                }
                Do::Remove => {
                    if machine.state.remove_node("device-1", &owner(), machine.now).answer.is_ok() {
                        approved.clear();
                        waits = false;
                    }
                }
                Do::Revoke => {
                    let params = DeviceTokenRevokeParams {
                        device_id: "device-1".into(),
                        role: "node".into(),
                    };
                    if machine.state.revoke(&params, &owner(), machine.now).answer.is_ok() {
                        approved.clear();
                        waits = false;
                    }
                }
                Do::Approve | Do::Reject => {}
            }
            prop_assert_eq!(machine.approved("device-1").unwrap_or_default(), approved.clone());
            prop_assert_eq!(machine.waiting().is_some(), waits);
        }
    }
}
