//! The registry beside a reference model: after any sequence of connects, decisions, setup codes,
//! secret changes and crashes, both say the same about who is let in, who waits and who is trusted
//! with what, and so does the disk. The model knows nothing of rows, hashes or effects.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_protocol::methods::device::{DeviceTokenRevokeParams, DeviceTokenRotateParams};
use openclaw_protocol::methods::device_setup::SetupProfile;
use proptest::prelude::*;
use proptest::sample::Index;

use super::setup::phone;
use super::*;
use crate::gate::{AuthMode, GateSettings};
use crate::pairing::authority::Authority;
use crate::pairing::effects::Effects;
use crate::pairing::records::SecretMark;
use crate::pairing::requests::Upgrader;
use crate::store::{Op, Table, rows};

const FRESH: i64 = 60_000;
const PENDING: i64 = 300_000;
const CODE: i64 = 600_000;
const CODE_KEPT: i64 = 1_200_000;

#[derive(Debug, Clone)]
enum Act {
    /// By the shared secret.
    Connect {
        device: u8,
        node: bool,
        scopes: u8,
        silent: bool,
        v3: bool,
    },
    /// By a token that was handed out at some time.
    Present {
        token: Index,
        device: u8,
        node: bool,
        scopes: u8,
    },
    /// By a setup code that was made at some time.
    UseCode {
        code: Index,
        device: u8,
        node: bool,
        scopes: u8,
        phone: bool,
    },
    /// The device of a code was told.
    Told {
        code: Index,
    },
    MakeCode {
        node: bool,
    },
    Upgrade {
        device: u8,
        scopes: u8,
    },
    Approve {
        which: Index,
        scopes: u8,
    },
    Reject {
        which: Index,
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
    NewSecret,
    Wait {
        seconds: i64,
        flush: bool,
    },
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    let (d, s, b) = (|| 0..3u8, || 0..8u8, any::<bool>);
    let i = any::<Index>;
    prop_oneof![
        6 => (d(), b(), s(), b(), b()).prop_map(|(device, node, scopes, silent, v3)| Act::Connect { device, node, scopes, silent, v3 }),
        6 => (i(), d(), b(), s()).prop_map(|(token, device, node, scopes)| Act::Present { token, device, node, scopes }),
        4 => (i(), d(), b(), s(), b()).prop_map(|(code, device, node, scopes, phone)| Act::UseCode { code, device, node, scopes, phone }),
        1 => i().prop_map(|code| Act::Told { code }),
        2 => b().prop_map(|node| Act::MakeCode { node }),
        2 => (d(), s()).prop_map(|(device, scopes)| Act::Upgrade { device, scopes }),
        4 => (i(), s()).prop_map(|(which, scopes)| Act::Approve { which, scopes }),
        1 => i().prop_map(|which| Act::Reject { which }),
        1 => (d(), b()).prop_map(|(device, node)| Act::Rotate { device, node }),
        1 => (d(), b()).prop_map(|(device, node)| Act::Revoke { device, node }),
        1 => d().prop_map(|device| Act::Remove { device }),
        1 => Just(Act::NewSecret),
        3 => (0..400i64, b()).prop_map(|(seconds, flush)| Act::Wait { seconds, flush }),
        2 => Just(Act::Crash),
    ]
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

const fn role(node: bool) -> Role {
    if node { Role::Node } else { Role::Operator }
}

/// What the model knows of a role that was given.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    scopes: Scopes,
    revoked: bool,
    silent: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    id: String,
    roles: BTreeSet<Role>,
    scopes: Scopes,
    refreshed: i64,
    /// As the disk has it.
    stored: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Life {
    Alive,
    /// It may have been pushed out by newer ones.
    Unsure,
    Dead,
}

#[derive(Debug)]
struct Handed {
    /// `None` for one that was withheld.
    text: Option<String>,
    device: u8,
    role: Role,
    scopes: Scopes,
    /// It ends with this secret.
    bound: Option<u32>,
    minted: i64,
    /// Nobody crashed since: the text is still in memory.
    in_memory: bool,
    life: Life,
}

#[derive(Debug)]
struct Code {
    id: String,
    token: String,
    profile: SetupProfile,
    made: i64,
    bound: Option<u8>,
    told: bool,
    gone: bool,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    In,
    Waits(&'static str),
    TooNarrow,
    No,
}

#[derive(Default)]
struct Reference {
    now: i64,
    secret: u32,
    devices: BTreeMap<u8, BTreeMap<Role, Given>>,
    waiting: BTreeMap<u8, Waiting>,
    handed: Vec<Handed>,
    codes: Vec<Code>,
}

impl Reference {
    fn gap(&self, device: u8, role: Role, scopes: Scopes) -> Option<&'static str> {
        let Some(roles) = self.devices.get(&device) else {
            return Some("not-paired");
        };
        match roles.get(&role) {
            Some(given) if !given.revoked && given.scopes.covers(scopes) => None,
            Some(given) if !given.revoked => Some("scope-upgrade"),
            _ => Some("role-upgrade"),
        }
    }

    fn give(&mut self, device: u8, role: Role, scopes: Scopes, silent: bool) {
        let roles = self.devices.entry(device).or_default();
        let held = roles.get(&role).filter(|given| !given.revoked);
        let scopes = held.map_or(scopes, |held| held.scopes.union(scopes));
        roles.insert(
            role,
            Given {
                scopes,
                revoked: false,
                silent,
            },
        );
    }

    fn expire(&mut self) {
        let now = self.now;
        self.waiting
            .retain(|_, waiting| now - waiting.refreshed < PENDING);
    }

    /// What a connect by the secret comes to.
    fn connect(&mut self, device: u8, role: Role, scopes: Scopes, silent: bool) -> Verdict {
        let Some(gap) = self.gap(device, role, scopes) else {
            return Verdict::In;
        };
        let may = match gap {
            "not-paired" | "scope-upgrade" => true,
            _ => role == Role::Operator && !self.devices[&device].contains_key(&role),
        };
        if silent && may {
            self.give(device, role, scopes, true);
            self.answered(device, &BTreeSet::from([role]), scopes);
            return Verdict::In;
        }
        Verdict::Waits(gap)
    }

    fn answered(&mut self, device: u8, roles: &BTreeSet<Role>, scopes: Scopes) {
        let answered =
            |waiting: &Waiting| waiting.roles.is_subset(roles) && scopes.covers(waiting.scopes);
        if self.waiting.get(&device).is_some_and(answered) {
            self.waiting.remove(&device);
        }
    }

    /// A device waits under this id.
    fn waits(&mut self, device: u8, role: Role, scopes: Scopes, v3: bool, id: &str) {
        self.expire();
        let now = self.now;
        if let Some(waiting) = self.waiting.get_mut(&device) {
            let covered = waiting.roles.contains(&role) && waiting.scopes.covers(scopes);
            if v3 || covered {
                assert_eq!(waiting.id, id, "the same request");
                waiting.refreshed = now;
                return;
            }
            assert_ne!(waiting.id, id, "a wider request");
        }
        let older = self.waiting.remove(&device);
        let (mut roles, mut all) = (BTreeSet::from([role]), scopes);
        if let Some(older) = older {
            roles.extend(older.roles);
            all = all.union(older.scopes);
        }
        let waiting = Waiting {
            id: id.into(),
            roles,
            scopes: all,
            refreshed: now,
            stored: now,
        };
        self.waiting.insert(device, waiting);
    }

    fn live(&self, handed: &Handed) -> bool {
        handed.bound.is_none_or(|bound| bound == self.secret)
    }

    /// A token was handed out: one that was made a moment ago, or a new one.
    fn handed(&mut self, device: u8, role: Role, scopes: Scopes, text: &str) {
        let same = |handed: &Handed| (handed.device, handed.role) == (device, role);
        let shared = self.handed.iter().position(|handed| {
            same(handed)
                && handed.scopes == scopes
                && handed.text.is_some()
                && handed.in_memory
                && self.now - handed.minted < FRESH
                && handed.life == Life::Alive
                && self.live(handed)
        });
        let known = self
            .handed
            .iter()
            .position(|handed| handed.text.as_deref() == Some(text));
        if let Some(known) = known {
            let handed = &self.handed[known];
            assert!(same(handed) && handed.scopes == scopes && self.live(handed));
            assert!(handed.in_memory && self.now - handed.minted < FRESH);
            assert_ne!(handed.life, Life::Dead);
            self.handed[known].life = Life::Alive;
            return;
        }
        assert_eq!(shared, None, "a token that was made a moment ago is shared");
        self.mint(device, role, scopes, Some(text.to_owned()));
    }

    fn mint(&mut self, device: u8, role: Role, scopes: Scopes, text: Option<String>) {
        let secret = self.secret;
        let ended = |handed: &Handed| handed.bound.is_some_and(|bound| bound != secret);
        for handed in self.handed.iter_mut().filter(|handed| ended(handed)) {
            handed.life = Life::Dead;
        }
        let others: Vec<usize> = (0..self.handed.len())
            .filter(|at| {
                let handed = &self.handed[*at];
                (handed.device, handed.role) == (device, role) && handed.life != Life::Dead
            })
            .collect();
        if others.len() >= 4 {
            for at in others {
                self.handed[at].life = Life::Unsure;
            }
        }
        let silent = self.devices[&device][&role].silent;
        self.handed.push(Handed {
            text,
            device,
            role,
            scopes,
            bound: silent.then_some(self.secret),
            minted: self.now,
            in_memory: true,
            life: Life::Alive,
        });
    }

    fn kill_tokens(&mut self, device: u8, of: Option<Role>) {
        for handed in &mut self.handed {
            if handed.device == device && of.is_none_or(|role| role == handed.role) {
                handed.life = Life::Dead;
            }
        }
    }

    fn kill_codes(&mut self, device: u8) {
        for code in &mut self.codes {
            code.gone |= code.bound == Some(device);
        }
    }

    fn has(&self, device: u8, role: Role) -> bool {
        self.devices
            .get(&device)
            .and_then(|roles| roles.get(&role))
            .is_some_and(|given| !given.revoked)
    }
}

fn profile_roles(profile: SetupProfile) -> BTreeMap<Role, Scopes> {
    let operator = Scopes::of(&[
        Scope::Approvals,
        Scope::Questions,
        Scope::Read,
        Scope::TalkSecrets,
        Scope::Write,
    ]);
    match profile {
        SetupProfile::Limited => {
            BTreeMap::from([(Role::Node, Scopes::NONE), (Role::Operator, operator)])
        }
        SetupProfile::Node => BTreeMap::from([(Role::Node, Scopes::NONE)]),
    }
}

/// The registry, its disk, and the model.
struct Both {
    machine: Machine,
    disk: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    model: Reference,
}

fn name(device: u8) -> String {
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
            disk: BTreeMap::new(),
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

    fn commit(&mut self, ops: Vec<Op>) {
        for op in ops {
            match op {
                Op::Put { table, key, value } => self.disk.insert((table, key), value),
                Op::Delete { table, key } => self.disk.remove(&(table, key)),
                Op::DeleteRange { .. } => panic!("pairing deletes no ranges"),
            };
        }
    }

    fn done(&mut self, effects: Effects) {
        self.commit(effects.ops);
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
                    self.commit(ops);
                    for waiting in self.model.waiting.values_mut() {
                        waiting.stored = waiting.refreshed;
                    }
                }
            }
            Act::Crash => {
                self.machine.state = self.reopened();
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

    fn table<T: serde::de::DeserializeOwned>(&self, table: Table) -> BTreeMap<String, T> {
        let here = self.disk.iter().filter(|((of, _), _)| *of == table);
        here.map(|((_, key), row)| {
            let key = String::from_utf8(key.clone()).unwrap();
            (key, rows::decode(table, row).unwrap())
        })
        .collect()
    }

    /// What a start would make of the disk now.
    fn reopened(&self) -> PairingState {
        PairingState::load(
            self.table(Table::Devices),
            self.table(Table::PairingPending),
            self.table(Table::PairingSetups),
            self.machine.now,
        )
    }

    fn check(&mut self) {
        self.machine.state.expire(self.machine.now);
        self.machine.state.expire_setups(self.machine.now);
        assert_eq!(
            trust(&self.machine.state),
            self.expected(|waiting| waiting.refreshed)
        );
        assert_eq!(
            trust(&self.reopened()),
            self.expected(|waiting| waiting.stored)
        );
        let hashes = |state: &PairingState| -> Vec<String> {
            let grants = state
                .devices
                .values()
                .flat_map(|device| device.roles.values());
            grants
                .flat_map(|grant| grant.tokens.iter().map(|token| token.hash.clone()))
                .collect()
        };
        assert_eq!(hashes(&self.machine.state), hashes(&self.reopened()));
        let grants = self
            .machine
            .state
            .devices
            .values()
            .flat_map(|device| device.roles.values());
        for grant in grants {
            assert!(grant.tokens.len() <= 4);
            let covered = grant
                .tokens
                .iter()
                .all(|token| grant.scopes.covers(token.scopes));
            assert!(covered, "a token gives more than its role");
        }
    }

    fn expected(&self, refreshed: impl Fn(&Waiting) -> i64) -> Trust {
        let model = &self.model;
        Trust {
            roles: model
                .devices
                .iter()
                .flat_map(|(device, roles)| {
                    roles.iter().map(|(role, given)| {
                        ((name(*device), *role), (given.scopes, given.revoked))
                    })
                })
                .collect(),
            waiting: model
                .waiting
                .iter()
                .filter(|(_, waiting)| model.now - refreshed(waiting) < PENDING)
                .map(|(device, waiting)| {
                    let waiting = (waiting.id.clone(), waiting.roles.clone(), waiting.scopes);
                    (name(*device), waiting)
                })
                .collect(),
            codes: model
                .codes
                .iter()
                .filter(|code| !code.gone)
                .map(|code| (code.id.clone(), (code.bound.map(name), code.told)))
                .collect(),
        }
    }
}

/// Everything that decisions depend on, apart from tokens.
#[derive(Debug, PartialEq)]
struct Trust {
    roles: BTreeMap<(String, Role), (Scopes, bool)>,
    waiting: BTreeMap<String, (String, BTreeSet<Role>, Scopes)>,
    codes: BTreeMap<String, (Option<String>, bool)>,
}

fn trust(state: &PairingState) -> Trust {
    Trust {
        roles: state
            .devices
            .iter()
            .flat_map(|(id, device)| {
                device.roles.iter().map(|(role, grant)| {
                    (
                        (id.clone(), *role),
                        (grant.scopes, grant.revoked_at_ms.is_some()),
                    )
                })
            })
            .collect(),
        waiting: state
            .pending
            .iter()
            .map(|(id, pending)| {
                let waiting = (
                    pending.request_id.clone(),
                    pending.roles.clone(),
                    pending.scopes,
                );
                (id.clone(), waiting)
            })
            .collect(),
        codes: state
            .setups
            .iter()
            .map(|(id, setup)| {
                let bound = setup.bound.as_ref().map(|bound| bound.device_id.clone());
                (id.clone(), (bound, setup.completed_at_ms.is_some()))
            })
            .collect(),
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
