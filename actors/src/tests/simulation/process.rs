//! The gateway while it runs: every machine of the simulation, and how they begin.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::channel::ChannelSide;
use super::disk::Weather;
use super::jobs::JobsSide;
use super::runs::{Asker, Mailbox, Run};
use super::sim::Sim;
use super::trust::TrustSide;
use super::wire::{Conn, HubSide};
use crate::agent::lanes::Lanes;
use crate::call::ConnKey;
use crate::dedupe::state::{Bounds, FoundKey, KeyId, Keys, recover};
use crate::gateway::state::GatewayState;
use crate::store::{Table, rows};
use crate::views::TrustEnds;

/// Most runs at one time.
const MAX_RUNS: usize = 3;

/// What is gone with the process.
pub(super) struct Process {
    pub(super) gateway: GatewayState,
    pub(super) hubs: Vec<HubSide>,
    pub(super) conns: BTreeMap<ConnKey, Conn>,
    pub(super) trust: TrustSide,
    pub(super) trust_ends: TrustEnds,
    pub(super) keys: Keys,
    pub(super) settled: Mailbox,
    pub(super) waiting: BTreeMap<KeyId, Vec<Asker>>,
    pub(super) lanes: Lanes<u64>,
    pub(super) runs: BTreeMap<u64, Run>,
    pub(super) next_run: u64,
    pub(super) channel: ChannelSide,
    pub(super) jobs: JobsSide,
}

impl Sim {
    /// A start: everything from the disk, in the order of the composition root. One that cannot write
    /// what it has to is over, and its service manager tries again.
    pub(super) fn boot(&mut self) {
        if self.process.is_some() {
            return;
        }
        let now = self.now();
        let found = self.disk.all(Table::Idempotency);
        let found: Vec<FoundKey> = found
            .map(|(_, row)| rows::decode(Table::Idempotency, row).unwrap())
            .collect();
        let recovery = recover(found, now, Bounds::default()).unwrap();
        let (channel, mut ops) = ChannelSide::open(self);
        ops.extend(recovery.ops);
        if !ops.is_empty() && self.writer.weather != Weather::Fair {
            self.note(|| "a start fails: the disk takes nothing".into());
            return self.outside((2_000, 6_000), Self::boot);
        }
        self.law.counts.interrupted += recovery.interrupted.len() as u64;
        let process = Process {
            gateway: GatewayState::new(),
            hubs: vec![HubSide::small(), HubSide::large()],
            conns: BTreeMap::new(),
            trust: TrustSide::load(&self.disk, now),
            trust_ends: TrustEnds::default(),
            keys: recovery.keys,
            settled: Rc::default(),
            waiting: BTreeMap::new(),
            lanes: Lanes::new(MAX_RUNS),
            runs: BTreeMap::new(),
            next_run: 0,
            channel,
            jobs: JobsSide::load(&self.disk),
        };
        self.process = Some(process);
        self.life += 1;
        self.note(|| "the gateway starts".into());
        self.commit(ops, |_, _| {});
        self.check_promises();
        self.begin_pulse();
        self.flush_trust();
        self.begin_provider();
        self.begin_jobs();
    }

    /// Killed, or the power went: what was on its way to the disk is there as a whole or not at all.
    pub(super) fn crash(&mut self) {
        if self.process.is_none() {
            return;
        }
        self.note(|| "the gateway is killed".into());
        self.law.counts.crashes += 1;
        self.cut();
        self.life += 1;
        // Outside of the slot: what is dropped finds no gateway any more.
        let process = self.process.take();
        drop(process);
        self.hang_up_all();
        self.outside((200, 8_000), Self::boot);
    }

    /// The Gateway's actor failed within a change, and is rebuilt from what is certain.
    pub(super) fn salvage(&mut self) {
        if let Some(process) = &mut self.process {
            let before = process.gateway.versions();
            process.gateway = process.gateway.salvaged();
            let after = process.gateway.versions();
            assert!(
                after.presence >= before.presence && after.health >= before.health,
                "a version went back"
            );
            self.law.counts.salvaged += 1;
        }
    }

    /// What was acknowledged is on the disk, after every start and at the end.
    pub(super) fn check_promises(&self) {
        for id in &self.law.acknowledged {
            let there = self.disk.get(Table::Idempotency, &id.row_key()).is_some();
            assert!(there, "{id:?} was acknowledged, and is gone");
        }
    }

    /// The one transport of an account is the newest one.
    pub(super) fn check_transport(&self) {
        if let Some(process) = &self.process {
            process.channel.check();
        }
    }
}

/// A shared handle of the account, for closures.
pub(super) type SharedAccount = Arc<crate::channel::account::Account>;
