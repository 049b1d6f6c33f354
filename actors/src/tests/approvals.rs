//! Programs that wait for a yes: shown, decided, run once, taken back.

use std::time::Duration;

use futures_util::stream;
use openclaw_protocol::{Scope, Scopes};
use serde_json::{Value, json};

use super::peer::{Peer, Who, is_event};
use super::world::{Setup, World, paused};
use crate::agent::model::{ModelEvent, ModelStream, StopReason, ToolCall};
use crate::settings::ModelPlan;

/// Runs what stands behind `run `; answers anything else.
fn script(newest: &str) -> ModelStream {
    let events = if let Some(command) = newest.strip_prefix("run ") {
        let call = ToolCall {
            id: String::new(),
            name: "exec".into(),
            arguments: json!({ "command": command }),
            signature: None,
        };
        vec![
            ModelEvent::ToolCall(call),
            ModelEvent::Stop(StopReason::ToolUse),
        ]
    } else {
        vec![
            ModelEvent::Text(format!("got: {newest}")),
            ModelEvent::Stop(StopReason::EndTurn),
        ]
    };
    ModelStream::from_stream(stream::iter(events.into_iter().map(Ok)))
}

/// Programs take their time in the real world, so those that are run need its clock.
fn real<F: Future<Output = ()>>(work: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work);
}

struct Bench {
    world: World,
    home: tempfile::TempDir,
    asker: Peer,
    owner: Peer,
}

fn who(scopes: &[Scope]) -> Who {
    Who {
        scopes: Scopes::of(scopes),
        ..Who::admin()
    }
}

/// A client that may write and one that may approve, and a workspace.
async fn bench(asker: &[Scope]) -> Bench {
    let home = tempfile::tempdir().unwrap();
    let mut setup = Setup::here(ModelPlan::Scripted(script));
    setup.settings.agents[0].workspace = Some(home.path().to_owned());
    let world = setup.start().await;
    let asker = Peer::connect(&world.core, &world.worker(), &who(asker)).await;
    let owner = Peer::connect(&world.core, &world.worker(), &who(&[Scope::Approvals])).await;
    Bench {
        world,
        home,
        asker,
        owner,
    }
}

fn send(message: &str, key: &str) -> Value {
    json!({"sessionKey": "main", "message": message, "idempotencyKey": key})
}

impl Bench {
    fn run(&mut self, command: &str, key: &str) {
        self.asker
            .request("chat.send", &send(&format!("run {command}"), key));
    }

    /// The next request for a decision.
    async fn requested(&mut self) -> Value {
        let frames = self
            .owner
            .until(|frame| is_event(frame, "exec.approval.requested"))
            .await;
        frames.last().unwrap()["payload"].clone()
    }

    async fn resolve(&mut self, id: &Value, decision: &str) -> Value {
        let params = json!({"id": id, "decision": decision});
        self.owner.ask("exec.approval.resolve", &params).await
    }

    /// What the run came to.
    async fn answer(&mut self) -> String {
        let frames = self
            .asker
            .until(|frame| {
                is_event(frame, "chat")
                    && matches!(
                        frame["payload"]["state"].as_str(),
                        Some("final" | "error" | "aborted")
                    )
            })
            .await;
        let last = &frames.last().unwrap()["payload"];
        assert_eq!(last["state"], "final", "{last}");
        last["message"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

#[test]
fn a_program_runs_once_a_person_said_yes_to_exactly_it() {
    real(async {
        let mut bench = bench(&[Scope::Write]).await;
        bench.run("echo hello; pwd; exit 3", "k1");
        let asked = bench.requested().await;
        assert_eq!(asked["request"]["command"], "echo hello; pwd; exit 3");
        assert_eq!(asked["request"]["agentId"], "main");
        assert_eq!(asked["request"]["sessionKey"], "agent:main:main");
        let listed = bench.owner.ask("exec.approval.list", &json!({})).await;
        assert_eq!(listed["payload"], json!([asked]));
        let done = bench.resolve(&asked["id"], "allow-once").await;
        assert_eq!(done["payload"], json!({"ok": true}));
        let answer = bench.answer().await;
        let folder = std::fs::canonicalize(bench.home.path()).unwrap();
        assert_eq!(
            answer,
            format!("got: hello\n{}\n[exit code 3]", folder.display())
        );
        // A yes counts once, and to a request that is over nothing can be said.
        let late = bench.resolve(&asked["id"], "allow-once").await;
        assert_eq!(late["error"]["details"]["reason"], "APPROVAL_NOT_FOUND");
        bench.run("echo hello; pwd; exit 3", "k2");
        let again = bench.requested().await;
        assert_ne!(again["id"], asked["id"]);
        bench.resolve(&again["id"], "deny").await;
        assert!(bench.answer().await.contains("the owner refused it"));
    });
}

#[test]
fn every_decision_about_a_program_leaves_a_row_without_its_arguments() {
    real(async {
        let mut bench = bench(&[Scope::Admin]).await;
        let script = bench.home.path().join("job.sh");
        std::fs::write(&script, "echo harmless").unwrap();
        for (key, decision) in [
            ("k1", "allow-once"),
            ("k2", "deny"),
            ("k3", "changed"),
            ("k4", "allow-always"),
        ] {
            bench.run("/bin/sh job.sh --password hunter2", key);
            let asked = bench.requested().await;
            if decision == "changed" {
                std::fs::write(&script, "echo other").unwrap();
                bench.resolve(&asked["id"], "allow-once").await;
            } else {
                bench.resolve(&asked["id"], decision).await;
            }
            bench.answer().await;
        }
        // By the rule that was just made, then never again.
        bench.run("/bin/sh job.sh --password hunter2", "k5");
        assert!(bench.answer().await.contains("other"));
        let params = json!({"command": "ls --password hunter2", "timeoutMs": 1_000});
        bench.asker.ask("exec.approval.request", &params).await;
        let known = bench.asker.ask("exec.approvals.get", &json!({})).await;
        let file = json!({"version": 1, "defaults": {"security": "deny"}});
        let params = json!({"file": file, "baseHash": known["payload"]["hash"]});
        assert_eq!(
            bench.asker.ask("exec.approvals.set", &params).await["ok"],
            true
        );
        bench.run("/bin/sh job.sh --password hunter2", "k6");
        assert!(bench.answer().await.contains("switched off"));

        let params = json!({"kind": "exec", "limit": 100});
        let list = bench.asker.ask("trust.audit.list", &params).await["payload"].clone();
        assert!(!list.to_string().contains("hunter2"), "{list}");
        let rows: Vec<(&str, &str)> = list["entries"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|row| {
                let text = |field: &str| row[field].as_str().unwrap_or_default();
                (text("kind"), text("code"))
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("exec.approved", "allow-once"),
                ("exec.started", "allow-once"),
                ("exec.denied", "deny"),
                ("exec.approved", "allow-once"),
                ("exec.refused", "changed"),
                ("exec.approved", "allow-always"),
                ("exec.started", "allow-always"),
                ("exec.started", "rules"),
                ("exec.expired", "expired"),
                ("exec.rules.changed", ""),
                ("exec.refused", "rules"),
            ],
            "{list}"
        );
        let entries = list["entries"].as_array().unwrap();
        let first = entries.last().unwrap();
        assert!(
            first["reason"]
                .as_str()
                .unwrap()
                .starts_with("/bin/sh (sha256 "),
            "{first}"
        );
        assert!(first["requestId"].is_string() && first["by"].is_string());
    });
}

#[test]
fn a_script_that_is_changed_after_the_yes_was_asked_for_is_not_run() {
    paused(async {
        let mut bench = bench(&[Scope::Write]).await;
        let script = bench.home.path().join("job.sh");
        std::fs::write(&script, "echo harmless").unwrap();
        bench.run("sh job.sh", "k1");
        let asked = bench.requested().await;
        std::fs::write(&script, "touch stolen").unwrap();
        bench.resolve(&asked["id"], "allow-once").await;
        let answer = bench.answer().await;
        assert!(answer.contains("changed after it was approved"), "{answer}");
        assert!(!bench.home.path().join("stolen").exists());
    });
}

#[test]
fn nobody_answers_is_a_no() {
    paused(async {
        let mut bench = bench(&[Scope::Write]).await;
        bench.run("echo hello", "k1");
        let asked = bench.requested().await;
        // Both read meanwhile: who reads nothing for minutes is closed.
        let over = bench
            .asker
            .until(|frame| frame["payload"]["state"] == "final");
        let resolved = bench
            .owner
            .until(|frame| is_event(frame, "exec.approval.resolved"));
        let (over, frames) = tokio::join!(over, resolved);
        let answer = over.last().unwrap()["payload"]["message"].to_string();
        assert!(
            answer.contains("nobody approved it within 120 s"),
            "{answer}"
        );
        let end = &frames.last().unwrap()["payload"];
        assert_eq!((&end["id"], &end["decision"]), (&asked["id"], &Value::Null));
    });
}

#[test]
fn always_holds_for_exactly_that_and_over_a_restart_and_for_admins_only() {
    real(async {
        let mut bench = bench(&[Scope::Admin]).await;
        bench.run("echo hello", "k1");
        let asked = bench.requested().await;
        bench.resolve(&asked["id"], "allow-always").await;
        assert_eq!(bench.answer().await, "got: hello\n");
        bench.run("echo hello", "k2");
        assert_eq!(bench.answer().await, "got: hello\n");
        bench.run("echo other", "k3");
        let other = bench.requested().await;
        assert_eq!(other["request"]["command"], "echo other");
        bench.resolve(&other["id"], "deny").await;
        bench.answer().await;

        let rules = crate::approvals::load(bench.world.store.reader())
            .unwrap()
            .unwrap();
        assert!(
            serde_json::to_string(&rules)
                .unwrap()
                .contains("echo hello")
        );
        // Somebody without admin asks each time, whatever was allowed to others.
        bench.asker = Peer::connect(
            &bench.world.core,
            &bench.world.worker(),
            &who(&[Scope::Write]),
        )
        .await;
        bench.run("echo hello", "k4");
        let asked = bench.requested().await;
        bench.resolve(&asked["id"], "deny").await;
        bench.answer().await;
    });
}

#[test]
fn a_run_that_is_stopped_takes_its_request_and_its_processes_back() {
    paused(async {
        let mut bench = bench(&[Scope::Write]).await;
        bench.run("echo hello", "k1");
        let asked = bench.requested().await;
        bench
            .asker
            .request("chat.abort", &json!({"sessionKey": "main"}));
        let frames = bench
            .owner
            .until(|frame| is_event(frame, "exec.approval.resolved"))
            .await;
        assert_eq!(frames.last().unwrap()["payload"]["id"], asked["id"]);
        let listed = bench.owner.ask("exec.approval.list", &json!({})).await;
        assert_eq!(listed["payload"], json!([]));
    });
}

#[test]
fn a_client_asks_for_a_decision_of_its_own_and_others_wait_with_it() {
    paused(async {
        let mut bench = bench(&[Scope::Approvals]).await;
        let params = json!({"id": "mine", "commandArgv": ["rm", "-r", "x"], "cwd": null, "timeoutMs": 5_000, "twoPhase": true});
        bench.asker.request("exec.approval.request", &params);
        let asked = bench.requested().await;
        assert_eq!(
            (&asked["id"], &asked["request"]["command"]),
            (&json!("mine"), &json!("rm -r x"))
        );
        let refused = bench.resolve(&json!("mine"), "allow-always").await;
        assert!(
            refused["error"]["message"]
                .as_str()
                .unwrap()
                .contains("allow-once or deny")
        );
        bench
            .owner
            .request("exec.approval.waitDecision", &json!({"id": "mine"}));
        bench.resolve(&json!("mine"), "allow-once").await;
        let frames = bench
            .asker
            .until(|frame| frame["type"] == "res" && frame["payload"]["decision"] == "allow-once")
            .await;
        assert_eq!(
            frames
                .iter()
                .filter(|frame| frame["payload"]["status"] == "accepted")
                .count(),
            1
        );
        let late = bench
            .owner
            .ask("exec.approval.waitDecision", &json!({"id": "mine"}))
            .await;
        assert_eq!(late["payload"]["decision"], "allow-once");
        let params = json!({"command": "ls", "timeoutMs": 1_000});
        let expired = tokio::time::timeout(
            Duration::from_secs(5),
            bench.asker.ask("exec.approval.request", &params),
        );
        assert_eq!(expired.await.unwrap()["payload"]["decision"], Value::Null);
    });
}

#[test]
fn rules_are_replaced_only_by_those_who_know_them() {
    paused(async {
        let mut bench = bench(&[Scope::Admin]).await;
        let first = bench.asker.ask("exec.approvals.get", &json!({})).await["payload"].clone();
        assert_eq!(
            (&first["exists"], &first["file"]),
            (&json!(false), &json!({"version": 1}))
        );
        let file = json!({"version": 1, "defaults": {"security": "deny"}});
        let stored = bench
            .asker
            .ask("exec.approvals.set", &json!({ "file": file }))
            .await;
        assert_eq!(stored["payload"]["file"], file);
        assert_eq!(stored["payload"]["resolvedDefaults"]["security"], "deny");
        for base in [None, first["hash"].as_str()] {
            let mut params = json!({ "file": {"version": 1} });
            if let Some(base) = base {
                params["baseHash"] = base.into();
            }
            let refused = bench.asker.ask("exec.approvals.set", &params).await;
            assert_eq!(refused["ok"], false, "{base:?}");
        }
        bench.run("echo hello", "k1");
        assert!(bench.answer().await.contains("switched off"));
        let params = json!({"name": "exec", "args": {"command": "echo hello"}});
        let invoked = bench.asker.ask("tools.invoke", &params).await["payload"].clone();
        assert_eq!(
            (&invoked["ok"], &invoked["error"]["code"]),
            (&json!(false), &json!("tool_failed"))
        );
    });
}
