//! Channels: which accounts there are, and which of them run.
//!
//! Replaceable; what runs is in its slot and outlives it. Nothing of an account is started while none
//! is configured. **Invariant:** an account has one provider, and the one before has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, ResponseFuture};
use actix::{ActorFutureExt as _, SpawnHandle, WrapFuture as _};
use openclaw_protocol::ErrorShape;

use super::AccountRef;
use super::account::{Account, Board};
use super::drafts::Drafts;
use super::inbox::{Backlog, cursor};
use super::outbox::Queue;
use super::provider::{Provider, ProviderAddr, ProviderDeps, Shared};
use super::settings::{AccountSettings, ChannelsSettings};
use super::state::{Machine, Phase, backoff};
use crate::kept::Kept;
use crate::placement::Place;
use crate::store::StoreError;
use crate::supervised;
use crate::supervision::{DeathWatch, Rebuild, RestartPolicy, Tier, supervise};

/// Before the configuration is followed again where something of it could not be read or stored.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end of a transport is waited for.
const ENDING: Duration = Duration::from_secs(10);

/// The thread of all providers, started by the first.
pub type LazyPlace =
    Arc<LazyLock<Result<Place, String>, Box<dyn FnOnce() -> Result<Place, String> + Send>>>;

/// What the supervisor works with.
#[derive(Clone)]
pub struct ChannelsDeps {
    /// What it hands to providers.
    pub shared: Shared,
    /// The accounts; survive a rebuild.
    pub accounts: Kept<Accounts>,
    /// One change at a time.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    /// Where actors are watched.
    pub watch: DeathWatch,
    /// Where providers run.
    pub place: LazyPlace,
}

/// Every configured account.
#[derive(Default)]
pub struct Accounts {
    known: BTreeMap<AccountRef, Known>,
    /// Those that the configuration has no more, while something of them is under way: the answer of a
    /// run that goes on is put down at them, and has to be found where they come back.
    away: BTreeMap<AccountRef, Arc<Account>>,
    desk_is_loaded: bool,
    draining: bool,
}

struct Known {
    account: Arc<Account>,
    settings: Arc<AccountSettings>,
    provider: Option<ProviderAddr>,
    /// A person stopped it.
    by_hand: bool,
}

impl Accounts {
    /// An account that is configured.
    pub fn get(&self, who: &AccountRef) -> Option<Arc<Account>> {
        self.known.get(who).map(|known| Arc::clone(&known.account))
    }

    /// Its provider, while it has one.
    pub(crate) fn provider(&self, who: &AccountRef) -> Option<ProviderAddr> {
        self.known.get(who).and_then(|known| known.provider.clone())
    }
}

/// The owner of accounts.
pub struct Channels {
    pub(crate) deps: ChannelsDeps,
    /// How often in a row the configuration could not be followed, and the next try.
    failures: u32,
    retry: Option<SpawnHandle>,
}

impl Rebuild for Channels {
    type Deps = ChannelsDeps;
    const NAME: &'static str = "channels";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 1_024;

    fn build(deps: Self::Deps) -> Self {
        Self {
            deps,
            failures: 0,
            retry: None,
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Channels);

impl Actor for Channels {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(SettingsChanged);
    }
}

/// Another configuration is in force.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SettingsChanged;

impl Handler<SettingsChanged> for Channels {
    type Result = ();

    fn handle(&mut self, _: SettingsChanged, ctx: &mut Self::Context) {
        if let Some(retry) = self.retry.take() {
            ctx.cancel_future(retry);
        }
        let deps = self.deps.clone();
        let following = async move { deps.follow().await }.into_actor(self);
        ctx.spawn(following.map(Self::followed));
    }
}

impl Channels {
    /// What could not be done is tried again, later each time.
    fn followed(done: bool, act: &mut Self, ctx: &mut Context<Self>) {
        if done {
            act.failures = 0;
            return;
        }
        act.failures = act.failures.saturating_add(1);
        let wait = backoff(RETRY, act.failures, act.deps.shared.entropy.fraction());
        let next = ctx.notify_later(SettingsChanged, wait);
        if let Some(other) = act.retry.replace(next) {
            ctx.cancel_future(other);
        }
    }
}

/// Ends every transport and lets nothing new in; what is to be sent is given up to `flush` before.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Close {
    /// How long the outboxes may take.
    pub flush: Duration,
}

impl Handler<Close> for Channels {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, msg: Close, _: &mut Self::Context) -> Self::Result {
        let deps = self.deps.clone();
        Box::pin(async move { deps.close(msg.flush).await })
    }
}

impl ChannelsDeps {
    fn settings(&self) -> Arc<ChannelsSettings> {
        Arc::clone(&self.shared.views.settings.load().channels)
    }

    /// Makes what runs what the configuration says. False when something of it is to be tried again.
    async fn follow(&self) -> bool {
        let _turn = self.turn.lock().await;
        let settings = self.settings();
        let before: Vec<AccountRef> = self
            .accounts
            .with(|accounts| accounts.known.keys().cloned().collect());
        if settings.accounts.is_empty() && before.is_empty() {
            return true;
        }
        self.accounts.with(|accounts| {
            accounts.away.retain(|_, account| !account.is_idle());
        });
        for who in before {
            self.end_if_changed(&who, &settings).await;
        }
        let mut done = true;
        for (who, own) in &settings.accounts {
            if let Err(error) = self.enter(who, own).await {
                done = false;
                tracing::error!(account = %who, %error, "a channel account cannot be started now; it is tried again");
            }
        }
        if let Some(why) = &settings.held {
            tracing::warn!("the configured channels are not started: {why}");
        }
        self.publish();
        done
    }

    fn load_desk(&self) -> Result<(), StoreError> {
        if self.accounts.with(|accounts| accounts.desk_is_loaded) {
            return Ok(());
        }
        self.shared.desk.load(self.shared.store.reader())?;
        self.accounts
            .with(|accounts| accounts.desk_is_loaded = true);
        Ok(())
    }

    /// Ends an account that is gone, disabled, or connects otherwise now.
    async fn end_if_changed(&self, who: &AccountRef, settings: &ChannelsSettings) {
        let wanted = settings.accounts.get(who);
        let stays = self.accounts.with(|accounts| {
            accounts.known.get_mut(who).is_some_and(|known| {
                let stays = wanted.is_some_and(|own| {
                    own.enabled && known.provider.is_some() && own.same_transport(&known.settings)
                });
                if let (true, Some(own)) = (stays, wanted) {
                    known.settings = Arc::clone(own);
                }
                stays
            })
        });
        if stays {
            return;
        }
        self.retire(who).await;
        self.accounts.with(|accounts| {
            if wanted.is_none()
                && let Some(known) = accounts.known.remove(who)
            {
                accounts.away.insert(who.clone(), known.account);
            }
        });
    }

    /// Ends an account's provider, its transport first.
    async fn retire(&self, who: &AccountRef) {
        let found = self.accounts.with(|accounts| {
            let known = accounts.known.get_mut(who)?;
            Some((Arc::clone(&known.account), known.provider.take()?))
        });
        let Some((account, provider)) = found else {
            return;
        };
        self.stop_transport(&account).await;
        self.watch.retire(&provider);
    }

    /// Wants no transport, and waits until there is none. False when that takes too long.
    pub(crate) async fn stop_transport(&self, account: &Account) -> bool {
        account.want(false);
        let mut phase = account.phase.subscribe();
        let stopped = phase.wait_for(|phase| *phase == Phase::Stopped);
        let ended = tokio::time::timeout(ENDING, stopped).await.is_ok();
        if !ended {
            tracing::error!(account = %account.who, "a channel's connection did not end in time");
        }
        ended
    }

    /// Makes an account known, and starts it where that is wanted. Not before it is known who may write
    /// to it: everybody would be a stranger, and a stranger's request takes the place of an approval.
    async fn enter(&self, who: &AccountRef, own: &Arc<AccountSettings>) -> Result<(), StoreError> {
        self.load_desk()?;
        let present = self.accounts.with(|accounts| {
            let known = accounts.known.get_mut(who)?;
            known.settings = Arc::clone(own);
            Some(known.by_hand)
        });
        let by_hand = if let Some(by_hand) = present {
            by_hand
        } else {
            let account = match self.accounts.with(|accounts| accounts.away.remove(who)) {
                Some(account) => account,
                None => self.open(who).await?,
            };
            let known = Known {
                account,
                settings: Arc::clone(own),
                provider: None,
                by_hand: false,
            };
            self.accounts
                .with(|accounts| accounts.known.insert(who.clone(), known));
            false
        };
        // What this gateway ran before is its own.
        let held = self.settings().held.is_some()
            && cursor::read(self.shared.store.reader(), who)?.is_none();
        if own.enabled && own.setup.is_ok() && !by_hand && !held {
            self.launch(who);
        }
        Ok(())
    }

    /// Reads what is kept of an account. What was on its way out is unknown from here on.
    async fn open(&self, who: &AccountRef) -> Result<Arc<Account>, StoreError> {
        let store = &self.shared.store;
        let inbox = Backlog::load(store.reader(), who)?;
        let (outbox, ops) = Queue::load(store.reader(), who)?;
        if !ops.is_empty() {
            tracing::warn!(account = %who, messages = ops.len(), "messages were on their way when the gateway ended; whether they arrived is unknown");
            store.commit(ops).await?;
        }
        let (drafts, ops) = Drafts::load(store.reader(), who, |id| inbox.knows(id))?;
        if !ops.is_empty() {
            store.commit(ops).await?;
        }
        let clock = Arc::clone(&self.shared.clock);
        let account = Account::new(who.clone(), inbox, outbox, clock);
        account.drafts.with(|own| *own = drafts);
        Ok(account)
    }

    /// Starts an account's provider, or ends its wait for the next try. False when it cannot.
    fn launch(&self, who: &AccountRef) -> bool {
        let found = self.accounts.with(|accounts| {
            if accounts.draining {
                return None;
            }
            let known = accounts.known.get_mut(who)?;
            known.by_hand = false;
            Some((
                Arc::clone(&known.account),
                Arc::clone(&known.settings),
                known.provider.is_some(),
            ))
        });
        let Some((account, settings, runs)) = found else {
            return false;
        };
        if runs {
            account.machine.with(Machine::forgive);
            account.want(true);
            return true;
        }
        let place = match &**self.place {
            Ok(place) => place.clone(),
            Err(error) => {
                tracing::error!(error, "channels have no thread to run on");
                return false;
            }
        };
        account.want(true);
        let provider: Addr<Provider> = supervise(
            &place,
            RestartPolicy::PROVIDER,
            &self.watch,
            ProviderDeps {
                shared: self.shared.clone(),
                account,
                settings,
            },
        );
        self.accounts.with(|accounts| {
            if let Some(known) = accounts.known.get_mut(who) {
                known.provider = Some(provider);
            }
        });
        true
    }

    fn publish(&self) {
        let board = self.accounts.with(|accounts| {
            let rows = accounts.known.iter();
            Board(
                rows.map(|(who, known)| (who.clone(), known.account.status.clone()))
                    .collect(),
            )
        });
        self.shared.views.channels.publish(board);
    }

    /// A person starts an account. True when it did not run before.
    ///
    /// # Errors
    ///
    /// Why it cannot run.
    pub(crate) async fn start(&self, who: &AccountRef) -> Result<bool, ErrorShape> {
        let _turn = self.turn.lock().await;
        let settings = self.settings();
        let unknown = || ErrorShape::invalid(format!("{who} is not configured"));
        let own = settings.accounts.get(who).ok_or_else(unknown)?;
        if let Err(lacking) = &own.setup {
            return Err(ErrorShape::invalid(lacking.clone()));
        }
        if !own.enabled {
            return Err(ErrorShape::invalid(format!(
                "{who} is disabled; set enabled: true below channels.{} in openclaw.json",
                who.channel
            )));
        }
        if self.accounts.with(|accounts| accounts.get(who).is_none()) {
            let entered = self.enter(who, own).await;
            entered.map_err(|error| crate::methods::store_error(&error))?;
            self.publish();
        }
        let ran = self.accounts.with(|accounts| {
            accounts.known.get(who).is_some_and(|known| {
                matches!(
                    *known.account.phase.borrow(),
                    Phase::Connected | Phase::Connecting
                ) && known.provider.is_some()
            })
        });
        if !ran && !self.launch(who) {
            return Err(ErrorShape::unavailable(format!(
                "{who} cannot be started now; the log says why"
            )));
        }
        Ok(!ran)
    }

    /// A person stops an account. True when nothing of it lives any more.
    pub(crate) async fn stop(&self, who: &AccountRef) -> bool {
        let _turn = self.turn.lock().await;
        let account = self.accounts.with(|accounts| {
            let known = accounts.known.get_mut(who)?;
            known.by_hand = true;
            known.provider.is_some().then(|| Arc::clone(&known.account))
        });
        match account {
            Some(account) => self.stop_transport(&account).await,
            None => true,
        }
    }

    async fn close(&self, flush: Duration) {
        let accounts = self.accounts.with(|accounts| {
            accounts.draining = true;
            let running = accounts.known.values();
            running
                .filter(|known| known.provider.is_some())
                .map(|known| Arc::clone(&known.account))
                .collect::<Vec<_>>()
        });
        let sent = async {
            for account in &accounts {
                // Every change of its status is told, the end of a piece among them.
                let mut told = account.phase.subscribe();
                while account.is_connected() && account.outbox.with(|outbox| !outbox.is_empty()) {
                    if told.changed().await.is_err() {
                        break;
                    }
                }
            }
        };
        if tokio::time::timeout(flush, sent).await.is_err() {
            tracing::warn!("messages that wait to be sent are sent after the next start");
        }
        for account in &accounts {
            self.stop_transport(account).await;
        }
    }
}
