//! What owners end or change: remove, rename, rotate, revoke. Pure.

use openclaw_protocol::events::device::PairDecision;
use openclaw_protocol::methods::device::{
    DevicePairRemoveResult, DevicePairRenameParams, DevicePairRenameResult,
    DeviceTokenRevokeParams, DeviceTokenRevokeResult, DeviceTokenRotateParams,
    DeviceTokenRotateResult, TokenDelivery,
};
use openclaw_protocol::{ErrorShape, Generation, Role, Scopes};

use super::authority::Authority;
use super::decisions::Decision;
use super::effects::{Effects, Step};
use super::records::{Grant, SecretMark};
use super::state::PairingState;
use super::tokens;
use crate::audit::{AuditRow, Kind};
use crate::clock::{Entropy, Millis};
use crate::store::Table;

impl PairingState {
    /// Ends a pairing: the device is unknown from now on.
    pub(crate) fn remove(
        &mut self,
        id: &str,
        by: &Authority,
        now: Millis,
    ) -> Decision<DevicePairRemoveResult> {
        if !by.reaches(id) {
            return denied(id, "device pairing removal denied");
        }
        let Some(mut device) = self.devices.remove(id) else {
            return denied(id, "unknown deviceId");
        };
        let mut effects = Effects::about(id);
        let row = AuditRow::new(Kind::DeviceRemoved).by(&by.name);
        effects.note(device.about.to_audit(row));
        effects.end_node(id, &mut device, now);
        effects.delete(Table::Devices, id);
        if let Some(pending) = self.pending.remove(id) {
            effects.delete(Table::PairingPending, id);
            self.over(&mut effects, id, &pending, PairDecision::Rejected, now);
        }
        self.end_setups_of(&mut effects, id);
        effects.with(Ok(DevicePairRemoveResult {
            device_id: id.to_owned(),
        }))
    }

    /// Gives a device a name that it cannot change itself.
    pub(crate) fn rename(
        &mut self,
        params: &DevicePairRenameParams,
        by: &Authority,
    ) -> Decision<DevicePairRenameResult> {
        let id = &params.device_id;
        if !by.reaches(id) {
            return denied(id, "device pairing rename denied");
        }
        let label = params.label.trim();
        if label.is_empty() {
            return denied(id, "label must not be blank");
        }
        let Some(device) = self.devices.get_mut(id) else {
            return denied(id, "unknown deviceId");
        };
        device.label = Some(label.to_owned());
        let mut effects = Effects::about(id);
        effects.note(AuditRow::new(Kind::DeviceRenamed).name(label).by(&by.name));
        effects.put_device(id, device);
        effects.with(Ok(DevicePairRenameResult {
            device_id: id.clone(),
            label: label.to_owned(),
        }))
    }

    /// Replaces every token of a role by a new one. The refusal never says what was wrong.
    pub(crate) fn rotate(
        &mut self,
        params: &DeviceTokenRotateParams,
        by: &Authority,
        mark: Option<&SecretMark>,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Decision<DeviceTokenRotateResult> {
        const DENIED: &str = "device token rotation denied";
        let id = &params.device_id;
        let Some((role, grant)) = self.held(id, &params.role, by) else {
            return denied(id, DENIED);
        };
        let scopes = params
            .scopes
            .as_ref()
            .map_or(grant.scopes, |names| Scopes::parse(names));
        if !grant.scopes.covers(scopes) || !(by.is_admin() || by.scopes.covers(scopes)) {
            return denied(id, DENIED);
        }
        grant.tokens.clear();
        let issued = tokens::mint(grant, scopes, mark, now, entropy);
        for token in &mut grant.tokens {
            token.rotated_at_ms = Some(now);
        }
        let own = by.device_id.as_deref() == Some(id);
        // The token is worth nothing without the device's key; a v3 client expects it always.
        let in_band = own || by.generation == Generation::V3;
        let delivery = if in_band {
            TokenDelivery::InBand
        } else {
            TokenDelivery::WithheldCrossDevice
        };
        let mut effects = Effects::about(id);
        let row = AuditRow::new(Kind::TokenRotated).by(&by.name);
        effects.note(row.role(role).scopes(scopes));
        self.write(&mut effects, id);
        effects.with(Ok(DeviceTokenRotateResult {
            device_id: id.clone(),
            role: role.as_str().to_owned(),
            scopes: scopes.names().into_iter().map(str::to_owned).collect(),
            rotated_at_ms: issued.issued_at_ms,
            token: in_band.then_some(issued.token),
            token_delivery: (by.generation == Generation::V4).then_some(delivery),
        }))
    }

    /// Ends a role: its tokens now, its approval until an owner gives it again.
    pub(crate) fn revoke(
        &mut self,
        params: &DeviceTokenRevokeParams,
        by: &Authority,
        now: Millis,
    ) -> Decision<DeviceTokenRevokeResult> {
        let id = &params.device_id;
        let Some((role, grant)) = self.held(id, &params.role, by) else {
            return denied(id, "device token revocation denied");
        };
        grant.tokens.clear();
        grant.revoked_at_ms = Some(now);
        let mut effects = Effects::about(id);
        let row = AuditRow::new(Kind::TokenRevoked).by(&by.name);
        effects.note(row.role(role));
        if role == Role::Node
            && let Some(device) = self.devices.get_mut(id)
        {
            effects.end_node(id, device, now);
        }
        self.write(&mut effects, id);
        self.end_setups_of(&mut effects, id);
        effects.with(Ok(DeviceTokenRevokeResult {
            device_id: id.clone(),
            role: role.as_str().to_owned(),
            revoked_at_ms: now.wire(),
        }))
    }

    fn held(&mut self, id: &str, role: &str, by: &Authority) -> Option<(Role, &mut Grant)> {
        let role = Role::parse(role).filter(|_| by.reaches(id))?;
        let grant = self.devices.get_mut(id)?.grant_mut(role)?;
        Some((role, grant))
    }

    fn write(&self, effects: &mut Effects, id: &str) {
        if let Some(device) = self.devices.get(id) {
            effects.put_device(id, device);
        }
    }
}

/// A refusal that changes nothing.
pub(super) fn denied<T>(id: &str, why: &'static str) -> Decision<T> {
    Step::answer(id, Err(ErrorShape::invalid(why)))
}
