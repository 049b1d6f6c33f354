//! The actor that the tests break, and the world around it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use tokio::sync::mpsc;

use crate::clock::{SeededEntropy, TestClock};
use crate::placement::Place;
use crate::supervised;
use crate::supervision::{DeathWatch, HangLimits, Rebuild, RestartPolicy, Tier, supervise};

/// 100 ms, 200 ms, 400 ms, ... up to 1 s, exactly.
pub(super) const STEADY: RestartPolicy = RestartPolicy {
    base: Duration::from_millis(100),
    max: Duration::from_secs(1),
    jitter: 0.0,
    stable_after: Duration::from_secs(30),
    fatal_failures: 3,
    fatal_within: Duration::from_secs(60),
};

pub(super) const LIMITS: HangLimits = HangLimits {
    every: Duration::from_secs(1),
    report_after: Duration::from_secs(5),
    give_up_after: Duration::from_secs(20),
};

/// How often each thing may still go wrong, shared by all lives of an actor.
#[derive(Debug, Default)]
pub(super) struct Flaws {
    pub(super) panics_in_build: u32,
    pub(super) panics_in_started: u32,
    pub(super) panics_in_interval: u32,
    pub(super) panics_in_drop: u32,
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
        assert!(
            !use_up(&deps, |flaws| &mut flaws.panics_in_build),
            "cannot build"
        );
        Self {
            deps,
            told: Vec::new(),
        }
    }

    fn started(&self) {
        self.deps.log.send("started").ok();
        assert!(
            !use_up(&self.deps, |flaws| &mut flaws.panics_in_started),
            "cannot start"
        );
    }

    fn tick(&self) {
        self.deps.log.send("tick").ok();
        assert!(
            !use_up(&self.deps, |flaws| &mut flaws.panics_in_interval),
            "cannot tick"
        );
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        assert!(
            !use_up(&self.deps, |flaws| &mut flaws.panics_in_drop),
            "cannot drop"
        );
    }
}

/// Answers with everything that this life was told.
#[derive(Message)]
#[rtype(result = "Vec<u32>")]
pub(super) struct Tell(pub(super) u32);

macro_rules! probe_actor {
    ($name:ident, $tier:expr) => {
        pub(super) struct $name(Core);

        impl Actor for $name {
            type Context = Context<Self>;

            fn started(&mut self, ctx: &mut Self::Context) {
                self.0.started();
                ctx.run_interval(Duration::from_secs(10), |probe, _| probe.0.tick());
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
                Self(Core::new(deps))
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
    deps: Deps,
}

impl World {
    pub(super) fn new() -> Self {
        Self::flawed(Flaws::default())
    }

    pub(super) fn flawed(flaws: Flaws) -> Self {
        let clock = TestClock::shared();
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

    pub(super) fn ended_by(&self) -> Option<String> {
        let mut fatal = tokio_test_poll(self.watch.until_fatal());
        fatal.take().map(|fatal| fatal.to_string())
    }
}

/// The value of a future that is ready now.
fn tokio_test_poll<T>(future: impl Future<Output = T>) -> Option<T> {
    futures_util::FutureExt::now_or_never(future)
}
