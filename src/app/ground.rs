//! What every owner stands on: threads, the store with what the last process left in it, the views,
//! the Gateway.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use actix::Addr;
use arc_swap::ArcSwap;
use openclaw_actors::agent::model::http_client;
use openclaw_actors::clock::{SharedClock, SharedEntropy};
use openclaw_actors::gate::GateSettings;
use openclaw_actors::gateway::router::{self, Owners};
use openclaw_actors::gateway::state::GatewayState;
use openclaw_actors::gateway::table::Table;
use openclaw_actors::gateway::{Doors, Gateway, GatewayDeps, GatewayPort};
use openclaw_actors::kept::Kept;
use openclaw_actors::mcp::Http;
use openclaw_actors::media::Blobs;
use openclaw_actors::placement::Threads;
use openclaw_actors::settings::Settings;
use openclaw_actors::store::{Store, StoreConfig, StoreDeps, StoreHandle};
use openclaw_actors::supervision::{DeathWatch, Rebuild, RestartPolicy, supervise};
use openclaw_actors::views::{Places, Views};

use super::StartError;
use super::recovery::{self, Recovered};

/// What it is laid with.
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) gate: GateSettings,
    pub(super) places: Places,
    pub(super) store: StoreConfig,
    pub(super) media: PathBuf,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
}

/// The ground; cheap parts, cloned into the owners.
pub(super) struct Ground {
    pub(super) threads: Threads,
    pub(super) watch: DeathWatch,
    /// The store's writer itself, to close it last.
    pub(super) writer: Addr<Store>,
    pub(super) store: StoreHandle,
    pub(super) views: Views,
    pub(super) gateway: GatewayPort,
    pub(super) media: Blobs,
    /// The HTTP client of models, tools and channels, made when it is first needed.
    pub(super) http: Http,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    table: Arc<ArcSwap<Table>>,
    doors: Arc<ArcSwap<Doors>>,
}

impl Ground {
    /// Opens the store, ends what the last process left unfinished, and starts the Gateway, which
    /// answers that it is starting until [`Self::open`].
    ///
    /// # Errors
    ///
    /// When the system refuses a thread, or the store cannot be opened or understood.
    pub(super) async fn lay(plan: Plan) -> Result<(Self, Recovered), StartError> {
        let Plan {
            settings,
            gate,
            places,
            store: config,
            media,
            clock,
            entropy,
        } = plan;
        let threads = Threads::start()?;
        let watch = DeathWatch::new(Arc::clone(&clock), Arc::clone(&entropy));
        let policy = RestartPolicy::CORE;

        let (deps, _) = StoreDeps::open_or_salvage(&config, Arc::clone(&clock))?;
        let writer = supervise::<Store>(&threads.store, policy, &watch, deps.clone());
        let store = deps.handle(writer.clone().recipient());
        let recovered = recovery::recover(&store, &settings, &clock, &entropy).await?;

        let views = Views::new(settings, gate, places);
        let table = Arc::new(ArcSwap::default());
        let doors: Arc<ArcSwap<Doors>> = Arc::default();
        let deps = GatewayDeps {
            state: Kept::new(GatewayState::new()),
            table: Arc::clone(&table),
            doors: Arc::clone(&doors),
            views: views.clone(),
        };
        let gateway = supervise::<Gateway>(&threads.gateway, policy, &watch, deps);
        let ground = Self {
            threads,
            watch,
            writer,
            store,
            views,
            gateway: GatewayPort::new(gateway),
            media: Blobs::new(media),
            http: Arc::new(LazyLock::new(|| {
                http_client().map_err(|error| error.to_string())
            })),
            clock,
            entropy,
            table,
            doors,
        };
        Ok((ground, recovered))
    }

    /// Starts an owner whose work is short.
    pub(super) fn core<A: Rebuild>(&self, deps: A::Deps) -> Addr<A> {
        supervise::<A>(&self.threads.core, RestartPolicy::CORE, &self.watch, deps)
    }

    /// Starts an owner that may be slow.
    pub(super) fn work<A: Rebuild>(&self, deps: A::Deps) -> Addr<A> {
        supervise::<A>(&self.threads.work, RestartPolicy::CORE, &self.watch, deps)
    }

    /// Starts the owner of runs.
    pub(super) fn agents<A: Rebuild>(&self, deps: A::Deps) -> Addr<A> {
        supervise::<A>(&self.threads.agents, RestartPolicy::CORE, &self.watch, deps)
    }

    /// From here on the Gateway routes to these, and tells them who comes and goes.
    pub(super) fn open(&self, owners: &Owners) {
        self.table.store(Arc::new(router::table(owners)));
        self.doors.store(Arc::new(Doors {
            joined: Some(owners.presence.clone().recipient()),
            left: Some(owners.presence.clone().recipient()),
            node_joined: Some(owners.nodes.clone().recipient()),
            node_left: Some(owners.nodes.clone().recipient()),
        }));
    }
}
