//! The agenda: what happens when, in the order that the seed gives it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::dice::{Dice, SimClock};
use super::disk::{Disk, Weather, Writer};
use super::law::Law;
use super::outside::Outside;
use super::process::Process;
use crate::clock::{Clock as _, Millis, SeededEntropy, SharedEntropy};

/// How long things go wrong.
const STORM: Duration = Duration::from_mins(15);
/// How long everything then has to come to its end.
const CALM: Duration = Duration::from_hours(1);
/// The lines of its life that a failed seed shows.
const SHOWN: usize = 60;
/// Steps after which something must be going round in circles.
const MOST_STEPS: usize = 200_000;

type Todo = Box<dyn FnOnce(&mut Sim)>;

/// One gateway, its disk, and the world around it.
pub(super) struct Sim {
    pub(super) dice: Dice,
    pub(super) clock: Arc<SimClock>,
    pub(super) entropy: SharedEntropy,
    pub(super) disk: Disk,
    pub(super) writer: Writer,
    pub(super) law: Law,
    pub(super) outside: Outside,
    /// `None` while the gateway is down.
    pub(super) process: Option<Process>,
    /// Which life of the gateway this is; what belongs to an earlier one never happens.
    pub(super) life: u64,
    /// Nothing new goes wrong any more.
    pub(super) calm: bool,
    agenda: BTreeMap<(Duration, u64), (Option<u64>, Todo)>,
    serial: u64,
    lines: VecDeque<String>,
}

impl Sim {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            clock: Arc::default(),
            entropy: SeededEntropy::shared(seed),
            disk: Disk::default(),
            writer: Writer::default(),
            law: Law::default(),
            outside: Outside::new(),
            process: None,
            life: 0,
            calm: false,
            agenda: BTreeMap::new(),
            serial: 0,
            lines: VecDeque::new(),
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The running gateway; whatever of its life happens, happens while it runs.
    pub(super) fn gateway(&mut self) -> &mut Process {
        self.process.as_mut().expect("its life is not over")
    }

    /// Does something in the gateway, a while from now, unless that life ends before.
    pub(super) fn after(&mut self, wait: Duration, todo: impl FnOnce(&mut Self) + 'static) {
        let life = Some(self.life);
        self.plan(wait, life, Box::new(todo));
    }

    /// The same between two numbers of milliseconds from now.
    pub(super) fn soon(&mut self, span: (u64, u64), todo: impl FnOnce(&mut Self) + 'static) {
        let wait = self.dice.millis(span.0, span.1);
        self.after(wait, todo);
    }

    /// Does something in the world, whatever becomes of the gateway.
    pub(super) fn outside(&mut self, span: (u64, u64), todo: impl FnOnce(&mut Self) + 'static) {
        let wait = self.dice.millis(span.0, span.1);
        self.plan(wait, None, Box::new(todo));
    }

    fn plan(&mut self, wait: Duration, life: Option<u64>, todo: Todo) {
        self.serial += 1;
        // What is due at the same time comes in any order.
        let place = (self.dice.roll() << 24) | (self.serial & 0xff_ffff);
        let at = self.monotonic() + wait;
        self.agenda.insert((at, place), (life, todo));
    }

    /// A line of what happened, for whoever looks at a seed that failed.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.lines.len() == SHOWN {
            self.lines.pop_front();
        }
        let at = self.monotonic();
        self.lines
            .push_back(format!("{:>10.3} s  {}", at.as_secs_f64(), line()));
    }

    pub(super) fn story(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        lines.join("\n")
    }

    fn until(&mut self, end: Duration) {
        for _ in 0..MOST_STEPS {
            let Some(entry) = self.agenda.first_entry() else {
                return;
            };
            let at = entry.key().0;
            if at > end {
                return;
            }
            let (life, todo) = entry.remove();
            if life.is_some_and(|life| life != self.life || self.process.is_none()) {
                continue;
            }
            self.clock.reach(at);
            self.law.now = at;
            todo(self);
            self.settle_keys();
            self.check_transport();
        }
        let due = self.agenda.len();
        unreachable!("it goes round in circles; {due} things are due");
    }

    /// A whole life: a storm, then calm, then what has to be true.
    pub(super) fn live(&mut self) {
        self.boot();
        self.begin_world(STORM);
        self.until(STORM);
        self.calm = true;
        self.note(|| "calm".into());
        self.writer.weather = Weather::Fair;
        if self.process.is_none() {
            self.boot();
        }
        self.wake_world();
        let mut end = STORM + CALM;
        self.until(end);
        while self.is_at_work() {
            // A slot has just begun.
            end += Duration::from_secs(30);
            assert!(end < STORM + CALM * 2, "it never rests");
            self.until(end);
        }
        self.last_judgement();
    }
}
