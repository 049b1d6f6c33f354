//! When agents look after things by themselves, and what they are told then. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openclaw_protocol::methods::heartbeat::HeartbeatEvent;
use serde::{Deserialize, Serialize};

use super::hours::Hours;
use crate::clock::Millis;
use crate::store::{Op, Table};

/// Most texts that wait for an agent.
pub const MAX_NOTES: usize = 100;
/// Longest one, characters; of a longer one the beginning is told.
pub const MAX_NOTE: usize = 20_000;
/// Most characters of all of them: they are one message to a model.
pub const MAX_TEXT: usize = 100_000;
/// Most heartbeats that fail with a text: it may be what makes them fail.
pub const MAX_TRIES: u32 = 24;
/// The same thing is not told twice within this time.
const SAME: Duration = Duration::from_hours(24);

/// How an agent's heartbeat is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The time between two.
    pub every: Duration,
    /// When it may; always where unset.
    pub hours: Option<Hours>,
    /// What the agent is asked.
    pub prompt: String,
    /// Another model than the agent's.
    pub model: Option<String>,
    /// With at most this many characters beside the agreed word, an answer is not told.
    pub ack_max_chars: usize,
    /// Where the answer goes.
    pub target: Target,
}

/// Where an answer goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    Nobody,
    /// Into the agent's main conversation.
    #[default]
    Main,
    /// To somebody on a channel.
    Channel {
        /// The channel.
        channel: String,
        /// Who.
        to: String,
        /// The account that sends.
        account: Option<String>,
    },
}

impl Target {
    /// As it is written in the configuration.
    pub fn name(&self) -> &str {
        match self {
            Self::Nobody => "none",
            Self::Main => "last",
            Self::Channel { channel, .. } => channel,
        }
    }
}

/// A text that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Names it: the same is not told twice.
    pub id: String,
    /// What the agent is told.
    pub text: String,
    /// Heartbeats that failed with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How a heartbeat ended for what the agent was to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The agent heard it.
    Yes,
    /// There was no room for the heartbeat, or nothing to do.
    NotYet,
    /// It failed.
    Failed,
}

/// What is stored of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Row {
    /// When its last heartbeat began.
    pub last: Option<Millis>,
    /// How many there were.
    pub beats: u64,
    /// What it is told with the next one.
    pub notes: Vec<Note>,
    /// Whether that is at once.
    pub at_once: bool,
    /// The digest of what was told last, and when.
    pub said: Option<(String, Millis)>,
}

/// A heartbeat that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The agent.
    pub agent: String,
    /// Names the run.
    pub run_id: String,
    /// When it began.
    pub started: Millis,
    /// What the agent is told.
    pub notes: Vec<Note>,
    /// The digest of what may not be told again.
    pub said: Option<String>,
}

/// The agents' heartbeats.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Whether they were stopped.
    pub off: bool,
    /// The last one that ended.
    pub last: Option<HeartbeatEvent>,
    rows: BTreeMap<String, Row>,
    running: BTreeSet<String>,
}

/// A change: written first, then in effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The agent.
    pub agent: String,
    /// Its row as it will be.
    pub row: Row,
}

impl Change {
    /// What is written.
    pub fn op(&self) -> Op {
        let stored = Stored::Agent {
            agent: self.agent.clone(),
            row: self.row.clone(),
        };
        stored.op()
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Stored {
    /// What counts for all agents.
    All {
        /// Whether heartbeats were stopped.
        #[serde(default)]
        off: bool,
        /// The last one that ended.
        #[serde(default)]
        last: Option<HeartbeatEvent>,
    },
    /// One agent.
    Agent {
        /// Its id.
        agent: String,
        /// What is stored of it.
        row: Row,
    },
}

impl Stored {
    /// What is written.
    pub fn op(&self) -> Op {
        let key = match self {
            Self::All { .. } => "all".to_owned(),
            Self::Agent { agent, .. } => format!("agent:{agent}"),
        };
        Op::put_json(Table::Heartbeats, key, self)
            .expect("rows are structs with text keys, which JSON can hold")
    }
}

impl State {
    /// What was stored.
    pub fn new(stored: impl IntoIterator<Item = Stored>) -> Self {
        let mut state = Self::default();
        for row in stored {
            match row {
                Stored::All { off, last } => (state.off, state.last) = (off, last),
                Stored::Agent { agent, row } => drop(state.rows.insert(agent, row)),
            }
        }
        state
    }

    /// The same without what only this process knows: nobody looks after anything.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            running: BTreeSet::new(),
            ..self.clone()
        }
    }

    /// What is stored for all agents, after this changed.
    pub fn all(&self) -> Stored {
        Stored::All {
            off: self.off,
            last: self.last.clone(),
        }
    }

    /// An agent that is seen for the first time has its first heartbeat an interval later.
    pub fn welcome(&self, agent: &str, now: Millis) -> Option<Change> {
        let row = self.rows.get(agent);
        if row.is_some_and(|row| row.last.is_some()) {
            return None;
        }
        Some(Change {
            agent: agent.to_owned(),
            row: Row {
                last: Some(now),
                ..row.cloned().unwrap_or_default()
            },
        })
    }

    /// Puts a written change into effect.
    pub fn put(&mut self, change: Change) {
        self.rows.insert(change.agent, change.row);
    }

    /// The host's clock was set back: what lies in the future then is now.
    pub fn settle(&mut self, now: Millis) {
        for row in self.rows.values_mut() {
            row.last = row.last.map(|last| last.min(now));
        }
    }

    /// When an agent's next heartbeat is; `None` while one is under way, or all are stopped.
    pub fn next(&self, agent: &str, plan: &Plan, now: Millis) -> Option<Millis> {
        if self.off || self.running.contains(agent) {
            return None;
        }
        let row = self.rows.get(agent);
        if row.is_some_and(|row| row.at_once) {
            return Some(now);
        }
        let last = row.and_then(|row| row.last)?;
        let at = last.plus(plan.every).max(now);
        Some(plan.hours.as_ref().map_or(at, |hours| hours.opens(at)))
    }

    /// Begins an agent's heartbeat, if it is due.
    pub fn begin(&self, agent: &str, plan: &Plan, now: Millis) -> Option<(Change, Beat)> {
        if self.next(agent, plan, now)? > now {
            return None;
        }
        let mut row = self.rows.get(agent).cloned().unwrap_or_default();
        let beat = Beat {
            agent: agent.to_owned(),
            run_id: format!("heartbeat:{agent}:{}", row.beats),
            started: now,
            notes: row.notes.clone(),
            said: row
                .said
                .as_ref()
                .filter(|(_, at)| now.since(*at) < SAME)
                .map(|(digest, _)| digest.clone()),
        };
        row.beats += 1;
        row.last = Some(now);
        let change = Change {
            agent: agent.to_owned(),
            row,
        };
        Some((change, beat))
    }

    /// Somebody looks after a heartbeat.
    pub fn tend(&mut self, agent: &str) {
        self.running.insert(agent.to_owned());
    }

    /// Nobody does any more.
    pub fn untend(&mut self, agent: &str) {
        self.running.remove(agent);
    }

    /// Ends a heartbeat. What the agent heard does not wait any more, nor what too many heartbeats failed
    /// with; what was said is kept as a digest.
    pub fn finish(&self, beat: &Beat, heard: Heard, said: Option<String>) -> Change {
        let mut row = self.rows.get(&beat.agent).cloned().unwrap_or_default();
        let was_told = |note: &Note| beat.notes.iter().any(|told| told.id == note.id);
        match heard {
            Heard::Yes => row.notes.retain(|note| !was_told(note)),
            Heard::NotYet => {}
            Heard::Failed => {
                for note in row.notes.iter_mut().filter(|note| was_told(note)) {
                    note.tries += 1;
                }
                row.notes.retain(|note| note.tries < MAX_TRIES);
            }
        }
        // What came meanwhile and is urgent has another heartbeat; what failed waits for the next.
        let newer = row.notes.iter().any(|note| !was_told(note));
        row.at_once &= newer;
        if let Some(digest) = said {
            row.said = Some((digest, beat.started));
        }
        Change {
            agent: beat.agent.clone(),
            row,
        }
    }

    /// Keeps a text for an agent. `None` when it waits already.
    ///
    /// # Errors
    ///
    /// When too many wait, or too much.
    pub fn note(
        &self,
        agent: &str,
        mut note: Note,
        at_once: bool,
    ) -> Result<Option<Change>, String> {
        if let Some((end, _)) = note.text.char_indices().nth(MAX_NOTE) {
            note.text.truncate(end);
            note.text.push_str(" … (the rest was too long)");
        }
        let mut row = self.rows.get(agent).cloned().unwrap_or_default();
        if row.notes.iter().any(|known| known.id == note.id) {
            return Ok(None);
        }
        let more = note.text.chars().count();
        let text: usize = row.notes.iter().map(|note| note.text.chars().count()).sum();
        if row.notes.len() >= MAX_NOTES || text + more > MAX_TEXT {
            return Err(format!(
                "{} texts wait for the heartbeat of agent {agent} already; `openclaw system heartbeat last` says how the last one went",
                row.notes.len()
            ));
        }
        row.notes.push(note);
        row.at_once |= at_once;
        Ok(Some(Change {
            agent: agent.to_owned(),
            row,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hours::minute_of_day;
    use super::*;

    const MIN: i64 = 60_000;

    fn plan(minutes: u64) -> Plan {
        Plan {
            every: Duration::from_mins(minutes),
            hours: None,
            prompt: String::new(),
            model: None,
            ack_max_chars: 300,
            target: Target::Main,
        }
    }

    fn note(id: &str) -> Note {
        Note {
            id: id.into(),
            text: id.into(),
            tries: 0,
        }
    }

    fn beat(state: &mut State, plan: &Plan, now: Millis) -> Option<Beat> {
        let (change, beat) = state.begin("main", plan, now)?;
        state.put(change);
        state.tend("main");
        Some(beat)
    }

    fn end(state: &mut State, beat: &Beat, heard: bool) {
        let heard = if heard { Heard::Yes } else { Heard::Failed };
        state.put(state.finish(beat, heard, None));
        state.untend("main");
    }

    fn fresh(now: Millis) -> State {
        let mut state = State::default();
        state.put(state.welcome("main", now).unwrap());
        state
    }

    #[test]
    fn beats_come_at_their_interval_also_over_restarts_of_every_minute() {
        let plan = plan(30);
        let mut begun = Vec::new();
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for minute in 0..600 {
            // A process of one minute; the rows go through their stored form.
            let now = Millis(minute * MIN);
            let stored = rows.iter().map(|(agent, row)| {
                let stored = Stored::Agent {
                    agent: agent.clone(),
                    row: row.clone(),
                };
                serde_json::from_slice(&serde_json::to_vec(&stored).unwrap()).unwrap()
            });
            let mut state = State::new(stored);
            if let Some(change) = state.welcome("main", now) {
                state.put(change);
            }
            if let Some(beat) = beat(&mut state, &plan, now) {
                begun.push(minute);
                end(&mut state, &beat, true);
            }
            rows.clone_from(&state.rows);
        }
        let expected: Vec<i64> = (1..20).map(|beat| beat * 30).collect();
        assert_eq!(begun, expected);
    }

    #[test]
    fn what_no_heartbeat_survives_is_let_go_and_what_came_later_is_not() {
        let mut state = fresh(Millis(0));
        let plan = plan(30);
        let keep = |state: &mut State, note| {
            let change = state.note("main", note, false).unwrap().unwrap();
            state.put(change);
        };
        keep(&mut state, note("a"));
        for count in 1..=i64::from(MAX_TRIES) {
            if count == i64::from(MAX_TRIES) {
                keep(&mut state, note("b"));
            }
            let beat = beat(&mut state, &plan, Millis(count * 30 * MIN)).expect("it is due");
            assert_eq!(beat.notes[0].id, "a");
            end(&mut state, &beat, false);
        }
        let left: Vec<_> = state.rows["main"]
            .notes
            .iter()
            .map(|note| &*note.id)
            .collect();
        assert_eq!(left, ["b"]);
    }

    #[test]
    fn texts_are_bounded_alone_and_together() {
        let mut state = fresh(Millis(0));
        let long = |id: usize| Note {
            text: "ä".repeat(1_000_000),
            ..note(&id.to_string())
        };
        let mut kept = 0;
        while let Ok(Some(change)) = state.note("main", long(kept), false) {
            state.put(change);
            kept += 1;
        }
        assert_eq!(kept, 4);
        let text = |note: &Note| note.text.chars().count();
        let all: usize = state.rows["main"].notes.iter().map(text).sum();
        assert!(all > 4 * MAX_NOTE && all <= MAX_TEXT, "{all}");
    }

    #[test]
    fn a_day_has_its_beats_within_its_hours() {
        let mut plan = plan(60);
        plan.hours = Some(Hours {
            start: minute_of_day("08:00").unwrap(),
            end: minute_of_day("12:00").unwrap(),
            zone: jiff::tz::TimeZone::UTC,
        });
        let mut state = fresh(Millis(30 * MIN));
        let mut begun = Vec::new();
        for minute in 30..3 * 24 * 60 {
            let now = Millis(minute * MIN);
            if let Some(beat) = beat(&mut state, &plan, now) {
                begun.push(minute);
                end(&mut state, &beat, true);
            }
        }
        let expected: Vec<i64> = (0..3)
            .flat_map(|day| (8..12).map(move |hour| (day * 24 + hour) * 60))
            .collect();
        assert_eq!(begun, expected);
    }

    #[test]
    fn what_waits_is_told_once_and_again_after_a_failure() {
        let plan = plan(30);
        let mut state = fresh(Millis(0));
        let change = state.note("main", note("a"), false).unwrap().unwrap();
        state.put(change);
        assert_eq!(state.note("main", note("a"), true).unwrap(), None);
        let first = beat(&mut state, &plan, Millis(30 * MIN)).unwrap();
        assert_eq!(first.notes, [note("a")]);
        // It comes while the agent is busy, and is urgent.
        let change = state.note("main", note("b"), true).unwrap().unwrap();
        state.put(change);
        assert_eq!(state.next("main", &plan, Millis(31 * MIN)), None);
        end(&mut state, &first, true);
        let second = beat(&mut state, &plan, Millis(31 * MIN)).unwrap();
        assert_eq!(second.notes, [note("b")]);
        assert_ne!(first.run_id, second.run_id);
        end(&mut state, &second, false);
        assert_eq!(
            state.next("main", &plan, Millis(32 * MIN)),
            Some(Millis(61 * MIN))
        );
        let third = beat(&mut state, &plan, Millis(61 * MIN)).unwrap();
        let again = Note {
            tries: 1,
            ..note("b")
        };
        assert_eq!(third.notes, [again]);
    }

    #[test]
    fn too_many_texts_are_refused_and_all_can_be_stopped() {
        let mut state = fresh(Millis(0));
        for number in 0..MAX_NOTES {
            let change = state.note("main", note(&number.to_string()), true);
            state.put(change.unwrap().unwrap());
        }
        assert!(
            state
                .note("main", note("more"), true)
                .unwrap_err()
                .contains("100 texts")
        );
        state.off = true;
        assert_eq!(state.next("main", &plan(1), Millis(MIN)), None);
        assert_eq!(state.begin("main", &plan(1), Millis(MIN)), None);
    }

    #[test]
    fn the_same_thing_is_not_said_twice_a_day_and_a_clock_may_be_set_back() {
        let plan = plan(30);
        let mut state = fresh(Millis(0));
        let first = beat(&mut state, &plan, Millis(30 * MIN)).unwrap();
        state.put(state.finish(&first, Heard::Yes, Some("digest".into())));
        state.untend("main");
        let second = beat(&mut state, &plan, Millis(60 * MIN)).unwrap();
        assert_eq!(second.said.as_deref(), Some("digest"));
        end(&mut state, &second, true);
        let later = beat(&mut state, &plan, Millis(26 * 60 * MIN)).unwrap();
        assert_eq!(later.said, None);
        end(&mut state, &later, true);
        // A day back: it would wait for that day.
        let back = Millis(2 * 60 * MIN);
        state.settle(back);
        assert_eq!(state.next("main", &plan, back), Some(back.plus(plan.every)));
    }
}
