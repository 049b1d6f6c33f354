//! The lines of the sidecar, as types.

use serde::Deserialize;
use serde_json::Value;

/// What this gateway speaks with it.
pub(super) const PROTOCOL: u64 = 1;

/// What it says by itself.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event {
    /// It runs.
    Hello {
        /// The version of these lines.
        protocol: u64,
        /// What it connects with.
        #[serde(default)]
        baileys: String,
    },
    /// To be shown as a picture, and scanned by the phone.
    Qr {
        /// What the picture says.
        code: String,
    },
    /// To be typed into the phone.
    PairingCode {
        /// Eight letters and digits.
        code: String,
    },
    /// WhatsApp took us in.
    Open {
        /// Who we are.
        me: Identity,
    },
    /// Credentials are on the disk.
    Creds {
        /// Whose, once a device is linked.
        me: Option<String>,
    },
    /// Somebody wrote.
    Message {
        /// What is acknowledged.
        seq: u64,
        /// What they wrote.
        message: Box<Message>,
    },
    /// What became of a message of ours.
    Receipt {
        /// Which.
        id: String,
        /// As the platform counts: 2 at its servers, 3 at the device, 4 read.
        status: u64,
    },
    /// The connection is over.
    Close {
        /// The platform's code, 0 when it has none.
        code: u16,
        /// In words.
        #[serde(default)]
        why: String,
    },
    /// What a later sidecar has more.
    #[serde(other)]
    Other,
}

/// An answer.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// To what.
    pub(super) id: u64,
    /// What came of it.
    #[serde(default)]
    pub(super) result: Value,
    /// Why nothing did.
    pub(super) error: Option<Problem>,
}

/// Why something was not done.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    /// What is known of it.
    #[serde(default)]
    pub(super) class: Class,
    /// In words.
    #[serde(default)]
    pub(super) message: String,
}

/// What is known of something that failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Class {
    /// Nothing left.
    NotSent,
    /// It would be refused again.
    Refused,
    /// Nothing.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A linked device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Identity {
    /// `<number>:<device>@s.whatsapp.net`.
    pub(super) id: Option<String>,
    /// The id that hides the number.
    pub(super) lid: Option<String>,
    /// The name that others see.
    pub(super) name: Option<String>,
}

/// A message as the sidecar hands it over.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Message {
    /// The platform's id.
    pub(super) id: String,
    /// Where.
    pub(super) chat: String,
    /// By whom, as a number where that is known.
    pub(super) sender: String,
    /// By whom in a group, as the platform writes it.
    pub(super) participant: Option<String>,
    /// Whether it was written with our account.
    pub(super) from_me: bool,
    /// Whether it waited for us.
    pub(super) offline: bool,
    /// What its writer is called.
    pub(super) name: Option<String>,
    /// What the group is called.
    pub(super) title: Option<String>,
    /// When, milliseconds since the epoch.
    pub(super) at: i64,
    /// What.
    pub(super) content: Value,
}
