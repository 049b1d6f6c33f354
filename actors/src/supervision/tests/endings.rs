//! Deliberate ends of actors, and the end of the daemon.

use std::time::Duration;

use actix::{Addr, MailboxError};

use super::probe::{Flaws, Pillar, Probe, Refuse, Tell, World, on_paused_time, settle};
use crate::clock::pass;
use crate::placement::Place;
use crate::supervision::{ActorState, Poison, PoisonKind};

async fn pillar(world: &mut World) -> Addr<Pillar> {
    let pillar = world.start::<Pillar>(&Place::here());
    assert_eq!(pillar.send(Tell(1)).await, Ok(vec![1]));
    assert_eq!(world.logged(), ["built", "started"]);
    pillar
}

#[test]
fn a_retired_actor_handles_what_is_queued_and_is_not_rebuilt() {
    on_paused_time(async {
        let mut world = World::new();
        let probe = world.start::<Probe>(&Place::here());
        let queued = (probe.send(Tell(1)), probe.send(Tell(2)));
        world.watch.retire(&probe);
        world.watch.until_ended(&probe).await;
        assert_eq!(
            (queued.0.await, queued.1.await),
            (Ok(vec![1]), Ok(vec![1, 2]))
        );
        assert_eq!(world.logged(), ["built", "started", "stopped"]);
        assert!(!probe.connected());
        assert_eq!(probe.send(Tell(3)).await, Err(MailboxError::Closed));
        assert_eq!(world.watch.report(), []);
        assert_eq!(world.watch.totals()["Probe"].stops, 0);
        world.watch.until_ended(&probe).await;
    });
}

#[test]
fn a_retired_actor_may_finish_its_work() {
    on_paused_time(async {
        let world = World::new();
        let probe = world.start::<Probe>(&Place::here());
        probe.send(Refuse(Duration::from_secs(5))).await.unwrap();
        let begin = tokio::time::Instant::now();
        world.watch.retire(&probe);
        settle().await;
        assert_eq!(
            probe.send(Tell(1)).await,
            Ok(vec![1]),
            "it goes on until then"
        );
        world.watch.until_ended(&probe).await;
        assert_eq!(begin.elapsed().as_secs(), 5);
        assert_eq!(world.watch.totals()["Probe"].stops, 0);
    });
}

#[test]
fn an_actor_that_is_retired_during_its_backoff_is_not_started_again() {
    on_paused_time(async {
        let mut world = World::new();
        let pillar = pillar(&mut world).await;
        pillar.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        let queued = pillar.send(Tell(2));
        world.watch.retire(&pillar);
        assert_eq!(queued.await, Err(MailboxError::Closed));
        assert_eq!(
            world.logged(),
            ["built"],
            "the next life was ready and never began"
        );
        assert_eq!(world.watch.report(), []);
    });
}

#[test]
fn an_actor_ends_when_nobody_can_reach_it_any_more() {
    on_paused_time(async {
        let mut world = World::new();
        let pillar = pillar(&mut world).await;
        let second = pillar.clone();
        drop(pillar);
        settle().await;
        assert_eq!(second.send(Tell(2)).await, Ok(vec![1, 2]));
        second.try_send(Tell(3)).unwrap();
        drop(second);
        settle().await;
        assert_eq!(world.logged(), ["stopped"]);
        assert_eq!(world.watch.report(), []);
        assert_eq!(world.ended_by(), None);
    });
}

#[test]
fn a_thread_that_goes_away_takes_its_actors_with_it() {
    let mut world = None;
    on_paused_time(async {
        let (mut running, waiting) = (World::new(), World::new());
        let pillar = pillar(&mut running).await;
        let failed = waiting.start::<Pillar>(&Place::here());
        failed.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        world = Some((running, waiting, pillar, failed));
    });
    let (mut running, mut waiting, ..) = world.unwrap();
    assert_eq!(running.logged(), ["stopped"]);
    assert_eq!(
        waiting.logged(),
        ["built", "started", "built"],
        "no life begins in order to end"
    );
    assert_eq!(
        (running.watch.report(), waiting.watch.report()),
        (vec![], vec![])
    );
}

#[test]
fn the_third_failure_of_an_irreplaceable_actor_within_a_minute_ends_the_daemon_once() {
    on_paused_time(async {
        let mut world = World::new();
        let pillar = pillar(&mut world).await;
        for _ in 0..2 {
            pillar.send(Poison(PoisonKind::Panic)).await.unwrap_err();
            pass(Duration::from_secs(29)).await;
        }
        assert_eq!(world.ended_by(), None);
        let error = PoisonKind::Error("the third".to_owned());
        assert_eq!(pillar.send(Poison(error)).await, Ok(()));
        let ended_by = world.ended_by();
        assert_eq!(
            ended_by.as_deref(),
            Some("Pillar cannot be kept up: failure 3 in a row: the third")
        );
        assert_eq!(
            pillar.send(Tell(2)).await,
            Ok(vec![2]),
            "it still serves the drain"
        );
        pillar.send(Poison(PoisonKind::Panic)).await.unwrap_err();
        assert_eq!(world.ended_by(), ended_by, "the first reason stays");
    });
}

#[test]
fn failures_more_than_a_minute_apart_do_not_add_up() {
    on_paused_time(async {
        let mut world = World::new();
        let pillar = pillar(&mut world).await;
        for pause in [61, 61, 61, 31, 31, 31] {
            pillar.send(Poison(PoisonKind::Panic)).await.unwrap_err();
            pass(Duration::from_secs(pause)).await;
        }
        assert_eq!(world.ended_by(), None);
        assert_eq!(world.only().failures, 6);
    });
}

#[test]
fn an_irreplaceable_actor_that_cannot_be_rebuilt_ends_the_daemon() {
    on_paused_time(async {
        let mut world = World::new();
        let pillar = pillar(&mut world).await;
        world.flaws.lock().unwrap().build = 1;
        pillar.send(Poison(PoisonKind::Stop)).await.unwrap();
        let ended_by = world.ended_by();
        assert_eq!(
            ended_by.as_deref(),
            Some("Pillar cannot be kept up: failure 2 in a row: cannot build")
        );
        assert_eq!(
            pillar.send(Tell(2)).await,
            Ok(vec![2]),
            "it is tried again all the same"
        );
    });
}

#[test]
fn an_irreplaceable_actor_that_cannot_be_built_at_all_ends_the_daemon() {
    on_paused_time(async {
        let world = World::flawed(Flaws {
            build: u32::MAX,
            ..Flaws::default()
        });
        let pillar = world.start::<Pillar>(&Place::here());
        let fatal = world.watch.until_fatal().await;
        assert_eq!(
            (fatal.actor, fatal.reason.as_str()),
            ("Pillar", "failure 1 in a row: cannot build")
        );
        assert!(pillar.connected());
        assert_eq!(world.only().state, ActorState::Backoff);
    });
}
