//! A panic in any actor fails the message at hand with UNAVAILABLE, and nothing else.

mod moments;

use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler};
use futures_util::FutureExt as _;
use openclaw_protocol::Method;
use openclaw_protocol::methods::{approvals, chat, cron, device, logs, sessions, system};
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::gateway::table::{Routed, Table};
use crate::health::Refresh;
use crate::settings::ModelPlan;
use crate::store::{Op, Table as Rows};
use crate::supervision::{Poison, PoisonKind, Poisoned};
use crate::tests::peer::{Peer, Who, is_event};
use crate::tests::world::{Setup, World, paused};

/// Longer than the time in which three failures are fatal.
const APART: Duration = Duration::from_secs(61);

/// A request that panics in its owner instead of being served there.
struct Detour<M: Method, A: Actor> {
    call: Call<M>,
    owner: Addr<A>,
}

impl<M: Method, A> Routed for Detour<M, A>
where
    A: Actor<Context = Context<A>> + Handler<Poisoned<M>>,
    A::Context: ToEnvelope<A, Poisoned<M>>,
{
    fn route(self: Box<Self>, _: &Table) {
        self.owner.try_send(Poisoned(self.call)).unwrap();
    }
}

/// A request that panics in the Gateway itself.
struct PanicsOnItsWay<M: Method>(Call<M>);

impl<M: Method> Routed for PanicsOnItsWay<M> {
    #[expect(clippy::panic, reason = "a panic is what was ordered")]
    fn route(self: Box<Self>, _: &Table) {
        panic!("poisoned on its way: {:?}", self.0.reply);
    }
}

fn call<M: Method>(peer: &Peer, world: &World, id: &str, params: &Value) -> Call<M> {
    Call {
        params: serde_json::from_value(params.clone()).unwrap(),
        caller: peer.caller.clone(),
        reply: Reply::new(id.into(), peer.caller.clone(), &world.core.gateway),
    }
}

fn detour<M: Method, A>(peer: &Peer, world: &World, owner: &Addr<A>, params: &Value)
where
    A: Actor<Context = Context<A>> + Handler<Poisoned<M>>,
    A::Context: ToEnvelope<A, Poisoned<M>>,
{
    let call = call::<M>(peer, world, "poisoned", params);
    let owner = owner.clone();
    assert!(world.core.gateway.route(Box::new(Detour { call, owner })));
}

fn run(key: &str) -> Value {
    json!({"sessionKey": "main", "message": "one two three four", "idempotencyKey": key})
}

/// A world with a client that listens to everything, a key that is done, and a run under way.
async fn busy() -> (World, Peer) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut setup = Setup::here(ModelPlan::Unconfigured);
    setup.settings.log_file = Some(log.path().to_owned());
    let world = setup.start().await;
    let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
    peer.ask("sessions.subscribe", &json!({})).await;
    peer.ask("sessions.messages.subscribe", &json!({"key": "main"}))
        .await;
    peer.request("chat.send", &run("done"));
    peer.until(|frame| frame["payload"]["state"] == "final")
        .await;
    peer.request("agent", &run("under-way"));
    peer.until(|frame| frame["payload"]["state"] == "delta")
        .await;
    // Kept until here; readers of the log get an empty one afterwards.
    let _ = log.keep();
    (world, peer)
}

/// Puts a good request, a poisoned one and a good one into the owner's queue, and checks that
/// nothing but the poisoned one fails.
async fn fails_alone(name: &str, method: &str, params: &Value, poison: impl FnOnce(&World, &Peer)) {
    let (world, mut peer) = busy().await;
    let before = peer.request(method, params);
    poison(&world, &peer);
    let after = peer.request(method, params);
    let frames = peer
        .until(|frame| frame["type"] == "res" && frame["payload"]["status"] == "ok")
        .await;
    let answers = |id: &str| -> Vec<&Value> {
        frames
            .iter()
            .filter(|frame| frame["type"] == "res" && frame["id"] == id)
            .collect()
    };
    for id in [&before, &after] {
        let answers = answers(id);
        assert_eq!(answers.len(), 1, "{name}: {id}");
        assert_eq!(answers[0]["ok"], true, "{name}: {}", answers[0]);
    }
    let failed = answers("poisoned");
    assert_eq!(failed.len(), 1, "{name}");
    assert_eq!(
        failed[0]["error"]["code"], "UNAVAILABLE",
        "{name}: {}",
        failed[0]
    );
    unharmed(name, &world, &mut peer, &frames).await;
}

/// The run that was under way ended well in `frames`; keys, subscriptions and neighbours are there.
async fn unharmed(name: &str, world: &World, peer: &mut Peer, frames: &[Value]) {
    let last = frames.iter().find(|frame| {
        frame["payload"]["state"] == "final" && frame["payload"]["runId"] == "under-way"
    });
    let text = &last.unwrap()["payload"]["message"]["content"][0]["text"];
    assert!(
        text.as_str()
            .unwrap()
            .starts_with("You said: one two three four")
    );
    assert!(
        frames
            .iter()
            .any(|frame| is_event(frame, "session.message")),
        "{name}: subscribed"
    );
    assert!(
        frames
            .iter()
            .any(|frame| is_event(frame, "sessions.changed")),
        "{name}: subscribed"
    );
    let replayed = peer.ask("chat.send", &run("done")).await;
    assert_eq!(
        replayed["payload"],
        json!({"runId": "done", "status": "ok"}),
        "{name}"
    );
    let conflict = peer
        .ask(
            "chat.send",
            &json!({"sessionKey": "main", "message": "other", "idempotencyKey": "done"}),
        )
        .await;
    assert_eq!(conflict["error"]["code"], "INVALID_REQUEST", "{name}");
    let report = peer
        .ask(
            "system-event",
            &json!({"text": format!("after {name}"), "deviceId": "d"}),
        )
        .await;
    assert_eq!(report["ok"], true, "{name}");
    peer.until(|frame| {
        is_event(frame, "presence") && frame["payload"].to_string().contains("after ")
    })
    .await;
    for actor in world.watch.report() {
        let failures = u64::from(actor.name == name);
        assert_eq!(actor.failures, failures, "{} after {name}", actor.name);
    }
    assert!(world.watch.until_fatal().now_or_never().is_none(), "{name}");
}

#[test]
fn a_request_that_panics_in_the_gateway_fails_alone() {
    paused(fails_alone(
        "gateway",
        "sessions.resolve",
        &json!({"key": "main"}),
        |world, peer| {
            let call =
                call::<sessions::SessionsResolve>(peer, world, "poisoned", &json!({"key": "main"}));
            assert!(world.core.gateway.route(Box::new(PanicsOnItsWay(call))));
        },
    ));
}

#[test]
fn a_request_that_panics_in_presence_fails_alone() {
    let params = json!({"text": "here"});
    paused(fails_alone(
        "presence",
        "system-event",
        &params,
        |world, peer| {
            detour::<system::SystemEvent, _>(
                peer,
                world,
                &world.owners.presence,
                &json!({"text": "here"}),
            );
        },
    ));
}

#[test]
fn a_request_that_panics_in_sessions_fails_alone() {
    paused(fails_alone(
        "sessions",
        "sessions.list",
        &json!({}),
        |world, peer| {
            detour::<sessions::SessionsList, _>(peer, world, &world.owners.sessions, &json!({}));
        },
    ));
}

#[test]
fn a_request_that_panics_in_the_runner_fails_alone() {
    let params = json!({"sessionKey": "other"});
    paused(fails_alone(
        "agent-runner",
        "chat.abort",
        &params,
        |world, peer| {
            detour::<chat::ChatAbort, _>(
                peer,
                world,
                &world.owners.runner,
                &json!({"sessionKey": "other"}),
            );
        },
    ));
}

#[test]
fn a_request_that_panics_in_the_gate_of_keys_fails_alone_and_its_key_is_free() {
    paused(async {
        let params =
            json!({"to": "other", "message": "hello", "idempotencyKey": "k", "channel": "session"});
        fails_alone("dedupe", "send", &params, |world, peer| {
            detour::<chat::ChatSend, _>(peer, world, &world.owners.dedupe, &run("poisoned-key"));
        })
        .await;
        let (world, mut peer) = busy().await;
        detour::<chat::ChatSend, _>(&peer, &world, &world.owners.dedupe, &run("poisoned-key"));
        assert_eq!(
            peer.answer("poisoned").await["error"]["code"],
            "UNAVAILABLE"
        );
        assert_eq!(
            peer.ask("chat.send", &run("poisoned-key")).await["payload"]["status"],
            "started"
        );
    });
}

#[test]
fn a_caller_that_waits_for_a_result_under_way_gets_it_all_the_same() {
    paused(async {
        let (world, mut peer) = busy().await;
        let params = json!({"to": "other", "message": "hello", "idempotencyKey": "twice", "channel": "session"});
        let first = peer.request("send", &params);
        let second = peer.request("send", &params);
        detour::<chat::ChatSend, _>(&peer, &world, &world.owners.dedupe, &run("poisoned-key"));
        let (mut answers, wanted) = (Vec::new(), [first, second]);
        while answers.len() < 2 {
            let frame = peer.next().await;
            if wanted.iter().any(|id| frame["id"] == id.as_str()) {
                answers.push(frame);
            }
        }
        assert_eq!(
            (&answers[0]["ok"], &answers[1]["ok"]),
            (&json!(true), &json!(true)),
            "{answers:?}"
        );
        assert_eq!(answers[0]["payload"], answers[1]["payload"]);
    });
}

#[test]
fn a_request_that_panics_in_logs_fails_alone() {
    paused(fails_alone(
        "logs",
        "logs.tail",
        &json!({}),
        |world, peer| {
            detour::<logs::LogsTail, _>(peer, world, &world.owners.logs, &json!({}));
        },
    ));
}

#[test]
fn a_request_that_panics_in_approvals_fails_alone() {
    paused(fails_alone(
        "approvals",
        "exec.approval.list",
        &json!({}),
        |world, peer| {
            let (owner, params) = (&world.owners.approvals, json!({}));
            detour::<approvals::ExecApprovalList, _>(peer, world, owner, &params);
        },
    ));
}

#[test]
fn what_waits_for_a_yes_outlives_panics_of_its_owner_and_no_number_of_them_is_fatal() {
    paused(async {
        let (world, mut peer) = busy().await;
        let params = json!({"id": "mine", "command": "ls", "timeoutMs": 600_000});
        let asked = peer.request("exec.approval.request", &params);
        peer.until(|frame| is_event(frame, "exec.approval.requested"))
            .await;
        for _ in 0..4 {
            let poisoned = world.owners.approvals.send(Poison(PoisonKind::Panic));
            assert!(poisoned.await.is_err());
        }
        let listed = peer.ask("exec.approval.list", &json!({})).await;
        assert_eq!(listed["payload"][0]["id"], "mine", "{listed}");
        let params = json!({"id": "mine", "decision": "allow-once"});
        peer.request("exec.approval.resolve", &params);
        let answer = peer.answer(&asked).await;
        assert_eq!(answer["payload"]["decision"], "allow-once", "{answer}");
        let late = peer.ask("exec.approval.resolve", &params).await;
        assert_eq!(late["error"]["details"]["reason"], "APPROVAL_NOT_FOUND");
        assert!(world.watch.until_fatal().now_or_never().is_none());
    });
}

#[test]
fn a_request_that_panics_in_the_scheduler_fails_alone() {
    paused(fails_alone(
        "scheduler",
        "cron.list",
        &json!({}),
        |world, peer| {
            let (owner, params) = (&world.owners.scheduler, json!({}));
            detour::<cron::CronList, _>(peer, world, owner, &params);
        },
    ));
}

#[test]
fn jobs_and_their_runs_outlive_panics_of_the_scheduler() {
    paused(async {
        let (world, mut peer) = busy().await;
        let job = json!({
            "name": "look", "schedule": {"kind": "every", "everyMs": 60_000},
            "sessionTarget": "isolated", "wakeMode": "now",
            "payload": {"kind": "agentTurn", "message": "one two three four five six"},
        });
        let job = peer.ask("cron.add", &job).await["payload"].clone();
        let begun = peer.ask("cron.run", &json!({"id": job["id"]})).await["payload"].clone();
        assert_eq!(begun["enqueued"], true, "{begun}");
        for _ in 0..4 {
            let poisoned = world.owners.scheduler.send(Poison(PoisonKind::Panic));
            assert!(poisoned.await.is_err());
        }
        // The run that was under way, then the one of the clock.
        for run in 0..2 {
            let fits =
                |frame: &Value| is_event(frame, "cron") && frame["payload"]["action"] == "finished";
            let frames = peer.until(fits).await;
            let end = &frames.last().unwrap()["payload"];
            assert_eq!(end["status"], "ok", "{end}");
            assert_eq!(run == 0, end["runId"] == begun["runId"], "{end}");
        }
        assert!(world.watch.until_fatal().now_or_never().is_none());
    });
}

#[test]
fn a_request_that_panics_in_pairing_fails_alone() {
    paused(fails_alone(
        "pairing",
        "device.pair.list",
        &json!({}),
        |world, peer| {
            detour::<device::DevicePairList, _>(peer, world, &world.owners.pairing, &json!({}));
        },
    ));
}

#[test]
fn a_message_that_panics_in_health_fails_alone() {
    paused(async {
        let (world, mut peer) = busy().await;
        let before = world.health.send(Refresh);
        let poisoned = world.health.send(Poison(PoisonKind::Panic));
        let after = world.health.send(Refresh);
        before.await.unwrap();
        assert!(poisoned.await.is_err());
        after.await.unwrap();
        let frames = peer
            .until(|frame| frame["type"] == "res" && frame["payload"]["status"] == "ok")
            .await;
        assert!(frames.iter().any(|frame| is_event(frame, "health")));
        unharmed("health", &world, &mut peer, &frames).await;
    });
}

#[test]
fn a_message_that_panics_in_the_store_fails_alone() {
    paused(async {
        let (world, mut peer) = busy().await;
        let put = |key: &str| world.store.commit(vec![Op::put(Rows::Sends, key, "value")]);
        let before = tokio::task::spawn_local(put("before"));
        tokio::task::yield_now().await;
        let between = put("between");
        let poisoned = world.store_addr.send(Poison(PoisonKind::Panic));
        let after = put("after");
        let (before, between, poisoned, after) =
            futures_util::join!(before, between, poisoned, after);
        assert!(poisoned.is_err());
        assert_eq!(
            (before.unwrap().is_ok(), between.is_ok(), after.is_ok()),
            (true, true, true)
        );
        let frames = peer
            .until(|frame| frame["type"] == "res" && frame["payload"]["status"] == "ok")
            .await;
        unharmed("store", &world, &mut peer, &frames).await;
    });
}
