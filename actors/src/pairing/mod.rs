//! Pairing registry: the only writer of device trust.
//!
//! Irreplaceable: rebuilt from what is committed; the third failure in a minute drains the daemon.
//! Its state outlives a panic in a slot of its own, so that one fails its own message only.
//! **Invariant:** every transition is decided by [`state`], and is on the disk before its answer
//! leaves; when it was last seen, and for how long a request is good, follow within half a minute.

mod authority;
mod decisions;
pub mod effects;
mod endings;
mod metadata;
mod node_decisions;
pub mod node_record;
pub mod records;
pub mod refusal;
pub mod state;
#[cfg(test)]
mod tests;
mod tokens;
mod vault;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, Response};
use actix::{WrapFuture as _, fut};
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::device::ProvenDevice;
use openclaw_protocol::methods::system::GatewayIdentity;
use openclaw_protocol::{ErrorShape, Generation, Method, Role, Scopes};
use serde::de::DeserializeOwned;

use crate::audit::AuditPort;
use crate::call::{ConnKey, Reply};
use crate::clock::{SharedClock, SharedEntropy};
use crate::gate::GateSettings;
use crate::gateway::{GatewayPort, Kick};
use crate::kept::Kept;
use crate::methods::store_error;
use crate::node::policy::{CommandPolicy, Surface};
use crate::session::handshake::GateOne;
use crate::store::{StoreError, StoreHandle, StoreReader, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier, fail};
use crate::views::Views;

pub(crate) use authority::Authority;
use effects::{Effects, Step};
use records::SecretMark;
use state::PairingState;
use vault::Vault;
use writes::{Trustworthy, Writes};

/// How often the rows that may be late are written.
const FLUSH: Duration = Duration::from_secs(30);
/// Close code of a connection whose trust an owner ended.
const CLOSED_BY_OWNER: u16 = 4001;
/// Between the two looks for connections that have to be closed.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// A device token as it is handed out; only its hash is kept.
#[derive(Clone)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// When it was issued, milliseconds since the epoch.
    pub issued_at_ms: u64,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuedToken({})", self.issued_at_ms)
    }
}

/// Asks whether a proven device may connect.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Admission, ErrorShape>")]
pub struct Admit {
    /// The device.
    pub device: ProvenDevice,
    /// The role.
    pub role: Role,
    /// The scopes asked for.
    pub scopes: Scopes,
    /// Gate one.
    pub gate: GateOne,
    /// Whether a new device may be approved without asking.
    pub silent: bool,
    /// The client program.
    pub client: ClientInfo,
    /// The negotiated generation.
    pub generation: Generation,
    /// The peer's address, `None` for this machine.
    pub remote_ip: Option<String>,
    /// What a node claims to offer; nothing of it is in effect before its approval.
    pub claims: Surface,
}

/// A device that may connect.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The granted scopes.
    pub scopes: Scopes,
    /// The wire name of what satisfied gate one.
    pub method: String,
    /// Its token: echoed, or a further one.
    pub token: Option<IssuedToken>,
}

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
        }
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
        let devices = rows(reader, Table::Devices)?;
        let pending = rows(reader, Table::PairingPending)?;
        let now = self.deps.clock.now();
        let loaded = PairingState::load(devices, pending, now);
        self.deps.state.with(|state| *state = loaded);
        self.deps.writes.loaded();
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
    pub(crate) fn decide<R>(
        &self,
        f: impl FnOnce(&mut PairingState, crate::clock::Millis) -> R,
    ) -> R {
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
        let gateway = self.deps.gateway.clone();
        let audit = self.deps.views.audit.clone();
        let book = self.book();
        let Some(ticket) = ticket else {
            tell(&gateway, &audit, &book, &effects);
            return Response::reply(answer);
        };
        Response::fut(async move {
            match ticket.done().await {
                Ok(()) => {
                    tell(&gateway, &audit, &book, &effects);
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
        then: impl FnOnce(&GatewayPort) + 'static,
    ) {
        let Step {
            answer,
            mut effects,
        } = step;
        let ops = std::mem::take(&mut effects.ops);
        let gateway = self.deps.gateway.clone();
        let audit = self.deps.views.audit.clone();
        let book = self.book();
        if ops.is_empty() {
            return reply.settle(answer);
        }
        let commit = self.deps.store.commit(ops);
        let ticket = self.deps.writes.begin(&effects.device, commit);
        actix_rt::spawn(async move {
            match ticket.done().await {
                Ok(()) => {
                    tell(&gateway, &audit, &book, &effects);
                    reply.settle(answer);
                    then(&gateway);
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

    /// Everyone who is present, to tell which devices are connected.
    pub(crate) const fn views(&self) -> &Views {
        &self.deps.views
    }

    fn flush(&self) {
        if self.deps.writes.trustworthy() != Trustworthy::Yes {
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

/// Closes the connections of a device, or of one of its roles. A connect that was let in before
/// may reach the Gateway after this, so those that are older are closed once more a moment later.
pub(crate) fn close_connections(
    gateway: &GatewayPort,
    device: String,
    role: Option<Role>,
    reason: &'static str,
) {
    let newest = ConnKey::next();
    let kick = move || {
        let device = device.clone();
        Kick {
            matches: Box::new(move |caller| {
                caller.conn < newest
                    && caller.device_id.as_ref() == Some(&device)
                    && role.is_none_or(|role| caller.role == role)
            }),
            code: CLOSED_BY_OWNER,
            reason: reason.to_owned(),
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "as rare as owners' decisions, and never to be lost"
    )]
    let look = move |gateway: &GatewayPort| gateway.addr().do_send(kick());
    look(gateway);
    let gateway = gateway.clone();
    actix_rt::spawn(async move {
        tokio::time::sleep(SECOND_LOOK).await;
        look(&gateway);
    });
}

/// Publishes what is known of nodes.
///
/// It is taken from the memory, which may be ahead of the disk by the commits that are on their way:
/// if one of them fails, the memory is loaded again, and that is published.
#[derive(Clone)]
struct NodeBook {
    state: Kept<PairingState>,
    views: Views,
}

impl NodeBook {
    fn publish(&self) {
        let nodes = self.state.with(|state| state.node_trust());
        self.views.node_trust.publish(nodes);
    }
}

fn tell(gateway: &GatewayPort, audit: &AuditPort, book: &NodeBook, effects: &Effects) {
    if effects.nodes {
        book.publish();
    }
    for event in &effects.events {
        gateway.emit(event.to_out());
    }
    for row in &effects.notes {
        audit.record(row);
    }
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

    fn handle(&mut self, ask: Admit, _: &mut Self::Context) -> Self::Result {
        if let Err(error) = self.ready() {
            return Response::reply(Err(error));
        }
        let mark = self.mark();
        let entropy = Arc::clone(&self.deps.entropy);
        let policy = self.command_policy();
        let step = self.decide(|state, now| {
            let mut step = state.admit(&ask, mark.as_ref(), now, &*entropy);
            if step.answer.is_ok() {
                state.declare(&ask, &policy, now, &*entropy, &mut step.effects);
            }
            step
        });
        self.carry_out(step)
    }
}
