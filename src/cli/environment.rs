//! What the process brings along: variables, clock, configuration.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use super::args::TargetArgs;
use super::failure::Failure;
use super::target::{self, Configured, Target};
use crate::config::{self, Flags, LoadRequest, Loaded};
use crate::state_dir::StatePaths;

/// The process's surroundings, read once.
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    profile: Option<String>,
}

impl Environment {
    /// Takes them from this process.
    pub(crate) fn of_this_process(profile: Option<String>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: std::env::vars_os().filter_map(text).collect(),
            profile,
        }
    }

    /// One variable; an empty one counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.variables
            .get(name)
            .filter(|value| !value.trim().is_empty())
            .cloned()
    }

    /// Milliseconds since the epoch.
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line's edge: everything below takes the time as a parameter"
    )]
    pub(crate) fn now_ms() -> u64 {
        let elapsed = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
        elapsed.map_or(0, |elapsed| {
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// The configuration of this host.
    pub(crate) fn config(&self) -> Result<Loaded, Failure> {
        let flags = Flags {
            profile: self.profile.clone(),
            ..Flags::default()
        };
        config::load(&LoadRequest {
            flags: &flags,
            env: &|name| self.variables.get(name).cloned(),
            home: None,
        })
        .map_err(|error| Failure::config(&error))
    }

    /// The places of this host's gateway.
    pub(crate) fn paths(&self) -> Result<StatePaths, Failure> {
        let env = |name: &str| self.variable(name);
        StatePaths::resolve(&env, None, self.profile.as_deref())
            .map_err(|error| Failure::config(&error))
    }

    /// The gateway that a command means. A configuration that cannot be used is no obstacle when the
    /// command line says everything.
    pub(crate) fn target(&self, args: &TargetArgs) -> Result<Target, Failure> {
        let env = |name: &str| self.variable(name);
        match self.config() {
            Ok(loaded) => target::resolve(args, &env, &Configured::of(&loaded)),
            Err(_) if args.url.is_some() => {
                let paths = StatePaths::resolve(&env, None, self.profile.as_deref())
                    .map_err(|error| Failure::config(&error))?;
                target::resolve(args, &env, &Configured::nothing(&paths))
            }
            Err(failure) => Err(failure),
        }
    }
}
