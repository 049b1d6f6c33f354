//! Tells systemd how the gateway is: ready, stopping, still alive, and a line for `systemctl status`.
//!
//! The form is a datagram of `KEY=value` lines to the socket that `NOTIFY_SOCKET` names; a name that
//! begins with `@` is in the abstract namespace. Without the variable nobody listens, and nothing is sent.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to whoever supervises this process.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The way that these variables name: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` with `WATCHDOG_PID`,
    /// which is `pid` or nobody.
    pub fn new(variable: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let socket = variable("NOTIFY_SOCKET").and_then(|name| match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told how the gateway is");
                None
            }
        });
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|other| other == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC")
            .filter(|limit| ours && *limit > 0)
            .map(Duration::from_micros);
        Self { socket, watchdog }
    }

    /// How often it wants to hear that the gateway lives: twice within its limit. None if it does not.
    pub fn interval(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        self.watchdog.map(|limit| limit / 2)
    }

    /// The gateway takes connections.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}\n", one_line(status)));
    }

    /// It lives.
    pub fn alive(&self, status: &str) {
        self.send(&format!("WATCHDOG=1\nSTATUS={}\n", one_line(status)));
    }

    /// It ends.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={}\n", one_line(status)));
    }

    fn send(&self, text: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            // The next one may arrive.
            tracing::debug!(%error, "the service manager did not hear");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        None => SocketAddr::from_pathname(name)?,
        #[cfg(target_os = "linux")]
        Some(hidden) => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(hidden)?
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = UnixDatagram::unbound()?;
    // A full queue must not hold the gateway up.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let read = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..read].to_vec()).unwrap()
    }

    #[test]
    fn what_is_said_arrives_on_both_kinds_of_sockets() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let hidden = format!("@openclaw-test-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let address = {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(&hidden.as_bytes()[1..]).unwrap()
        };
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (listener, name) in [
            (&by_path, path.display().to_string()),
            (&by_name, hidden.clone()),
        ] {
            let variable = |wanted: &str| match wanted {
                "NOTIFY_SOCKET" => Some(OsString::from(&name)),
                "WATCHDOG_USEC" => Some("30000000".into()),
                "WATCHDOG_PID" => Some("7".into()),
                _ => None,
            };
            let notifier = Notifier::new(&variable, 7);
            assert_eq!(notifier.interval(), Some(Duration::from_secs(15)));
            notifier.ready("port 1\nREADY=0");
            assert_eq!(heard(listener), "READY=1\nSTATUS=port 1 READY=0\n");
            notifier.alive("well");
            assert_eq!(heard(listener), "WATCHDOG=1\nSTATUS=well\n");
            notifier.stopping("by a signal");
            assert_eq!(heard(listener), "STOPPING=1\nSTATUS=by a signal\n");
            assert_eq!(
                Notifier::new(&variable, 8).interval(),
                None,
                "it is meant for another"
            );
        }
    }

    #[test]
    fn without_a_listener_nothing_happens() {
        let nobody = Notifier::new(&|_| None, 1);
        nobody.ready("x");
        assert_eq!(nobody.interval(), None);
        let gone = Notifier::new(
            &|name| (name == "NOTIFY_SOCKET").then(|| "/nowhere/at/all".into()),
            1,
        );
        gone.ready("x");
    }
}
