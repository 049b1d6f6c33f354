//! One-time setup codes: an owner's permission for whoever holds the code, once. Pure.
//!
//! **Invariants.** A code pairs one device: the first one that proves itself with it, and no other
//! ever. It ends when that device was told so (its hello-ok left), or ten minutes after it was
//! made. It never gives more than its profile says. Only its hash is kept.

use std::time::Duration;

use openclaw_protocol::client::{ClientId, ClientMode};
use openclaw_protocol::device::encode;
use openclaw_protocol::events::device::PairDecision;
use openclaw_protocol::methods::device_setup::{
    DevicePairSetupStatusResult, SetupCompletion, SetupProfile,
};
use openclaw_protocol::{ErrorShape, Role, Scope, Scopes};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::authority::Authority;
use super::effects::{Effects, PairEvent, Step};
use super::records::{ApprovedVia, Pending, SecretMark, hash_token};
use super::refusal::setup_waits;
use super::state::PairingState;
use super::tokens;
use super::{Admission, Admit, RoleToken, SetupReceipt};
use crate::audit::{AuditRow, Kind};
use crate::clock::{Entropy, Millis};
use crate::store::Table;

/// A code ends this long after it was made.
pub const SETUP_TTL: Duration = Duration::from_mins(10);
/// What became of a code can be asked for this long after it was made.
const KEPT_FOR: Duration = Duration::from_mins(20);
/// Most codes at one time. A further one takes the place of a finished one, else of the oldest.
pub const MAX_SETUPS: usize = 16;

/// A setup code, as it is stored; the key is its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// SHA-256 of the one-time token, unpadded base64url.
    pub hash: String,
    /// What it gives.
    pub profile: SetupProfile,
    /// When it was made.
    pub created_at_ms: Millis,
    /// The device that it belongs to from its first use on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// When that device was told; the code is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<Millis>,
}

/// The device that used a code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// The device.
    pub device_id: String,
    /// Its key, unpadded base64url.
    pub public_key: String,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it first came.
    pub at_ms: Millis,
    /// Whether it was let in.
    #[serde(default)]
    pub let_in: bool,
}

/// A new code: what only the one who asked for it learns.
#[derive(Clone)]
pub struct NewSetup {
    /// Its id.
    pub id: String,
    /// The one-time token.
    pub token: String,
    /// When it ends.
    pub expires: Millis,
}

impl Setup {
    fn ends(&self) -> Millis {
        self.created_at_ms.plus(SETUP_TTL)
    }

    /// Whether this device may use the code now.
    fn is_open_to(&self, ask: &Admit, now: Millis) -> bool {
        self.completed_at_ms.is_none()
            && now.since(self.created_at_ms) < SETUP_TTL
            && self.bound.as_ref().is_none_or(|bound| {
                bound.device_id == ask.device.id && bound.public_key == ask.device.public_key
            })
    }

    fn completion(&self, id: &str, bound: &Bound, at: Millis) -> SetupCompletion {
        SetupCompletion {
            setup_id: id.to_owned(),
            device_id: bound.device_id.clone(),
            device_name: bound.name.clone(),
            access: self.profile,
            ts: at.wire(),
        }
    }
}

/// The roles that a profile gives.
const fn roles(profile: SetupProfile) -> &'static [Role] {
    match profile {
        SetupProfile::Limited => &[Role::Node, Role::Operator],
        SetupProfile::Node => &[Role::Node],
    }
}

/// What a role of a profile may do.
pub(super) fn scopes(profile: SetupProfile, role: Role) -> Scopes {
    match (profile, role) {
        (SetupProfile::Limited, Role::Operator) => Scopes::of(&[
            Scope::Approvals,
            Scope::Questions,
            Scope::Read,
            Scope::TalkSecrets,
            Scope::Write,
        ]),
        (SetupProfile::Limited, Role::Node) | (SetupProfile::Node, _) => Scopes::NONE,
    }
}

/// Whether the client is of the kind that the code was made for; any other one waits for an owner
/// besides, because a code is meant for a phone or a node host.
fn is_meant_for(profile: SetupProfile, ask: &Admit) -> bool {
    let says = |text: &str, word: &str| text.trim().to_ascii_lowercase().starts_with(word);
    let family = ask.client.device_family.as_deref().unwrap_or_default();
    match ask.client.id {
        ClientId::Ios => {
            let platform = &ask.client.platform;
            (says(platform, "ios") || says(platform, "ipados"))
                && ["iphone", "ipad", "ios"]
                    .iter()
                    .any(|word| says(family, word))
        }
        ClientId::Android => says(&ask.client.platform, "android") && says(family, "android"),
        ClientId::NodeHost => profile == SetupProfile::Node && ask.client.mode == ClientMode::Node,
        _ => false,
    }
}

impl PairingState {
    /// Makes a code.
    pub(crate) fn make_setup(
        &mut self,
        profile: SetupProfile,
        by: &Authority,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Step<NewSetup> {
        self.expire_setups(now);
        let id = entropy.uuid().to_string();
        let mut effects = Effects::about(&id);
        while self.setups.len() >= MAX_SETUPS {
            let oldest = self
                .setups
                .iter()
                .min_by_key(|(_, setup)| (setup.completed_at_ms.is_none(), setup.created_at_ms))
                .map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { break };
            self.setups.remove(&oldest);
            effects.delete(Table::PairingSetups, &oldest);
        }
        let token = encode(&entropy.bytes32());
        let setup = Setup {
            hash: hash_token(&token),
            profile,
            created_at_ms: now,
            bound: None,
            completed_at_ms: None,
        };
        let expires = setup.ends();
        effects.put_setup(&id, &setup);
        effects.notes.push(
            AuditRow::new(Kind::SetupIssued)
                .request(&id)
                .by(&by.name)
                .reason(profile.as_str()),
        );
        self.setups.insert(id.clone(), setup);
        effects.with(NewSetup { id, token, expires })
    }

    /// What became of a code.
    pub(crate) fn setup_status(
        &mut self,
        id: &str,
        now: Millis,
    ) -> Result<DevicePairSetupStatusResult, ErrorShape> {
        self.expire_setups(now);
        let setup = self.setups.get(id).ok_or_else(|| {
            ErrorShape::invalid("unknown setupId: codes end after ten minutes, make a new one")
                .with_details(serde_json::json!({ "code": "UNKNOWN_SETUP_ID" }))
        })?;
        let mut status = DevicePairSetupStatusResult::default();
        if let Some(bound) = &setup.bound {
            match setup.completed_at_ms {
                Some(at) => status.completion = Some(setup.completion(id, bound, at)),
                None if bound.let_in => {
                    status.delivery_uncertain = Some(setup.completion(id, bound, bound.at_ms));
                }
                None => {}
            }
        }
        Ok(status)
    }

    /// The code of a one-time token, if this device may use it for what it asks. Compares with
    /// every code, in constant time.
    pub(super) fn open_setup(&mut self, ask: &Admit, token: &str, now: Millis) -> Option<String> {
        self.expire_setups(now);
        let hash = hash_token(token);
        let mut found = None;
        for (id, setup) in &self.setups {
            if bool::from(setup.hash.as_bytes().ct_eq(hash.as_bytes())) {
                found = Some((id, setup));
            }
        }
        let (id, setup) = found?;
        let fits = roles(setup.profile).contains(&ask.role)
            && scopes(setup.profile, ask.role).covers(ask.scopes);
        (fits && setup.is_open_to(ask, now)).then(|| id.clone())
    }

    /// Lets a device in by a code that is open to it, and gives the code to it for good.
    pub(super) fn admit_by_setup(
        &mut self,
        ask: &Admit,
        setup: &str,
        mark: Option<&SecretMark>,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Step<Result<Admission, ErrorShape>> {
        let id = &ask.device.id;
        let Some(profile) = self.setups.get(setup).map(|setup| setup.profile) else {
            return Step::answer(id, Err(ErrorShape::unavailable("the setup code is gone")));
        };
        let gap = self.gap(ask);
        if let Some(gap) = gap
            && !is_meant_for(profile, ask)
        {
            let mut step = self.wait_for_owner(ask, gap, now, entropy);
            self.bind(&mut step.effects, setup, ask, false, now);
            step.answer = step.answer.map_err(setup_waits);
            return step;
        }
        let mut before = Effects::about(id);
        if gap.is_some()
            && let Err(error) = self.approve_by_setup(&mut before, ask, profile, now, entropy)
        {
            return Step::answer(id, Err(error));
        }
        let Step {
            answer,
            mut effects,
        } = self.let_in(ask, "bootstrap-token", mark, now, entropy);
        effects.put_before(before);
        let answer = answer.map(|admission| Admission {
            setup: Some(SetupReceipt::new(setup)),
            further: self.further_tokens(ask, profile, mark, now, entropy),
            ..admission
        });
        if let Some(device) = self.devices.get(id) {
            effects.put_device(id, device);
        }
        self.bind(&mut effects, setup, ask, true, now);
        effects.with(answer)
    }

    fn approve_by_setup(
        &mut self,
        effects: &mut Effects,
        ask: &Admit,
        profile: SetupProfile,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Result<(), ErrorShape> {
        let id = &ask.device.id;
        let known = self.devices.contains_key(id);
        let mut request = Pending::new(entropy.uuid().to_string(), ask, known, now);
        request.roles = roles(profile).iter().copied().collect();
        request.scopes = scopes(profile, Role::Operator);
        self.grant(id, &request, ApprovedVia::Bootstrap, now)?;
        let kind = if known {
            Kind::UpgradeApproved
        } else {
            Kind::PairingApproved
        };
        effects.note(
            request
                .to_audit(kind)
                .via(ApprovedVia::Bootstrap.as_str())
                .remedy(format!("openclaw devices remove {id}")),
        );
        let request_id = self
            .answered_by(effects, id, &request)
            .unwrap_or(request.request_id);
        effects.resolved(id, &request_id, PairDecision::Approved, now);
        Ok(())
    }

    /// Tokens of the profile's roles besides the one that connects.
    fn further_tokens(
        &mut self,
        ask: &Admit,
        profile: SetupProfile,
        mark: Option<&SecretMark>,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Vec<RoleToken> {
        let Some(device) = self.devices.get_mut(&ask.device.id) else {
            return Vec::new();
        };
        let others = roles(profile).iter().filter(|role| **role != ask.role);
        others
            .filter_map(|role| {
                let wanted = scopes(profile, *role);
                let grant = device
                    .grant_mut(*role)
                    .filter(|grant| grant.scopes.covers(wanted))?;
                let handed = tokens::hand_out(grant, wanted, mark, now, entropy);
                Some(RoleToken {
                    role: *role,
                    scopes: wanted,
                    token: handed.token,
                })
            })
            .collect()
    }

    fn bind(&mut self, effects: &mut Effects, setup: &str, ask: &Admit, let_in: bool, now: Millis) {
        let Some(row) = self.setups.get_mut(setup) else {
            return;
        };
        let name = super::records::About::of(ask).display_name;
        let bound = row.bound.get_or_insert_with(|| Bound {
            device_id: ask.device.id.clone(),
            public_key: ask.device.public_key.clone(),
            name,
            at_ms: now,
            let_in: false,
        });
        bound.let_in |= let_in;
        effects.put_setup(setup, row);
    }

    /// The device of a code was told that it is in: the code is over.
    pub(crate) fn complete_setup(&mut self, id: &str, now: Millis) -> Effects {
        let Some(setup) = self.setups.get_mut(id) else {
            return Effects::default();
        };
        let (Some(bound), None) = (setup.bound.clone(), setup.completed_at_ms) else {
            return Effects::default();
        };
        setup.completed_at_ms = Some(now);
        let access = setup.profile.as_str();
        let mut effects = Effects::about(&bound.device_id);
        effects.put_setup(id, setup);
        let completion = setup.completion(id, &bound, now);
        effects.events.push(PairEvent::SetupCompleted(completion));
        effects.note(
            AuditRow::new(Kind::SetupUsed)
                .name(&bound.name)
                .request(id)
                .reason(access),
        );
        effects
    }

    /// The connection of a code's device ended, and nobody knows whether it was told that it is in.
    /// The code stays its own until its time is over; owners are told once for each such connection.
    pub(crate) fn setup_uncertain(&self, id: &str) -> Effects {
        let Some(setup) = self.setups.get(id) else {
            return Effects::default();
        };
        let (Some(bound), None) = (&setup.bound, setup.completed_at_ms) else {
            return Effects::default();
        };
        if !bound.let_in {
            return Effects::default();
        }
        let mut effects = Effects::about(&bound.device_id);
        let completion = setup.completion(id, bound, bound.at_ms);
        effects.events.push(PairEvent::SetupUncertain(completion));
        effects.note(
            AuditRow::new(Kind::SetupUncertain)
                .name(&bound.name)
                .request(id)
                .reason("its connection ended first; it may come again with the same code")
                .remedy(format!("openclaw devices remove {}", bound.device_id)),
        );
        effects
    }

    /// An owner ended a device's trust: the code that it came by gives nothing back.
    pub(super) fn end_setups_of(&mut self, effects: &mut Effects, device: &str) {
        let of_device = |setup: &Setup| {
            setup
                .bound
                .as_ref()
                .is_some_and(|bound| bound.device_id == device)
        };
        let ended: Vec<String> = self
            .setups
            .iter()
            .filter(|(_, setup)| of_device(setup))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            self.setups.remove(&id);
            effects.delete(Table::PairingSetups, &id);
        }
    }

    /// Forgets codes that are long over. Silent; their rows go with the next flush.
    pub(super) fn expire_setups(&mut self, now: Millis) {
        let ended: Vec<String> = self
            .setups
            .iter()
            .filter(|(_, setup)| now.since(setup.created_at_ms) >= KEPT_FOR)
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            self.setups.remove(&id);
            self.stale_setups.insert(id);
        }
    }
}
