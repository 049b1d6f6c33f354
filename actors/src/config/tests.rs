//! The owner of the configuration, with a source that a test writes, in time that a test moves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};
use tokio::sync::mpsc;

use super::state::{Current, Draft, Fingerprint, Policy, Rejected, Wish, Written};
use super::{ConfigActor, ConfigDeps, ConfigSource, Look, MAX_DELAYS, Reload};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::config::ConfigSchemaResult;

use crate::channel::supervisor::SettingsChanged;
use crate::clock::{SeededEntropy, TestClock, pass, quiet};
use crate::gate::{AuthMode, GateSettings};
use crate::gateway::state::GatewayState;
use crate::gateway::{Gateway, GatewayDeps, GatewayPort};
use crate::kept::Kept;
use crate::node::policy::CommandPolicy;
use crate::pairing::{AuthChanged, CommandsChanged};
use crate::placement::Place;
use crate::settings::testing;
use crate::supervision::{DeathWatch, RestartPolicy, supervise};
use crate::views::{Places, Views};

/// What the file says now: a port and a token, or why it is wrong.
type File = Result<(u64, &'static str), &'static str>;

struct Source {
    file: Mutex<File>,
    policy: Mutex<Policy>,
    loads: AtomicUsize,
    /// Told at the end of each reading.
    read: mpsc::UnboundedSender<()>,
}

fn gate(token: &str) -> GateSettings {
    GateSettings::new(AuthMode::Token(token.to_owned().into()))
}

fn print(port: u64, policy: Policy) -> Fingerprint {
    Fingerprint {
        settings: BTreeMap::from([("gateway.port".to_owned(), port)]),
        hash: format!("hash-{port}"),
        policy,
    }
}

impl ConfigSource for Source {
    fn load(&self) -> Result<Draft, Rejected> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let file = *self.file.lock().unwrap();
        // The test may be over.
        let _ = self.read.send(());
        let (port, token) = file.map_err(Rejected::from)?;
        let mut settings = testing::settings();
        settings.main_key = format!("main-{port}");
        if port == 2 {
            settings.nodes = CommandPolicy::new([], ["camera.*"]);
        }
        Ok(Draft {
            fingerprint: print(port, *self.policy.lock().unwrap()),
            settings,
            gate: gate(token),
            warnings: Vec::new(),
        })
    }

    fn write(&self, base: Option<&str>, wish: &Wish) -> Result<Written, ErrorShape> {
        let Wish::Replace(text) = wish else {
            return Ok(Written::default());
        };
        if base == Some("stale") {
            return Err(ErrorShape::invalid("config changed since last load"));
        }
        *self.file.lock().unwrap() = match text.parse() {
            Ok(port) => Ok((port, "first")),
            Err(_) => Err("somebody was faster"),
        };
        Ok(Written {
            changed: true,
            paths: vec!["gateway.port".into()],
            ..Written::default()
        })
    }

    fn schema(&self) -> ConfigSchemaResult {
        super::CannotChange.schema()
    }

    fn watch(&self, _: Box<dyn Fn() + Send + Sync>) -> bool {
        true
    }

    fn fixed(&self) -> &[&'static str] {
        &["gateway.port"]
    }
}

/// Stands for the pairing registry.
struct Trust(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Actor for Trust {
    type Context = Context<Self>;
}

impl Handler<AuthChanged> for Trust {
    type Result = ();

    fn handle(&mut self, _: AuthChanged, _: &mut Self::Context) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Handler<SettingsChanged> for Trust {
    type Result = ();

    fn handle(&mut self, _: SettingsChanged, _: &mut Self::Context) {}
}

impl Handler<CommandsChanged> for Trust {
    type Result = ();

    fn handle(&mut self, _: CommandsChanged, _: &mut Self::Context) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

struct World {
    config: Addr<ConfigActor>,
    source: Arc<Source>,
    views: Views,
    told: Arc<AtomicUsize>,
    commands: Arc<AtomicUsize>,
    reads: mpsc::UnboundedReceiver<()>,
    _watch: DeathWatch,
}

impl World {
    /// The owner of what the start read, `(1, "first")`, after its own first look.
    async fn start() -> Self {
        let mut world = Self::with(Ok((1, "first")), Policy::default());
        world.judged().await;
        world
    }

    /// The same, while the file says `file` by now and `policy` is in force.
    fn with(file: File, policy: Policy) -> Self {
        tokio::time::pause();
        let clock = TestClock::shared();
        let watch = DeathWatch::new(clock.clone(), SeededEntropy::shared(7));
        let (here, restarts) = (Place::here(), RestartPolicy::CORE);
        let places = Places::new("/s/openclaw.json".into(), String::new(), clock);
        let views = Views::new(testing::settings(), gate("first"), places);
        let gateway = GatewayDeps {
            state: Kept::new(GatewayState::new()),
            table: Arc::default(),
            doors: Arc::default(),
            views: views.clone(),
        };
        let gateway = GatewayPort::new(supervise::<Gateway>(&here, restarts, &watch, gateway));
        let (read, reads) = mpsc::unbounded_channel();
        let source = Arc::new(Source {
            file: Mutex::new(file),
            policy: Mutex::new(policy),
            loads: AtomicUsize::new(0),
            read,
        });
        let (told, commands) = (Arc::default(), Arc::default());
        let trust = Trust(Arc::clone(&told), Arc::clone(&commands)).start();
        let deps = ConfigDeps {
            source: source.clone(),
            current: Kept::new(Current::first(print(1, policy))),
            views: views.clone(),
            gateway,
            pairing: trust.clone().recipient(),
            commands: trust.clone().recipient(),
            channels: trust.recipient(),
        };
        Self {
            config: supervise::<ConfigActor>(&here, restarts, &watch, deps),
            source,
            views,
            told,
            commands,
            reads,
            _watch: watch,
        }
    }

    fn write(&self, file: File) {
        *self.source.file.lock().unwrap() = file;
    }

    /// The file changed; waits until it was read and judged.
    async fn changed(&mut self, file: File) {
        self.write(file);
        self.config.send(Look).await.unwrap();
        self.judged().await;
    }

    async fn judged(&mut self) {
        let read = tokio::time::timeout(Duration::from_mins(1), self.reads.recv()).await;
        read.expect("a reading within a minute").unwrap();
        // The actor hears of it after this.
        quiet().await;
    }

    fn loads(&self) -> usize {
        self.source.loads.load(Ordering::SeqCst)
    }

    fn told(&self) -> usize {
        self.told.load(Ordering::SeqCst)
    }
}

#[actix::test]
async fn a_wrong_file_changes_nothing_and_is_named_until_it_is_right() {
    let mut world = World::start().await;
    let before = world.views.settings.load().main_key.clone();
    world
        .changed(Err("/s/openclaw.json:2:4: expected colon"))
        .await;
    let status = world.views.config.load();
    assert_eq!(
        status.error.as_deref(),
        Some("openclaw.json:2:4: expected colon")
    );
    assert_eq!((status.generation, world.told()), (1, 0));
    assert_eq!(world.views.settings.load().main_key, before);
    assert!(world.views.gate.load().mode.same_as(&gate("first").mode));
    // Put back: nothing to apply, and nothing wrong any more.
    world.changed(Ok((1, "first"))).await;
    let status = world.views.config.load();
    assert_eq!((status.generation, status.error.as_deref()), (1, None));
}

#[actix::test]
async fn a_good_file_is_one_generation_and_what_needs_a_restart_is_named() {
    let mut world = World::start().await;
    world.changed(Ok((2, "first"))).await;
    let status = world.views.config.load();
    assert_eq!(status.generation, 2);
    assert_eq!(status.needs_restart, ["gateway.port"]);
    assert_eq!(world.views.settings.load().main_key, "main-2");
    assert_eq!(world.told(), 0, "the secret is the same");
    let commands = world.commands.load(Ordering::SeqCst);
    assert_eq!(commands, 1, "nodes may ask for other commands");
    world.changed(Ok((1, "first"))).await;
    assert!(world.views.config.load().needs_restart.is_empty());
}

#[actix::test]
async fn another_secret_is_in_force_at_once_and_ends_what_hung_on_the_old_one() {
    let mut world = World::start().await;
    let before = world.views.auth_epoch.now();
    world.changed(Ok((1, "second"))).await;
    assert!(world.views.gate.load().mode.same_as(&gate("second").mode));
    assert!(world.views.auth_epoch.now() > before);
    assert_eq!(world.told(), 1);
}

#[actix::test]
async fn many_writes_are_read_once_but_not_put_off_for_ever() {
    let mut world = World::start().await;
    let before = world.loads();
    for _ in 0..5 {
        world.config.send(Look).await.unwrap();
        pass(Duration::from_millis(100)).await;
    }
    assert_eq!(world.loads(), before, "no quiet time yet");
    world.judged().await;
    assert_eq!(world.loads(), before + 1);
    for _ in 0..MAX_DELAYS * 2 {
        world.config.send(Look).await.unwrap();
        pass(Duration::from_millis(250)).await;
    }
    assert!(world.loads() > before + 1, "writes that never stop");
}

#[actix::test]
async fn mode_off_waits_for_somebody_to_ask() {
    let mut world = World::start().await;
    let off = Policy {
        live: false,
        ..Policy::default()
    };
    *world.source.policy.lock().unwrap() = off;
    world.changed(Ok((2, "first"))).await;
    assert_eq!(
        world.views.config.load().generation,
        2,
        "the switch itself is applied"
    );
    world.write(Ok((3, "first")));
    let before = world.loads();
    world.config.send(Look).await.unwrap();
    // Long enough for any reading that was put off.
    pass(Duration::from_mins(1)).await;
    assert_eq!(world.loads(), before);
    world.config.send(Reload).await.unwrap();
    world.judged().await;
    assert_eq!(world.views.config.load().generation, 3);
}

#[actix::test]
async fn a_change_between_the_starts_reading_and_the_watch_is_found() {
    let mut world = World::with(Ok((2, "second")), Policy::default());
    world.judged().await;
    assert_eq!(world.views.config.load().generation, 2);
    assert!(world.views.gate.load().mode.same_as(&gate("second").mode));
    assert_eq!((world.loads(), world.told()), (1, 1));
}

#[actix::test]
async fn mode_off_does_not_look_at_the_start_either() {
    let off = Policy {
        live: false,
        ..Policy::default()
    };
    let world = World::with(Ok((2, "second")), off);
    pass(Duration::from_mins(1)).await;
    assert_eq!(world.loads(), 0);
}
