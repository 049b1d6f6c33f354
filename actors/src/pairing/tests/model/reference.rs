//! The reference: what the registry ought to know, in the plainest terms.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_protocol::methods::device_setup::SetupProfile;

use super::super::*;

pub(super) const FRESH: i64 = 60_000;
pub(super) const PENDING: i64 = 300_000;
pub(super) const CODE: i64 = 600_000;
pub(super) const CODE_KEPT: i64 = 1_200_000;

/// What the model knows of a role that was given.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) scopes: Scopes,
    pub(super) revoked: bool,
    pub(super) silent: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    pub(super) id: String,
    pub(super) roles: BTreeSet<Role>,
    pub(super) scopes: Scopes,
    pub(super) refreshed: i64,
    /// As the disk has it.
    pub(super) stored: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Life {
    Alive,
    /// It may have been pushed out by newer ones.
    Unsure,
    Dead,
}

#[derive(Debug)]
pub(super) struct Handed {
    /// `None` for one that was withheld.
    pub(super) text: Option<String>,
    pub(super) device: u8,
    pub(super) role: Role,
    pub(super) scopes: Scopes,
    /// It ends with this secret.
    pub(super) bound: Option<u32>,
    pub(super) minted: i64,
    /// Nobody crashed since: the text is still in memory.
    pub(super) in_memory: bool,
    pub(super) life: Life,
}

#[derive(Debug)]
pub(super) struct Code {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) profile: SetupProfile,
    pub(super) made: i64,
    pub(super) bound: Option<u8>,
    pub(super) told: bool,
    pub(super) gone: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    In,
    Waits(&'static str),
    TooNarrow,
    No,
}

#[derive(Default)]
pub(super) struct Reference {
    pub(super) now: i64,
    pub(super) secret: u32,
    pub(super) devices: BTreeMap<u8, BTreeMap<Role, Given>>,
    pub(super) waiting: BTreeMap<u8, Waiting>,
    pub(super) handed: Vec<Handed>,
    pub(super) codes: Vec<Code>,
}

impl Reference {
    pub(super) fn gap(&self, device: u8, role: Role, scopes: Scopes) -> Option<&'static str> {
        let Some(roles) = self.devices.get(&device) else {
            return Some("not-paired");
        };
        match roles.get(&role) {
            Some(given) if !given.revoked && given.scopes.covers(scopes) => None,
            Some(given) if !given.revoked => Some("scope-upgrade"),
            _ => Some("role-upgrade"),
        }
    }

    pub(super) fn give(&mut self, device: u8, role: Role, scopes: Scopes, silent: bool) {
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

    pub(super) fn expire(&mut self) {
        let now = self.now;
        self.waiting
            .retain(|_, waiting| now - waiting.refreshed < PENDING);
    }

    /// What a connect by the secret comes to.
    pub(super) fn connect(
        &mut self,
        device: u8,
        role: Role,
        scopes: Scopes,
        silent: bool,
    ) -> Verdict {
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

    pub(super) fn answered(&mut self, device: u8, roles: &BTreeSet<Role>, scopes: Scopes) {
        let answered =
            |waiting: &Waiting| waiting.roles.is_subset(roles) && scopes.covers(waiting.scopes);
        if self.waiting.get(&device).is_some_and(answered) {
            self.waiting.remove(&device);
        }
    }

    /// A device waits under this id.
    pub(super) fn waits(&mut self, device: u8, role: Role, scopes: Scopes, v3: bool, id: &str) {
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

    pub(super) fn live(&self, handed: &Handed) -> bool {
        handed.bound.is_none_or(|bound| bound == self.secret)
    }

    /// A token was handed out: one that was made a moment ago, or a new one.
    pub(super) fn handed(&mut self, device: u8, role: Role, scopes: Scopes, text: &str) {
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
        // An order to rotate made it, whose answer did not show it.
        let withheld = self.handed.iter().position(|handed| {
            same(handed)
                && handed.scopes == scopes
                && handed.text.is_none()
                && handed.in_memory
                && self.now - handed.minted < FRESH
                && handed.life == Life::Alive
                && self.live(handed)
        });
        if let Some(withheld) = withheld {
            self.handed[withheld].text = Some(text.to_owned());
            return;
        }
        assert_eq!(shared, None, "a token that was made a moment ago is shared");
        self.mint(device, role, scopes, Some(text.to_owned()));
    }

    pub(super) fn mint(&mut self, device: u8, role: Role, scopes: Scopes, text: Option<String>) {
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

    pub(super) fn kill_tokens(&mut self, device: u8, of: Option<Role>) {
        for handed in &mut self.handed {
            if handed.device == device && of.is_none_or(|role| role == handed.role) {
                handed.life = Life::Dead;
            }
        }
    }

    pub(super) fn kill_codes(&mut self, device: u8) {
        for code in &mut self.codes {
            code.gone |= code.bound == Some(device);
        }
    }

    pub(super) fn has(&self, device: u8, role: Role) -> bool {
        self.devices
            .get(&device)
            .and_then(|roles| roles.get(&role))
            .is_some_and(|given| !given.revoked)
    }
}

pub(super) fn profile_roles(profile: SetupProfile) -> BTreeMap<Role, Scopes> {
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
