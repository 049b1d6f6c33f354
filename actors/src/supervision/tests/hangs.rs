//! Actors that do not answer, on paused time.

use std::time::Duration;

use super::probe::{Pillar, Probe, Tell, World, on_paused_time, settle};
use crate::clock;
use crate::placement::Place;
use crate::supervision::{ActorState, Cause, Notice, Poison, PoisonKind, Watchdog, Wedge};

async fn pass(seconds: u64) {
    clock::pass(Duration::from_secs(seconds)).await;
}

#[test]
fn an_idle_actor_is_not_hung() {
    on_paused_time(async {
        let world = World::new();
        let _probe = world.start::<Probe>(&Place::here());
        actix_rt::spawn(Watchdog::run_here(world.watch.clone()));
        pass(3600).await;
        assert_eq!(
            (world.only().state, world.only().failures),
            (ActorState::Running, 0)
        );
        assert_eq!(world.watch.totals()["Probe"].hangs, 0);
    });
}

#[test]
fn an_actor_that_waits_too_long_is_shown_and_forgiven() {
    on_paused_time(async {
        let world = World::new();
        let probe = world.start::<Pillar>(&Place::here());
        actix_rt::spawn(Watchdog::run_here(world.watch.clone()));
        let wedge = Wedge::Wait(Duration::from_secs(10));
        probe.send(Poison(PoisonKind::Hang(wedge))).await.unwrap();
        pass(4).await;
        assert_eq!(world.only().state, ActorState::Running);
        pass(4).await;
        let only = world.only();
        assert_eq!(only.state, ActorState::Hung);
        assert!(only.silent_for >= Duration::from_secs(5));
        pass(4).await;
        let only = world.only();
        assert_eq!(
            (only.state, only.silent_for),
            (ActorState::Running, Duration::ZERO)
        );
        assert_eq!(world.watch.totals()["Pillar"].hangs, 1);
        assert_eq!(world.ended_by(), None);
    });
}

#[test]
fn an_actor_whose_thread_comes_late_to_it_is_shown_and_forgiven() {
    on_paused_time(async {
        let world = World::new();
        let (told, mut notices) = tokio::sync::mpsc::unbounded_channel();
        world
            .watch
            .on_notice(move |notice| drop(told.send(notice.clone())));
        let pillar = world.start::<Pillar>(&Place::here());
        for _ in 0..10 {
            world.clock.advance(Duration::from_secs(1));
            world.watch.look();
        }
        assert!(matches!(notices.try_recv(), Ok(Notice::Hung(_))));
        assert_eq!(pillar.send(Tell(1)).await, Ok(vec![1]));
        settle().await;
        world.watch.look();
        assert!(matches!(notices.try_recv(), Ok(Notice::Recovered(_))));
        assert_eq!(world.only().state, ActorState::Running);
    });
}

#[test]
fn a_replaceable_actor_that_never_answers_is_rebuilt() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = world.start::<Probe>(&Place::here());
        actix_rt::spawn(Watchdog::run_here(world.watch.clone()));
        assert_eq!(probe.send(Tell(1)).await, Ok(vec![1]));
        probe
            .send(Poison(PoisonKind::Hang(Wedge::Forever)))
            .await
            .unwrap();
        let begin = tokio::time::Instant::now();
        assert_eq!(probe.send(Tell(2)).await, Ok(vec![2]));
        assert!((20..23).contains(&begin.elapsed().as_secs()));
        assert_eq!(world.only().last_failure.unwrap().cause, Cause::Hang);
        assert_eq!(world.logged(), ["built", "started", "built", "started"]);
        pass(30).await;
        assert_eq!(world.only().failures, 1, "the next life is left in peace");
        assert_eq!(world.ended_by(), None);
    });
}

#[test]
fn an_irreplaceable_actor_that_never_answers_ends_the_daemon() {
    on_paused_time(async {
        let world = World::new();
        let pillar = world.start::<Pillar>(&Place::here());
        actix_rt::spawn(Watchdog::run_here(world.watch.clone()));
        pillar
            .send(Poison(PoisonKind::Hang(Wedge::Forever)))
            .await
            .unwrap();
        let fatal = world.watch.until_fatal().await;
        assert_eq!(
            fatal.to_string(),
            "Pillar cannot be kept up: it has not answered for 20 s"
        );
        assert_eq!(world.only().state, ActorState::Hung);
    });
}

#[test]
fn a_process_that_was_suspended_has_no_hung_actors() {
    on_paused_time(async {
        let world = World::new();
        let _pillar = world.start::<Pillar>(&Place::here());
        world.watch.look();
        world.clock.advance(Duration::from_hours(8));
        world.watch.look();
        assert_ne!(world.only().state, ActorState::Hung);
        assert_eq!(world.ended_by(), None);
    });
}

#[test]
fn a_backoff_is_not_a_hang() {
    on_paused_time(async {
        let world = World::new();
        let probe = world.start::<Probe>(&Place::here());
        probe.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        for _ in 0..30 {
            world.clock.advance(Duration::from_secs(2));
            world.watch.look();
        }
        assert_eq!(world.only().state, ActorState::Backoff);
        assert_eq!(probe.send(Tell(2)).await, Ok(vec![2]));
    });
}
