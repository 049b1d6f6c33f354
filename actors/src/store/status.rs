//! What the rest of the gateway may know about the store.

use std::time::Duration;

use crate::clock::Millis;

/// The published state of the store, for `health` and `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// Whether commits are taken.
    pub ok: bool,
    /// Why not, with the place and the remedy; `None` while `ok`.
    pub reason: Option<String>,
    /// Since when `ok` has its value.
    pub since: Millis,
    /// Commits to disk since the start; one holds the changes of everybody who waited.
    pub commits: u64,
    /// When the last commit reached the disk.
    pub last_commit_ms: Option<Millis>,
    /// How long the last commit took.
    pub last_commit_took: Duration,
    /// How long all commits took together.
    pub commits_took: Duration,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// What a person should know of the file, although it works.
    pub note: Option<String>,
}

impl StoreStatus {
    pub(super) fn starting(now: Millis) -> Self {
        Self {
            ok: false,
            reason: Some("the store is starting".to_owned()),
            since: now,
            commits: 0,
            last_commit_ms: None,
            last_commit_took: Duration::ZERO,
            commits_took: Duration::ZERO,
            file_bytes: 0,
            note: None,
        }
    }

    /// Notes a failure; true when that is news.
    pub(super) fn fail(&mut self, reason: String, now: Millis) -> bool {
        if self.ok {
            self.since = now;
        }
        let news = self.ok || self.reason.as_deref() != Some(reason.as_str());
        self.ok = false;
        self.reason = Some(reason);
        news
    }

    /// Notes that commits are taken; true when that is news.
    pub(super) fn recover(&mut self, file_bytes: u64, now: Millis) -> bool {
        let news = !self.ok;
        if news {
            self.since = now;
        }
        self.ok = true;
        self.reason = None;
        self.file_bytes = file_bytes;
        news
    }
}
