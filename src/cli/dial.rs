//! The socket of a connect: straight to the address, or through ssh.
//!
//! Through ssh there is no port on this side that other users could reach: each connection is one
//! `ssh -W`, whose input and output are the connection. They share one login over a control socket
//! of our own, in a folder that only this user can enter. The one that the user's configuration may
//! name is not used: ending our ssh would end the user's sessions on it. A login without any
//! connection ends after [`IDLE`].

use std::ffi::OsString;
use std::io;
use std::path::Path;
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
use crate::lock::{ensure_own_folder, runtime_dir};

/// Lines of ssh that are kept to say why it failed.
const SAID: usize = 4;
/// How long they are waited for, once the connection failed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a login without a connection is kept, seconds: for the next command.
const IDLE: &str = "30";
/// The longest path of a control socket: systems have room for 104 bytes at least, of which ssh
/// needs 17 for a name that it makes it under, and its hash has 40.
const MAX_SOCKET: usize = 104 - 17 - 40;

/// Opens the connection to a target.
pub(super) async fn dial(target: &Target, options: &Options) -> Result<Connection, Error> {
    let Some(ssh) = &target.ssh else {
        return connect(&target.url, options).await;
    };
    let unreachable = |source: io::Error| Error::Unreachable {
        url: target.place(),
        source: source.into(),
    };
    let address = behind(&target.url);
    let (tunnel, said) = Tunnel::open(ssh, &address).map_err(unreachable)?;
    let limit = options.connect_timeout;
    let connected = timeout(limit, connect_on(tunnel, &target.url, options)).await;
    match connected {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) if !matches!(error, Error::Unreachable { .. } | Error::Closed(_)) => {
            Err(error)
        }
        // ssh ended, or is ended now; its last words say why.
        Ok(Err(error)) => {
            let said = last_words(said, &address).await;
            let why = said.unwrap_or_else(|| error.to_string());
            let why = format!("ssh {}: {why}", ssh.host);
            Err(unreachable(io::Error::other(why)))
        }
        Err(_) => {
            let said = last_words(said, &address).await;
            let said = said.map(|said| format!("; {said}")).unwrap_or_default();
            let seconds = limit.as_secs_f64();
            let why = format!("ssh {}: no answer within {seconds} s{said}", ssh.host);
            Err(unreachable(io::Error::new(io::ErrorKind::TimedOut, why)))
        }
    }
}

/// The address that the host behind ssh is asked for.
fn behind(url: &str) -> String {
    let (host, port) = host_and_port(url);
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What ssh said before it ended, if anything.
async fn last_words(said: Said, address: &str) -> Option<String> {
    let said = timeout(LAST_WORDS, said).await.ok()?.ok()?;
    let said = said.join("; ");
    if said.contains("open refused by peer") {
        // Over a shared login ssh does not tell more.
        return Some(format!(
            "{said}: nothing listens at {address} there, or its sshd forwards nothing"
        ));
    }
    (!said.is_empty()).then_some(said)
}

/// How ssh is called for one connection to `address`. `folder` is for control sockets.
fn arguments(ssh: &Ssh, address: &str, folder: Option<&Path>) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    let mut option = |text: String| words.extend(["-o".into(), OsString::from(text)]);
    option("ServerAliveInterval=15".into());
    option("ServerAliveCountMax=3".into());
    if let Some(path) = folder.and_then(control_path) {
        option("ControlMaster=auto".into());
        option(format!("ControlPath={path}"));
        option(format!("ControlPersist={IDLE}"));
    } else {
        // A login for each connection: nobody else's is shared.
        option("ControlMaster=no".into());
        option("ControlPath=none".into());
    }
    if let Some(identity) = &ssh.identity {
        words.extend(["-i".into(), identity.into()]);
    }
    let (host, port) = split_port(&ssh.host);
    if let Some(port) = port {
        words.extend(["-p".into(), port.to_string().into()]);
    }
    words.extend(["-W".into(), address.into(), "--".into(), host.into()]);
    words
}

/// The control socket of a host in this folder, as ssh reads it; none where the path would be too long
/// for a socket, or has what ssh would read as something else.
fn control_path(folder: &Path) -> Option<String> {
    let folder = folder.to_str()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@,".contains(&byte);
    (folder.bytes().all(plain) && folder.len() + "/ssh-".len() <= MAX_SOCKET)
        .then(|| format!("{folder}/ssh-%C"))
}

/// `user@host:port` as people write it; ssh itself takes the port apart.
fn split_port(text: &str) -> (String, Option<u16>) {
    let whole = || (text.to_owned(), None);
    if text.contains("://") {
        return whole();
    }
    let (user, host) = match text.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), text),
    };
    let Some((host, port)) = host.rsplit_once(':') else {
        return whole();
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match (port.parse(), bare) {
        (Ok(port), Some(host)) => (user + host, Some(port)),
        (Ok(port), None) if !host.contains(':') => (user + host, Some(port)),
        // An IPv6 address.
        _ => whole(),
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
        let folder = runtime_dir(std::env::var_os("XDG_RUNTIME_DIR").as_deref());
        let folder = ensure_own_folder(&folder).is_ok().then_some(folder);
        let mut child = Command::new("ssh")
            .args(arguments(ssh, address, folder.as_deref()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_behind_the_host_is_taken_apart() {
        for (text, host, port) in [
            ("me@box", "me@box", None),
            ("me@box:2222", "me@box", Some(2222)),
            ("box:22", "box", Some(22)),
            ("me@[fd00::1]:2222", "me@fd00::1", Some(2222)),
            ("me@fd00::1", "me@fd00::1", None),
            ("ssh://me@box:2222", "ssh://me@box:2222", None),
            ("box:port", "box:port", None),
        ] {
            assert_eq!(split_port(text), (host.to_owned(), port), "{text}");
        }
        assert_eq!(behind("ws://[::1]:18789"), "[::1]:18789");
        assert_eq!(behind("wss://127.0.0.1:1"), "127.0.0.1:1");
    }

    #[test]
    fn no_login_of_the_users_own_is_shared() {
        let ssh = Ssh {
            host: "me@box:2222".into(),
            identity: Some("key".into()),
        };
        let line = |folder: &str| {
            let words = arguments(&ssh, "127.0.0.1:1", Some(Path::new(folder)));
            let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
            words.join(" ")
        };
        let own = line("/run/user/1000/openclaw");
        assert!(
            own.contains("ControlPath=/run/user/1000/openclaw/ssh-%C"),
            "{own}"
        );
        assert!(
            own.ends_with("-i key -p 2222 -W 127.0.0.1:1 -- me@box"),
            "{own}"
        );
        for unfit in ["/run/a b", "/run/100%", &format!("/{}", "x".repeat(80))] {
            let none = line(unfit);
            assert!(none.contains("ControlPath=none"), "{none}");
            assert!(none.contains("ControlMaster=no"), "{none}");
        }
    }
}
