//! Requests that wait for an owner: filed, refreshed, replaced, ended. Pure.

use openclaw_protocol::events::device::PairDecision;
use openclaw_protocol::methods::device_scopes::{DeviceScopesRequestUpgradeResult, UpgradeStatus};
use openclaw_protocol::{ErrorShape, Generation, Role, Scopes};

use super::IssuedToken;
use super::effects::{Effects, PairEvent, Step};
use super::records::{Pending, SecretMark};
use super::refusal::{Gap, pairing_required, why_not_silent};
use super::state::{MAX_PENDING, PENDING_TTL, PairingState};
use super::tokens;
use super::{Admission, Admit};
use crate::audit::Kind;
use crate::clock::{Entropy, Millis};
use crate::store::Table;

/// Most endings that are remembered; the oldest goes.
const MAX_ENDINGS: usize = 2 * MAX_PENDING;

/// How a request ended.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    request_id: String,
    device_id: String,
    status: UpgradeStatus,
    scopes: Scopes,
}

/// A connected device that asks for more.
pub(crate) struct Upgrader<'a> {
    /// The device.
    pub(crate) device_id: &'a str,
    /// Its address, `None` for this machine.
    pub(crate) remote_ip: Option<&'a str>,
}

/// What a device that waits is told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpgradeNow {
    /// Nobody decided yet; the request ends then.
    Waits(Millis),
    /// It is over, and this was asked for.
    Over(UpgradeStatus, Scopes),
}

impl PairingState {
    /// Files a request, or finds the one that waits already, and refuses with its id.
    pub(super) fn wait_for_owner(
        &mut self,
        ask: &Admit,
        gap: Gap,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Step<Result<Admission, ErrorShape>> {
        self.expire(now);
        let id = &ask.device.id;
        let mut effects = Effects::about(id);
        let same = self.pending.get_mut(id).filter(|pending| {
            pending.public_key == ask.device.public_key
                && (ask.generation == Generation::V3 || pending.covers(ask))
        });
        let request_id = if let Some(pending) = same {
            pending.refreshed_at_ms = now;
            self.stale_requests.insert(id.clone());
            pending.request_id.clone()
        } else {
            let mut new = Pending::new(
                entropy.uuid().to_string(),
                ask,
                self.devices.contains_key(id),
                now,
            );
            // A device that says it is another one is approved anew, with what it asks for now.
            new.replaces = gap == Gap::Metadata;
            self.file(
                &mut effects,
                id,
                new,
                (gap.as_str(), why_not_silent(ask, gap)),
                now,
            )
        };
        let known = self.known(ask);
        effects.with(Err(pairing_required(ask, gap, &request_id, known)))
    }

    /// Files the request of a connected device for more scopes, or finds the one that waits. What
    /// the device was approved for already needs nobody.
    pub(crate) fn request_upgrade(
        &mut self,
        by: &Upgrader<'_>,
        scopes: Scopes,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Step<Result<DeviceScopesRequestUpgradeResult, ErrorShape>> {
        self.expire(now);
        let id = by.device_id;
        let mut effects = Effects::about(id);
        let Some(device) = self.devices.get(id) else {
            return Step::answer(id, Err(not_paired()));
        };
        let Some(grant) = device.grant(Role::Operator) else {
            return Step::answer(id, Err(not_paired()));
        };
        let new = Pending::upgrade(
            entropy.uuid().to_string(),
            device,
            scopes,
            by.remote_ip.map(str::to_owned),
            now,
        );
        let covered = grant.scopes.covers(scopes);
        let request_id = if covered {
            let request_id = new.request_id.clone();
            self.note_ending(id, &new, UpgradeStatus::Approved);
            request_id
        } else if let Some(pending) = self.pending.get_mut(id).filter(|pending| {
            pending.public_key == new.public_key
                && pending.roles.contains(&Role::Operator)
                && pending.scopes.covers(scopes)
        }) {
            pending.refreshed_at_ms = now;
            self.stale_requests.insert(id.to_owned());
            pending.request_id.clone()
        } else {
            let why = (
                Gap::Scopes.as_str(),
                "it asked on an open connection, which always takes an owner",
            );
            self.file(&mut effects, id, new, why, now)
        };
        effects.with(Ok(DeviceScopesRequestUpgradeResult { request_id }))
    }

    /// What became of a request of this device.
    pub(crate) fn upgrade_now(
        &mut self,
        device: &str,
        request_id: &str,
        now: Millis,
    ) -> Option<UpgradeNow> {
        self.expire(now);
        if let Some(pending) = self
            .pending
            .get(device)
            .filter(|pending| pending.request_id == request_id)
        {
            return Some(UpgradeNow::Waits(pending.refreshed_at_ms.plus(PENDING_TTL)));
        }
        self.endings
            .iter()
            .find(|ending| ending.request_id == request_id && ending.device_id == device)
            .map(|ending| UpgradeNow::Over(ending.status, ending.scopes))
    }

    /// The token of an approved request; `None` when an owner has taken the approval back since.
    pub(crate) fn upgrade_token(
        &mut self,
        id: &str,
        scopes: Scopes,
        mark: Option<&SecretMark>,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Step<Option<IssuedToken>> {
        let mut effects = Effects::about(id);
        let handed = self.devices.get_mut(id).and_then(|device| {
            let grant = device
                .grant_mut(Role::Operator)
                .filter(|grant| grant.scopes.covers(scopes))?;
            let handed = tokens::hand_out(grant, scopes, mark, now, entropy);
            if handed.minted {
                effects.put_device(id, device);
            }
            Some(handed.token)
        });
        effects.with(handed)
    }

    fn file(
        &mut self,
        effects: &mut Effects,
        id: &str,
        mut new: Pending,
        (reason, why_not_silent): (&'static str, &'static str),
        now: Millis,
    ) -> String {
        if let Some(older) = self.pending.remove(id) {
            self.over(effects, id, &older, PairDecision::Rejected, now);
            effects.note(older.to_audit(Kind::PairingSuperseded));
            new = new.merged_with(&older);
        } else if self.pending.len() >= MAX_PENDING {
            self.drop_oldest(effects, now);
        }
        let request_id = new.request_id.clone();
        effects.put_pending(id, &new);
        effects
            .events
            .push(PairEvent::Requested(Box::new(new.to_wire(id))));
        let kind = if reason == Gap::NotPaired.as_str() {
            Kind::PairingRequested
        } else {
            Kind::UpgradeRequested
        };
        effects.note(new.to_audit(kind).code(reason).reason(format!(
            "not approved without asking, because {why_not_silent}"
        )));
        self.stale_requests.remove(id);
        self.pending.insert(id.to_owned(), new);
        request_id
    }

    fn drop_oldest(&mut self, effects: &mut Effects, now: Millis) {
        let oldest = self
            .pending
            .iter()
            .min_by_key(|(_, pending)| pending.refreshed_at_ms)
            .map(|(id, _)| id.clone());
        if let Some(id) = oldest
            && let Some(pending) = self.pending.remove(&id)
        {
            effects.delete(Table::PairingPending, &id);
            self.over(effects, &id, &pending, PairDecision::Rejected, now);
            let row = pending.to_audit(Kind::PairingExpired).device(&id);
            effects.notes.push(row.reason("too many requests wait"));
        }
    }

    /// Takes away the device's request if an approval of `given` answers all of it; gives its id.
    pub(super) fn answered_by(
        &mut self,
        effects: &mut Effects,
        id: &str,
        given: &Pending,
    ) -> Option<String> {
        let answered = self.pending.get(id).is_some_and(|waiting| {
            given.scopes.covers(waiting.scopes) && waiting.roles.is_subset(&given.roles)
        });
        let waiting = answered.then(|| self.pending.remove(id)).flatten()?;
        effects.delete(Table::PairingPending, id);
        self.note_ending(id, &waiting, UpgradeStatus::Approved);
        Some(waiting.request_id)
    }

    /// A request was decided: owners and the device itself are told.
    pub(super) fn over(
        &mut self,
        effects: &mut Effects,
        id: &str,
        request: &Pending,
        decision: PairDecision,
        now: Millis,
    ) {
        let status = match decision {
            PairDecision::Approved => UpgradeStatus::Approved,
            PairDecision::Rejected => UpgradeStatus::Rejected,
        };
        self.note_ending(id, request, status);
        effects.resolved(id, &request.request_id, decision, now);
    }

    fn note_ending(&mut self, id: &str, request: &Pending, status: UpgradeStatus) {
        if self.endings.len() >= MAX_ENDINGS {
            self.endings.pop_front();
        }
        self.endings.push_back(Ending {
            request_id: request.request_id.clone(),
            device_id: id.to_owned(),
            status,
            scopes: request.scopes,
        });
    }

    /// Forgets requests that nobody decided in time. Silent; their rows go with the next flush.
    pub fn expire(&mut self, now: Millis) {
        let ended: Vec<String> = self
            .pending
            .iter()
            .filter(|(_, pending)| now.since(pending.refreshed_at_ms) >= PENDING_TTL)
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            if let Some(pending) = self.pending.remove(&id) {
                self.note_ending(&id, &pending, UpgradeStatus::Expired);
                self.ended.push(
                    pending
                        .to_audit(Kind::PairingExpired)
                        .device(&id)
                        .reason("nobody decided in time"),
                );
            }
            self.stale_requests.insert(id);
        }
    }
}

fn not_paired() -> ErrorShape {
    ErrorShape::invalid(
        "this device is not paired as an operator; connect again, and have it approved",
    )
}
