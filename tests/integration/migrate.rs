//! `openclaw migrate` over a state directory as its documentation describes it, and what a gateway that runs says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openclaw_protocol::device::{device_id, encode};
use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};

fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().expect("it works in a test"))
        .expect("it works in a test");
    std::fs::write(path, text).expect("it works in a test");
}

/// A state directory with a bit of everything; the id of its device.
fn source(root: &Path) -> String {
    let key = [9_u8; 32];
    let id = device_id(&key);
    let config = json!({
        "gateway": { "mode": "local", "auth": { "mode": "token", "token": TOKEN } },
        "$include": "./more.json5",
    });
    write(root.join("openclaw.json"), &config.to_string());
    write(
        root.join("more.json5"),
        "{ ui: { seamColor: '#123456' } } // included",
    );
    write(root.join("workspace/AGENTS.md"), "Be kind.");
    write(root.join("credentials/whatsapp/default/creds.json"), "{}");
    let people = json!({ "version": 1, "allowFrom": ["1234", "telegram:5678", "*"] });
    write(
        root.join("credentials/telegram-allowFrom.json"),
        &people.to_string(),
    );
    let scopes = ["operator.admin", "operator.approvals", "operator.pairing"];
    let device = json!({
        "deviceId": id, "publicKey": encode(&key), "platform": "ios", "displayName": "Ada's phone",
        "clientId": "openclaw-ios", "clientMode": "ui", "role": "operator", "roles": ["operator"], "scopes": scopes,
        "tokens": { "operator": { "token": "kept", "role": "operator", "scopes": scopes, "createdAtMs": 1 } },
        "createdAtMs": 1_790_000_000_000_u64, "approvedAtMs": 1_790_000_000_000_u64,
    });
    let odd = json!({ "deviceId": "odd", "publicKey": "odd" });
    let devices = json!({ &id: device, "odd": odd });
    write(root.join("devices/paired.json"), &devices.to_string());
    let sessions = json!({
        "agent:main:main": { "sessionId": "s1", "updatedAt": 1_790_000_000_000_u64 },
        "agent:main:lost": { "sessionId": "gone", "updatedAt": 1_790_000_000_000_u64 },
        "unknown": { "sessionId": "s2", "updatedAt": 1 },
    });
    write(
        root.join("agents/main/sessions/sessions.json"),
        &sessions.to_string(),
    );
    let said = |id: &str, parent: Value, role: &str, text: &str| {
        json!({
            "type": "message", "id": id, "parentId": parent, "timestamp": "2026-09-01T10:00:00.000Z",
            "message": { "role": role, "content": [{ "type": "text", "text": text }], "timestamp": 1_788_256_800_000_u64 },
        })
        .to_string()
    };
    let transcript = [
        json!({ "type": "session", "version": 3, "id": "s1", "timestamp": "2026-09-01T09:00:00Z", "cwd": "/" }).to_string(),
        said("a", Value::Null, "user", "Remember the blue door."),
        said("b", json!("a"), "assistant", "I shall."),
        "{\"type\":\"message\",\"id\":\"c\",\"pare".to_owned(),
    ];
    write(
        root.join("agents/main/sessions/s1.jsonl"),
        &transcript.join("\n"),
    );
    write(root.join("agents/main/sessions/old.jsonl.reset.2026"), "");
    let jobs = json!({ "version": 1, "jobs": [
        { "id": "tea", "name": "Tea", "enabled": true, "createdAtMs": 1_790_000_000_000_u64,
          "schedule": { "kind": "every", "everyMs": 3_600_000 }, "sessionTarget": "main", "wakeMode": "now",
          "payload": { "kind": "systemEvent", "text": "The tea is ready." }, "state": {} },
        { "id": "dream", "name": "Dream", "enabled": true, "schedule": { "kind": "stream" }, "sessionTarget": "main",
          "wakeMode": "now", "payload": { "kind": "systemEvent", "text": "x" } },
    ] });
    write(root.join("cron/jobs.json"), &jobs.to_string());
    write(root.join("telegram/update-offset-default.json"), "{}");
    write(root.join("mystery.dat"), "?");
    id
}

/// Every file with its bytes.
fn listed(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)
            .expect("it works in a test")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.clone(),
                    std::fs::read(path).expect("it works in a test"),
                );
            }
        }
    }
    found
}

async fn report(home: &Home, args: &[&str]) -> Value {
    let (code, out, error) = home.run(args).await;
    assert_eq!(code, Some(0), "{args:?}: {out}{error}");
    let mut said: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"));
    said["report"].take()
}

fn count<'a>(report: &'a Value, what: &str) -> &'a Value {
    let counts = report["counts"].as_array().expect("it works in a test");
    counts
        .iter()
        .find(|count| count["what"] == what)
        .expect("it works in a test")
}

#[tokio::test]
async fn another_gateways_state_comes_along_and_nothing_is_silently_left() {
    let other = tempfile::tempdir().expect("it works in a test");
    let id = source(other.path());
    let before = listed(other.path());
    let from = other.path().display().to_string();
    let home = Home::new();
    let dry = report(&home, &["migrate", "--from", &from, "--dry-run", "--json"]).await;
    assert!(!home.state().exists(), "a dry run writes nothing");
    let done = report(&home, &["migrate", "--from", &from, "--json"]).await;
    assert_eq!(dry["counts"], done["counts"]);
    for (what, taken, left) in [
        ("files", 5, 1),
        ("devices", 1, 1),
        ("tokens", 1, 0),
        ("conversations", 2, 1),
        ("messages", 2, 0),
        ("jobs", 2, 0),
        ("people", 2, 1),
    ] {
        let count = count(&done, what);
        assert_eq!(
            (&count["taken"], &count["left"]),
            (&json!(taken), &json!(left)),
            "{what}: {done}"
        );
    }
    let left = done["left"].to_string();
    for word in [
        "its transcript is not there",
        "1 entries of the kind `torn line`",
        "/schedule/kind",
        "Ed25519",
        "belong to no conversation any more",
    ] {
        assert!(left.contains(word), "{word}: {left}");
    }
    assert_eq!(done["unknown"], json!(["mystery.dat"]));
    assert!(
        !done.to_string().contains("kept"),
        "no token is shown: {done}"
    );
    assert_eq!(listed(other.path()), before, "nothing is changed there");
    let (_, text, _) = home.run(&["migrate", "--from", &from, "--dry-run"]).await;
    assert!(
        text.contains("HERE ALREADY") && text.contains("mystery.dat"),
        "{text}"
    );
    assert_eq!(
        count(
            &report(&home, &["migrate", "--from", &from, "--json"]).await,
            "messages"
        )["taken"],
        0
    );

    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let devices = owner.call("device.pair.list", json!({})).await;
    assert!(devices.to_string().contains(&id), "{devices}");
    let history = owner
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert!(history.to_string().contains("blue door"), "{history}");
    let jobs = owner.call("cron.list", json!({})).await;
    assert_eq!(jobs["jobs"][0]["id"], "tea", "{jobs}");
    assert_eq!(jobs["total"], 1, "the other one is switched off: {jobs}");
    let trail = owner.call("sessions.usage", json!({})).await;
    assert!(trail.is_object(), "{trail}");
    // While it runs, nothing is put under it.
    for flags in [
        &["migrate", "--from", &from][..],
        &["migrate", "--from", &from, "--dry-run"],
    ] {
        let (code, _, error) = home.run(flags).await;
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains("openclaw gateway stop"), "{error}");
    }
    gateway.kill().await;
}

#[tokio::test]
async fn one_folder_for_both_is_read_where_it_lies_and_a_gateway_that_runs_there_is_named() {
    let home = Home::new();
    source(&home.state());
    let before = listed(&home.state());
    let done = report(&home, &["migrate", "--json"]).await;
    assert_eq!(count(&done, "files")["taken"], 0, "{done}");
    assert_eq!(count(&done, "devices")["taken"], 1, "{done}");
    let mut now = listed(&home.state());
    now.retain(|path, _| !path.starts_with(home.state().join("gateway")));
    assert_eq!(now, before);
    // This process stands for the other gateway.
    let lock =
        json!({ "pid": std::process::id(), "configPath": home.state().join("openclaw.json") });
    write(
        home.state().join("tmp/openclaw-0/gateway.state.lock"),
        &lock.to_string(),
    );
    let (code, _, error) = home.run(&["migrate"]).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(
        error.contains(&format!("pid {}", std::process::id())),
        "{error}"
    );
    let dry = report(&home, &["migrate", "--dry-run", "--json"]).await;
    assert!(dry["notes"].to_string().contains("stop it before"), "{dry}");
    let empty = tempfile::tempdir().expect("it works in a test");
    let (code, _, error) = home
        .run(&["migrate", "--from", &empty.path().display().to_string()])
        .await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("no state directory of OpenClaw"), "{error}");
}
