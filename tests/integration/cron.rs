//! Jobs that run by the clock, in the built program: made on the command line, run, and killed.

use serde_json::{Value, json};

use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::socket::Socket;
use crate::harness::{TOKEN, soon};

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
    let runs = soon("the end of the run", async {
        loop {
            let runs = owner.call("cron.runs", json!({ "id": id })).await;
            if runs["total"] == 1 {
                return runs;
            }
            crate::harness::look_again().await;
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

/// A receiver of posts: answers each with 200, and gives it on, head and body.
async fn receiver() -> (
    String,
    tokio::sync::mpsc::UnboundedReceiver<(String, Value)>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let (told, posts) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut text = Vec::new();
            loop {
                let mut piece = [0; 4_096];
                let read = socket.read(&mut piece).await.unwrap_or(0);
                text.extend_from_slice(&piece[..read]);
                let whole = String::from_utf8_lossy(&text).into_owned();
                let Some((head, body)) = whole.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.to_ascii_lowercase();
                let length = length
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next());
                let length: usize = length
                    .and_then(|length| length.parse().ok())
                    .expect("a length");
                if body.len() >= length || read == 0 {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    socket.write_all(answer).await.expect("it is written");
                    let body = serde_json::from_str(body).expect("JSON");
                    told.send((head.to_owned(), body)).ok();
                    break;
                }
            }
        }
    });
    (format!("http://{address}/hook"), posts)
}

#[tokio::test]
async fn the_end_of_a_run_is_posted_and_so_are_failures_where_the_configuration_lets_them() {
    let mut model = Model::start().await;
    let (hook, mut posts) = receiver().await;
    let mut settings = config(&model);
    settings["cron"] = json!({
        "webhookToken": "hook-secret", "webhookSsrfPolicy": { "allowedHostnames": ["127.0.0.1"] },
    });
    let home = Home::with(&settings);
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let add = [
        "cron",
        "add",
        "--name",
        "Build",
        "--every",
        "1h",
        "--message",
        "green?",
        "--webhook",
        &hook,
    ];
    openclaw(&home, &gateway, &add).await;
    openclaw(&home, &gateway, &["cron", "run", "Build"]).await;
    let mut asked = model.asked().await;
    asked.text("It is green.").await;
    asked.done().await;
    let (head, body) = soon("the post", posts.recv()).await.expect("it comes");
    assert!(
        head.to_ascii_lowercase()
            .contains("authorization: bearer hook-secret"),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase().contains("idempotency-key: cron:"),
        "{head}"
    );
    assert_eq!(
        (&body["action"], &body["status"]),
        (&json!("finished"), &json!("ok")),
        "{body}"
    );
    assert_eq!(body["summary"], "It is green.", "{body}");
    let end = finished(&mut owner).await;
    assert_eq!(end["deliveryStatus"], "delivered", "{end}");

    // A name that is not allowed, and means this host.
    let elsewhere = hook.replace("127.0.0.1", "localhost");
    openclaw(
        &home,
        &gateway,
        &["cron", "edit", "Build", "--webhook", &elsewhere],
    )
    .await;
    openclaw(&home, &gateway, &["cron", "run", "Build"]).await;
    let mut asked = model.asked().await;
    asked.text("Still green.").await;
    asked.done().await;
    let end = finished(&mut owner).await;
    assert_eq!(end["deliveryStatus"], "not-delivered", "{end}");
    let runs = openclaw(&home, &gateway, &["cron", "runs", "Build", "--json"]).await;
    assert!(runs.contains("allowedHostnames"), "{runs}");

    // Who is told of failures is kept with the job.
    let params = json!({
        "name": "Watched", "schedule": { "kind": "every", "everyMs": 3_600_000 }, "sessionTarget": "isolated",
        "wakeMode": "now", "payload": { "kind": "agentTurn", "message": "x" },
        "failureAlert": { "after": 2, "mode": "webhook", "to": hook },
    });
    let job = owner.call("cron.add", params).await;
    assert_eq!(job["failureAlert"]["after"], 2, "{job}");
    assert!(posts.try_recv().is_err(), "each end is posted once");
}
