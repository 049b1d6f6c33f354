//! What is to be sent. A row is committed before anything leaves, as `sending` before it leaves, and
//! is gone when the platform confirmed it. What left and was not confirmed is `unknown`, and stays so
//! until a person looks. Pure but for building rows.

pub(crate) mod lost;
mod queue;

use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use openclaw_protocol::methods::channels::Undelivered;
use serde::{Deserialize, Serialize};

use super::files::FileRef;
use super::{AccountRef, Piece, Target};
use crate::clock::Millis;
use crate::store::{Op, StoreError, StoreReader, Table, rows};

pub use queue::{Entry, Next, Outcome, Queue};

/// Most pieces of one account that wait; at more, nothing else is to be sent, and no message is handed
/// over to be answered.
pub const MAX_WAITING: usize = 2_000;
/// A piece that waited longer than this is not sent any more.
pub const MAX_AGE: Duration = Duration::from_hours(24);
/// How long pieces that did not arrive are kept for a person to see.
pub const KEPT: Duration = Duration::from_hours(30 * 24);

/// Where a piece stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SendState {
    /// It waits.
    Queued,
    /// It is on its way.
    Sending,
    /// It left, and nobody can say what became of it.
    Unknown,
    /// The platform refused it.
    Refused,
    /// It waited too long.
    Expired,
}

/// A piece as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Names it: whose answer it is, and which part.
    pub id: String,
    /// Where it goes.
    pub to: Target,
    /// Markdown.
    pub text: String,
    /// The message that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Without a sound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// A message of ours that becomes this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edits: Option<String>,
    /// A file that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileRef>,
    /// When it was written, milliseconds since the epoch.
    pub at: i64,
    /// What wrote it.
    pub by: String,
    /// Where it stands.
    pub state: SendState,
    /// Why it did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl SendState {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

impl Row {
    /// As people see it.
    pub fn shown(&self) -> Undelivered {
        Undelivered {
            id: self.id.clone(),
            to: self.to.to_string(),
            at: Millis(self.at).wire(),
            state: self.state.as_str().to_owned(),
            why: self.why.clone(),
            by: self.by.clone(),
        }
    }

    /// As the transport gets it, but for its file, which is read from the disk.
    pub fn piece(&self) -> Piece {
        Piece {
            to: self.to.clone(),
            text: self.text.clone(),
            reply_to: self.reply_to.clone(),
            silent: self.silent,
            edits: self.edits.clone(),
            file: None,
        }
    }
}

pub(crate) fn row_key(account: &AccountRef, seq: u64) -> Vec<u8> {
    let mut key = account.prefix();
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// The change that writes a row.
///
/// # Errors
///
/// When it cannot be JSON.
pub fn op(account: &AccountRef, seq: u64, row: &Row) -> Result<Op, StoreError> {
    Op::put_json(Table::Sends, row_key(account, seq), row)
}

/// Whether the row of a piece is on the disk.
///
/// # Errors
///
/// When the table cannot be read.
pub(crate) fn is_stored(
    reader: &StoreReader,
    account: &AccountRef,
    seq: u64,
) -> Result<bool, StoreError> {
    let row = reader.get(Table::Sends, &row_key(account, seq))?;
    Ok(row.is_some())
}

/// When a piece that did not arrive was written, for retention; `None` while it waits.
pub(crate) fn age(row: &[u8]) -> Option<Millis> {
    let row: Row = rows::decode(Table::Sends, row).ok()?;
    let over = !matches!(row.state, SendState::Queued | SendState::Sending);
    over.then_some(Millis(row.at))
}

/// Who waits for pieces to arrive.
pub trait Waiter: Send {
    /// One of them came to its end; gives back what is committed together with it. Asked again when
    /// that commit fails.
    fn settled(&mut self, settled: &Settled, last: bool, now: Millis) -> Vec<Op>;

    /// That is committed.
    fn committed(&mut self, last: bool);
}

/// The end of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It arrived, under this id.
    Sent(String),
    /// It did not, or nobody knows.
    Failed {
        /// Which of these.
        state: SendState,
        /// In words.
        why: String,
    },
}

/// Several pieces of one message share a waiter.
pub type SharedWaiter = Arc<Mutex<dyn Waiter>>;
