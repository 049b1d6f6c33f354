//! What one client or one bad row may cost everyone else.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use openclaw_protocol::methods::chat::ChatHistoryParams;
use openclaw_protocol::methods::message::{Message, MessageRole};
use serde_json::json;

use super::peer::{Peer, Who, take};
use super::units::{event, link, seconds};
use super::world::{Setup, paused};
use crate::call::MAX_SUBSCRIPTIONS;
use crate::dedupe::state::KeyId;
use crate::session::link::Delivery;
use crate::sessions::history;
use crate::sessions::state::{Draft, Index};
use crate::settings::ModelPlan;
use crate::store::{Op, Table, keys};

#[test]
fn a_client_that_drains_slowly_is_not_one_that_takes_nothing() {
    let link = link(10 << 20);
    link.write_text(&[&vec![b'x'; 1 << 20]]);
    for minute in 1..=8 {
        link.tick(Duration::from_mins(minute));
        assert_eq!(link.waited(), Some(Duration::from_mins(1)));
        let Poll::Ready(Some(piece)) = link.poll_take(&Context::from_waker(Waker::noop())) else {
            panic!("more waits");
        };
        assert_eq!(piece.len(), 64 * 1024);
        assert_eq!(link.waited(), Some(Duration::ZERO), "it makes progress");
    }
    link.tick(Duration::from_mins(10));
    assert_eq!(link.waited(), Some(Duration::from_mins(2)), "and stopped");
}

#[test]
fn large_rows_fill_a_page_before_the_rows_behind_them_are_even_decoded() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut index = Index::default();
        let large = |at: u64| Message::text(MessageRole::User, "x".repeat(3 << 20), at);
        let mut ops = Vec::new();
        for at in 1..=6 {
            let draft = Draft {
                key: "agent:main:main".into(),
                agent_id: "main".into(),
                session_id: None,
                messages: vec![large(at)],
                last_run: None,
                ops: Vec::new(),
            };
            let prepared = index.prepare(draft, || "id".into(), seconds(0)).unwrap();
            world.store.commit(prepared.ops).await.unwrap();
        }
        // Whoever decodes it fails: no row that does not fit is touched.
        let old = keys::transcript("id", 1);
        ops.push(Op::put(Table::Transcript, old, vec![0]));
        world.store.commit(ops).await.unwrap();
        let params = json!({"sessionKey": "main", "limit": 1_000});
        let params: ChatHistoryParams = serde_json::from_value(params).unwrap();
        let page = history::read(world.store.reader(), "id", 7, &params).unwrap();
        let times: Vec<u64> = page
            .messages
            .iter()
            .filter_map(|row| row.timestamp)
            .collect();
        assert_eq!((times, page.next_offset), (vec![6], Some(1)));
        let rows = history::recent(world.store.reader(), "id", 1..7, 400).unwrap();
        let times: Vec<u64> = rows.iter().filter_map(|row| row.timestamp).collect();
        assert_eq!(times, [5, 6]);
    });
}

#[test]
fn unreadable_rows_are_left_out_and_their_key_never_runs_again() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        let run = |key: &str| json!({"sessionKey": "main", "message": "hi", "idempotencyKey": key});
        for key in ["good", "bad"] {
            peer.request("chat.send", &run(key));
            peer.until(|frame| frame["payload"]["state"] == "final")
                .await;
        }
        let bad = KeyId {
            method: "chat.send".into(),
            principal: peer.caller.principal(),
            key: "bad".into(),
        };
        let broken = vec![
            Op::put(Table::Idempotency, bad.row_key(), vec![9]),
            Op::put(Table::Sessions, keys::text("agent:main:bad"), vec![1]),
        ];
        world.store.commit(broken).await.unwrap();
        drop(peer);
        let medium = world.stop().await;
        let world = Setup::here(ModelPlan::Unconfigured)
            .on(&medium)
            .start()
            .await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        let good = peer.ask("chat.send", &run("good")).await;
        assert_eq!(good["payload"]["status"], "ok", "{good}");
        let bad = peer.ask("chat.send", &run("bad")).await;
        assert_eq!(bad["error"]["details"]["code"], "store-row", "{bad}");
        let list = peer.ask("sessions.list", &json!({})).await;
        assert_eq!(list["payload"]["count"], 1, "{list}");
    });
}

#[test]
fn trust_that_cannot_be_understood_needs_a_person() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        assert_eq!(crate::pairing::check(world.store.reader()), Ok(()));
        let bad = Op::put(Table::Devices, "device", vec![9]);
        world.store.commit(vec![bad]).await.unwrap();
        let error = crate::pairing::check(world.store.reader()).unwrap_err();
        assert!(error.needs_a_person());
        assert!(error.to_string().contains("`devices`"), "{error}");
    });
}

#[test]
fn counts_are_of_connections_and_of_all_sessions_of_an_agent() {
    paused(async {
        let mut setup = Setup::here(ModelPlan::Unconfigured);
        let mut other = setup.settings.agents[0].clone();
        other.id = "other".into();
        setup.settings.agents.push(other);
        let world = setup.start().await;
        let worker = world.worker();
        let mut peer = Peer::connect(&world.core, &worker, &Who::admin()).await;
        let gone = Peer::connect(&world.core, &worker, &Who::admin()).await;
        // Its row is shown for five minutes more.
        gone.leave();
        for (agent, count) in [("main", 12), ("other", 2)] {
            for n in 0..count {
                let to = format!("agent:{agent}:s{n}");
                let send = json!({"to": to, "message": "hi", "idempotencyKey": to});
                assert_eq!(peer.ask("send", &send).await["ok"], true);
            }
        }
        let status = peer.ask("status", &json!({})).await;
        let status = &status["payload"];
        assert_eq!(status["gateway"]["connections"], 1, "{status}");
        assert_eq!(status["sessions"]["byAgent"][0]["count"], 12, "{status}");
        assert_eq!(status["sessions"]["byAgent"][1]["count"], 2, "{status}");
        world.health.send(crate::health::Refresh).await.unwrap();
        let health = peer.ask("health", &json!({})).await;
        let agents = &health["payload"]["agents"];
        assert_eq!(agents[0]["sessions"]["count"], 12, "{agents}");
        assert_eq!(agents[1]["sessions"]["count"], 2, "{agents}");
    });
}

#[test]
fn a_subscription_too_many_is_refused_and_one_less_makes_room() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        for n in 0..MAX_SUBSCRIPTIONS {
            let key = json!({"key": format!("s{n}")});
            let answer = peer.ask("sessions.messages.subscribe", &key).await;
            assert_eq!(answer["ok"], true, "{answer}");
        }
        let again = json!({"key": "s0"});
        let more = json!({"key": "more"});
        let answer = peer.ask("sessions.messages.subscribe", &again).await;
        assert_eq!(answer["ok"], true, "{answer}");
        let answer = peer.ask("sessions.messages.subscribe", &more).await;
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST", "{answer}");
        assert!(answer.to_string().contains("1000 sessions"), "{answer}");
        peer.ask("sessions.messages.unsubscribe", &again).await;
        let answer = peer.ask("sessions.messages.subscribe", &more).await;
        assert_eq!(answer["ok"], true, "{answer}");
    });
}

#[test]
fn a_note_that_everyone_is_shown_is_short() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        let note = |length| json!({"text": "x".repeat(length)});
        assert_eq!(peer.ask("system-event", &note(4_096)).await["ok"], true);
        let answer = peer.ask("system-event", &note(4_097)).await;
        assert!(answer.to_string().contains("4096 characters"), "{answer}");
    });
}

#[test]
fn a_closing_client_may_drain_slowly_and_not_stop() {
    let link = link(10);
    link.write_text(&[&[b'x'; 100]]);
    link.close(1000, "");
    assert_eq!(link.write_reply(b"late"), Delivery::Written, "not too slow");
    assert_eq!(link.deliver(&event(1)), Delivery::NotForIt);
    link.tick(Duration::from_mins(1));
    assert!(take(&link).is_some());
    // Its last bytes are with the HTTP layer, which has its time as well.
    assert_eq!(take(&link), None);
    link.tick(Duration::from_mins(2));
    assert_eq!(link.waited(), Some(Duration::from_mins(1)));
}
