//! Ten thousand interleaved runs over two workers, each actor on its own thread.

use std::collections::HashMap;

use futures_util::future::join_all;
use futures_util::stream;
use openclaw_protocol::events::{SHUTDOWN, ShutdownEvent};
use openclaw_protocol::{Role, Scope, Scopes};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::peer::{Peer, Who, Worker, is_event};
use super::world::{Core, Setup};
use crate::agent::model::{ModelEvent, ModelStream, StopReason};
use crate::clock::SystemClock;
use crate::event::{Audience, EventOut, Plain};
use crate::health::Refresh;
use crate::placement::Threads;
use crate::settings::ModelPlan;

const RUNS: usize = 10_000;
const WORKERS: usize = 2;
/// Clients of each worker that start runs.
const DRIVERS: usize = 3;
/// Runs that one client has under way.
const WINDOW: usize = 24;
const SESSIONS: usize = 100;
/// Connections that come and go on each worker meanwhile.
const VISITS: usize = 150;

/// Three pieces, with a turn for everybody else between them.
fn script(_: &str) -> ModelStream {
    ModelStream::from_stream(stream::unfold(0, |step| async move {
        tokio::task::yield_now().await;
        let event = match step {
            0..3 => ModelEvent::Text(format!("{step} ")),
            3 => ModelEvent::Stop(StopReason::EndTurn),
            _ => return None,
        };
        Some((Ok(event), step + 1))
    }))
}

/// How far a run has come, as one connection sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Asked for by this connection, and not acknowledged to it.
    Asked,
    /// Acknowledged, or somebody else's.
    Open,
    /// Its `chat` ended; an `agent` request of this connection still waits for its final response.
    Told,
    /// Nothing may follow.
    Over,
}

/// What one connection knows.
struct View {
    name: String,
    seq: u64,
    presence: Value,
    health: Value,
    versions: (u64, u64),
    runs: HashMap<String, Stage>,
    /// Requests by id: the run, and whether it is answered twice.
    asked: HashMap<String, (String, bool)>,
    over: usize,
}

impl View {
    fn of(name: String, hello: &Value) -> Self {
        let versions = &hello["stateVersion"];
        Self {
            name,
            seq: 0,
            presence: hello["presence"].clone(),
            health: hello["health"].clone(),
            versions: (
                versions["presence"].as_u64().unwrap(),
                versions["health"].as_u64().unwrap(),
            ),
            runs: HashMap::new(),
            asked: HashMap::new(),
            over: 0,
        }
    }

    fn see(&mut self, frame: &Value) {
        if frame["type"] == "res" {
            return self.answered(frame);
        }
        if frame["event"] == "voicewake.changed" {
            // For this node alone.
            return assert!(frame["seq"].is_null(), "{frame}");
        }
        self.seq += 1;
        assert_eq!(frame["seq"], self.seq, "{}: {frame}", self.name);
        if let Some(versions) = frame.get("stateVersion") {
            let now = (
                versions["presence"].as_u64().unwrap(),
                versions["health"].as_u64().unwrap(),
            );
            assert!(
                now.0 >= self.versions.0 && now.1 >= self.versions.1,
                "{}",
                self.name
            );
            self.versions = now;
        }
        if is_event(frame, "presence") {
            self.presence = frame["payload"]["presence"].clone();
        } else if is_event(frame, "health") {
            self.health = frame["payload"].clone();
        } else if let Some(run) = frame["payload"]["runId"].as_str() {
            self.happened(run, frame);
        }
    }

    fn happened(&mut self, run: &str, frame: &Value) {
        let stage = self.runs.entry(run.to_owned()).or_insert(Stage::Open);
        assert_eq!(*stage, Stage::Open, "{}: {frame}", self.name);
        if frame["payload"]["state"] == "final" {
            let twice = self
                .asked
                .values()
                .any(|(asked, twice)| asked == run && *twice);
            *stage = if twice { Stage::Told } else { Stage::Over };
            self.over += usize::from(!twice && run.starts_with(&self.name));
        }
    }

    fn answered(&mut self, frame: &Value) {
        let Some((run, twice)) = self.asked.get(frame["id"].as_str().unwrap()).cloned() else {
            return;
        };
        let stage = self.runs.get_mut(&run).unwrap();
        let status = frame["payload"]["status"].as_str().unwrap_or_default();
        match (*stage, status) {
            (Stage::Asked, "accepted" | "started") => *stage = Stage::Open,
            (Stage::Told, "ok") if twice => {
                *stage = Stage::Over;
                self.over += 1;
            }
            _ => unreachable!("{}: {frame} at {stage:?}", self.name),
        }
        if *stage == Stage::Over || !twice {
            self.asked.remove(frame["id"].as_str().unwrap());
        }
    }
}

/// What a connection believed when the end was told.
struct Belief {
    name: String,
    reads_presence: bool,
    presence: Value,
    health: Value,
}

async fn until_end(mut peer: Peer, mut view: View) -> Belief {
    loop {
        let frame = peer.next().await;
        view.see(&frame);
        if is_event(&frame, SHUTDOWN) {
            break;
        }
    }
    Belief {
        name: view.name,
        reads_presence: peer.caller.role == Role::Operator && peer.caller.grants(Scope::Read),
        presence: view.presence,
        health: view.health,
    }
}

/// Starts its share of the runs and checks the order of everything that it gets.
async fn drive(
    core: Core,
    worker: Worker,
    who: Who,
    name: String,
    done: mpsc::Sender<()>,
) -> Belief {
    let mut peer = Peer::connect(&core, &worker, &who).await;
    let mut view = View::of(name, &peer.hello);
    for session in (0..SESSIONS).step_by(3) {
        let key = json!({"key": format!("s{session}")});
        peer.ask_and("sessions.messages.subscribe", &key, |frame| view.see(frame))
            .await;
    }
    peer.ask_and("sessions.subscribe", &json!({}), |frame| view.see(frame))
        .await;
    let share = RUNS / WORKERS / DRIVERS + 1;
    let mut sent = 0;
    while view.over < share {
        while sent < share && sent - view.over < WINDOW {
            let run = format!("{}-{sent}", view.name);
            let twice = sent % 2 == 0;
            // Who asked for session-scoped events stays where it listens.
            let session = if who.caps.is_empty() {
                sent % SESSIONS
            } else {
                sent * 3 % 99
            };
            let params = json!({
                "sessionKey": format!("s{session}"),
                "message": "hello",
                "idempotencyKey": run,
            });
            view.runs.insert(run.clone(), Stage::Asked);
            let id = peer.request(if twice { "agent" } else { "chat.send" }, &params);
            view.asked.insert(id, (run, twice));
            sent += 1;
        }
        let frame = peer.next().await;
        view.see(&frame);
    }
    done.send(()).await.unwrap();
    until_end(peer, view).await
}

async fn watch(core: Core, worker: Worker, who: Who, name: String) -> Belief {
    let peer = Peer::connect(&core, &worker, &who).await;
    let view = View::of(name, &peer.hello);
    until_end(peer, view).await
}

/// Comes, looks on for a moment, and goes.
async fn visit(core: Core, worker: Worker, done: mpsc::Sender<()>) {
    for visit in 0..VISITS {
        let mut peer = Peer::connect(&core, &worker, &Who::admin()).await;
        let mut view = View::of(format!("visit-{visit}"), &peer.hello);
        peer.ask_and("system-presence", &json!({}), |frame| view.see(frame))
            .await;
        for _ in 0..visit % 20 {
            let frame = peer.next().await;
            view.see(&frame);
        }
        peer.leave();
    }
    done.send(()).await.unwrap();
}

/// One worker thread: its hub, its clients, and what they believed at the end.
async fn work(core: Core, number: usize, done: mpsc::Sender<()>) -> Vec<Belief> {
    let worker = Worker::start(&core);
    let reader = Who {
        scopes: Scopes::of(&[Scope::Read]),
        ..Who::admin()
    };
    let node = Who {
        role: Role::Node,
        scopes: Scopes::NONE,
        ..Who::admin()
    };
    let scoped = Who {
        scopes: Scopes::of(&[Scope::Write]),
        caps: vec!["session-scoped-events".into()],
        ..Who::admin()
    };
    let mut clients = Vec::new();
    for who in [reader, node] {
        let name = format!("watch-{number}-{}", who.role.as_str());
        clients.push(tokio::task::spawn_local(watch(
            core.clone(),
            worker.clone(),
            who,
            name,
        )));
    }
    for (kind, who) in [Who::admin(), Who::v3(), scoped].into_iter().enumerate() {
        let name = format!("drive-{number}-{kind}");
        let drive = drive(core.clone(), worker.clone(), who, name, done.clone());
        clients.push(tokio::task::spawn_local(drive));
    }
    let visits = tokio::task::spawn_local(visit(core, worker.clone(), done));
    let beliefs = join_all(clients).await;
    visits.await.unwrap();
    assert_eq!(worker.queue.dropped(), 0);
    beliefs.into_iter().map(Result::unwrap).collect()
}

#[test]
fn ten_thousand_runs_keep_their_order_on_every_connection_and_views_agree_at_the_end() {
    actix::System::new().block_on(async {
        let threads = Threads::start().unwrap();
        let mut setup = Setup::here(ModelPlan::Scripted(script));
        setup.threads = threads.clone();
        setup.clock = SystemClock::shared();
        setup.settings.max_concurrent = 64;
        setup.settings.max_queued = 1_000;
        let world = setup.start().await;
        let (done, mut finished) = mpsc::channel(WORKERS * (DRIVERS + 1));
        let mut beliefs = Vec::new();
        for number in 0..WORKERS {
            let (tell, told) = oneshot::channel();
            let (core, done) = (world.core.clone(), done.clone());
            let place = threads.extra("worker").unwrap();
            assert!(place.run(move || {
                actix_rt::spawn(async move { tell.send(work(core, number, done).await).ok() });
            }));
            beliefs.push(told);
        }
        drop(done);
        for _ in 0..WORKERS * (DRIVERS + 1) {
            finished.recv().await.expect("a client failed");
        }
        // The last change of presence is told to everyone before the end is.
        let mut last = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        last.request(
            "system-event",
            &json!({"text": "the last change", "deviceId": "last"}),
        );
        last.until(|frame| {
            is_event(frame, "presence") && frame["payload"].to_string().contains("the last change")
        })
        .await;
        world.health.send(Refresh).await.unwrap();
        let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
        let presence = json(world.core.views.presence.load().json());
        let health = json(world.core.views.health.load().json());
        let end = ShutdownEvent {
            reason: "end".into(),
            restart_expected_ms: None,
        };
        world
            .core
            .gateway
            .emit(EventOut::new(SHUTDOWN, Audience::Everyone, Plain(end)));
        for told in beliefs {
            for belief in told.await.expect("a client failed") {
                assert_eq!(belief.health, health, "{}", belief.name);
                if belief.reads_presence {
                    assert_eq!(belief.presence, presence, "{}", belief.name);
                }
            }
        }
        assert!(world.watch.report().iter().all(|actor| actor.failures == 0));
        let stopping = threads.clone();
        drop((world, last));
        tokio::task::spawn_blocking(move || stopping.stop())
            .await
            .unwrap();
    });
}
