//! The tables of the file and the changes that can be made to them.

use redb::TableDefinition;

/// A table of byte keys and byte values. Adding one here is all it takes: a table that the file
/// does not have yet reads as empty and is made by its first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Facts about the file itself: schema version, last probe.
    Meta,
    /// Paired devices and their hashed tokens.
    Devices,
    /// Pairing requests that wait for a decision.
    PairingPending,
    /// One-time setup codes, hashed.
    PairingSetups,
    /// Chat sessions: index rows by session key.
    Sessions,
    /// Chat rows by (session id, sequence number); see [`super::keys`].
    Transcript,
    /// Idempotency keys with their digests and results.
    Idempotency,
    /// Outgoing messages and their state.
    Sends,
    /// Who did what, when.
    Audit,
    /// The lasting rules of exec approvals.
    ExecApprovals,
    /// Which files a transcript names: rows by (session id, content hash).
    Media,
    /// Jobs that run by the clock.
    Cron,
    /// Their runs by (job, number).
    CronRuns,
    /// When agents looked after things by themselves, and what waits for that.
    Heartbeats,
    /// What answers took: rows by (time, session id, sequence number).
    Usage,
    /// What waits for nodes, and the words that wake them.
    Nodes,
    /// Messages that channels brought, until they are answered.
    ChannelInbox,
    /// Where each account of a channel goes on receiving.
    ChannelState,
    /// Who asked to write to an account of a channel, and who may.
    ChannelPairing,
}

impl Table {
    /// Every table, in the order in which a commit opens them.
    pub const ALL: [Self; 19] = [
        Self::Meta,
        Self::Devices,
        Self::PairingPending,
        Self::PairingSetups,
        Self::Sessions,
        Self::Transcript,
        Self::Idempotency,
        Self::Sends,
        Self::Audit,
        Self::ExecApprovals,
        Self::Media,
        Self::Cron,
        Self::CronRuns,
        Self::Heartbeats,
        Self::Usage,
        Self::Nodes,
        Self::ChannelInbox,
        Self::ChannelState,
        Self::ChannelPairing,
    ];

    /// The name in the file. It is part of the format: never rename one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Devices => "devices",
            Self::PairingPending => "pairing_pending",
            Self::PairingSetups => "pairing_setups",
            Self::Sessions => "sessions",
            Self::Transcript => "transcript",
            Self::Idempotency => "idempotency",
            Self::Sends => "sends",
            Self::Audit => "audit",
            Self::ExecApprovals => "exec_approvals",
            Self::Media => "media",
            Self::Cron => "cron",
            Self::CronRuns => "cron_runs",
            Self::Heartbeats => "heartbeats",
            Self::Usage => "usage",
            Self::Nodes => "nodes",
            Self::ChannelInbox => "channel_inbox",
            Self::ChannelState => "channel_state",
            Self::ChannelPairing => "channel_pairing",
        }
    }

    pub(super) const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }
}

/// One change. The changes of one [`super::Commit`] are applied in order, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a row, over an older one with the same key.
    Put {
        /// Where.
        table: Table,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a row; it need not exist.
    Delete {
        /// Where.
        table: Table,
        /// The key.
        key: Vec<u8>,
    },
    /// Removes every row from `from` (included) to `to` (excluded); an empty `to` means to the end.
    DeleteRange {
        /// Where.
        table: Table,
        /// The first key that goes.
        from: Vec<u8>,
        /// The first key that stays.
        to: Vec<u8>,
    },
}

impl Op {
    /// The bytes this change holds in memory while it waits.
    pub fn bytes(&self) -> usize {
        // The fixed part covers the enum itself, so that a million empty deletes are not free.
        const FIXED: usize = size_of::<Op>();
        FIXED
            + match self {
                Self::Put { key, value, .. } => key.len() + value.len(),
                Self::Delete { key, .. } => key.len(),
                Self::DeleteRange { from, to, .. } => from.len() + to.len(),
            }
    }

    pub(super) const fn table(&self) -> Table {
        match self {
            Self::Put { table, .. }
            | Self::Delete { table, .. }
            | Self::DeleteRange { table, .. } => *table,
        }
    }
}
