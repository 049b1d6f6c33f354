//! `exec.approval.requested` and `exec.approval.resolved`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::methods::approvals::Text;

/// Name of the event; its payload is [`crate::methods::approvals::PendingExecApproval`].
pub const EXEC_APPROVAL_REQUESTED: &str = "exec.approval.requested";
/// Name of the event.
pub const EXEC_APPROVAL_RESOLVED: &str = "exec.approval.resolved";

/// Payload of `exec.approval.resolved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalResolvedEvent {
    /// What was asked.
    pub id: String,
    /// `allow-once`, `allow-always` or `deny`; null when its time ran out or its run was stopped.
    pub decision: Text,
    /// Who decided.
    pub resolved_by: Text,
    /// When, milliseconds since the epoch.
    pub ts: u64,
}
