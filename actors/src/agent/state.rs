//! What the runner knows of its runs. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::lanes::Lanes;
use super::run::{Ended, StopCause, Turn};
use crate::sessions::{ActiveRun, ActiveRuns};

/// Ended runs that `agent.wait` still knows.
const MAX_ENDED: usize = 1_000;

struct Run {
    id: Arc<str>,
    key: Arc<str>,
    text: Arc<Mutex<String>>,
    started_at: Option<u64>,
    /// Its message is not committed yet.
    storing: bool,
    stopper: watch::Sender<Option<StopCause>>,
    waiters: Vec<tokio::sync::oneshot::Sender<Ended>>,
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
    ) -> u64 {
        self.next_serial += 1;
        let run = Run {
            id: Arc::clone(id),
            key: Arc::clone(key),
            text: Arc::clone(text),
            started_at: None,
            storing: true,
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
    pub fn submit(&mut self, mut turn: Turn, max: usize) -> Vec<Turn> {
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
                stopper,
                waiters: Vec::new(),
            }
        });
        run.storing = false;
        self.lanes
            .set_max_running(if self.draining { 0 } else { max });
        let key = Arc::clone(&turn.session.canonical);
        self.lanes.submit(&key, turn)
    }

    /// A run began.
    pub fn started(&mut self, serial: u64, at: u64) {
        if let Some(run) = self.runs.get_mut(&serial) {
            run.started_at = Some(at);
        }
        self.count();
    }

    /// A run ended; those who wait for it learn how. False for a run that nobody knows, which held
    /// no lane.
    pub fn ended(&mut self, serial: u64, ended: Ended) -> bool {
        let known = self.runs.remove(&serial);
        let held = known.is_some();
        if let Some(run) = known {
            for waiter in run.waiters {
                // A waiter that left needs no answer.
                let _ = waiter.send(ended.clone());
            }
        }
        self.ended.push_back(ended);
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
        self.arrivals.send_replace(());
        self.count();
        held
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
        let wanted = |id: &str| run_id.is_none_or(|wanted| wanted == id);
        let mut ids = Vec::new();
        for run in self
            .runs
            .values()
            .filter(|run| *run.key == *key && wanted(&run.id))
        {
            run.stopper.send_replace(Some(cause));
            ids.push(run.id.to_string());
        }
        (ids, self.lanes.remove(key, |turn| wanted(&turn.run_id)))
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
        let serial = state.register(&id, &key, &Arc::default(), stopper);
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
