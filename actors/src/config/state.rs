//! What a newly read configuration changes. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde_json::Value;

use crate::gate::GateSettings;
use crate::settings::Settings;

/// Most paths that one line names.
const MAX_NAMED: usize = 12;

/// What of a configuration can be told apart without holding it: never a value, only digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// A digest of each setting, by its path.
    pub settings: BTreeMap<String, u64>,
    /// SHA-256 of the file's text, as `config.get` tells it.
    pub hash: String,
    /// Whether changes of the file are applied, and after how long a quiet time.
    pub policy: Policy,
}

/// `gateway.reload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether changes of the file are applied while the gateway runs.
    pub live: bool,
    /// Quiet time after the last write.
    pub debounce: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            live: true,
            debounce: Duration::from_millis(300),
        }
    }
}

/// A configuration that was read anew and can be used.
pub struct Draft {
    /// What it is told apart by.
    pub fingerprint: Fingerprint,
    /// For the actors.
    pub settings: Settings,
    /// For handshakes.
    pub gate: GateSettings,
    /// What is worth telling, one line each.
    pub warnings: Vec<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// What is wrong, with its place and what to do, in one line and without any value.
    pub wrong: String,
    /// What `config.get` answers while the file is like this, if anything can be said of it.
    pub config_get: Option<Value>,
}

impl From<&str> for Rejected {
    fn from(wrong: &str) -> Self {
        Self {
            wrong: wrong.to_owned(),
            config_get: None,
        }
    }
}

/// What somebody wants to have in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// This text instead of the old one.
    Replace(String),
    /// The old content, with this JSON5 object merged into it (RFC 7386; lists of objects with an
    /// `id` by their ids). `replace_paths` are lists that may lose entries.
    Patch {
        /// The object.
        raw: String,
        /// Lists that are replaced as a whole, as in `agents.list`.
        replace_paths: Vec<String>,
    },
}

/// What became of a wish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Whether the file was written; it is not when nothing would be another.
    pub changed: bool,
    /// The settings that changed.
    pub paths: Vec<String>,
    /// Where the file is as it was before.
    pub backup: Option<String>,
    /// What was lost of the text, and what is odd about the new one.
    pub warnings: Vec<String>,
}

/// How many writes one client may ask for: as many as upstream allows.
pub const WRITES_PER_WINDOW: usize = 30;
const WINDOW_MS: u64 = 60_000;
/// Most clients that are counted at a time; the ones that wrote longest ago are forgotten.
const MAX_WRITERS: usize = 256;

/// Counts writes by client.
#[derive(Debug, Default)]
pub struct WriteBudget(HashMap<String, VecDeque<u64>>);

impl WriteBudget {
    /// Counts a write of `who` at `now` (milliseconds), unless it is one too many.
    ///
    /// # Errors
    ///
    /// How long to wait, milliseconds.
    pub fn admit(&mut self, who: &str, now: u64) -> Result<(), u64> {
        let old = |at: &u64| at.saturating_add(WINDOW_MS) <= now;
        self.0.retain(|_, times| {
            while times.front().is_some_and(old) {
                times.pop_front();
            }
            !times.is_empty()
        });
        if self.0.len() >= MAX_WRITERS && !self.0.contains_key(who) {
            let oldest = self.0.iter().min_by_key(|(_, times)| times.back().copied());
            if let Some(oldest) = oldest.map(|(who, _)| who.clone()) {
                self.0.remove(&oldest);
            }
        }
        let times = self.0.entry(who.to_owned()).or_default();
        if times.len() >= WRITES_PER_WINDOW {
            let first = times.front().copied().unwrap_or(now);
            return Err((first + WINDOW_MS).saturating_sub(now));
        }
        times.push_back(now);
        Ok(())
    }
}

/// The generation in force, and the one that the process was started with.
#[derive(Debug, Clone, Default)]
pub struct Current {
    /// Counts from 1.
    pub generation: u64,
    /// What is in force.
    pub fingerprint: Fingerprint,
    /// What the process was started with: listeners and files are still those.
    pub boot: BTreeMap<String, u64>,
    /// Why the file as it is now is not in force.
    pub error: Option<String>,
}

/// What a new generation means.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Paths that differ from the generation before.
    pub paths: Vec<String>,
    /// Paths that differ from the start and need another one.
    pub needs_restart: Vec<String>,
}

impl Current {
    /// The first generation.
    pub fn first(fingerprint: Fingerprint) -> Self {
        Self {
            generation: 1,
            boot: fingerprint.settings.clone(),
            fingerprint,
            error: None,
        }
    }

    /// What `next` changes; `fixed` are the paths that only a start can change.
    pub fn change(&self, next: &Fingerprint, fixed: &[&str]) -> Change {
        let needs_restart = differences(&self.boot, &next.settings)
            .into_iter()
            .filter(|path| fixed.iter().any(|fixed| is_within(path, fixed)))
            .collect();
        Change {
            paths: differences(&self.fingerprint.settings, &next.settings),
            needs_restart,
        }
    }

    /// Takes `next` as the generation in force.
    pub fn adopt(&mut self, next: Fingerprint) {
        self.generation += 1;
        self.fingerprint = next;
        self.error = None;
    }
}

fn differences(old: &BTreeMap<String, u64>, new: &BTreeMap<String, u64>) -> Vec<String> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |path: &&String| old.get(*path) != new.get(*path);
    paths.into_iter().filter(differs).cloned().collect()
}

fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Paths in one line, with how many more there are.
pub fn named(paths: &[String]) -> String {
    let shown = paths.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>();
    let rest = paths.len().saturating_sub(MAX_NAMED);
    if rest == 0 {
        shown.join(", ")
    } else {
        format!("{} and {rest} more", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(settings: &[(&str, u64)]) -> Fingerprint {
        Fingerprint {
            settings: settings
                .iter()
                .map(|(path, digest)| ((*path).to_owned(), *digest))
                .collect(),
            ..Fingerprint::default()
        }
    }

    #[test]
    fn changes_are_named_and_what_is_fixed_until_it_is_taken_back() {
        let mut current = Current::first(print(&[("gateway.port", 1), ("a.b", 1), ("old", 1)]));
        let next = print(&[("gateway.port", 2), ("a.b", 1), ("new", 1)]);
        let fixed = &["gateway.port", "a"];
        let change = current.change(&next, fixed);
        assert_eq!(change.paths, ["gateway.port", "new", "old"]);
        assert_eq!(change.needs_restart, ["gateway.port"]);
        current.adopt(next);
        assert_eq!(current.generation, 2);
        let further = print(&[("gateway.port", 2), ("a.b", 2), ("new", 1)]);
        let change = current.change(&further, fixed);
        assert_eq!(change.paths, ["a.b"]);
        assert_eq!(
            change.needs_restart,
            ["a.b", "gateway.port"],
            "still another port"
        );
        current.adopt(further);
        let back = print(&[("gateway.port", 1), ("a.b", 1), ("new", 1)]);
        assert!(current.change(&back, fixed).needs_restart.is_empty());
    }

    #[test]
    fn a_client_writes_thirty_times_a_minute() {
        let mut budget = WriteBudget::default();
        for n in 0..WRITES_PER_WINDOW as u64 {
            assert_eq!(budget.admit("a", n), Ok(()));
        }
        assert_eq!(budget.admit("a", 1_000), Err(59_000));
        assert_eq!(budget.admit("b", 1_000), Ok(()), "another client");
        assert_eq!(
            budget.admit("a", 60_000),
            Ok(()),
            "the first one is forgotten"
        );
        assert!(budget.admit("a", 60_000).is_err());
        for n in 0..2 * MAX_WRITERS {
            assert_eq!(budget.admit(&n.to_string(), 60_000), Ok(()));
        }
        assert!(budget.0.len() <= MAX_WRITERS);
    }

    #[test]
    fn many_paths_are_counted() {
        let paths: Vec<String> = (0..14).map(|n| n.to_string()).collect();
        assert!(named(&paths).ends_with("11 and 2 more"));
        assert_eq!(named(&paths[..2]), "0, 1");
    }
}
