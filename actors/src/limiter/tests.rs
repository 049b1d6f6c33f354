use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::failures::MAX_CLIENTS;
use super::*;
use crate::clock::TestClock;

const SHARED: AuthScope = AuthScope::SharedSecret;
const TOKEN: AuthScope = AuthScope::DeviceToken;

fn limit(max_attempts: u32) -> RateLimit {
    RateLimit {
        max_attempts,
        ..RateLimit::default()
    }
}

fn remote(n: u32) -> Client {
    Client::of_address(Ipv4Addr::from(0x0a00_0000 + n).into())
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_last_allowed_failure_locks_for_the_whole_time_and_then_nothing_is_left_of_it() {
    let (mut failures, a, limit) = (Failures::default(), remote(1), limit(4));
    for second in 0..3 {
        let outcome = failures.failed(SHARED, &a, &limit, at(second));
        assert_eq!(outcome, Consequence::Counted);
        assert_eq!(failures.locked(SHARED, &a, at(second)), None);
    }
    let outcome = failures.failed(SHARED, &a, &limit, at(3));
    assert_eq!(outcome, Consequence::Locked { failures: 4 });
    assert_eq!(failures.locked(SHARED, &a, at(3)), Some(at(300)));
    // Whoever was let in before the lock does not make it longer.
    assert_eq!(
        failures.failed(SHARED, &a, &limit, at(100)),
        Consequence::Counted
    );
    failures.succeeded(SHARED, &a);
    assert_eq!(failures.locked(SHARED, &a, at(302)), Some(at(1)));
    assert_eq!(failures.locked(SHARED, &a, at(303)), None);
    let outcome = failures.failed(SHARED, &a, &limit, at(303));
    assert_eq!(outcome, Consequence::Counted);
}

#[test]
fn scopes_and_clients_do_not_lock_each_other_and_success_forgets() {
    let (mut failures, limit) = (Failures::default(), limit(2));
    let (a, b) = (remote(1), remote(2));
    failures.failed(SHARED, &a, &limit, at(0));
    failures.succeeded(SHARED, &a);
    failures.failed(SHARED, &a, &limit, at(1));
    assert_eq!(failures.locked(SHARED, &a, at(1)), None);
    failures.failed(SHARED, &a, &limit, at(2));
    assert!(failures.locked(SHARED, &a, at(2)).is_some());
    assert_eq!(failures.locked(TOKEN, &a, at(2)), None);
    assert_eq!(failures.locked(SHARED, &b, at(2)), None);
}

#[test]
fn programs_of_this_machine_wait_longer_each_time_but_are_never_locked() {
    let (mut failures, limit) = (Failures::default(), limit(3));
    let delays: Vec<_> = (0..7)
        .map(|second| failures.failed(SHARED, &Client::Loopback, &limit, at(second)))
        .collect();
    let expected = [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]
        .map(|ms| Consequence::Delayed(Duration::from_millis(ms)));
    assert_eq!(delays, expected);
    assert_eq!(failures.locked(SHARED, &Client::Loopback, at(7)), None);
    failures.succeeded(SHARED, &Client::Loopback);
    let outcome = failures.failed(SHARED, &Client::Loopback, &limit, at(8));
    assert_eq!(outcome, expected[0]);
    // A page in this machine's browser is not exempt, and nothing is when the owner says so.
    let strict = RateLimit {
        exempt_loopback: false,
        ..limit.clone()
    };
    for (client, limit) in [(Client::OtherPages, &limit), (Client::Loopback, &strict)] {
        let mut failures = Failures::default();
        for second in 0..3 {
            failures.failed(SHARED, &client, limit, at(second));
        }
        assert!(
            failures.locked(SHARED, &client, at(3)).is_some(),
            "{client}"
        );
    }
}

#[test]
fn a_flood_of_addresses_forgets_no_lock_and_takes_no_more_memory() {
    let (mut failures, limit) = (Failures::default(), limit(3));
    let victim = remote(0);
    for _ in 0..3 {
        failures.failed(SHARED, &victim, &limit, at(0));
    }
    for n in 1..60_000 {
        failures.failed(SHARED, &remote(n), &limit, at(1));
        assert!(failures.len() <= MAX_CLIENTS + 1);
    }
    assert!(failures.locked(SHARED, &victim, at(2)).is_some());
    // The newest failures are the ones that are still known.
    for _ in 0..2 {
        failures.failed(SHARED, &remote(59_999), &limit, at(2));
    }
    assert!(failures.locked(SHARED, &remote(59_999), at(2)).is_some());
}

#[test]
fn when_all_places_are_locked_strangers_share_a_bucket_until_one_is_free() {
    let (mut failures, limit) = (Failures::default(), limit(3));
    let many = u32::try_from(MAX_CLIENTS).unwrap();
    for n in 0..many {
        for _ in 0..3 {
            failures.failed(SHARED, &remote(n), &limit, at(0));
        }
    }
    for n in 0..3 {
        let outcome = failures.failed(SHARED, &remote(many + n), &limit, at(1));
        assert_eq!(
            matches!(outcome, Consequence::Locked { .. }),
            n == 2,
            "{outcome:?}"
        );
    }
    // One who never failed is a stranger too; this machine, its pages and known devices are not.
    assert!(failures.locked(SHARED, &remote(many + 99), at(1)).is_some());
    for known in [
        Client::Loopback,
        Client::OwnPage,
        Client::Device("d".into()),
    ] {
        assert_eq!(failures.locked(SHARED, &known, at(1)), None);
    }
    assert!(failures.locked(SHARED, &remote(5), at(299)).is_some());
    // The locks of the start are over: everyone has a place of its own again.
    assert_eq!(failures.locked(SHARED, &remote(many + 99), at(300)), None);
    failures.failed(SHARED, &remote(many + 99), &limit, at(300));
    assert!(failures.len() < 10, "{}", failures.len());
}

proptest! {
    /// Against a list of times: never later than the limit says, and not before it with a window
    /// that is counted an eighth too long.
    #[test]
    fn locks_come_neither_late_nor_early(
        steps in proptest::collection::vec((0_u32..3, 0_u64..30_000, 0_u8..12), 1..200),
        max in 1_u32..6,
        window in 1_u64..120,
    ) {
        let limit = RateLimit {
            max_attempts: max,
            window: at(window),
            lockout: at(90),
            exempt_loopback: true,
        };
        let mut failures = Failures::default();
        let mut model: HashMap<u32, (Vec<Duration>, Option<Duration>)> = HashMap::new();
        let mut now = Duration::ZERO;
        for (who, pause, kind) in steps {
            now += Duration::from_millis(pause);
            let client = remote(who);
            let (times, locked) = model.entry(who).or_default();
            let left = locked.and_then(|until| until.checked_sub(now)).filter(|left| !left.is_zero());
            prop_assert_eq!(failures.locked(SHARED, &client, now), left);
            if left.is_some() {
                continue;
            }
            *locked = None;
            if kind == 0 {
                failures.succeeded(SHARED, &client);
                times.clear();
                continue;
            }
            times.push(now);
            let within = |span: Duration| times.iter().filter(|time| now.saturating_sub(**time) <= span).count();
            let (least, most) = (within(at(window)), within(at(window) + at(window) / 8));
            match failures.failed(SHARED, &client, &limit, now) {
                Consequence::Counted => prop_assert!(least < max as usize),
                Consequence::Locked { failures } => {
                    prop_assert!(most >= max as usize, "{failures} of {times:?}");
                    *locked = Some(now + limit.lockout);
                    times.clear();
                }
                Consequence::Delayed(_) => prop_assert!(false, "only on loopback"),
            }
        }
    }
}

fn limiter() -> (Limiter, Arc<TestClock>, Arc<Counts>) {
    let clock = Arc::new(TestClock::frozen());
    let counts = Arc::new(Counts::default());
    let limiter = Limiter::new(
        ArrivalLimits::default(),
        Arc::<TestClock>::clone(&clock),
        Arc::clone(&counts),
        AuditPort::new(Arc::<TestClock>::clone(&clock)),
    );
    (limiter, clock, counts)
}

#[test]
fn one_connect_counts_once_in_each_scope_that_it_tried() {
    let (limiter, clock, counts) = limiter();
    let (a, limit) = (remote(1), limit(2));
    let both = Guesses::default().and(SHARED).and(TOKEN).and(SHARED);
    limiter.failed(both, &a, &limit);
    assert_eq!(limiter.locks(&a, None), Locks::default());
    limiter.failed(Guesses::default().and(TOKEN), &a, &limit);
    assert_eq!(limiter.locks(&a, None).get(TOKEN), Some(limit.lockout));
    assert_eq!(limiter.locks(&a, None).get(SHARED), None);
    let report = counts.report();
    assert_eq!((report.failed_attempts, report.lockouts), (3, 1));
    clock.advance(limit.lockout);
    assert_eq!(limiter.locks(&a, None), Locks::default());
}

#[test]
fn a_device_that_guesses_beside_its_token_is_locked_by_its_id_alone() {
    let (limiter, _, _) = limiter();
    let (a, limit) = (remote(1), limit(2));
    for _ in 0..2 {
        let guess = Guesses::default().and(SHARED);
        limiter.failed(guess, &Client::Device("d1".into()), &limit);
    }
    assert_eq!(
        limiter.locks(&a, Some("d1")).get(SHARED),
        Some(limit.lockout)
    );
    assert_eq!(limiter.locks(&a, Some("d1")).get(TOKEN), None);
    assert_eq!(limiter.locks(&a, Some("d2")), Locks::default());
    assert_eq!(limiter.locks(&a, None), Locks::default());
}

#[test]
fn held_back_answers_are_bounded_and_their_places_come_back() {
    let (limiter, _, counts) = limiter();
    let mut held: Vec<_> = std::iter::from_fn(|| limiter.hold_back()).collect();
    assert_eq!(held.len(), MAX_DELAYED);
    held.pop();
    assert!(limiter.hold_back().is_some());
    assert_eq!(counts.report().delayed_answers, MAX_DELAYED as u64 + 1);
}

#[test]
fn a_slot_comes_back_when_it_is_dropped() {
    let (limiter, _, counts) = limiter();
    let slots: Vec<_> = std::iter::from_fn(|| limiter.arrive(remote(1)).ok()).collect();
    assert_eq!(slots.len(), 32);
    assert_eq!(counts.report().too_many_before_handshake, 1);
    drop(slots);
    assert!(limiter.arrive(remote(1)).is_ok());
}
