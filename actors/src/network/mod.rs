//! This host's networks: which addresses are its own, and who a tailnet peer is. Owns the
//! [`Surroundings`], which it publishes, and asks tailscaled for others, so that no thread that
//! serves waits for it.
//!
//! Replaceable; a restart loses a short-lived cache. Without tailscale on the host it costs one
//! look at the interfaces and the file system a minute.

mod ask;
mod command;
pub(crate) mod interfaces;
mod local_api;
mod state;
mod tailnet;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, ResponseFuture,
    WrapFuture as _,
};
use tokio::sync::{Semaphore, oneshot};

pub use ask::{AskError, Asked, FirstOf, Identity, Status, Subject, Tailscale};
pub use command::TailscaleCommand;
pub use interfaces::{Interfaces, SystemInterfaces};
pub use local_api::{LocalApi, SOCKET};
pub use state::{Surroundings, Tailnet};
pub use tailnet::{NoTailnet, is_tailnet};

use crate::clock::SharedClock;
use crate::kept::Kept;
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use state::Answers;

/// How often the networks are looked at.
const REFRESH: Duration = Duration::from_mins(1);
/// Shortest time between two looks that somebody asks for.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest wait for tailscaled.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most questions that tailscaled is asked at once; more wait within [`PATIENCE`].
const AT_ONCE: usize = 8;
/// Most callers that wait for one look; more are told that it failed.
const MAX_WAITING: usize = 1_024;

/// Where the networks are looked up.
#[derive(Clone)]
pub struct Sources {
    /// This host's interfaces.
    pub interfaces: Arc<dyn Interfaces>,
    /// The ways to ask tailscaled.
    pub tailscale: FirstOf,
}

impl Sources {
    /// This host's tailnet addresses that a program can listen on, IPv4 first.
    ///
    /// # Errors
    ///
    /// [`NoTailnet`] when there is none.
    pub async fn listenable(&self) -> Result<Vec<IpAddr>, NoTailnet> {
        let status = within(self.tailscale.status()).await;
        let interfaces = self.interfaces.addresses().unwrap_or_default();
        tailnet::listenable(status, &interfaces)
    }
}

/// What the owner of the networks works with.
#[derive(Clone)]
pub struct NetworkDeps {
    /// Where they are looked up.
    pub sources: Sources,
    /// Where they are published.
    pub views: Views,
    /// Time.
    pub clock: SharedClock,
    /// Bounds questions.
    questions: Arc<Semaphore>,
    answers: Kept<Answers>,
}

impl NetworkDeps {
    /// With nothing known yet.
    pub fn new(sources: Sources, views: Views, clock: SharedClock) -> Self {
        Self {
            sources,
            views,
            clock,
            questions: Arc::new(Semaphore::new(AT_ONCE)),
            answers: Kept::default(),
        }
    }
}

/// The owner of what is known of this host's networks.
pub struct Network {
    deps: NetworkDeps,
    /// When the last look ended, monotonic.
    looked: Option<Duration>,
    looking: bool,
    waiting: Vec<oneshot::Sender<Arc<Surroundings>>>,
}

impl Rebuild for Network {
    type Deps = NetworkDeps;
    const NAME: &'static str = "network";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 256;

    fn build(deps: Self::Deps) -> Self {
        deps.answers.recover(|_| Answers::default());
        Self {
            deps,
            looked: None,
            looking: false,
            waiting: Vec::new(),
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Network);

impl Actor for Network {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(ctx);
        ctx.run_interval(REFRESH, Network::look);
    }
}

impl Network {
    /// Looks, unless a look is under way.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let interfaces = match self.deps.sources.interfaces.addresses() {
            Ok(addresses) => Some(addresses),
            Err(error) => {
                tracing::warn!(%error, "cannot list this host's network interfaces");
                None
            }
        };
        let status = self.deps.sources.tailscale.status();
        let status = async move { within(status).await };
        ctx.spawn(status.into_actor(self).map(|status, network, _| {
            network.publish(interfaces, status);
        }));
    }

    fn publish(&mut self, interfaces: Option<Vec<IpAddr>>, status: Result<Status, AskError>) {
        let before = self.deps.views.surroundings.load();
        if let Err(AskError::Failed(reason)) = &status {
            tracing::warn!(reason, "tailscaled does not say how this host is connected");
        }
        let now = before.after(interfaces, status);
        if now.tailnet != before.tailnet || now.own_tailnet != before.own_tailnet {
            // That there is none is no news on the hosts that have none.
            let (tailnet, own) = (&now.tailnet, &now.own_tailnet);
            let none = |place: Tailnet| matches!(place, Tailnet::Absent | Tailnet::NotLooked);
            if none(now.tailnet) && none(before.tailnet) {
                tracing::debug!(?tailnet, "this host is in no tailnet");
            } else {
                tracing::info!(?tailnet, ?own, "this host's tailnet");
            }
        }
        self.deps.views.surroundings.publish(now);
        self.looking = false;
        self.looked = Some(self.deps.clock.monotonic());
        let now = self.deps.views.surroundings.load();
        for waiting in self.waiting.drain(..) {
            // Who gave up waiting needs no answer.
            let _ = waiting.send(Arc::clone(&now));
        }
    }
}

/// Bounds an answer of tailscaled.
async fn within<T>(asked: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| {
            Err(AskError::Failed(format!(
                "no answer within {} ms",
                PATIENCE.as_millis()
            )))
        })
}

/// Asks for a look that is at most a few seconds old.
#[derive(Message)]
#[rtype(result = "Option<Arc<Surroundings>>")]
struct Look;

impl Handler<Look> for Network {
    type Result = ResponseFuture<Option<Arc<Surroundings>>>;

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) -> Self::Result {
        let now = self.deps.clock.monotonic();
        let fresh = self
            .looked
            .is_some_and(|looked| now.saturating_sub(looked) < AGAIN);
        if fresh || self.waiting.len() >= MAX_WAITING {
            let known = fresh.then(|| self.deps.views.surroundings.load());
            return Box::pin(async move { known });
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.push(answer);
        self.look(ctx);
        Box::pin(async move { answered.await.ok() })
    }
}

/// Asks who a tailnet peer is.
#[derive(Message)]
#[rtype(result = "Result<Option<Identity>, AskError>")]
struct Whois(Subject);

impl Handler<Whois> for Network {
    type Result = ResponseFuture<Result<Option<Identity>, AskError>>;

    fn handle(&mut self, Whois(subject): Whois, _: &mut Self::Context) -> Self::Result {
        // A connection's port is soon another's; an address stays with its peer for a while.
        let address = match subject {
            Subject::Address(address) => Some(address),
            Subject::Connection(_) => None,
        };
        let now = self.deps.clock.monotonic();
        let known =
            address.and_then(|address| self.deps.answers.with(|answers| answers.get(address, now)));
        if let Some(known) = known {
            return Box::pin(async move { Ok(known) });
        }
        let deps = self.deps.clone();
        Box::pin(async move {
            let answer = within(async {
                let _turn = deps.questions.acquire().await;
                deps.sources.tailscale.whois(subject).await
            })
            .await?;
            if let Some(address) = address {
                let now = deps.clock.monotonic();
                deps.answers
                    .with(|answers| answers.put(address, answer.clone(), now));
            }
            Ok(answer)
        })
    }
}

/// The way to the owner of the networks.
#[derive(Clone)]
pub struct NetworkPort {
    network: Addr<Network>,
    views: Views,
    tailscale: FirstOf,
}

impl NetworkPort {
    /// The way to `network`, which was started with `deps`.
    pub fn new(network: Addr<Network>, deps: &NetworkDeps) -> Self {
        Self {
            network,
            views: deps.views.clone(),
            tailscale: deps.sources.tailscale.clone(),
        }
    }

    /// What is known of the networks. Waits only where nobody has looked yet, or where a tailscaled
    /// seems to have come up since.
    pub async fn surroundings(&self) -> Arc<Surroundings> {
        let known = self.views.surroundings.load();
        let stale = match known.tailnet {
            Tailnet::NotLooked => true,
            Tailnet::Absent => self.tailscale.seems_up(),
            Tailnet::Interface | Tailnet::Userspace | Tailnet::Unclear => false,
        };
        if !stale {
            return known;
        }
        let looked = tokio::time::timeout(PATIENCE + PATIENCE, self.network.send(Look)).await;
        match looked {
            Ok(Ok(Some(now))) => now,
            // Somebody who may be a tailnet peer is asked about, and not taken for local.
            _ => Arc::new(Surroundings {
                tailnet: Tailnet::Unclear,
                ..Surroundings::clone(&known)
            }),
        }
    }

    /// Who a tailnet peer is; `None` when tailscaled knows no such peer.
    ///
    /// # Errors
    ///
    /// [`AskError`] when it cannot be known.
    pub async fn whois(&self, subject: Subject) -> Result<Option<Identity>, AskError> {
        let asked = self.network.send(Whois(subject));
        match tokio::time::timeout(PATIENCE + PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(AskError::Failed("it could not be asked".into())),
        }
    }
}
