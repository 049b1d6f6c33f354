//! What a newly read configuration changes. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
    fn many_paths_are_counted() {
        let paths: Vec<String> = (0..14).map(|n| n.to_string()).collect();
        assert!(named(&paths).ends_with("11 and 2 more"));
        assert_eq!(named(&paths[..2]), "0, 1");
    }
}
