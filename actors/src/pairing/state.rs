//! Who is trusted with what, and how that comes about. Pure: takes the time and randomness, gives
//! answers, rows to write and events.
//!
//! **Invariants.** Trust grows only by an owner's decision or by a silent approval, never by a
//! connect alone. A token opens nothing but its own device and role, and never more than its role
//! is approved for. At most four tokens per device and role, one request per device.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openclaw_protocol::client::{ClientId, ClientMode};
use openclaw_protocol::events::device::PairDecision;
use openclaw_protocol::{ErrorShape, Generation, Role};

use super::effects::{Effects, PairEvent, Step};
use super::metadata;
use super::records::{About, ApprovedVia, Device, Grant, Pending, SecretMark};
use super::refusal::{Gap, pairing_required, scope_mismatch, too_many_devices, why_not_silent};
use super::tokens;
use super::{Admission, Admit, IssuedToken};
use crate::audit::{AuditRow, Kind};
use crate::clock::{Entropy, Millis};
use crate::session::handshake::GateOne;
use crate::store::{Op, Table};

/// A request ends this long after the device last asked.
pub const PENDING_TTL: Duration = Duration::from_mins(5);
/// Most requests that wait at once; the one that was refreshed longest ago goes.
pub const MAX_PENDING: usize = 64;
/// Most paired devices; a further one is refused.
pub const MAX_DEVICES: usize = 10_000;

/// Everything that the registry knows.
#[derive(Debug, Default)]
pub struct PairingState {
    pub(super) devices: BTreeMap<String, Device>,
    pub(super) pending: BTreeMap<String, Pending>,
    /// Devices whose row differs from the store only in when they were last seen.
    touched: BTreeSet<String>,
    /// Requests whose row differs from the store only in when they were refreshed, or is gone.
    stale_requests: BTreeSet<String>,
    /// Requests that ended by themselves and are not told yet; there are at most [`MAX_PENDING`]
    /// requests, and the registry takes these twice a minute.
    ended: Vec<AuditRow>,
}

type Verdict = Step<Result<Admission, ErrorShape>>;

impl PairingState {
    /// The state that was committed; requests that ended meanwhile are left out.
    pub fn load(
        devices: BTreeMap<String, Device>,
        pending: BTreeMap<String, Pending>,
        now: Millis,
    ) -> Self {
        let mut state = Self {
            devices,
            pending,
            ..Self::default()
        };
        state.expire(now);
        state
    }

    /// Decides whether a device may connect.
    pub fn admit(
        &mut self,
        ask: &Admit,
        mark: Option<&SecretMark>,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Verdict {
        match &ask.gate {
            GateOne::DeviceToken { token, otherwise } => {
                self.admit_by_token(ask, token, otherwise, mark, now, entropy)
            }
            GateOne::Shared(method) => match self.gap(ask) {
                None => self.let_in(ask, method, mark, now, entropy),
                Some(gap) if self.may_be_silent(ask, gap) => {
                    self.approve_silently(ask, gap, method, mark, now, entropy)
                }
                Some(gap) => self.wait_for_owner(ask, gap, now, entropy),
            },
        }
    }

    /// What stands between the device and what it asks for.
    fn gap(&self, ask: &Admit) -> Option<Gap> {
        let Some(device) = self.known(ask) else {
            return Some(Gap::NotPaired);
        };
        let Some(grant) = device.grant(ask.role) else {
            return Some(Gap::Role);
        };
        if !grant.scopes.covers(ask.scopes) {
            return Some(Gap::Scopes);
        }
        let changed = ask.generation == Generation::V4 && metadata::differs(&device.about, ask);
        changed.then_some(Gap::Metadata)
    }

    fn known(&self, ask: &Admit) -> Option<&Device> {
        self.devices
            .get(&ask.device.id)
            .filter(|device| device.has_key(&ask.device))
    }

    /// Whether the gap closes without asking; the handshake has found that the device is local,
    /// knew the shared secret and asks from no foreign page.
    fn may_be_silent(&self, ask: &Admit, gap: Gap) -> bool {
        let stored = self.devices.get(&ask.device.id);
        ask.silent
            && match gap {
                Gap::NotPaired => stored.is_none(),
                // An owner who ended a role is asked before it comes back.
                Gap::Role => {
                    ask.role == Role::Operator
                        && stored.is_some_and(|device| !device.roles.contains_key(&ask.role))
                }
                Gap::Scopes => matches!(ask.gate, GateOne::Shared(_)),
                Gap::Metadata => {
                    metadata::is_native_app(ask.client.id, ask.client.mode)
                        || (ask.client.id, ask.client.mode) == (ClientId::Cli, ClientMode::Cli)
                }
            }
    }

    fn admit_by_token(
        &mut self,
        ask: &Admit,
        presented: &str,
        otherwise: &ErrorShape,
        mark: Option<&SecretMark>,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Verdict {
        let id = &ask.device.id;
        let refuse = |error: ErrorShape| Step::answer(id, Err(error));
        let Some(device) = self
            .devices
            .get_mut(id)
            .filter(|device| device.has_key(&ask.device))
        else {
            return refuse(otherwise.clone());
        };
        let changed = ask.generation == Generation::V4 && metadata::differs(&device.about, ask);
        let Some((token, approved)) = tokens::find(device, ask.role, presented, mark) else {
            return refuse(otherwise.clone());
        };
        if !(token.scopes.covers(ask.scopes) && approved.covers(ask.scopes)) {
            return refuse(scope_mismatch(ask.scopes, token.scopes));
        }
        if changed {
            return self.wait_for_owner(ask, Gap::Metadata, now, entropy);
        }
        token.last_used_at_ms = Some(now);
        let issued_at_ms = super::records::wire(token.issued());
        device.last_seen_at_ms = Some(now);
        self.touched.insert(id.clone());
        let admission = Admission {
            scopes: ask.scopes,
            method: "device-token".to_owned(),
            token: Some(IssuedToken {
                token: presented.to_owned(),
                issued_at_ms,
            }),
        };
        Step::answer(id, Ok(admission))
    }

    /// Hands a device that lacks nothing its token.
    fn let_in(
        &mut self,
        ask: &Admit,
        method: &str,
        mark: Option<&SecretMark>,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Verdict {
        let id = &ask.device.id;
        let mut effects = Effects::about(id);
        let handed = self.devices.get_mut(id).and_then(|device| {
            device.last_seen_at_ms = Some(now);
            device.about.remote_ip.clone_from(&ask.remote_ip);
            let grant = device.grant_mut(ask.role)?;
            let handed = tokens::hand_out(grant, ask.scopes, mark, now, entropy);
            if handed.minted {
                effects.put_device(id, device);
                let row = AuditRow::new(Kind::TokenIssued).client(&ask.client);
                effects.note(
                    row.role(ask.role)
                        .scopes(ask.scopes)
                        .via(method)
                        .address(&ask.remote_ip),
                );
            }
            Some(handed)
        });
        if effects.ops.is_empty() {
            self.touched.insert(id.clone());
        }
        effects.with(Ok(Admission {
            scopes: ask.scopes,
            method: method.to_owned(),
            token: handed.map(|handed| handed.token),
        }))
    }

    fn approve_silently(
        &mut self,
        ask: &Admit,
        gap: Gap,
        method: &str,
        mark: Option<&SecretMark>,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Verdict {
        let id = &ask.device.id;
        let request = Pending::new(
            entropy.uuid().to_string(),
            ask,
            self.devices.contains_key(id),
            now,
        );
        if let Err(error) = self.grant(id, &request, ApprovedVia::Silent, now) {
            return Step::answer(id, Err(error));
        }
        let Step {
            answer,
            mut effects,
        } = self.let_in(ask, method, mark, now, entropy);
        if effects.ops.is_empty()
            && let Some(device) = self.devices.get(id)
        {
            effects.put_device(id, device);
        }
        let answered = self.pending.get(id).is_some_and(|waiting| {
            request.scopes.covers(waiting.scopes) && waiting.roles.is_subset(&request.roles)
        });
        let waiting = answered.then(|| self.pending.remove(id)).flatten();
        if waiting.is_some() {
            effects.delete(Table::PairingPending, id);
        }
        let kind = match gap {
            Gap::NotPaired => Kind::PairingApproved,
            Gap::Role | Gap::Scopes | Gap::Metadata => Kind::UpgradeApproved,
        };
        let row = request
            .to_audit(kind)
            .via(ApprovedVia::Silent.as_str())
            .code(gap.as_str())
            .reason("it is on this machine and knew the shared secret");
        let request_id = waiting.unwrap_or(request).request_id;
        effects.resolved(id, &request_id, PairDecision::Approved, now);
        effects.note(row.request(&request_id));
        effects.with(answer)
    }

    /// Notes that a device's row differs from the store in what may be written later.
    pub(super) fn touch(&mut self, id: &str) {
        self.touched.insert(id.to_owned());
    }

    /// Moves what a request asks for to the device's grants; the caller writes the row.
    pub(super) fn grant(
        &mut self,
        id: &str,
        request: &Pending,
        via: ApprovedVia,
        now: Millis,
    ) -> Result<(), ErrorShape> {
        let known = self
            .devices
            .get(id)
            .filter(|device| device.public_key == request.public_key);
        if known.is_none() && !self.devices.contains_key(id) && self.devices.len() >= MAX_DEVICES {
            return Err(too_many_devices(MAX_DEVICES));
        }
        // Another key is another device: nothing of what the old one was given is kept.
        let mut device = known.cloned().unwrap_or_else(|| Device {
            public_key: request.public_key.clone(),
            about: About::default(),
            label: None,
            roles: BTreeMap::new(),
            node: None,
            approved_via: via,
            created_at_ms: now,
            approved_at_ms: now,
            last_seen_at_ms: None,
        });
        device.about.replace_by(&request.about);
        device.approved_via = via;
        device.approved_at_ms = now;
        for role in &request.roles {
            let asked = match role {
                Role::Operator => request.scopes,
                Role::Node => openclaw_protocol::Scopes::NONE,
            };
            let held = device
                .roles
                .remove(role)
                .filter(|grant| grant.revoked_at_ms.is_none());
            let (scopes, tokens) = held.map_or((asked, Vec::new()), |grant| {
                (grant.scopes.union(asked), grant.tokens)
            });
            let grant = Grant {
                scopes,
                via,
                approved_at_ms: now,
                revoked_at_ms: None,
                tokens,
            };
            device.roles.insert(*role, grant);
        }
        self.devices.insert(id.to_owned(), device);
        Ok(())
    }

    /// Files a request, or finds the one that waits already, and refuses with its id.
    fn wait_for_owner(
        &mut self,
        ask: &Admit,
        gap: Gap,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Verdict {
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
            let new = Pending::new(
                entropy.uuid().to_string(),
                ask,
                self.devices.contains_key(id),
                now,
            );
            self.file(&mut effects, id, new, ask, gap, now)
        };
        let known = self.known(ask);
        effects.with(Err(pairing_required(ask, gap, &request_id, known)))
    }

    fn file(
        &mut self,
        effects: &mut Effects,
        id: &str,
        mut new: Pending,
        ask: &Admit,
        gap: Gap,
        now: Millis,
    ) -> String {
        if let Some(older) = self.pending.remove(id) {
            effects.resolved(id, &older.request_id, PairDecision::Rejected, now);
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
        let kind = if gap == Gap::NotPaired {
            Kind::PairingRequested
        } else {
            Kind::UpgradeRequested
        };
        effects.note(new.to_audit(kind).code(gap.as_str()).reason(format!(
            "not approved without asking, because {}",
            why_not_silent(ask, gap)
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
            effects.resolved(&id, &pending.request_id, PairDecision::Rejected, now);
            let row = pending.to_audit(Kind::PairingExpired).device(&id);
            effects.notes.push(row.reason("too many requests wait"));
        }
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

    /// Requests that ended by themselves since the last call, for the audit trail.
    pub fn take_ended(&mut self) -> Vec<AuditRow> {
        std::mem::take(&mut self.ended)
    }

    /// Rows that need not be on the disk before an answer: last use, refreshes, ended requests.
    /// Also forgets the text of tokens that are no longer new.
    pub fn flush(&mut self, now: Millis) -> Vec<Op> {
        self.expire(now);
        let mut effects = Effects::default();
        for id in std::mem::take(&mut self.touched) {
            if let Some(device) = self.devices.get_mut(&id) {
                effects.put_device(&id, device);
            }
        }
        for id in std::mem::take(&mut self.stale_requests) {
            match self.pending.get(&id) {
                Some(pending) => effects.put_pending(&id, pending),
                None => effects.delete(Table::PairingPending, &id),
            }
        }
        for device in self.devices.values_mut() {
            tokens::forget(device, now);
        }
        effects.ops
    }
}
