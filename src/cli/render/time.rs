//! Times as people say them.

/// `just now`, `5 min ago`, `3 h ago`, `2 d ago`; a time ahead of the clock is `just now` too.
pub fn ago(now_ms: u64, then_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        0..5 => "just now".into(),
        _ => format!("{} ago", coarse(seconds)),
    }
}

/// A time that may not be known.
pub fn ago_or(now_ms: u64, then_ms: Option<u64>, unknown: &str) -> String {
    then_ms.map_or_else(|| unknown.to_owned(), |then| ago(now_ms, then))
}

/// How long something lasted: `12 s`, `5 min`, `3 h 2 min`, `4 d 1 h`.
pub fn lasted(millis: u64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn coarse(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_get_coarser_with_their_distance() {
        let said = |seconds: u64| ago(10_000_000_000, 10_000_000_000 - seconds * 1000);
        assert_eq!(
            [0, 4, 5, 59, 60, 3599, 3600, 86_399, 86_400, 864_000].map(said),
            [
                "just now",
                "just now",
                "5 s ago",
                "59 s ago",
                "1 min ago",
                "59 min ago",
                "1 h ago",
                "23 h ago",
                "1 d ago",
                "10 d ago"
            ]
        );
        assert_eq!(ago(1000, 9_000_000), "just now");
        assert_eq!(
            [900, 12_000, 300_000, 10_920_000, 349_200_000].map(lasted),
            ["0 s", "12 s", "5 min", "3 h 2 min", "4 d 1 h"]
        );
    }
}
