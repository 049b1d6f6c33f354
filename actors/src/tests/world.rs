//! Every actor of a gateway, composed as the daemon does it, on memory and a given clock.

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix::Addr;
use arc_swap::ArcSwap;
use tokio::task::LocalSet;

use super::peer::Worker;
use crate::agent::state::RunnerState;
use crate::agent::tools::{ToolDeps, Toolbox};
use crate::agent::{AgentRunner, RunnerDeps};
use crate::approvals::{self, Approvals, ApprovalsDeps};
use crate::audit::{Audit, AuditDeps};
use crate::channel::pairing::Desk;
use crate::channel::provider::Shared;
use crate::channel::supervisor::{Channels, ChannelsDeps};
use crate::clock::{SharedClock, SharedEntropy};
use crate::config::{CannotChange, ConfigActor, ConfigDeps};
use crate::cron::{Scheduler, SchedulerDeps};
use crate::dedupe::{self, Dedupe, DedupeDeps, Platforms};
use crate::gate::{AuthMode, GateSettings};
use crate::gateway::router::{self, Owners};
use crate::gateway::state::GatewayState;
use crate::gateway::{Doors, Gateway, GatewayDeps, GatewayPort};
use crate::health::load::Unwatched;
use crate::health::{Health, HealthDeps};
use crate::heartbeat::{self, Heart, HeartDeps};
use crate::kept::Kept;
use crate::logs::Logs;
use crate::media::Blobs;
use crate::node::invoke::InvokeDeps;
use crate::node::{Nodes, NodesDeps};
use crate::pairing::{PairingDeps, PairingRegistry};
use crate::placement::{Place, Threads};
use crate::presence::state::PresenceState;
use crate::presence::{Presence, PresenceDeps};
use crate::session::dispatch::Dispatch;
use crate::sessions::{self, Sessions, SessionsDeps};
use crate::settings::{ModelPlan, Settings, testing};
use crate::store::faults::FaultyMedium;
use crate::store::{Close, MemoryMedium, Store, StoreConfig, StoreDeps, StoreHandle};
use crate::supervision::{DeathWatch, RestartPolicy, supervise};
use crate::sweep::{Sweeper, SweeperDeps};
use crate::views::{Places, Views};

/// What a fake connection needs; goes to any thread.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) gateway: GatewayPort,
    pub(super) views: Views,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) clock: SharedClock,
}

/// A gateway without sockets.
pub(super) struct World {
    pub(super) core: Core,
    pub(super) owners: Owners,
    pub(super) health: Addr<Health>,
    pub(super) store: StoreHandle,
    pub(super) store_addr: Addr<Store>,
    pub(super) watch: DeathWatch,
    pub(super) medium: FaultyMedium,
    /// The lanes, to break them.
    pub(super) lanes: Kept<RunnerState>,
    /// Runs that this start ended as interrupted.
    pub(super) interrupted: Vec<String>,
}

/// What differs between worlds.
pub(super) struct Setup {
    pub(super) threads: Threads,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) medium: FaultyMedium,
    pub(super) settings: Settings,
}

impl Setup {
    /// All on the calling thread, on memory that this start makes.
    pub(super) fn here(plan: ModelPlan) -> Self {
        let mut settings = testing::settings();
        settings.agents[0].model = plan;
        Self {
            threads: Threads::here(),
            clock: crate::clock::TestClock::shared(),
            entropy: crate::clock::SeededEntropy::shared(1),
            medium: FaultyMedium::new(Arc::new(MemoryMedium::default())),
            settings,
        }
    }

    /// On the memory of an earlier world.
    pub(super) fn on(mut self, medium: &FaultyMedium) -> Self {
        self.medium = medium.clone();
        self
    }

    /// Starts every actor.
    pub(super) async fn start(self) -> World {
        let Self {
            threads,
            clock,
            entropy,
            medium,
            settings,
        } = self;
        let policy = RestartPolicy::CORE;
        let watch = DeathWatch::new(Arc::clone(&clock), Arc::clone(&entropy));
        let config = StoreConfig::on(Arc::new(medium.clone()));
        let store_deps = StoreDeps::open(&config, Arc::clone(&clock)).unwrap();
        let store_addr = supervise::<Store>(&threads.store, policy, &watch, store_deps.clone());
        let store = store_deps.handle(store_addr.clone().recipient());
        let recovery =
            dedupe::recover(store.reader(), clock.now(), settings.retention.keys).unwrap();
        if !recovery.ops.is_empty() {
            store.commit(recovery.ops).await.unwrap();
        }
        let lanes = Kept::new(RunnerState::new(settings.max_concurrent));
        let views = views(settings, &clock);
        let table = Arc::new(ArcSwap::default());
        let doors: Arc<ArcSwap<Doors>> = Arc::default();
        let gateway = GatewayPort::new(supervise::<Gateway>(
            &threads.core,
            policy,
            &watch,
            GatewayDeps {
                state: Kept::new(GatewayState::new()),
                table: Arc::clone(&table),
                doors: Arc::clone(&doors),
                views: views.clone(),
            },
        ));
        let core = Core {
            gateway: gateway.clone(),
            views: views.clone(),
            dispatch: Arc::new(router::dispatch()),
            clock: Arc::clone(&clock),
        };
        let owners = owners(
            &threads,
            &watch,
            &core,
            &store,
            recovery.keys,
            entropy,
            lanes.clone(),
        );
        let health = supervise::<Health>(
            &threads.work,
            policy,
            &watch,
            HealthDeps {
                gateway,
                views,
                store: store.clone(),
                watch: watch.clone(),
                memory: Arc::new(Unwatched),
                tick: Duration::from_secs(30),
                clock,
            },
        );
        table.store(Arc::new(router::table(&owners)));
        doors.store(Arc::new(Doors {
            joined: Some(owners.presence.clone().recipient()),
            left: Some(owners.presence.clone().recipient()),
            node_joined: Some(owners.nodes.clone().recipient()),
            node_left: Some(owners.nodes.clone().recipient()),
        }));
        World {
            core,
            owners,
            health,
            store,
            store_addr,
            watch,
            medium,
            lanes,
            interrupted: recovery
                .interrupted
                .into_iter()
                .map(|run| run.run_id)
                .collect(),
        }
    }
}

fn owners(
    threads: &Threads,
    watch: &DeathWatch,
    core: &Core,
    store: &StoreHandle,
    keys: dedupe::state::Keys,
    entropy: SharedEntropy,
    lanes: Kept<RunnerState>,
) -> Owners {
    let policy = RestartPolicy::CORE;
    let Core {
        gateway,
        views,
        clock,
        ..
    } = core;
    let presence = supervise::<Presence>(
        &threads.core,
        policy,
        watch,
        PresenceDeps {
            state: Kept::new(PresenceState::default()),
            own: openclaw_protocol::presence::PresenceEntry::default(),
            gateway: gateway.clone(),
            views: views.clone(),
            clock: Arc::clone(clock),
        },
    );
    // Made when the first file is kept.
    let media = Blobs::new(std::env::temp_dir().join(format!("openclaw-{}", entropy.uuid())));
    let swept = media.clone();
    let swept_names = Arc::clone(&entropy);
    let sessions = supervise::<Sessions>(
        &threads.core,
        policy,
        watch,
        SessionsDeps {
            index: Kept::new(sessions::load(store.reader()).unwrap()),
            gateway: gateway.clone(),
            store: store.clone(),
            views: views.clone(),
            media: media.clone(),
            clock: Arc::clone(clock),
            entropy: Arc::clone(&entropy),
        },
    );
    let approvals = supervise::<Approvals>(
        &threads.core,
        policy,
        watch,
        ApprovalsDeps {
            state: Kept::new(approvals::state::State::new(
                approvals::load(store.reader()).unwrap(),
            )),
            gateway: gateway.clone(),
            store: store.clone(),
            audit: views.audit.clone(),
            clock: Arc::clone(clock),
            entropy: Arc::clone(&entropy),
        },
    );
    let invoke = InvokeDeps {
        views: views.clone(),
        approvals: approvals.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(&entropy),
    };
    let nodes = supervise::<Nodes>(
        &threads.core,
        policy,
        watch,
        NodesDeps {
            state: Kept::default(),
            store: store.clone(),
            gateway: gateway.clone(),
            invoke: invoke.clone(),
            place: threads.core.clone(),
            watch: watch.clone(),
        },
    );
    let runner = supervise::<AgentRunner>(
        &threads.agents,
        policy,
        watch,
        RunnerDeps {
            state: lanes,
            sessions: sessions.clone(),
            gateway: gateway.clone(),
            views: views.clone(),
            reader: store.reader().clone(),
            store: store.clone(),
            http: Arc::new(LazyLock::new(|| {
                Err("a test asks no model over the network".into())
            })),
            ollama: None,
            tools: Toolbox::new(ToolDeps {
                sessions: sessions.clone(),
                reader: store.reader().clone(),
                views: views.clone(),
                gateway: gateway.clone(),
                approvals: approvals.clone(),
                http: Arc::new(LazyLock::new(|| Err("a test asks nobody".into()))),
                nodes: invoke,
                web: Arc::new(LazyLock::new(|| Err("a test reads no web".into()))),
            })
            .with(super::tools::fakes()),
            media: media.clone(),
            clock: Arc::clone(clock),
            entropy: Arc::clone(&entropy),
        },
    );
    let platforms = Arc::default();
    let dedupe = supervise::<Dedupe>(
        &threads.core,
        policy,
        watch,
        DedupeDeps {
            keys: Kept::new(keys),
            waiting: Kept::default(),
            store: store.clone(),
            settings: views.settings.clone(),
            clock: Arc::clone(clock),
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
        watch,
        HeartDeps {
            state: Kept::new(heartbeat::load(store.reader()).unwrap()),
            store: store.clone(),
            gateway: gateway.clone(),
            views: views.clone(),
            clock: Arc::clone(clock),
            entropy: Arc::clone(&entropy),
            agent: dedupe.clone().recipient(),
            reset: runner.clone().recipient(),
            send: dedupe.clone().recipient(),
        },
    );
    let scheduler = supervise::<Scheduler>(
        &threads.work,
        policy,
        watch,
        SchedulerDeps {
            state: Kept::new(crate::cron::load(store.reader()).unwrap()),
            store: store.clone(),
            gateway: gateway.clone(),
            views: views.clone(),
            clock: Arc::clone(clock),
            entropy: Arc::clone(&entropy),
            zone: jiff::tz::TimeZone::UTC,
            agent: dedupe.clone().recipient(),
            reset: runner.clone().recipient(),
            send: dedupe.clone().recipient(),
            heart: heart.clone().recipient(),
        },
    );
    let channels = ChannelsDeps {
        shared: Shared {
            desk: Desk::new(Arc::clone(clock), Arc::clone(&entropy)),
            store: store.clone(),
            views: views.clone(),
            sessions: sessions.clone(),
            gateway: gateway.clone(),
            runner: runner.clone().recipient(),
            dedupe: dedupe.clone().recipient(),
            media: media.clone(),
            world: crate::channel::World {
                http: Arc::new(LazyLock::new(|| Err("no network in this test".into()))),
                hooks: Arc::default(),
                logins: Arc::default(),
                started_at: crate::clock::Millis::default(),
            },
            clock: Arc::clone(clock),
            entropy: Arc::clone(&entropy),
        },
        accounts: Kept::default(),
        turn: Arc::default(),
        watch: watch.clone(),
        place: Arc::new(LazyLock::new(Box::new(|| Ok(Place::here())))),
    };
    let channels = supervise::<Channels>(&threads.work, policy, watch, channels);
    let _ = platforms.set(Platforms {
        send: channels.clone().recipient(),
        poll: channels.clone().recipient(),
        action: channels.clone().recipient(),
    });
    let pairing = PairingDeps::new(
        store.clone(),
        gateway.clone(),
        views.clone(),
        Arc::clone(clock),
        entropy,
    );
    let pairing = supervise::<PairingRegistry>(&threads.core, policy, watch, pairing);
    let config = ConfigDeps {
        source: Arc::new(CannotChange),
        current: Kept::default(),
        views: views.clone(),
        gateway: gateway.clone(),
        pairing: pairing.clone().recipient(),
        commands: pairing.clone().recipient(),
        channels: channels.clone().recipient(),
    };
    Owners {
        channels,
        dedupe,
        runner,
        approvals,
        sessions,
        presence,
        pairing,
        scheduler,
        heart,
        config: supervise::<ConfigActor>(&threads.work, policy, watch, config),
        logs: supervise::<Logs>(&threads.work, policy, watch, views.clone()),
        audit: supervise::<Audit>(
            &threads.work,
            policy,
            watch,
            AuditDeps {
                store: store.clone(),
                views: views.clone(),
            },
        ),
        sweeper: supervise::<Sweeper>(
            &threads.work,
            policy,
            watch,
            SweeperDeps {
                store: store.clone(),
                views: views.clone(),
                media: swept,
                clock: Arc::clone(clock),
                entropy: swept_names,
            },
        ),
        nodes,
    }
}

impl World {
    /// A worker thread's hub, on the calling thread.
    pub(super) fn worker(&self) -> Worker {
        Worker::start(&self.core)
    }

    /// Closes the file, so that another world can start on it.
    pub(super) async fn stop(self) -> FaultyMedium {
        self.store_addr.send(Close).await.unwrap();
        self.medium
    }
}

/// Runs `test` on one thread, in time that passes only while everybody waits for it.
pub(super) fn paused<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// A Gateway alone: nobody but the test emits anything.
pub(super) fn gateway() -> Core {
    let clock: SharedClock = crate::clock::TestClock::shared();
    let watch = DeathWatch::new(Arc::clone(&clock), crate::clock::SeededEntropy::shared(1));
    let views = views(testing::settings(), &clock);
    let deps = GatewayDeps {
        state: Kept::new(GatewayState::new()),
        table: Arc::default(),
        doors: Arc::default(),
        views: views.clone(),
    };
    let here = Place::here();
    Core {
        gateway: GatewayPort::new(supervise(&here, RestartPolicy::CORE, &watch, deps)),
        views,
        dispatch: Arc::new(Dispatch::default()),
        clock,
    }
}

/// What owners publish, before any of them published anything.
pub(crate) fn views(settings: Settings, clock: &SharedClock) -> Views {
    let gate = GateSettings::new(AuthMode::None);
    let places = Places::new(String::new(), String::new(), Arc::clone(clock));
    Views::new(settings, gate, places)
}
