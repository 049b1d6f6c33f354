//! Who is trusted with what, and how that comes about. Pure: takes the time and randomness, gives
//! answers, rows to write and events.
//!
//! **Invariants.** Trust grows only by an owner's decision or by a silent approval, never by a
//! connect alone. A token opens nothing but its own device and role, and never more than its role
//! is approved for. At most four tokens per device and role, one request per device.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use openclaw_protocol::client::{ClientId, ClientMode};
use openclaw_protocol::events::device::PairDecision;
use openclaw_protocol::{ErrorShape, Generation, Role, Scopes};

use super::effects::{Effects, Step};
use super::metadata;
use super::records::{About, ApprovedVia, Device, Grant, Pending, SecretMark};
use super::refusal::{Gap, scope_mismatch, too_many_devices};
use super::requests::Ending;
use super::setup::Setup;
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
    pub(super) stale_requests: BTreeSet<String>,
    /// Setup codes by their id.
    pub(super) setups: BTreeMap<String, Setup>,
    /// Setup codes that are gone, and whose row is not yet.
    pub(super) stale_setups: BTreeSet<String>,
    /// How the last requests ended, oldest first, for devices that wait for that.
    pub(super) endings: VecDeque<Ending>,
    /// Requests that ended by themselves and are not told yet; there are at most [`MAX_PENDING`]
    /// requests, and the registry takes these twice a minute.
    pub(super) ended: Vec<AuditRow>,
}

type Verdict = Step<Result<Admission, ErrorShape>>;

impl PairingState {
    /// The state that was committed; requests that ended meanwhile are left out.
    pub fn load(
        devices: BTreeMap<String, Device>,
        pending: BTreeMap<String, Pending>,
        setups: BTreeMap<String, Setup>,
        now: Millis,
    ) -> Self {
        let mut state = Self {
            devices,
            pending,
            setups,
            ..Self::default()
        };
        state.expire(now);
        state.expire_setups(now);
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
            GateOne::Bootstrap { token, otherwise } => match self.open_setup(ask, token, now) {
                Some(setup) => self.admit_by_setup(ask, &setup, mark, now, entropy),
                None => match otherwise {
                    Ok(gate) => {
                        let gate = (**gate).clone();
                        let ask = Admit {
                            gate,
                            ..ask.clone()
                        };
                        self.admit(&ask, mark, now, entropy)
                    }
                    Err(error) => Step::answer(&ask.device.id, Err((**error).clone())),
                },
            },
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
    pub(super) fn gap(&self, ask: &Admit) -> Option<Gap> {
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

    pub(super) fn known(&self, ask: &Admit) -> Option<&Device> {
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
        let issued_at_ms = token.issued().wire();
        let by_secret = token.bound_to.is_some();
        device.last_seen_at_ms = Some(now);
        self.touched.insert(id.clone());
        let admission = Admission {
            scopes: ask.scopes,
            method: "device-token".to_owned(),
            token: Some(IssuedToken {
                token: presented.to_owned(),
                issued_at_ms,
            }),
            by_secret,
            further: Vec::new(),
            setup: None,
        };
        Step::answer(id, Ok(admission))
    }

    /// Hands a device that lacks nothing its token.
    pub(super) fn let_in(
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
            by_secret: matches!(ask.gate, GateOne::Shared(_)),
            further: Vec::new(),
            setup: None,
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
        let kind = match gap {
            Gap::NotPaired => Kind::PairingApproved,
            Gap::Role | Gap::Scopes | Gap::Metadata => Kind::UpgradeApproved,
        };
        let row = request
            .to_audit(kind)
            .via(ApprovedVia::Silent.as_str())
            .code(gap.as_str())
            .reason("it is on this machine and knew the shared secret");
        let request_id = self
            .answered_by(&mut effects, id, &request)
            .unwrap_or(request.request_id);
        effects.resolved(id, &request_id, PairDecision::Approved, now);
        effects.note(row.request(&request_id));
        effects.with(answer)
    }

    /// The roles that devices have.
    pub(crate) fn trusted(&self) -> BTreeSet<(String, Role)> {
        let roles = self.devices.iter().flat_map(|(id, device)| {
            let held = [Role::Operator, Role::Node].into_iter();
            let held = held.filter(|role| device.grant(*role).is_some());
            held.map(|role| (id.clone(), role))
        });
        roles.collect()
    }

    /// The request of a device that waits.
    #[cfg(test)]
    pub(crate) fn request_of(&self, device: &str) -> Option<String> {
        self.pending
            .get(device)
            .map(|pending| pending.request_id.clone())
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
        let owner = via != ApprovedVia::Silent;
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
            owned: false,
            created_at_ms: now,
            approved_at_ms: now,
            last_seen_at_ms: None,
        });
        device.about.replace_by(&request.about);
        device.owned |= owner || device.approved_via != ApprovedVia::Silent;
        device.approved_via = via;
        device.approved_at_ms = now;
        for role in &request.roles {
            let asked = match role {
                Role::Operator => request.scopes,
                Role::Node => Scopes::NONE,
            };
            let held = device
                .roles
                .remove(role)
                .filter(|grant| grant.revoked_at_ms.is_none());
            let (scopes, mut tokens) = held.map_or((asked, Vec::new()), |grant| {
                let held = if request.replaces {
                    Scopes::NONE
                } else {
                    grant.scopes
                };
                (held.union(asked), grant.tokens)
            });
            // What was approved anew is all there is: no token may give more.
            tokens.retain(|token| scopes.covers(token.scopes));
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

    /// A device is gone: there is no row of it to write any more.
    pub(super) fn forget_touched(&mut self, id: &str) {
        self.touched.remove(id);
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
        self.expire_setups(now);
        for id in std::mem::take(&mut self.stale_setups) {
            effects.delete(Table::PairingSetups, &id);
        }
        for device in self.devices.values_mut() {
            tokens::forget(device, now);
        }
        effects.ops
    }
}
