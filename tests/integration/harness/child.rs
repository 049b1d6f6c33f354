//! The built program as a child, in a home of its own.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::model::Model;
use super::socket::{Socket, connect_params};
use super::{TOKEN, soon};

/// A home directory with a state directory and a runtime directory.
pub(crate) struct Home {
    folder: TempDir,
    /// Variables that the program gets beside its own.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
}

impl Home {
    /// An empty one: what a newcomer has.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let home = Self {
            folder,
            variables: Vec::new(),
        };
        std::fs::create_dir(home.runtime()).expect("the runtime folder");
        home
    }

    /// One with a configuration.
    pub(crate) fn with(config: &Value) -> Self {
        let home = Self::new();
        home.configure(config);
        home
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, config: &Value) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::create_dir_all(self.state()).expect("the state folder");
        let path = self.state().join("openclaw.json");
        std::fs::write(&path, config.to_string()).expect("the configuration");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .expect("its permissions");
    }

    /// The state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The folder of the host's lock.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// The text of the log file.
    pub(crate) fn log(&self) -> String {
        let path = self.state().join("gateway/logs/gateway.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// `openclaw` with these arguments, in this home.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("OPENCLAW_STATE_DIR", self.state())
            .env("XDG_RUNTIME_DIR", self.runtime())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs `openclaw` with these arguments to its end; exit code, stdout, stderr.
    pub(crate) async fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        self.run_with(args, "").await
    }

    /// The same with this on its standard input.
    pub(crate) async fn run_with(
        &self,
        args: &[&str],
        input: &str,
    ) -> (Option<i32>, String, String) {
        let mut command = self.command(args);
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().expect("the program runs");
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await.expect("it reads");
        }
        let output = soon("the end of the program", child.wait_with_output())
            .await
            .expect("the program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }
}

/// `openclaw` with a command that goes on, and the lines that it shows meanwhile.
pub(crate) struct Shown {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    output: String,
}

impl Shown {
    /// Starts it in this home.
    pub(crate) fn start(home: &Home, args: &[&str]) -> Self {
        let mut child = home.command(args).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            output: String::new(),
        }
    }

    /// Waits until it showed this; all that it showed so far.
    pub(crate) async fn until(&mut self, words: &str) -> &str {
        while !self.output.contains(words) {
            let line = soon(words, self.lines.next_line()).await.expect("text");
            self.output += &line.unwrap_or_else(|| panic!("no {words:?}: {}", self.output));
            self.output.push('\n');
        }
        &self.output
    }

    /// Waits for its end, which is a good one.
    pub(crate) async fn succeeds(mut self) {
        let status = soon("the end of the program", self.child.wait()).await;
        assert!(status.expect("it ends").success(), "{}", self.output);
    }
}

/// A configuration whose model is `model`.
pub(crate) fn config(model: &Model) -> Value {
    json!({
        "gateway": { "auth": { "mode": "token", "token": TOKEN } },
        "models": { "providers": { "scripted": {
            "baseUrl": model.url, "apiKey": "sk-scripted", "api": "openai-completions",
            "models": [{ "id": "m1", "name": "Scripted" }],
        } } },
        "agents": { "defaults": { "model": { "primary": "scripted/m1" }, "maxConcurrent": 25 } },
    })
}

/// A gateway as a child process.
pub(crate) struct Gateway {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it wrote to stdout so far.
    pub(crate) output: String,
    /// Its port.
    pub(crate) port: u16,
}

impl Gateway {
    /// Starts one on a port that the system chooses, and waits until it serves.
    pub(crate) async fn start(home: &Home) -> Self {
        Self::start_with(home, &[]).await
    }

    /// The same with more flags.
    pub(crate) async fn start_with(home: &Home, flags: &[&str]) -> Self {
        Self::begin(home, flags, &[]).await
    }

    /// The same with more variables.
    pub(crate) async fn start_in(home: &Home, variables: &[(&str, String)]) -> Self {
        Self::begin(home, &[], variables).await
    }

    async fn begin(home: &Home, flags: &[&str], variables: &[(&str, String)]) -> Self {
        let mut args = vec!["gateway"];
        if !flags.contains(&"--port") {
            args.extend(["--port", "0"]);
        }
        args.extend(flags);
        let mut command = home.command(&args);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        let mut gateway = Self {
            child,
            lines: BufReader::new(stdout).lines(),
            output: String::new(),
            port: 0,
        };
        loop {
            let Some(line) = gateway.line().await else {
                let output = gateway.child.wait_with_output().await.expect("it ended");
                panic!(
                    "the gateway did not start: {}{}",
                    gateway.output,
                    String::from_utf8_lossy(&output.stderr)
                );
            };
            let address = line
                .split_once("http://127.0.0.1:")
                .or_else(|| line.split_once("https://127.0.0.1:"));
            if let Some((_, rest)) = address {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                gateway.port = digits.parse().expect("a port");
            }
            if line.contains("gateway ready") {
                break;
            }
        }
        assert_ne!(gateway.port, 0, "no address in: {}", gateway.output);
        gateway
    }

    async fn line(&mut self) -> Option<String> {
        let line = soon("a line of the gateway", self.lines.next_line())
            .await
            .expect("its stdout is text")?;
        self.output.push_str(&line);
        self.output.push('\n');
        Some(line)
    }

    /// The next line on stdout that holds this text.
    pub(crate) async fn says(&mut self, text: &str) -> String {
        loop {
            let line = self.line().await;
            let line = line.unwrap_or_else(|| panic!("it ended without: {text}\n{}", self.output));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("it can be signalled");
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// A connected client.
    pub(crate) async fn client(&self) -> Socket {
        let mut socket = self.socket().await;
        socket.hello(connect_params(4)).await;
        socket
    }

    /// A socket that has its challenge.
    pub(crate) async fn socket(&self) -> Socket {
        Socket::open(([127, 0, 0, 1], self.port).into(), &[]).await
    }

    /// Most resident memory since the start or the last [`Self::forget_peak`], bytes.
    pub(crate) fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the process can be looked at");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("VmHWM");
        let kilobytes: u64 = line
            .trim()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .expect("kB");
        kilobytes * 1024
    }

    /// Measures the peak anew from here on.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")
            .expect("the peak can be reset");
    }

    /// Kills it as a power cut would.
    pub(crate) async fn kill(mut self) {
        soon("the kill", self.child.kill())
            .await
            .expect("it can be killed");
    }

    /// Asks it to stop, as systemd does.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for its end; gives its status and everything that it wrote to stdout.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        while self.line().await.is_some() {}
        let status = soon("the end of the gateway", self.child.wait())
            .await
            .expect("it can be waited for");
        (status, self.output)
    }
}
