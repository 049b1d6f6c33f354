//! Everything that owners publish for reading.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use openclaw_protocol::Role;
use openclaw_protocol::connect::SessionDefaults;
use openclaw_protocol::methods::system::{ConfigState, Exposure, HealthSummary};
use openclaw_protocol::presence::PresenceEntry;

use crate::audit::AuditPort;
use crate::canvas::desk::Desk;
use crate::channel::account::Board;
use crate::clock::{Millis, SharedClock};
use crate::gate::GateSettings;
use crate::health;
use crate::health::load::Load;
use crate::heartbeat::HeartView;
use crate::limiter::counts::Counts;
use crate::network::Surroundings;
use crate::node::NodeTrustMap;
use crate::node::state::LiveNodes;
use crate::published::{Published, Rendered};
use crate::sessions::{ActiveRuns, QueuedRuns, SessionsDigest, keys};
use crate::settings::{ModelPlan, Settings};
use crate::totals::Totals;

/// Where this gateway lives.
pub struct Places {
    /// Path of the config file.
    pub config_path: String,
    /// State directory.
    pub state_dir: String,
    port: AtomicU16,
    certificate: OnceLock<CertificateView>,
    clock: SharedClock,
}

/// Tells the fingerprint of the certificate that the listener uses now.
pub type CertificateView = Box<dyn Fn() -> String + Send + Sync>;

impl Places {
    /// The paths of a gateway that starts now.
    pub fn new(config_path: String, state_dir: String, clock: SharedClock) -> Self {
        Self {
            config_path,
            state_dir,
            port: AtomicU16::new(0),
            certificate: OnceLock::new(),
            clock,
        }
    }

    /// Notes the port once it is bound.
    pub fn listening(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// The port, 0 before it is bound.
    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Notes where the certificate's fingerprint is to be had; the first one counts.
    pub fn certified(&self, view: CertificateView) {
        let _ = self.certificate.set(view);
    }

    /// SHA-256 of the listener's certificate; `None` without TLS.
    pub fn fingerprint(&self) -> Option<String> {
        self.certificate.get().map(|view| view())
    }

    /// Now, milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.clock.now().wire()
    }

    /// Milliseconds since the gateway started.
    pub fn uptime_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Counts the modes and secrets that the gate has had in this process.
///
/// A handshake reads it **before** the gate that it is judged by, and the config's owner raises it
/// **after** it published another gate: so what carries the present count came in by the present
/// secret, at every interleaving.
#[derive(Debug, Clone, Default)]
pub struct AuthEpoch(Arc<AtomicU64>);

impl AuthEpoch {
    /// The count now.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Another secret is published.
    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Most ended trusts that are remembered.
const MAX_ENDS: usize = 256;

/// The trusts of devices that owners ended last, and how many there were in this process.
///
/// A handshake reads the count **before** its device is judged, and an ended trust is noted
/// **before** its connections are closed: so a connection that joined finds its trust here, or is
/// found by whoever closes, at every interleaving.
#[derive(Debug, Clone, Default)]
pub struct TrustEnds(Arc<Mutex<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    count: u64,
    last: VecDeque<(String, Option<Role>)>,
}

impl TrustEnds {
    /// The count now.
    pub fn now(&self) -> u64 {
        self.lock().count
    }

    /// The trust of a device ended, or that of one of its roles.
    pub fn end(&self, device: &str, role: Option<Role>) {
        let mut ends = self.lock();
        ends.count += 1;
        ends.last.push_front((device.to_owned(), role));
        ends.last.truncate(MAX_ENDS);
    }

    /// Nobody can say which ended: whoever is judged just now is judged again.
    pub fn doubt(&self) {
        let mut ends = self.lock();
        ends.count += 1;
        ends.last.clear();
    }

    /// Whether this trust ended after the count was `since`. What is older than all that is
    /// remembered counts as ended: its client connects again, and is judged anew.
    pub fn ended_since(&self, since: u64, device: &str, role: Role) -> bool {
        let ends = self.lock();
        let newer = ends.count.saturating_sub(since);
        let newer = usize::try_from(newer).unwrap_or(usize::MAX);
        let is_it = |(id, ended): &(String, Option<Role>)| {
            id == device && ended.is_none_or(|ended| ended == role)
        };
        newer > ends.last.len() || ends.last.iter().take(newer).any(is_it)
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        // Every change is a whole step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The published snapshots; cheap to clone.
#[derive(Clone)]
pub struct Views {
    /// Everyone present. Owner: presence.
    pub presence: Published<Rendered<Vec<Arc<PresenceEntry>>>>,
    /// The health snapshot. Owner: health.
    pub health: Published<Rendered<HealthSummary>>,
    /// How much memory is in use, and what is let go of. Owner: health.
    pub load: Published<Load>,
    /// The newest sessions. Owner: sessions.
    pub sessions: Published<SessionsDigest>,
    /// How many connections are registered. Owner: the Gateway.
    pub connections: Arc<AtomicUsize>,
    /// The runs under way. Owner: agent runner.
    pub runs: Published<ActiveRuns>,
    /// The messages that wait for their run. Owner: agent runner.
    pub queued: Published<QueuedRuns>,
    /// The connected nodes. Owner: nodes.
    pub nodes: Published<LiveNodes>,
    /// What owners approved of nodes. Owner: the pairing registry.
    pub node_trust: Published<NodeTrustMap>,
    /// The configuration. Owner: composition root.
    pub settings: Published<Settings>,
    /// What handshakes are judged by. Owner: composition root.
    pub gate: Published<GateSettings>,
    /// Counts the secrets that the gate has had. Owner: config.
    pub auth_epoch: AuthEpoch,
    /// The trusts of devices that ended last. Owner: the pairing registry.
    pub trust_ends: TrustEnds,
    /// Which generation of the configuration is in force, and what is wrong with a later one.
    /// Owner: config.
    pub config: Published<ConfigState>,
    /// What the limits refused, delayed and dropped. Written by whoever meets a bound.
    pub counts: Arc<Counts>,
    /// What was done since the start. Written by whoever does it.
    pub totals: Arc<Totals>,
    /// What a person should know of the database, although it works. Owner: health.
    pub store_note: Published<Option<String>>,
    /// The gateway in the tailnet or on the internet, where tailscale is to serve it. Owner: composition
    /// root.
    pub exposure: Published<Option<Exposure>>,
    /// The heartbeats. Owner: heartbeats.
    pub heartbeats: Published<HeartView>,
    /// How the accounts on channels are. Owner: channels; each account's row: its provider.
    pub channels: Published<Board>,
    /// This host's networks. Owner: network.
    pub surroundings: Published<Surroundings>,
    /// Where this gateway lives.
    pub places: Arc<Places>,
    /// Who may read the canvas by a capability, and who waits for its changes.
    pub canvas: Arc<Desk>,
    /// Where every owner notes what it decided about trust.
    pub audit: AuditPort,
}

impl Views {
    /// The snapshots of a gateway that starts now.
    pub fn new(settings: Settings, gate: GateSettings, places: Places) -> Self {
        let audit = AuditPort::new(Arc::clone(&places.clock));
        let views = Self {
            audit,
            presence: Published::new(Rendered::new(Vec::new())),
            health: Published::new(Rendered::new(HealthSummary::default())),
            load: Published::new(Load::default()),
            sessions: Published::new(SessionsDigest::default()),
            connections: Arc::default(),
            runs: Published::new(ActiveRuns::default()),
            queued: Published::new(QueuedRuns::default()),
            nodes: Published::new(LiveNodes::default()),
            node_trust: Published::new(NodeTrustMap::new()),
            settings: Published::new(settings),
            gate: Published::new(gate),
            auth_epoch: AuthEpoch::default(),
            trust_ends: TrustEnds::default(),
            config: Published::new(ConfigState::default()),
            counts: Arc::default(),
            totals: Arc::default(),
            heartbeats: Published::new(HeartView::default()),
            store_note: Published::new(None),
            exposure: Published::new(None),
            channels: Published::new(Board::default()),
            surroundings: Published::new(Surroundings::default()),
            places: Arc::new(places),
            canvas: Arc::default(),
        };
        let now = views.places.now_ms();
        views
            .health
            .publish(Rendered::new(health::summary(&views, now, None)));
        views
    }

    /// How session keys are formed.
    pub fn session_defaults(&self, v4: bool) -> SessionDefaults {
        let settings = self.settings.load();
        SessionDefaults {
            default_agent_id: settings.default_agent.clone(),
            main_key: settings.main_key.clone(),
            main_session_key: keys::main_session(&settings.default_agent, &settings).to_string(),
            scope: if settings.global_scope {
                "global"
            } else {
                "per-sender"
            }
            .into(),
            model_configured: v4.then(|| {
                settings
                    .agent(&settings.default_agent)
                    .is_some_and(|agent| matches!(agent.model, ModelPlan::Chain(_)))
            }),
        }
    }
}
