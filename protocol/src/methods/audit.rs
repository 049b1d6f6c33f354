//! `trust.audit.list`: what was decided about trust. Our own method: upstream's `audit.list` is a
//! record of runs, with other parameters and rows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{MAX_ID, MAX_INT};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Trust decisions, newest first: who, what, from where, why.
    AuditList => "trust.audit.list", Access::Operator(Scope::Admin), read, AuditListParams => AuditListResult;
}

/// Most rows of one answer.
pub const MAX_AUDIT_ROWS: u32 = 500;

/// Parameters of `trust.audit.list`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditListParams {
    /// Most rows; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_AUDIT_ROWS))]
    pub limit: Option<u32>,
    /// Only rows older than this one: `nextBefore` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub before: Option<u64>,
    /// Only rows about devices whose id begins with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub device: Option<String>,
    /// Only rows of this kind, or of this family: `pairing` means every `pairing.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub kind: Option<String>,
    /// Only rows of this time or later, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub since: Option<u64>,
}

/// Trust decisions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditListResult {
    /// The rows, newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub next_before: Option<u64>,
    /// Rows that could not be kept since the gateway started; the log has their lines.
    #[schemars(range(max = MAX_INT))]
    pub dropped: u64,
}

/// One decision. Texts that others chose are capped, and their control characters are escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number; rows are numbered in the order in which they were noted.
    #[serde(default)]
    #[schemars(range(max = MAX_INT))]
    pub id: u64,
    /// When, milliseconds since the epoch; of the first, when several are counted together.
    #[schemars(range(max = MAX_INT))]
    pub ts: u64,
    /// What: `connect.refused`, `pairing.approved`, `token.revoked` and so on.
    pub kind: String,
    /// The finer code, as in `details.code` of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The device that it is about; of a refused connect, the one that it claims to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// What that device calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Its client program, as `id/mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// By which way: `silent`, `owner`, `bootstrap`; of a connect, what it proved itself with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Who decided, where somebody did: `device:ID` or `client:ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The page that a browser was on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The request that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How many alike this row stands for, when more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub count: Option<u64>,
    /// When the last of them was, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub last_ts: Option<u64>,
}
