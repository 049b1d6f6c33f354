//! What keeps the gateway in order: networks, configuration, logs, the trail, old rows, the canvas,
//! how it is.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use openclaw_actors::audit::{Audit, AuditDeps};
use openclaw_actors::canvas::host::{CanvasHost, HostDeps};
use openclaw_actors::channel::supervisor::Channels;
use openclaw_actors::config::state::{Current, Fingerprint};
use openclaw_actors::config::{CannotChange, ConfigActor, ConfigDeps, ConfigSource};
use openclaw_actors::health::load::Memory;
use openclaw_actors::health::{Health, HealthDeps};
use openclaw_actors::kept::Kept;
use openclaw_actors::logs::Logs;
use openclaw_actors::network::{Network, NetworkDeps, NetworkPort, Sources};
use openclaw_actors::pairing::PairingRegistry;
use openclaw_actors::sweep::{Sweeper, SweeperDeps};

use crate::app::ground::Ground;
use crate::app::watch;

/// What it is started with.
pub(super) struct Plan {
    pub(super) reload: Option<(Arc<dyn ConfigSource>, Fingerprint)>,
    pub(super) memory: Arc<dyn Memory>,
    pub(super) tick: Duration,
    pub(super) network: Sources,
}

/// Its owners.
pub(super) struct Upkeep {
    pub(super) network: NetworkPort,
    pub(super) config: Addr<ConfigActor>,
    pub(super) logs: Addr<Logs>,
    pub(super) audit: Addr<Audit>,
    pub(super) sweeper: Addr<Sweeper>,
    pub(super) canvas: Addr<CanvasHost>,
    pub(super) health: Addr<Health>,
}

impl Upkeep {
    pub(super) fn start(
        ground: &Ground,
        plan: Plan,
        pairing: &Addr<PairingRegistry>,
        channels: &Addr<Channels>,
    ) -> Self {
        let views = &ground.views;
        let (source, first) = plan
            .reload
            .unwrap_or_else(|| (Arc::new(CannotChange), Fingerprint::default()));
        Self {
            network: network(ground, plan.network),
            config: ground.work(ConfigDeps {
                source,
                current: Kept::new(Current::first(first)),
                views: views.clone(),
                gateway: ground.gateway.clone(),
                pairing: pairing.clone().recipient(),
                commands: pairing.clone().recipient(),
                channels: channels.clone().recipient(),
            }),
            logs: ground.work(views.clone()),
            audit: ground.work(AuditDeps {
                store: ground.store.clone(),
                views: views.clone(),
            }),
            sweeper: ground.work(SweeperDeps {
                store: ground.store.clone(),
                views: views.clone(),
                media: ground.media.clone(),
                clock: Arc::clone(&ground.clock),
                entropy: Arc::clone(&ground.entropy),
            }),
            canvas: ground.work(HostDeps {
                views: views.clone(),
                watcher: Arc::new(watch::Folders),
            }),
            health: ground.work(HealthDeps {
                gateway: ground.gateway.clone(),
                views: views.clone(),
                store: ground.store.clone(),
                watch: ground.watch.clone(),
                memory: plan.memory,
                tick: plan.tick,
                clock: Arc::clone(&ground.clock),
            }),
        }
    }
}

fn network(ground: &Ground, sources: Sources) -> NetworkPort {
    let deps = NetworkDeps::new(sources, ground.views.clone(), Arc::clone(&ground.clock));
    NetworkPort::new(ground.work::<Network>(deps.clone()), &deps)
}
