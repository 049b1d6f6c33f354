//! Jobs that run by the clock, in the built program: made on the command line, run, and killed.

use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::socket::Socket;

async fn openclaw(home: &Home, gateway: &Gateway, args: &[&str]) -> String {
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let args = [args, &["--url", &url, "--token", TOKEN]].concat();
    let (code, out, err) = home.run(&args).await;
    assert_eq!(code, Some(0), "{args:?}: {err}");
    out
}

async fn finished(owner: &mut Socket) -> Value {
    let frame = owner
        .until(|frame| frame["event"] == "cron" && frame["payload"]["action"] == "finished")
        .await;
    frame["payload"].clone()
}

#[tokio::test]
async fn a_job_that_is_made_on_the_command_line_runs_and_is_shown() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let add = [
        "cron",
        "add",
        "--name",
        "Inbox",
        "--every",
        "1s",
        "--message",
        "read it",
        "--announce",
    ];
    let said = openclaw(&home, &gateway, &add).await;
    assert!(said.starts_with("added Inbox ("), "{said}");
    for _ in 0..2 {
        let mut asked = model.asked().await;
        assert_eq!(asked.prompt, "read it");
        asked.text("three letters").await;
        asked.done().await;
        let end = finished(&mut owner).await;
        assert_eq!(end["status"], "ok", "{end}");
        assert_eq!(end["deliveryStatus"], "delivered", "{end}");
    }
    openclaw(&home, &gateway, &["cron", "disable", "inbox"]).await;
    let listed = openclaw(&home, &gateway, &["cron", "list"]).await;
    assert!(listed.starts_with("no job"), "{listed}");
    let listed = openclaw(&home, &gateway, &["cron", "list", "--all"]).await;
    assert!(listed.contains("does not run"), "{listed}");
    let runs = openclaw(&home, &gateway, &["cron", "runs", "Inbox"]).await;
    assert!(runs.contains("three letters"), "{runs}");
    let edit = [
        "cron",
        "edit",
        "inbox",
        "--cron",
        "0 9 * * *",
        "--tz",
        "Europe/Zurich",
    ];
    let said = openclaw(&home, &gateway, &edit).await;
    assert!(
        said.contains("0 9 * * * (Europe/Zurich), it does not run"),
        "{said}"
    );
    openclaw(&home, &gateway, &["cron", "rm", "Inbox"]).await;
    let status = openclaw(&home, &gateway, &["cron", "status"]).await;
    assert!(status.starts_with("0 jobs"), "{status}");
}

#[tokio::test]
async fn a_run_that_a_kill_cut_off_ends_as_interrupted_and_is_not_run_again() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let job = owner
        .call(
            "cron.add",
            json!({
                "name": "Inbox", "schedule": { "kind": "every", "everyMs": 3_600_000 },
                "sessionTarget": "isolated", "wakeMode": "now",
                "payload": { "kind": "agentTurn", "message": "read it" },
            }),
        )
        .await;
    let begun = owner.call("cron.run", json!({ "id": job["id"] })).await;
    let _cut = model.asked().await;
    gateway.kill().await;
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let id = job["id"].clone();
    let runs = crate::harness::soon("the end of the run", async {
        loop {
            let runs = owner.call("cron.runs", json!({ "id": id })).await;
            if runs["total"] == 1 {
                return runs;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let entry = &runs["entries"][0];
    assert_eq!(
        (&entry["runId"], &entry["status"]),
        (&begun["runId"], &json!("error"))
    );
    assert!(
        entry["error"].as_str().unwrap().contains("interrupted"),
        "{entry}"
    );
    let shown = owner.call("cron.get", json!({ "id": id })).await;
    assert!(shown["state"]["runningAtMs"].is_null(), "{shown}");
    assert_eq!(shown["nextRunAtMs"], job["nextRunAtMs"], "its times stay");
    assert_eq!(model.journal().len(), 1, "the model was asked once");
}
