//! The same on real arbiters, in real time; only messages tell the tests how far things are.

use std::sync::mpsc;
use std::time::Duration;

use actix::MailboxError;

use super::probe::{Flaws, Pillar, Probe, Tell, World};
use crate::clock::{SeededEntropy, TestClock};
use crate::placement::Threads;
use crate::supervision::{
    ActorState, DeathWatch, HangLimits, Notice, Poison, PoisonKind, RestartPolicy, Watchdog, Wedge,
    supervise,
};

/// Runs a test in an actix system with threads, and stops these.
fn on_threads<F: Future<Output = ()>>(test: impl FnOnce(Threads) -> F) {
    actix::System::new().block_on(async {
        let places = Threads::start().unwrap();
        test(places.clone()).await;
        places.stop();
    });
}

fn frozen_world() -> World {
    World::with_clock(TestClock::frozen().into(), Flaws::default())
}

#[test]
fn a_panic_leaves_the_thread_and_its_other_actors_alone() {
    on_threads(|places| async move {
        let mut world = frozen_world();
        let (probe, neighbour) = (
            world.start::<Probe>(&places.work),
            world.start::<Probe>(&places.work),
        );
        assert_eq!(neighbour.send(Tell(1)).await, Ok(vec![1]));
        assert_eq!(
            probe.send(Poison(PoisonKind::Panic)).await,
            Err(MailboxError::Closed)
        );
        assert_eq!(neighbour.send(Tell(2)).await, Ok(vec![1, 2]));
        assert_eq!(probe.send(Tell(2)).await, Ok(vec![2]));
        assert_eq!(world.logged(), ["built", "started"].repeat(3));
        assert_eq!(world.watch.report()[0].failures, 1);
    });
}

#[test]
fn a_blocked_thread_is_found_from_outside() {
    on_threads(|places| async move {
        let world = frozen_world();
        let (pillar, elsewhere) = (
            world.start::<Pillar>(&places.store),
            world.start::<Probe>(&places.work),
        );
        let (release, block) = mpsc::sync_channel(0);
        assert_eq!(pillar.send(Tell(1)).await, Ok(vec![1]));
        let poison = Poison(PoisonKind::Hang(Wedge::Thread(block)));
        let blocked = pillar.send(poison);
        release.send(()).unwrap();
        for _ in 0..30 {
            // Answered: the other thread has polled its actor since the last look.
            elsewhere.send(Tell(1)).await.unwrap();
            world.clock.advance(Duration::from_secs(1));
            world.watch.look();
        }
        assert_eq!(world.watch.report()[0].state, ActorState::Hung);
        assert_eq!(
            world.ended_by().as_deref(),
            Some("Pillar cannot be kept up: it has not answered for 20 s")
        );
        drop(release);
        assert_eq!(blocked.await, Ok(()));
        assert_eq!(pillar.send(Tell(2)).await, Ok(vec![1, 2]));
        world.watch.look();
        assert_eq!(world.watch.report()[0].state, ActorState::Running);
    });
}

#[test]
fn a_blocked_actor_that_then_fails_by_itself_is_not_torn_down_as_well() {
    on_threads(|places| async move {
        let world = frozen_world();
        let probe = world.start::<Probe>(&places.work);
        let (release, block) = mpsc::sync_channel(0);
        assert_eq!(probe.send(Tell(1)).await, Ok(vec![1]));
        let blocked = probe.send(Poison(PoisonKind::Hang(Wedge::Thread(block))));
        let poisoned = probe.send(Poison(PoisonKind::Panic));
        release.send(()).unwrap();
        for _ in 0..30 {
            world.clock.advance(Duration::from_secs(1));
            world.watch.look();
        }
        drop(release);
        assert_eq!(
            (blocked.await, poisoned.await),
            (Ok(()), Err(MailboxError::Closed))
        );
        assert_eq!(probe.send(Tell(2)).await, Ok(vec![2]));
        assert_eq!(probe.send(Tell(3)).await, Ok(vec![2, 3]));
        assert_eq!(world.only().failures, 1);
    });
}

#[test]
fn the_watchdog_has_a_thread_of_its_own() {
    on_threads(|places| async move {
        let limits = HangLimits {
            every: Duration::from_millis(1),
            report_after: Duration::from_millis(3),
            give_up_after: Duration::from_hours(1),
        };
        let clock = crate::clock::SystemClock::shared();
        let watch = DeathWatch::with_hang_limits(clock, SeededEntropy::shared(1), limits);
        let (told, mut notices) = tokio::sync::mpsc::unbounded_channel();
        watch.on_notice(move |notice| drop(told.send(notice.clone())));
        let world = frozen_world();
        let pillar = supervise::<Pillar>(
            &places.core,
            RestartPolicy::CORE,
            &watch,
            world.deps.clone(),
        );
        assert_eq!(pillar.send(Tell(1)).await, Ok(vec![1]));
        let (release, block) = mpsc::sync_channel(0);
        let blocked = pillar.send(Poison(PoisonKind::Hang(Wedge::Thread(block))));
        let watchdog = Watchdog::start(watch.clone()).unwrap();
        assert!(matches!(notices.recv().await, Some(Notice::Hung(hung)) if hung.name == "Pillar"));
        drop(release);
        assert_eq!(blocked.await, Ok(()));
        assert!(matches!(notices.recv().await, Some(Notice::Recovered(_))));
        drop(watchdog);
    });
}

#[test]
fn an_actor_on_a_stopped_thread_is_closed() {
    on_threads(|places| async move {
        let mut world = frozen_world();
        let before = world.start::<Probe>(&places.work);
        assert_eq!(before.send(Tell(1)).await, Ok(vec![1]));
        places.stop();
        assert_eq!(before.send(Tell(2)).await, Err(MailboxError::Closed));
        let after = world.start::<Probe>(&places.work);
        assert_eq!(after.send(Tell(1)).await, Err(MailboxError::Closed));
        assert_eq!(world.watch.report(), []);
        assert_eq!(world.logged(), ["built", "started", "stopped"]);
    });
}
