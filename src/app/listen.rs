//! Where the gateway listens: its own socket, the same port on other addresses of this host, and the
//! canvas host's own port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use openclaw_actors::network::{NoTailnet, Sources};

use super::run::Failure;
use crate::config::Loaded;
use crate::config::gateway::Bind;

/// The sockets that a gateway listens on.
pub(super) struct Listening {
    /// The gateway's own: where programs of this host find it.
    pub(super) gateway: TcpListener,
    /// The gateway's port.
    pub(super) port: u16,
    /// Further ones, on other addresses.
    pub(super) beside: Vec<TcpListener>,
    /// The canvas host's.
    pub(super) canvas: Option<TcpListener>,
}

/// Takes the socket that a service manager passed, or binds where the configuration says.
///
/// # Errors
///
/// [`Failure`] with what to do. That there is no tailnet yet is no fault of the configuration: a service
/// manager tries again.
pub(super) fn open(loaded: &Loaded, network: &Sources) -> Result<Listening, Failure> {
    let (gateway, others) = if let Some(listener) = passed().map_err(Failure::refused)? {
        (listener, Vec::new())
    } else {
        let mut hosts = hosts(loaded, network)?.into_iter();
        let first = hosts.next().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = loaded.config.gateway.port;
        (bind(SocketAddr::new(first, port))?, hosts.collect())
    };
    let port = gateway.local_addr().map_err(Failure::failed)?.port();
    let others = others.into_iter().map(|host| SocketAddr::new(host, port));
    let beside: Result<Vec<TcpListener>, Failure> = others.map(bind).collect();
    Ok(Listening {
        gateway,
        port,
        beside: beside?,
        canvas: None,
    })
}

impl Listening {
    /// Opens the canvas host's own port, on the same addresses. Without it the canvas is still at the
    /// gateway's.
    pub(super) fn open_canvas(&mut self, loaded: &Loaded) {
        let config = &loaded.config.canvas_host;
        let Ok(own) = self.gateway.local_addr() else {
            return;
        };
        if !config.enabled {
            return;
        }
        let port = config.port(loaded.config.gateway.port);
        let Some(first) = canvas_at(SocketAddr::new(own.ip(), port)) else {
            return;
        };
        let port = first.local_addr().map_or(port, |own| own.port());
        let others = self.beside.iter().filter_map(|one| one.local_addr().ok());
        let others = others.filter_map(|own| canvas_at(SocketAddr::new(own.ip(), port)));
        let others: Vec<TcpListener> = others.collect();
        self.beside.extend(others);
        self.canvas = Some(first);
    }
}

/// The addresses that the configuration asks for. Clients of this host look on 127.0.0.1, so it is among
/// them, and first, wherever the gateway listens at all of its own choice.
fn hosts(loaded: &Loaded, network: &Sources) -> Result<Vec<IpAddr>, Failure> {
    let gateway = &loaded.config.gateway;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ok(match gateway.bind {
        Bind::Loopback | Bind::Auto => vec![loopback],
        Bind::Lan => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        Bind::Custom => {
            let host = gateway.custom_bind_host.as_deref().unwrap_or("0.0.0.0");
            let host: IpAddr = host.parse().map_err(|_| {
                Failure::refused(format!(
                    "gateway.customBindHost: \"{host}\" is not an IP address"
                ))
            })?;
            if host.is_loopback() || host.is_unspecified() {
                vec![host]
            } else {
                vec![loopback, host]
            }
        }
        Bind::Tailnet => {
            let own = tailnet(network).map_err(Failure::failed)?;
            let own = own.map_err(|error| {
                let text = format!("gateway.bind \"tailnet\": {error}");
                match error {
                    NoTailnet::Down(_) => Failure::failed(text),
                    NoTailnet::Userspace => Failure::refused(text),
                }
            })?;
            std::iter::once(loopback).chain(own).collect()
        }
    })
}

/// Asks before there is a runtime: where to listen is decided first.
fn tailnet(network: &Sources) -> io::Result<Result<Vec<IpAddr>, NoTailnet>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(network.listenable()))
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            let owner = owner_of(address.port())
                .map_or_else(String::new, |pid| format!(" (held by pid {pid})"));
            Failure::refused(format!(
                "port {} is taken{owner}; stop that program, or start with --port",
                address.port()
            ))
        } else {
            Failure::refused(format!("cannot listen on {address}: {error}"))
        }
    })
}

fn canvas_at(address: SocketAddr) -> Option<TcpListener> {
    match TcpListener::bind(address) {
        Ok(listener) => Some(listener),
        Err(error) => {
            let port = address.port();
            let owner =
                owner_of(port).map_or_else(String::new, |pid| format!(" (held by pid {pid})"));
            tracing::warn!(
                %address,
                "the canvas host's own port cannot be used: {error}{owner}; the canvas is at the gateway's port only. Stop that program, or set canvasHost.port, and start the gateway again"
            );
            None
        }
    }
}

/// The socket that a service manager listens on for us (`LISTEN_FDS`). Where it lets others than this
/// host in, is its affair.
fn passed() -> Result<Option<TcpListener>, String> {
    let mut passed = listenfd::ListenFd::from_env();
    if passed.len() == 0 {
        return Ok(None);
    }
    let listener = passed.take_tcp_listener(0).map_err(|error| {
        format!("the socket that the service manager passed cannot be used: {error}")
    })?;
    Ok(listener)
}

/// The process that listens on a local TCP port, where the system lets us see it.
fn owner_of(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let wanted = format!(":{port:04X}");
    let inode = tables.iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        let row = text
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|row| row.len() > 9 && row[1].ends_with(&wanted) && row[3] == "0A")?;
        Some(row[9].to_owned())
    })?;
    let link = format!("socket:[{inode}]");
    let holds = |pid: &Path| {
        std::fs::read_dir(pid.join("fd")).is_ok_and(|fds| {
            fds.flatten().any(|fd| {
                std::fs::read_link(fd.path())
                    .is_ok_and(|target| target.as_os_str() == link.as_str())
            })
        })
    };
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .find(|(_, path)| holds(path))
        .map(|(pid, _)| pid)
}
