//! What owners decide: approve, reject. Pure.

use openclaw_protocol::ErrorShape;
use openclaw_protocol::events::device::PairDecision;
use openclaw_protocol::methods::device::{
    DevicePairApproveResult, DevicePairListResult, DevicePairRejectResult,
};

use super::authority::Authority;
use super::effects::{Effects, Step};
use super::records::ApprovedVia;
use super::state::PairingState;
use crate::audit::Kind;
use crate::clock::Millis;
use crate::store::Table;

/// A decision with its answer.
pub(super) type Decision<T> = Step<Result<T, ErrorShape>>;

impl PairingState {
    /// Requests and devices that the caller may see: requests oldest first, devices newest first.
    pub(crate) fn list(&mut self, by: &Authority, now: Millis) -> DevicePairListResult {
        self.expire(now);
        let mut list = DevicePairListResult {
            pending: self
                .pending
                .iter()
                .filter(|(id, _)| by.reaches(id))
                .map(|(id, pending)| pending.to_wire(id))
                .collect(),
            paired: self
                .devices
                .iter()
                .filter(|(id, _)| by.reaches(id))
                .map(|(id, device)| device.to_wire(id))
                .collect(),
        };
        list.pending.sort_by_key(|request| request.ts);
        list.paired
            .sort_by_key(|device| std::cmp::Reverse(device.approved_at_ms));
        list
    }

    /// Pairs the device of a request.
    pub(crate) fn approve(
        &mut self,
        request_id: &str,
        by: &Authority,
        now: Millis,
    ) -> Decision<DevicePairApproveResult> {
        let Some(id) = self.device_of(request_id, now) else {
            return self.unknown_pairing(request_id);
        };
        let Some(request) = self.pending.get(&id).cloned() else {
            return unknown_pairing();
        };
        if let Err(error) = by.may_approve(&id, &request) {
            return Step::answer(&id, Err(error));
        }
        if let Err(error) = self.grant(&id, &request, ApprovedVia::Owner, now) {
            return Step::answer(&id, Err(error));
        }
        let Some(device) = self.devices.get(&id) else {
            return unknown_pairing();
        };
        let mut effects = Effects::about(&id);
        effects.put_device(&id, device);
        effects.delete(Table::PairingPending, &id);
        let kind = if request.is_repair {
            Kind::UpgradeApproved
        } else {
            Kind::PairingApproved
        };
        effects.note(
            request
                .to_audit(kind)
                .via(ApprovedVia::Owner.as_str())
                .by(&by.name),
        );
        let device = device.to_wire(&id);
        self.pending.remove(&id);
        self.over(&mut effects, &id, &request, PairDecision::Approved, now);
        effects.with(Ok(DevicePairApproveResult {
            request_id: request_id.to_owned(),
            device,
        }))
    }

    /// Refuses the device of a request. It may ask again.
    pub(crate) fn reject(
        &mut self,
        request_id: &str,
        by: &Authority,
        now: Millis,
    ) -> Decision<DevicePairRejectResult> {
        let Some(id) = self.device_of(request_id, now) else {
            return self.unknown_pairing(request_id);
        };
        if !by.reaches(&id) {
            let denied = ErrorShape::invalid("device pairing rejection denied");
            return Step::answer(&id, Err(denied));
        }
        let Some(request) = self.pending.remove(&id) else {
            return unknown_pairing();
        };
        let mut effects = Effects::about(&id);
        effects.delete(Table::PairingPending, &id);
        effects.note(request.to_audit(Kind::PairingRejected).by(&by.name));
        self.over(&mut effects, &id, &request, PairDecision::Rejected, now);
        effects.with(Ok(DevicePairRejectResult {
            request_id: request_id.to_owned(),
            device_id: id,
        }))
    }

    fn device_of(&mut self, request_id: &str, now: Millis) -> Option<String> {
        self.expire(now);
        self.pending
            .iter()
            .find(|(_, pending)| pending.request_id == request_id)
            .map(|(id, _)| id.clone())
    }
}

impl PairingState {
    /// Nobody waits under this id, or a node does, whose offers are decided elsewhere.
    fn unknown_pairing<T>(&mut self, request_id: &str) -> Decision<T> {
        if self.is_node_request(request_id) {
            return unknown_request(&format!(
                "it is about what a paired node offers; see: openclaw nodes pending, then: openclaw nodes approve {request_id}"
            ));
        }
        unknown_pairing()
    }
}

fn unknown_pairing<T>() -> Decision<T> {
    unknown_request(
        "it was decided, replaced or ended after five minutes; see: openclaw devices list",
    )
}

/// Nobody waits under this id; `hint` says why that may be.
pub(super) fn unknown_request<T>(hint: &str) -> Decision<T> {
    Step::answer(
        "",
        Err(
            ErrorShape::invalid("unknown requestId").with_details(serde_json::json!({
                "code": "UNKNOWN_REQUEST_ID",
                "remediationHint": hint,
            })),
        ),
    )
}
