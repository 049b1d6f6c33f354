//! Who has a session of WhatsApp: one gateway of this host, and one connection of it.
//!
//! Two sessions with the same keys throw each other out, and tear the keys of every conversation. So
//! the folder of the credentials is locked, and the account's own id in a folder that all gateways of
//! this user share: a copied folder is the same account. The system gives a lock back when the gateway
//! ends, however it ends; its sidecar may live on for a moment, so that the file names it, and the next
//! owner ends it before it begins. A lock is given up when the sidecar's process is gone, not before.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::channel::ChannelError;

/// How long the end of a process is waited for, that of ours or of the owner before.
const ENDING: Duration = Duration::from_secs(5);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);
/// Most bytes of a lock file.
const MOST: u64 = 4_096;

/// What a lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owner {
    /// The gateway.
    pub(super) pid: u32,
    /// When it started, milliseconds since the epoch.
    pub(super) started_at_ms: i64,
    /// Its release.
    pub(super) version: String,
    /// Its connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sidecar: Option<Process>,
}

/// A process, and not another one that has its number by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// Its number, which is its group's.
    pub(super) pid: u32,
    /// When it began, ticks since this host started, where the system says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ticks: Option<u64>,
}

impl Owner {
    /// This gateway.
    pub(super) fn this(started_at_ms: i64) -> Self {
        Self {
            pid: std::process::id(),
            started_at_ms,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sidecar: None,
        }
    }

    fn words(&self) -> String {
        let began = jiff::Timestamp::from_millisecond(self.started_at_ms).unwrap_or_default();
        let began = began.strftime("%Y-%m-%d %H:%M:%S UTC");
        format!(
            "pid {}, started {began}, version {}",
            self.pid, self.version
        )
    }
}

impl Process {
    /// The one that has this number now.
    pub(super) fn now(pid: u32) -> Self {
        Self {
            pid,
            ticks: stat(pid).map(|(_, ticks)| ticks),
        }
    }

    /// Whether it certainly does. A number alone may be anybody's by now; where the system does not say
    /// when a process began, a sidecar sees by itself that its gateway is gone.
    fn lives(self) -> bool {
        match (self.ticks, stat(self.pid)) {
            // What nobody waited for is over all the same.
            (Some(own), Some((state, ticks))) => own == ticks && !matches!(state, 'Z' | 'X'),
            _ => false,
        }
    }
}

fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// State and beginning of a process.
fn stat(pid: u32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    let rest = text.get(text.rfind(')')? + 2..)?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// One lock.
#[derive(Debug)]
struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    fn describe(&self, owner: &Owner) -> io::Result<()> {
        let text = serde_json::to_vec(owner).map_err(io::Error::other)?;
        self.file.set_len(0)?;
        self.file.write_all_at(&text, 0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nobody is named who is gone; the lock itself goes with the file.
        let _ = self.file.set_len(0);
    }
}

/// The locks of one session.
#[derive(Debug)]
pub(super) struct Locks {
    owner: Owner,
    held: Vec<Held>,
}

impl Locks {
    /// None yet.
    pub(super) const fn new(owner: Owner) -> Self {
        Self {
            owner,
            held: Vec::new(),
        }
    }

    /// Takes one more; waits while an earlier connection of this gateway comes to its end.
    ///
    /// # Errors
    ///
    /// [`ChannelError::Conflict`] when somebody has it, with who.
    pub(super) async fn take(&mut self, path: &Path, what: &str) -> Result<(), ChannelError> {
        let until = Instant::now() + ENDING;
        let broken = |error: io::Error| {
            ChannelError::Transient(format!("cannot lock {}: {error}", path.display()))
        };
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)
                .map_err(broken)?;
            match file.try_lock() {
                Ok(()) => {
                    self.outlive(read(&mut file), path).await?;
                    let held = Held {
                        file,
                        path: path.to_owned(),
                    };
                    held.describe(&self.owner).map_err(broken)?;
                    self.held.push(held);
                    return Ok(());
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = read(&mut file);
                    let own = holder.as_ref().is_none_or(|own| own.pid == self.owner.pid);
                    if own && Instant::now() < until {
                        sleep(LOOK).await;
                        continue;
                    }
                    return Err(held_by(holder.as_ref(), path, what));
                }
                Err(TryLockError::Error(error)) => return Err(broken(error)),
            }
        }
    }

    /// The gateway before is gone; its connection must be, too.
    async fn outlive(&self, before: Option<Owner>, path: &Path) -> Result<(), ChannelError> {
        let Some(left) = before.and_then(|before| before.sidecar) else {
            return Ok(());
        };
        let until = Instant::now() + ENDING;
        while left.lives() {
            if Instant::now() >= until {
                return Err(ChannelError::Conflict(format!(
                    "the connection of an earlier gateway lives (process {}, named in {}); end it: kill -9 {}",
                    left.pid,
                    path.display(),
                    left.pid
                )));
            }
            if let Some(group) = number(left.pid) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Names the connection in all of them: it looks there before it opens anything.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub(super) fn name(&mut self, sidecar: Process) -> Result<(), ChannelError> {
        self.owner.sidecar = Some(sidecar);
        for held in &self.held {
            let written = held.describe(&self.owner);
            written.map_err(|error| {
                ChannelError::Transient(format!("cannot write {}: {error}", held.path.display()))
            })?;
        }
        Ok(())
    }

    /// Their files.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.held.iter().map(|held| held.path.clone()).collect()
    }
}

fn held_by(holder: Option<&Owner>, path: &Path, what: &str) -> ChannelError {
    let path = path.display();
    ChannelError::Conflict(match holder {
        Some(holder) if holder.pid == std::process::id() => format!(
            "another account of this gateway has {what} (lock {path}); give each account its own authDir and number"
        ),
        Some(holder) => format!(
            "another gateway ({}) has {what} (lock {path}), and two sessions throw each other out; stop that one (kill {}), or unlink one of them",
            holder.words(),
            holder.pid
        ),
        None => format!("another gateway has {what} (lock {path}); stop that one"),
    })
}

fn read(file: &mut File) -> Option<Owner> {
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner::this(1_700_000_000_000)
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_owner_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let mut first = Locks::new(Owner { pid: 1, ..owner() });
        first.take(&path, "the session").await.unwrap();
        let mut second = Locks::new(owner());
        let error = second.take(&path, "the session").await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ChannelError::Conflict(_)), "{text}");
        assert!(
            text.contains("pid 1, started 2023-11-14 22:13:20 UTC"),
            "{text}"
        );
        drop(first);
        second.take(&path, "the session").await.unwrap();
        second.name(Process::now(std::process::id())).unwrap();
        let said: Owner = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(said.pid, std::process::id());
        assert_eq!(said.sidecar, Some(Process::now(std::process::id())));
        drop(second);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[tokio::test]
    async fn the_connection_of_a_dead_gateway_is_ended_first() {
        use std::os::unix::process::CommandExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let mut left = std::process::Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .unwrap();
        let named = Owner {
            pid: 1,
            sidecar: Some(Process::now(left.id())),
            ..owner()
        };
        std::fs::write(&path, serde_json::to_vec(&named).unwrap()).unwrap();
        let mut next = Locks::new(owner());
        next.take(&path, "the session").await.unwrap();
        assert!(!left.wait().unwrap().success(), "it was killed");

        // A number that somebody else has by now, or may have, is nobody's business.
        drop(next);
        for ticks in [Some(1), None] {
            let other = Process {
                pid: std::process::id(),
                ticks,
            };
            let named = Owner {
                sidecar: Some(other),
                ..named.clone()
            };
            std::fs::write(&path, serde_json::to_vec(&named).unwrap()).unwrap();
            let mut next = Locks::new(owner());
            next.take(&path, "the session").await.unwrap();
        }
    }
}
