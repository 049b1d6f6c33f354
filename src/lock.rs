//! One gateway per state directory and per host.
//!
//! A lock is an advisory lock on a file that stays: the system gives it back when its holder ends,
//! however it ends, so there is nothing to clean up. What is written in the file only tells a
//! second gateway whom it met; content without a lock means nothing and is written over.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The name of the lock of a folder.
pub const LOCK_FILE: &str = "gateway.lock";

/// Longest wait for a holder that has no name.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who holds a lock, for the one who does not get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// When it started, in Unix milliseconds.
    pub started_at_ms: i64,
    /// Its release.
    pub version: String,
    /// The port it listens on, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The command that has it for a while, where it is no gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Holder {
    /// This process.
    pub fn this_process(started_at_ms: i64, port: Option<u16>) -> Self {
        Self {
            pid: std::process::id(),
            started_at_ms,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            port,
            command: None,
        }
    }

    /// The holder as a command that ends by itself.
    #[must_use]
    pub fn running(mut self, command: &str) -> Self {
        self.command = Some(command.to_owned());
        self
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = Utc(self.started_at_ms);
        write!(
            f,
            "pid {}, started {started}, version {}",
            self.pid, self.version
        )?;
        self.port.map_or(Ok(()), |port| write!(f, ", port {port}"))
    }
}

/// Unix milliseconds, shown as a date and time in UTC.
struct Utc(i64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1000);
        let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Civil date from days: years are counted from March, so that a leap day is a year's last.
        let shifted = days + 719_468;
        let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"
        )
    }
}

/// Why a lock was not taken. Both end the start with [`crate::app::run::EXIT_REFUSED`].
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{}", held(path, holder.as_ref(), *place))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Its holder, if the file could be read.
        holder: Option<Holder>,
        /// What is locked.
        place: LockPlace,
    },
    /// The file or its folder cannot be used.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The place.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder for locks belongs to somebody else, who could take them.
    #[error(
        "`{}` is not a folder of this user alone; remove it, or set XDG_RUNTIME_DIR to one that is",
        path.display()
    )]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
}

/// What a lock guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockPlace {
    /// A state directory.
    StateDir,
    /// This user on this host.
    Host,
}

fn held(path: &Path, holder: Option<&Holder>, place: LockPlace) -> String {
    let path = path.display();
    if let Some(command) = holder.and_then(|holder| holder.command.as_deref()) {
        let pid = holder.map_or(0, |holder| holder.pid);
        return format!(
            "`{command}` (pid {pid}) is at work in this state directory (lock `{path}`); try again when it has ended"
        );
    }
    let (who, stop) = holder.map_or_else(
        || (String::new(), "stop it first".to_owned()),
        |holder| {
            (
                format!(" ({holder})"),
                format!("stop it first (`kill {}`)", holder.pid),
            )
        },
    );
    match place {
        LockPlace::StateDir => format!(
            "another gateway{who} uses this state directory (lock `{path}`); {stop}, or set OPENCLAW_STATE_DIR to another directory"
        ),
        LockPlace::Host => format!(
            "another gateway{who} runs on this host (lock `{path}`); {stop}, or set OPENCLAW_ALLOW_MULTI_GATEWAY=1 if you want several"
        ),
    }
}

/// One lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock at `path`, in a folder that exists, and writes down its holder. Blocks for up to 2 s
    /// while somebody has it who does not say who they are: a command that only looks has it for a moment.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`], at once when its holder is known, [`LockError::Io`].
    pub fn acquire(path: &Path, place: LockPlace, holder: &Holder) -> Result<Self, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(at("open", path))?;
        let began = Instant::now();
        while let Err(error) = file.try_lock() {
            if let TryLockError::Error(source) = error {
                return Err(at("lock", path)(source));
            }
            let holder = read_holder(&mut file);
            if holder.is_some() || began.elapsed() > PATIENCE {
                return Err(LockError::Held {
                    path: path.to_owned(),
                    holder,
                    place,
                });
            }
            pause();
        }
        let mut lock = Self {
            file,
            path: path.to_owned(),
        };
        lock.describe(holder)?;
        Ok(lock)
    }

    /// Who has the lock at `path`; none when nobody has. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`LockError::Io`].
    pub fn holder(path: &Path) -> Result<Option<Holder>, LockError> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(at("open", path))?,
        };
        let began = Instant::now();
        loop {
            match file.try_lock_shared() {
                Ok(()) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(at("lock", path)(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            // Between taking it and writing its name a holder has none.
            let holder = read_holder(&mut file);
            if holder.is_some() || began.elapsed() > PATIENCE {
                return Ok(holder);
            }
            pause();
        }
    }

    /// Writes down a holder anew, when its port became known.
    ///
    /// # Errors
    ///
    /// [`LockError::Io`]; the lock is held all the same.
    pub fn describe(&mut self, holder: &Holder) -> Result<(), LockError> {
        let text = serde_json::to_vec(holder).map_err(io::Error::other);
        text.and_then(|text| {
            self.file.set_len(0)?;
            self.file.write_all_at(&text, 0)
        })
        .map_err(at("write", &self.path))
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The next one finds no name of a process that is gone. The lock itself is given back by
        // closing the file, so a failure here costs nothing.
        let _ = self.file.set_len(0);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "locks are taken before an arbiter runs, and looked at by commands only"
)]
fn pause() {
    std::thread::sleep(PATIENCE / 100);
}

/// The holder in a file, if it is complete and its process lives: between taking a lock and
/// writing its name, a file still names whoever had it before.
fn read_holder(file: &mut File) -> Option<Holder> {
    const MOST: u64 = 4096;
    let mut text = Vec::new();
    file.rewind().ok()?;
    file.take(MOST).read_to_end(&mut text).ok()?;
    let holder: Holder = serde_json::from_slice(&text).ok()?;
    let pid = rustix::process::Pid::from_raw(holder.pid.try_into().ok()?)?;
    match rustix::process::test_kill_process(pid) {
        Err(rustix::io::Errno::SRCH) => None,
        Ok(()) | Err(_) => Some(holder),
    }
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LockError {
    let path = path.to_owned();
    move |source| LockError::Io {
        action,
        path,
        source,
    }
}

/// The locks that a gateway holds while it runs.
#[derive(Debug)]
pub struct GatewayLocks {
    state_dir: Lock,
    host: Option<Lock>,
}

impl GatewayLocks {
    /// Takes the lock of the state directory, then that of the host unless `allow_multi`.
    ///
    /// `gateway_dir` must exist; `runtime_dir` comes from [`runtime_dir`].
    ///
    /// # Errors
    ///
    /// The first lock that cannot be taken; the other one is then given back.
    pub fn acquire(
        gateway_dir: &Path,
        runtime_dir: &Path,
        allow_multi: bool,
        holder: &Holder,
    ) -> Result<Self, LockError> {
        let state_dir = Lock::acquire(&gateway_dir.join(LOCK_FILE), LockPlace::StateDir, holder)?;
        let host = if allow_multi {
            None
        } else {
            ensure_own_folder(runtime_dir)?;
            Some(Lock::acquire(
                &runtime_dir.join(LOCK_FILE),
                LockPlace::Host,
                holder,
            )?)
        };
        Ok(Self { state_dir, host })
    }

    /// Writes down the port in all of them.
    ///
    /// # Errors
    ///
    /// [`LockError::Io`]; the locks are held all the same.
    pub fn describe(&mut self, holder: &Holder) -> Result<(), LockError> {
        self.state_dir.describe(holder)?;
        self.host
            .as_mut()
            .map_or(Ok(()), |host| host.describe(holder))
    }
}

/// The folder of this user for locks that all its gateways on this host share.
///
/// `xdg` is `XDG_RUNTIME_DIR`. Without it the same folder is looked for in its usual place, so
/// that a gateway of a login session meets one of a service that has no such variable.
pub fn runtime_dir(xdg: Option<&OsStr>) -> PathBuf {
    let uid = rustix::process::getuid().as_raw();
    let usual = PathBuf::from(format!("/run/user/{uid}"));
    let session = xdg
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .unwrap_or(usual);
    if session.is_dir() {
        session.join("openclaw")
    } else {
        PathBuf::from(format!("/tmp/openclaw-{uid}"))
    }
}

/// Makes the folder, mode 0700, and refuses one that another user could have laid out.
///
/// # Errors
///
/// [`LockError::Io`], [`LockError::ForeignFolder`].
pub fn ensure_own_folder(folder: &Path) -> Result<(), LockError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(at("make the folder", folder)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let meta = folder.symlink_metadata().map_err(at("look at", folder))?;
    let own = meta.uid() == rustix::process::getuid().as_raw();
    if !meta.is_dir() || !own {
        return Err(LockError::ForeignFolder {
            path: folder.to_owned(),
        });
    }
    if meta.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
            .map_err(at("make private (chmod 700)", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    struct Host {
        _home: tempfile::TempDir,
        states: [PathBuf; 2],
        runtime: PathBuf,
    }

    fn host() -> Host {
        let home = tempfile::tempdir().unwrap();
        let states = ["a", "b"].map(|name| home.path().join(name));
        for state in &states {
            std::fs::create_dir(state).unwrap();
        }
        let runtime = home.path().join("run");
        Host {
            _home: home,
            states,
            runtime,
        }
    }

    fn me() -> Holder {
        Holder::this_process(1_700_000_000_000, Some(18_789))
    }

    impl Host {
        fn acquire(&self, state: usize, allow_multi: bool) -> Result<GatewayLocks, LockError> {
            GatewayLocks::acquire(&self.states[state], &self.runtime, allow_multi, &me())
        }
    }

    #[test]
    fn one_who_only_looks_keeps_nobody_out_and_a_command_is_named() {
        let host = host();
        let path = host.states[0].join(LOCK_FILE);
        assert_eq!(Lock::holder(&path).unwrap(), None);
        std::fs::write(&path, "").unwrap();
        let looks = File::open(&path).unwrap();
        looks.try_lock_shared().unwrap();
        let gateway = std::thread::scope(|scope| {
            let gateway = scope.spawn(|| host.acquire(0, true));
            std::thread::yield_now();
            drop(looks);
            gateway.join().unwrap()
        });
        assert_eq!(Lock::holder(&path).unwrap(), Some(me()));
        drop(gateway.unwrap());
        assert_eq!(Lock::holder(&path).unwrap(), None);
        let _lock = Lock::acquire(&path, LockPlace::StateDir, &me().running("openclaw backup"));
        let error = host.acquire(0, true).unwrap_err().to_string();
        assert!(error.contains("`openclaw backup` (pid "), "{error}");
    }

    #[test]
    fn a_second_gateway_is_told_who_has_the_state_directory() {
        let host = host();
        let first = host.acquire(0, true).unwrap();
        let error = host.acquire(0, true).unwrap_err();
        let LockError::Held {
            path,
            holder,
            place,
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(
            (path, place),
            (&host.states[0].join(LOCK_FILE), &LockPlace::StateDir)
        );
        assert_eq!(holder.as_ref(), Some(&me()));
        let text = error.to_string();
        let pid = format!("pid {}", std::process::id());
        assert!(text.contains("started 2023-11-14 22:13:20 UTC"), "{text}");
        assert!(text.contains(&pid) && text.contains("port 18789"), "{text}");
        assert!(text.contains("OPENCLAW_STATE_DIR"), "{text}");
        drop(first);
        host.acquire(0, true).unwrap();
    }

    #[test]
    fn one_gateway_per_host_unless_several_are_wanted() {
        let host = host();
        let _first = host.acquire(0, false).unwrap();
        let error = host.acquire(1, false).unwrap_err().to_string();
        assert!(error.contains("OPENCLAW_ALLOW_MULTI_GATEWAY=1"), "{error}");
        // The lock that was taken before the refusal was given back.
        let _second = host.acquire(1, true).unwrap();
        assert_eq!(host.runtime.metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_a_dead_holder_left_is_taken_over() {
        let host = host();
        let path = host.states[0].join(LOCK_FILE);
        for left in [
            "{\"pid\":1,\"startedAtMs\":5,\"version\":\"0\",\"port\":7}",
            "{\"pi",
            "",
        ] {
            std::fs::write(&path, left).unwrap();
            let mut lock = Lock::acquire(&path, LockPlace::StateDir, &me()).unwrap();
            let mut later = me();
            later.port = Some(4);
            lock.describe(&later).unwrap();
            let stored: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(stored["pid"], std::process::id());
            assert_eq!(
                (&stored["port"], &stored["startedAtMs"]),
                (&4.into(), &1_700_000_000_000_i64.into())
            );
        }
    }

    #[test]
    fn a_holder_that_is_not_written_yet_is_not_mistaken_for_the_one_before() {
        let host = host();
        let path = host.states[0].join(LOCK_FILE);
        let mut gone = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
        let pid = gone.id();
        gone.wait().unwrap();
        let _lock = Lock::acquire(&path, LockPlace::StateDir, &Holder { pid, ..me() }).unwrap();
        let error = Lock::acquire(&path, LockPlace::StateDir, &me()).unwrap_err();
        assert!(
            matches!(error, LockError::Held { holder: None, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn a_folder_that_is_a_link_is_not_trusted() {
        let host = host();
        std::os::unix::fs::symlink(&host.states[1], &host.runtime).unwrap();
        let error = host.acquire(0, false).unwrap_err();
        assert!(
            matches!(error, LockError::ForeignFolder { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn times_are_shown_as_dates() {
        let shown = |ms| Utc(ms).to_string();
        assert_eq!(shown(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(shown(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(shown(1_735_689_599_999), "2024-12-31 23:59:59 UTC");
        assert_eq!(shown(-1), "1969-12-31 23:59:59 UTC");
    }

    #[test]
    fn the_runtime_folder_is_the_sessions_or_one_of_this_user() {
        let session = tempfile::tempdir().unwrap();
        let dir = runtime_dir(Some(session.path().as_os_str()));
        assert_eq!(dir, session.path().join("openclaw"));
        let uid = rustix::process::getuid().as_raw().to_string();
        assert!(
            runtime_dir(Some(OsStr::new("not/absolute")))
                .to_string_lossy()
                .contains(&uid)
        );
    }
}
