//! The `tailscale` program: one question at a time, each with a limit.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

/// Longest wait for an answer. Making a route asks tailscaled only; where HTTPS or Funnel is not enabled for
/// the tailnet, the program prints an address and waits for a person, for ever.
const PATIENCE: Duration = Duration::from_secs(15);
/// Most of an answer that is read, bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// The program and the daemon that it talks to.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Where it is; `None` where there is none.
    pub(super) path: Option<PathBuf>,
    /// The daemon's socket, where it is not in its usual place.
    pub(super) socket: Option<String>,
}

/// What it printed, of both kinds.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Standard output.
    pub(super) out: String,
    /// Standard output and errors, for people.
    pub(super) all: String,
}

impl Program {
    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// What is wrong: it is not there, it failed, or did not end in time. With what it said.
    pub(super) async fn run(&self, args: &[&str]) -> Result<Said, String> {
        let path = self.path.as_ref().ok_or(
            "there is no `tailscale` program on PATH; install Tailscale (https://tailscale.com/download)",
        )?;
        let cannot = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut command = Command::new(path);
        if let Some(socket) = &self.socket {
            command.arg(format!("--socket={socket}"));
        }
        let mut child = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot)?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let streams = (child.stdout.take(), child.stderr.take());
        let ended = timeout(PATIENCE, async {
            read(streams, &mut out, &mut err).await;
            child.wait().await
        })
        .await;
        let out = String::from_utf8_lossy(&out).into_owned();
        let all = format!("{}\n{out}", String::from_utf8_lossy(&err));
        match ended {
            Ok(Ok(status)) if status.success() => Ok(Said { out, all }),
            Ok(Ok(_)) => Err(super::plan::remedy(&all)),
            Ok(Err(error)) => Err(cannot(error)),
            Err(_) => Err(format!(
                "`tailscale {}` did not end: {}",
                args.first().unwrap_or(&""),
                super::plan::remedy(&all)
            )),
        }
    }
}

/// Reads both to their end, so that neither blocks the program.
async fn read(
    (stdout, stderr): (Option<ChildStdout>, Option<ChildStderr>),
    out: &mut Vec<u8>,
    err: &mut Vec<u8>,
) {
    let stdout = async {
        if let Some(stream) = stdout {
            // What cannot be read was not said.
            let _ = stream.take(MAX_ANSWER).read_to_end(out).await;
        }
    };
    let stderr = async {
        if let Some(stream) = stderr {
            let _ = stream.take(MAX_ANSWER).read_to_end(err).await;
        }
    };
    tokio::join!(stdout, stderr);
}
