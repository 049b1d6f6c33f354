//! What was found, and what became of it.

use std::path::PathBuf;

use serde::Serialize;

/// Most lines about what was left; the rest is counted.
const MAX_LEFT: usize = 500;

/// A kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// Configuration, credentials and other files that are used as they are.
    Files,
    /// Devices.
    Devices,
    /// Their tokens.
    Tokens,
    /// Conversations.
    Conversations,
    /// Their messages.
    Messages,
    /// Jobs that run by the clock.
    Jobs,
    /// People who may write on channels.
    People,
    /// Lasting rules about programs.
    Rules,
}

impl What {
    const ALL: [Self; 8] = [
        Self::Files,
        Self::Devices,
        Self::Tokens,
        Self::Conversations,
        Self::Messages,
        Self::Jobs,
        Self::People,
        Self::Rules,
    ];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Devices => "devices",
            Self::Tokens => "their tokens",
            Self::Conversations => "conversations",
            Self::Messages => "their messages",
            Self::Jobs => "jobs",
            Self::People => "people on channels",
            Self::Rules => "rules about programs",
        }
    }
}

/// How many of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// The kind.
    pub what: What,
    /// Taken over, or would be.
    pub taken: u64,
    /// Here already.
    pub there: u64,
    /// Not taken over.
    pub left: u64,
}

/// Something that was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// The kind.
    pub what: What,
    /// Which.
    pub name: String,
    /// Why not, or what of it.
    pub reason: String,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The other gateway's state directory.
    pub from: PathBuf,
    /// This gateway's.
    pub to: PathBuf,
    /// Each kind.
    pub counts: Vec<Count>,
    /// What was not taken over, or not all of it.
    pub left: Vec<Left>,
    /// How many lines more there would be.
    pub more_left: u64,
    /// Entries of the directory that nothing is known of.
    pub unknown: Vec<String>,
    /// What else is worth telling.
    pub notes: Vec<String>,
}

impl Report {
    /// Nothing yet.
    pub fn new(dry_run: bool, from: PathBuf, to: PathBuf) -> Self {
        let none = |what| Count {
            what,
            taken: 0,
            there: 0,
            left: 0,
        };
        Self {
            dry_run,
            from,
            to,
            counts: What::ALL.map(none).to_vec(),
            left: Vec::new(),
            more_left: 0,
            unknown: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn count(&mut self, what: What) -> Option<&mut Count> {
        self.counts.iter_mut().find(|count| count.what == what)
    }

    /// Some were taken over.
    pub fn take(&mut self, what: What, number: u64) {
        if let Some(count) = self.count(what) {
            count.taken += number;
        }
    }

    /// One is here already.
    pub fn there(&mut self, what: What) {
        if let Some(count) = self.count(what) {
            count.there += 1;
        }
    }

    /// One was not taken over.
    pub fn leave(&mut self, what: What, name: &str, reason: impl Into<String>) {
        if let Some(count) = self.count(what) {
            count.left += 1;
        }
        self.remark(what, name, reason);
    }

    /// A part of one was not taken over.
    pub fn remark(&mut self, what: What, name: &str, reason: impl Into<String>) {
        if self.left.len() >= MAX_LEFT {
            self.more_left += 1;
            return;
        }
        self.left.push(Left {
            what,
            name: name.to_owned(),
            reason: reason.into(),
        });
    }
}
