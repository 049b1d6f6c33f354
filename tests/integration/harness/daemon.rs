//! The whole daemon in this process: own thread, own actix system, own state directory, port 0.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Once};
use std::thread::JoinHandle;
use std::time::Duration;

use openclaw::app::{self, Setup};
use openclaw::http::webchat::PageSettings;
use openclaw::tls::Certificates;
use openclaw_actors::agent::model::{ApiKind, Endpoint, Takes};
use openclaw_actors::canvas::CanvasSettings;
use openclaw_actors::clock::{SharedClock, SystemClock, SystemEntropy};
use openclaw_actors::gate::{AuthMode, GateSettings};
use openclaw_actors::health::load::{Memory, Unwatched};
use openclaw_actors::limiter::arrivals::ArrivalLimits;
use openclaw_actors::network::{FirstOf, Sources, SystemInterfaces};
use openclaw_actors::session::socket::SessionLimits;
use openclaw_actors::settings::testing::settings;
use openclaw_actors::settings::{ModelPlan, ResolvedModel, Settings};
use openclaw_actors::store::StoreConfig;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::TOKEN;
use super::model::Model;
use super::socket::{Socket, connect_params};

/// How a daemon is started.
pub(crate) struct Plan {
    /// What handshakes are judged by.
    pub(crate) gate: GateSettings,
    /// How much memory there is.
    pub(crate) memory: Arc<dyn Memory>,
    /// Limits of connections.
    pub(crate) limits: SessionLimits,
    /// Bounds of sockets before their handshake.
    pub(crate) arrivals: ArrivalLimits,
    /// What the actors need of the configuration.
    pub(crate) settings: Settings,
    /// Where it listens.
    pub(crate) listen: &'static str,
    /// What it speaks TLS with; in clear without.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// HTTP threads.
    pub(crate) workers: usize,
    /// Time, for the gateway's own decisions; timers run on the system's.
    pub(crate) clock: SharedClock,
    /// This host's networks.
    pub(crate) network: Sources,
    /// Whether the canvas has a port of its own.
    pub(crate) canvas: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            gate: GateSettings::new(AuthMode::Token(TOKEN.into())),
            memory: Arc::new(Unwatched),
            limits: SessionLimits {
                max_payload: 26_214_400,
                max_payload_v3: 524_288,
                max_buffered: 52_428_800,
                frames_per_second: 200_000,
                handshake: Duration::from_secs(15),
                tick: Duration::from_secs(30),
            },
            arrivals: ArrivalLimits {
                open_per_client: 256,
                ..ArrivalLimits::default()
            },
            settings: settings(),
            listen: "127.0.0.1:0",
            certificates: None,
            workers: 2,
            clock: SystemClock::shared(),
            network: Sources {
                interfaces: Arc::new(SystemInterfaces),
                tailscale: FirstOf::default(),
            },
            canvas: false,
        }
    }
}

impl Plan {
    /// With a model that answers for the agent.
    pub(crate) fn with_model(model: &Model) -> Self {
        Self::default().model(ModelPlan::Chain(vec![resolved(model, "m1")]))
    }

    /// With this plan for the agent's model.
    pub(crate) fn model(mut self, plan: ModelPlan) -> Self {
        self.settings.agents[0].model = plan;
        self
    }

    /// For tests that fail on purpose: wrong secrets are neither delayed nor locked out.
    pub(crate) fn patient(mut self) -> Self {
        self.gate.rate_limit.exempt_loopback = false;
        self.gate.rate_limit.max_attempts = 1_000;
        self
    }

    /// With another gate.
    pub(crate) fn gate(mut self, mode: AuthMode) -> Self {
        self.gate.mode = mode;
        self
    }
}

/// A model of the scripted provider.
pub(crate) fn resolved(model: &Model, name: &str) -> ResolvedModel {
    ResolvedModel {
        endpoint: Endpoint {
            provider: "scripted".into(),
            api: ApiKind::OpenaiCompletions,
            base_url: model.url.clone(),
            api_key: Some("sk-scripted".into()),
            headers: std::collections::BTreeMap::default(),
        },
        model: name.into(),
        context_tokens: 32_768,
        max_output_tokens: None,
        timeout: None,
        takes: Takes::ALL,
        price: None,
    }
}

/// A daemon; stopped when it is dropped.
pub(crate) struct Daemon {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The canvas host's own port; 0 without one.
    pub(crate) canvas_port: u16,
    home: Option<Arc<TempDir>>,
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<JoinHandle<()>>,
}

/// What TLS in this process is made with, once.
pub(crate) fn provider() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // A second provider in this process would be an error of the harness.
        rustls::crypto::ring::default_provider()
            .install_default()
            .expect("the first TLS provider of this process");
    });
}

impl Daemon {
    /// Starts one in a new state directory.
    pub(crate) fn start(plan: Plan) -> Self {
        let home = tempfile::tempdir().expect("a folder for the test");
        Self::start_in(Arc::new(home), plan)
    }

    /// Starts one in the state directory of another that ended.
    pub(crate) fn start_in(home: Arc<TempDir>, plan: Plan) -> Self {
        provider();
        let gateway_dir = home.path().join("gateway");
        std::fs::create_dir_all(&gateway_dir).expect("the gateway's folder");
        let listener = TcpListener::bind(plan.listen).expect("a free port");
        let mut settings = plan.settings;
        if settings.canvas.root == CanvasSettings::default().root {
            settings.canvas.root = home.path().join("canvas");
        }
        let setup = Setup {
            settings,
            gate: plan.gate,
            config_path: home.path().join("openclaw.json").display().to_string(),
            state_dir: home.path().display().to_string(),
            media: gateway_dir.join("media"),
            listener,
            canvas: plan
                .canvas
                .then(|| TcpListener::bind("127.0.0.1:0").expect("a free port")),
            beside: Vec::new(),
            certificates: plan.certificates,
            reload: None,
            store: StoreConfig::file(gateway_dir.join("gateway.redb")),
            memory: plan.memory,
            limits: plan.limits,
            arrivals: plan.arrivals,
            page: PageSettings::default(),
            workers: plan.workers,
            network: plan.network,
            ollama: None,
            clock: plan.clock,
            entropy: SystemEntropy::shared(),
        };
        let (ready, started) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let running = match app::start(setup).await {
                    Ok(running) => running,
                    Err(error) => {
                        ready
                            .send(Err(error.to_string()))
                            .expect("the test waits for the start");
                        return;
                    }
                };
                ready
                    .send(Ok((running.address, running.views.canvas.port())))
                    .expect("the test waits for the start");
                let drain = stopped.await.unwrap_or(Duration::ZERO);
                running.stop("test over", drain).await;
            });
        });
        let (address, canvas_port) = started
            .recv()
            .expect("the daemon's thread says how its start went")
            .expect("the daemon starts");
        Self {
            address,
            canvas_port,
            home: Some(home),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Its state directory.
    pub(crate) fn state(&self) -> &std::path::Path {
        self.home.as_ref().expect("a daemon has its folder").path()
    }

    /// A socket that has its challenge and has said nothing.
    pub(crate) async fn socket(&self) -> Socket {
        Socket::open(self.address, &[]).await
    }

    /// An operator of generation 4 with every scope and no device: the local command line.
    pub(crate) async fn client(&self) -> Socket {
        self.generation(4).await
    }

    /// The same of another generation.
    pub(crate) async fn generation(&self, generation: u32) -> Socket {
        let mut socket = self.socket().await;
        socket.hello(connect_params(generation)).await;
        socket
    }

    /// Tells the daemon to stop with this much time for runs under way, without waiting for it.
    pub(crate) fn tell_to_stop(&mut self, drain: Duration) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(drain);
        }
    }

    /// Stops it and gives back its state directory, for another start.
    pub(crate) async fn stop(mut self) -> Arc<TempDir> {
        self.tell_to_stop(Duration::ZERO);
        let thread = self.thread.take().expect("it runs until here");
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .expect("a thread that joins")
            .expect("the daemon ends without a panic");
        self.home.take().expect("a daemon has its folder")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.tell_to_stop(Duration::ZERO);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the daemon's thread panicked"
            );
        }
    }
}
