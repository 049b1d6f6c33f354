//! Which time a request means, and on which day a moment falls.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};
use openclaw_protocol::methods::usage::{DayMode, UsageParams, UsageRange};

use crate::clock::Millis;

/// Days when nothing names a time.
const DEFAULT_DAYS: u32 = 30;

/// A time, in days of a zone.
#[derive(Debug, Clone)]
pub struct Days {
    first: Date,
    last: Date,
    zone: TimeZone,
    all: bool,
}

impl Days {
    /// The time that a request means.
    ///
    /// # Errors
    ///
    /// What is wrong with its dates or its zone.
    pub fn of(params: &UsageParams, now: Millis) -> Result<Self, String> {
        let zone = zone(params)?;
        let today = moment(now.wire()).to_zoned(zone.clone()).date();
        let date = |name: &str, text: &str| {
            text.parse::<Date>()
                .map_err(|_| format!("invalid {name}: expected a valid YYYY-MM-DD calendar date"))
        };
        let (first, last) = match (&params.start_date, &params.end_date) {
            (Some(first), Some(last)) => (date("startDate", first)?, date("endDate", last)?),
            (None, None) => (before(today, days(params)), today),
            _ => return Err("startDate and endDate must be provided together".into()),
        };
        if first > last {
            return Err("startDate must not be after endDate".into());
        }
        Ok(Self {
            first,
            last,
            zone,
            all: params.start_date.is_none() && params.range == Some(UsageRange::All),
        })
    }

    /// Its bounds, milliseconds since the epoch; the second is excluded.
    pub fn bounds(&self) -> (u64, u64) {
        let start = |date: Date| {
            let start = date.to_zoned(self.zone.clone());
            let start = start.map_or(0, |start| start.timestamp().as_millisecond());
            u64::try_from(start).unwrap_or(0)
        };
        let end = self.last.tomorrow().map_or(u64::MAX, start);
        (if self.all { 0 } else { start(self.first) }, end)
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        let span = self.last.since(self.first);
        span.map_or(1, |span| u64::try_from(span.get_days()).unwrap_or(0) + 1)
    }

    /// The day of a moment, `YYYY-MM-DD`.
    pub fn day(&self, at: u64) -> String {
        moment(at).to_zoned(self.zone.clone()).date().to_string()
    }

    /// The first and the last day.
    pub fn ends(&self) -> (String, String) {
        let first = if self.all {
            self.day(0)
        } else {
            self.first.to_string()
        };
        (first, self.last.to_string())
    }
}

fn moment(at: u64) -> Timestamp {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
}

fn days(params: &UsageParams) -> u32 {
    match params.range {
        Some(UsageRange::Week) => 7,
        Some(UsageRange::Month) => 30,
        Some(UsageRange::Quarter) => 90,
        Some(UsageRange::Year) => 365,
        Some(UsageRange::All) => 1,
        None => params.days.unwrap_or(DEFAULT_DAYS),
    }
}

/// The first of `days` days that end with `last`.
fn before(last: Date, days: u32) -> Date {
    let back = i64::from(days.saturating_sub(1)).days();
    last.checked_sub(back).unwrap_or(Date::MIN)
}

fn zone(params: &UsageParams) -> Result<TimeZone, String> {
    match params.mode {
        None | Some(DayMode::Utc) => Ok(TimeZone::UTC),
        Some(DayMode::Gateway) => Ok(TimeZone::system()),
        Some(DayMode::Specific) => {
            let named = params.time_zone.as_deref().map(TimeZone::get);
            match (named, params.utc_offset.as_deref()) {
                (Some(Ok(zone)), _) => Ok(zone),
                (_, Some(text)) => offset(text).ok_or_else(|| {
                    "invalid utcOffset: expected UTC-12:00 through UTC+14:00".into()
                }),
                (Some(Err(_)), None) => {
                    Err("invalid timeZone: expected a valid IANA time zone".into())
                }
                (None, None) => Ok(TimeZone::UTC),
            }
        }
    }
}

/// `UTC+2`, `UTC-03:30`.
fn offset(text: &str) -> Option<TimeZone> {
    let text = text.trim().strip_prefix("UTC")?;
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let minutes = hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?;
    let minutes = sign * minutes;
    let fits = (-720..=840).contains(&minutes);
    let offset = Offset::from_seconds(minutes * 60).ok()?;
    fits.then(|| TimeZone::fixed(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T23:30:00Z.
    const NOW: Millis = Millis(1_795_390_200_000);

    fn params(change: impl FnOnce(&mut UsageParams)) -> UsageParams {
        let mut params = UsageParams::default();
        change(&mut params);
        params
    }

    #[test]
    fn days_begin_where_the_request_says() {
        let utc = Days::of(&params(|p| p.days = Some(2)), NOW).unwrap();
        assert_eq!(utc.ends(), ("2026-11-21".into(), "2026-11-22".into()));
        assert_eq!(utc.count(), 2);
        let there = Days::of(
            &params(|p| {
                p.mode = Some(DayMode::Specific);
                p.utc_offset = Some("UTC+8".into());
            }),
            NOW,
        )
        .unwrap();
        assert_eq!(there.day(NOW.wire()), "2026-11-23");
        assert_eq!(there.count(), 30);
        let (from, to) = there.bounds();
        assert_eq!(there.day(from), "2026-10-25");
        assert_eq!(there.day(to - 1), "2026-11-23");
        let all = Days::of(&params(|p| p.range = Some(UsageRange::All)), NOW).unwrap();
        assert_eq!(all.bounds().0, 0);
    }

    #[test]
    fn what_is_no_time_is_refused_in_words() {
        let refused = |change: fn(&mut UsageParams)| Days::of(&params(change), NOW).unwrap_err();
        assert!(refused(|p| p.start_date = Some("2026-11-01".into())).contains("together"));
        let end = |p: &mut UsageParams, first: &str, last: &str| {
            p.start_date = Some(first.into());
            p.end_date = Some(last.into());
        };
        let said = Days::of(&params(|p| end(p, "2026-02-30", "2026-03-01")), NOW).unwrap_err();
        assert!(said.contains("startDate"), "{said}");
        let said = Days::of(&params(|p| end(p, "2026-03-02", "2026-03-01")), NOW).unwrap_err();
        assert!(said.contains("after"), "{said}");
        let said = refused(|p| {
            p.mode = Some(DayMode::Specific);
            p.time_zone = Some("Nowhere/City".into());
        });
        assert!(said.contains("IANA"), "{said}");
        assert!(offset("UTC+15").is_none() && offset("UTC+5:30").is_some());
    }
}
