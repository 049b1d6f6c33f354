//! A gateway that its host gives too little: descriptors, threads for slow files, memory. What runs goes on, what
//! cannot be is refused with a reason, and all is well again once there is enough.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use tokio::net::TcpStream;

use crate::chat::message;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::socket::Socket;

fn pid_of(gateway: &Gateway) -> Pid {
    let pid = i32::try_from(gateway.pid()).expect("a process id");
    Pid::from_raw(pid).expect("a process id")
}

/// Sets how many descriptors a process may have; what it might have before.
fn allow(pid: Pid, descriptors: u64) -> u64 {
    let limit = Rlimit {
        current: Some(descriptors),
        // A child of ours has ours.
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(Some(pid), Resource::Nofile, limit).expect("its limit can be set");
    before.current.unwrap_or(1_024)
}

fn descriptors(gateway: &Gateway) -> usize {
    let folder = format!("/proc/{}/fd", gateway.pid());
    fs::read_dir(folder).expect("it runs").count()
}

#[tokio::test]
async fn without_descriptors_it_serves_those_it_has_and_takes_others_once_there_are_some() {
    let model = Model::echoing().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    client.call("chat.send", message("main", "one", "k1")).await;
    client.chat("k1", "final").await;

    // None is left: what is open now is all there is.
    let pid = pid_of(&gateway);
    let before = allow(pid, 3);
    let mut waiting = Vec::new();
    for _ in 0..40 {
        // The system takes them in; the gateway cannot.
        let there = TcpStream::connect(("127.0.0.1", gateway.port)).await;
        waiting.push(there.expect("the system's queue has room"));
    }
    let many = descriptors(&gateway);
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    let written = json!({ "sessionKey": "main", "message": "stored all the same" });
    client.call("chat.inject", written).await;
    // A model cannot be reached without one, which is said where it was asked.
    client.call("chat.send", message("main", "two", "k2")).await;
    let failed = client.chat("k2", "error").await;
    assert!(
        failed.to_string().contains("descriptor") || failed.to_string().contains("open files"),
        "{failed}"
    );
    assert!(descriptors(&gateway) <= many, "none was to be had");

    allow(pid, before);
    drop(waiting);
    let mut other = gateway.client().await;
    other
        .call("chat.send", message("main", "three", "k3"))
        .await;
    other.chat("k3", "final").await;
    let history = other
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert!(
        history.to_string().contains("stored all the same"),
        "{history}"
    );
}

/// Asks for a file that never ends to be read, as often as there are threads for such work, and more.
const STUCK: usize = 700;

#[tokio::test]
async fn files_that_hang_do_not_keep_the_gateway_from_anything_else() {
    let model = Model::echoing().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let listed = client
        .call("agents.files.list", json!({ "agentId": "main" }))
        .await;
    let workspace = PathBuf::from(listed["workspace"].as_str().expect("a folder"));
    fs::create_dir_all(&workspace).expect("the workspace");
    let pipe = workspace.join("SOUL.md");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is there").success());
    let mut others: Vec<Socket> = Vec::new();
    for _ in 0..8 {
        others.push(gateway.client().await);
    }
    let stuck = json!({ "agentId": "main", "name": "SOUL.md" });
    for number in 0..STUCK {
        others[number % 8]
            .ask("agents.files.get", stuck.clone())
            .await;
    }
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    client.call("chat.send", message("main", "one", "k1")).await;
    client.chat("k1", "final").await;
    let list = json!({ "agentId": "main" });
    client.call("agents.files.list", list).await;
}
