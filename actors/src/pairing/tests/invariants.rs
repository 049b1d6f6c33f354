//! What must hold after any sequence of connects, decisions and crashes.

use std::collections::BTreeMap;

use openclaw_protocol::methods::device::{DeviceTokenRevokeParams, DeviceTokenRotateParams};
use openclaw_protocol::{Role, Scope, Scopes};
use proptest::prelude::*;

use super::disk::Disk;
use super::*;
use crate::pairing::authority::Authority;
use crate::pairing::effects::Effects;
use crate::pairing::records::{Device, Pending};
use crate::pairing::state::MAX_PENDING;
use crate::pairing::tokens::MAX_TOKENS;
use crate::store::Table;

#[derive(Debug, Clone, Copy)]
enum Act {
    Connect {
        device: u8,
        node: bool,
        scopes: u8,
        silent: bool,
        v3: bool,
    },
    Present {
        token: prop::sample::Index,
        device: u8,
        node: bool,
        scopes: u8,
    },
    Approve {
        which: prop::sample::Index,
        scopes: u8,
    },
    Reject {
        which: prop::sample::Index,
    },
    Rotate {
        device: u8,
        node: bool,
    },
    Revoke {
        device: u8,
        node: bool,
    },
    Remove {
        device: u8,
    },
    Wait {
        seconds: u64,
    },
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    let (device, scopes) = (0..3u8, 0..8u8);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (device.clone(), any::<bool>(), scopes.clone(), any::<bool>(), any::<bool>()).prop_map(
            |(device, node, scopes, silent, v3)| Act::Connect { device, node, scopes, silent, v3 }),
        6 => (index(), device.clone(), any::<bool>(), scopes.clone()).prop_map(
            |(token, device, node, scopes)| Act::Present { token, device, node, scopes }),
        4 => (index(), scopes).prop_map(|(which, scopes)| Act::Approve { which, scopes }),
        1 => index().prop_map(|which| Act::Reject { which }),
        1 => (device.clone(), any::<bool>()).prop_map(|(device, node)| Act::Rotate { device, node }),
        1 => (device.clone(), any::<bool>()).prop_map(|(device, node)| Act::Revoke { device, node }),
        1 => device.prop_map(|device| Act::Remove { device }),
        2 => (0..400u64).prop_map(|seconds| Act::Wait { seconds }),
        1 => Just(Act::Crash),
    ]
}

const fn role(node: bool) -> Role {
    if node { Role::Node } else { Role::Operator }
}

fn scopes(node: bool, bits: u8) -> Scopes {
    let all = [Scope::Admin, Scope::Read, Scope::Approvals];
    let asked = all
        .iter()
        .enumerate()
        .filter(|(bit, _)| bits & (1 << bit) != 0);
    if node {
        Scopes::NONE
    } else {
        asked.fold(Scopes::NONE, |set, (_, scope)| set.with(*scope))
    }
}

fn ask(device: u8, node: bool, bits: u8, silent: bool) -> Admit {
    Admit {
        role: role(node),
        scopes: scopes(node, bits),
        ..if silent {
            local(device)
        } else {
            remote(device)
        }
    }
}

struct Issued {
    token: String,
    device: String,
    role: Role,
    scopes: Scopes,
    ended: bool,
}

/// The machine, the disk below it, and what an observer knows that somebody approved.
struct Model {
    machine: Machine,
    disk: Disk,
    approved: BTreeMap<(String, Role), Scopes>,
    issued: Vec<Issued>,
}

impl Model {
    fn done(&mut self, effects: Effects) {
        self.disk.commit(effects.ops);
    }

    fn approve(&mut self, device: &str, role: Role, scopes: Scopes) {
        let entry = self.approved.entry((device.to_owned(), role)).or_default();
        *entry = entry.union(scopes);
    }

    fn end(&mut self, device: &str, role: Option<Role>, trust: bool) {
        let hit = |of: &str, its: Role| of == device && role.is_none_or(|role| role == its);
        for issued in &mut self.issued {
            issued.ended |= hit(&issued.device, issued.role);
        }
        if trust {
            self.approved.retain(|(of, its), _| !hit(of, *its));
        }
    }

    fn connect(&mut self, ask: &Admit) {
        let step = self.machine.step(ask);
        self.done(step.effects);
        let Ok(admission) = step.answer else { return };
        let id = ask.device.id.clone();
        let key = (id.clone(), ask.role);
        let held = self.approved.get(&key).copied();
        if !held.is_some_and(|held| held.covers(ask.scopes)) {
            assert!(ask.silent, "let in without an approval: {ask:?}");
            self.approve(&id, ask.role, ask.scopes);
        }
        assert_eq!(admission.scopes, ask.scopes);
        let token = admission
            .token
            .expect("by the secret there is always a token")
            .token;
        if !self.issued.iter().any(|issued| issued.token == token) {
            self.issued.push(Issued {
                token,
                device: id,
                role: ask.role,
                scopes: ask.scopes,
                ended: false,
            });
        }
    }

    fn present(&mut self, token: prop::sample::Index, ask: &Admit) {
        if self.issued.is_empty() {
            return;
        }
        let issued = &self.issued[token.index(self.issued.len())];
        let step = self.machine.step(&by_token(ask.clone(), &issued.token));
        if step.answer.is_ok() {
            assert!(!issued.ended, "an ended token was accepted");
            assert_eq!((&issued.device, issued.role), (&ask.device.id, ask.role));
            assert!(issued.scopes.covers(ask.scopes));
        }
        self.done(step.effects);
    }

    fn act(&mut self, act: Act) {
        let (by, now) = (owner(admin()), self.machine.now);
        let entropy = self.machine.entropy.clone();
        let state = &mut self.machine.state;
        let name = |device: u8| format!("device-{device}");
        let effects = match act {
            Act::Connect {
                device,
                node,
                scopes,
                silent,
                v3,
            } => {
                let mut ask = ask(device, node, scopes, silent);
                if v3 {
                    ask.generation = Generation::V3;
                }
                return self.connect(&ask);
            }
            Act::Present {
                token,
                device,
                node,
                scopes,
            } => {
                return self.present(token, &ask(device, node, scopes, false));
            }
            Act::Approve {
                which,
                scopes: bits,
            } => {
                let Some((device, pending)) = nth(&state.pending, which) else {
                    return;
                };
                let scopes = scopes(false, bits);
                let step = state.approve(&pending.request_id, &owner(scopes), now);
                if step.answer.is_ok() {
                    assert!(
                        scopes.covers(pending.scopes),
                        "more than the approver holds"
                    );
                    for role in &pending.roles {
                        let given = scopes_of(*role, pending.scopes);
                        self.approve(&device, *role, given);
                    }
                }
                step.effects
            }
            Act::Reject { which } => {
                let Some((_, pending)) = nth(&state.pending, which) else {
                    return;
                };
                state.reject(&pending.request_id, &by, now).effects
            }
            Act::Rotate { device, node } => {
                let params = DeviceTokenRotateParams {
                    device_id: name(device),
                    role: role(node).as_str().into(),
                    scopes: None,
                };
                let step = state.rotate(&params, &by, None, now, &*entropy);
                if step.answer.is_ok() {
                    self.end(&name(device), Some(role(node)), false);
                }
                step.effects
            }
            Act::Revoke { device, node } => {
                let params = DeviceTokenRevokeParams {
                    device_id: name(device),
                    role: role(node).as_str().into(),
                };
                let step = state.revoke(&params, &by, now);
                if step.answer.is_ok() {
                    self.end(&name(device), Some(role(node)), true);
                }
                step.effects
            }
            Act::Remove { device } => {
                let step = state.remove(&name(device), &by, now);
                if step.answer.is_ok() {
                    self.end(&name(device), None, true);
                }
                step.effects
            }
            Act::Wait { seconds } => {
                self.machine.wait(seconds);
                let ops = self.machine.state.flush(self.machine.now);
                return self.disk.commit(ops);
            }
            Act::Crash => {
                self.machine.state = self.disk.reopened(now);
                return;
            }
        };
        self.done(effects);
    }

    fn check(&mut self) {
        assert!(self.machine.state.pending.len() <= MAX_PENDING);
        let stored: BTreeMap<String, Device> = self.disk.table(Table::Devices);
        assert_eq!(
            stored.keys().collect::<Vec<_>>(),
            self.machine.state.devices.keys().collect::<Vec<_>>()
        );
        for (id, device) in &self.machine.state.devices {
            for (role, grant) in &device.roles {
                let on_disk = &stored[id].roles[role];
                let hashes = |tokens: &[crate::pairing::records::Token]| {
                    tokens
                        .iter()
                        .map(|token| token.hash.clone())
                        .collect::<Vec<_>>()
                };
                assert_eq!(hashes(&grant.tokens), hashes(&on_disk.tokens));
                assert_eq!(grant.scopes, on_disk.scopes);
                assert!(grant.tokens.len() <= MAX_TOKENS);
                assert!(
                    grant
                        .tokens
                        .iter()
                        .all(|token| grant.scopes.covers(token.scopes))
                );
                if grant.revoked_at_ms.is_some() {
                    assert!(grant.tokens.is_empty());
                    continue;
                }
                let known = self.approved.get(&(id.clone(), *role)).copied();
                assert!(
                    known.is_some_and(|known| known.covers(grant.scopes)),
                    "trust widened"
                );
            }
        }
    }

    /// The newest token of every device and role opens it.
    fn newest_tokens_work(&mut self) {
        let mut newest = BTreeMap::new();
        for issued in self.issued.iter().filter(|issued| !issued.ended) {
            newest.insert((issued.device.clone(), issued.role), issued);
        }
        for issued in newest.into_values() {
            let device = issued.device.trim_start_matches("device-").parse().unwrap();
            let ask = Admit {
                role: issued.role,
                scopes: issued.scopes,
                ..remote(device)
            };
            let answer = self.machine.state.admit(
                &by_token(ask, &issued.token),
                None,
                self.machine.now,
                &*self.machine.entropy,
            );
            assert!(answer.answer.is_ok(), "the newest token does not work");
        }
    }
}

fn scopes_of(role: Role, scopes: Scopes) -> Scopes {
    match role {
        Role::Operator => scopes,
        Role::Node => Scopes::NONE,
    }
}

fn owner(scopes: Scopes) -> Authority {
    Authority {
        scopes,
        device_id: None,
        generation: Generation::V4,
        name: "owner".into(),
    }
}

fn nth(
    pending: &BTreeMap<String, Pending>,
    which: prop::sample::Index,
) -> Option<(String, Pending)> {
    if pending.is_empty() {
        return None;
    }
    pending
        .iter()
        .nth(which.index(pending.len()))
        .map(|(id, pending)| (id.clone(), pending.clone()))
}

proptest! {
    #[test]
    fn trust_never_widens_without_an_approval(acts in prop::collection::vec(act(), 1..80)) {
        let mut model = Model {
            machine: Machine::new(),
            disk: Disk::default(),
            approved: BTreeMap::new(),
            issued: Vec::new(),
        };
        for act in acts {
            model.act(act);
            model.check();
        }
        model.newest_tokens_work();
    }
}
