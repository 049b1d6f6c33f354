//! Files that come with messages: kept once, given to the model, shown again, refused with a remedy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::chat::message;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n the rest of a picture";

fn file(name: &str, mime: &str, bytes: &[u8]) -> Value {
    json!({ "type": "file", "mimeType": mime, "fileName": name, "content": STANDARD.encode(bytes) })
}

fn with_files(text: &str, run: &str, files: &[Value]) -> Value {
    let mut params = message("main", text, run);
    params["attachments"] = files.into();
    params
}

fn history() -> Value {
    json!({ "sessionKey": "main" })
}

#[tokio::test]
async fn files_reach_the_model_and_come_back_with_the_history() {
    let mut model = Model::start().await;
    let home = Arc::new(tempfile::tempdir().unwrap());
    let daemon = Daemon::start_in(Arc::clone(&home), Plan::with_model(&model));
    let mut client = daemon.client().await;
    let files = [
        file("cat.png", "image/png", PNG),
        file("notes.csv", "text/csv", b"a,b\n1,2"),
        file("paper.pdf", "application/pdf", b"%PDF-1.7 ..."),
    ];
    client
        .call("chat.send", with_files("look", "k1", &files))
        .await;
    // Stored before it was accepted: files named by their hashes, private, and nothing half-written.
    let media = home.path().join("gateway/media");
    let kept: Vec<_> = walk(&media);
    assert_eq!(kept.len(), 3, "{kept:?}");

    let mut asked = model.asked().await;
    let content = &asked.body["messages"].as_array().unwrap().last().unwrap()["content"];
    let text = content[0]["text"].as_str().unwrap();
    assert!(text.starts_with("look"), "{content}");
    assert!(
        text.contains("<file name=\"notes.csv\">\na,b\n1,2\n</file>"),
        "{content}"
    );
    let picture = format!("data:image/png;base64,{}", STANDARD.encode(PNG));
    assert_eq!(content[1]["image_url"]["url"], picture);
    assert_eq!(content[2]["file"]["filename"], "paper.pdf", "{content}");
    asked.text("a cat").await;
    asked.done().await;
    client.chat("k1", "final").await;

    let shown = client.call("chat.history", history()).await;
    let parts = &shown["messages"][0]["content"];
    assert_eq!(parts[1]["type"], "image", "{parts}");
    assert_eq!(parts[1]["fileName"], "cat.png");
    assert_eq!(parts[1]["sizeBytes"], PNG.len());
    assert!(parts[1].get("data").is_none(), "{parts}");
    assert_eq!(parts[3]["mimeType"], "application/pdf", "{parts}");
    let id = parts[1]["artifactId"].as_str().unwrap();
    let got = client
        .call(
            "artifacts.download",
            json!({ "sessionKey": "main", "artifactId": id }),
        )
        .await;
    assert_eq!(got["data"], STANDARD.encode(PNG));
    assert_eq!(got["artifact"]["messageSeq"], 1, "{got}");
    let shown = json!({ "sessionKey": "main", "artifactId": id });
    let shown = client.call("artifacts.get", shown).await;
    assert_eq!(shown["artifact"], got["artifact"]);
    let listed = client.call("artifacts.list", history()).await;
    assert_eq!(listed["artifacts"].as_array().unwrap().len(), 3, "{listed}");

    // Another conversation does not get at it, also not with the name.
    let elsewhere = json!({ "sessionKey": "agent:main:other", "artifactId": id });
    let error = client.refused("artifacts.download", elsewhere).await;
    assert_eq!(error["details"]["type"], "artifact_not_found", "{error}");

    // The next run of the conversation is given them again; a restart changes nothing.
    drop(client);
    drop(daemon);
    let daemon = Daemon::start_in(home, Plan::with_model(&model));
    let mut client = daemon.client().await;
    client
        .call("chat.send", message("main", "what was it?", "k2"))
        .await;
    let asked = model.asked().await;
    let first = &asked.body["messages"][0]["content"];
    assert_eq!(first[1]["image_url"]["url"], picture, "{first}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn messages_behind_one_with_files_keep_their_order() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    let large = file("large.txt", "text/plain", &vec![b'x'; 4 << 20]);
    let mut ids = Vec::new();
    ids.push(
        client
            .ask("chat.send", with_files("first", "k1", &[large]))
            .await,
    );
    let small = file("small.txt", "text/plain", b"y");
    for (text, run, files) in [
        ("second", "k2", vec![]),
        ("third", "k3", vec![small]),
        ("fourth", "k4", vec![]),
    ] {
        ids.push(client.ask("chat.send", with_files(text, run, &files)).await);
    }
    for id in ids {
        let answer = client.answer(&id).await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
    for run in ["k1", "k2", "k3", "k4"] {
        client.chat(run, "final").await;
    }
    let shown = client.call("chat.history", history()).await;
    let said: Vec<&str> = shown["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["role"] == "user")
        .map(|row| row["content"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["first", "second", "third", "fourth"]);
}

#[tokio::test]
async fn what_is_too_large_or_no_use_is_refused_and_leaves_nothing() {
    let model = Model::echoing().await;
    let mut plan = Plan::with_model(&model);
    plan.settings.attachments = openclaw_actors::media::Limits::megabytes(0.01);
    let home = Arc::new(tempfile::tempdir().unwrap());
    let daemon = Daemon::start_in(Arc::clone(&home), plan);
    let mut client = crate::harness::socket::Socket::open(daemon.address, &[]).await;
    let hello = client
        .hello(crate::harness::socket::connect_params(4))
        .await;
    assert_eq!(
        hello["policy"]["attachments"]["maxBytes"], 10_485,
        "{hello}"
    );
    let big = file("big.txt", "text/plain", &[b'x'; 10_486]);
    let refused = client
        .refused("chat.send", with_files("look", "k1", &[big]))
        .await;
    assert_eq!(refused["details"]["code"], "ATTACHMENT_TOO_LARGE");
    let said = refused["message"].as_str().unwrap();
    assert!(
        said.contains("attachments[0] (big.txt)") && said.contains("agents.defaults.mediaMaxMb"),
        "{said}"
    );
    let program = file("a.exe", "application/octet-stream", b"MZ\0\0");
    let refused = client
        .refused("agent", {
            json!({ "message": "look", "idempotencyKey": "k2", "attachments": [program] })
        })
        .await;
    assert_eq!(refused["details"]["code"], "ATTACHMENT_TYPE", "{refused}");
    assert!(!home.path().join("gateway/media").exists());
    let shown = client.call("chat.history", history()).await;
    assert_eq!(shown["messages"], json!([]), "{shown}");
    // The key of a refused message is free, and files alone are a message.
    let note = file("note.txt", "text/plain", b"hi");
    client
        .call("chat.send", with_files("", "k1", &[note]))
        .await;
    client.chat("k1", "final").await;
    let listed = client
        .call("sessions.list", json!({ "includeDerivedTitles": true }))
        .await;
    assert_eq!(
        listed["sessions"][0]["derivedTitle"], "note.txt",
        "{listed}"
    );
}

#[tokio::test]
async fn a_model_that_takes_no_pictures_is_told_that_there_was_one() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    client
        .call(
            "chat.send",
            with_files("look", "k1", &[file("cat.png", "image/png", PNG)]),
        )
        .await;
    let asked = model.asked().await;
    asked
        .fail(
            "400 Bad Request",
            "",
            "this model does not support image input",
        )
        .await;
    let mut again = model.asked().await;
    let content = &again.body["messages"][0]["content"];
    let text = content.as_str().unwrap();
    assert!(text.contains("takes none"), "{content}");
    again.text("I cannot see it").await;
    again.done().await;
    client.chat("k1", "final").await;
}

#[tokio::test]
async fn a_conversation_that_is_deleted_gives_its_files_up() {
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    let params = |session: &str, run: &str| {
        let mut params = with_files("look", run, &[file("cat.png", "image/png", PNG)]);
        params["sessionKey"] = session.into();
        params
    };
    for (session, run) in [("agent:main:a", "k1"), ("agent:main:b", "k2")] {
        client.call("chat.send", params(session, run)).await;
        client.chat(run, "final").await;
    }
    let count = |listed: Value| listed["artifacts"].as_array().unwrap().len();
    client
        .call(
            "sessions.delete",
            json!({ "key": "agent:main:a", "deleteTranscript": true }),
        )
        .await;
    let list = |key: &str| json!({ "sessionKey": key });
    assert_eq!(
        count(client.call("artifacts.list", list("agent:main:a")).await),
        0
    );
    assert_eq!(
        count(client.call("artifacts.list", list("agent:main:b")).await),
        1
    );
}
