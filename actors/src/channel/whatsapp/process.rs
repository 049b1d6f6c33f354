//! The sidecar's process: a line in, a line out, and its end with all that it began.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};

use super::lock::{Locks, Process};
use crate::channel::ChannelError;

/// Longest line, bytes; media goes by files.
const LONGEST: usize = 4 * 1024 * 1024;
/// Lines that wait to be read by the process.
const WAITING: usize = 256;
/// Lines that wait to be handled here; the process is not heard at more.
const HEARD: usize = 64;
/// How long it may take to end by itself, once nobody talks to it.
const ENDING: Duration = Duration::from_secs(2);
/// Most bytes of one line of its log that are shown.
const LOGGED: usize = 1_000;
/// Variables of the gateway that it gets.
const VARIABLES: [&str; 10] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "NODE_EXTRA_CA_CERTS",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// What comes from it.
#[derive(Debug)]
pub(super) enum Heard {
    /// A line.
    Line(Value),
    /// There will be none any more.
    End(&'static str),
}

/// A running sidecar. Dropped, it is told to end, and ended when it does not.
pub(super) struct Sidecar {
    input: Option<mpsc::Sender<String>>,
    heard: mpsc::Receiver<Heard>,
    process: Process,
    locks: Option<oneshot::Sender<Locks>>,
}

impl Sidecar {
    /// Starts `script` with `node`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn start(node: &Path, script: &Path, account: &str) -> Result<Self, ChannelError> {
        let own = VARIABLES
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let started = Command::new(node)
            .arg(script)
            .current_dir(script.parent().unwrap_or_else(|| Path::new("/")))
            .env_clear()
            .envs(own)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = started.map_err(|error| cannot_start(node, &error))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors), Some(pid)) =
            (pipes.0, pipes.1, pipes.2, child.id())
        else {
            return Err(ChannelError::Transient(
                "the sidecar was started without pipes".into(),
            ));
        };
        let (to, lines) = mpsc::channel(WAITING);
        let (say, heard) = mpsc::channel(HEARD);
        let (locks, handed) = oneshot::channel();
        let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let group = Arc::new(Group(Mutex::new(group)));
        tokio::spawn(write(input, lines));
        tokio::spawn(log(errors, account.to_owned()));
        tokio::spawn(live(child, output, say, group, handed));
        Ok(Self {
            input: Some(to),
            heard,
            process: Process::now(pid),
            locks: Some(locks),
        })
    }

    /// The process.
    pub(super) const fn process(&self) -> Process {
        self.process
    }

    /// Gives it the locks to hold until its process is gone.
    pub(super) fn keep(&mut self, locks: Locks) {
        if let Some(keeper) = self.locks.take() {
            // Where it is gone already they are given up at once.
            let _ = keeper.send(locks);
        }
    }

    /// Puts a line on its way.
    ///
    /// # Errors
    ///
    /// When it does not read.
    pub(super) fn say(&self, line: &Value) -> Result<(), ChannelError> {
        let deaf = || ChannelError::Transient("the WhatsApp sidecar does not read".into());
        let input = self.input.as_ref().ok_or_else(deaf)?;
        input.try_send(format!("{line}\n")).map_err(|_| deaf())
    }

    /// Tells it to end. What it said before is still heard.
    pub(super) fn end(&mut self) {
        self.input = None;
        self.heard.close();
    }

    /// What comes next.
    pub(super) async fn hear(&mut self) -> Heard {
        let heard = self.heard.recv().await;
        heard.unwrap_or(Heard::End("it ended"))
    }
}

fn cannot_start(node: &Path, error: &std::io::Error) -> ChannelError {
    if error.kind() == std::io::ErrorKind::NotFound {
        return ChannelError::Auth(format!(
            "WhatsApp needs Node.js 20 or later, and `{}` is not there; install it, then: openclaw channels start whatsapp",
            node.display()
        ));
    }
    ChannelError::Transient(format!("cannot start `{}`: {error}", node.display()))
}

/// The process's group. Its number is forgotten before the process is waited for: then it may be
/// somebody else's.
struct Group(Mutex<Option<Pid>>);

impl Group {
    fn end(&self) {
        let group = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(group) = group {
            // It may be gone by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn write(mut input: ChildStdin, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if input.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
    // Closed: what it means is that it shall end.
}

/// Hears the process until its end, and holds the locks until it is gone.
async fn live(
    mut child: Child,
    output: impl AsyncRead + Unpin,
    say: mpsc::Sender<Heard>,
    group: Arc<Group>,
    handed: oneshot::Receiver<Locks>,
) {
    let why = tokio::select! {
        why = listen(output, &say) => why,
        () = say.closed() => "it was told to end",
    };
    // Nobody listens any more: it has a moment to write down what it must.
    let ended = say.is_closed() && tokio::time::timeout(ENDING, child.wait()).await.is_ok();
    if !ended {
        group.end();
        let _ = child.wait().await;
    }
    let _ = say.send(Heard::End(why)).await;
    drop(handed.await);
}

async fn listen(output: impl AsyncRead + Unpin, say: &mpsc::Sender<Heard>) -> &'static str {
    use tokio::io::AsyncReadExt as _;
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = LONGEST as u64 + 1;
        let read = (&mut lines).take(most).read_until(b'\n', &mut line).await;
        match read {
            Ok(1..) if line.len() > LONGEST => return "it wrote a line that is too long",
            // The end of a line that is none.
            Ok(1..) if line.last() != Some(&b'\n') => return "it ended within a line",
            Ok(1..) => {}
            Ok(0) | Err(_) => return "it ended",
        }
        match serde_json::from_slice(&line) {
            Ok(said) => {
                if say.send(Heard::Line(said)).await.is_err() {
                    return "nobody listens";
                }
            }
            Err(_) => return "it wrote a line that is no JSON",
        }
    }
}

/// Its log is part of ours.
async fn log(errors: impl AsyncRead + Unpin, account: String) {
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let end = line.floor_char_boundary(LOGGED.min(line.len()));
        tracing::info!(account, "the WhatsApp sidecar says: {}", &line[..end]);
    }
}

/// What is run, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Node.
    pub node: PathBuf,
    /// The script; what it imports lies beside it.
    pub script: PathBuf,
    /// Whether it is written there as this release has it.
    pub ours: bool,
}
