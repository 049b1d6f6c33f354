//! The programs of this machine: where they are, and running one within bounds.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_client::node::CommandError;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Bytes of an output that are kept: the last ones.
pub(super) const KEPT: usize = 200_000;
/// How long an output is read on after its program ended: another program may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Variables that hold secrets of this node, and are given to no program.
const OWN_SECRETS: [&str; 3] = [
    "OPENCLAW_GATEWAY_TOKEN",
    "OPENCLAW_GATEWAY_PASSWORD",
    "OPENCLAW_SETUP_CODE",
];

/// Where programs are looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Programs {
    path: OsString,
}

impl Programs {
    /// In the folders of a `PATH`.
    pub(super) fn new(path: OsString) -> Self {
        Self { path }
    }

    /// The file of a program: found by its name, or named with its folder.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        if name.contains('/') {
            // Rules go by folders, and a way back up leads out of one.
            if name.split('/').any(|part| matches!(part, "." | "..")) {
                return None;
            }
            let path = PathBuf::from(name);
            return is_program(&path).then_some(path);
        }
        std::env::split_paths(&self.path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| is_program(path))
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A command without the secrets of this node, in a process group of its own.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in OWN_SECRETS {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Ends a program and everything that it began, unless it ended by itself.
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// It ended.
    pub(super) fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            // It may have ended meanwhile.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

/// The last bytes of an output.
#[derive(Default)]
struct Tail {
    bytes: VecDeque<u8>,
    cut: bool,
}

/// An output while it is read.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Tail>>);

impl Output {
    async fn read(self, mut from: impl AsyncRead + Unpin, shown: Option<Shown>) {
        let mut buffer = vec![0; 8 * 1024];
        loop {
            // A pipe that breaks has nothing more.
            let Ok(read @ 1..) = from.read(&mut buffer).await else {
                return;
            };
            let Some(piece) = buffer.get(..read) else {
                return;
            };
            let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            tail.bytes.extend(piece);
            let surplus = tail.bytes.len().saturating_sub(KEPT);
            tail.bytes.drain(..surplus);
            tail.cut |= surplus > 0;
            drop(tail);
            if let Some(shown) = &shown {
                // A reader that is slower than the program misses a piece; the result has it.
                shown
                    .try_send(String::from_utf8_lossy(piece).into_owned())
                    .ok();
            }
        }
    }

    fn text(&self) -> String {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = Vec::from(std::mem::take(&mut tail.bytes));
        let text = String::from_utf8_lossy(&bytes);
        if tail.cut {
            format!("... (cut) {text}")
        } else {
            text.into_owned()
        }
    }
}

/// Where pieces of an output are shown while the program runs.
pub(super) type Shown = tokio::sync::mpsc::Sender<String>;

/// How a program ended.
pub(super) struct Ran {
    /// Its status; `None` when its time was over.
    pub(super) status: Option<ExitStatus>,
    /// The last that it wrote.
    pub(super) stdout: String,
    /// The last that it complained of.
    pub(super) stderr: String,
}

impl Ran {
    /// Why a program of ours failed, if it did: its last words.
    pub(super) fn failure(&self, what: &str) -> Option<String> {
        let words = || {
            let lines: Vec<&str> = self
                .stderr
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect();
            lines[lines.len().saturating_sub(3)..].join("; ")
        };
        match self.status {
            None => Some(format!("{what} took too long")),
            Some(status) if !status.success() => {
                Some(format!("{what} ended with {status}: {}", words()))
            }
            Some(_) => None,
        }
    }
}

/// Runs a program to its end, at most `limit` long. Dropped, it takes the program with it.
pub(super) async fn run(
    mut command: Command,
    limit: Duration,
    shown: Option<Shown>,
) -> std::io::Result<Ran> {
    let mut child = command.spawn()?;
    let mut group = Group::of(&child);
    let (stdout, stderr) = (Output::default(), Output::default());
    let mut reading = JoinSet::new();
    if let Some(pipe) = child.stdout.take() {
        reading.spawn(stdout.clone().read(pipe, shown.clone()));
    }
    if let Some(pipe) = child.stderr.take() {
        reading.spawn(stderr.clone().read(pipe, shown));
    }
    let status = match timeout(limit, child.wait()).await {
        Ok(status) => Some(status?),
        Err(_) => None,
    };
    if status.is_some() {
        group.ended();
    }
    // Ends what took too long; its pipes close.
    drop(group);
    let all = async { while reading.join_next().await.is_some() {} };
    timeout(LAST_WORDS, all).await.ok();
    Ok(Ran {
        status,
        stdout: stdout.text(),
        stderr: stderr.text(),
    })
}

/// Runs a program of ours whose failure fails the command.
pub(super) async fn run_or_fail(
    command: Command,
    limit: Duration,
    what: &str,
    code: &str,
) -> Result<Ran, CommandError> {
    let ran = run(command, limit, None)
        .await
        .map_err(|error| CommandError::new(code, format!("cannot run {what}: {error}")))?;
    match ran.failure(what) {
        None => Ok(ran),
        Some(failure) => Err(CommandError::new(code, failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut sh = command(Path::new("/bin/sh"));
        sh.args(["-c", script]);
        sh
    }

    #[test]
    fn programs_are_found_by_name_and_only_if_they_can_run() {
        let folder = tempfile::tempdir().unwrap();
        let (run, data) = (folder.path().join("run"), folder.path().join("data"));
        for (path, mode) in [(&run, 0o755), (&data, 0o644)] {
            std::fs::write(path, "").unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([Path::new("relative"), folder.path()]).unwrap();
        let programs = Programs::new(path);
        assert_eq!(programs.find("run"), Some(run.clone()));
        assert_eq!(programs.find(run.to_str().unwrap()), Some(run));
        let round = format!(
            "{}/../{}/run",
            folder.path().display(),
            folder.path().file_name().unwrap().display()
        );
        for name in ["data", "other", "", "a\0b", &round] {
            assert_eq!(programs.find(name), None, "{name}");
        }
    }

    #[tokio::test]
    async fn a_program_is_ended_with_what_it_began_and_its_last_words_are_kept() {
        let ran = run(
            sh("echo a; echo b >&2; exit 3"),
            Duration::from_secs(20),
            None,
        );
        let ran = ran.await.unwrap();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("a\n", "b\n"));
        let failure = ran.failure("it").unwrap();
        assert!(
            failure.contains('3') && failure.ends_with(": b"),
            "{failure}"
        );

        let ran = run(sh("yes x | head -c 300000"), Duration::from_secs(20), None);
        let ran = ran.await.unwrap();
        assert!(ran.stdout.starts_with("... (cut) ") && ran.stdout.len() < KEPT + 20);

        // The second sleep would keep the pipe open for a minute.
        let ran = run(
            sh("echo up; sleep 60 & sleep 60"),
            Duration::from_millis(300),
            None,
        );
        let ran = ran.await.unwrap();
        assert!(ran.status.is_none());
        assert_eq!(ran.stdout, "up\n");
    }
}
