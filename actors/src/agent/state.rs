//! What the runner knows of its runs. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openclaw_protocol::methods::chat::QueueMode;
use tokio::sync::watch;

use super::compact::Compactions;
use super::lanes::Lanes;
use super::run::{Ended, Finished, StopCause, Turn};
use crate::sessions::{ActiveRun, ActiveRuns, QueuedRun, QueuedRuns};

/// Ended runs that `agent.wait` still knows.
const MAX_ENDED: usize = 1_000;

struct Run {
    id: Arc<str>,
    key: Arc<str>,
    text: Arc<Mutex<String>>,
    started_at: Option<u64>,
    /// Its message is not committed yet.
    storing: bool,
    accepted_at: u64,
    /// Number of its message in the transcript.
    user_seq: u64,
    /// The run that answers its message too.
    carrier: Option<u64>,
    stopper: watch::Sender<Option<StopCause>>,
    waiters: Vec<tokio::sync::oneshot::Sender<Ended>>,
}

impl Run {
    /// Whether it began not yet, and no other run carries its message.
    const fn waits(&self) -> bool {
        self.started_at.is_none() && self.carrier.is_none()
    }
}

/// What became of a run that somebody asks for.
#[derive(Debug)]
pub enum Known {
    /// It ended.
    Ended(Ended),
    /// It will; this is told.
    Waiting(tokio::sync::oneshot::Receiver<Ended>),
    /// Nobody heard of it yet, or too many wait for it; this tells when another run came or ended.
    Unknown(watch::Receiver<()>),
}

/// Lanes, runs under way, and the last that ended.
pub struct RunnerState {
    /// The lanes.
    pub lanes: Lanes<Turn>,
    /// Which conversations are being shortened.
    pub(crate) compactions: Compactions,
    runs: BTreeMap<u64, Run>,
    ended: VecDeque<Ended>,
    next_serial: u64,
    draining: bool,
    active: watch::Sender<usize>,
    arrivals: watch::Sender<()>,
}

impl RunnerState {
    /// No runs, at most `max_concurrent` at one time.
    pub fn new(max_concurrent: usize) -> Self {
        Self {
            lanes: Lanes::new(max_concurrent),
            compactions: Compactions::default(),
            runs: BTreeMap::new(),
            ended: VecDeque::new(),
            next_serial: 0,
            draining: false,
            active: watch::Sender::new(0),
            arrivals: watch::Sender::new(()),
        }
    }

    /// What can be trusted of a half-written state: its numbers. Runs under way go on without it.
    pub fn without_runs(broken: &Self) -> Self {
        Self {
            next_serial: broken.next_serial,
            draining: broken.draining,
            ..Self::new(1)
        }
    }

    /// Whether the gateway is stopping.
    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    /// Makes a run known whose message is about to be stored, so that it can be stopped and waited
    /// for from its acknowledgement on. Gives back its number.
    pub fn register(
        &mut self,
        id: &Arc<str>,
        key: &Arc<str>,
        text: &Arc<Mutex<String>>,
        stopper: watch::Sender<Option<StopCause>>,
        accepted_at: u64,
    ) -> u64 {
        self.next_serial += 1;
        let run = Run {
            id: Arc::clone(id),
            key: Arc::clone(key),
            text: Arc::clone(text),
            started_at: None,
            storing: true,
            accepted_at,
            user_seq: 0,
            carrier: None,
            stopper,
            waiters: Vec::new(),
        };
        self.runs.insert(self.next_serial, run);
        self.arrivals.send_replace(());
        self.count();
        self.next_serial
    }

    /// Forgets a run that will never begin. Those who wait for it ask again.
    pub fn withdraw(&mut self, serial: u64) {
        self.runs.remove(&serial);
        self.arrivals.send_replace(());
        self.count();
    }

    /// Runs that wait for their lane, or whose messages are being stored.
    pub fn waiting(&self) -> usize {
        self.lanes.queued() + self.runs.values().filter(|run| run.storing).count()
    }

    /// The message of a run is committed.
    pub fn stored(&mut self, serial: u64) {
        if let Some(run) = self.runs.get_mut(&serial) {
            run.storing = false;
        }
    }

    /// Queues a registered run; gives back those that may start.
    pub fn submit(&mut self, mut turn: Turn, max: usize, cap: usize) -> Vec<Turn> {
        let run = self.runs.entry(turn.serial).or_insert_with(|| {
            // The state was rebuilt while the message was being stored.
            let stopper = watch::Sender::new(None);
            turn.stop = stopper.subscribe();
            Run {
                id: Arc::clone(&turn.run_id),
                key: Arc::clone(&turn.session.canonical),
                text: Arc::clone(&turn.text),
                started_at: None,
                storing: false,
                accepted_at: 0,
                user_seq: 0,
                carrier: None,
                stopper,
                waiters: Vec::new(),
            }
        });
        run.storing = false;
        run.user_seq = turn.user_seq;
        self.lanes
            .set_max_running(if self.draining { 0 } else { max });
        let key = Arc::clone(&turn.session.canonical);
        let started = self.lanes.submit(&key, turn);
        while let Some((oldest, next)) = self.lanes.overflow(&key, cap) {
            let both = self.join(oldest, next);
            self.lanes.put_back(&key, both);
        }
        self.gather(started)
    }

    /// The run of a lane ended; gives back those that may start.
    pub fn lane_done(&mut self, key: &Arc<str>) -> Vec<Turn> {
        let started = self.lanes.done(key);
        self.gather(started)
    }

    /// How much longer a lane whose run ended waits for more, where messages wait in it: until nothing
    /// came for what `quiet` says of its channel. One that interrupts waits for nobody, nor does one that is waited for.
    pub fn unrest(
        &self,
        key: &str,
        quiet: impl FnOnce(&str) -> Duration,
        now_ms: u64,
    ) -> Option<Duration> {
        let next = self.lanes.next(key)?;
        let quiet = quiet(next.channel());
        let at_once = next.queue_mode == QueueMode::Interrupt || next.reply.is_some();
        if quiet.is_zero() || at_once {
            return None;
        }
        let waiting = self
            .runs
            .values()
            .filter(|run| *run.key == *key && run.waits());
        let newest = waiting.map(|run| run.accepted_at).max()?;
        let past = Duration::from_millis(now_ms.saturating_sub(newest));
        quiet.checked_sub(past).filter(|left| !left.is_zero())
    }

    /// The run of a lane ended, and what waits in it waits on; gives back those of others that may
    /// start.
    pub fn lane_rests(&mut self, key: &Arc<str>) -> Vec<Turn> {
        let started = self.lanes.rest(key);
        self.gather(started)
    }

    /// A lane that rested goes on.
    pub fn lane_goes_on(&mut self, key: &Arc<str>) -> Vec<Turn> {
        let started = self.lanes.go_on(key);
        self.gather(started)
    }

    /// Messages that wait behind one another and may share a run do; the newest one's carries them.
    fn gather(&mut self, started: Vec<Turn>) -> Vec<Turn> {
        let mut gathered = Vec::with_capacity(started.len());
        for mut turn in started {
            let key = Arc::clone(&turn.session.canonical);
            for next in self.lanes.take_while(&key, |next| turn.may_join(next)) {
                turn = self.join(turn, next);
            }
            gathered.push(turn);
        }
        gathered
    }

    /// Takes the messages that wait next in a lane for the run `carrier`, which answers them too.
    pub fn take_in(&mut self, carrier: u64, key: &str, may: impl Fn(&Turn) -> bool) -> Vec<Turn> {
        let taken = self.lanes.take_while(key, may);
        for turn in &taken {
            let joined = turn.joined.iter().map(|joined| joined.serial);
            for serial in joined.chain([turn.serial]) {
                if let Some(run) = self.runs.get_mut(&serial) {
                    run.carrier = Some(carrier);
                }
            }
        }
        taken
    }

    fn join(&mut self, earlier: Turn, mut later: Turn) -> Turn {
        later.join(earlier);
        for joined in &later.joined {
            if let Some(run) = self.runs.get_mut(&joined.serial) {
                run.carrier = Some(later.serial);
            }
        }
        later
    }

    /// Whether anything of a session runs or waits.
    pub fn is_active(&self, key: &str) -> bool {
        self.runs.values().any(|run| *run.key == *key)
    }

    /// Messages of a session that wait for their run, oldest first, also those being stored.
    pub fn waiting_in(&self, key: &str) -> usize {
        let waits = |run: &&Run| run.waits() && *run.key == *key;
        self.runs.values().filter(waits).count()
    }

    /// The messages that wait, for readers.
    pub fn queued(&self) -> QueuedRuns {
        let mut queued = QueuedRuns::new();
        for run in self.runs.values().filter(|run| run.waits()) {
            let view = QueuedRun {
                run_id: run.id.to_string(),
                user_seq: run.user_seq,
                accepted_at: run.accepted_at,
            };
            queued.entry(Arc::clone(&run.key)).or_default().push(view);
        }
        queued
    }

    /// A run began.
    pub fn started(&mut self, serial: u64, at: u64) {
        if let Some(run) = self.runs.get_mut(&serial) {
            run.started_at = Some(at);
        }
        self.count();
    }

    /// A run ended, and the messages that joined it with it. False for a run that nobody knows, which
    /// held no lane.
    pub fn finished(&mut self, serial: u64, finished: Finished) -> bool {
        for (serial, ended) in finished.joined {
            self.ended(serial, ended);
        }
        self.ended(serial, finished.ended)
    }

    /// A run ended; those who wait for it learn how. False for a run that nobody knows, which held
    /// no lane.
    fn ended(&mut self, serial: u64, ended: Ended) -> bool {
        let known = self.runs.remove(&serial);
        let held = known.is_some();
        if let Some(run) = known {
            for waiter in run.waiters {
                // A waiter that left needs no answer.
                let _ = waiter.send(ended.clone());
            }
        }
        self.remember(ended);
        self.count();
        held
    }

    /// An end that those who ask later learn of.
    pub fn remember(&mut self, ended: Ended) {
        self.ended.push_back(ended);
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
        self.arrivals.send_replace(());
    }

    /// What became of a run.
    pub fn ask(&mut self, run_id: &str) -> Known {
        /// Most that wait for one run.
        const MAX_WAITERS: usize = 64;
        if let Some(run) = self.runs.values_mut().find(|run| *run.id == *run_id) {
            run.waiters.retain(|waiter| !waiter.is_closed());
            if run.waiters.len() >= MAX_WAITERS {
                return Known::Unknown(self.arrivals.subscribe());
            }
            let (tell, told) = tokio::sync::oneshot::channel();
            run.waiters.push(tell);
            return Known::Waiting(told);
        }
        match self.ended.iter().rev().find(|ended| ended.run_id == run_id) {
            Some(ended) => Known::Ended(ended.clone()),
            None => Known::Unknown(self.arrivals.subscribe()),
        }
    }

    /// The session of a run that did not end yet.
    pub fn session_of(&self, run_id: &str) -> Option<Arc<str>> {
        let run = self.runs.values().find(|run| *run.id == *run_id);
        run.map(|run| Arc::clone(&run.key))
    }

    /// Tells runs of a session to stop; gives back their ids, and the queued ones among them.
    pub fn stop(
        &mut self,
        key: &str,
        run_id: Option<&str>,
        cause: StopCause,
    ) -> (Vec<String>, Vec<Turn>) {
        let (serials, ids): (Vec<u64>, Vec<String>) = self
            .runs
            .iter()
            .filter(|(_, run)| *run.key == *key && run_id.is_none_or(|id| *run.id == *id))
            .map(|(serial, run)| (run.carrier.unwrap_or(*serial), run.id.to_string()))
            .unzip();
        (ids, self.stop_each(key, &serials, cause))
    }

    /// Tells every run of a session to stop but one; gives back the queued ones among them.
    pub fn stop_others(&mut self, key: &str, but: u64, cause: StopCause) -> Vec<Turn> {
        let others: Vec<u64> = self
            .runs
            .iter()
            .filter(|(serial, run)| **serial != but && !run.storing && *run.key == *key)
            .map(|(serial, _)| *serial)
            .collect();
        self.stop_each(key, &others, cause)
    }

    fn stop_each(&mut self, key: &str, serials: &[u64], cause: StopCause) -> Vec<Turn> {
        for run in serials.iter().filter_map(|serial| self.runs.get(serial)) {
            run.stopper.send_replace(Some(cause));
        }
        self.lanes
            .remove(key, |turn| serials.contains(&turn.serial))
    }

    /// Lets nothing new start; gives a view on how many run, and those that never will.
    pub fn drain(&mut self) -> (watch::Receiver<usize>, Vec<Turn>) {
        self.draining = true;
        self.lanes.set_max_running(0);
        let keys: Vec<Arc<str>> = self.runs.values().map(|run| Arc::clone(&run.key)).collect();
        let queued: Vec<Turn> = keys
            .iter()
            .flat_map(|key| self.lanes.remove(key, |_| true))
            .collect();
        for turn in &queued {
            self.runs.remove(&turn.serial);
            for joined in &turn.joined {
                self.runs.remove(&joined.serial);
            }
        }
        self.count();
        (self.active.subscribe(), queued)
    }

    /// Tells every run to stop, because the gateway does.
    pub fn stop_all(&mut self) {
        for run in self.runs.values() {
            run.stopper.send_replace(Some(StopCause::Shutdown));
        }
    }

    /// The runs under way, for readers.
    pub fn active(&self) -> ActiveRuns {
        let mut active = ActiveRuns::new();
        for run in self.runs.values() {
            if let Some(started_at) = run.started_at {
                let view = ActiveRun {
                    run_id: run.id.to_string(),
                    started_at,
                    text: Arc::clone(&run.text),
                };
                active.entry(Arc::clone(&run.key)).or_default().push(view);
            }
        }
        active
    }

    fn count(&self) {
        self.active.send_replace(self.runs.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_known_while_its_message_is_being_stored() {
        let mut state = RunnerState::new(1);
        let (key, id): (Arc<str>, Arc<str>) = ("agent:main:main".into(), "k1".into());
        let (stopper, stop) = watch::channel(None);
        let serial = state.register(&id, &key, &Arc::default(), stopper, 7);
        assert_eq!(state.waiting(), 1);
        let Known::Waiting(mut told) = state.ask("k1") else {
            panic!("it is known")
        };
        let (stopped, queued) = state.stop(&key, None, StopCause::Asked);
        assert_eq!((stopped, queued.len()), (vec!["k1".to_owned()], 0));
        assert_eq!(*stop.borrow(), Some(StopCause::Asked));
        let (active, _) = state.drain();
        assert_eq!(*active.borrow(), 1, "a drain waits for it");

        state.withdraw(serial);
        assert!(told.try_recv().is_err() && *active.borrow() == 0);
        assert!(matches!(state.ask("k1"), Known::Unknown(_)));
        assert_eq!(state.waiting(), 0);
    }
}
