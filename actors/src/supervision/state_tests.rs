use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn policy(jitter: f64) -> RestartPolicy {
    RestartPolicy {
        jitter,
        ..RestartPolicy::CORE
    }
}

#[test]
fn a_fixed_chance_gives_a_fixed_series() {
    let series = |chance| -> Vec<u128> {
        (1..=11)
            .map(|streak| policy(0.5).backoff(streak, chance).as_millis())
            .collect()
    };
    assert_eq!(
        series(0.0),
        [20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000]
    );
    assert_eq!(
        series(0.5),
        [15, 30, 60, 120, 240, 480, 960, 1920, 3840, 7500, 7500]
    );
}

#[test]
fn exactly_a_minute_is_within_it() {
    let fatal = |third: u64| {
        let mut failures = Failures::new(policy(0.0), Tier::Irreplaceable, Duration::ZERO);
        let times = [0, 30_000, third].map(Duration::from_millis);
        times.map(|at| failures.failed(Cause::Panic, at, 0.0).fatal)
    };
    assert_eq!(fatal(60_000), [false, false, true]);
    assert_eq!(fatal(60_001), [false, false, false]);
}

#[test]
fn a_hang_is_reported_once_and_given_up_once() {
    let limits = HangLimits {
        every: Duration::from_secs(1),
        report_after: Duration::from_secs(2),
        give_up_after: Duration::from_secs(4),
    };
    let mut silence = Silence::default();
    let mut look = |answered| silence.look(answered, limits.every, &limits);
    let secs = Duration::from_secs;
    assert_eq!(look(true), Look::Alive);
    assert_eq!(look(false), Look::Waiting);
    assert_eq!(
        look(false),
        Look::Hung {
            silent_for: secs(2),
            first: true
        }
    );
    assert_eq!(
        look(false),
        Look::Hung {
            silent_for: secs(3),
            first: false
        }
    );
    assert_eq!(
        look(false),
        Look::GiveUp {
            silent_for: secs(4)
        }
    );
    assert_eq!(
        look(false),
        Look::Hung {
            silent_for: secs(5),
            first: false
        }
    );
    assert_eq!(look(true), Look::Alive);
    assert_eq!(look(false), Look::Waiting);
}

proptest! {
    #[test]
    fn a_wait_is_between_its_bounds(streak in 0..u32::MAX, chance in 0.0..1.0_f64, jitter in 0.0..=1.0_f64) {
        let policy = policy(jitter);
        let (wait, longest) = (policy.backoff(streak, chance), policy.backoff(streak, 0.0));
        prop_assert!(wait <= longest && longest <= policy.max);
        prop_assert!(wait >= longest.mul_f64((1.0 - jitter).max(0.0)).saturating_sub(Duration::from_nanos(1)));
        prop_assert!(policy.backoff(streak.saturating_add(1), 0.0) >= longest);
    }

    #[test]
    fn the_daemon_ends_exactly_at_three_failures_within_a_minute(
        pauses in prop::collection::vec(0..90_000_u64, 1..40),
        replaceable: bool,
    ) {
        let tier = if replaceable { Tier::Replaceable } else { Tier::Irreplaceable };
        let mut failures = Failures::new(policy(0.0), tier, Duration::ZERO);
        let (mut now, mut times) = (Duration::ZERO, Vec::new());
        for pause in pauses {
            now += Duration::from_millis(pause);
            times.push(now);
            let third_last = times.len().checked_sub(3).map(|index| times[index]);
            let expected = !replaceable && third_last.is_some_and(|third| now.saturating_sub(third) <= MINUTE);
            prop_assert_eq!(failures.failed(Cause::Panic, now, 0.0).fatal, expected);
        }
    }

    #[test]
    fn a_rebuild_that_fails_is_fatal_for_the_irreplaceable_only(at in 0..u64::MAX, streak in 0..5_u32) {
        for tier in [Tier::Replaceable, Tier::Irreplaceable] {
            let mut failures = Failures::new(policy(0.0), tier, Duration::ZERO);
            for _ in 0..streak {
                failures.failed(Cause::Stop, Duration::ZERO, 0.0);
            }
            let verdict = failures.failed(Cause::Rebuild, Duration::from_millis(at), 0.0);
            prop_assert_eq!(verdict.fatal, tier == Tier::Irreplaceable);
        }
    }

    #[test]
    fn failures_are_counted_in_a_row_until_a_stable_spell(lives in prop::collection::vec(0..120_u64, 1..30)) {
        let mut failures = Failures::new(policy(0.0), Tier::Replaceable, Duration::ZERO);
        let (mut now, mut streak) = (Duration::ZERO, 0);
        for life in lives {
            failures.up(now);
            now += Duration::from_secs(life);
            streak = if life >= 60 { 1 } else { streak + 1 };
            let verdict = failures.failed(Cause::Stop, now, 0.0);
            prop_assert_eq!(verdict.streak, streak);
            prop_assert_eq!(verdict.next_in, policy(0.0).backoff(streak, 0.0));
            now += verdict.next_in;
        }
    }

    #[test]
    fn no_gap_between_looks_makes_a_hang_by_itself(gap in 0..u64::MAX) {
        let limits = HangLimits::default();
        let mut silence = Silence::default();
        prop_assert_eq!(silence.look(false, Duration::from_millis(gap), &limits), Look::Waiting);
    }
}
