//! `exec.approval.*` and `exec.approvals.*`; owner: approvals.

mod get;
mod list;
mod request;
mod resolve;
mod rules;
mod wait;

use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::approvals::ExecApprovalDecided;
use serde_json::json;

use crate::approvals::state::Told;

/// Nobody knows the id.
fn unknown() -> ErrorShape {
    ErrorShape::invalid("unknown or expired approval id").with_details(json!({
        "reason": "APPROVAL_NOT_FOUND",
        "remediation": "exec.approval.list shows what waits",
    }))
}

fn decided(id: String, times: (u64, u64), decision: Told) -> ExecApprovalDecided {
    ExecApprovalDecided {
        id,
        decision: decision.map(|decision| decision.as_str().to_owned()).into(),
        created_at_ms: times.0,
        expires_at_ms: times.1,
    }
}
