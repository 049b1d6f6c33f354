//! What can go wrong with the store, in words for a person and codes for a client.

use std::path::PathBuf;

use super::table::Table;

/// Why a read or a commit was refused. On the wire every one of them is `UNAVAILABLE` with
/// [`StoreError::details_code`] in `details.code`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be read or written now. A commit that got this was not confirmed: it may be
    /// found in the file later, and a retry must carry its idempotency key.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Too much is waiting to be written; nothing of this commit was queued.
    #[error(
        "the store is busy: {commits} changes of {bytes} bytes wait to be written; retry in a moment"
    )]
    Busy {
        /// Commits that wait already.
        commits: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// One commit is larger than the store takes at once; nothing of it was queued.
    #[error("one write holds {bytes} bytes, the limit is {limit}; split it")]
    TooLarge {
        /// The size of the refused commit.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// Another process, or another store of this one, has the file.
    #[error(
        "`{}` is in use by another gateway; stop that one first, or start this one with another OPENCLAW_STATE_DIR",
        path.display()
    )]
    AlreadyOpen {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a database, or is damaged.
    #[error(
        "`{name}` is damaged ({reason}); restore it from a backup, or move it away (`mv '{name}' '{name}.damaged'`) and start again with an empty one"
    )]
    Corrupt {
        /// The database file.
        name: String,
        /// What was found.
        reason: String,
    },
    /// The file was written by a later release.
    #[error(
        "`{name}` was written by version {written_by} (format {found}, this build knows up to {supported}); run that version or newer"
    )]
    Newer {
        /// The database file.
        name: String,
        /// The release that wrote it.
        written_by: String,
        /// Its format.
        found: u32,
        /// The newest format this build reads.
        supported: u32,
    },
    /// One row cannot be decoded (or encoded); the rest of the file is fine.
    #[error("a row of table `{}` is not readable: {reason}", table.name())]
    Row {
        /// Where.
        table: Table,
        /// What is wrong with it; never its content.
        reason: String,
    },
}

impl StoreError {
    /// The `details.code` of the `UNAVAILABLE` answer.
    pub const fn details_code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "store-busy",
            Self::TooLarge { .. } => "store-too-large",
            Self::Row { .. } => "store-row",
            Self::Unavailable(_)
            | Self::AlreadyOpen { .. }
            | Self::Corrupt { .. }
            | Self::Newer { .. } => "store-unavailable",
        }
    }

    /// Whether the same call can succeed later without anybody changing it.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Busy { .. } => true,
            Self::TooLarge { .. }
            | Self::AlreadyOpen { .. }
            | Self::Corrupt { .. }
            | Self::Newer { .. }
            | Self::Row { .. } => false,
        }
    }

    /// Milliseconds after which a retry makes sense, for `retryAfterMs`.
    pub const fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Busy { .. } => Some(100),
            Self::Unavailable(_) => Some(1_000),
            Self::TooLarge { .. }
            | Self::AlreadyOpen { .. }
            | Self::Corrupt { .. }
            | Self::Newer { .. }
            | Self::Row { .. } => None,
        }
    }

    /// Whether a start that met this can never succeed without a person: the daemon exits 78.
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::AlreadyOpen { .. } | Self::Corrupt { .. } | Self::Newer { .. }
        )
    }
}
