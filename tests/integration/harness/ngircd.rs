//! Debian's ngircd, killed and started again for real; people who talk there; a proxy that cuts.

use std::net::TcpListener as Std;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::soon;

/// A server.
pub(crate) struct Ngircd {
    folder: TempDir,
    child: Option<Child>,
    /// Where it listens.
    pub(crate) port: u16,
    /// Where it listens for TLS.
    pub(crate) tls_port: u16,
}

fn free_port() -> u16 {
    let listener = Std::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Ngircd {
    /// One without a password.
    pub(crate) async fn start() -> Self {
        Self::with("", None).await
    }

    /// One that makes nobody wait.
    pub(crate) async fn patient() -> Self {
        Self::with("[Limits]\nMaxPenaltyTime = 0", None).await
    }

    /// One with these lines in `[Global]`, and with this certificate and key.
    pub(crate) async fn with(global: &str, tls: Option<(&Path, &Path)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (port, tls_port) = (free_port(), free_port());
        let tls = tls.map_or_else(String::new, |(cert, key)| {
            format!(
                "[SSL]\nCertFile = {}\nKeyFile = {}\nPorts = {tls_port}\n",
                cert.display(),
                key.display()
            )
        });
        let text = format!(
            "[Global]\nName = irc.test\nInfo = test\nListen = 127.0.0.1\nPorts = {port}\nMotdPhrase = hello\n{global}\n\
             [Limits]\nMaxConnectionsIP = 0\nMaxNickLength = 30\n[Options]\nDNS = no\nIdent = no\nPAM = no\n{tls}"
        );
        std::fs::write(folder.path().join("ngircd.conf"), text).expect("its configuration");
        let mut server = Self {
            folder,
            child: None,
            port,
            tls_port,
        };
        server.again().await;
        server
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("ngircd.conf")
    }

    /// Starts it, on the same port.
    pub(crate) async fn again(&mut self) {
        let child = Command::new(if Path::new("/usr/sbin/ngircd").exists() {
            "/usr/sbin/ngircd"
        } else {
            "ngircd"
        })
        .arg("-n")
        .arg("-f")
        .arg(self.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
        self.child = Some(child.expect("ngircd is installed (Debian's package ngircd)"));
        soon("ngircd", async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                super::look_again().await;
            }
        })
        .await;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, signal).expect("it can be signalled");
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().await.expect("it can be killed");
    }
}

/// Somebody with a client of their own.
pub(crate) struct Person {
    lines: BufReader<OwnedReadHalf>,
    out: OwnedWriteHalf,
    nick: String,
}

impl Person {
    /// Comes to a server.
    pub(crate) async fn come(port: u16, nick: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let (read, out) = stream.expect("the server listens").into_split();
        let mut person = Self {
            lines: BufReader::new(read),
            out,
            nick: nick.to_owned(),
        };
        person.write(&format!("NICK {nick}")).await;
        person.write(&format!("USER {nick} 0 * :{nick}")).await;
        person
            .until("the welcome", |line| line.contains(" 376 "))
            .await;
        person
    }

    /// Writes a line.
    pub(crate) async fn write(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.out
            .write_all(line.as_bytes())
            .await
            .expect("it is written");
    }

    /// Writes a message.
    pub(crate) async fn say(&mut self, to: &str, text: &str) {
        self.write(&format!("PRIVMSG {to} :{text}")).await;
    }

    async fn line(&mut self) -> String {
        loop {
            let mut bytes = Vec::new();
            let read = self.lines.read_until(b'\n', &mut bytes).await;
            assert_ne!(
                read.expect("the connection lives"),
                0,
                "the server ended it"
            );
            assert!(bytes.len() <= 512, "a line is too long: {}", bytes.len());
            let line = String::from_utf8(bytes)
                .expect("text")
                .trim_end()
                .to_owned();
            match line.strip_prefix("PING ") {
                Some(token) => self.write(&format!("PONG {token}")).await,
                None => return line,
            }
        }
    }

    /// The first line from here on for which this holds.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let nick = self.nick.clone();
        soon(&format!("{what} for {nick}"), async {
            loop {
                let line = self.line().await;
                if holds(&line) {
                    return line;
                }
            }
        })
        .await
    }

    /// The next message of somebody: where, and what.
    pub(crate) async fn hears(&mut self, from: &str) -> (String, String) {
        let start = format!(":{from}!");
        let line = self
            .until(&format!("a message of {from}"), |line| {
                line.starts_with(&start) && line.contains(" PRIVMSG ")
            })
            .await;
        let (_, rest) = line.split_once(" PRIVMSG ").expect("a message");
        let (to, text) = rest.split_once(" :").expect("its text");
        (to.to_owned(), text.to_owned())
    }

    /// Enters a channel, and waits until somebody is there too.
    pub(crate) async fn meet(&mut self, room: &str, nick: &str) {
        self.write(&format!("JOIN {room}")).await;
        let names = self.until("the names", |line| line.contains(" 353 ")).await;
        let (_, names) = names.rsplit_once(':').expect("names");
        let is_there = |name: &str| name.trim_start_matches(['@', '+']) == nick;
        if !names.split(' ').any(is_there) {
            let start = format!(":{nick}!");
            self.until(&format!("{nick} in {room}"), |line| {
                line.starts_with(&start) && line.contains(" JOIN ")
            })
            .await;
        }
    }

    /// What was said to us until now, by this one.
    pub(crate) async fn heard(&mut self, from: &str) -> Vec<String> {
        self.write("PING :until-now").await;
        let start = format!(":{from}!");
        let mut heard = Vec::new();
        soon("an answer to a ping", async {
            loop {
                let line = self.line().await;
                if line.ends_with(":until-now") {
                    return;
                }
                if line.starts_with(&start)
                    && let Some((_, text)) = line.split_once(" PRIVMSG ")
                {
                    heard.push(text.to_owned());
                }
            }
        })
        .await;
        heard
    }
}

/// Somebody who notes what is said to them, whatever else happens.
pub(crate) struct Listener {
    out: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    /// Comes to a server.
    pub(crate) async fn come(port: u16, nick: &str) -> Self {
        let Person { mut lines, out, .. } = Person::come(port, nick).await;
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&heard);
        let out = Arc::new(tokio::sync::Mutex::new(out));
        let answers = Arc::clone(&out);
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            while matches!(lines.read_until(b'\n', &mut bytes).await, Ok(1..)) {
                let line = String::from_utf8_lossy(&std::mem::take(&mut bytes)).into_owned();
                if let Some(token) = line.strip_prefix("PING ") {
                    let pong = format!("PONG {token}");
                    let _ = answers.lock().await.write_all(pong.as_bytes()).await;
                }
                if let Some((_, rest)) = line.split_once(" PRIVMSG ")
                    && let Some((_, text)) = rest.trim_end().split_once(" :")
                {
                    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
                    notes.push(text.to_owned());
                }
            }
        });
        Self { out, heard }
    }

    /// Writes a message.
    pub(crate) async fn say(&self, to: &str, text: &str) {
        let line = format!("PRIVMSG {to} :{text}\r\n");
        let mut out = self.out.lock().await;
        let written = out.write_all(line.as_bytes()).await;
        written.expect("it is written");
    }

    /// Everything that was said to them, oldest first.
    pub(crate) fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }
}

/// A way to a server that is cut as soon as a line with this text went through it; the next ones are
/// left alone.
pub(crate) async fn cutting(port: u16, after: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let own = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        let mut cut = false;
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await;
            let server = server.expect("the server listens");
            if cut {
                tokio::spawn(async move {
                    let (mut client, mut server) = (client, server);
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
                continue;
            }
            pass(client, server, after).await;
            cut = true;
        }
    });
    own
}

/// Passes bytes on until one of them is the text; then whatever the server says stays here.
async fn pass(client: TcpStream, server: TcpStream, after: &str) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut seen = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = from_client.read(&mut chunk).await {
        seen.extend_from_slice(&chunk[..read]);
        let found = String::from_utf8_lossy(&seen).contains(after);
        if found {
            back.abort();
        }
        to_server
            .write_all(&chunk[..read])
            .await
            .expect("the server reads");
        if found {
            // What is behind it was written too; the server works it off before it sees the end.
            let _ = to_server.shutdown().await;
            return;
        }
    }
}
