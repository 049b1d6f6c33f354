//! The scheduler's decisions over a simulated year of restarts: each slot runs exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_protocol::Scopes;
use openclaw_protocol::methods::cron::{
    CronAddParams, CronDelivered, CronPayload, CronSchedule, CronStatusName, PayloadKind,
    ScheduleKind,
};

use super::job::{Definition, Job, Outcome};
use super::state::{Change, Rules, State, run_key};
use crate::clock::Millis;
use crate::store::{Op, Table};

/// How long a run takes.
const RUN: i64 = 20_000;
/// How far around a slot the gateway is restarted, seconds.
const AROUND: i64 = 120;

fn rules() -> Rules {
    Rules {
        keep: 3,
        zone: TimeZone::UTC,
        lease: Duration::from_hours(1),
        misfires: Arc::default(),
        alerts: Arc::default(),
    }
}

fn ms(text: &str) -> Millis {
    Millis(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn definition(schedule: CronSchedule) -> Definition {
    Definition::of(CronAddParams {
        name: "job".into(),
        schedule,
        session_target: "isolated".into(),
        payload: CronPayload {
            kind: PayloadKind::AgentTurn,
            message: Some("go".into()),
            ..CronPayload::default()
        },
        ..CronAddParams::default()
    })
    .unwrap()
}

fn expr(expr: &str, tz: &str) -> CronSchedule {
    CronSchedule {
        kind: ScheduleKind::Cron,
        expr: Some(expr.into()),
        tz: Some(tz.into()),
        ..CronSchedule::default()
    }
}

fn good() -> Outcome {
    Outcome {
        status: CronStatusName::Ok,
        error: None,
        summary: None,
        delivery: CronDelivered::NotRequested,
        delivery_error: None,
    }
}

fn added(schedule: CronSchedule, now: Millis) -> Job {
    let state = State::default();
    let added = state.add(
        "job".into(),
        definition(schedule),
        Scopes::NONE,
        now,
        &rules(),
    );
    added.unwrap().job
}

/// A disk, and what was ever asked for. What a process holds besides is gone when it ends.
#[derive(Clone, Default)]
struct Disk {
    jobs: BTreeMap<String, Vec<u8>>,
    /// The keys of the runs that were begun, with their slots.
    asked: BTreeMap<String, Option<Millis>>,
    /// Runs that a process was cut off in.
    cut: BTreeSet<String>,
}

/// Where a process ends, when it ends in the moment of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cut {
    BeforeTheCommit,
    BeforeTheRequest,
    DuringTheRun,
}

impl Disk {
    fn of(job: &Job) -> Self {
        let mut disk = Self::default();
        disk.commit(&Change {
            job: job.clone(),
            ops: Vec::new(),
            notice: None,
        });
        disk
    }

    fn commit(&mut self, change: &Change) {
        let row = serde_json::to_vec(&change.job).unwrap();
        self.jobs.insert(change.job.id.clone(), row);
    }

    fn load(&self) -> State {
        let job = |row: &Vec<u8>| serde_json::from_slice::<Job>(row).unwrap();
        State::new(self.jobs.values().map(job))
    }

    /// The gateway is up from `from` until `until`, where it is cut off.
    fn up(&mut self, from: Millis, until: Millis, cut: Cut) {
        let mut state = self.load();
        let mut now = from;
        // Runs under way, with the time of their end.
        let mut ends: Vec<(Millis, String, bool)> = Vec::new();
        for (_, running) in state.orphans() {
            state.tend(&running.run_id);
            let known = self.asked.insert(running.run_id.clone(), running.slot);
            let end = if known.is_some() {
                now
            } else {
                now.plus(Duration::from_millis(RUN as u64))
            };
            ends.push((end, running.run_id, known.is_some()));
        }
        loop {
            ends.sort();
            let next_end = ends.first().map(|(at, ..)| *at);
            let next = [state.next_due().map(|due| due.max(now)), next_end];
            let Some(next) = next
                .into_iter()
                .flatten()
                .min()
                .filter(|next| *next <= until)
            else {
                break;
            };
            now = next;
            let last = now == until;
            if next_end == Some(now) && !last {
                let (_, run_id, interrupted) = ends.remove(0);
                let outcome = if interrupted {
                    Outcome::failed("interrupted")
                } else {
                    good()
                };
                let finished = state.finish("job", &run_id, outcome, None, now, &rules());
                let (change, _) = finished.unwrap();
                self.commit(&change);
                state.put(change.job);
                continue;
            }
            if last && cut == Cut::BeforeTheCommit {
                break;
            }
            let due = state.due(now);
            if due.is_empty() {
                break;
            }
            for id in due {
                let change = state.begin(&id, false, now, &rules()).unwrap();
                self.commit(&change);
                let running = change.job.running.clone().unwrap();
                state.put(change.job);
                if last && cut == Cut::BeforeTheRequest {
                    return;
                }
                let again = self.asked.insert(running.run_id.clone(), running.slot);
                assert_eq!(again, None, "a key is used once");
                ends.push((
                    now.plus(Duration::from_millis(RUN as u64)),
                    running.run_id,
                    false,
                ));
            }
        }
        self.cut
            .extend(ends.into_iter().map(|(_, run_id, _)| run_id));
    }

    fn runs_of(&self, slot: Millis) -> usize {
        self.asked.values().filter(|of| **of == Some(slot)).count()
    }
}

/// Every slot of a year.
fn slots(job: &Job, until: Millis) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut state = State::new([job.clone()]);
    while let Some(due) = state.next_due().filter(|due| *due < until) {
        jobs.push(state.get("job").unwrap().clone());
        let mut job = state.begin("job", false, due, &rules()).unwrap().job;
        job.running = None;
        state.put(job);
    }
    jobs
}

#[test]
fn each_slot_of_a_year_runs_once_whenever_the_gateway_is_restarted_around_it() {
    let (from, until) = (ms("2026-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z"));
    let every = CronSchedule {
        kind: ScheduleKind::Every,
        every_ms: Some(7 * 3_600_000 + 1_234),
        ..CronSchedule::default()
    };
    let mut seen = 0;
    for (schedule, least) in [
        // In the hours that clock changes leave out and repeat.
        (expr("30 2 * * *", "Europe/Zurich"), 365),
        (expr("0 3 * * *", "America/New_York"), 365),
        (expr("15,45 1 * * 0", "Europe/London"), 104),
        (every, 1_250),
    ] {
        for job in slots(&added(schedule.clone(), from), until) {
            let slot = job.next.unwrap();
            seen += 1;
            // Every slot at a few seconds, each second at a few slots: both are covered many times over.
            let step = if seen % 97 == 0 { 1 } else { 40 };
            for second in (-AROUND..=AROUND).step_by(step) {
                restarted(&job, slot, Millis(slot.0 + second * 1_000));
            }
        }
        assert!(seen >= least, "{seen} slots");
        seen = 0;
    }
}

fn restarted(job: &Job, slot: Millis, at: Millis) {
    let cuts: &[Cut] = if at == slot {
        &[
            Cut::BeforeTheCommit,
            Cut::BeforeTheRequest,
            Cut::DuringTheRun,
        ]
    } else {
        &[Cut::DuringTheRun]
    };
    for cut in cuts {
        for down in [1, 13, 90] {
            let mut disk = Disk::of(job);
            let begin = Millis(slot.0 - (AROUND + 10) * 1_000);
            disk.up(begin, at, *cut);
            let again = at.plus(Duration::from_secs(down));
            let end = Millis(slot.0 + (AROUND + 300) * 1_000);
            disk.up(again, end, Cut::DuringTheRun);
            assert_eq!(
                disk.runs_of(slot),
                1,
                "{slot} restarted at {at} for {down} s, {cut:?}"
            );
            let after = disk.load();
            let after = after.get("job").unwrap();
            assert!(after.next > Some(slot), "{after:?}");
            assert_eq!(
                after.running, None,
                "restarted at {at} for {down} s, {cut:?}"
            );
        }
    }
}

#[test]
fn a_single_time_that_was_missed_is_made_up_for_and_comes_once() {
    let at = ms("2026-06-01T12:00:00Z");
    let once = CronSchedule {
        kind: ScheduleKind::At,
        at: Some("2026-06-01T12:00:00Z".into()),
        ..CronSchedule::default()
    };
    let job = added(once, Millis(at.0 - 3_600_000));
    let mut disk = Disk::of(&job);
    disk.up(
        Millis(at.0 + 86_400_000),
        Millis(at.0 + 90_000_000),
        Cut::DuringTheRun,
    );
    disk.up(
        Millis(at.0 + 91_000_000),
        Millis(at.0 + 99_000_000),
        Cut::DuringTheRun,
    );
    assert_eq!(disk.runs_of(at), 1);
    let state = disk.load();
    let job = state.get("job").unwrap();
    assert!(!job.definition.enabled && job.next.is_none());
}

#[test]
fn slots_that_were_missed_together_are_made_up_for_by_one_run() {
    let from = ms("2026-06-01T00:00:00Z");
    let job = added(expr("0 * * * *", "UTC"), from);
    let mut disk = Disk::of(&job);
    let back = ms("2026-06-01T09:30:00Z");
    disk.up(back, Millis(back.0 + 60_000), Cut::DuringTheRun);
    let ran: Vec<_> = disk.asked.values().flatten().copied().collect();
    assert_eq!(ran, [ms("2026-06-01T09:00:00Z")]);
    assert_eq!(disk.load().next_due(), Some(ms("2026-06-01T10:00:00Z")));
}

#[test]
fn slots_that_were_missed_have_each_their_run_or_none_where_the_rule_says_so() {
    use super::misfire::{MOST, Misfire, Misfires};
    let from = ms("2026-06-01T00:00:00Z");
    let job = added(expr("0 * * * *", "UTC"), from);
    let under = |usual| Rules {
        misfires: Arc::new(Misfires {
            usual,
            ..Misfires::default()
        }),
        ..rules()
    };
    // Down from before one o'clock until half past nine.
    let back = ms("2026-06-01T09:30:00Z");
    let mut state = State::new([job.clone()]);
    let mut ran = Vec::new();
    let each = under(Misfire::All);
    while !state.due(back).is_empty() {
        assert!(state.pass("job", back, &each).is_none());
        let begun = state.begin("job", false, back, &each).unwrap().job;
        let running = begun.running.clone().unwrap();
        ran.push(running.slot.unwrap());
        state.put(begun);
        let ended = state.finish("job", &running.run_id, good(), None, back, &each);
        state.put(ended.unwrap().0.job);
    }
    let hours: Vec<_> = (1..=9)
        .map(|hour| Millis(from.0 + hour * 3_600_000))
        .collect();
    assert_eq!(ran, hours);
    assert_eq!(state.next_due(), Some(ms("2026-06-01T10:00:00Z")));
    // A month away: the last day of it.
    let late = ms("2026-07-01T00:30:00Z");
    let long = State::new([job.clone()])
        .begin("job", false, late, &each)
        .unwrap()
        .job;
    let slot = long.running.unwrap().slot.unwrap();
    assert_eq!(
        slot,
        Millis(ms("2026-07-01T00:00:00Z").0 - (i64::try_from(MOST).unwrap() - 1) * 3_600_000)
    );

    let skip = under(Misfire::Skip);
    let state = State::new([job.clone()]);
    let passed = state.pass("job", back, &skip).unwrap();
    assert_eq!(passed.job.next, Some(ms("2026-06-01T10:00:00Z")));
    assert_eq!(
        passed.job.last.unwrap().outcome.status,
        CronStatusName::Skipped
    );
    assert_eq!(passed.ops.len(), 2, "the history says so");
    // A minute late is in time.
    assert!(
        state
            .pass("job", ms("2026-06-01T09:01:00Z"), &skip)
            .is_none()
    );
    let named = Rules {
        misfires: Arc::new(Misfires {
            usual: Misfire::Skip,
            named: [("job".to_owned(), Misfire::Once)].into(),
        }),
        ..rules()
    };
    assert!(state.pass("job", back, &named).is_none());
    let once = CronSchedule {
        kind: ScheduleKind::At,
        at: Some("2026-06-01T01:00:00Z".into()),
        ..CronSchedule::default()
    };
    let single = State::new([added(once, from)]);
    assert!(
        single.pass("job", back, &skip).is_none(),
        "a single time is always made up for"
    );
}

#[test]
fn a_job_has_one_run_at_a_time_and_its_history_is_bounded() {
    let from = Millis(0);
    let every = CronSchedule {
        kind: ScheduleKind::Every,
        every_ms: Some(1_000),
        ..CronSchedule::default()
    };
    let mut state = State::new([added(every, from)]);
    for number in 0..5_u64 {
        let now = Millis(2_000 + i64::try_from(number).unwrap() * 10_000);
        let begun = state.begin("job", false, now, &rules()).unwrap();
        let run_id = begun.job.running.clone().unwrap().run_id;
        state.put(begun.job);
        assert!(
            state.begin("job", true, now, &rules()).is_none(),
            "one runs"
        );
        assert!(state.due(Millis(now.0 + 5_000)).is_empty());
        let later = Millis(now.0 + 5_000);
        let (change, _) = state
            .finish("job", &run_id, good(), None, later, &rules())
            .unwrap();
        assert!(
            state
                .finish("job", "another", good(), None, later, &rules())
                .is_none()
        );
        let gone = change.ops.iter().find_map(|op| match op {
            Op::DeleteRange { table, to, .. } => Some((*table, to.clone())),
            _ => None,
        });
        let expected = (number >= 3).then(|| (Table::CronRuns, run_key("job", number - 2)));
        assert_eq!(gone, expected);
        state.put(change.job);
    }
}

#[test]
fn a_job_does_no_more_than_who_made_it_and_who_changed_it_may() {
    use openclaw_protocol::Scope;
    let every = CronSchedule {
        kind: ScheduleKind::Every,
        every_ms: Some(60_000),
        ..CronSchedule::default()
    };
    let admin = Scopes::of(&[Scope::Admin]);
    let writer = Scopes::of(&[Scope::Read, Scope::Write]);
    let mut job = added(every, Millis(0));
    job.scopes = admin;
    let state = State::default();
    let changed = |job: &Job, by| {
        let change = state.redefine(job, job.definition.clone(), by, Millis(1), &rules());
        change.unwrap().job
    };
    assert!(changed(&job, admin).scopes.grants(Scope::Admin));
    let by_agent = changed(&job, writer);
    assert!(!by_agent.scopes.grants(Scope::Admin));
    assert!(by_agent.scopes.grants(Scope::Write));
    assert!(!changed(&by_agent, admin).scopes.grants(Scope::Admin));
}
