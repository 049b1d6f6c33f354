//! Lanes: one run at a time per session, a bounded number over all. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Runs by session.
#[derive(Debug)]
pub struct Lanes<T> {
    by_session: HashMap<Arc<str>, Lane<T>>,
    /// Sessions whose first item waits for a free place.
    ready: VecDeque<Arc<str>>,
    running: usize,
    queued: usize,
    max_running: usize,
}

#[derive(Debug)]
struct Lane<T> {
    queue: VecDeque<T>,
    running: bool,
    /// Its next item waits for more, and for [`Lanes::go_on`].
    resting: bool,
}

impl<T> Lanes<T> {
    /// Lanes that run at most `max_running` items at one time.
    pub fn new(max_running: usize) -> Self {
        Self {
            by_session: HashMap::new(),
            ready: VecDeque::new(),
            running: 0,
            queued: 0,
            max_running,
        }
    }

    /// Changes the bound; running items go on, and with 0 none starts.
    pub fn set_max_running(&mut self, max_running: usize) {
        self.max_running = max_running;
    }

    /// Adds an item; gives back those that may start now.
    pub fn submit(&mut self, key: &Arc<str>, item: T) -> Vec<T> {
        let lane = self
            .by_session
            .entry(Arc::clone(key))
            .or_insert_with(|| Lane {
                queue: VecDeque::new(),
                running: false,
                resting: false,
            });
        lane.queue.push_back(item);
        self.queued += 1;
        if !lane.running && !lane.resting && lane.queue.len() == 1 {
            self.ready.push_back(Arc::clone(key));
        }
        self.start()
    }

    /// The running item of a lane ended; gives back those that may start now.
    pub fn done(&mut self, key: &Arc<str>) -> Vec<T> {
        if let Some(lane) = self.by_session.get_mut(key)
            && lane.running
        {
            lane.running = false;
            self.running -= 1;
            if lane.queue.is_empty() {
                self.by_session.remove(key);
            } else {
                self.ready.push_back(Arc::clone(key));
            }
        }
        self.start()
    }

    /// The running item of a lane ended, and the next one waits on; gives back those of other lanes
    /// that may start now.
    pub fn rest(&mut self, key: &Arc<str>) -> Vec<T> {
        if let Some(lane) = self.by_session.get_mut(key)
            && lane.running
        {
            lane.running = false;
            lane.resting = true;
            self.running -= 1;
        }
        self.start()
    }

    /// A lane that rests goes on; gives back the items that may start now.
    pub fn go_on(&mut self, key: &Arc<str>) -> Vec<T> {
        if let Some(lane) = self.by_session.get_mut(key)
            && lane.resting
        {
            lane.resting = false;
            self.ready.push_back(Arc::clone(key));
        }
        self.start()
    }

    /// The next item of a lane.
    pub fn next(&self, key: &str) -> Option<&T> {
        self.by_session.get(key)?.queue.front()
    }

    fn start(&mut self) -> Vec<T> {
        let mut started = Vec::new();
        while self.running < self.max_running {
            let Some(key) = self.ready.pop_front() else {
                break;
            };
            let Some(lane) = self.by_session.get_mut(&key) else {
                continue;
            };
            if lane.running {
                continue;
            }
            if let Some(item) = lane.queue.pop_front() {
                lane.running = true;
                self.running += 1;
                self.queued -= 1;
                started.push(item);
            } else {
                self.by_session.remove(&key);
            }
        }
        started
    }

    /// Takes out queued items of a lane that match.
    pub fn remove(&mut self, key: &str, matches: impl Fn(&T) -> bool) -> Vec<T> {
        let Some(lane) = self.by_session.get_mut(key) else {
            return Vec::new();
        };
        let (removed, kept): (Vec<T>, Vec<T>) =
            lane.queue.drain(..).partition(|item| matches(item));
        lane.queue = kept.into();
        self.queued -= removed.len();
        if lane.queue.is_empty() && !lane.running {
            self.by_session.remove(key);
            self.ready.retain(|other| **other != *key);
        }
        removed
    }

    /// Takes the next queued items of a lane for as long as they match.
    pub fn take_while(&mut self, key: &str, matches: impl Fn(&T) -> bool) -> Vec<T> {
        let Some(lane) = self.by_session.get_mut(key) else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        while lane.queue.front().is_some_and(&matches) {
            taken.extend(lane.queue.pop_front());
        }
        self.queued -= taken.len();
        taken
    }

    /// Takes the two oldest queued items of a lane when it holds more than `max`.
    pub fn overflow(&mut self, key: &str, max: usize) -> Option<(T, T)> {
        let lane = self.by_session.get_mut(key)?;
        if lane.queue.len() <= max.max(1) {
            return None;
        }
        let pair = (lane.queue.pop_front()?, lane.queue.pop_front()?);
        self.queued -= 2;
        Some(pair)
    }

    /// Puts an item before those that wait in a lane.
    pub fn put_back(&mut self, key: &str, item: T) {
        if let Some(lane) = self.by_session.get_mut(key) {
            lane.queue.push_front(item);
            self.queued += 1;
        }
    }

    /// Queued items over all lanes.
    pub const fn queued(&self) -> usize {
        self.queued
    }

    /// Running items over all lanes.
    pub const fn running(&self) -> usize {
        self.running
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sessions_run_side_by_side_and_each_in_order() {
        let mut lanes = Lanes::new(2);
        let (a, b, c): (Arc<str>, Arc<str>, Arc<str>) = ("a".into(), "b".into(), "c".into());
        assert!(lanes.next("a").is_none());
        assert_eq!(lanes.submit(&a, 1), [1]);
        assert!(lanes.submit(&a, 2).is_empty());
        assert_eq!(lanes.submit(&b, 3), [3]);
        assert!(lanes.submit(&c, 4).is_empty());
        assert_eq!(lanes.done(&a), [4]);
        assert_eq!(lanes.done(&b), [2]);
        assert_eq!((lanes.running(), lanes.queued()), (2, 0));
    }

    #[test]
    fn a_lane_that_rests_holds_nobody_up_and_loses_nothing() {
        let mut lanes = Lanes::new(1);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert_eq!(lanes.submit(&a, 1), [1]);
        assert!(lanes.submit(&a, 2).is_empty());
        assert!(lanes.submit(&b, 3).is_empty());
        assert_eq!(lanes.rest(&a), [3]);
        assert_eq!(lanes.next("a"), Some(&2));
        assert!(lanes.submit(&a, 4).is_empty());
        assert!(lanes.done(&b).is_empty(), "it rests");
        assert_eq!(lanes.go_on(&a), [2]);
        assert!(lanes.go_on(&a).is_empty(), "once");
        assert_eq!(lanes.done(&a), [4]);
        assert!(lanes.submit(&a, 5).is_empty());
        // What waits is stopped; the lane is as if it were new.
        assert!(lanes.rest(&a).is_empty());
        assert_eq!(lanes.remove("a", |_| true), [5]);
        assert!(lanes.go_on(&a).is_empty());
        assert_eq!(lanes.submit(&a, 6), [6]);
    }

    proptest! {
        #[test]
        fn no_lane_runs_two_and_every_item_runs_once_in_order(max in 1_usize..4, steps in proptest::collection::vec((0_u8..4, any::<bool>()), 1..80)) {
            let mut lanes = Lanes::new(max);
            let mut running: BTreeMap<Arc<str>, u32> = BTreeMap::new();
            let mut seen: BTreeMap<Arc<str>, Vec<u32>> = BTreeMap::new();
            let mut submitted: BTreeMap<Arc<str>, Vec<u32>> = BTreeMap::new();
            let mut next = 0_u32;
            let mut note = |started: Vec<(Arc<str>, u32)>, running: &mut BTreeMap<Arc<str>, u32>| {
                for (key, item) in started {
                    assert!(running.insert(Arc::clone(&key), item).is_none());
                    seen.entry(key).or_default().push(item);
                }
                assert!(running.len() <= max);
            };
            for (key, submit) in steps {
                let key: Arc<str> = key.to_string().into();
                let started = if submit {
                    next += 1;
                    submitted.entry(Arc::clone(&key)).or_default().push(next);
                    lanes.submit(&key, (Arc::clone(&key), next))
                } else {
                    running.remove(&key);
                    lanes.done(&key)
                };
                note(started, &mut running);
            }
            while let Some((key, _)) = running.pop_first() {
                note(lanes.done(&key), &mut running);
            }
            prop_assert_eq!(lanes.queued(), 0);
            prop_assert_eq!(seen, submitted);
        }
    }
}
