//! Conversations that end by themselves, and files that many ask for at one time.

use std::time::Duration;

use futures_util::stream;
use serde_json::{Value, json};

use super::peer::{Peer, Who, is_event};
use super::world::{Setup, World, paused};
use crate::agent::model::{ModelEvent, ModelStream, StopReason};
use crate::media::Readers;
use crate::sessions::passing::Passing;
use crate::settings::ModelPlan;
use crate::store::Table;

const DAY: Duration = Duration::from_hours(24);

/// Answers at once; `take your time` after three days.
fn script(newest: &str) -> ModelStream {
    let slow = newest.contains("take your time");
    let text = format!("<{newest}>");
    ModelStream::from_stream(stream::unfold(0, move |step| {
        let text = text.clone();
        async move {
            let event = match step {
                0 => {
                    if slow {
                        tokio::time::sleep(3 * DAY).await;
                    }
                    ModelEvent::Text(text)
                }
                1 => ModelEvent::Stop(StopReason::EndTurn),
                _ => return None,
            };
            Some((Ok(event), step + 1))
        }
    }))
}

fn setup() -> Setup {
    let mut setup = Setup::here(ModelPlan::Scripted(script));
    setup.settings.run_timeout = 5 * DAY;
    setup.settings.passing = Passing {
        requests: Some(2 * DAY),
        most: 3,
        jobs: Some(DAY),
    };
    setup
}

async fn admin(world: &World) -> Peer {
    Peer::connect(&world.core, &world.worker(), &Who::admin()).await
}

fn request(number: u8) -> String {
    format!("agent:main:openai:{number:032x}")
}

async fn say(peer: &mut Peer, session: &str, message: &str) {
    let params = json!({ "sessionKey": session, "message": message, "idempotencyKey": session });
    peer.ask("chat.send", &params).await;
}

async fn turn(peer: &mut Peer, session: &str) {
    say(peer, session, "hello").await;
    let over = |frame: &Value| {
        is_event(frame, "chat")
            && frame["payload"]["runId"] == session
            && frame["payload"]["state"] == "final"
    };
    peer.until(over).await;
}

async fn keys(peer: &mut Peer) -> Vec<String> {
    let listed = peer
        .ask("sessions.list", &json!({ "archived": "all" }))
        .await;
    let rows = listed["payload"]["sessions"].as_array().unwrap();
    let mut keys: Vec<String> = rows
        .iter()
        .map(|row| row["key"].as_str().unwrap().to_owned())
        .collect();
    keys.sort();
    keys
}

fn rows(world: &World, table: Table) -> usize {
    let mut rows = 0;
    let all = [].as_slice()..[0xff; 64].as_slice();
    world
        .store
        .reader()
        .scan(table, all, false, |_, _| {
            rows += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

#[test]
fn a_conversation_of_one_request_goes_after_its_time_and_a_persons_stays() {
    paused(async {
        let world = setup().start().await;
        let mut peer = admin(&world).await;
        peer.ask("sessions.subscribe", &json!({})).await;
        turn(&mut peer, "agent:main:main").await;
        turn(&mut peer, &request(1)).await;
        turn(&mut peer, &request(2)).await;
        let label = json!({ "key": request(2), "label": "the one that I keep" });
        assert_eq!(peer.ask("sessions.patch", &label).await["ok"], true);
        say(&mut peer, &request(3), "take your time").await;
        peer.rest(DAY).await;
        assert_eq!(keys(&mut peer).await.len(), 4);
        let before = rows(&world, Table::Transcript);
        let gone = |frame: &Value| {
            is_event(frame, "sessions.changed") && frame["payload"]["reason"] == "delete"
        };
        let told = peer.until(gone).await.pop().unwrap();
        assert_eq!(told["payload"]["sessionKey"], request(1), "{told}");
        let left = ["agent:main:main".to_owned(), request(2), request(3)];
        // The third one's run goes on.
        assert_eq!(keys(&mut peer).await, left);
        assert_eq!(before - rows(&world, Table::Transcript), 2);
        // What was on its way was not taken for over, and the next start knows no more than this one.
        peer.rest(DAY).await;
        drop(peer);
        let medium = world.stop().await;
        let world = setup().on(&medium).start().await;
        let mut peer = admin(&world).await;
        assert_eq!(keys(&mut peer).await, left);
    });
}

#[test]
fn of_too_many_conversations_of_requests_the_oldest_go() {
    paused(async {
        let world = setup().start().await;
        let mut peer = admin(&world).await;
        for number in 1..=5 {
            turn(&mut peer, &request(number)).await;
        }
        peer.rest(Duration::from_mins(11)).await;
        assert_eq!(keys(&mut peer).await, [request(3), request(4), request(5)]);
    });
}

#[test]
fn the_conversation_of_a_job_goes_once_the_job_will_not_run_again() {
    paused(async {
        let world = setup().start().await;
        let mut peer = admin(&world).await;
        let job = |schedule: Value| {
            json!({
                "name": "look",
                "schedule": schedule,
                "sessionTarget": "isolated",
                "wakeMode": "now",
                "payload": { "kind": "agentTurn", "message": "look" },
            })
        };
        let at = world.core.clock.now().plus(Duration::from_mins(5)).wire();
        let once = peer
            .ask("cron.add", &job(json!({ "kind": "at", "atMs": at })))
            .await;
        let week = 7 * 24 * 3_600_000;
        let weekly = peer
            .ask(
                "cron.add",
                &job(json!({ "kind": "every", "everyMs": week })),
            )
            .await;
        let session = |added: &Value| {
            format!(
                "agent:main:cron:{}",
                added["payload"]["id"].as_str().unwrap()
            )
        };
        let (once, weekly) = (session(&once), session(&weekly));
        peer.rest(Duration::from_hours(7 * 24 + 1)).await;
        let listed = keys(&mut peer).await;
        assert_eq!(listed, [&*weekly], "{once} is over");
        peer.rest(2 * DAY).await;
        assert_eq!(keys(&mut peer).await, [weekly]);
    });
}

#[test]
fn more_downloads_than_there_is_room_for_are_refused_and_later_ones_are_not() {
    paused(async {
        let world = setup().start().await;
        let mut peer = admin(&world).await;
        turn(&mut peer, "agent:main:main").await;
        let file = format!("media_{}", "0".repeat(64));
        let params = json!({ "sessionKey": "main", "artifactId": file });
        let asked: Vec<String> = (0..Readers::MOST + 3)
            .map(|_| peer.request("artifacts.download", &params))
            .collect();
        let mut refused = 0;
        for _ in &asked {
            let is_answer = |frame: &Value| {
                frame["type"] == "res" && asked.iter().any(|id| frame["id"] == id.as_str())
            };
            let answer = peer.until(is_answer).await.pop().unwrap();
            if answer["error"]["code"] == "UNAVAILABLE" {
                assert_eq!(answer["error"]["retryable"], true, "{answer}");
                let message = answer["error"]["message"].as_str().unwrap();
                assert!(message.contains("64 downloads"), "{message}");
                refused += 1;
            } else {
                let details = &answer["error"]["details"];
                assert_eq!(details["type"], "artifact_not_found", "{answer}");
            }
        }
        assert_eq!(refused, 3);
        let later = peer.ask("artifacts.download", &params).await;
        assert_eq!(later["error"]["details"]["type"], "artifact_not_found");
    });
}
