//! When a job is due. Pure.
//!
//! A slot is a point of time at which a job is due. Times of a cron expression are those of its zone:
//! a time that a clock change skips is due when the clock goes on, one that it repeats is due once.

use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use openclaw_protocol::methods::cron::{CronSchedule, ScheduleKind};
use sha2::{Digest as _, Sha256};

use crate::clock::Millis;

/// Shortest time between two slots of `every`.
const MIN_EVERY_MS: u64 = 1_000;

/// A schedule that was understood.
#[derive(Debug)]
pub enum Timing {
    /// Once.
    At(Millis),
    /// At regular times.
    Every {
        /// Milliseconds between two slots.
        every: i64,
        /// One of the slots, milliseconds since the epoch.
        anchor: i64,
    },
    /// By an expression.
    Cron {
        /// The expression.
        cron: Box<Cron>,
        /// Whose clock it means.
        zone: TimeZone,
        /// How late each slot is, milliseconds.
        late: i64,
    },
}

impl Timing {
    /// Understands a schedule of the job `id` that was made at `made`; `local` is the zone of times
    /// that name none.
    ///
    /// # Errors
    ///
    /// What is wrong with it, beginning with its place.
    pub fn of(
        schedule: &CronSchedule,
        id: &str,
        made: Millis,
        local: &TimeZone,
    ) -> Result<Self, String> {
        match schedule.kind {
            ScheduleKind::At => at(schedule, local).map(Self::At),
            ScheduleKind::Every => {
                let every = schedule
                    .every_ms
                    .ok_or("at /schedule/everyMs: say how many milliseconds lie between two runs")?;
                if every < MIN_EVERY_MS {
                    return Err(format!(
                        "at /schedule/everyMs: must be >= {MIN_EVERY_MS}, which is one second"
                    ));
                }
                Ok(Self::Every {
                    every: i64::try_from(every).unwrap_or(i64::MAX),
                    anchor: schedule
                        .anchor_ms
                        .and_then(|anchor| i64::try_from(anchor).ok())
                        .unwrap_or(made.0),
                })
            }
            ScheduleKind::Cron => cron(schedule, id, local),
            ScheduleKind::OnExit | ScheduleKind::Stream => Err(
                "at /schedule/kind: this gateway runs jobs by the clock only; use at, every or cron"
                    .into(),
            ),
        }
    }

    /// The first slot after `after`.
    pub fn next(&self, after: Millis) -> Option<Millis> {
        match self {
            Self::At(at) => (*at > after).then_some(*at),
            Self::Every { every, anchor } => {
                let passed = after.0.saturating_sub(*anchor);
                let slots = if passed < 0 { 0 } else { passed / every + 1 };
                Some(Millis(anchor.saturating_add(slots.saturating_mul(*every))))
            }
            Self::Cron { cron, zone, late } => {
                let from = Timestamp::from_millisecond(after.0.saturating_sub(*late)).ok()?;
                let next = cron
                    .find_next_occurrence(&from.to_zoned(zone.clone()), false)
                    .ok()?;
                Some(Millis(
                    next.timestamp().as_millisecond().saturating_add(*late),
                ))
            }
        }
    }

    /// The last of the slots that lie in `due ..= now`, where `due` is one: those before it have had
    /// their time.
    pub fn last_due(&self, due: Millis, now: Millis) -> Millis {
        match self {
            Self::At(_) => due,
            Self::Every { every, .. } => {
                let passed = now.0.saturating_sub(due.0).max(0) / every;
                Millis(due.0.saturating_add(passed.saturating_mul(*every)))
            }
            Self::Cron { cron, zone, late } => {
                let until = Timestamp::from_millisecond(now.0.saturating_sub(*late));
                let last = until.ok().and_then(|until| {
                    let until = until.to_zoned(zone.clone());
                    cron.find_previous_occurrence(&until, true).ok()
                });
                let last = last.map(|last| Millis(last.timestamp().as_millisecond() + late));
                last.filter(|last| *last >= due && *last <= now)
                    .unwrap_or(due)
            }
        }
    }
}

impl Timing {
    /// The first of the last `most` slots that lie in `due ..= now`, where `due` is one.
    pub fn oldest_due(&self, due: Millis, now: Millis, most: usize) -> Millis {
        let mut oldest = self.last_due(due, now);
        for _ in 1..most {
            match self.before(oldest) {
                Some(before) if before >= due => oldest = before,
                _ => break,
            }
        }
        oldest
    }

    /// The slot before a slot.
    fn before(&self, slot: Millis) -> Option<Millis> {
        match self {
            Self::At(_) => None,
            Self::Every { every, .. } => Some(Millis(slot.0.saturating_sub(*every))),
            Self::Cron { cron, zone, late } => {
                let at = Timestamp::from_millisecond(slot.0.saturating_sub(*late)).ok()?;
                let before = cron
                    .find_previous_occurrence(&at.to_zoned(zone.clone()), false)
                    .ok()?;
                Some(Millis(before.timestamp().as_millisecond() + late))
            }
        }
    }
}

fn at(schedule: &CronSchedule, local: &TimeZone) -> Result<Millis, String> {
    if let Some(ms) = schedule.at_ms {
        return Ok(Millis(i64::try_from(ms).unwrap_or(i64::MAX)));
    }
    let text = schedule
        .at
        .as_deref()
        .ok_or("at /schedule/at: say when, e.g. 2027-01-31T09:00:00Z")?
        .trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Millis(at.as_millisecond()));
    }
    if let Ok(at) = text.parse::<civil::DateTime>()
        && let Ok(at) = at.to_zoned(local.clone())
    {
        return Ok(Millis(at.timestamp().as_millisecond()));
    }
    Err("at /schedule/at: is no time; write it as 2027-01-31T09:00:00Z".into())
}

fn cron(schedule: &CronSchedule, id: &str, local: &TimeZone) -> Result<Timing, String> {
    let expr = schedule
        .expr
        .as_deref()
        .ok_or("at /schedule/expr: say when, e.g. 0 9 * * 1-5")?;
    let cron = CronParser::new()
        .parse(expr.trim())
        .map_err(|error| format!("at /schedule/expr: is no cron expression: {error}"))?;
    let zone = match schedule.tz.as_deref().map(str::trim) {
        None | Some("") => local.clone(),
        Some(name) => TimeZone::get(name).map_err(|_| {
            format!("at /schedule/tz: no time zone is called \"{name}\"; write it as Europe/Zurich")
        })?,
    };
    let late = match schedule.stagger_ms {
        None | Some(0) => 0,
        Some(below) => {
            let digest = Sha256::digest(id.as_bytes());
            let mut first = [0; 8];
            first.copy_from_slice(&digest[..8]);
            i64::try_from(u64::from_be_bytes(first) % below).unwrap_or_default()
        }
    };
    let timing = Timing::Cron {
        cron: Box::new(cron),
        zone,
        late,
    };
    Ok(timing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Millis {
        Millis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn expr(expr: &str, tz: &str) -> Timing {
        let schedule = CronSchedule {
            kind: ScheduleKind::Cron,
            expr: Some(expr.into()),
            tz: Some(tz.into()),
            ..CronSchedule::default()
        };
        Timing::of(&schedule, "job", Millis(0), &TimeZone::UTC).unwrap()
    }

    fn slots(timing: &Timing, from: &str, count: usize) -> Vec<String> {
        let mut at = ms(from);
        let mut slots = Vec::new();
        for _ in 0..count {
            at = timing.next(at).unwrap();
            slots.push(Timestamp::from_millisecond(at.0).unwrap().to_string());
        }
        slots
    }

    #[test]
    fn expressions_mean_the_clock_of_their_zone_over_its_changes() {
        // The hour from 02:00 to 03:00 of the 29th of March is left out, that of the 25th of October
        // comes twice.
        let early = expr("30 2 * * *", "Europe/Zurich");
        assert_eq!(
            slots(&early, "2026-03-28T00:00:00Z", 3),
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
        let autumn = slots(&early, "2026-10-24T00:00:00Z", 3);
        assert_eq!(
            autumn,
            [
                "2026-10-24T00:30:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:30:00Z"
            ]
        );
        assert_eq!(
            slots(
                &expr("0 9 * * 1-5", "America/New_York"),
                "2026-11-20T15:00:00Z",
                2
            ),
            ["2026-11-23T14:00:00Z", "2026-11-24T14:00:00Z"]
        );
        assert_eq!(
            slots(&expr("*/20 * * * * *", "UTC"), "2026-11-20T15:00:00Z", 2),
            ["2026-11-20T15:00:20Z", "2026-11-20T15:00:40Z"]
        );
    }

    #[test]
    fn regular_times_do_not_drift() {
        let timing = Timing::Every {
            every: 60_000,
            anchor: 5_000,
        };
        assert_eq!(timing.next(Millis(0)), Some(Millis(5_000)));
        assert_eq!(timing.next(Millis(5_000)), Some(Millis(65_000)));
        assert_eq!(timing.next(Millis(70_001)), Some(Millis(125_000)));
        assert_eq!(
            timing.last_due(Millis(65_000), Millis(300_000)),
            Millis(245_000)
        );
        assert_eq!(
            timing.last_due(Millis(65_000), Millis(65_000)),
            Millis(65_000)
        );
    }

    #[test]
    fn the_last_due_slot_of_an_expression() {
        let timing = expr("0 * * * *", "UTC");
        let (due, now) = (ms("2026-11-20T15:00:00Z"), ms("2026-11-20T18:59:59Z"));
        assert_eq!(timing.last_due(due, now), ms("2026-11-20T18:00:00Z"));
        assert_eq!(timing.last_due(due, due), due);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |schedule: CronSchedule| {
            Timing::of(&schedule, "job", Millis(0), &TimeZone::UTC).unwrap_err()
        };
        let of = |kind| CronSchedule {
            kind,
            ..CronSchedule::default()
        };
        for (schedule, place) in [
            (of(ScheduleKind::At), "at /schedule/at"),
            (of(ScheduleKind::Every), "at /schedule/everyMs"),
            (of(ScheduleKind::Cron), "at /schedule/expr"),
            (of(ScheduleKind::Stream), "at /schedule/kind"),
            (
                CronSchedule {
                    at: Some("tomorrow".into()),
                    ..of(ScheduleKind::At)
                },
                "at /schedule/at",
            ),
            (
                CronSchedule {
                    every_ms: Some(10),
                    ..of(ScheduleKind::Every)
                },
                "at /schedule/everyMs",
            ),
            (
                CronSchedule {
                    expr: Some("61 * * * *".into()),
                    ..of(ScheduleKind::Cron)
                },
                "at /schedule/expr",
            ),
            (
                CronSchedule {
                    expr: Some("0 9 * * *".into()),
                    tz: Some("Mars/Olympus".into()),
                    ..of(ScheduleKind::Cron)
                },
                "at /schedule/tz",
            ),
        ] {
            let error = wrong(schedule);
            assert!(error.starts_with(place), "{error}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_local_and_a_stagger_is_the_same_each_time() {
        let zone = TimeZone::get("Europe/Zurich").unwrap();
        let schedule = CronSchedule {
            at: Some("2027-01-31T09:00:00".into()),
            ..CronSchedule::default()
        };
        let timing = Timing::of(&schedule, "job", Millis(0), &zone).unwrap();
        assert_eq!(timing.next(Millis(0)), Some(ms("2027-01-31T08:00:00Z")));
        assert_eq!(timing.next(ms("2027-01-31T08:00:00Z")), None);
        let staggered = CronSchedule {
            kind: ScheduleKind::Cron,
            expr: Some("0 * * * *".into()),
            stagger_ms: Some(60_000),
            ..CronSchedule::default()
        };
        let timing = Timing::of(&staggered, "job", Millis(0), &TimeZone::UTC).unwrap();
        let first = timing.next(ms("2026-11-20T15:00:00Z")).unwrap();
        let second = timing.next(first).unwrap();
        assert_eq!(second.0 - first.0, 3_600_000);
        assert_eq!(timing.last_due(first, second), second);
    }
}
