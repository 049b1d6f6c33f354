//! Panics at every moment of a run, panics without end, and payloads that cannot be written.

use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler};
use futures_util::{FutureExt as _, stream};
use openclaw_protocol::Role;
use serde_json::json;

use super::{APART, busy, run};
use crate::agent::model::{ModelEvent, ModelStream, StopReason};
use crate::clock::{pass, quiet};
use crate::presence::{Joined, Left};
use crate::settings::ModelPlan;
use crate::supervision::{Poison, PoisonKind};
use crate::tests::peer::{Peer, Who, is_event};
use crate::tests::world::{Setup, World, paused};

/// A name and a way to make that actor panic.
type Victim = (&'static str, Box<dyn Fn()>);

fn victims(world: &World) -> Vec<Victim> {
    fn victim<A>(name: &'static str, addr: &Addr<A>) -> Victim
    where
        A: Actor<Context = Context<A>> + Handler<Poison>,
        A::Context: ToEnvelope<A, Poison>,
    {
        let addr = addr.clone();
        (
            name,
            Box::new(move || drop(addr.try_send(Poison(PoisonKind::Panic)))),
        )
    }
    vec![
        victim("gateway", world.core.gateway.addr()),
        victim("presence", &world.owners.presence),
        victim("sessions", &world.owners.sessions),
        victim("agent-runner", &world.owners.runner),
        victim("dedupe", &world.owners.dedupe),
        victim("health", &world.health),
        victim("logs", &world.owners.logs),
        victim("nodes", &world.owners.nodes),
        victim("store", &world.store_addr),
        victim("pairing", &world.owners.pairing),
    ]
}

fn short(_: &str) -> ModelStream {
    let pieces = ["one ", "two"].map(|piece| Ok(ModelEvent::Text(piece.into())));
    ModelStream::from_stream(stream::iter(
        pieces
            .into_iter()
            .chain([Ok(ModelEvent::Stop(StopReason::EndTurn))]),
    ))
}

/// Panics each actor after every number of scheduler turns of a run, from its request to its end.
#[test]
fn a_panic_at_any_moment_of_a_run_leaves_the_run_whole() {
    paused(async {
        let world = Setup::here(ModelPlan::Scripted(short)).start().await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        peer.ask("sessions.messages.subscribe", &json!({"key": "main"}))
            .await;
        for (name, poison) in victims(&world) {
            for turns in 0..48 {
                let key = format!("{name}-{turns}");
                let id = peer.request("agent", &run(&key));
                // The second half starts from where the answer has begun.
                if turns >= 24 {
                    peer.until(|frame| frame["payload"]["state"] == "delta")
                        .await;
                }
                for _ in 0..turns % 24 {
                    tokio::task::yield_now().await;
                }
                poison();
                let frames = peer
                    .until(|frame| {
                        frame["type"] == "res"
                            && frame["id"] == id.as_str()
                            && frame["payload"]["status"] != "accepted"
                    })
                    .await;
                let last = frames.last().unwrap();
                assert_eq!(last["payload"]["status"], "ok", "{key}: {last}");
                assert_eq!(
                    last["payload"]["result"]["payloads"][0]["text"], "one two",
                    "{key}"
                );
                peer.rest(APART).await;
            }
        }
        let history = peer
            .ask(
                "chat.history",
                &json!({"sessionKey": "main", "limit": 1000}),
            )
            .await;
        let rows = history["payload"]["messages"].as_array().unwrap();
        assert_eq!(rows.len(), 10 * 48 * 2);
        assert!(world.watch.until_fatal().now_or_never().is_none());
    });
}

#[test]
fn a_panic_of_their_registry_disconnects_no_node() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let node = Who {
            role: Role::Node,
            ..Who::admin()
        };
        let mut caller = Arc::into_inner(node.caller(&Arc::default())).unwrap();
        caller.device_id = Some("attic".into());
        let caller = Arc::new(caller);
        let nodes = &world.owners.nodes;
        nodes.send(Joined(Arc::clone(&caller))).await.unwrap();
        nodes.try_send(Poison(PoisonKind::Panic)).unwrap();
        pass(APART).await;
        let listed = || world.core.views.nodes.load().get("attic").is_some();
        assert!(listed());
        nodes.send(Left(caller)).await.unwrap();
        assert!(!listed());
    });
}

#[test]
fn the_third_failure_of_an_irreplaceable_actor_in_a_minute_ends_the_daemon() {
    for wanted in ["gateway", "store", "pairing"] {
        paused(async {
            let world = Setup::here(ModelPlan::Unconfigured).start().await;
            let victims = victims(&world);
            let (_, poison) = victims.iter().find(|(name, _)| *name == wanted).unwrap();
            for _ in 0..2 {
                poison();
                pass(Duration::from_secs(20)).await;
            }
            assert!(
                world.watch.until_fatal().now_or_never().is_none(),
                "{wanted}"
            );
            poison();
            assert_eq!(world.watch.until_fatal().await.actor, wanted);
        });
    }
}

#[test]
fn a_replaceable_actor_that_keeps_failing_never_ends_the_daemon() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        for (name, poison) in victims(&world) {
            if ["gateway", "store", "pairing"].contains(&name) {
                continue;
            }
            for _ in 0..6 {
                poison();
                quiet().await;
            }
        }
        pass(Duration::from_mins(1)).await;
        assert!(world.watch.until_fatal().now_or_never().is_none());
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        assert_eq!(
            peer.ask("chat.send", &run("after")).await["payload"]["status"],
            "started"
        );
    });
}

/// A payload that cannot be written.
#[derive(Debug)]
struct Broken;

impl crate::event::EventBody for Broken {
    #[expect(clippy::panic, reason = "a panic is what was ordered")]
    fn write(
        &self,
        _: openclaw_protocol::Generation,
        _: crate::event::Form,
        _: &mut Vec<u8>,
    ) -> crate::event::Written {
        panic!("cannot be written")
    }
}

#[test]
fn an_event_that_cannot_be_written_costs_no_connection_and_no_version() {
    paused(async {
        let (world, mut peer) = busy().await;
        peer.request("system-event", &json!({"text": "here"}));
        let first = peer.until(|frame| is_event(frame, "presence")).await;
        let before = first.last().unwrap()["stateVersion"]["presence"]
            .as_u64()
            .unwrap();
        let event =
            crate::event::EventOut::new("shutdown", crate::event::Audience::Everyone, Broken);
        world.core.gateway.emit(event);
        peer.request("system-event", &json!({"text": "still here"}));
        let later = peer.until(|frame| is_event(frame, "presence")).await;
        let after = later.last().unwrap()["stateVersion"]["presence"]
            .as_u64()
            .unwrap();
        assert_eq!(after, before + 1);
    });
}

#[test]
fn a_run_that_was_lost_with_its_lane_gives_its_key_an_honest_answer() {
    paused(async {
        let (world, mut peer) = busy().await;
        // Waits behind the run under way, in the same session.
        peer.ask("chat.send", &run("queued")).await;
        let again = peer.ask("chat.send", &run("queued")).await;
        assert_eq!(again["payload"]["status"], "in_flight");
        let lanes = world.lanes.clone();
        let broken = std::panic::AssertUnwindSafe(|| {
            lanes.with(|_| std::panic::resume_unwind(Box::new(())))
        });
        assert!(std::panic::catch_unwind(broken).is_err());
        world
            .owners
            .runner
            .try_send(Poison(PoisonKind::Panic))
            .unwrap();
        peer.until(|frame| frame["payload"]["state"] == "final")
            .await;
        let lost = peer.ask("chat.send", &run("queued")).await;
        assert_eq!(lost["error"]["code"], "UNAVAILABLE", "{lost}");
        assert_eq!(lost["payload"]["status"], "error", "{lost}");
        assert!(lost.to_string().contains("new idempotencyKey"), "{lost}");
    });
}
