//! The composition root: lays the ground, starts the owners, then HTTP; ends in reverse.
//!
//! In this order: [`ground`] (threads, the store, what the last process left, the views, the Gateway),
//! [`owners`] (every other actor), [`serve`] (sockets). [`end`] is the way back.

mod config_file;
mod end;
mod figures;
mod ground;
mod listen;
mod memory;
mod owners;
mod recovery;
pub mod reload;
pub mod run;
mod serve;
pub mod settings;
pub mod watch;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix::Addr;
use openclaw_actors::clock::{SharedClock, SharedEntropy};
use openclaw_actors::config::state::Fingerprint;
use openclaw_actors::config::{ConfigSource, Reload};
use openclaw_actors::gate::GateSettings;
use openclaw_actors::gateway::GatewayPort;
use openclaw_actors::gateway::router::Owners;
use openclaw_actors::health::Health;
use openclaw_actors::health::load::Memory;
use openclaw_actors::limiter::arrivals::ArrivalLimits;
use openclaw_actors::network::Sources;
use openclaw_actors::placement::Threads;
use openclaw_actors::session::socket::SessionLimits;
use openclaw_actors::settings::Settings;
use openclaw_actors::store::{Store, StoreConfig, StoreError};
use openclaw_actors::supervision::{DeathWatch, Watchdog};
use openclaw_actors::views::{Places, Views};

use crate::http::Sockets;
use crate::http::metrics::Measured;
use crate::http::webchat::PageSettings;
use crate::tls::Certificates;
use ground::Ground;
use serve::Serving;

/// Largest inbound frame of a v3 client, bytes: the figure that it expects.
const MAX_PAYLOAD_V3: usize = 512 * 1024;

/// Everything a gateway is started with.
pub struct Setup {
    /// What the actors need of the configuration.
    pub settings: Settings,
    /// What handshakes are judged by.
    pub gate: GateSettings,
    /// Where this gateway lives.
    pub config_path: String,
    /// State directory, for clients that may know it.
    pub state_dir: String,
    /// The folder of files that come with messages.
    pub media: std::path::PathBuf,
    /// The bound socket.
    pub listener: TcpListener,
    /// The canvas host's own socket, if it has one.
    pub canvas: Option<TcpListener>,
    /// Further sockets of either, with its port on other addresses of this host.
    pub beside: Vec<TcpListener>,
    /// What it speaks TLS with; in clear without.
    pub certificates: Option<Arc<Certificates>>,
    /// Where changes of the configuration come from; `None` for one that never changes.
    pub reload: Option<(Arc<dyn ConfigSource>, Fingerprint)>,
    /// The store.
    pub store: StoreConfig,
    /// How much memory there is.
    pub memory: Arc<dyn Memory>,
    /// Limits of connections.
    pub limits: SessionLimits,
    /// Bounds of sockets before their handshake.
    pub arrivals: ArrivalLimits,
    /// Where this host's networks are looked up.
    pub network: Sources,
    /// Whether and where the page is served.
    pub page: PageSettings,
    /// HTTP threads.
    pub workers: usize,
    /// Where Ollama listens while no model is configured; `None` never looks.
    pub ollama: Option<String>,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread, socket or server was refused by the system.
    #[error("cannot start the gateway: {0}")]
    Io(#[from] std::io::Error),
}

/// A gateway that serves.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Tells when an irreplaceable part cannot be kept up.
    pub watch: DeathWatch,
    /// What owners publish.
    pub views: Views,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// The owners of methods.
    pub owners: Owners,
    /// How it is, in figures.
    pub measured: Arc<dyn Measured>,
    store: Addr<Store>,
    serving: Serving,
    threads: Threads,
    _watchdog: Watchdog,
    _health: Addr<Health>,
}

/// Starts a gateway. The calling thread must run an actix system.
///
/// # Errors
///
/// [`StartError`]. Threads and actors that were started before it end with the process.
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let address = setup.listener.local_addr()?;
    let places = Places::new(setup.config_path, setup.state_dir, Arc::clone(&setup.clock));
    places.listening(address.port());
    if let Some(certificates) = &setup.certificates {
        let certificates = Arc::clone(certificates);
        places.certified(Box::new(move || certificates.fingerprint()));
    }
    let (ground, recovered) = Ground::lay(ground::Plan {
        settings: setup.settings,
        gate: setup.gate,
        places,
        store: setup.store,
        media: setup.media,
        clock: setup.clock,
        entropy: setup.entropy,
    })
    .await?;
    let plan = owners::Plan {
        reload: setup.reload,
        memory: setup.memory,
        tick: setup.limits.tick,
        network: setup.network,
        ollama: setup.ollama,
    };
    let started = owners::start(&ground, recovered, plan);
    ground.open(&started.owners);
    let measured = figures::shared(&ground);
    let plan = serve::Plan {
        sockets: Sockets {
            gateway: setup.listener,
            canvas: setup.canvas,
            beside: setup.beside,
            certificates: setup.certificates,
        },
        limits: setup.limits,
        arrivals: setup.arrivals,
        page: setup.page,
        measured: Arc::clone(&measured),
        workers: setup.workers,
    };
    let serving = serve::serve(&ground, &started, plan)?;
    let watchdog = Watchdog::start(ground.watch.clone())?;
    Ok(Running {
        address,
        watch: ground.watch,
        views: ground.views,
        gateway: ground.gateway,
        owners: started.owners,
        measured,
        store: ground.writer,
        serving,
        threads: ground.threads,
        _watchdog: watchdog,
        _health: started.health,
    })
}

impl Running {
    /// How it is, in a line for a service manager.
    pub fn in_a_line(&self) -> String {
        let views = &self.views;
        let connections = views.connections.load(std::sync::atomic::Ordering::Relaxed);
        let runs: usize = views.runs.load().values().map(Vec::len).sum();
        let reason = views.health.load().value().reason.clone();
        let reason = reason.map_or_else(String::new, |reason| format!("; {reason}"));
        format!(
            "listens on {}; {connections} clients, {runs} runs under way{reason}",
            self.address
        )
    }

    /// Reads the configuration again, whether its file changed or not.
    pub fn reload(&self) {
        // Full: a reading is waiting already.
        let _ = self.owners.config.try_send(Reload);
    }
}

pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
