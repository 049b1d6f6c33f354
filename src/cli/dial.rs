//! The socket of a connect: straight to the address, or through ssh.
//!
//! Through ssh there is no port on this side that other users could reach, and nothing is left
//! behind: each connection is one `ssh -W`, whose input and output are the connection.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use openclaw_client::{Connection, Error, Options, connect, connect_on};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader, Join, ReadBuf, join};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::target::{Ssh, Target, host_and_port};

/// Lines of ssh that are kept to say why it failed.
const SAID: usize = 4;
/// How long they are waited for, once the connection failed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Opens the connection to a target.
pub(super) async fn dial(target: &Target, options: &Options) -> Result<Connection, Error> {
    let Some(ssh) = &target.ssh else {
        return connect(&target.url, options).await;
    };
    let unreachable = |source: io::Error| Error::Unreachable {
        url: target.place(),
        source: source.into(),
    };
    if target.url.starts_with("wss:") {
        let why = "through ssh the address is ws://: ssh encrypts already";
        return Err(unreachable(io::Error::new(io::ErrorKind::Unsupported, why)));
    }
    let (host, port) = host_and_port(&target.url);
    let (tunnel, said) = Tunnel::open(ssh, &format!("{host}:{port}")).map_err(unreachable)?;
    let connecting = connect_on(tunnel, &target.url, options);
    let connected = timeout(options.connect_timeout, connecting).await;
    match connected {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) if !matches!(error, Error::Unreachable { .. } | Error::Closed(_)) => {
            Err(error)
        }
        // ssh ended, or is ended now; its last words say why.
        Ok(Err(_)) | Err(_) => {
            let said = timeout(LAST_WORDS, said).await;
            let said = said.ok().and_then(Result::ok).unwrap_or_default();
            let why = format!("ssh {}: {}", ssh.host, said.join("; "));
            Err(unreachable(io::Error::other(why)))
        }
    }
}

/// What ssh says on its standard error until it ends, the last lines of it.
type Said = JoinHandle<Vec<String>>;

/// A running `ssh -W` as a stream; it ends with it.
struct Tunnel {
    stream: Join<ChildStdout, ChildStdin>,
    _ssh: Child,
}

impl Tunnel {
    fn open(ssh: &Ssh, address: &str) -> io::Result<(Self, Said)> {
        let mut command = Command::new("ssh");
        if let Some(identity) = &ssh.identity {
            command.args(["-i", identity]);
        }
        let mut child = command
            .args([
                "-o",
                "ServerAliveInterval=15",
                "-o",
                "ServerAliveCountMax=3",
            ])
            .args(["-W", address, "--", &ssh.host])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot run ssh: {error}")))?;
        let missing = || io::Error::other("ssh has no pipes");
        let output = child.stdout.take().ok_or_else(missing)?;
        let input = child.stdin.take().ok_or_else(missing)?;
        let errors = child.stderr.take().ok_or_else(missing)?;
        let said = tokio::spawn(async move {
            let mut kept: Vec<String> = Vec::new();
            let mut lines = BufReader::new(errors).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if kept.len() == SAID {
                    kept.remove(0);
                }
                kept.push(line);
            }
            kept
        });
        let tunnel = Self {
            stream: join(output, input),
            _ssh: child,
        };
        Ok((tunnel, said))
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
