//! A server that is a program: one JSON message a line on its standard input and output.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::McpError;
use super::message::MAX_MESSAGE;

/// Messages that wait for the program to read them.
const MAX_WAITING: usize = 64;
/// Bytes of what it complained about last that are kept for error messages.
const MAX_COMPLAINT: usize = 2_000;
/// Variables of the gateway that programs get.
const VARIABLES: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR",
];

/// A program under way; it and all that it began end when this is dropped.
pub(super) struct Program {
    outgoing: mpsc::Sender<String>,
    complaint: Arc<Mutex<String>>,
    group: Arc<Group>,
    _tasks: [AbortOnDrop; 3],
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The program's process group. Its number is forgotten with its end: once the program is waited for, the
/// number may belong to somebody else.
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

impl Drop for Program {
    fn drop(&mut self) {
        self.group.end();
    }
}

impl Program {
    /// Starts it. `hear` gets every message, then `None` when there will be no more.
    pub(super) fn start(
        command: &str,
        args: &[String],
        env: &BTreeMap<String, String>,
        cwd: Option<&Path>,
        hear: impl Fn(Option<Value>) + Send + 'static,
    ) -> Result<Self, McpError> {
        let own = VARIABLES
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut starting = Command::new(command);
        starting
            .args(args)
            .env_clear()
            .envs(own)
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(cwd) = cwd {
            starting.current_dir(cwd);
        }
        let mut child = starting
            .spawn()
            .map_err(|error| McpError::new(format!("cannot start `{command}`: {error}")))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Arc::new(Group(Mutex::new(pid.and_then(Pid::from_raw))));
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut input), Some(output), Some(errors)) = pipes else {
            return Err(McpError::new("the program was started without pipes"));
        };
        let (outgoing, mut waiting) = mpsc::channel::<String>(MAX_WAITING);
        let writing = tokio::spawn(async move {
            while let Some(line) = waiting.recv().await {
                if input.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let complaint: Arc<Mutex<String>> = Arc::default();
        let complaining = tokio::spawn(keep_last(errors, Arc::clone(&complaint)));
        let reading = tokio::spawn(listen(child, output, hear, Arc::clone(&group)));
        Ok(Self {
            outgoing,
            complaint,
            group,
            _tasks: [writing, complaining, reading].map(AbortOnDrop),
        })
    }

    /// Puts a message on its way.
    pub(super) fn send(&self, message: &Value) -> Result<(), McpError> {
        self.outgoing
            .try_send(format!("{message}\n"))
            .map_err(|_| McpError::new("the program does not read what it is sent"))
    }

    /// The way to its standard input.
    pub(super) fn sender(&self) -> mpsc::Sender<String> {
        self.outgoing.clone()
    }

    /// What it wrote to its standard error last.
    pub(super) fn complaint(&self) -> String {
        let said = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        said.trim().to_owned()
    }

    #[cfg(test)]
    pub(super) fn group(&self) -> Option<Pid> {
        *self.group.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears the program until it ends, or says what is no message.
async fn listen(
    mut child: Child,
    output: impl AsyncRead + Unpin,
    hear: impl Fn(Option<Value>),
    group: Arc<Group>,
) {
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = MAX_MESSAGE as u64 + 1;
        let read = (&mut lines).take(most).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            break;
        }
        if line.len() > MAX_MESSAGE {
            tracing::warn!(
                bytes = line.len(),
                "an MCP server wrote a line that is too long; it is stopped"
            );
            break;
        }
        // Some programs write other things there; that is their mistake, and does no harm.
        if let Ok(message) = serde_json::from_slice(&line) {
            hear(Some(message));
        }
    }
    hear(None);
    // What cannot be heard any more ends, with all that it began.
    group.end();
    let _ = child.wait().await;
}

async fn keep_last(mut errors: impl AsyncRead + Unpin, complaint: Arc<Mutex<String>>) {
    let mut piece = [0; 1_024];
    while let Ok(read @ 1..) = errors.read(&mut piece).await {
        let mut kept = complaint.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_str(&String::from_utf8_lossy(&piece[..read]));
        let surplus = kept.len().saturating_sub(MAX_COMPLAINT);
        let cut = (surplus..kept.len()).find(|at| kept.is_char_boundary(*at));
        kept.drain(..cut.unwrap_or(0));
    }
}
