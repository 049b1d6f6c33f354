//! The hours in which an agent may look after things. Pure.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, civil};

use crate::clock::Millis;

/// Minutes of a day.
pub const DAY: u16 = 24 * 60;

/// Some hours of every day, in one time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// The first minute of the day that belongs to them.
    pub start: u16,
    /// The first one that does not; up to [`DAY`]. Before `start`, they go on over midnight.
    pub end: u16,
    /// Whose clock it is.
    pub zone: TimeZone,
}

impl Hours {
    /// The first time from `at` on that belongs to them: `at` itself, or the next opening.
    pub fn opens(&self, at: Millis) -> Millis {
        let Ok(now) = Timestamp::from_millisecond(at.get()) else {
            return at;
        };
        let now = now.to_zoned(self.zone.clone());
        let minute =
            u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
        let open = if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        };
        if open {
            return at;
        }
        let of_day = |day: civil::Date| {
            let hour = i8::try_from(self.start / 60).ok()?;
            let minute = i8::try_from(self.start % 60).ok()?;
            // An opening that a clock change leaves out is when the clock goes on.
            let opening = day
                .at(hour, minute, 0, 0)
                .to_zoned(self.zone.clone())
                .ok()?;
            let opening = Millis(opening.timestamp().as_millisecond());
            (opening > at).then_some(opening)
        };
        let tomorrow = now.date().checked_add(1.day()).ok();
        of_day(now.date())
            .or_else(|| of_day(tomorrow?))
            .unwrap_or(at)
    }
}

/// Reads `08:30`, or `24:00` where a day ends.
pub fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Millis {
        Millis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn hours(start: &str, end: &str, zone: &str) -> Hours {
        Hours {
            start: minute_of_day(start).unwrap(),
            end: minute_of_day(end).unwrap(),
            zone: TimeZone::get(zone).unwrap(),
        }
    }

    #[test]
    fn times_of_day_are_written_with_four_digits() {
        assert_eq!(minute_of_day("00:00"), Some(0));
        assert_eq!(minute_of_day("08:30"), Some(510));
        assert_eq!(minute_of_day("24:00"), Some(DAY));
        for wrong in ["8:30", "24:01", "08:60", "0830", "aa:bb", "+8:00", ""] {
            assert_eq!(minute_of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_closed_time_waits_for_the_next_opening() {
        let day = hours("08:00", "22:00", "Europe/Zurich");
        for (at, opens) in [
            ("2026-06-01T10:00:00Z", "2026-06-01T10:00:00Z"),
            ("2026-06-01T03:00:00Z", "2026-06-01T06:00:00Z"),
            ("2026-06-01T20:00:00Z", "2026-06-02T06:00:00Z"),
            ("2026-06-01T19:59:59Z", "2026-06-01T19:59:59Z"),
            // Clocks go back in the night: the opening is an hour later in world time.
            ("2026-10-24T21:00:00Z", "2026-10-25T07:00:00Z"),
        ] {
            assert_eq!(day.opens(ms(at)), ms(opens), "{at}");
        }
    }

    #[test]
    fn hours_go_over_midnight_and_through_clock_changes() {
        let night = hours("22:00", "06:00", "UTC");
        assert_eq!(
            night.opens(ms("2026-06-01T23:00:00Z")),
            ms("2026-06-01T23:00:00Z")
        );
        assert_eq!(
            night.opens(ms("2026-06-01T05:59:00Z")),
            ms("2026-06-01T05:59:00Z")
        );
        assert_eq!(
            night.opens(ms("2026-06-01T06:00:00Z")),
            ms("2026-06-01T22:00:00Z")
        );
        // Half past two does not exist on that day.
        let gap = hours("02:30", "04:00", "Europe/Zurich");
        assert_eq!(
            gap.opens(ms("2026-03-29T00:00:00Z")),
            ms("2026-03-29T01:30:00Z")
        );
        let whole = hours("00:00", "24:00", "UTC");
        assert_eq!(
            whole.opens(ms("2026-06-01T00:00:00Z")),
            ms("2026-06-01T00:00:00Z")
        );
    }
}
