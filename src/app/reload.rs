//! The configuration read anew and written while the daemon runs.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_actors::config::ConfigSource;
use openclaw_actors::config::state::{Draft, Fingerprint, Policy, Rejected, Wish, Written};
use openclaw_actors::settings::Settings;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::config::ConfigSchemaResult;
use serde_json::{Value, json};

use super::watch::FileWatch;
use super::{config_file, settings};
use crate::config::edit::{self, Edited};
use crate::config::gateway::ReloadMode;
use crate::config::models::AuthProfiles;
use crate::config::redact::ConfigSnapshot;
use crate::config::{self, ConfigError, Environment, Flags, LoadRequest, Loaded};
use crate::state_dir::{StatePaths, read_bounded};
use crate::telemetry::Levels;

/// Settings that are looked at once, when the gateway starts.
const FIXED: &[&str] = &[
    "gateway.port",
    "gateway.mode",
    "gateway.bind",
    "gateway.customBindHost",
    "gateway.tls",
    "gateway.tailscale",
    "gateway.limits",
    "discovery",
    "store.cacheBytes",
    "canvasHost.port",
    "diagnostics",
    "logging.consoleStyle",
    "logging.file",
    "logging.keepDays",
    "logging.maxFileBytes",
];
/// Largest configuration file, bytes.
const MAX_CONFIG: u64 = 2 * 1024 * 1024;
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
    /// Held from the reading of the old text to the writing of the new one.
    writing: Mutex<()>,
    started: jiff::Timestamp,
    levels: Levels,
    first: First,
}

/// What the start read.
struct First {
    /// Seconds since the epoch, before anything was read.
    began: i64,
    /// The hash of the configuration's text.
    hash: String,
    /// The other files.
    beside: Vec<PathBuf>,
}

impl First {
    fn of(loaded: &Loaded, began: jiff::Timestamp) -> Self {
        let mut beside = files(loaded);
        beside.retain(|file| *file != loaded.paths.config_path);
        Self {
            began: began.as_second(),
            hash: loaded.hash.clone(),
            beside,
        }
    }

    /// Whether a file beside the configuration is older than the start, or not there.
    fn is_older(&self, file: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        match file.metadata() {
            // Some file systems count whole or even seconds only.
            Ok(meta) => meta.ctime().max(meta.mtime()) < self.began - 2,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }
}

/// Why a configuration cannot be used.
enum Unusable {
    /// Its text or a value in it.
    Config(ConfigError),
    /// What it asks for.
    Other(String),
}

impl From<ConfigError> for Unusable {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Config(error) => error.to_string(),
            Self::Other(text) => text.clone(),
        };
        // One line, because it is shown where one line has room.
        out.write_str(&one_line(&text))
    }
}

impl FileSource {
    /// The source that `loaded` came from, whose reading began at `began`.
    pub fn new(
        flags: Flags,
        loaded: &Loaded,
        began: jiff::Timestamp,
        first: &Settings,
        levels: Levels,
    ) -> Self {
        Self {
            flags,
            log_file: first.log_file.clone(),
            watch: Mutex::default(),
            files: Mutex::new(files(loaded)),
            without_file: AtomicBool::new(is_empty(loaded)),
            writing: Mutex::default(),
            started: jiff::Timestamp::now(),
            levels,
            first: First::of(loaded, began),
        }
    }

    fn paths(&self) -> Result<StatePaths, ConfigError> {
        let env = crate::state_dir::variable;
        let profile = self.flags.profile.as_deref();
        Ok(StatePaths::resolve(&env, None, profile)?)
    }

    /// The generation that the file holds, or would hold with this text in it.
    fn read(&self, text: Option<&str>) -> Result<Draft, Unusable> {
        let env = crate::state_dir::variable;
        let request = LoadRequest {
            flags: &self.flags,
            env: &env,
            home: None,
        };
        let loaded = if let Some(text) = text {
            // The next start may come without the flags that hide a wrong value now.
            let flags = Flags {
                profile: self.flags.profile.clone(),
                ..Flags::default()
            };
            let bare = LoadRequest {
                flags: &flags,
                ..request
            };
            config::load_text(&bare, text)?;
            config::load_text(&request, text)?
        } else {
            let loaded = config::load(&request)?;
            self.look_at(files(&loaded));
            loaded
        };
        let is_empty = is_empty(&loaded);
        if is_empty && !self.without_file.load(Ordering::Relaxed) {
            // Half a write, or a mistake; never a wish to be without a secret.
            return Err(Unusable::Other(format!(
                "{} is missing or empty; put it back",
                loaded.paths.config_path.display()
            )));
        }
        let other = |error: &dyn std::fmt::Display| Unusable::Other(error.to_string());
        let auth = config::auth::resolve(&loaded).map_err(|error| other(&error))?;
        let gate = settings::gate(&loaded, &auth).map_err(Unusable::Other)?;
        let mut environment = Environment::new(&env);
        environment
            .add_dotenv(&loaded.paths.state_dir)
            .map_err(|error| other(&error))?;
        environment.add_block(&loaded.value);
        let (profiles, warning) =
            AuthProfiles::read(&loaded.paths.auth_profiles()).map_err(|error| other(&error))?;
        let mut settings = settings::settings(&loaded, &environment, &profiles);
        settings.log_file.clone_from(&self.log_file);
        if text.is_none() {
            self.without_file.store(is_empty, Ordering::Relaxed);
            self.levels.apply(&loaded.config.logging);
        }
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

impl FileSource {
    /// What `config.get` answers while the file cannot be used: what is wrong, and the hash that a
    /// repair is based on.
    fn broken(&self, wrong: &Unusable) -> Option<Value> {
        let Unusable::Config(error) = wrong else {
            return None;
        };
        let paths = self.paths().ok()?;
        let text = read_bounded(&paths.config_path, MAX_CONFIG).ok()??;
        let snapshot = ConfigSnapshot::invalid(&paths, config::hash(&text), error);
        let mut value = serde_json::to_value(snapshot).ok()?;
        value["legacyIssues"] = json!([]);
        Some(value)
    }

    fn change(&self, base: Option<&str>, wish: &Wish) -> Result<Written, ErrorShape> {
        let invalid = |error: ConfigError| refused(&error.into());
        let paths = self.paths().map_err(invalid)?;
        let file = &paths.config_path;
        let old = read_bounded(file, MAX_CONFIG)
            .map_err(|error| refused(&ConfigError::from(error).into()))?;
        check_base(base, old.as_deref())?;
        let before = old.clone().unwrap_or_default();
        let Edited {
            text,
            changed,
            lost,
        } = edit::edit(file, &before, wish).map_err(invalid)?;
        if text == before || (!changed && matches!(wish, Wish::Patch { .. })) {
            return Ok(Written::default());
        }
        if text.len() as u64 > MAX_CONFIG {
            return Err(ErrorShape::invalid(format!(
                "the configuration would have {} bytes, and may have {MAX_CONFIG}; move a part of it to another file ($include)",
                text.len()
            )));
        }
        let draft = self.read(Some(&text)).map_err(|wrong| refused(&wrong))?;
        let failed = |what: &str, error: &std::io::Error| {
            ErrorShape::unavailable(format!(
                "{what}: {error}; nothing was changed. The gateway needs to write in {} and {}",
                file.parent().unwrap_or(file).display(),
                paths.gateway_dir.display()
            ))
        };
        let backup = old
            .as_deref()
            .map(|old| config_file::keep(&paths, old))
            .transpose()
            .map_err(|error| failed("the old configuration cannot be kept", &error))?;
        config_file::write(file, &text)
            .map_err(|error| failed("the configuration cannot be written", &error))?;
        Ok(Written {
            changed: true,
            paths: changes(&before, &text),
            backup: backup.map(|path| path.display().to_string()),
            warnings: lost.into_iter().chain(draft.warnings).collect(),
        })
    }
}

/// Two people who change the same text do not undo each other's work.
fn check_base(base: Option<&str>, old: Option<&str>) -> Result<(), ErrorShape> {
    let Some(old) = old else { return Ok(()) };
    match base {
        Some(base) if base == config::hash(old) => Ok(()),
        Some(_) => Err(ErrorShape::invalid(
            "config changed since last load; re-run config.get and retry with its hash as baseHash",
        )),
        None => Err(ErrorShape::invalid(
            "config base hash required; re-run config.get and retry with its hash as baseHash",
        )),
    }
}

/// A change that cannot be used.
fn refused(wrong: &Unusable) -> ErrorShape {
    let issues = match wrong {
        Unusable::Config(error) => error.issues(),
        Unusable::Other(_) => Vec::new(),
    };
    ErrorShape::invalid(format!("invalid config, nothing was written: {wrong}"))
        .with_details(json!({ "issues": issues }))
}

/// The settings that differ between two texts of the file.
fn changes(before: &str, after: &str) -> Vec<String> {
    let flat = |text: &str| {
        let mut digests = BTreeMap::new();
        if let Ok(value) = config::value_of(text) {
            digest("", &value, &mut digests);
        }
        digests
    };
    let (before, after) = (flat(before), flat(after));
    let paths = before.keys().chain(after.keys());
    let differ = paths.filter(|path| before.get(*path) != after.get(*path));
    let mut differ: Vec<String> = differ.cloned().collect();
    differ.sort();
    differ.dedup();
    differ
}

impl ConfigSource for FileSource {
    fn load(&self) -> Result<Draft, Rejected> {
        self.read(None).map_err(|wrong| Rejected {
            config_get: self.broken(&wrong),
            wrong: wrong.to_string(),
        })
    }

    fn is_as_started(&self) -> bool {
        let Ok(paths) = self.paths() else {
            return false;
        };
        let text = read_bounded(&paths.config_path, MAX_SIDE_FILE);
        let same =
            text.is_ok_and(|text| config::hash(&text.unwrap_or_default()) == self.first.hash);
        same && self
            .first
            .beside
            .iter()
            .all(|file| self.first.is_older(file))
    }

    fn write(&self, base: Option<&str>, wish: &Wish) -> Result<Written, ErrorShape> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.change(base, wish)
    }

    fn schema(&self) -> ConfigSchemaResult {
        let schema = Loaded::schema();
        ConfigSchemaResult {
            ui_hints: serde_json::from_value(config::hints::of(&schema)).unwrap_or_default(),
            schema,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generated_at: self.started.to_string(),
        }
    }

    fn watch(&self, changed: Box<dyn Fn() + Send + Sync>) -> bool {
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
        true
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
