//! A replaceable actor fails in every way it can.

use std::time::Duration;

use actix::{Addr, MailboxError};
use tokio::time::Instant;

use super::probe::{
    CancelAndPanic, Flaws, Probe, Refuse, Repeat, Tell, World, on_paused_time, settle,
};
use crate::clock::pass;
use crate::placement::Place;
use crate::supervision::{ActorState, Cause, Notice, Poison, PoisonKind};

/// Starts a probe that answers, and forgets what it logged so far.
async fn running(world: &mut World) -> Addr<Probe> {
    let probe = world.start::<Probe>(&Place::here());
    assert_eq!(probe.send(Tell(1)).await, Ok(vec![1]));
    assert_eq!(world.logged(), ["built", "started"]);
    probe
}

/// How long it takes until the probe answers with a fresh memory, in whole tens of milliseconds.
async fn back_after(probe: &Addr<Probe>) -> u128 {
    let begin = Instant::now();
    assert_eq!(probe.send(Tell(2)).await, Ok(vec![2]));
    begin.elapsed().as_millis() / 10 * 10
}

fn last(world: &World) -> (Cause, String) {
    let last = world.only().last_failure.unwrap();
    (last.cause, last.why)
}

#[test]
fn a_panic_in_a_handler_costs_one_message_and_no_address() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = running(&mut world).await;
        let poisoned = probe.send(Poison(PoisonKind::Panic)).await;
        assert_eq!(poisoned, Err(MailboxError::Closed));
        assert_eq!(back_after(&probe).await, 100);
        assert!(probe.connected());
        assert_eq!(world.logged(), ["built", "started"]);
        assert_eq!(last(&world), (Cause::Panic, "poisoned".to_owned()));
        let only = world.only();
        assert_eq!(
            (only.state, only.failures, only.streak),
            (ActorState::Running, 1, 1)
        );
        assert_eq!(world.watch.totals()["Probe"].panics, 1);
        assert_eq!(world.watch.totals()["Probe"].recoveries, 1);
    });
}

#[test]
fn a_panic_in_a_spawned_future_comes_after_the_answer() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = running(&mut world).await;
        assert_eq!(probe.send(Poison(PoisonKind::PanicLater)).await, Ok(()));
        assert_eq!(back_after(&probe).await, 100);
        assert_eq!(last(&world), (Cause::Panic, "poisoned later".to_owned()));
    });
}

#[test]
fn a_panic_in_an_interval_is_a_failure_of_the_actor() {
    on_paused_time(async {
        let mut world = World::flawed(Flaws {
            interval: 1,
            ..Flaws::default()
        });
        let _probe = running(&mut world).await;
        pass(Duration::from_secs(21)).await;
        assert_eq!(world.logged(), ["tick", "built", "started", "tick"]);
        assert_eq!(last(&world), (Cause::Panic, "cannot tick".to_owned()));
    });
}

#[test]
fn in_started_are_tried_again_with_longer_waits() {
    on_paused_time(async {
        let mut world = World::flawed(Flaws {
            started: 3,
            ..Flaws::default()
        });
        let probe = world.start::<Probe>(&Place::here());
        assert_eq!(back_after(&probe).await, 100 + 200 + 400);
        assert_eq!(world.logged(), ["built", "started"].repeat(4));
    });
}

#[test]
fn builds_that_panic_are_tried_again() {
    on_paused_time(async {
        let world = World::flawed(Flaws {
            build: 2,
            ..Flaws::default()
        });
        let probe = world.start::<Probe>(&Place::here());
        assert_eq!(back_after(&probe).await, 100 + 200);
        assert_eq!(last(&world), (Cause::Rebuild, "cannot build".to_owned()));
        world.flaws.lock().unwrap().build = 1;
        probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        assert_eq!(
            back_after(&probe).await,
            800,
            "the failed rebuild made the fourth failure"
        );
        assert_eq!(world.watch.totals()["Probe"].rebuilds_failed, 3);
        assert_eq!(world.ended_by(), None);
    });
}

#[test]
fn a_panic_while_the_old_one_is_dropped_is_tried_again() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = running(&mut world).await;
        world.flaws.lock().unwrap().drop = 1;
        probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        assert_eq!(back_after(&probe).await, 200);
        assert_eq!(last(&world), (Cause::Rebuild, "cannot drop".to_owned()));
    });
}

#[test]
fn a_stop_counts_as_a_failure_and_its_reason_is_kept() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = running(&mut world).await;
        assert_eq!(probe.send(Poison(PoisonKind::Stop)).await, Ok(()));
        assert_eq!(back_after(&probe).await, 100);
        assert_eq!(
            last(&world),
            (Cause::Stop, "it stopped without a reason".to_owned())
        );
        let error = PoisonKind::Error("the account is gone".to_owned());
        assert_eq!(probe.send(Poison(error)).await, Ok(()));
        assert_eq!(back_after(&probe).await, 200);
        assert_eq!(
            last(&world),
            (Cause::Stop, "the account is gone".to_owned())
        );
        assert_eq!(world.watch.totals()["Probe"].stops, 2);
    });
}

#[test]
fn the_reason_of_a_stop_that_was_refused_is_not_that_of_the_next() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = running(&mut world).await;
        probe.send(Refuse(Duration::from_secs(1))).await.unwrap();
        let error = PoisonKind::Error("refused".to_owned());
        probe.send(Poison(error)).await.unwrap();
        pass(Duration::from_secs(2)).await;
        assert_eq!(world.only().failures, 0);
        probe.send(Poison(PoisonKind::Stop)).await.unwrap();
        assert_eq!(back_after(&probe).await, 100);
        assert_eq!(last(&world).1, "it stopped without a reason");
    });
}

#[test]
fn messages_behind_the_failure_wait_and_keep_their_order() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = running(&mut world).await;
        let answers = futures_util::future::join4(
            probe.send(Poison(PoisonKind::Panic)),
            probe.send(Tell(2)),
            probe.send(Tell(3)),
            probe.send(Tell(4)),
        );
        let (poisoned, second, third, fourth) = answers.await;
        assert_eq!(poisoned, Err(MailboxError::Closed));
        assert_eq!(
            (second, third, fourth),
            (Ok(vec![2]), Ok(vec![2, 3]), Ok(vec![2, 3, 4]))
        );
    });
}

#[test]
fn the_mailbox_has_its_bound_from_the_first_message_on() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = world.start::<Probe>(&Place::here());
        // The task has not run yet. One slot more: the one that each address owns.
        let taken = |_: u32| probe.try_send(Tell(0)).is_ok();
        assert_eq!((0..10).filter(|n| taken(*n)).count(), 4);
        settle().await;
        assert_eq!(world.logged(), ["built", "started"]);
        for _ in 0..2 {
            probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
            assert_eq!(
                (0..10).filter(|n| taken(*n)).count(),
                4,
                "the same during the backoff"
            );
            pass(Duration::from_secs(1)).await;
        }
        assert_eq!(probe.send(Tell(9)).await, Ok(vec![0, 0, 0, 0, 9]));
    });
}

#[test]
fn waits_double_up_to_the_limit_and_start_again_after_a_stable_spell() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = running(&mut world).await;
        for expected in [100, 200, 400, 800, 1000, 1000] {
            probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
            assert_eq!(back_after(&probe).await, expected);
        }
        pass(Duration::from_secs(29)).await;
        probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        assert_eq!(back_after(&probe).await, 1000, "29 s are not stable yet");
        pass(Duration::from_secs(30)).await;
        probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        assert_eq!(back_after(&probe).await, 100);
        assert_eq!((world.only().failures, world.only().streak), (8, 1));
        assert_eq!(
            world.ended_by(),
            None,
            "a replaceable actor never ends the daemon"
        );
    });
}

#[test]
fn neighbours_on_the_thread_notice_nothing() {
    on_paused_time(async {
        let mut world = World::new();
        let neighbour = running(&mut world).await;
        let probe = running(&mut world).await;
        let begin = Instant::now();
        probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        assert_eq!(neighbour.send(Tell(2)).await, Ok(vec![1, 2]));
        assert_eq!(begin.elapsed(), Duration::ZERO);
        let report = world.watch.report();
        assert_eq!(report[0].state, ActorState::Running);
        assert_eq!(report[1].state, ActorState::Backoff);
    });
}

#[test]
fn a_cancelled_future_of_the_last_life_cancels_none_of_the_next() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = running(&mut world).await;
        assert_eq!(probe.send(CancelAndPanic).await, Err(MailboxError::Closed));
        pass(Duration::from_secs(11)).await;
        assert_eq!(world.logged(), ["built", "started", "tick"]);
    });
}

#[test]
fn an_actor_that_keeps_itself_busy_leaves_the_thread_to_others() {
    on_paused_time(async {
        let mut world = World::new();
        let (busy, other) = (running(&mut world).await, running(&mut world).await);
        busy.try_send(Repeat(1_000_000)).unwrap();
        assert_eq!(other.send(Tell(2)).await, Ok(vec![1, 2]));
        assert_eq!(world.logged(), [""; 0], "the busy one is not done");
        assert_eq!(busy.send(Tell(2)).await, Ok(vec![1, 2]), "nor deaf");
    });
}

#[test]
fn notices_tell_of_failure_recovery_and_end() {
    on_paused_time(async {
        let mut world = World::new();
        let (told, mut notices) = tokio::sync::mpsc::unbounded_channel();
        world.watch.on_notice(move |notice| {
            let word = match notice {
                Notice::Failed(_) => "failed",
                Notice::Recovered(_) => "recovered",
                Notice::Hung(_) => "hung",
                Notice::Ended(_) => "ended",
            };
            told.send(word).unwrap();
        });
        let changes = world.watch.changes();
        let probe = running(&mut world).await;
        probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        assert_eq!(back_after(&probe).await, 100);
        world.watch.retire(&probe);
        world.watch.until_ended(&probe).await;
        for expected in ["failed", "recovered", "ended"] {
            assert_eq!(notices.try_recv(), Ok(expected));
        }
        assert!(notices.try_recv().is_err());
        assert!(changes.has_changed().unwrap());
    });
}
