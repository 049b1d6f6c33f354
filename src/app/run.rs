//! `openclaw gateway`: from flags to a daemon that ends in order.

use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::clock::{SystemClock, SystemEntropy};
use openclaw_actors::limiter::arrivals::ArrivalLimits;
use openclaw_actors::network::{
    FirstOf, LocalApi, SOCKET, Sources, SystemInterfaces, TailscaleCommand,
};
use openclaw_actors::session::socket::SessionLimits;
use openclaw_actors::store::StoreConfig;
use openclaw_actors::supervision::install_panic_hook;
use rand::TryRng as _;
use tokio::signal::unix::{SignalKind, signal};

use super::memory::OfThisProcess;
use super::reload::{FileSource, fingerprint};
use super::{MAX_PAYLOAD_V3, Running, Setup, StartError, listen, settings, start};
use crate::config::gateway::Limits;
use crate::config::models::AuthProfiles;
use crate::config::{self, Environment, Flags, LoadRequest, Loaded, first_start};
use crate::discovery::{self, Facts};
use crate::http::webchat::PageSettings;
use crate::lock::{GatewayLocks, Holder, runtime_dir};
use crate::notify::Notifier;
use crate::tailscale::{Exposed, Route};
use crate::telemetry::{self, Wish};
use crate::tls::{Certificates, Files};

/// How long runs may go on after the gateway was told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Exit code of a start that its surroundings refuse: configuration, port, another gateway
/// (`EX_CONFIG`). systemd does not restart on it.
pub const EXIT_REFUSED: u8 = 78;

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Settings from the command line.
    pub flags: Flags,
    /// How to log.
    pub log: Wish,
}

/// Why the gateway did not start, or ended early.
#[derive(Debug)]
pub struct Failure {
    /// What happened and what to do.
    pub message: String,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    pub(super) fn refused(message: impl std::fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            code: EXIT_REFUSED,
        }
    }

    pub(super) fn failed(message: impl std::fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            code: 1,
        }
    }
}

/// Runs a gateway until it is told to stop. `say` writes a line to stdout and nowhere else.
///
/// # Errors
///
/// [`Failure`], with the exit code.
pub fn run(options: &Options, say: &dyn Fn(&str)) -> Result<(), Failure> {
    install_panic_hook();
    let env = crate::state_dir::variable;
    let request = LoadRequest {
        flags: &options.flags,
        env: &env,
        home: None,
    };
    let mut random = |bytes: &mut [u8]| {
        rand::rngs::SysRng
            .try_fill_bytes(bytes)
            .expect("the system has randomness");
    };
    let began = jiff::Timestamp::now();
    let (loaded, first) =
        first_start::load_for_start(&request, &mut random).map_err(Failure::refused)?;
    let auth = config::auth::resolve(&loaded).map_err(Failure::refused)?;
    let gate = settings::gate(&loaded, &auth).map_err(Failure::refused)?;

    let clock = SystemClock::shared();
    let (mut locks, holder) = take_locks(&loaded, clock.now().get())?;
    let certificates = certificates(&loaded)?;
    let network = network(&loaded, std::env::var_os("PATH").as_deref());
    let mut sockets = listen::open(&loaded, &network)?;
    let port = sockets.port;
    if let Err(error) = locks.describe(&Holder {
        port: Some(port),
        ..holder
    }) {
        tracing::warn!(%error, "the lock file does not name the port");
    }
    // Lives until the end of this function: what waits to be written is written then.
    let logging = telemetry::start(&loaded, options.log).map_err(|error| {
        Failure::failed(format!(
            "cannot open the log file {}: {error}",
            telemetry::log_file(&loaded).display()
        ))
    })?;
    raise_file_limit();
    sockets.open_canvas(&loaded);

    let mut environment = Environment::new(&env);
    environment
        .add_dotenv(&loaded.paths.state_dir)
        .map_err(Failure::refused)?;
    environment.add_block(&loaded.value);
    let (profiles, warning) =
        AuthProfiles::read(&loaded.paths.auth_profiles()).map_err(Failure::refused)?;
    let warnings = loaded.warnings.iter().chain(&auth.warnings).chain(&warning);
    for warning in warnings.chain(&first.notices) {
        tracing::warn!("{warning}");
    }
    if let Some(created) = &first.created {
        tracing::info!("created {} with a new token", created.display());
    }
    let limits = &loaded.config.gateway.limits;
    let first_settings = settings::settings(&loaded, &environment, &profiles);
    let source = FileSource::new(
        options.flags.clone(),
        &loaded,
        began,
        &first_settings,
        logging.levels.clone(),
    );
    let certified = certificates.as_ref().map(|own| own.fingerprint());
    let setup = Setup {
        reload: Some((Arc::new(source), fingerprint(&loaded))),
        settings: first_settings,
        gate,
        config_path: loaded.paths.config_path.display().to_string(),
        state_dir: loaded.paths.state_dir.display().to_string(),
        media: loaded.paths.gateway_dir.join("media"),
        listener: sockets.gateway,
        canvas: sockets.canvas,
        beside: sockets.beside,
        certificates,
        store: StoreConfig::file(loaded.paths.store_file()).with_cache_bytes(
            usize::try_from(loaded.config.store.cache_bytes).unwrap_or(usize::MAX),
        ),
        memory: Arc::new(OfThisProcess::new(limits.memory_bytes)),
        limits: session_limits(limits),
        arrivals: arrival_limits(limits),
        network,
        page: page(&loaded),
        workers: workers(),
        ollama: Some(openclaw_actors::agent::model::ollama::base_url(
            env("OLLAMA_HOST").as_deref(),
        )),
        clock,
        entropy: SystemEntropy::shared(),
    };
    let shown = Shown {
        facts: Facts {
            host: super::host_name(),
            port,
            fingerprint: certified,
            program: std::env::current_exe()
                .ok()
                .map(|path| path.display().to_string()),
        },
        route: Route::of(&loaded, port, std::env::var_os("PATH").as_deref()),
        welcome: welcome(&loaded, port, first.made_token.then_some(&auth)),
    };
    let outcome = actix::System::new().block_on(serve(setup, &loaded, shown, say));
    drop(locks);
    outcome
}

/// What is told of the gateway once it serves.
struct Shown {
    /// By mDNS.
    facts: Facts,
    /// Served by tailscale.
    route: Option<Route>,
    /// On stdout.
    welcome: String,
}

/// From the start of the actors to their end.
async fn serve(
    setup: Setup,
    loaded: &Loaded,
    shown: Shown,
    say: &dyn Fn(&str),
) -> Result<(), Failure> {
    let running = start(setup).await.map_err(|error| match error {
        StartError::Store(error) if error.needs_a_person() => Failure::refused(error),
        other => Failure::failed(other),
    })?;
    say(&shown.welcome);
    tracing::info!(address = %running.address, pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "gateway ready");
    let announced = discovery::announce(&loaded.config, crate::state_dir::variable, &shown.facts);
    let exposed = shown
        .route
        .map(|route| Exposed::begin(route, running.views.clone()));
    #[cfg(feature = "otlp")]
    let exporting = loaded.config.diagnostics.export().map(|export| {
        let (views, measured) = (running.views.clone(), Arc::clone(&running.measured));
        telemetry::otlp::begin(export, views, measured)
    });
    let outcome = until_told(running).await;
    if let Some(exposed) = exposed {
        exposed.end().await;
    }
    if let Some(announced) = announced {
        announced.end().await;
    }
    #[cfg(feature = "otlp")]
    if let Some(exporting) = exporting {
        exporting.end().await;
    }
    outcome
}

/// One gateway per state directory and host; the locks name this one, but for its port.
fn take_locks(loaded: &Loaded, started_at: i64) -> Result<(GatewayLocks, Holder), Failure> {
    let holder = Holder::this_process(started_at, None);
    let runtime = runtime_dir(std::env::var_os("XDG_RUNTIME_DIR").as_deref());
    let locks = GatewayLocks::acquire(
        &loaded.paths.gateway_dir,
        &runtime,
        loaded.switches.allow_multi_gateway,
        &holder,
    );
    Ok((locks.map_err(Failure::refused)?, holder))
}

/// What a connection may do.
fn session_limits(limits: &Limits) -> SessionLimits {
    SessionLimits {
        max_payload: usize::try_from(limits.max_payload).unwrap_or(usize::MAX),
        max_payload_v3: MAX_PAYLOAD_V3,
        max_buffered: usize::try_from(limits.max_buffered_bytes).unwrap_or(usize::MAX),
        frames_per_second: limits.max_frames_per_second,
        handshake: Duration::from_millis(limits.handshake_timeout_ms),
        tick: Duration::from_millis(limits.tick_interval_ms),
    }
}

/// How many may stand at the door.
const fn arrival_limits(limits: &Limits) -> ArrivalLimits {
    ArrivalLimits {
        open_per_client: limits.max_preauth_connections_per_ip,
        open_in_all: limits.max_preauth_connections,
        rate_per_client: limits.handshakes_per_second_per_ip,
        rate_in_all: limits.handshakes_per_second,
    }
}

/// Whether and where the page is served, and which.
fn page(loaded: &Loaded) -> PageSettings {
    let ui = &loaded.config.gateway.control_ui;
    let root = ui.root.as_deref();
    let root = root.map(|root| loaded.paths.expand(root, &loaded.paths.state_dir));
    PageSettings::new(ui.enabled, ui.base_path.as_deref()).with_root(root)
}

/// Waits for a signal or the failure of an irreplaceable part, then stops in order.
async fn until_told(running: Running) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::failed)?;
    let manager = Notifier::new(&|name| std::env::var_os(name), std::process::id());
    manager.ready(&running.in_a_line());
    let mut pulse = manager.interval().map(tokio::time::interval);
    let fatal = loop {
        tokio::select! {
            () = beat(&mut pulse) => {
                // What hangs is noticed by the watchdog inside first; this is for when that hangs too.
                manager.alive(&running.in_a_line());
            }
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            _ = hangup.recv() => {
                tracing::info!("asked by a signal to read the configuration again");
                running.reload();
            }
            fatal = running.watch.until_fatal() => break Some(fatal),
        }
    };
    manager.stopping("ends what is under way");
    match fatal {
        None => {
            tracing::info!("gateway stopping; runs under way may end, a second signal ends them");
            tokio::select! {
                () = running.stop("gateway stopping", DRAIN) => {}
                _ = terminate.recv() => tracing::warn!("stopped at once by a second signal"),
                _ = interrupt.recv() => tracing::warn!("stopped at once by a second signal"),
            }
            tracing::info!("gateway stopped");
            Ok(())
        }
        Some(fatal) => {
            tracing::error!(%fatal, "gateway ending; its supervisor should start it again");
            // What hangs must not keep a half-alive gateway up.
            let _ = tokio::time::timeout(
                Duration::from_secs(10),
                running.stop("gateway failed", Duration::from_secs(2)),
            )
            .await;
            Err(Failure::failed(fatal))
        }
    }
}

/// The next time that the service manager wants to hear of us; never, if it does not.
async fn beat(pulse: &mut Option<tokio::time::Interval>) {
    match pulse {
        Some(pulse) => drop(pulse.tick().await),
        None => std::future::pending().await,
    }
}

/// What the listener speaks TLS with, if it is to.
fn certificates(loaded: &Loaded) -> Result<Option<Arc<Certificates>>, Failure> {
    if !loaded.config.gateway.tls.enabled {
        return Ok(None);
    }
    Certificates::open(Files::of(loaded), &super::host_name())
        .map(|certificates| Some(Arc::new(certificates)))
        .map_err(|error| Failure::refused(format!("gateway.tls: {error}")))
}

/// How this host's networks are looked up: tailscaled's socket first, then its command.
fn network(loaded: &Loaded, path: Option<&std::ffi::OsStr>) -> Sources {
    let socket = loaded.config.gateway.tailscale.socket_path.as_deref();
    Sources {
        interfaces: Arc::new(SystemInterfaces),
        tailscale: FirstOf::new(vec![
            Arc::new(LocalApi::new(socket.unwrap_or(SOCKET).into())),
            Arc::new(TailscaleCommand::on_path(path)),
        ]),
    }
}

/// One HTTP thread carries tens of thousands of requests a second; a second one helps where there
/// are cores to spare.
fn workers() -> usize {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 4) {
        2
    } else {
        1
    }
}

/// Every connection takes two descriptors; the usual soft limit of 1,024 is too low for that.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current < maximum
        && let Err(error) = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        )
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// What a person sees at the start. The token is shown once, on the start that made it.
fn welcome(loaded: &Loaded, port: u16, new: Option<&config::auth::ResolvedAuth>) -> String {
    use secrecy::ExposeSecret as _;
    let control_ui = &loaded.config.gateway.control_ui;
    let base = control_ui.base_path.as_deref().unwrap_or_default();
    let base = base.trim_matches('/');
    let slash = if base.is_empty() { "" } else { "/" };
    let scheme = if loaded.config.gateway.tls.enabled {
        "https"
    } else {
        "http"
    };
    let page = format!("{scheme}://127.0.0.1:{port}/{base}{slash}");
    // Under systemd standard output is the journal, which keeps what it is told.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let token = new
        .and_then(|auth| auth.token.as_ref())
        .filter(|_| !journal);
    let (open, hint) = match token {
        _ if !control_ui.enabled => (page, "the page is switched off (gateway.controlUi.enabled)"),
        Some(token) => (
            format!("{page}#token={}", token.expose_secret()),
            "this address holds the access token and is shown only now",
        ),
        None => (page, "`openclaw dashboard` prints it with its token"),
    };
    format!(
        "\n  OpenClaw gateway {version}\n\n  chat     {open}\n           {hint}\n  config   {config}\n  stop     Ctrl-C\n",
        version = env!("CARGO_PKG_VERSION"),
        config = loaded.paths.config_path.display(),
    )
}
