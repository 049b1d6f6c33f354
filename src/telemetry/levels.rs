//! What is written, by module; changed while the gateway runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing_subscriber::filter::EnvFilter;

use crate::config::logging::{LogLevel, Logging};

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// The file.
    File,
    /// Standard output.
    Console,
}

/// Puts a filter into effect.
pub(super) type Set = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// The levels of a process that logs; clones change the same.
#[derive(Clone, Default)]
pub struct Levels {
    sets: Arc<Vec<(To, Set)>>,
    verbose: bool,
}

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Levels").finish_non_exhaustive()
    }
}

impl Levels {
    pub(super) fn new(sets: Vec<(To, Set)>, verbose: bool) -> Self {
        Self {
            sets: Arc::new(sets),
            verbose,
        }
    }

    /// Puts the levels of a configuration into effect.
    pub fn apply(&self, logging: &Logging) {
        for (to, set) in self.sets.iter() {
            set(filter(level(logging, *to, self.verbose), &logging.levels));
        }
    }
}

/// The least level of what is written there.
pub(super) fn level(logging: &Logging, to: To, verbose: bool) -> LogLevel {
    let file = logging.level.unwrap_or(LogLevel::Info);
    match to {
        To::File => file,
        To::Console if verbose => LogLevel::Debug,
        To::Console => logging.console_level.unwrap_or(file),
    }
}

/// Our own modules at the level asked for, libraries only when they warn; single modules as they are
/// named: `cron`, `channel.telegram`, or a whole path such as `openclaw_actors::node` or `hyper`.
pub(super) fn filter(level: LogLevel, modules: &BTreeMap<String, LogLevel>) -> EnvFilter {
    EnvFilter::new(directives(level, modules))
}

fn directives(level: LogLevel, modules: &BTreeMap<String, LogLevel>) -> String {
    let own = word(level);
    let libraries = if own == "off" { "off" } else { "warn" };
    let mut text = format!(
        "{libraries},openclaw={own},openclaw_actors={own},openclaw_protocol={own},openclaw_client={own}"
    );
    for (module, level) in modules {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_:.-".contains(c);
        if module.is_empty() || !module.chars().all(fits) {
            continue;
        }
        let (path, level) = (module.replace('.', "::"), word(*level));
        if module.contains("::") || module.starts_with("openclaw") {
            text.push_str(&format_args!(",{path}={level}").to_string());
        } else {
            let all = format_args!(
                ",{path}={level},openclaw::{path}={level},openclaw_actors::{path}={level}"
            )
            .to_string();
            text.push_str(&all);
        }
    }
    text
}

const fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Silent => "off",
        LogLevel::Fatal | LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_modules_have_levels_of_their_own() {
        let modules = BTreeMap::from([
            ("channel.telegram".to_owned(), LogLevel::Debug),
            ("hyper::proto".to_owned(), LogLevel::Silent),
            ("no,such=thing".to_owned(), LogLevel::Trace),
        ]);
        let text = directives(LogLevel::Info, &modules);
        assert!(
            text.contains(",openclaw_actors::channel::telegram=debug"),
            "{text}"
        );
        assert!(text.ends_with(",hyper::proto=off"), "{text}");
        assert!(!text.contains("thing"), "{text}");
        assert!(
            filter(LogLevel::Info, &modules)
                .to_string()
                .contains("telegram=debug")
        );
    }
}
