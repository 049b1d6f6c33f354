//! The files by which an agent knows who it is, read and written over the wire.

use serde_json::json;

use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;

#[tokio::test]
async fn an_agents_files_are_read_and_written_and_nothing_else_is() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let named = |name: &str| json!({ "agentId": "main", "name": name });
    let mut soul = named("SOUL.md");
    soul["content"] = json!("Be kind.");
    let written = client.call("agents.files.set", soul).await;
    let path = written["file"]["path"].as_str().expect("its place");
    assert_eq!(std::fs::read_to_string(path).expect("the file"), "Be kind.");
    let read = client.call("agents.files.get", named("SOUL.md")).await;
    assert_eq!(read["file"]["content"], "Be kind.", "{read}");
    let listed = client
        .call("agents.files.list", json!({ "agentId": "main" }))
        .await;
    let files = listed["files"].as_array().expect("files");
    let soul = files.iter().find(|file| file["name"] == "SOUL.md");
    assert_eq!(soul.expect("it is listed")["size"], 8, "{listed}");
    for outside in ["../openclaw.json", "/etc/passwd", "notes.txt"] {
        client.refused("agents.files.get", named(outside)).await;
    }
}
