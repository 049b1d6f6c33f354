//! Where the daemon keeps its files, and with which permissions.
//!
//! `openclaw.json` is the user's file: it is created once and never written again. Everything else
//! lives in `gateway/` of the state directory, so that it can share a folder with another gateway.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Looks up one environment variable; passed in, so that no test depends on its process.
pub type EnvLookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of this process. The shared token may also come as a credential of systemd
/// (`LoadCredential=openclaw.gateway-token`), which no other process can see.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
            .filter(|_| name == "OPENCLAW_GATEWAY_TOKEN")?;
        let token = fs::read_to_string(Path::new(&folder).join("openclaw.gateway-token")).ok()?;
        Some(token.trim().to_owned())
    })
}

/// Permissions of directories that only their owner may enter.
const PRIVATE_DIR: u32 = 0o700;
/// Permissions of files that only their owner may read.
const PRIVATE_FILE: u32 = 0o600;

/// Why a path of the state directory could not be found, made or used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Neither the environment nor the caller names a home directory.
    #[error("no home directory: set HOME, OPENCLAW_HOME or OPENCLAW_STATE_DIR")]
    NoHome,
    /// The profile name would not be a safe folder name.
    #[error(
        "profile `{0}` is not allowed: use 1 to 64 letters, digits, `-` or `_` (OPENCLAW_PROFILE or --profile)"
    )]
    Profile(String),
    /// An operation on `path` failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is larger than its bound.
    #[error("{} is larger than {limit} bytes; nothing of it was read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bound in bytes.
        limit: u64,
    },
}

impl StateDirError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// The places of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePaths {
    /// What `~` stands for in configured paths.
    pub home: PathBuf,
    /// The state directory, shared with what else belongs to this installation.
    pub state_dir: PathBuf,
    /// The folder in it that belongs to this daemon alone.
    pub gateway_dir: PathBuf,
    /// The user's configuration file.
    pub config_path: PathBuf,
}

impl StatePaths {
    /// Finds the places from the environment.
    ///
    /// `OPENCLAW_HOME` replaces the home directory, `OPENCLAW_STATE_DIR` the state directory
    /// (`~/.openclaw`, with a profile `~/.openclaw-NAME`), `OPENCLAW_CONFIG_PATH` the file.
    /// `profile` is the command line's and goes before `OPENCLAW_PROFILE`.
    ///
    /// # Errors
    ///
    /// [`StateDirError::NoHome`] and [`StateDirError::Profile`].
    pub fn resolve(
        env: EnvLookup<'_>,
        home: Option<&Path>,
        profile: Option<&str>,
    ) -> Result<Self, StateDirError> {
        let set = |name: &str| {
            env(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let user_home = home
            .map(Path::to_owned)
            .or_else(|| set("HOME").map(PathBuf::from));
        let home = match set("OPENCLAW_HOME") {
            Some(own) => Some(expand_home(&own, user_home.as_deref())),
            None => user_home,
        };
        let state_dir = match (set("OPENCLAW_STATE_DIR"), &home) {
            (Some(dir), _) => expand_home(&dir, home.as_deref()),
            (None, Some(home)) => home.join(default_dir_name(
                profile
                    .map(str::to_owned)
                    .or_else(|| set("OPENCLAW_PROFILE")),
            )?),
            (None, None) => return Err(StateDirError::NoHome),
        };
        let state_dir = absolute(&state_dir)?;
        let config_path = match set("OPENCLAW_CONFIG_PATH") {
            Some(path) => absolute(&expand_home(&path, home.as_deref()))?,
            None => state_dir.join("openclaw.json"),
        };
        Ok(Self {
            home: home.unwrap_or_else(|| state_dir.clone()),
            gateway_dir: state_dir.join("gateway"),
            state_dir,
            config_path,
        })
    }

    /// The 0600 file that holds a token made by us when `openclaw.json` has none.
    pub fn token_file(&self) -> PathBuf {
        self.gateway_dir.join("token")
    }

    /// The redb file.
    pub fn store_file(&self) -> PathBuf {
        self.gateway_dir.join("store.redb")
    }

    /// The main agent's credential profiles, written by upstream's `openclaw configure`.
    pub fn auth_profiles(&self) -> PathBuf {
        self.state_dir.join("agents/main/agent/auth-profiles.json")
    }

    /// Turns a configured path into an absolute one: `~` is the home, else relative to `base`.
    pub fn expand(&self, configured: &str, base: &Path) -> PathBuf {
        base.join(expand_home(configured, Some(&self.home)))
    }

    /// Makes both directories, mode 0700, and takes other users' access from existing ones.
    ///
    /// A state directory that belongs to someone else, as volumes of containers do, cannot be
    /// closed; then the warning is returned. Our own folder in it is always private.
    ///
    /// # Errors
    ///
    /// [`StateDirError::Io`] with the directory that could not be made or closed.
    pub fn ensure(&self) -> Result<Option<String>, StateDirError> {
        let warning = match ensure_private_dir(&self.state_dir) {
            Err(StateDirError::Io { source, path, .. })
                if path.is_dir() && source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some(format!(
                    "other users may enter {}, and it is not ours to close",
                    path.display()
                ))
            }
            other => other.map(|()| None)?,
        };
        ensure_private_dir(&self.gateway_dir)?;
        Ok(warning)
    }

    /// What to say when others can read the configuration file; it may hold secrets.
    pub fn config_exposure(&self) -> Option<String> {
        let mode = fs::metadata(&self.config_path).ok()?.permissions().mode();
        let path = self.config_path.display();
        (mode & 0o044 != 0).then(|| format!("other users can read {path}; run: chmod 600 {path}"))
    }
}

/// Makes `dir` with mode 0700, or takes group's and others' access from it.
///
/// # Errors
///
/// [`StateDirError::Io`].
pub fn ensure_private_dir(dir: &Path) -> Result<(), StateDirError> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_DIR)
        .create(dir)
        .map_err(StateDirError::io("make directory", dir))?;
    let mode = fs::metadata(dir)
        .map_err(StateDirError::io("look at", dir))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(PRIVATE_DIR))
            .map_err(StateDirError::io("make private (chmod 700)", dir))?;
    }
    Ok(())
}

/// Reads a text file of at most `limit` bytes; `None` when there is none.
///
/// # Errors
///
/// [`StateDirError::TooLarge`] and [`StateDirError::Io`] (also for text that is not UTF-8).
pub fn read_bounded(path: &Path, limit: u64) -> Result<Option<String>, StateDirError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateDirError::io("open", path)(error)),
    };
    let mut text = String::new();
    let read = file
        .take(limit + 1)
        .read_to_string(&mut text)
        .map_err(StateDirError::io("read", path))?;
    if read as u64 > limit {
        return Err(StateDirError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(Some(text))
}

/// Creates a file of mode 0600 whose content appears at once; never replaces an existing one.
///
/// Returns whether it was created. Two starts at the same moment cannot both win: the link is
/// made only where no file is.
///
/// # Errors
///
/// [`StateDirError::Io`].
pub fn create_private(path: &Path, content: &[u8]) -> Result<bool, StateDirError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    if !parent.exists() {
        ensure_private_dir(parent)?;
    }
    let draft = parent.join(format!(".openclaw-{}.tmp", uuid::Uuid::new_v4().simple()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(&draft)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    // The draft is removed whatever happened; a leftover is harmless and named as ours.
    fs::remove_file(&draft).ok();
    match linked {
        Ok(()) => {
            File::open(parent)
                .and_then(|dir| dir.sync_all())
                .map_err(StateDirError::io("sync", parent))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(StateDirError::io("write", path)(error)),
    }
}

fn default_dir_name(profile: Option<String>) -> Result<String, StateDirError> {
    let Some(profile) = profile else {
        return Ok(".openclaw".to_owned());
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if profile.is_empty() || profile.len() > 64 || !profile.chars().all(allowed) {
        return Err(StateDirError::Profile(profile));
    }
    if profile.eq_ignore_ascii_case("default") {
        return Ok(".openclaw".to_owned());
    }
    Ok(format!(".openclaw-{profile}"))
}

fn expand_home(path: &str, home: Option<&Path>) -> PathBuf {
    match (home, path.strip_prefix('~')) {
        (Some(home), Some("")) => home.to_owned(),
        (Some(home), Some(rest)) if rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(path),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, StateDirError> {
    std::path::absolute(path).map_err(StateDirError::io("resolve", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(pairs: &[(&str, &str)], profile: Option<&str>) -> Result<StatePaths, StateDirError> {
        let env = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        StatePaths::resolve(&env, Some(Path::new("/home/ada")), profile)
    }

    #[test]
    fn the_state_directory_follows_home_profile_and_override() {
        let dir = |pairs: &[(&str, &str)], profile| resolve(pairs, profile).unwrap().state_dir;
        assert_eq!(dir(&[], None), Path::new("/home/ada/.openclaw"));
        assert_eq!(
            dir(&[("OPENCLAW_HOME", "/srv/claw")], None),
            Path::new("/srv/claw/.openclaw")
        );
        assert_eq!(
            dir(&[("OPENCLAW_HOME", "~/claw")], None),
            Path::new("/home/ada/claw/.openclaw")
        );
        assert_eq!(
            dir(&[("OPENCLAW_PROFILE", "work")], None),
            Path::new("/home/ada/.openclaw-work")
        );
        assert_eq!(
            dir(&[("OPENCLAW_PROFILE", "work")], Some("default")),
            Path::new("/home/ada/.openclaw")
        );
        assert_eq!(
            dir(&[("OPENCLAW_STATE_DIR", "~/s")], None),
            Path::new("/home/ada/s")
        );
        assert_eq!(
            dir(&[("OPENCLAW_STATE_DIR", "  ")], None),
            Path::new("/home/ada/.openclaw")
        );
    }

    #[test]
    fn the_config_path_can_lie_elsewhere() {
        let paths = resolve(&[("OPENCLAW_CONFIG_PATH", "~/c/claw.json5")], None).unwrap();
        assert_eq!(paths.config_path, Path::new("/home/ada/c/claw.json5"));
        assert_eq!(paths.gateway_dir, Path::new("/home/ada/.openclaw/gateway"));
    }

    #[test]
    fn a_profile_cannot_leave_the_home() {
        assert!(matches!(
            resolve(&[("OPENCLAW_PROFILE", "../x")], None),
            Err(StateDirError::Profile(_))
        ));
    }

    #[test]
    fn directories_and_files_are_private_and_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("state");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let paths = StatePaths {
            home: root.path().to_owned(),
            gateway_dir: dir.join("gateway"),
            config_path: dir.join("openclaw.json"),
            state_dir: dir,
        };
        paths.ensure().unwrap();
        assert!(create_private(&paths.config_path, b"one").unwrap());
        assert!(!create_private(&paths.config_path, b"two").unwrap());

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&paths.state_dir), 0o700);
        assert_eq!(mode(&paths.gateway_dir), 0o700);
        assert_eq!(mode(&paths.config_path), 0o600);
        assert_eq!(
            read_bounded(&paths.config_path, 3).unwrap().as_deref(),
            Some("one")
        );
        assert!(matches!(
            read_bounded(&paths.config_path, 2),
            Err(StateDirError::TooLarge { .. })
        ));
        assert_eq!(
            fs::read_dir(&paths.state_dir).unwrap().count(),
            2,
            "no draft is left"
        );
    }
}
