//! The composition root: opens the store, starts actors and HTTP in order, drains in reverse.

mod config_file;
mod figures;
mod listen;
mod memory;
mod recovery;
pub mod reload;
pub mod run;
pub mod settings;
pub mod watch;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix::Addr;
use actix_web::dev::ServerHandle;
use arc_swap::ArcSwap;
use openclaw_actors::agent::model::http_client;
use openclaw_actors::agent::state::RunnerState;
use openclaw_actors::agent::tools::{ToolDeps, Toolbox, web};
use openclaw_actors::agent::{AgentRunner, Drain, RunnerDeps};
use openclaw_actors::approvals::state::State as ApprovalsState;
use openclaw_actors::approvals::{Approvals, ApprovalsDeps};
use openclaw_actors::audit::{Audit, AuditDeps};
use openclaw_actors::canvas::host::{CanvasHost, HostDeps};
use openclaw_actors::channel::World;
use openclaw_actors::channel::pairing::Desk;
use openclaw_actors::channel::provider::Shared as ChannelsShared;
use openclaw_actors::channel::supervisor::{Channels, ChannelsDeps, Close as CloseChannels};
use openclaw_actors::clock::{SharedClock, SharedEntropy};
use openclaw_actors::config::state::{Current, Fingerprint};
use openclaw_actors::config::{CannotChange, ConfigActor, ConfigDeps, ConfigSource, Reload};
use openclaw_actors::cron::{Scheduler, SchedulerDeps};
use openclaw_actors::dedupe::{Dedupe, DedupeDeps, Platforms};
use openclaw_actors::event::{Audience, EventOut, Plain};
use openclaw_actors::gate::GateSettings;
use openclaw_actors::gateway::router::{self, Owners};
use openclaw_actors::gateway::state::GatewayState;
use openclaw_actors::gateway::{CloseAll, Doors, Gateway, GatewayDeps, GatewayPort};
use openclaw_actors::health::load::Memory;
use openclaw_actors::health::{Health, HealthDeps};
use openclaw_actors::heartbeat::{Heart, HeartDeps};
use openclaw_actors::kept::Kept;
use openclaw_actors::limiter::Limiter;
use openclaw_actors::limiter::arrivals::ArrivalLimits;
use openclaw_actors::logs::Logs;
use openclaw_actors::mcp::Http;
use openclaw_actors::media::Blobs;
use openclaw_actors::network::{Network, NetworkDeps, NetworkPort, Sources};
use openclaw_actors::node::invoke::InvokeDeps;
use openclaw_actors::node::{Nodes, NodesDeps};
use openclaw_actors::pairing::{PairingDeps, PairingRegistry};
use openclaw_actors::placement::Places as Threads;
use openclaw_actors::presence::state::PresenceState;
use openclaw_actors::presence::{Presence, PresenceDeps};
use openclaw_actors::session::hello::{self, ServerFacts};
use openclaw_actors::session::socket::{SessionLimits, SessionShared};
use openclaw_actors::sessions::{Sessions, SessionsDeps};
use openclaw_actors::settings::Settings;
use openclaw_actors::store::{Close, Store, StoreConfig, StoreDeps, StoreError, StoreHandle};
use openclaw_actors::supervision::{DeathWatch, RestartPolicy, Watchdog, supervise};
use openclaw_actors::sweep::{Sweeper, SweeperDeps};
use openclaw_actors::views::{Places, Views};
use openclaw_protocol::events::{SHUTDOWN, ShutdownEvent};
use openclaw_protocol::presence::PresenceEntry;

use crate::http::webchat::PageSettings;
use crate::http::{self, Canvas, HttpState, Readiness, Sockets};
use crate::tls::Certificates;

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
    store: Addr<Store>,
    server: ServerHandle,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    threads: Threads,
    _watchdog: Watchdog,
    _health: Addr<Health>,
}

/// Says what the readiness probe answers.
struct Ready {
    store: StoreHandle,
    views: Views,
}

impl Readiness for Ready {
    fn failing(&self) -> Vec<String> {
        let store = self.store.status();
        let mut failing = Vec::new();
        if !store.ok {
            failing.push(format!("store: {}", store.reason.unwrap_or_default()));
        } else if let Some(reason) = &self.views.health.load().value().reason {
            failing.push(reason.clone());
        }
        failing
    }
}

/// Starts a gateway. The calling thread must run an actix system.
///
/// # Errors
///
/// [`StartError`]. Threads and actors that were started before it end with the process.
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let Setup {
        settings,
        gate,
        listener,
        clock,
        entropy,
        ..
    } = setup;
    let address = listener.local_addr()?;
    let threads = Threads::threads()?;
    let watch = DeathWatch::new(Arc::clone(&clock), Arc::clone(&entropy));
    let policy = RestartPolicy::CORE;

    let (store_deps, _) = StoreDeps::open_or_salvage(&setup.store, Arc::clone(&clock))?;
    let store_addr = supervise::<Store>(&threads.store, policy, &watch, store_deps.clone());
    let store = store_deps.handle(store_addr.clone().recipient());
    let recovered = recovery::recover(&store, &settings, &clock, &entropy).await?;

    let max_concurrent = settings.max_concurrent;
    let media = Blobs::new(setup.media);
    let places = Places::new(setup.config_path, setup.state_dir, Arc::clone(&clock));
    places.listening(address.port());
    if let Some(certificates) = &setup.certificates {
        let certificates = Arc::clone(certificates);
        places.certified(Box::new(move || certificates.fingerprint()));
    }
    let views = Views::new(settings, gate, places);
    let table = Arc::new(ArcSwap::default());
    let doors: Arc<ArcSwap<Doors>> = Arc::default();
    let gateway_deps = GatewayDeps {
        state: Kept::new(GatewayState::new()),
        table: Arc::clone(&table),
        doors: Arc::clone(&doors),
        views: views.clone(),
    };
    let gateway = GatewayPort::new(supervise::<Gateway>(
        &threads.gateway,
        policy,
        &watch,
        gateway_deps,
    ));

    let own = own_presence(&entropy);
    let presence = supervise::<Presence>(
        &threads.core,
        policy,
        &watch,
        PresenceDeps {
            state: Kept::new(PresenceState::new(own.clone())),
            own,
            gateway: gateway.clone(),
            views: views.clone(),
            clock: Arc::clone(&clock),
        },
    );
    let sessions = supervise::<Sessions>(
        &threads.core,
        policy,
        &watch,
        SessionsDeps {
            index: Kept::new(recovered.index),
            gateway: gateway.clone(),
            store: store.clone(),
            views: views.clone(),
            media: media.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        },
    );
    let approvals = supervise::<Approvals>(
        &threads.core,
        policy,
        &watch,
        ApprovalsDeps {
            state: Kept::new(ApprovalsState::new(recovered.exec_rules)),
            gateway: gateway.clone(),
            store: store.clone(),
            audit: views.audit.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        },
    );
    let invoke = InvokeDeps {
        views: views.clone(),
        approvals: approvals.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    };
    let nodes = supervise::<Nodes>(
        &threads.core,
        policy,
        &watch,
        NodesDeps {
            state: Kept::default(),
            store: store.clone(),
            gateway: gateway.clone(),
            invoke: invoke.clone(),
            place: threads.core.clone(),
            watch: watch.clone(),
        },
    );
    let http: Http = Arc::new(LazyLock::new(|| {
        http_client().map_err(|error| error.to_string())
    }));
    let runner = supervise::<AgentRunner>(
        &threads.agents,
        policy,
        &watch,
        RunnerDeps {
            state: Kept::new(RunnerState::new(max_concurrent)),
            sessions: sessions.clone(),
            gateway: gateway.clone(),
            views: views.clone(),
            reader: store.reader().clone(),
            store: store.clone(),
            http: Arc::clone(&http),
            ollama: setup.ollama,
            tools: Toolbox::new(ToolDeps {
                sessions: sessions.clone(),
                reader: store.reader().clone(),
                views: views.clone(),
                gateway: gateway.clone(),
                approvals: approvals.clone(),
                http: Arc::clone(&http),
                nodes: invoke,
                web: Arc::new(LazyLock::new(web::Client::new)),
            }),
            media: media.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        },
    );
    let platforms = Arc::default();
    let dedupe = supervise::<Dedupe>(
        &threads.core,
        policy,
        &watch,
        DedupeDeps {
            keys: Kept::new(recovered.keys),
            waiting: Kept::default(),
            store: store.clone(),
            settings: views.settings.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            create: runner.clone().recipient(),
            chat_send: runner.clone().recipient(),
            agent: runner.clone().recipient(),
            send: sessions.clone().recipient(),
            platforms: Arc::clone(&platforms),
            invoke: runner.clone().recipient(),
            invoke_unkeyed: runner.clone().recipient(),
            node_invoke: nodes.clone().recipient(),
        },
    );
    let heart = supervise::<Heart>(
        &threads.work,
        policy,
        &watch,
        HeartDeps {
            state: Kept::new(recovered.heartbeats),
            store: store.clone(),
            gateway: gateway.clone(),
            views: views.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            agent: dedupe.clone().recipient(),
            reset: runner.clone().recipient(),
            send: dedupe.clone().recipient(),
        },
    );
    let scheduler = supervise::<Scheduler>(
        &threads.work,
        policy,
        &watch,
        SchedulerDeps {
            state: Kept::new(recovered.jobs),
            store: store.clone(),
            gateway: gateway.clone(),
            views: views.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            zone: jiff::tz::TimeZone::system(),
            agent: dedupe.clone().recipient(),
            reset: runner.clone().recipient(),
            send: dedupe.clone().recipient(),
            heart: heart.clone().recipient(),
        },
    );
    let pairing = supervise::<PairingRegistry>(
        &threads.core,
        policy,
        &watch,
        PairingDeps::new(
            store.clone(),
            gateway.clone(),
            views.clone(),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        ),
    );
    let on_threads = threads.clone();
    let hooks = Arc::default();
    let channels = supervise::<Channels>(
        &threads.work,
        policy,
        &watch,
        ChannelsDeps {
            shared: ChannelsShared {
                desk: Desk::new(Arc::clone(&clock), Arc::clone(&entropy)),
                store: store.clone(),
                views: views.clone(),
                sessions: sessions.clone(),
                gateway: gateway.clone(),
                runner: runner.clone().recipient(),
                dedupe: dedupe.clone().recipient(),
                media: media.clone(),
                world: World {
                    http,
                    hooks: Arc::clone(&hooks),
                    logins: Arc::default(),
                    started_at: clock.now(),
                },
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
            },
            accounts: Kept::default(),
            turn: Arc::default(),
            watch: watch.clone(),
            place: Arc::new(LazyLock::new(Box::new(move || {
                on_threads
                    .extra("channels")
                    .map_err(|error| error.to_string())
            }))),
        },
    );
    // The one and only time.
    let _ = platforms.set(Platforms {
        send: channels.clone().recipient(),
        poll: channels.clone().recipient(),
        action: channels.clone().recipient(),
    });
    let network_deps = NetworkDeps::new(setup.network, views.clone(), Arc::clone(&clock));
    let network = NetworkPort::new(
        supervise::<Network>(&threads.work, policy, &watch, network_deps.clone()),
        &network_deps,
    );
    let (source, first) = setup
        .reload
        .unwrap_or_else(|| (Arc::new(CannotChange), Fingerprint::default()));
    let config = supervise::<ConfigActor>(
        &threads.work,
        policy,
        &watch,
        ConfigDeps {
            source,
            current: Kept::new(Current::first(first)),
            views: views.clone(),
            gateway: gateway.clone(),
            pairing: pairing.clone().recipient(),
            commands: pairing.clone().recipient(),
            channels: channels.clone().recipient(),
        },
    );
    let logs = supervise::<Logs>(&threads.work, policy, &watch, views.clone());
    let audit = supervise::<Audit>(
        &threads.work,
        policy,
        &watch,
        AuditDeps {
            store: store.clone(),
            views: views.clone(),
        },
    );
    let sweeper = supervise::<Sweeper>(
        &threads.work,
        policy,
        &watch,
        SweeperDeps {
            store: store.clone(),
            views: views.clone(),
            media,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        },
    );
    let canvas_host = supervise::<CanvasHost>(
        &threads.work,
        policy,
        &watch,
        HostDeps {
            views: views.clone(),
            watcher: Arc::new(watch::Folders),
        },
    );
    let health = supervise::<Health>(
        &threads.work,
        policy,
        &watch,
        HealthDeps {
            gateway: gateway.clone(),
            views: views.clone(),
            store: store.clone(),
            watch: watch.clone(),
            memory: setup.memory,
            tick: setup.limits.tick,
            clock: Arc::clone(&clock),
        },
    );

    let owners = Owners {
        dedupe,
        runner,
        approvals,
        sessions,
        presence: presence.clone(),
        pairing: pairing.clone(),
        logs,
        audit,
        sweeper,
        config,
        scheduler,
        heart,
        channels,
        nodes: nodes.clone(),
    };
    table.store(Arc::new(router::table(&owners)));
    doors.store(Arc::new(Doors {
        joined: Some(presence.clone().recipient()),
        left: Some(presence.recipient()),
        node_joined: Some(nodes.clone().recipient()),
        node_left: Some(nodes.recipient()),
    }));

    let dispatch = Arc::new(router::dispatch());
    let facts = Arc::new(ServerFacts {
        version: env!("CARGO_PKG_VERSION"),
        boot_id: entropy.uuid().to_string(),
        host: host_name(),
        features: hello::features(&dispatch.methods(), router::EVENTS, router::CAPABILITIES),
    });
    let shared = Arc::new(SessionShared {
        gateway: gateway.clone(),
        views: views.clone(),
        dispatch,
        pairing: pairing.recipient(),
        limiter: Limiter::new(
            setup.arrivals,
            Arc::clone(&clock),
            Arc::clone(&views.counts),
            views.audit.clone(),
        ),
        clock: Arc::clone(&clock),
        entropy,
        facts,
        limits: setup.limits,
    });
    let canvas = setup.canvas.as_ref().map(TcpListener::local_addr);
    let canvas = canvas.transpose()?;
    views.canvas.listening(canvas.map_or(0, |own| own.port()));
    let state = HttpState {
        canvas: Canvas {
            host: canvas_host,
            own: canvas,
        },
        sessions: shared,
        network,
        channel_hooks: hooks,
        page: setup.page,
        measured: figures::shared(figures::Figures {
            store: store.clone(),
            views: views.clone(),
            watch: watch.clone(),
        }),
        readiness: Arc::new(Ready {
            store,
            views: views.clone(),
        }),
        clock,
    };
    let sockets = Sockets {
        gateway: listener,
        canvas: setup.canvas,
        beside: setup.beside,
        certificates: setup.certificates,
    };
    let (server, handle) = http::serve(sockets, setup.workers, state)?;
    let serving = tokio::task::spawn_local(server);
    let watchdog = Watchdog::start(watch.clone())?;
    Ok(Running {
        address,
        watch,
        views,
        gateway,
        owners,
        store: store_addr,
        server: handle,
        serving,
        threads,
        _watchdog: watchdog,
        _health: health,
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

    /// Tells clients, lets runs end for at most `drain`, closes every connection, and stops.
    pub async fn stop(self, reason: &str, drain: Duration) {
        let event = ShutdownEvent {
            reason: reason.to_owned(),
            restart_expected_ms: None,
        };
        self.gateway
            .emit(EventOut::new(SHUTDOWN, Audience::Everyone, Plain(event)));
        // Each step has its own limit: what hangs must not keep a half-alive gateway up.
        let drained = self.owners.runner.send(Drain { limit: drain });
        within("draining runs", drain + Duration::from_secs(10), drained).await;
        let flush = Duration::from_secs(5).min(drain);
        let closed = self.owners.channels.send(CloseChannels { flush });
        within("closing channels", flush + Duration::from_secs(12), closed).await;
        let close = CloseAll {
            code: 1012,
            reason: "service restart",
        };
        let closed = self.gateway.addr().send(close);
        within("closing connections", Duration::from_secs(2), closed).await;
        within(
            "the HTTP server",
            Duration::from_secs(5),
            self.server.stop(true),
        )
        .await;
        within("the HTTP threads", Duration::from_secs(2), self.serving).await;
        within(
            "closing the store",
            Duration::from_secs(10),
            self.store.send(Close),
        )
        .await;
        let threads = self.threads.clone();
        drop(self.owners);
        // Joining blocks, and may block for ever on a thread that hangs: on a plain thread, because
        // the runtime would wait for one of its own.
        let (joined, joining) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            threads.stop();
            // Nobody listens when it took too long.
            let _ = joined.send(());
        });
        within("stopping threads", Duration::from_secs(5), joining).await;
    }
}

/// Waits for a step of the shutdown, but not for ever.
async fn within(step: &str, limit: Duration, work: impl Future) {
    if tokio::time::timeout(limit, work).await.is_err() {
        tracing::warn!(
            step,
            seconds = limit.as_secs(),
            "the shutdown goes on without waiting any longer"
        );
    }
}

fn own_presence(entropy: &SharedEntropy) -> PresenceEntry {
    let host = host_name();
    let version = env!("CARGO_PKG_VERSION");
    let system = rustix::system::uname();
    PresenceEntry {
        text: Some(format!(
            "Gateway: {host} · app {version} · mode gateway · reason self"
        )),
        host: Some(host),
        version: Some(version.to_owned()),
        platform: Some(format!(
            "{} {}",
            std::env::consts::OS,
            system.release().to_string_lossy()
        )),
        device_family: Some(system.sysname().to_string_lossy().into_owned()),
        mode: Some("gateway".into()),
        reason: Some("self".into()),
        instance_id: Some(entropy.uuid().to_string()),
        ..PresenceEntry::default()
    }
}

pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
