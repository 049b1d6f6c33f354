//! The registry beside a reference model: after any sequence of connects, decisions, setup codes,
//! secret changes and crashes, both say the same about who is let in, who waits and who is trusted
//! with what, and so does the disk. The model knows nothing of rows, hashes or effects.

mod acts;
mod checks;
mod reference;

use openclaw_protocol::methods::device::{DeviceTokenRevokeParams, DeviceTokenRotateParams};
use openclaw_protocol::methods::device_setup::SetupProfile;
use proptest::prelude::*;
use proptest::sample::Index;

use acts::{Act, act, role, scopes};
use reference::{CODE, CODE_KEPT, Code, Life, Reference, Verdict, Waiting, profile_roles};

use super::disk::Disk;
use super::setup::phone;
use super::*;
use crate::gate::{AuthMode, GateSettings};
use crate::pairing::authority::Authority;
use crate::pairing::effects::Effects;
use crate::pairing::records::SecretMark;
use crate::pairing::requests::Upgrader;

/// The registry, its disk, and the model.
struct Both {
    machine: Machine,
    disk: Disk,
    model: Reference,
}

pub(super) fn name(device: u8) -> String {
    format!("device-{device}")
}

fn by(scopes: Scopes) -> Authority {
    Authority {
        scopes,
        device_id: None,
        generation: Generation::V4,
        name: "owner".into(),
    }
}

impl Both {
    fn new() -> Self {
        let machine = Machine::new();
        let model = Reference {
            now: machine.now.get(),
            ..Reference::default()
        };
        Self {
            machine,
            disk: Disk::default(),
            model,
        }
    }

    fn mark(&self) -> SecretMark {
        let gate = GateSettings {
            mode: AuthMode::Token(format!("secret {}", self.model.secret).into()),
            ..actor::gate("")
        };
        SecretMark::of(&gate, b"salt").unwrap()
    }

    fn done(&mut self, effects: Effects) {
        self.disk.commit(effects.ops);
    }

    fn ask(device: u8, node: bool, bits: u8, silent: bool) -> Admit {
        let ask = if silent {
            local(device)
        } else {
            remote(device)
        };
        // The same system as in the connects by a code, so that no device looks like another one.
        let client = ClientInfo {
            id: ask.client.id,
            ..phone(device, "").client
        };
        Admit {
            role: role(node),
            scopes: scopes(node, bits),
            client,
            ..ask
        }
    }

    /// Admits, and gives what it came to, the tokens and the request's id.
    fn admit(&mut self, ask: &Admit) -> (Verdict, Vec<(Role, Scopes, String)>, String) {
        let (mark, now, entropy) = (self.mark(), self.machine.now, self.machine.entropy.clone());
        let step = self.machine.state.admit(ask, Some(&mark), now, &*entropy);
        self.done(step.effects);
        match step.answer {
            Ok(admission) => {
                assert_eq!(admission.scopes, ask.scopes, "nothing more than asked");
                let first = admission.token.expect("a device always gets a token").token;
                let mut tokens = vec![(ask.role, ask.scopes, first)];
                for further in admission.further {
                    tokens.push((further.role, further.scopes, further.token.token));
                }
                (Verdict::In, tokens, String::new())
            }
            Err(error) => {
                let details = error.details.unwrap_or_default();
                let id = details["requestId"].as_str().unwrap_or_default().to_owned();
                let verdict = match (details["code"].as_str(), details["reason"].as_str()) {
                    (_, Some("not-paired")) => Verdict::Waits("not-paired"),
                    (_, Some("role-upgrade")) => Verdict::Waits("role-upgrade"),
                    (_, Some("scope-upgrade")) => Verdict::Waits("scope-upgrade"),
                    (Some("AUTH_SCOPE_MISMATCH"), _) => Verdict::TooNarrow,
                    _ if !id.is_empty() => Verdict::Waits("v3"),
                    _ => Verdict::No,
                };
                (verdict, Vec::new(), id)
            }
        }
    }

    fn connect(&mut self, device: u8, ask: &Admit) {
        let v3 = ask.generation == Generation::V3;
        let (verdict, tokens, id) = self.admit(ask);
        let expected = self.model.connect(device, ask.role, ask.scopes, ask.silent);
        match expected {
            Verdict::Waits(_) if v3 => assert_eq!(verdict, Verdict::Waits("v3")),
            ref expected => assert_eq!(verdict, *expected),
        }
        if verdict == Verdict::In {
            let (role, scopes, text) = &tokens[0];
            self.model.handed(device, *role, *scopes, text);
        } else {
            self.model.waits(device, ask.role, ask.scopes, v3, &id);
        }
    }

    fn present(&mut self, token: Index, device: u8, ask: &Admit) {
        let shown: Vec<usize> = (0..self.model.handed.len())
            .filter(|at| self.model.handed[*at].text.is_some())
            .collect();
        if shown.is_empty() {
            return;
        }
        let at = shown[token.index(shown.len())];
        let text = self.model.handed[at].text.clone().unwrap();
        let (verdict, tokens, _) = self.admit(&by_token(ask.clone(), &text));
        let handed = &self.model.handed[at];
        let fits = (handed.device, handed.role) == (device, ask.role);
        let good = fits && self.model.live(handed) && handed.life != Life::Dead;
        let unsure = handed.life == Life::Unsure;
        if !good || (unsure && verdict == Verdict::No) {
            assert_eq!(verdict, Verdict::No, "{handed:?}");
            return;
        }
        let approved = self.model.devices[&device][&ask.role].scopes;
        if handed.scopes.covers(ask.scopes) && approved.covers(ask.scopes) {
            assert_eq!(verdict, Verdict::In, "{handed:?}");
            assert_eq!(tokens[0].2, text, "the token is echoed");
        } else {
            assert_eq!(verdict, Verdict::TooNarrow, "{handed:?}");
        }
    }

    fn use_code(&mut self, code: Index, device: u8, node: bool, bits: u8, is_phone: bool) {
        if self.model.codes.is_empty() {
            return;
        }
        let at = code.index(self.model.codes.len());
        let token = self.model.codes[at].token.clone();
        let mut ask = Admit {
            role: role(node),
            scopes: scopes(node, bits),
            ..phone(device, &token)
        };
        if !is_phone {
            ask.client.id = ClientId::Macos;
        }
        let known = self.model.gap(device, ask.role, ask.scopes);
        let code = &self.model.codes[at];
        let gives = profile_roles(code.profile);
        let open = !code.gone
            && !code.told
            && self.model.now - code.made < CODE
            && code.bound.is_none_or(|bound| bound == device)
            && gives
                .get(&ask.role)
                .is_some_and(|given| given.covers(ask.scopes));
        let (verdict, tokens, id) = self.admit(&ask);
        if !open {
            assert_eq!(verdict, Verdict::No);
            return;
        }
        self.model.codes[at].bound = Some(device);
        if known.is_some() && !is_phone {
            assert_eq!(verdict, Verdict::Waits(known.unwrap_or_default()));
            self.model.waits(device, ask.role, ask.scopes, false, &id);
            return;
        }
        assert_eq!(verdict, Verdict::In);
        if known.is_some() {
            for (role, scopes) in &gives {
                self.model.give(device, *role, *scopes, false);
            }
            let all = gives
                .values()
                .fold(Scopes::NONE, |all, given| all.union(*given));
            self.model
                .answered(device, &gives.keys().copied().collect(), all);
        }
        for (role, scopes, text) in &tokens {
            self.model.handed(device, *role, *scopes, text);
        }
    }

    fn pick(&self, which: Index) -> Option<(u8, Waiting)> {
        let waiting: Vec<_> = self.model.waiting.iter().collect();
        (!waiting.is_empty()).then(|| {
            let (device, waiting) = waiting[which.index(waiting.len())];
            (*device, waiting.clone())
        })
    }

    fn act(&mut self, act: &Act) {
        self.model.expire();
        let (now, entropy) = (self.machine.now, self.machine.entropy.clone());
        match *act {
            Act::Connect {
                device,
                node,
                scopes,
                silent,
                v3,
            } => {
                let mut ask = Self::ask(device, node, scopes, silent);
                if v3 {
                    ask.generation = Generation::V3;
                }
                self.connect(device, &ask);
            }
            Act::Present {
                token,
                device,
                node,
                scopes,
            } => {
                self.present(token, device, &Self::ask(device, node, scopes, false));
            }
            Act::UseCode {
                code,
                device,
                node,
                scopes,
                phone,
            } => {
                self.use_code(code, device, node, scopes, phone);
            }
            Act::Told { code } => {
                if self.model.codes.is_empty() {
                    return;
                }
                let at = code.index(self.model.codes.len());
                let code = &mut self.model.codes[at];
                code.told |= code.bound.is_some();
                let id = code.id.clone();
                let effects = self.machine.state.complete_setup(&id, now);
                self.done(effects);
            }
            Act::MakeCode { node } => {
                if self.model.codes.iter().filter(|code| !code.gone).count() >= 16 {
                    return;
                }
                let profile = if node {
                    SetupProfile::Node
                } else {
                    SetupProfile::Limited
                };
                let step = self
                    .machine
                    .state
                    .make_setup(profile, &by(admin()), now, &*entropy);
                self.done(step.effects);
                self.model.codes.push(Code {
                    id: step.answer.id,
                    token: step.answer.token,
                    profile,
                    made: self.model.now,
                    bound: None,
                    told: false,
                    gone: false,
                });
            }
            Act::Upgrade {
                device,
                scopes: bits,
            } => self.upgrade(device, scopes(false, bits)),
            Act::Approve {
                which,
                scopes: bits,
            } => {
                let Some((device, waiting)) = self.pick(which) else {
                    return;
                };
                let held = scopes(false, bits);
                let step = self.machine.state.approve(&waiting.id, &by(held), now);
                self.done(step.effects);
                let may = held.grants(Scope::Admin)
                    || (!waiting.roles.contains(&Role::Node) && held.covers(waiting.scopes));
                assert_eq!(step.answer.is_ok(), may, "{:?}", step.answer);
                if may {
                    for role in &waiting.roles {
                        let node = *role == Role::Node;
                        let given = if node { Scopes::NONE } else { waiting.scopes };
                        self.model.give(device, *role, given, false);
                    }
                    self.model.waiting.remove(&device);
                }
            }
            Act::Reject { which } => {
                let Some((device, waiting)) = self.pick(which) else {
                    return;
                };
                let step = self.machine.state.reject(&waiting.id, &by(admin()), now);
                self.done(step.effects);
                step.answer.unwrap();
                self.model.waiting.remove(&device);
            }
            Act::Rotate { device, node } => {
                let params = DeviceTokenRotateParams {
                    device_id: name(device),
                    role: role(node).as_str().into(),
                    scopes: None,
                };
                let mark = self.mark();
                let step =
                    self.machine
                        .state
                        .rotate(&params, &by(admin()), Some(&mark), now, &*entropy);
                self.done(step.effects);
                let has = self.model.has(device, role(node));
                assert_eq!(step.answer.is_ok(), has);
                if has {
                    self.model.kill_tokens(device, Some(role(node)));
                    let scopes = self.model.devices[&device][&role(node)].scopes;
                    self.model.mint(device, role(node), scopes, None);
                }
            }
            Act::Revoke { device, node } => {
                let params = DeviceTokenRevokeParams {
                    device_id: name(device),
                    role: role(node).as_str().into(),
                };
                let step = self.machine.state.revoke(&params, &by(admin()), now);
                self.done(step.effects);
                let has = self.model.has(device, role(node));
                assert_eq!(step.answer.is_ok(), has);
                if has {
                    self.model.kill_tokens(device, Some(role(node)));
                    self.model.kill_codes(device);
                    let roles = self.model.devices.get_mut(&device).unwrap();
                    roles.get_mut(&role(node)).unwrap().revoked = true;
                }
            }
            Act::Remove { device } => {
                let step = self.machine.state.remove(&name(device), &by(admin()), now);
                self.done(step.effects);
                let known = self.model.devices.remove(&device).is_some();
                assert_eq!(step.answer.is_ok(), known);
                if known {
                    self.model.kill_tokens(device, None);
                    self.model.kill_codes(device);
                    self.model.waiting.remove(&device);
                }
            }
            Act::NewSecret => self.model.secret += 1,
            Act::Wait { seconds, flush } => {
                self.machine.now = Millis(now.get() + seconds * 1_000);
                self.model.now += seconds * 1_000;
                self.model.expire();
                let (now, kept) = (self.model.now, CODE_KEPT);
                for code in &mut self.model.codes {
                    code.gone |= now - code.made >= kept;
                }
                if flush {
                    let ops = self.machine.state.flush(self.machine.now);
                    self.disk.commit(ops);
                    for waiting in self.model.waiting.values_mut() {
                        waiting.stored = waiting.refreshed;
                    }
                }
            }
            Act::Crash => {
                self.machine.state = self.disk.reopened(self.machine.now);
                for handed in &mut self.model.handed {
                    handed.in_memory = false;
                }
                for waiting in self.model.waiting.values_mut() {
                    waiting.refreshed = waiting.stored;
                }
                self.model.expire();
            }
        }
    }

    fn upgrade(&mut self, device: u8, scopes: Scopes) {
        let (now, entropy) = (self.machine.now, self.machine.entropy.clone());
        let id = name(device);
        let asker = Upgrader {
            device_id: &id,
            remote_ip: None,
        };
        let step = self
            .machine
            .state
            .request_upgrade(&asker, scopes, now, &*entropy);
        self.done(step.effects);
        let has = self.model.has(device, Role::Operator);
        assert_eq!(step.answer.is_ok(), has);
        let Ok(answer) = step.answer else { return };
        let waiting = self.machine.state.pending.contains_key(&id);
        if self.model.gap(device, Role::Operator, scopes).is_some() {
            assert!(waiting);
            self.model
                .waits(device, Role::Operator, scopes, false, &answer.request_id);
        }
    }
}

/// A modest number of cases, and many with `OPENCLAW_DEEP=1`.
fn cases() -> ProptestConfig {
    let deep = std::env::var_os("OPENCLAW_DEEP").is_some_and(|value| value == "1");
    ProptestConfig {
        cases: if deep { 20_000 } else { 200 },
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_registry_is_what_the_reference_model_says(acts in prop::collection::vec(act(), 1..100)) {
        let mut both = Both::new();
        for act in acts {
            both.act(&act);
            both.check();
        }
    }
}
