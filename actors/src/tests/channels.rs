//! An account of a channel on a platform that is told what to do: commits that nobody confirms, runs
//! that are lost, pieces that wait.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Recipient, ResponseFuture};
use futures_util::{FutureExt as _, stream};
use tokio::sync::Notify;

use super::world::{Setup, World, paused};
use crate::agent::model::{ModelEvent, ModelStream, StopReason};
use crate::agent::offer::Offer;
use crate::channel::account::Account;
use crate::channel::inbox::Backlog;
use crate::channel::outbox::{Entry, MAX_WAITING, Queue, Row, SendState, Settled};
use crate::channel::pairing::{Asked, Desk, TTL};
use crate::channel::policy::{AllowList, Policy};
use crate::channel::provider::{Provider, ProviderDeps, Shared};
use crate::channel::settings::{AccountSettings, ChannelsSettings};
use crate::channel::supervisor::{Channels, ChannelsDeps, SettingsChanged};
use crate::channel::telegram::FACTS;
use crate::channel::tests::message;
use crate::channel::text::Split;
use crate::channel::{
    AccountRef, ChannelError, ChannelSetup, Facts, Inbound, Later, Link, Piece, SendFailure,
    Sender, Target, Transport,
};
use crate::clock::{TestClock, pass};
use crate::kept::Kept;
use crate::placement::Place;
use crate::settings::{ModelPlan, testing};
use crate::store::faults::{Fault, FaultyMedium};
use crate::store::{
    Commit, MemoryMedium, Op, Store, StoreConfig, StoreDeps, StoreError, StoreHandle, Table,
};
use crate::supervision::{Poison, PoisonKind, RestartPolicy, supervise};
use crate::sweep::{Sweep, Sweeper, SweeperDeps};

/// What a platform has, and got.
#[derive(Debug, Default)]
struct State {
    coming: VecDeque<Inbound>,
    sent: Vec<String>,
}

/// A platform. It forgets a message when that was taken over, or at once.
#[derive(Debug, Clone, Default)]
struct Platform {
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
    forgets: bool,
    /// Whether it takes no message now.
    is_shut: Arc<AtomicBool>,
}

impl Platform {
    fn write(&self, id: &str, text: &str) {
        let message = Inbound {
            id: id.into(),
            ..message("7", text)
        };
        self.state.lock().unwrap().coming.push_back(message);
        self.wake.notify_one();
    }

    fn sent(&self) -> Vec<String> {
        self.state.lock().unwrap().sent.clone()
    }
}

impl ChannelSetup for Platform {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn open(&self, _: &crate::channel::World) -> Result<Rc<dyn Transport>, ChannelError> {
        Ok(Rc::new(self.clone()))
    }

    fn target(&self, _: &str) -> Result<Target, String> {
        Err("nobody is written to".into())
    }
}

impl Transport for Platform {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            link.connected("me");
            loop {
                let coming = self.state.lock().unwrap().coming.front().cloned();
                let Some(message) = coming else {
                    self.wake.notified().await;
                    continue;
                };
                let taken = link.take(vec![message], None).await;
                if taken.is_ok() || self.forgets {
                    self.state.lock().unwrap().coming.pop_front();
                }
                if let Err(refused) = taken {
                    return refused.into();
                }
            }
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        if self.is_shut.load(Ordering::SeqCst) {
            let shut = ChannelError::Transient("shut".into());
            return Box::pin(std::future::ready(Err(SendFailure::NotSent(shut))));
        }
        self.state.lock().unwrap().sent.push(piece.text.clone());
        Box::pin(std::future::ready(Ok("m".to_owned())))
    }
}

/// A writer whose commits reach the disk, and who does not say so while it is told to.
struct Silent {
    writer: Recipient<Commit>,
    is_silent: Arc<AtomicBool>,
}

impl Actor for Silent {
    type Context = Context<Self>;
}

impl Handler<Commit> for Silent {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, commit: Commit, _: &mut Self::Context) -> Self::Result {
        let done = self.writer.send(commit);
        let is_silent = Arc::clone(&self.is_silent);
        Box::pin(async move {
            let done = done.await.unwrap();
            if is_silent.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("nobody confirms it".into()));
            }
            done
        })
    }
}

/// A writer who writes when it is told to.
struct Patient {
    writer: Recipient<Commit>,
    go: Arc<Notify>,
}

impl Actor for Patient {
    type Context = Context<Self>;
}

impl Handler<Commit> for Patient {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, commit: Commit, _: &mut Self::Context) -> Self::Result {
        let (writer, go) = (self.writer.clone(), Arc::clone(&self.go));
        Box::pin(async move {
            go.notified().await;
            let done = writer.send(commit).await.unwrap();
            go.notify_one();
            done
        })
    }
}

/// A runner that keeps what it is offered, and lets go of it when it is told to.
struct Slow {
    runner: Recipient<Offer>,
    kept: Arc<Mutex<Option<Offer>>>,
    holds_next: Arc<AtomicBool>,
}

impl Actor for Slow {
    type Context = Context<Self>;
}

impl Handler<Offer> for Slow {
    type Result = ();

    fn handle(&mut self, offer: Offer, _: &mut Self::Context) {
        if self.holds_next.swap(false, Ordering::SeqCst) {
            *self.kept.lock().unwrap() = Some(offer);
        } else {
            self.runner.try_send(offer).ok().unwrap();
        }
    }
}

fn shared(world: &World) -> Shared {
    let clock = Arc::clone(&world.core.clock);
    let entropy = crate::clock::SeededEntropy::shared(2);
    Shared {
        desk: Desk::new(Arc::clone(&clock), Arc::clone(&entropy)),
        store: world.store.clone(),
        views: world.core.views.clone(),
        sessions: world.owners.sessions.clone(),
        gateway: world.core.gateway.clone(),
        runner: world.owners.runner.clone().recipient(),
        dedupe: world.owners.dedupe.clone().recipient(),
        media: crate::media::Blobs::new(std::path::PathBuf::from("/nonexistent")),
        world: crate::channel::World {
            http: Arc::new(LazyLock::new(|| Err("no network in this test".into()))),
            hooks: Arc::default(),
            logins: Arc::default(),
            started_at: crate::clock::Millis::default(),
        },
        clock,
        entropy,
    }
}

/// Starts the account of `platform`.
fn start(world: &World, shared: Shared, platform: &Platform) -> (Arc<Account>, Addr<Provider>) {
    let who = who();
    let inbox = Backlog::load(shared.store.reader(), &who).unwrap();
    let (outbox, _) = Queue::load(shared.store.reader(), &who).unwrap();
    let account = Account::new(who, inbox, outbox, Arc::clone(&shared.clock));
    let provider = run(world, shared, platform, &account);
    (account, provider)
}

fn run(
    world: &World,
    shared: Shared,
    platform: &Platform,
    account: &Arc<Account>,
) -> Addr<Provider> {
    account.want(true);
    let deps = ProviderDeps {
        shared,
        account: Arc::clone(account),
        settings: settings(platform),
    };
    supervise(&Place::here(), RestartPolicy::PROVIDER, &world.watch, deps)
}

/// The account of `platform`, to which 7 may write.
fn settings(platform: &Platform) -> Arc<AccountSettings> {
    Arc::new(AccountSettings {
        name: None,
        enabled: true,
        setup: Ok(Arc::new(platform.clone())),
        policy: Policy {
            allow_from: AllowList::of("telegram", ["7"]),
            ..Policy::default()
        },
        split: Split { limit: 4_000 },
        token_source: None,
    })
}

fn who() -> AccountRef {
    AccountRef::new("telegram", "default")
}

/// A model that thinks for ten seconds.
fn slowly(prompt: &str) -> ModelStream {
    let text = format!("re: {prompt}");
    let late = async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let end = ModelEvent::Stop(StopReason::EndTurn);
        stream::iter([Ok(ModelEvent::Text(text)), Ok(end)])
    };
    ModelStream::from_stream(late.flatten_stream())
}

/// Puts the account of `platform` into the configuration, or takes it out.
fn configure(world: &World, platform: Option<&Platform>) {
    let mut all = testing::settings();
    all.agents[0].model = ModelPlan::Scripted(slowly);
    let accounts = platform.map(|platform| (who(), settings(platform)));
    all.channels = Arc::new(ChannelsSettings {
        accounts: accounts.into_iter().collect(),
        ..ChannelsSettings::default()
    });
    world.core.views.settings.publish(all);
}

fn channels(world: &World, store: StoreHandle) -> ChannelsDeps {
    ChannelsDeps {
        shared: Shared {
            store,
            ..shared(world)
        },
        accounts: Kept::default(),
        turn: Arc::default(),
        watch: world.watch.clone(),
        place: Arc::new(LazyLock::new(Box::new(|| Ok(Place::here())))),
    }
}

#[test]
fn what_the_disk_had_without_saying_so_is_answered_without_a_restart() {
    // Either the platform brings it again, or it was forgotten there.
    for forgets in [false, true] {
        paused(async move {
            let world = Setup::here(ModelPlan::Scripted(slowly)).start().await;
            let is_silent = Arc::new(AtomicBool::new(true));
            let writer = Silent {
                writer: world.store_addr.clone().recipient(),
                is_silent: Arc::clone(&is_silent),
            };
            let mut shared = shared(&world);
            shared.store = StoreHandle::new(
                writer.start().recipient(),
                world.store.reader().clone(),
                world.store.watch_status(),
            );
            let platform = Platform {
                forgets,
                ..Platform::default()
            };
            let (account, _provider) = start(&world, shared, &platform);
            platform.write("1", "hello");
            pass(Duration::from_millis(100)).await;
            assert!(
                account.inbox.with(|inbox| inbox.is_empty()),
                "not confirmed"
            );
            is_silent.store(false, Ordering::SeqCst);
            pass(Duration::from_mins(1)).await;
            assert_eq!(platform.sent(), ["re: hello"], "forgets: {forgets}");
            assert!(account.inbox.with(|inbox| inbox.is_empty()));
        });
    }
}

#[test]
fn a_stranger_is_told_their_code_though_the_connection_ended_meanwhile() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let writer = Patient {
            writer: world.store_addr.clone().recipient(),
            go: Arc::default(),
        };
        let go = Arc::clone(&writer.go);
        let mut shared = shared(&world);
        shared.store = StoreHandle::new(
            writer.start().recipient(),
            world.store.reader().clone(),
            world.store.watch_status(),
        );
        let desk = shared.desk.clone();
        let platform = Platform::default();
        let (account, _provider) = start(&world, shared, &platform);
        let stranger = Inbound {
            id: "1".into(),
            ..message("8", "let me in")
        };
        platform.state.lock().unwrap().coming.push_back(stranger);
        pass(Duration::from_secs(1)).await;
        // It is on its way to the disk.
        account.want(false);
        pass(Duration::from_secs(1)).await;
        go.notify_one();
        account.want(true);
        pass(Duration::from_secs(5)).await;
        let waiting = desk.with(|book| book.waiting(&who(), TestClock::EPOCH));
        let sent = platform.sent();
        assert_eq!((waiting.len(), sent.len()), (1, 1), "{sent:?}");
        assert!(sent[0].contains(&waiting[0].code), "{sent:?}");
    });
}

#[test]
fn a_message_that_the_runner_loses_late_is_handed_over_again() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(slowly)).start().await;
        let mut shared = shared(&world);
        let kept = Arc::default();
        let slow = Slow {
            runner: shared.runner.clone(),
            kept: Arc::clone(&kept),
            holds_next: Arc::new(AtomicBool::new(true)),
        };
        shared.runner = slow.start().recipient();
        let platform = Platform::default();
        let (_account, _provider) = start(&world, shared, &platform);
        platform.write("1", "hello");
        // By then nobody waits for it any more, and it was asked for again.
        pass(Duration::from_secs(70)).await;
        assert!(platform.sent().is_empty());
        drop(kept.lock().unwrap().take().expect("it was offered"));
        pass(Duration::from_mins(1)).await;
        assert_eq!(platform.sent(), ["re: hello"]);
    });
}

#[test]
fn an_answer_that_the_disk_did_not_take_is_given_once_the_disk_works() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(slowly)).start().await;
        let platform = Platform::default();
        let (account, _provider) = start(&world, shared(&world), &platform);
        platform.write("1", "hello");
        pass(Duration::from_secs(5)).await;
        world
            .medium
            .fail(Fault::Writes(std::io::ErrorKind::StorageFull), 0);
        // Longer than the end of a run is tried again.
        pass(Duration::from_mins(3)).await;
        assert!(platform.sent().is_empty());
        world.medium.heal();
        pass(Duration::from_mins(2)).await;
        assert_eq!(platform.sent(), ["re: hello"]);
        assert!(account.inbox.with(|inbox| inbox.is_empty()));
    });
}

#[test]
fn messages_that_wait_in_lanes_that_are_rebuilt_are_answered() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(slowly)).start().await;
        let platform = Platform::default();
        let (account, _provider) = start(&world, shared(&world), &platform);
        platform.write("1", "one");
        platform.write("2", "two");
        pass(Duration::from_secs(5)).await;
        let lanes = world.lanes.clone();
        let broken = std::panic::AssertUnwindSafe(|| lanes.with(|_| panic!("half-written")));
        assert!(std::panic::catch_unwind(broken).is_err());
        let poison = world.owners.runner.send(Poison(PoisonKind::Panic));
        assert!(poison.await.is_err());
        pass(Duration::from_mins(2)).await;
        assert_eq!(platform.sent(), ["re: one", "re: two"]);
        assert!(account.inbox.with(|inbox| inbox.is_empty()));
    });
}

#[test]
fn an_account_waits_until_it_is_known_who_may_write_to_it() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let platform = Platform::default();
        configure(&world, Some(&platform));
        // A disk that remembers nothing of what was read.
        let medium = FaultyMedium::new(Arc::new(MemoryMedium::default()));
        let config = StoreConfig::on(Arc::new(medium.clone())).with_cache_bytes(0);
        let disk = StoreDeps::open(&config, Arc::clone(&world.core.clock)).unwrap();
        let (here, policy) = (Place::here(), RestartPolicy::CORE);
        let writer = supervise::<Store>(&here, policy, &world.watch, disk.clone());
        let store = disk.handle(writer.recipient());
        medium.fail(Fault::Everything(std::io::ErrorKind::Other), 0);
        let put = vec![Op::put(Table::Sends, "x", vec![0])];
        assert!(store.commit(put).await.is_err());
        let deps = channels(&world, store);
        let _channels = supervise::<Channels>(&here, policy, &world.watch, deps.clone());
        pass(Duration::from_secs(5)).await;
        assert!(
            deps.accounts
                .with(|accounts| accounts.get(&who()))
                .is_none()
        );
        let refused = deps.start(&who()).await.unwrap_err();
        assert!(refused.message.contains("cannot"), "{refused:?}");
        medium.heal();
        // Nobody has to help.
        pass(Duration::from_mins(2)).await;
        let account = deps.accounts.with(|accounts| accounts.get(&who()));
        assert!(account.is_some_and(|account| account.is_connected()));
    });
}

#[test]
fn nothing_is_answered_while_the_outbox_is_full() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(slowly)).start().await;
        let platform = Platform::default();
        let shared = shared(&world);
        let inbox = Backlog::load(shared.store.reader(), &who()).unwrap();
        let mut outbox = Queue::default();
        let seqs = outbox.reserve(MAX_WAITING, shared.clock.now());
        for seq in seqs.clone() {
            let row = Row {
                id: seq.to_string(),
                to: message("8", "").chat,
                text: "late".into(),
                reply_to: None,
                silent: false,
                edits: None,
                file: None,
                at: shared.clock.now().get(),
                by: "test".into(),
                state: SendState::Queued,
                why: None,
            };
            outbox.insert(seq, Entry::new(row));
        }
        let account = Account::new(who(), inbox, outbox, Arc::clone(&shared.clock));
        platform.is_shut.store(true, Ordering::SeqCst);
        let _provider = run(&world, shared, &platform, &account);
        platform.write("1", "hello");
        pass(Duration::from_mins(1)).await;
        assert_eq!(account.inbox.with(|inbox| inbox.len()), 1);
        assert!(platform.sent().is_empty());
        let sent = Settled::Sent("m".into());
        for seq in seqs {
            account.outbox.with(|outbox| outbox.ended(seq, &sent));
        }
        account.note(|_| ());
        platform.is_shut.store(false, Ordering::SeqCst);
        pass(Duration::from_mins(5)).await;
        assert_eq!(platform.sent(), ["re: hello"]);
    });
}

#[test]
fn the_answer_of_an_account_that_was_away_meanwhile_is_sent() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(slowly)).start().await;
        let platform = Platform::default();
        configure(&world, Some(&platform));
        let deps = channels(&world, world.store.clone());
        let (here, policy) = (Place::here(), RestartPolicy::CORE);
        let channels = supervise::<Channels>(&here, policy, &world.watch, deps);
        platform.write("1", "hello");
        pass(Duration::from_secs(5)).await;
        for present in [None, Some(&platform)] {
            configure(&world, present);
            channels.send(SettingsChanged).await.unwrap();
            pass(Duration::from_secs(1)).await;
        }
        assert!(platform.sent().is_empty(), "the run goes on");
        pass(Duration::from_secs(30)).await;
        assert_eq!(platform.sent(), ["re: hello"]);
    });
}

#[test]
fn requests_that_nobody_decided_leave_the_disk_and_approvals_stay() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let desk = shared(&world).desk;
        let person = |id: &str| Sender {
            id: id.into(),
            name: None,
            username: None,
        };
        for id in ["8", "9"] {
            let (asked, op) = desk.ask(&who(), &person(id), id).unwrap();
            let Asked::Created(request) = asked else {
                panic!("a request")
            };
            let mut ops = vec![op.expect("its row")];
            if id == "9" {
                ops.push(desk.approval(&who(), &request).unwrap());
            }
            world.store.commit(ops).await.unwrap();
        }
        let sweeper = SweeperDeps {
            store: world.store.clone(),
            views: world.core.views.clone(),
            media: crate::media::Blobs::new(std::path::PathBuf::from("/nonexistent")),
            clock: Arc::clone(&world.core.clock),
            entropy: crate::clock::SeededEntropy::shared(1),
        };
        let (here, policy) = (Place::here(), RestartPolicy::CORE);
        let sweeper = supervise::<Sweeper>(&here, policy, &world.watch, sweeper);
        let known = || {
            desk.load(world.store.reader()).unwrap();
            let waiting = desk.with(|book| book.waiting(&who(), TestClock::EPOCH).len());
            (waiting, desk.is_approved(&who(), "9"))
        };
        sweeper.send(Sweep).await.unwrap();
        assert_eq!(known(), (1, true));
        pass(TTL + Duration::from_secs(1)).await;
        sweeper.send(Sweep).await.unwrap();
        assert_eq!(known(), (0, true));
    });
}
