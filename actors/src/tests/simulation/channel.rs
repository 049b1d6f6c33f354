//! One account of a channel: its transports, what comes in, what goes out, and the platform.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::process::SharedAccount;
use super::runs::{Asker, Guard};
use super::sim::Sim;
use crate::channel::account::Account;
use crate::channel::inbox::Backlog;
use crate::channel::outbox::{Queue, Settled, Waiter};
use crate::channel::state::{self, Machine, Phase};
use crate::channel::{AccountRef, ChannelError};
use crate::clock::{Millis, SharedClock};
use crate::dedupe::state::{KeyId, Stored};
use crate::store::{Op, Table};

/// What somebody wrote there.
pub(super) struct Written {
    pub(super) id: String,
    pub(super) chat: String,
    /// The platform was told that it may forget it.
    pub(super) forgotten: bool,
}

/// The platform.
#[derive(Default)]
pub(super) struct Platform {
    pub(super) written: Vec<Written>,
}

/// The account in this life of the gateway.
pub(super) struct ChannelSide {
    pub(super) account: SharedAccount,
    /// Which rebuild of the provider this is, and whether its loops run.
    pub(super) provider: u64,
    pub(super) up: bool,
    /// The transport that lives.
    pub(super) live: Option<u64>,
    /// The newest that heard its platform.
    heard: u64,
    /// What the receiving loop waits for is not this any more.
    pub(super) turn: u64,
    pub(super) handing: bool,
    /// When the loops wake by themselves.
    pub(super) inbox_at: Option<Duration>,
    pub(super) outbox_at: Option<Duration>,
    pub(super) asks: BTreeMap<u64, (Guard, Asker)>,
}

/// Whoever asked for a piece; mirrors `channel::sends::Asker`.
pub(super) struct SendWaiter {
    pub(super) id: KeyId,
    pub(super) digest: String,
}

impl Waiter for SendWaiter {
    fn settled(&mut self, settled: &Settled, _: bool, now: Millis) -> Vec<Op> {
        let stored = result_of(settled);
        vec![self.id.op(&self.digest, None, Some(stored), now).unwrap()]
    }

    fn committed(&mut self, _: bool) {}
}

pub(super) fn result_of(settled: &Settled) -> Stored {
    match settled {
        Settled::Sent(id) => Stored {
            ok: true,
            payload: Some(json!({ "messageId": id })),
            error: None,
        },
        Settled::Failed { why, .. } => Stored {
            ok: false,
            payload: None,
            error: Some(openclaw_protocol::ErrorShape::unavailable(why.clone())),
        },
    }
}

pub(super) fn who() -> AccountRef {
    AccountRef::new("telegram", "default")
}

pub(super) fn transient() -> ChannelError {
    ChannelError::Transient("gone".into())
}

impl ChannelSide {
    /// Mirrors `ChannelsDeps::open`.
    pub(super) fn open(sim: &Sim) -> (Self, Vec<Op>) {
        let (who, mut ops) = (who(), Vec::new());
        let mut outbox = Queue::default();
        for (key, row) in sim.disk.all(Table::Sends) {
            ops.extend(outbox.take_up(&who, key, row).unwrap());
        }
        let clock: SharedClock = Arc::<super::dice::SimClock>::clone(&sim.clock);
        let side = Self {
            account: Account::new(who, backlog(sim), outbox, clock),
            provider: 0,
            up: false,
            live: None,
            heard: 0,
            turn: 0,
            handing: false,
            inbox_at: None,
            outbox_at: None,
            asks: BTreeMap::new(),
        };
        (side, ops)
    }

    /// Who counts as connected is the one transport that lives, and the newest.
    pub(super) fn check(&self) {
        let (phase, newest) = self
            .account
            .machine
            .with(|machine| (machine.phase(), machine.generation()));
        if self.up && phase == Phase::Connected {
            let heard = self.live.filter(|live| *live == self.heard);
            assert_eq!(heard, Some(newest), "a transport that is gone is believed");
        }
    }
}

fn backlog(sim: &Sim) -> Backlog {
    let mut backlog = Backlog::default();
    for (key, row) in sim.disk.all(Table::ChannelInbox) {
        backlog.take_up(key, row);
    }
    backlog
}

impl Sim {
    pub(super) fn side(&mut self) -> &mut ChannelSide {
        &mut self.gateway().channel
    }

    pub(super) fn account(&mut self) -> SharedAccount {
        Arc::clone(&self.side().account)
    }

    // --- the receiving loop; mirrors `provider::receive` ---

    pub(super) fn begin_provider(&mut self) {
        self.side().up = true;
        let account = self.account();
        account.inbox.with(Backlog::offer_again);
        if self.life == 1 || !self.dice.one_in(8) || self.calm {
            account.want(true);
        }
        self.begin_transport();
        self.hand_over_now_and_then();
    }

    fn begin_transport(&mut self) {
        let account = self.account();
        let side = self.side();
        if !side.up {
            return;
        }
        assert_eq!(
            side.live, None,
            "a transport begins before the last one ended"
        );
        side.turn += 1;
        if !account.wish.borrow().run {
            account.machine.with(Machine::stopped);
            return account.note(|_| ());
        }
        let generation = account.machine.with(Machine::begin);
        side.live = Some(generation);
        account.note(|_| ());
        self.law.counts.transports += 1;
        let before = account.inbox.with(|inbox| inbox.ids());
        self.soon((0, 40), move |sim| {
            let disk = backlog(sim);
            sim.soon((0, 40), move |sim| {
                if sim.side().live != Some(generation) {
                    return;
                }
                let account = sim.account();
                account.inbox.with(|inbox| inbox.complete(disk, &before));
                sim.kick_inbox();
                sim.soon((10, 900), move |sim| sim.transport_connects(generation));
            });
        });
    }

    fn transport_connects(&mut self, generation: u64) {
        if self.side().live != Some(generation) {
            return;
        }
        if !self.calm && self.dice.one_in(5) {
            let error = if self.dice.one_in(12) {
                ChannelError::Auth("revoked".into())
            } else {
                transient()
            };
            return self.transport_ends(generation, &error);
        }
        self.side().heard = generation;
        self.transport_says_connected(generation);
        self.poll(generation);
    }

    fn transport_says_connected(&mut self, generation: u64) {
        let (account, now) = (self.account(), self.monotonic());
        let is_new = account
            .machine
            .with(|machine| machine.connected(generation, now));
        if is_new {
            account.note(|_| ());
            self.kick_outbox();
        }
    }

    pub(super) fn transport_ends(&mut self, generation: u64, error: &ChannelError) {
        let side = self.side();
        assert_eq!(side.live.take(), Some(generation), "it lives");
        if self.dice.one_in(2) {
            // Something of it is still on its way, and says so later.
            self.soon((1, 4_000), move |sim| {
                sim.transport_says_connected(generation);
            });
        }
        let (account, now) = (self.account(), self.monotonic());
        let chance = f64::from(u32::try_from(self.dice.below(1_000)).unwrap_or(0)) / 1_000.0;
        let next = account
            .machine
            .with(|machine| machine.ended(error, now, chance));
        account.note(|_| ());
        let turn = self.side().turn;
        if let state::Next::Retry(wait) = next {
            self.after(wait, move |sim| {
                if sim.side().turn == turn {
                    sim.begin_transport();
                }
            });
        }
    }

    /// A person stops the account, and starts it again.
    pub(super) fn account_is_stopped(&mut self) {
        if self.process.is_none() {
            return;
        }
        self.note(|| "the account is stopped".into());
        let account = self.account();
        account.want(false);
        self.side().live = None;
        self.begin_transport();
        self.outside((100, 30_000), Self::account_is_started);
    }

    pub(super) fn account_is_started(&mut self) {
        if self.process.is_none() {
            return;
        }
        let account = self.account();
        account.want(true);
        if self.side().live.is_none() {
            self.begin_transport();
        }
    }

    /// The provider panics and is rebuilt: its loops are gone, its transport before them.
    pub(super) fn provider_fails(&mut self) {
        if self.process.is_none() || !self.side().up {
            return;
        }
        self.note(|| "the provider fails".into());
        let side = self.side();
        side.provider += 1;
        side.turn += 1;
        side.up = false;
        side.live = None;
        side.handing = false;
        self.soon((10, 3_000), |sim| {
            sim.side().up = true;
            let account = sim.account();
            account.inbox.with(Backlog::offer_again);
            sim.begin_transport();
            sim.kick_inbox();
            sim.kick_outbox();
        });
    }
}
