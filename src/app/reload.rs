//! The configuration read anew while the daemon runs.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_actors::config::ConfigSource;
use openclaw_actors::config::state::{Draft, Fingerprint, Policy};
use openclaw_actors::settings::Settings;
use serde_json::Value;

use super::settings;
use super::watch::FileWatch;
use crate::config::gateway::ReloadMode;
use crate::config::models::AuthProfiles;
use crate::config::{self, Environment, Flags, LoadRequest, Loaded};
use crate::state_dir::read_bounded;

/// Settings that are looked at once, when the gateway starts.
const FIXED: &[&str] = &[
    "gateway.port",
    "gateway.mode",
    "gateway.bind",
    "gateway.customBindHost",
    "gateway.tls",
    "gateway.tailscale",
    "gateway.limits",
    "store.cacheBytes",
    "logging",
];
/// Largest side file whose changes are told apart, bytes.
const MAX_SIDE_FILE: u64 = 1024 * 1024;

/// The files and the environment that this process was started with.
pub struct FileSource {
    flags: Flags,
    /// What the start fixed: a log that is written elsewhere is not read where it is not.
    log_file: Option<PathBuf>,
    watch: Mutex<Option<FileWatch>>,
    files: Mutex<Vec<PathBuf>>,
    /// Whether what is in force came without a configuration file.
    without_file: AtomicBool,
}

impl FileSource {
    /// The source that `loaded` came from.
    pub fn new(flags: Flags, loaded: &Loaded, first: &Settings) -> Self {
        Self {
            flags,
            log_file: first.log_file.clone(),
            watch: Mutex::default(),
            files: Mutex::new(files(loaded)),
            without_file: AtomicBool::new(is_empty(loaded)),
        }
    }

    fn read(&self) -> Result<Draft, String> {
        let env = |name: &str| std::env::var(name).ok();
        let request = LoadRequest {
            flags: &self.flags,
            env: &env,
            home: None,
        };
        let loaded = config::load(&request).map_err(|error| error.to_string())?;
        self.look_at(files(&loaded));
        let is_empty = is_empty(&loaded);
        if is_empty && !self.without_file.load(Ordering::Relaxed) {
            // Half a write, or a mistake; never a wish to be without a secret.
            return Err(format!(
                "{} is missing or empty; put it back",
                loaded.paths.config_path.display()
            ));
        }
        let auth = config::auth::resolve(&loaded).map_err(|error| error.to_string())?;
        let gate = settings::gate(&loaded, &auth)?;
        let mut environment = Environment::new(&env);
        environment
            .add_dotenv(&loaded.paths.state_dir)
            .map_err(|error| error.to_string())?;
        environment.add_block(&loaded.value);
        let (profiles, warning) =
            AuthProfiles::read(&loaded.paths.auth_profiles()).map_err(|error| error.to_string())?;
        let mut settings = settings::settings(&loaded, &environment, &profiles);
        settings.log_file.clone_from(&self.log_file);
        self.without_file.store(is_empty, Ordering::Relaxed);
        Ok(Draft {
            fingerprint: fingerprint(&loaded),
            settings,
            gate,
            warnings: loaded
                .warnings
                .iter()
                .chain(&auth.warnings)
                .chain(&warning)
                .cloned()
                .collect(),
        })
    }

    fn look_at(&self, files: Vec<PathBuf>) {
        if let Some(watch) = &mut *self.watch.lock().unwrap_or_else(PoisonError::into_inner) {
            watch.set(files.iter().cloned());
        }
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }
}

impl ConfigSource for FileSource {
    fn load(&self) -> Result<Draft, String> {
        // One line, because it is shown where one line has room.
        self.read().map_err(|wrong| one_line(&wrong))
    }

    fn watch(&self, changed: Box<dyn Fn() + Send + Sync>) {
        let changed: Arc<dyn Fn() + Send + Sync> = Arc::from(changed);
        match FileWatch::new(move || changed()) {
            Ok(mut watch) => {
                let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                watch.set(files.iter().cloned());
                *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
            }
            Err(error) => tracing::warn!(
                %error,
                "the configuration cannot be watched: after a change, send SIGHUP to the gateway"
            ),
        }
    }

    fn fixed(&self) -> &[&'static str] {
        FIXED
    }
}

fn is_empty(loaded: &Loaded) -> bool {
    let raw = loaded.raw.as_deref();
    raw.is_none_or(|raw| raw.trim().is_empty())
}

/// Every file that a configuration came from, whether it exists or not.
fn files(loaded: &Loaded) -> Vec<PathBuf> {
    let paths = &loaded.paths;
    let mut files = vec![
        paths.config_path.clone(),
        paths.state_dir.join(".env"),
        paths.auth_profiles(),
    ];
    files.extend(loaded.included.iter().cloned());
    files
}

/// Tells configurations apart.
pub fn fingerprint(loaded: &Loaded) -> Fingerprint {
    let mut settings = BTreeMap::new();
    digest("", &loaded.value, &mut settings);
    for file in [
        loaded.paths.state_dir.join(".env"),
        loaded.paths.auth_profiles(),
    ] {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = read_bounded(&file, MAX_SIDE_FILE).ok().flatten();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        settings.insert(name, hasher.finish());
    }
    let reload = &loaded.config.gateway.reload;
    Fingerprint {
        settings,
        hash: loaded.hash.clone(),
        policy: Policy {
            live: reload.mode != ReloadMode::Off,
            debounce: Duration::from_millis(reload.debounce_ms),
        },
    }
}

fn digest(path: &str, value: &Value, out: &mut BTreeMap<String, u64>) {
    if let Value::Object(entries) = value
        && (!entries.is_empty() || path.is_empty())
    {
        for (key, value) in entries {
            let path = config::place::push_key(path, key);
            digest(&path, value, out);
        }
        return;
    }
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    out.insert(path.to_owned(), hasher.finish());
}

fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ").replace(":; ", ": ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_told_apart_by_path_without_their_values() {
        let mut digests = BTreeMap::new();
        let value = json!({ "a": { "b": 1, "c": [1, 2] }, "d": {}, "e/f": "x" });
        digest("", &value, &mut digests);
        let paths: Vec<&str> = digests.keys().map(String::as_str).collect();
        assert_eq!(paths, ["a.b", "a.c", "d", "e/f"]);
    }

    #[test]
    fn several_wrong_values_are_one_line() {
        assert_eq!(
            one_line("f.json: 2 values are not allowed:\n  a: wrong\n  b: wrong"),
            "f.json: 2 values are not allowed: a: wrong; b: wrong"
        );
    }
}
