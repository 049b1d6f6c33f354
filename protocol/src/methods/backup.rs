//! `backup.snapshot`: a copy of the database for a backup, made while the gateway runs. Our own method:
//! upstream's backups are made by its command line alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::MAX_INT;
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Writes a copy of everything that is committed into the state directory.
    BackupSnapshot => "backup.snapshot", Access::Operator(Scope::Admin), effect, BackupSnapshotParams => BackupSnapshotResult;
}

/// Parameters of `backup.snapshot`: none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupSnapshotParams {}

/// Result of `backup.snapshot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackupSnapshotResult {
    /// The copy, a file on the gateway's host. It goes within a day; whoever asked for it takes it away.
    pub path: String,
    /// Its size, bytes.
    #[schemars(range(max = MAX_INT))]
    pub bytes: u64,
    /// How many rows it holds.
    #[schemars(range(max = MAX_INT))]
    pub rows: u64,
}
