//! What the gateway's limits refused since its start, in one line.

use openclaw_protocol::methods::system::LimitCounts;

use super::text::count;

/// The bounds that were met; `None` while there was no trouble.
pub fn refused(limits: &LimitCounts) -> Option<String> {
    let connects = limits.too_many_before_handshake + limits.too_fast_connects;
    let frames = limits.oversized_frames + limits.deep_frames + limits.too_fast_requests;
    let events = limits.dropped_events + limits.lagged_events;
    let met: Vec<String> = [
        (limits.failed_attempts, "wrong secret", ""),
        (limits.lockouts, "lockout", ""),
        (limits.refused_while_locked, "connect", " while locked out"),
        (connects, "connect", " that came too fast"),
        (limits.handshake_timeouts, "silent socket", ""),
        (frames, "frame", " over a limit"),
        (limits.busy_requests, "request", " while busy"),
        (limits.floods_closed, "flood", " cut off"),
        (events, "event", " that slow readers missed"),
        (limits.slow_closed, "slow reader", " cut off"),
        (limits.late_node_results, "late result", " of nodes"),
    ]
    .into_iter()
    .filter(|(met, ..)| *met > 0)
    .map(|(met, what, more)| count(met, what) + more)
    .collect();
    (!met.is_empty()).then(|| met.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_named() {
        assert_eq!(refused(&LimitCounts::default()), None);
        let limits = LimitCounts {
            failed_attempts: 12,
            lockouts: 1,
            refused_while_locked: 1,
            slow_closed: 2,
            ..LimitCounts::default()
        };
        assert_eq!(
            refused(&limits).as_deref(),
            Some("12 wrong secrets, 1 lockout, 1 connect while locked out, 2 slow readers cut off")
        );
    }
}
