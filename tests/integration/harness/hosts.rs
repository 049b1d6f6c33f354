//! Two hosts that the test makes: network namespaces with a cable between them.

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpSocket, TcpStream};

use super::soon;

/// Where the gateway's host is on the cable.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The other host.
pub(crate) const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// A second address of the other host: a proxy.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
/// The gateway host's own tailnet address.
pub(crate) const OWN_TAILNET: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 1);
/// A tailnet address of the other host.
pub(crate) const OTHER_TAILNET: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 2);

/// Two hosts; gone when it is dropped.
pub(crate) struct Hosts {
    gateway: String,
    remote: String,
}

/// Runs `ip`; what it says when it fails.
fn ip(args: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(args.split(' '))
        .output()
        .map_err(|error| format!("the command `ip` (package iproute2): {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`ip {args}`: {}", said.trim()))
}

impl Hosts {
    /// Makes them, or says why this machine does not let a test do that. The reason is counted as a
    /// skipped test in the closing lines that `tests/lib/counts` reads.
    pub(crate) fn make(test: &str) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let own = std::process::id();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let hosts = Self {
            gateway: format!("oc{own}g{number}"),
            remote: format!("oc{own}r{number}"),
        };
        let (gateway, remote) = (&hosts.gateway, &hosts.remote);
        let made = ip(&format!("netns add {gateway}"))
            .and_then(|()| ip(&format!("netns add {remote}")))
            .and_then(|()| ip(&format!("link add {gateway} type veth peer name {remote}")))
            .and_then(|()| ip(&format!("link set {gateway} netns {gateway}")))
            .and_then(|()| ip(&format!("link set {remote} netns {remote}")));
        if let Err(reason) = made {
            // Past the capture of output: whoever reads a green run must see this.
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "\n*** {test} DID NOT RUN: this machine makes no network namespaces: {reason}\nnamespaces: 0 passed, 0 failed, 1 skipped"
            )
            .expect("stdout is open");
            return None;
        }
        for command in [
            format!("-n {gateway} link set lo up"),
            format!("-n {remote} link set lo up"),
            format!("-n {gateway} addr add {GATEWAY}/24 dev {gateway}"),
            format!("-n {gateway} addr add {OWN_TAILNET}/24 dev {gateway}"),
            format!("-n {remote} addr add {REMOTE}/24 dev {remote}"),
            format!("-n {remote} addr add {PROXY}/24 dev {remote}"),
            format!("-n {remote} addr add {OTHER_TAILNET}/24 dev {remote}"),
            format!("-n {gateway} link set {gateway} up"),
            format!("-n {remote} link set {remote} up"),
        ] {
            ip(&command).expect("the cable is laid");
        }
        Some(hosts)
    }

    /// Runs `work` on the gateway's host.
    pub(crate) fn on_gateway<T: Send + 'static, F: Future<Output = T>>(
        &self,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> T {
        on(&self.gateway, work)
    }

    /// A way to run things on the other host, from anywhere.
    pub(crate) fn remote(&self) -> Remote {
        Remote(self.remote.clone())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in [&self.gateway, &self.remote] {
            // One of them may not have been made.
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// The other host.
#[derive(Clone)]
pub(crate) struct Remote(String);

impl Remote {
    /// Runs `work` there.
    pub(crate) async fn run<T: Send + 'static, F: Future<Output = T>>(
        &self,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> T {
        let name = self.0.clone();
        tokio::task::spawn_blocking(move || on(&name, work))
            .await
            .expect("the other host's thread ends")
    }
}

/// Runs `work` on a thread that lives in a namespace; processes that it starts live there too.
fn on<T: Send + 'static, F: Future<Output = T>>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> T {
    let namespace = File::open(format!("/var/run/netns/{name}")).expect("the namespace exists");
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("the thread moves there");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(work())
    });
    match thread.join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Connects from one of this host's addresses.
pub(crate) async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::new(IpAddr::V4(from), 0))
        .expect("the address is this host's");
    soon("the TCP connection", socket.connect(to))
        .await
        .expect("the gateway listens")
}
