//! A replaceable actor fails in every way it can.

use std::time::Duration;

use actix::MailboxError;
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::probe::{Flaws, Probe, Tell, World};
use crate::placement::Place;
use crate::supervision::{ActorState, Cause, Poison, PoisonKind};

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_handler_costs_one_message_and_no_address() {
    LocalSet::new()
        .run_until(async {
            let mut world = World::new();
            let probe = world.start::<Probe>(&Place::here());
            assert_eq!(probe.send(Tell(1)).await, Ok(vec![1]));
            let begin = Instant::now();
            assert_eq!(
                probe.send(Poison(PoisonKind::Panic)).await,
                Err(MailboxError::Closed)
            );
            assert_eq!(probe.send(Tell(2)).await, Ok(vec![2]));
            assert_eq!(
                begin.elapsed().as_millis() / 10,
                10,
                "one backoff of 100 ms"
            );
            assert!(probe.connected());
            assert_eq!(world.logged(), ["built", "started", "built", "started"]);
            let report = world.watch.report();
            assert_eq!(report.len(), 1);
            assert_eq!(report[0].state, ActorState::Running);
            assert_eq!((report[0].failures, report[0].streak), (1, 1));
            let last = report[0].last_failure.clone().unwrap();
            assert_eq!(
                (last.cause, last.why.as_str(), last.next_in),
                (Cause::Panic, "poisoned", Duration::from_millis(100))
            );
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_build_that_panics_at_first_is_tried_again() {
    LocalSet::new()
        .run_until(async {
            let world = World::flawed(Flaws {
                panics_in_build: 2,
                ..Flaws::default()
            });
            let probe = world.start::<Probe>(&Place::here());
            let begin = Instant::now();
            assert_eq!(probe.send(Tell(1)).await, Ok(vec![1]));
            assert_eq!(begin.elapsed().as_millis() / 10, 30);
            assert_eq!(world.watch.totals()["Probe"].rebuilds_failed, 2);
            assert_eq!(world.ended_by(), None);
        })
        .await;
}
