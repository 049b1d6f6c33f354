//! Decisions about programs over whole sockets: rules that clients write, and requests of their own.

use serde_json::json;

use crate::harness::daemon::{Daemon, Plan};

#[tokio::test]
async fn two_clients_wait_for_the_decision_of_a_third() {
    let daemon = Daemon::start(Plan::default());
    let (mut asker, mut other, mut owner) = (
        daemon.client().await,
        daemon.generation(3).await,
        daemon.client().await,
    );
    let wish =
        json!({ "command": "git status", "host": "node", "timeoutMs": 60_000, "twoPhase": true });
    let asked = asker.ask("exec.approval.request", wish).await;
    let accepted = asker.answer(&asked).await;
    assert_eq!(accepted["payload"]["status"], "accepted", "{accepted}");
    let by_id = json!({ "id": accepted["payload"]["id"] });
    let shown = owner.call("exec.approval.get", by_id.clone()).await;
    assert_eq!(shown["request"]["command"], "git status", "{shown}");
    let waits = other.ask("exec.approval.waitDecision", by_id.clone()).await;
    // Handled in order: the wait is known once a later request is answered.
    other.call("exec.approval.list", json!({})).await;
    let mut yes = by_id.clone();
    yes["decision"] = json!("allow-once");
    owner.call("exec.approval.resolve", yes).await;
    for decided in [asker.answer(&asked).await, other.answer(&waits).await] {
        assert_eq!(decided["payload"]["decision"], "allow-once", "{decided}");
    }
    // Who comes late is told the same; there is nothing to show any more.
    let late = other
        .call("exec.approval.waitDecision", by_id.clone())
        .await;
    assert_eq!(late["decision"], "allow-once");
    owner.refused("exec.approval.get", by_id).await;
}

#[tokio::test]
async fn rules_are_written_by_who_read_them_last_and_outlive_the_daemon() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let before = owner.call("exec.approvals.get", json!({})).await;
    let rules = |pattern: &str, hash| {
        json!({ "baseHash": hash, "file": {
            "version": 1, "agents": { "main": { "allowlist": [{ "pattern": pattern }] } },
        } })
    };
    let wanted = rules("/usr/bin/git", &before["hash"]);
    let written = owner.call("exec.approvals.set", wanted).await;
    let first = "/file/agents/main/allowlist/0/pattern";
    assert_eq!(written.pointer(first), Some(&json!("/usr/bin/git")));
    let stale = rules("/usr/bin/make", &before["hash"]);
    let refused = owner.refused("exec.approvals.set", stale).await;
    assert!(
        refused["message"]
            .to_string()
            .contains("exec.approvals.get"),
        "{refused}"
    );
    drop(owner);
    let daemon = Daemon::start_in(daemon.stop().await, Plan::default());
    let mut owner = daemon.client().await;
    let after = owner.call("exec.approvals.get", json!({})).await;
    assert_eq!(
        (after.pointer(first), &after["hash"]),
        (written.pointer(first), &written["hash"])
    );
}
