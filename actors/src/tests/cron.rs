//! Jobs as clients know them: made, run by the clock, watched, changed, over a restart, ended.

use std::time::Duration;

use futures_util::stream;
use openclaw_protocol::methods::cron::CronStatusName;
use openclaw_protocol::{Scope, Scopes};
use serde_json::{Value, json};

use super::peer::{Peer, Who, is_event};
use super::world::{Setup, World, paused};
use crate::agent::model::{ModelEvent, ModelStream, StopReason};
use crate::cron::job::Ended;
use crate::settings::ModelPlan;
use crate::store::Table;

fn script(newest: &str) -> ModelStream {
    let events = vec![
        ModelEvent::Text(format!("done: {newest}")),
        ModelEvent::Stop(StopReason::EndTurn),
    ];
    ModelStream::from_stream(stream::iter(events.into_iter().map(Ok)))
}

async fn start() -> (World, Peer) {
    let world = Setup::here(ModelPlan::Scripted(script)).start().await;
    let peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
    (world, peer)
}

fn every(seconds: u64) -> Value {
    json!({
        "name": "watch the door",
        "schedule": {"kind": "every", "everyMs": seconds * 1_000},
        "sessionTarget": "isolated",
        "wakeMode": "now",
        "payload": {"kind": "agentTurn", "message": "look"},
    })
}

async fn finished(peer: &mut Peer) -> Value {
    let fits = |frame: &Value| is_event(frame, "cron") && frame["payload"]["action"] == "finished";
    let frames = peer.until(fits).await;
    frames.last().unwrap()["payload"].clone()
}

#[test]
fn a_job_runs_by_the_clock_and_its_runs_can_be_read() {
    paused(async {
        let (_world, mut peer) = start().await;
        let job = peer.ask("cron.add", &every(60)).await["payload"].clone();
        assert_eq!(job["name"], "watch the door", "{job}");
        let due = job["nextRunAtMs"].as_u64().unwrap();
        let status = peer.ask("cron.status", &json!({})).await["payload"].clone();
        assert_eq!(
            (&status["jobs"], &status["nextWakeAtMs"]),
            (&json!(1), &json!(due))
        );
        for _ in 0..2 {
            let end = finished(&mut peer).await;
            assert_eq!(
                (&end["status"], &end["summary"]),
                (&json!("ok"), &json!("done: look"))
            );
            assert_eq!(end["jobId"], job["id"]);
        }
        let runs = peer
            .ask("cron.runs", &json!({"id": job["id"], "limit": 50}))
            .await["payload"]
            .clone();
        assert_eq!(
            (&runs["total"], &runs["hasMore"], &runs["nextOffset"]),
            (&json!(2), &json!(false), &Value::Null)
        );
        let first = &runs["entries"][1];
        assert_eq!(first["runAtMs"], json!(due), "{runs}");
        assert_eq!(first["jobName"], "watch the door");
        // Each run has the conversation for itself.
        let params = json!({"sessionKey": format!("cron:{}", job["id"].as_str().unwrap())});
        let history = peer.ask("chat.history", &params).await["payload"].clone();
        assert_eq!(
            history["messages"].as_array().unwrap().len(),
            2,
            "{history}"
        );
        let removed = peer.ask("cron.remove", &json!({"id": job["id"]})).await["payload"].clone();
        assert_eq!(removed, json!({"ok": true, "removed": true}));
        let gone = peer.ask("cron.runs", &json!({"id": job["id"]})).await;
        assert_eq!(gone["error"]["details"]["code"], "CRON_JOB_NOT_FOUND");
    });
}

#[test]
fn a_single_time_runs_once_and_its_job_goes_where_that_is_asked_for() {
    paused(async {
        let (world, mut peer) = start().await;
        let at = world.core.clock.now().plus(Duration::from_mins(5)).wire();
        let mut params = every(1);
        params["schedule"] = json!({"kind": "at", "atMs": at});
        params["deleteAfterRun"] = json!(true);
        let job = peer.ask("cron.add", &params).await["payload"].clone();
        assert!(
            job["schedule"]["at"].as_str().unwrap().starts_with("2027-"),
            "{job}"
        );
        let end = finished(&mut peer).await;
        assert_eq!(end["runAtMs"], json!(at));
        let gone =
            |frame: &Value| is_event(frame, "cron") && frame["payload"]["action"] == "removed";
        peer.until(gone).await;
        let list = peer
            .ask("cron.list", &json!({"includeDisabled": true}))
            .await["payload"]
            .clone();
        assert_eq!(list["total"], 0);
        // In the past it is refused.
        params["schedule"]["atMs"] = json!(at - 3_600_000);
        let late = peer.ask("cron.add", &params).await;
        assert!(
            late["error"]["message"]
                .as_str()
                .unwrap()
                .contains("lies in the past"),
            "{late}"
        );
    });
}

#[test]
fn jobs_outlive_a_restart_and_what_was_due_meanwhile_is_made_up_for() {
    paused(async {
        let (world, mut peer) = start().await;
        let job = peer.ask("cron.add", &every(3_600)).await["payload"].clone();
        let clock = world.core.clock.clone();
        drop(peer);
        let medium = world.stop().await;
        tokio::time::sleep(Duration::from_hours(5)).await;
        let setup = Setup {
            clock,
            ..Setup::here(ModelPlan::Scripted(script)).on(&medium)
        };
        let world = setup.start().await;
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        let list = peer.ask("cron.list", &json!({})).await["payload"].clone();
        assert_eq!(list["jobs"][0]["id"], job["id"]);
        // One run for what was missed, and the next slot is one of the old row.
        let (first, row) = (
            job["nextRunAtMs"].as_u64().unwrap(),
            list["jobs"][0].clone(),
        );
        let next = row["nextRunAtMs"].as_u64().unwrap();
        assert!(next > first && (next - first) % 3_600_000 == 0, "{row}");
        let runs = loop {
            let runs = peer.ask("cron.runs", &json!({})).await["payload"].clone();
            if runs["total"] != 0 {
                break runs;
            }
        };
        assert_eq!(runs["total"], 1, "{runs}");
        assert_eq!(runs["entries"][0]["status"], "ok", "{runs}");
    });
}

#[test]
fn a_person_runs_a_job_and_its_answer_is_delivered_to_the_main_conversation() {
    paused(async {
        let (_world, mut peer) = start().await;
        let mut params = every(86_400);
        params["delivery"] = json!({"mode": "announce", "channel": "last"});
        params["enabled"] = json!(false);
        let job = peer.ask("cron.add", &params).await["payload"].clone();
        let id = &job["id"];
        for (mode, reason) in [("due", "disabled"), ("if-enabled", "disabled")] {
            let refused =
                peer.ask("cron.run", &json!({"id": id, "mode": mode})).await["payload"].clone();
            assert_eq!(refused, json!({"ok": true, "ran": false, "reason": reason}));
        }
        let begun = peer
            .ask("cron.run", &json!({"jobId": id, "mode": "force"}))
            .await["payload"]
            .clone();
        assert_eq!(
            (&begun["ok"], &begun["enqueued"]),
            (&json!(true), &json!(true))
        );
        let end = finished(&mut peer).await;
        assert_eq!(end["runId"], begun["runId"]);
        assert_eq!(end["deliveryStatus"], "delivered", "{end}");
        let main = peer
            .ask("chat.history", &json!({"sessionKey": "main"}))
            .await["payload"]
            .clone();
        assert!(main.to_string().contains("done: look"), "{main}");
        let shown = peer.ask("cron.get", &json!({"id": id})).await["payload"].clone();
        assert_eq!(
            (&shown["lastRunStatus"], &shown["lastDelivered"]),
            (&json!("ok"), &json!(true))
        );
        assert_eq!(shown.get("nextRunAtMs"), None, "it is off");
    });
}

#[test]
fn a_job_is_changed_by_those_who_know_it_as_it_is() {
    paused(async {
        let (_world, mut peer) = start().await;
        let job = peer.ask("cron.add", &every(3_600)).await["payload"].clone();
        let id = &job["id"];
        let patch = json!({"name": "another", "payload": {"kind": "agentTurn", "message": "listen"}, "schedule": {"kind": "cron", "expr": "0 9 * * *", "tz": "Europe/Zurich"}});
        let stale = json!({"id": id, "patch": patch, "expectedConfigRevision": "old"});
        let refused = peer.ask("cron.update", &stale).await;
        assert_eq!(refused["error"]["code"], "INVALID_REQUEST");
        let good =
            json!({"id": id, "patch": patch, "expectedConfigRevision": job["configRevision"]});
        let changed = peer.ask("cron.update", &good).await["payload"].clone();
        assert_eq!(
            (&changed["name"], &changed["payload"]["message"]),
            (&json!("another"), &json!("listen"))
        );
        assert_ne!(changed["configRevision"], job["configRevision"]);
        assert_ne!(changed["nextRunAtMs"], job["nextRunAtMs"]);
        for (patch, place) in [
            (
                json!({"schedule": {"kind": "cron", "expr": "x"}}),
                "/schedule/expr",
            ),
            (json!({"sessionTarget": "nowhere"}), "/sessionTarget"),
            (
                json!({"payload": {"kind": "command", "argv": ["ls"]}}),
                "/payload/kind",
            ),
            (
                json!({"payload": {"kind": "agentTurn", "mood": "calm"}}),
                "/patch/payload",
            ),
            (json!({"agentId": "nobody"}), "nobody"),
            (json!({"payload": {"model": "a/b"}}), "/payload/model"),
        ] {
            let refused = peer
                .ask("cron.update", &json!({"id": id, "patch": patch}))
                .await;
            let message = refused["error"]["message"].as_str().unwrap();
            assert!(message.contains(place), "{message}");
        }
    });
}

#[test]
fn pages_of_jobs_follow_each_other_as_strict_readers_want_them() {
    paused(async {
        let (_world, mut peer) = start().await;
        for number in 0..5 {
            let mut params = every(3_600 + number);
            params["name"] = json!(format!("job {number}"));
            peer.ask("cron.add", &params).await;
        }
        let mut names = Vec::new();
        let mut offset = json!(0);
        while !offset.is_null() {
            let params =
                json!({"includeDisabled": true, "limit": 2, "offset": offset, "sortBy": "name"});
            let page = peer.ask("cron.list", &params).await["payload"].clone();
            assert!(!page["snapshotRevision"].as_str().unwrap().is_empty());
            assert_eq!((&page["total"], &page["limit"]), (&json!(5), &json!(2)));
            assert_eq!(page["hasMore"], json!(!page["nextOffset"].is_null()));
            let jobs = page["jobs"].as_array().unwrap();
            names.extend(
                jobs.iter()
                    .map(|job| job["name"].as_str().unwrap().to_owned()),
            );
            assert!(jobs.iter().all(|job| job["effectiveAgentId"] == "main"));
            offset = page["nextOffset"].clone();
        }
        assert_eq!(names, ["job 0", "job 1", "job 2", "job 3", "job 4"]);
    });
}

#[test]
fn wake_tells_the_main_session_and_jobs_take_an_admin() {
    paused(async {
        let (world, mut peer) = start().await;
        let woken = peer
            .ask("wake", &json!({"mode": "now", "text": "the door bell"}))
            .await;
        assert_eq!(woken["payload"], json!({"ok": true}));
        let fits = |frame: &Value| is_event(frame, "chat") && frame["payload"]["state"] == "final";
        let frames = peer.until(fits).await;
        assert!(
            frames
                .last()
                .unwrap()
                .to_string()
                .contains("done: the door bell")
        );
        let scopes = Scopes::of(&[Scope::Write]);
        let who = Who {
            scopes,
            ..Who::admin()
        };
        let mut writer = Peer::connect(&world.core, &world.worker(), &who).await;
        let refused = writer.ask("cron.add", &every(60)).await;
        assert_eq!(
            refused["error"]["details"]["missingScope"],
            "operator.admin"
        );
    });
}

#[test]
fn an_agent_makes_reminders_for_owners_and_their_runs_may_do_less() {
    paused(async {
        let (world, mut peer) = start().await;
        let at = world.core.clock.now().plus(Duration::from_mins(20)).wire();
        let invoke = |args: Value| json!({"name": "cron", "args": args});
        let job = json!({"schedule": {"kind": "at", "atMs": at}, "payload": {"kind": "systemEvent", "text": "the tea is ready"}});
        let add = invoke(json!({"action": "add", "job": job}));
        let added = peer.ask("tools.invoke", &add).await["payload"].clone();
        assert_eq!(added["ok"], true, "{added}");
        let made = &added["output"]["details"];
        assert_eq!(
            (&made["name"], &made["agentId"]),
            (&json!("the tea is ready"), &json!("main"))
        );
        assert_eq!(
            (&made["sessionTarget"], &made["deleteAfterRun"]),
            (&json!("main"), &json!(true))
        );
        let id = &made["id"];
        let stored = crate::cron::load(world.store.reader()).unwrap();
        let scopes = stored.get(id.as_str().unwrap()).unwrap().scopes;
        assert!(scopes.grants(Scope::Write) && !scopes.grants(Scope::Admin));
        let listed = peer
            .ask("tools.invoke", &invoke(json!({"action": "list"})))
            .await["payload"]
            .clone();
        assert_eq!(listed["output"]["details"]["total"], 1, "{listed}");
        let patch = invoke(
            json!({"action": "update", "id": id, "patch": {"name": "tea", "agentId": "other"}}),
        );
        let patched = peer.ask("tools.invoke", &patch).await["payload"].clone();
        assert_eq!(patched["output"]["details"]["name"], "tea", "{patched}");
        for (args, problem) in [
            (
                json!({"action": "add", "job": {"schedule": {"kind": "at"}, "payload": {"kind": "systemEvent", "text": "x"}}}),
                "/schedule/at",
            ),
            (json!({"action": "remove"}), "`id` is missing"),
            (json!({"action": "run", "id": "nobody"}), "not found"),
        ] {
            let failed = peer.ask("tools.invoke", &invoke(args)).await["payload"].clone();
            let message = failed["error"]["message"].as_str().unwrap();
            assert!(message.contains(problem), "{message}");
        }
        let end = finished(&mut peer).await;
        assert_eq!(end["summary"], "done: the tea is ready");
        // Nobody else's run has it.
        let who = Who {
            scopes: Scopes::of(&[Scope::Write]),
            ..Who::admin()
        };
        let mut writer = Peer::connect(&world.core, &world.worker(), &who).await;
        let refused = writer.ask("tools.invoke", &add).await["payload"].clone();
        assert_eq!(refused["error"]["code"], "not_found");
    });
}

/// Takes its time, so that a restart can fall into it.
fn slow(newest: &str) -> ModelStream {
    let text = format!("done: {newest}");
    ModelStream::from_stream(stream::unfold(0, move |step| {
        let text = text.clone();
        async move {
            let event = match step {
                0 => {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    ModelEvent::Text(text)
                }
                1 => ModelEvent::Stop(StopReason::EndTurn),
                _ => return None,
            };
            Some((Ok(event), step + 1))
        }
    }))
}

#[test]
fn fifty_restarts_around_its_slots_neither_repeat_nor_forget_one() {
    paused(async {
        let plan = || Setup::here(ModelPlan::Scripted(slow));
        let mut world = plan().start().await;
        let clock = world.core.clock.clone();
        let mut peer = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        let job = peer.ask("cron.add", &every(60)).await["payload"].clone();
        drop(peer);
        let first = i64::try_from(job["nextRunAtMs"].as_u64().unwrap()).unwrap();
        for restart in 0..50_i64 {
            // Another moment each time: from a second before a slot over its run to a second behind it.
            let moment = first + restart * 60_000 - 1_000 + restart * 40;
            let wait = u64::try_from(moment - clock.now().0).unwrap();
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let medium = world.stop().await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            let setup = Setup {
                clock: clock.clone(),
                ..plan().on(&medium)
            };
            world = setup.start().await;
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        let all = &[][..]..&[][..];
        let rows: Vec<(Vec<u8>, Ended)> = world
            .store
            .reader()
            .range_json(Table::CronRuns, all, usize::MAX, false)
            .unwrap();
        let mut slots: Vec<i64> = rows.iter().map(|(_, row)| row.slot.unwrap().0).collect();
        slots.sort_unstable();
        let now = clock.now().0;
        let expected: Vec<i64> = (first..=now).step_by(60_000).collect();
        assert_eq!(slots, expected);
        let good = |row: &Ended| row.outcome.status == CronStatusName::Ok;
        let cut = rows.iter().filter(|(_, row)| !good(row)).count();
        assert!(
            (5..20).contains(&cut),
            "{cut} runs were cut off by a restart"
        );
    });
}
