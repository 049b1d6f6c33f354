//! Starts the owners of methods, those that are asked before those that ask.

mod channels;
mod clockwork;
mod talk;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use openclaw_actors::canvas::host::CanvasHost;
use openclaw_actors::channel::hooks::Hooks as ChannelHooks;
use openclaw_actors::clock::SharedEntropy;
use openclaw_actors::config::ConfigSource;
use openclaw_actors::config::state::Fingerprint;
use openclaw_actors::gateway::router::Owners;
use openclaw_actors::health::Health;
use openclaw_actors::health::load::Memory;
use openclaw_actors::kept::Kept;
use openclaw_actors::network::{NetworkPort, Sources};
use openclaw_actors::pairing::{PairingDeps, PairingRegistry};
use openclaw_actors::presence::state::PresenceState;
use openclaw_actors::presence::{Presence, PresenceDeps};
use openclaw_protocol::presence::PresenceEntry;

use super::ground::Ground;
use super::host_name;
use super::recovery::Recovered;
use clockwork::Clockwork;
use talk::Talk;
use upkeep::Upkeep;

/// What owners are started with, besides the ground and what the last process left.
pub(super) struct Plan {
    pub(super) reload: Option<(Arc<dyn ConfigSource>, Fingerprint)>,
    pub(super) memory: Arc<dyn Memory>,
    pub(super) tick: Duration,
    pub(super) network: Sources,
    pub(super) ollama: Option<String>,
}

/// The owners, and what the HTTP side needs of those that serve no method.
pub(super) struct Started {
    pub(super) owners: Owners,
    pub(super) network: NetworkPort,
    pub(super) canvas: Addr<CanvasHost>,
    pub(super) hooks: Arc<ChannelHooks>,
    pub(super) health: Addr<Health>,
}

/// Starts all of them; none is told anything by a client before [`Ground::open`].
pub(super) fn start(ground: &Ground, recovered: Recovered, plan: Plan) -> Started {
    let presence = presence(ground);
    let talk = Talk::start(
        ground,
        talk::Left {
            index: recovered.index,
            exec_rules: recovered.exec_rules,
            keys: recovered.keys,
        },
        plan.ollama,
    );
    let Clockwork { heart, scheduler } =
        Clockwork::start(ground, &talk, recovered.heartbeats, recovered.jobs);
    let pairing = pairing(ground);
    let (channels, hooks) = channels::start(ground, &talk);
    let Upkeep {
        network,
        config,
        logs,
        audit,
        sweeper,
        canvas,
        health,
    } = Upkeep::start(
        ground,
        upkeep::Plan {
            reload: plan.reload,
            memory: plan.memory,
            tick: plan.tick,
            network: plan.network,
        },
        &pairing,
        &channels,
    );
    let owners = Owners {
        dedupe: talk.dedupe,
        runner: talk.runner,
        approvals: talk.approvals,
        sessions: talk.sessions,
        presence,
        pairing,
        logs,
        audit,
        sweeper,
        config,
        scheduler,
        heart,
        channels,
        nodes: talk.nodes,
    };
    Started {
        owners,
        network,
        canvas,
        hooks,
        health,
    }
}

fn presence(ground: &Ground) -> Addr<Presence> {
    let own = own_presence(&ground.entropy);
    ground.core(PresenceDeps {
        state: Kept::new(PresenceState::new(own.clone())),
        own,
        gateway: ground.gateway.clone(),
        views: ground.views.clone(),
        clock: Arc::clone(&ground.clock),
    })
}

fn pairing(ground: &Ground) -> Addr<PairingRegistry> {
    ground.core(PairingDeps::new(
        ground.store.clone(),
        ground.gateway.clone(),
        ground.views.clone(),
        Arc::clone(&ground.clock),
        Arc::clone(&ground.entropy),
    ))
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
