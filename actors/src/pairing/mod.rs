//! Pairing registry: the only writer of device trust.
//!
//! Irreplaceable: rebuilt from what is committed; the third failure in a minute drains the daemon.
//! Its state outlives a panic in a slot of its own, so that one fails its own message only.
//! **Invariant:** every transition is decided by [`state`], and is on the disk before its answer
//! leaves; when it was last seen, and for how long a request is good, follow within half a minute.

mod ask;
mod authority;
mod closing;
mod decisions;
pub mod effects;
mod endings;
pub mod import;
mod metadata;
mod node_decisions;
pub mod node_record;
mod prune;
pub(crate) mod qr;
pub mod reach;
pub mod records;
pub mod refusal;
mod requests;
mod rotation;
pub mod setup;
pub mod state;
#[cfg(test)]
mod tests;
mod tokens;
mod upgrades;
mod vault;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Response};
use actix::{WrapFuture as _, fut};
use openclaw_protocol::methods::device_setup::DevicePairSetupCodeParams;
use openclaw_protocol::methods::system::GatewayIdentity;
use openclaw_protocol::{ErrorShape, Method};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::call::Reply;
use crate::clock::{Millis, SharedClock, SharedEntropy};
use crate::gate::GateSettings;
use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::methods::store_error;
use crate::node::policy::CommandPolicy;
use crate::store::{StoreError, StoreHandle, StoreReader, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier, fail};
use crate::views::Views;

pub use ask::{Admission, Admit, IssuedToken, RoleToken, SetupReceipt};
pub(crate) use authority::Authority;
pub(crate) use closing::close_connections;
pub(crate) use requests::Upgrader;

use closing::{NodeBook, Voice};
use effects::{Effects, Step};
use reach::{Addresses, HostNetwork, SharedNetwork};
use records::SecretMark;
pub use rotation::{AuthChanged, CommandsChanged};
use state::PairingState;
use upgrades::Upgrades;
use vault::Vault;
use writes::{Trustworthy, Writes};

/// How often the rows that may be late are written.
const FLUSH: Duration = Duration::from_secs(30);

/// What the registry works with; see [`PairingDeps::new`].
#[derive(Clone)]
pub struct PairingDeps {
    state: Kept<PairingState>,
    vault: Kept<Option<Vault>>,
    writes: Writes,
    store: StoreHandle,
    gateway: GatewayPort,
    views: Views,
    clock: SharedClock,
    entropy: SharedEntropy,
    upgrades: Upgrades,
    network: SharedNetwork,
}

impl PairingDeps {
    /// What a registry needs; its state is loaded from the store when it starts.
    pub fn new(
        store: StoreHandle,
        gateway: GatewayPort,
        views: Views,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Self {
        let writes = Writes::default();
        writes.distrust();
        Self {
            state: Kept::default(),
            vault: Kept::default(),
            writes,
            store,
            gateway,
            views,
            clock,
            entropy,
            upgrades: Upgrades::default(),
            network: Arc::new(HostNetwork),
        }
    }

    /// The same with another view of the host's network, for tests.
    #[must_use]
    pub fn with_network(mut self, network: SharedNetwork) -> Self {
        self.network = network;
        self
    }
}

/// The owner of device trust.
pub struct PairingRegistry {
    deps: PairingDeps,
    /// The gate that the mark was made from.
    mark: Option<(Arc<GateSettings>, Option<SecretMark>)>,
}

impl Rebuild for PairingRegistry {
    type Deps = PairingDeps;
    const NAME: &'static str = "pairing";
    const TIER: Tier = Tier::Irreplaceable;
    /// Handshakes of a reconnect storm; sessions beyond it wait for a place.
    const MAILBOX: usize = 4_096;

    fn build(deps: Self::Deps) -> Self {
        if deps.state.recover(|_| PairingState::default()) {
            tracing::error!("device trust was half-changed by a failure; it is loaded again");
            deps.writes.distrust();
        }
        deps.vault.recover(|_| None);
        Self { deps, mark: None }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(PairingRegistry);

impl Actor for PairingRegistry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(FLUSH, |registry, _| registry.flush());
        if let Err(error) = self.load_vault(ctx).and_then(|()| self.load_if_needed()) {
            fail(ctx, &format!("cannot load device trust: {error}"));
        }
    }
}

impl PairingRegistry {
    fn load_vault(&self, ctx: &mut Context<Self>) -> Result<(), StoreError> {
        if self.deps.vault.with(|vault| vault.is_some()) {
            return Ok(());
        }
        if let Some(stored) = Vault::load(self.deps.store.reader())? {
            self.deps.vault.with(|vault| *vault = Some(stored));
            return Ok(());
        }
        // The very first start: nothing is served before the gateway's secrets are on the disk.
        let new = Vault::create(&*self.deps.entropy);
        let commit = self.deps.store.commit(vec![new.to_op()]);
        ctx.wait(commit.into_actor(self).then(|outcome, registry, ctx| {
            match outcome {
                Ok(()) => registry.deps.vault.with(|vault| *vault = Some(new)),
                Err(error) => fail(
                    ctx,
                    &format!("cannot store the gateway's identity: {error}"),
                ),
            }
            fut::ready(())
        }));
        Ok(())
    }

    fn load_if_needed(&self) -> Result<(), StoreError> {
        if self.deps.writes.trustworthy() != Trustworthy::LoadFirst {
            return Ok(());
        }
        let reader = self.deps.store.reader();
        let loaded = read(reader, self.deps.clock.now())?;
        let trusted = loaded.trusted();
        self.deps.state.with(|state| *state = loaded);
        if self.deps.writes.loaded() {
            closing::close_untrusted(&self.deps.gateway, &self.deps.views, trusted);
        }
        self.book().publish();
        Ok(())
    }

    /// Whether anything can be decided now.
    pub(crate) fn ready(&self) -> Result<(), ErrorShape> {
        match self.deps.writes.trustworthy() {
            Trustworthy::Yes => Ok(()),
            Trustworthy::LoadFirst => self.load_if_needed().map_err(|error| store_error(&error)),
            Trustworthy::Wait => Err(ErrorShape::unavailable(
                "device trust is being loaded again after a disk failure; try again",
            )
            .retry_after(1_000)),
        }
    }

    /// Decides with the state and the time.
    pub(crate) fn decide<R>(&self, f: impl FnOnce(&mut PairingState, Millis) -> R) -> R {
        let now = self.deps.clock.now();
        self.deps.state.with(|state| f(state, now))
    }

    /// The mark of the shared secret that is in force.
    pub(crate) fn mark(&mut self) -> Option<SecretMark> {
        let gate = self.deps.views.gate.load();
        if let Some((of, mark)) = &self.mark
            && Arc::ptr_eq(of, &gate)
        {
            return mark.clone();
        }
        let mark = self.deps.vault.with(|vault| {
            vault
                .as_ref()
                .and_then(|vault| SecretMark::of(&gate, vault.mark_salt()))
        });
        self.mark = Some((gate, mark.clone()));
        mark
    }

    /// Commits what a decision asks for, tells everyone, then gives the answer.
    fn carry_out<T: 'static>(
        &self,
        step: Step<Result<T, ErrorShape>>,
    ) -> Response<Result<T, ErrorShape>> {
        let Step {
            answer,
            mut effects,
        } = step;
        let ops = std::mem::take(&mut effects.ops);
        let ticket = if ops.is_empty() {
            self.deps.writes.last(&effects.device)
        } else {
            let commit = self.deps.store.commit(ops);
            Some(self.deps.writes.begin(&effects.device, commit))
        };
        let voice = self.voice();
        let Some(ticket) = ticket else {
            voice.tell(&effects);
            return Response::reply(answer);
        };
        Response::fut(async move {
            match ticket.done().await {
                Ok(()) => {
                    voice.tell(&effects);
                    answer
                }
                Err(error) => Err(store_error(&error)),
            }
        })
    }

    /// As [`Self::carry_out`], for a request of a client; `then` runs after the answer left.
    pub(crate) fn settle<M: Method>(
        &self,
        reply: Reply<M>,
        step: Step<Result<M::Result, ErrorShape>>,
        then: impl FnOnce(&Voice) + 'static,
    ) {
        let Step {
            answer,
            mut effects,
        } = step;
        let ops = std::mem::take(&mut effects.ops);
        let voice = self.voice();
        // What an answer promises may be on its way to the disk since an earlier decision.
        let ticket = match (ops.is_empty(), &answer) {
            (true, Err(_)) => None,
            (true, Ok(_)) => self.deps.writes.last(&effects.device),
            (false, _) => {
                let commit = self.deps.store.commit(ops);
                Some(self.deps.writes.begin(&effects.device, commit))
            }
        };
        let Some(ticket) = ticket else {
            voice.tell(&effects);
            return reply.settle(answer);
        };
        actix_rt::spawn(async move {
            match ticket.done().await {
                Ok(()) => {
                    voice.tell(&effects);
                    reply.settle(answer);
                    then(&voice);
                }
                Err(error) => reply.error(store_error(&error)),
            }
        });
    }

    fn book(&self) -> NodeBook {
        NodeBook {
            state: self.deps.state.clone(),
            views: self.deps.views.clone(),
        }
    }

    /// What the configuration says about commands of nodes.
    pub(crate) fn command_policy(&self) -> CommandPolicy {
        self.deps.views.settings.load().nodes.clone()
    }

    /// Commits what follows from something that happened, then tells everyone.
    pub(crate) fn follow(&self, effects: Effects) {
        self.follow_with(effects, |_| {});
    }

    /// The same; `then` runs once everyone was told.
    fn follow_with(&self, mut effects: Effects, then: impl FnOnce(&Voice) + 'static) {
        let ops = std::mem::take(&mut effects.ops);
        let ticket = if ops.is_empty() {
            self.deps.writes.last(&effects.device)
        } else {
            let commit = self.deps.store.commit(ops);
            Some(self.deps.writes.begin(&effects.device, commit))
        };
        let voice = self.voice();
        let Some(ticket) = ticket else {
            voice.tell(&effects);
            return then(&voice);
        };
        actix_rt::spawn(async move {
            match ticket.done().await {
                Ok(()) => {
                    voice.tell(&effects);
                    then(&voice);
                }
                Err(error) => tracing::warn!(%error, "a change of device trust was not written"),
            }
        });
    }

    fn voice(&self) -> Voice {
        Voice {
            gateway: self.deps.gateway.clone(),
            audit: self.deps.views.audit.clone(),
            upgrades: self.deps.upgrades.clone(),
            book: self.book(),
        }
    }

    /// Where randomness comes from.
    pub(crate) fn entropy(&self) -> SharedEntropy {
        Arc::clone(&self.deps.entropy)
    }

    /// The public half of the gateway's own identity.
    pub(crate) fn identity(&self) -> Option<GatewayIdentity> {
        self.deps
            .vault
            .with(|vault| vault.as_ref().map(Vault::identity))
    }

    /// The addresses of a setup code.
    pub(crate) fn addresses(
        &self,
        params: &DevicePairSetupCodeParams,
    ) -> Result<Addresses, ErrorShape> {
        let settings = self.deps.views.settings.load();
        let port = self.deps.views.places.port();
        reach::choose(&settings.reach, port, &*self.deps.network, params)
    }

    /// Everyone who is present, to tell which devices are connected.
    pub(crate) const fn views(&self) -> &Views {
        &self.deps.views
    }

    fn flush(&self) {
        // After a disk failure nobody may ask for a while, and what ended has to end all the same.
        if self.ready().is_err() {
            return;
        }
        let (ops, ended) = self.decide(|state, now| (state.flush(now), state.take_ended()));
        for row in &ended {
            self.deps.views.audit.record(row);
        }
        if ops.is_empty() {
            return;
        }
        self.book().publish();
        let commit = self.deps.store.commit(ops);
        actix_rt::spawn(async move {
            // Nothing that trust depends on: the next use of a device brings it again.
            if let Err(error) = commit.await {
                tracing::debug!(%error, "when devices were last seen was not written");
            }
        });
    }
}

/// Whether the stored trust can be understood; asked once, before anything is served.
///
/// # Errors
///
/// [`StoreError::Corrupt`] when a row of it cannot be decoded: to leave it out would take a device its
/// trust, or keep what was revoked, and only a person can say which. Otherwise when the store cannot
/// be read.
pub fn check(reader: &StoreReader) -> Result<(), StoreError> {
    let state = read(reader, Millis::default()).map(drop);
    let trust = state.and_then(|()| Vault::load(reader).map(drop));
    trust.map_err(|error| match error {
        StoreError::Row { .. } => reader.damaged(format!(
            "{error}; it holds device trust, which is never dropped by itself"
        )),
        other => other,
    })
}

fn read(reader: &StoreReader, now: Millis) -> Result<PairingState, StoreError> {
    let devices = rows(reader, Table::Devices)?;
    let pending = rows(reader, Table::PairingPending)?;
    let setups = rows(reader, Table::PairingSetups)?;
    Ok(PairingState::load(devices, pending, setups, now))
}

fn rows<T: DeserializeOwned>(
    reader: &StoreReader,
    table: Table,
) -> Result<BTreeMap<String, T>, StoreError> {
    let everything = &[][..]..&[][..];
    let rows = reader.range_json(table, everything, usize::MAX, false)?;
    Ok(rows
        .into_iter()
        .map(|(key, row)| (String::from_utf8_lossy(&key).into_owned(), row))
        .collect())
}

impl Handler<Admit> for PairingRegistry {
    type Result = Response<Result<Admission, ErrorShape>>;

    fn handle(&mut self, ask: Admit, ctx: &mut Self::Context) -> Self::Result {
        if let Err(error) = self.ready() {
            return Response::reply(Err(error));
        }
        let mark = self.mark();
        let entropy = Arc::clone(&self.deps.entropy);
        let policy = self.command_policy();
        let mut step = self.decide(|state, now| {
            let mut step = state.admit(&ask, mark.as_ref(), now, &*entropy);
            if step.answer.is_ok() {
                state.declare(&ask, &policy, now, &*entropy, &mut step.effects);
            }
            step
        });
        if let Ok(admission) = &mut step.answer
            && let Some(receipt) = &mut admission.setup
        {
            let (told, delivered) = oneshot::channel();
            receipt.told = Some(told);
            let id = receipt.id.clone();
            let done = delivered.into_actor(self).map(move |told, registry, _| {
                if told.is_ok() {
                    registry.follow(registry.decide(|state, now| state.complete_setup(&id, now)));
                } else {
                    registry.follow(registry.decide(|state, _| state.setup_uncertain(&id)));
                }
            });
            ctx.spawn(done);
        }
        self.prune_after(&step.effects, &ask, ctx);
        self.carry_out(step)
    }
}
