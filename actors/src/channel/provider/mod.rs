//! One account of one channel: its transport, the hand-over of what came in, the delivery of what is
//! to go out.
//!
//! Replaceable. Its loops are futures of the actor, so that ending or failing it drops the transport
//! before another one begins; what they work on is in [`Account`] and in the store.

mod act;
mod drafts;
mod files;
mod hand_over;
pub mod link;
mod receive;
mod send;
mod typing;

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext as _, Context, Recipient, WrapFuture as _};

use super::account::Account;
use super::pairing::Desk;
use super::settings::AccountSettings;
use super::{Transport, World};
use crate::agent::offer::Offer;
use crate::clock::{SharedClock, SharedEntropy};
use crate::dedupe::Claim;
use crate::gateway::GatewayPort;
use crate::media::Blobs;
use crate::sessions::Sessions;
use crate::store::StoreHandle;
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;

pub(crate) use act::{Leave, Perform};

/// What every provider works with.
#[derive(Clone)]
pub struct Shared {
    /// Who may write.
    pub desk: Desk,
    /// The store.
    pub store: StoreHandle,
    /// Published snapshots.
    pub views: Views,
    /// Conversations, for what is sent in their name.
    pub sessions: Addr<Sessions>,
    /// The way to everyone who listens.
    pub gateway: GatewayPort,
    /// Where runs begin.
    pub runner: Recipient<Offer>,
    /// Where keys are claimed.
    pub dedupe: Recipient<Claim>,
    /// Where the bytes of files are kept.
    pub media: Blobs,
    /// What transports are opened with.
    pub world: World,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

/// What one provider works with.
#[derive(Clone)]
pub struct ProviderDeps {
    /// What it shares with the others.
    pub shared: Shared,
    /// The account.
    pub account: Arc<Account>,
    /// The account as it was configured when the provider began; its transport follows that.
    pub settings: Arc<AccountSettings>,
}

impl ProviderDeps {
    /// The account as it is configured now: who may write and how answers are cut change at once.
    fn current(&self) -> Arc<AccountSettings> {
        let settings = self.shared.views.settings.load();
        let present = settings.channels.accounts.get(&self.account.who);
        present.map_or_else(|| Arc::clone(&self.settings), Arc::clone)
    }
}

/// The actor.
pub struct Provider {
    deps: ProviderDeps,
    transport: Option<Rc<dyn Transport>>,
}

/// Its address.
pub type ProviderAddr = Addr<Provider>;

impl Rebuild for Provider {
    type Deps = ProviderDeps;
    const NAME: &'static str = "channel";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 16;

    fn build(deps: Self::Deps) -> Self {
        Self {
            deps,
            transport: None,
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }

    fn instance(deps: &Self::Deps) -> Option<String> {
        Some(deps.account.who.to_string())
    }
}

supervised!(Provider);

impl Actor for Provider {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let deps = Rc::new(self.deps.clone());
        deps.account.inbox.with(super::inbox::Backlog::offer_again);
        let transport = match &deps.settings.setup {
            Ok(setup) => setup
                .open(&deps.shared.world)
                .map_err(|error| error.to_string()),
            Err(lacking) => Err(lacking.clone()),
        };
        let transport: Rc<dyn Transport> = match transport {
            Ok(transport) => transport,
            Err(lacking) => {
                deps.account.note(|status| status.error = Some(lacking));
                return;
            }
        };
        self.transport = Some(Rc::clone(&transport));
        let receiving = receive::receive(Rc::clone(&deps), Rc::clone(&transport));
        ctx.spawn(receiving.into_actor(self));
        let handing = hand_over::hand_over(Rc::clone(&deps), Rc::clone(&transport));
        ctx.spawn(handing.into_actor(self));
        let has_drafts = matches!(&deps.settings.setup, Ok(setup) if setup.drafts());
        if has_drafts {
            let drafts = drafts::drafts(Rc::clone(&deps), Rc::clone(&transport));
            ctx.spawn(drafts.into_actor(self));
        }
        let typing = typing::typing(Rc::clone(&deps), Rc::clone(&transport));
        ctx.spawn(typing.into_actor(self));
        ctx.spawn(send::send(deps, transport).into_actor(self));
    }
}
