//! Health: collects what owners publish, publishes the snapshot, and keeps the pulse (`tick`).
//!
//! Replaceable; it holds nothing but timers.

pub mod load;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context, Handler, Message};
use openclaw_protocol::events::{HEALTH, TICK, TickEvent};
use openclaw_protocol::methods::system::{
    AgentHealth, ConfigReload, HealthPlugins, HealthSummary, RecentSession, SessionsDigest,
};
use serde_json::Value;

use crate::channel::status as channel_status;
use crate::clock::SharedClock;
use crate::event::{Audience, Bump, EventOut, Plain, Ready};
use crate::gateway::GatewayPort;
use crate::heartbeat;
use crate::published::Rendered;
use crate::store::StoreHandle;
use crate::supervised;
use crate::supervision::{ActorState, DeathWatch, Rebuild, Tier};
use crate::views::Views;
use load::Memory;

/// How often the snapshot is collected.
const REFRESH: Duration = Duration::from_mins(1);
/// How often trouble is looked for between two snapshots.
const LOOK: Duration = Duration::from_secs(1);

/// What health works with.
#[derive(Clone)]
pub struct HealthDeps {
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Published snapshots.
    pub views: Views,
    /// The store's status.
    pub store: StoreHandle,
    /// The actors' status.
    pub watch: DeathWatch,
    /// What the system says about memory.
    pub memory: Arc<dyn Memory>,
    /// Interval of `tick`.
    pub tick: Duration,
    /// Time.
    pub clock: SharedClock,
}

/// The owner of the health snapshot.
pub struct Health {
    deps: HealthDeps,
}

impl Rebuild for Health {
    type Deps = HealthDeps;
    const NAME: &'static str = "health";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 256;

    fn build(deps: Self::Deps) -> Self {
        Self { deps }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Health);

impl Actor for Health {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.refresh();
        ctx.run_interval(REFRESH, |health, _| health.refresh());
        ctx.run_interval(LOOK, |health, _| health.look());
        ctx.run_interval(self.deps.tick, |health, _| health.tick());
    }
}

/// Asks for a fresh snapshot.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Refresh;

impl Handler<Refresh> for Health {
    type Result = ();

    fn handle(&mut self, _: Refresh, _: &mut Self::Context) {
        self.refresh();
    }
}

impl Health {
    fn tick(&self) {
        let ts = self.now();
        self.deps.gateway.emit(EventOut::new(
            TICK,
            Audience::Everyone,
            Plain(TickEvent { ts }),
        ));
    }

    fn now(&self) -> u64 {
        self.deps.clock.now().wire()
    }

    /// Publishes at once when trouble begins or ends, and when sessions came or went.
    fn look(&self) {
        let eased = self.measure();
        let reason = self.trouble();
        let published = self.deps.views.health.load();
        let shown = &published.value().config_reload;
        let known = published.value().sessions.count;
        if eased
            || published.value().reason != reason
            || *shown != config_reload(&self.deps.views)
            || known != self.deps.views.sessions.load().count
            || self.channels_changed(&published.value().channels)
        {
            self.refresh();
        }
    }

    /// Looks how much memory is in use; whether what is let go of changed.
    fn measure(&self) -> bool {
        let memory = &self.deps.memory;
        let (resident, limit) = (memory.resident(), memory.limit());
        let before = *self.deps.views.load.load();
        let now = before.next(resident.unwrap_or(0), limit.unwrap_or(0));
        if before != now {
            self.deps.views.load.publish(now);
        }
        if before.level != now.level {
            tracing::warn!(
                level = ?now.level,
                resident = now.resident,
                limit = now.limit,
                "memory: the gateway sheds another amount of work now"
            );
        }
        before.level != now.level
    }

    fn channels_changed(&self, shown: &BTreeMap<String, Value>) -> bool {
        let views = &self.deps.views;
        let settings = views.settings.load();
        if shown.is_empty() && settings.channels.accounts.is_empty() {
            return false;
        }
        channel_status::health_rows(&settings.channels, &views.channels.load()).channels != *shown
    }

    fn refresh(&self) {
        let summary = summary(&self.deps.views, self.now(), self.trouble());
        self.deps.views.health.publish(Rendered::new(summary));
        let json = self.deps.views.health.load().json().clone();
        self.deps
            .gateway
            .emit(EventOut::new(HEALTH, Audience::Everyone, Ready(json)).bump(Bump::Health));
    }

    /// What keeps the gateway from being well, in one line.
    fn trouble(&self) -> Option<String> {
        let store = self.deps.store.status();
        if *self.deps.views.store_note.load() != store.note {
            self.deps.views.store_note.publish(store.note.clone());
        }
        if !store.ok {
            return Some(format!(
                "store: {}",
                store.reason.unwrap_or_else(|| "not available".into())
            ));
        }
        if let Some(trouble) = self.deps.views.load.load().trouble() {
            return Some(trouble);
        }
        let actors = self.deps.watch.report();
        let down = actors
            .iter()
            .find(|actor| matches!(actor.state, ActorState::Backoff | ActorState::Hung))?;
        Some(format!(
            "{} is not answering; it is being restarted",
            down.name
        ))
    }
}

/// Where sessions lie, relative to the state directory: every connection reads this snapshot, and only
/// an admin may learn where that directory is.
const SESSION_STORE: &str = "gateway/gateway.redb";

/// What is in force of the configuration, where somebody watches over it.
fn config_reload(views: &Views) -> Option<ConfigReload> {
    let config = views.config.load();
    (config.generation > 0).then_some(ConfigReload {
        hot_reload_status: config.hot_reload_status,
    })
}

/// The snapshot of what owners publish now.
pub fn summary(views: &Views, ts: u64, reason: Option<String>) -> HealthSummary {
    let settings = views.settings.load();
    let channels = channel_status::health_rows(&settings.channels, &views.channels.load());
    let sessions = views.sessions.load();
    let path = SESSION_STORE.to_owned();
    let beats = !views.heartbeats.load().off;
    let default_beat = settings
        .agent(&settings.default_agent)
        .and_then(|agent| agent.heartbeat.as_ref())
        .filter(|_| beats);
    let recent = |agent: Option<&str>| -> Vec<RecentSession> {
        let rows = sessions
            .recent
            .iter()
            .filter(|row| agent.is_none_or(|agent| row.agent_id.as_deref() == Some(agent)));
        rows.map(|row| RecentSession {
            key: row.key.clone(),
            updated_at: row.updated_at,
            age: row.updated_at.0.map(|at| ts.saturating_sub(at)).into(),
        })
        .collect()
    };
    let agents = settings.agents.iter().map(|agent| AgentHealth {
        agent_id: agent.id.clone(),
        name: agent.row.name.clone(),
        is_default: agent.id == settings.default_agent,
        heartbeat: heartbeat::shown(agent.heartbeat.as_ref().filter(|_| beats)),
        sessions: SessionsDigest {
            path: path.clone(),
            count: sessions.of_agent(&agent.id),
            recent: recent(Some(&agent.id)),
        },
    });
    let ok = reason.is_none();
    HealthSummary {
        ok,
        reason,
        ts,
        duration_ms: 0,
        plugins: HealthPlugins::default(),
        config_reload: config_reload(views),
        channels: channels.channels,
        channel_order: channels.order,
        channel_labels: channels.labels,
        heartbeat_seconds: default_beat.map_or(0, |plan| plan.every.as_secs()),
        default_agent_id: settings.default_agent.clone(),
        agents: agents.collect(),
        sessions: SessionsDigest {
            path,
            count: sessions.count,
            recent: recent(None),
        },
        // The official shape of a gateway that is well has no place for it; the method tells it all the same.
        load: views.load.load().to_wire().filter(|_| !ok),
    }
}
