//! The actor that the tests break, and the world around it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Running, SpawnHandle};
use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::clock::{SeededEntropy, TestClock};
use crate::placement::Place;
use crate::supervised;
use crate::supervision::{
    ActorVitals, DeathWatch, HangLimits, Rebuild, RestartPolicy, Tier, supervise,
};

/// 100 ms, 200 ms, 400 ms, ... up to 1 s, exactly.
pub(super) const STEADY: RestartPolicy = RestartPolicy {
    base: Duration::from_millis(100),
    max: Duration::from_secs(1),
    jitter: 0.0,
    stable_after: Duration::from_secs(30),
    fatal_failures: 3,
    fatal_within: Duration::from_mins(1),
};

pub(super) const LIMITS: HangLimits = HangLimits {
    every: Duration::from_secs(1),
    report_after: Duration::from_secs(5),
    give_up_after: Duration::from_secs(20),
};

/// How often each thing may still panic, shared by all lives of an actor.
#[derive(Debug, Default)]
pub(super) struct Flaws {
    pub(super) build: u32,
    pub(super) started: u32,
    pub(super) interval: u32,
    pub(super) drop: u32,
}

#[derive(Clone)]
pub(super) struct Deps {
    pub(super) flaws: Arc<Mutex<Flaws>>,
    pub(super) log: mpsc::UnboundedSender<&'static str>,
}

/// Counts what it is told, and forgets it with its life.
struct Core {
    deps: Deps,
    told: Vec<u32>,
    refuses: bool,
}

fn use_up(deps: &Deps, pick: impl Fn(&mut Flaws) -> &mut u32) -> bool {
    let mut flaws = deps.flaws.lock().unwrap();
    let left = pick(&mut flaws);
    let flawed = *left > 0;
    *left = left.saturating_sub(1);
    flawed
}

impl Core {
    fn new(deps: Deps) -> Self {
        deps.log.send("built").ok();
        assert!(!use_up(&deps, |flaws| &mut flaws.build), "cannot build");
        Self {
            deps,
            told: Vec::new(),
            refuses: false,
        }
    }

    fn started(&self) {
        self.deps.log.send("started").ok();
        assert!(
            !use_up(&self.deps, |flaws| &mut flaws.started),
            "cannot start"
        );
    }

    fn tick(&self) {
        self.deps.log.send("tick").ok();
        assert!(
            !use_up(&self.deps, |flaws| &mut flaws.interval),
            "cannot tick"
        );
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        assert!(!use_up(&self.deps, |flaws| &mut flaws.drop), "cannot drop");
    }
}

/// Answers with everything that this life was told.
#[derive(Message)]
#[rtype(result = "Vec<u32>")]
pub(super) struct Tell(pub(super) u32);

/// Cancels the interval and panics, before actix gets to cancel anything.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CancelAndPanic;

/// Refuses every stop for this long.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Refuse(pub(super) Duration);

/// Is sent on to the actor itself, so many times.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Repeat(pub(super) u32);

macro_rules! probe_actor {
    ($name:ident, $tier:expr) => {
        pub(super) struct $name(Core, Option<SpawnHandle>);

        impl Actor for $name {
            type Context = Context<Self>;

            fn started(&mut self, ctx: &mut Self::Context) {
                self.0.started();
                self.1 = Some(ctx.run_interval(Duration::from_secs(10), |probe, _| probe.0.tick()));
            }

            fn stopping(&mut self, _: &mut Self::Context) -> Running {
                if self.0.refuses {
                    Running::Continue
                } else {
                    Running::Stop
                }
            }

            fn stopped(&mut self, _: &mut Self::Context) {
                self.0.deps.log.send("stopped").ok();
            }
        }

        impl Rebuild for $name {
            type Deps = Deps;
            const NAME: &'static str = stringify!($name);
            const TIER: Tier = $tier;
            const MAILBOX: usize = 4;

            fn build(deps: Deps) -> Self {
                Self(Core::new(deps), None)
            }

            fn deps(&self) -> Deps {
                self.0.deps.clone()
            }
        }

        impl Handler<Tell> for $name {
            type Result = Vec<u32>;

            fn handle(&mut self, tell: Tell, _: &mut Self::Context) -> Vec<u32> {
                self.0.told.push(tell.0);
                self.0.told.clone()
            }
        }

        impl Handler<CancelAndPanic> for $name {
            type Result = ();

            fn handle(&mut self, _: CancelAndPanic, ctx: &mut Self::Context) {
                if let Some(ticks) = self.1.take() {
                    ctx.cancel_future(ticks);
                }
                panic!("cancelled");
            }
        }

        impl Handler<Refuse> for $name {
            type Result = ();

            fn handle(&mut self, refuse: Refuse, ctx: &mut Self::Context) {
                self.0.refuses = true;
                ctx.run_later(refuse.0, |probe, _| probe.0.refuses = false);
            }
        }

        impl Handler<Repeat> for $name {
            type Result = ();

            fn handle(&mut self, repeat: Repeat, ctx: &mut Self::Context) {
                if repeat.0 > 0 {
                    ctx.address().try_send(Repeat(repeat.0 - 1)).unwrap();
                } else {
                    self.0.deps.log.send("repeated").ok();
                }
            }
        }

        supervised!($name);
    };
}

probe_actor!(Probe, Tier::Replaceable);
probe_actor!(Pillar, Tier::Irreplaceable);

/// One register, one clock, one log.
pub(super) struct World {
    pub(super) watch: DeathWatch,
    pub(super) clock: Arc<TestClock>,
    pub(super) flaws: Arc<Mutex<Flaws>>,
    pub(super) log: mpsc::UnboundedReceiver<&'static str>,
    pub(super) deps: Deps,
}

impl World {
    pub(super) fn new() -> Self {
        Self::flawed(Flaws::default())
    }

    pub(super) fn flawed(flaws: Flaws) -> Self {
        Self::with_clock(TestClock::shared(), flaws)
    }

    pub(super) fn with_clock(clock: Arc<TestClock>, flaws: Flaws) -> Self {
        let (sender, log) = mpsc::unbounded_channel();
        let flaws = Arc::new(Mutex::new(flaws));
        let watch = DeathWatch::with_hang_limits(clock.clone(), SeededEntropy::shared(1), LIMITS);
        let deps = Deps {
            flaws: Arc::clone(&flaws),
            log: sender,
        };
        Self {
            watch,
            clock,
            flaws,
            log,
            deps,
        }
    }

    pub(super) fn start<A: Rebuild<Deps = Deps>>(&self, place: &Place) -> Addr<A> {
        supervise(place, STEADY, &self.watch, self.deps.clone())
    }

    /// What the lives of the actors wrote so far.
    pub(super) fn logged(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.log.try_recv().ok()).collect()
    }

    /// What ended the daemon, if anything did.
    pub(super) fn ended_by(&self) -> Option<String> {
        let fatal = self.watch.until_fatal().now_or_never();
        fatal.map(|fatal| fatal.to_string())
    }

    /// The state of the only actor.
    pub(super) fn only(&self) -> ActorVitals {
        let mut report = self.watch.report();
        assert_eq!(report.len(), 1);
        report.remove(0)
    }
}

/// Runs a test on one thread, where time only passes when everybody waits.
pub(super) fn on_paused_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Lets everything run that can run without time passing.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
