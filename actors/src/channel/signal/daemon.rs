//! A signal-cli of this account's own: started, watched and ended here.

use std::cell::RefCell;
use std::net::TcpListener;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Managed;
use super::api::{Api, is_unlinked, unlinked};
use crate::channel::{ChannelError, Link};

/// signal-cli does not look whether the one who started it lives. This does, by a pipe that ends with the
/// gateway however that ends: the whole group is asked to end, and made to after some seconds.
const KEEPER: &str = r#"
exec 3<&0
( trap '' TERM; cat <&3 >/dev/null; kill -TERM 0; sleep 5; kill -KILL 0 ) >/dev/null 2>&1 &
"$@" </dev/null 3<&- &
own=$!
trap : TERM
wait $own; code=$?
kill -0 $own 2>/dev/null && { wait $own; code=$?; }
trap '' TERM
kill -TERM 0
exit $code
"#;
/// Variables of the gateway that it gets; secrets are not among them.
const VARIABLES: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "JAVA_HOME",
    "JAVA_OPTS",
    "SIGNAL_CLI_OPTS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];
/// Between two looks whether it answers.
const LOOK: Duration = Duration::from_millis(250);
/// How long one look may take.
const LONG: Duration = Duration::from_secs(5);
/// After so long it is said that it takes a while.
const A_WHILE: Duration = Duration::from_secs(5);
/// How long one that is ended may take, before it is made to.
const ENDING: Duration = Duration::from_secs(8);
/// How long what it said last may take.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Most characters of what it said last.
const MAX_SAID: usize = 500;

/// One that runs. Dropped, it ends.
pub(super) struct Daemon {
    child: Option<Child>,
    /// Held: its end is the gateway's.
    input: Option<ChildStdin>,
    group: Option<Pid>,
    url: String,
    startup: Duration,
    program: String,
    said: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
    ending: Ending,
}

/// The end of the one before, until that is over.
pub(super) type Ending = Rc<RefCell<Option<JoinHandle<()>>>>;

impl Daemon {
    /// Starts it, once the one before has ended.
    pub(super) async fn start(own: &Managed, ending: &Ending) -> Result<Self, ChannelError> {
        alone(ending).await;
        let port = match own.port {
            Some(port) => port,
            None => free_port(&own.host)?,
        };
        let mut args = Vec::new();
        if let Some(only) = &own.only {
            args.extend(["-a".to_owned(), only.clone()]);
        }
        args.extend(["daemon", "--no-receive-stdout", "--receive-mode"].map(str::to_owned));
        args.push(own.receive_mode.clone());
        args.push(format!("--http={}", authority(&own.host, port)));
        if own.ignore_stories {
            args.push("--ignore-stories".to_owned());
        }
        let program = own.program.display().to_string();
        let mut child = spawn(own, &args)?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let said = Arc::<Mutex<String>>::default();
        let mut listeners = Vec::new();
        for pipe in [
            child.stdout.take().map(Pipe::Out),
            child.stderr.take().map(Pipe::Err),
        ]
        .into_iter()
        .flatten()
        {
            listeners.push(actix_rt::spawn(listen(pipe, Arc::clone(&said))));
        }
        tracing::info!(program, port, "signal-cli is started");
        Ok(Self {
            group: pid.and_then(Pid::from_raw),
            // Waiting for a child closes an input that it still has.
            input: child.stdin.take(),
            child: Some(child),
            url: format!("http://{}", authority(&own.host, port)),
            startup: own.startup,
            program,
            said,
            listeners,
            ending: Rc::clone(ending),
        })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until it answers: a Java program takes seconds, on a small machine many.
    pub(super) async fn ready(&mut self, api: &Api, link: &Link) -> Result<(), ChannelError> {
        let began = Instant::now();
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                error = self.ended() => return Err(error),
                answered = api.check(LONG) => if answered.is_ok() {
                    return Ok(());
                },
            }
            if began.elapsed() >= self.startup {
                return Err(ChannelError::Transient(format!(
                    "{} did not answer within {} s (channels.signal.startupTimeoutMs){}",
                    self.program,
                    self.startup.as_secs(),
                    self.last_words()
                )));
            }
            if !told && began.elapsed() >= A_WHILE {
                told = true;
                link.trouble(&format!(
                    "signal-cli is starting, which takes a Java program a while (at most {} s: channels.signal.startupTimeoutMs)",
                    self.startup.as_secs()
                ));
            }
            tokio::select! {
                error = self.ended() => return Err(error),
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> ChannelError {
        let Some(child) = &mut self.child else {
            return std::future::pending().await;
        };
        let status = child.wait().await;
        self.group = None;
        // What it said last may still be on its way.
        for listener in self.listeners.drain(..) {
            let _ = tokio::time::timeout(LAST_WORDS, listener).await;
        }
        let how = status.map_or_else(|error| error.to_string(), exit);
        let words = self.last_words();
        // One that serves one account only ends where it has not got it.
        if is_unlinked(&words) {
            return unlinked(words.trim_start_matches("; "));
        }
        ChannelError::Transient(format!("{} ended ({how}){words}", self.program))
    }

    fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_empty() {
            String::new()
        } else {
            format!("; it said: {said}")
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The end of its input asks the group to end, so that its database is closed.
        drop(self.input.take());
        let (Some(mut child), Some(group)) = (self.child.take(), self.group.take()) else {
            return;
        };
        let ending = actix_rt::spawn(async move {
            if tokio::time::timeout(ENDING, child.wait()).await.is_err() {
                // Not waited for yet, so the number is still its own.
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait().await;
            }
        });
        *self.ending.borrow_mut() = Some(ending);
    }
}

/// Starts signal-cli with these arguments; it ends with its input.
///
/// # Errors
///
/// Where it is not there, or cannot be started.
pub(super) fn spawn(own: &Managed, args: &[String]) -> Result<Child, ChannelError> {
    let program = own.program.display().to_string();
    if !is_there(own) {
        return Err(ChannelError::Auth(format!(
            "{program} is not on this host; install signal-cli (it needs Java), or set channels.signal.cliPath, then: openclaw channels start signal"
        )));
    }
    let mut command = Command::new("sh");
    command.args(["-c", KEEPER, "signal-cli"]).arg(&own.program);
    if let Some(config) = &own.config {
        command.arg("--config").arg(config);
    }
    let variables = VARIABLES.into_iter();
    let variables = variables.filter_map(|name| Some((name, std::env::var_os(name)?)));
    command
        .args(args)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| ChannelError::Transient(format!("{program} cannot be started: {error}")))
}

/// Waits until the one before has ended: two have neither the same port nor the same data.
pub(super) async fn alone(ending: &Ending) {
    let before = ending.borrow_mut().take();
    if let Some(before) = before {
        let _ = before.await;
    }
}

enum Pipe {
    Out(tokio::process::ChildStdout),
    Err(tokio::process::ChildStderr),
}

async fn listen(pipe: Pipe, said: Arc<Mutex<String>>) {
    match pipe {
        Pipe::Out(pipe) => keep_last(pipe, &said).await,
        Pipe::Err(pipe) => keep_last(pipe, &said).await,
    }
}

/// Keeps its last complaint. What people wrote is not among it: it was told to keep that to itself.
async fn keep_last(pipe: impl AsyncRead + Unpin, said: &Mutex<String>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        tracing::debug!(line, "signal-cli");
        let is_complaint = [
            "ERROR",
            "WARN",
            "Exception",
            "rror:",
            "Failed",
            "registered",
        ]
        .iter()
        .any(|word| line.contains(word));
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if is_complaint || said.is_empty() {
            *said = line.chars().take(MAX_SAID).collect();
        }
    }
}

fn exit(status: ExitStatus) -> String {
    status.code().map_or_else(
        || "by a signal".to_owned(),
        |code| format!("exit code {code}"),
    )
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn free_port(host: &str) -> Result<u16, ChannelError> {
    let port = TcpListener::bind((host, 0)).and_then(|socket| socket.local_addr());
    let port = port.map_err(|error| {
        ChannelError::Transient(format!("signal-cli finds no free port on {host}: {error}"))
    })?;
    Ok(port.port())
}

/// Whether the program can be started: `sh` would only say so in its own words.
fn is_there(own: &Managed) -> bool {
    if own.program.components().count() > 1 {
        return own.program.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(&own.program).is_file())
}
