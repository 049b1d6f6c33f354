//! Times on the command line.

use std::time::Duration;

/// Reads a time; a bare number is milliseconds.
pub(super) fn parse_millis(text: &str) -> Result<Duration, String> {
    parse_duration(text, Duration::from_millis(1))
}

/// Reads a time; a bare number is seconds.
pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    parse_duration(text, Duration::from_secs(1))
}

/// Reads how far to look back: as other times, and days.
pub(crate) fn parse_back(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('d') {
        Some(days) => parse_duration(days, Duration::from_hours(24)),
        None => parse_seconds(text),
    }
    .map_err(|_| format!("`{text}` is not a time such as 30m, 2h or 7d"))
}

/// Reads `90`, `500ms`, `10s`, `2m` or `1h`; `bare` is the unit of a number without one. Upstream's
/// commands differ in it, and people's scripts rely on theirs.
fn parse_duration(text: &str, bare: Duration) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 500ms, 10s, 2m or 1h");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "" => bare,
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return Err(wrong()),
    };
    if number == 0 {
        return Err("must be more than 0".into());
    }
    Ok(unit.saturating_mul(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bare_numbers_keep_upstreams() {
        let millis = |text| parse_millis(text).map(|time| time.as_millis());
        assert_eq!(millis("500"), Ok(500));
        assert_eq!(millis("10s"), Ok(10_000));
        assert_eq!(millis("2m"), Ok(120_000));
        assert_eq!(parse_seconds("600"), Ok(Duration::from_mins(10)));
        assert_eq!(parse_back("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(parse_back("90"), Ok(Duration::from_secs(90)));
        assert!(parse_back("7 days").is_err());
        for wrong in ["", "s", "1.5s", "-1", "10 s", "0", "10d", "99999999999"] {
            assert!(parse_millis(wrong).is_err(), "{wrong}");
        }
    }
}
