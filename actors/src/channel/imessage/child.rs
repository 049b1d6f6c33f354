//! The one `imsg rpc` of an account: started, written to, read and dropped here.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::pending;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::protocol::{Fault, Line, line};
use super::{IMessageSetup, Way};
use crate::channel::{ChannelError, Link};

/// Variables of the gateway that it gets; secrets are not among them.
const VARIABLES: [&str; 10] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
];
/// How long it may take to read one request.
const WRITING: Duration = Duration::from_secs(20);
/// How long it may take to end by itself once its input ended.
const ENDING: Duration = Duration::from_secs(3);
/// Largest line, bytes.
const LONGEST: usize = 16 * 1024 * 1024;
/// Most requests without an answer.
const MAX_OPEN: usize = 64;
/// Most bytes of what it complained about last.
const MAX_SAID: usize = 400;

/// A request on its way.
pub(super) struct Call {
    /// What is asked.
    pub(super) method: &'static str,
    /// With what.
    pub(super) params: Value,
    /// Set before it is written.
    pub(super) begun: Rc<Cell<bool>>,
    /// Told of its end.
    pub(super) done: oneshot::Sender<Result<Value, Fault>>,
}

/// What it says by itself.
pub(super) struct Told {
    /// What kind of thing.
    pub(super) method: String,
    /// It.
    pub(super) params: Value,
}

/// One that runs; dropped, it and all that it began end.
pub(super) struct Program {
    child: Option<Child>,
    group: Option<Pid>,
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: Option<ChildStderr>,
    name: String,
    ending: Ending,
}

/// The end of the one before, until that is over.
pub(super) type Ending = Rc<RefCell<Option<JoinHandle<()>>>>;

/// How it is started: on this host, or on a Mac by ssh.
fn command(setup: &IMessageSetup) -> (String, Command) {
    let mut args = vec!["rpc".to_owned()];
    if let Some(database) = &setup.database {
        args.extend(["--db".to_owned(), database.clone()]);
    }
    match &setup.way {
        Way::Here { program } => {
            let mut command = Command::new(program);
            command.args(args);
            (program.display().to_string(), command)
        }
        Way::Ssh { host, program } => {
            // What the Mac's shell gets is one text, so every part of it is quoted.
            let words = std::iter::once(program.clone()).chain(args);
            let remote: Vec<String> = words.map(|word| quoted(&word)).collect();
            let mut command = Command::new("ssh");
            command
                .args(super::SSH)
                .args(["--", host])
                .arg(remote.join(" "));
            (format!("{program} on {host}"), command)
        }
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Program {
    /// Starts one, once the one before has ended.
    pub(super) async fn start(
        setup: &IMessageSetup,
        ending: &Ending,
    ) -> Result<Self, ChannelError> {
        let before = ending.borrow_mut().take();
        if let Some(before) = before {
            let _ = before.await;
        }
        let (name, mut command) = command(setup);
        let variables = VARIABLES.into_iter();
        let variables = variables.filter_map(|name| Some((name, std::env::var_os(name)?)));
        let spawned = command
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ChannelError::Auth(format!(
                    "{name} is not on this host; on a Mac: brew install steipete/tap/imsg, elsewhere set channels.imessage.remoteHost to user@mac, then: openclaw channels start imessage"
                )));
            }
            Err(error) => {
                return Err(ChannelError::Transient(format!(
                    "{name} cannot be started: {error}"
                )));
            }
        };
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let input = child.stdin.take();
        let (Some(output), errors) = (child.stdout.take(), child.stderr.take()) else {
            return Err(ChannelError::Transient(format!(
                "{name} was started without pipes"
            )));
        };
        Ok(Self {
            child: Some(child),
            group: pid.and_then(Pid::from_raw),
            input,
            output,
            errors,
            name,
            ending: Rc::clone(ending),
        })
    }

    /// Writes requests and reads what comes until it ends. What nobody takes is dropped, and `told` is
    /// closed then: whoever listens asks for it again.
    pub(super) async fn work(
        &mut self,
        calls: &mut mpsc::Receiver<Call>,
        told: mpsc::Sender<Told>,
        link: &Link,
    ) -> ChannelError {
        let mut open: HashMap<u64, oneshot::Sender<Result<Value, Fault>>> = HashMap::new();
        let mut next = 0_u64;
        let mut buffer = BytesMut::with_capacity(8 * 1024);
        let mut said = Vec::new();
        let mut told = Some(told);
        loop {
            tokio::select! {
                biased;
                read = self.output.read_buf(&mut buffer) => {
                    match read {
                        Ok(0) | Err(_) => return self.ended(&said).await,
                        Ok(_) => {}
                    }
                    link.alive();
                    while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                        let bytes = buffer.split_to(end);
                        buffer.advance(1);
                        let text = String::from_utf8_lossy(&bytes);
                        match line(text.trim_end_matches('\r')) {
                            // Whoever asked may have given up.
                            Line::Answer(id, result) => if let Some(done) = open.remove(&id) {
                                let _ = done.send(result);
                            } else {
                                tracing::warn!(id, "imsg answers what was not asked");
                            },
                            Line::Notification(method, params) => {
                                let full = (told.as_ref())
                                    .is_some_and(|told| told.try_send(Told { method, params }).is_err());
                                if full {
                                    told = None;
                                }
                            }
                            Line::Noise if text.trim().is_empty() => {}
                            Line::Noise => tracing::warn!("imsg wrote a line that is no JSON-RPC; it is left out"),
                        }
                    }
                    if buffer.len() > LONGEST {
                        return ChannelError::Transient("imsg writes a line without an end".into());
                    }
                }
                call = calls.recv(), if open.len() < MAX_OPEN => {
                    let Some(call) = call else { return pending().await };
                    // Nobody waits for it any more, and it has not begun.
                    if call.done.is_closed() {
                        continue;
                    }
                    next += 1;
                    call.begun.set(true);
                    open.insert(next, call.done);
                    let request = json!({ "jsonrpc": "2.0", "id": next, "method": call.method, "params": call.params });
                    if let Err(error) = self.write(&request).await {
                        return error;
                    }
                }
                () = complaint(&mut self.errors, &mut said) => {}
            }
            open.retain(|_, done| !done.is_closed());
        }
    }

    async fn write(&mut self, request: &Value) -> Result<(), ChannelError> {
        let input = self.input.as_mut();
        let Some(input) = input else {
            return Err(ChannelError::Transient("imsg takes nothing more".into()));
        };
        let line = format!("{request}\n");
        let writing = async {
            input.write_all(line.as_bytes()).await?;
            input.flush().await
        };
        match timeout(WRITING, writing).await {
            Ok(Ok(())) => Ok(()),
            // Why it ended says more than that its pipe is closed.
            Ok(Err(_)) => Err(self.ended(&[]).await),
            Err(_) => Err(ChannelError::Transient(
                "imsg does not read what it is sent".into(),
            )),
        }
    }

    async fn ended(&mut self, said: &[u8]) -> ChannelError {
        let mut said = said.to_vec();
        if let Some(errors) = &mut self.errors {
            let rest = errors.read_buf(&mut said);
            let _ = timeout(Duration::from_millis(200), rest).await;
        }
        let how = match &mut self.child {
            Some(child) => match timeout(Duration::from_secs(1), child.wait()).await {
                Ok(Ok(status)) => {
                    self.group = None;
                    status.code().map_or_else(
                        || "by a signal".to_owned(),
                        |code| format!("exit code {code}"),
                    )
                }
                _ => "its output is closed".to_owned(),
            },
            None => String::new(),
        };
        let words = String::from_utf8_lossy(&said);
        let words = words.trim();
        let words = if words.is_empty() {
            String::new()
        } else {
            format!("; it said: {words}")
        };
        ChannelError::Transient(format!("{} ended ({how}){words}", self.name))
    }
}

/// Keeps the end of what it complains about.
async fn complaint(errors: &mut Option<ChildStderr>, said: &mut Vec<u8>) {
    let Some(pipe) = errors else {
        return pending().await;
    };
    let mut bytes = [0; 1_024];
    match pipe.read(&mut bytes).await {
        Ok(0) | Err(_) => *errors = None,
        Ok(read) => {
            said.extend_from_slice(&bytes[..read]);
            let much = said.len().saturating_sub(MAX_SAID);
            said.drain(..much);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The end of its input is how it is asked to end: what it has begun it finishes.
        drop(self.input.take());
        let (Some(mut child), Some(group)) = (self.child.take(), self.group.take()) else {
            return;
        };
        let ending = actix_rt::spawn(async move {
            if timeout(ENDING, child.wait()).await.is_err() {
                // Not waited for yet, so the number is still its own.
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait().await;
            }
        });
        *self.ending.borrow_mut() = Some(ending);
    }
}
