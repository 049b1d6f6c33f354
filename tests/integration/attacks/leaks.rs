//! Attacks that read what is not theirs, or have others do it: paths, secrets, files, commands.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::model::Model;
use crate::harness::socket::{Socket, connect_params};
use crate::harness::trust::{accepted, pair, strict, with_secret};

/// Names of every file below a folder, relative to it.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("its entry").path();
            let name = path
                .strip_prefix(folder)
                .expect("it is below")
                .display()
                .to_string();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn attack_29_names_of_sessions_are_no_paths() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } }));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let run = client
        .call(
            "chat.send",
            json!({ "sessionKey": "main", "message": "hi", "idempotencyKey": "first" }),
        )
        .await;
    client.chat(run["runId"].as_str().unwrap(), "final").await;
    let root = home.state().parent().unwrap().to_owned();
    let before = files(&root);
    for (index, key) in [
        "../../escape",
        "agent:main:../../../escape",
        "/etc/passwd",
        "agent:../../x:main",
        "agent:main:..\\..\\escape",
        "agent:main:%2e%2e%2fescape",
        "agent:main:a\u{0}b",
    ]
    .into_iter()
    .enumerate()
    {
        let params =
            json!({ "sessionKey": key, "message": "hi", "idempotencyKey": format!("k{index}") });
        let answer = client.request("chat.send", params).await;
        if answer["ok"] == true {
            client.chat(&format!("k{index}"), "final").await;
        }
        for (method, params) in [
            ("chat.history", json!({ "sessionKey": key })),
            ("sessions.describe", json!({ "key": key })),
            ("sessions.preview", json!({ "keys": [key] })),
            ("sessions.resolve", json!({ "sessionId": key })),
        ] {
            let answer = client.request(method, params).await;
            assert!(
                !answer.to_string().contains("root:"),
                "{method} {key}: {answer}"
            );
        }
    }
    assert_eq!(
        files(&root),
        before,
        "a session's name made or moved a file"
    );
}

#[tokio::test]
async fn attack_39_only_an_admin_learns_where_things_lie() {
    let daemon = strict();
    let mut owner = daemon.socket().await;
    let hello = owner.hello(connect_params(4)).await;
    let place = hello["snapshot"]["stateDir"]
        .as_str()
        .expect("an admin's")
        .to_owned();
    assert!(hello["snapshot"]["configPath"].is_string());
    let device = Device::new(39);
    let scopes = ["operator.write", "operator.pairing", "operator.approvals"];
    pair(&daemon, &device, &scopes).await;
    for generation in [3, 4] {
        // Named, none at all: a v3 client without any means all, so it names the least.
        for scopes in [&scopes[..], &["operator.read"], &["operator.pairing"]] {
            let (mut socket, hello) =
                accepted(&daemon, &device, with_secret(generation, scopes)).await;
            for key in ["configPath", "stateDir", "authMode"] {
                assert!(
                    hello["snapshot"][key].is_null(),
                    "v{generation} {scopes:?}: {key}"
                );
            }
            let text = hello.to_string();
            assert!(!text.contains(&place), "v{generation} {scopes:?}: {text}");
            let health = socket.call("health", json!({ "probe": true })).await;
            assert!(!health.to_string().contains(&place), "{health}");
        }
    }
}

#[tokio::test]
async fn attack_40_no_read_method_tells_a_secret() {
    const SECRETS: [&str; 6] = [
        TOKEN,
        "sk-very-secret-key",
        "urlpassword",
        "headersecret",
        "botsecret:token",
        "hooksecret",
    ];
    let home = Home::with(&json!({
        "gateway": { "auth": { "mode": "token", "token": TOKEN }, "remote": { "url": "ws://me:urlpassword@10.0.0.1:1/" } },
        "models": { "providers": { "mine": {
            "baseUrl": "http://user:urlpassword@127.0.0.1:9/v1",
            "apiKey": "sk-very-secret-key",
            "headers": { "x-auth": "headersecret" },
            "api": "openai-completions",
            "models": [{ "id": "m1", "name": "One" }],
        } } },
        "agents": { "defaults": { "model": { "primary": "mine/m1" } } },
        "channels": { "telegram": { "enabled": true, "botToken": "botsecret:token" } },
        "hooks": { "token": "hooksecret" },
    }));
    let gateway = Gateway::start(&home).await;
    let mut reader = gateway.socket().await;
    let mut params = connect_params(4);
    params["scopes"] = json!(["operator.read"]);
    let hello = reader.hello(params).await;
    let mut told = vec![("hello-ok".to_owned(), hello.to_string())];
    for method in hello["features"]["methods"].as_array().unwrap() {
        let method = method.as_str().unwrap();
        let params = match method {
            "chat.history" | "chat.startup" | "chat.metadata" => json!({ "sessionKey": "main" }),
            "sessions.preview" => json!({ "keys": ["main"] }),
            "sessions.describe" | "sessions.messages.subscribe" => json!({ "key": "main" }),
            _ => json!({}),
        };
        let answer = reader.request(method, params).await;
        told.push((method.to_owned(), answer.to_string()));
    }
    // A run that fails says why, and not with what.
    let mut writer = gateway.client().await;
    writer
        .call(
            "chat.send",
            json!({ "sessionKey": "main", "message": "hi", "idempotencyKey": "k" }),
        )
        .await;
    let failed = writer.chat("k", "error").await;
    told.push(("a failed run".to_owned(), failed.to_string()));
    let history = reader
        .request("chat.history", json!({ "sessionKey": "main" }))
        .await;
    told.push(("its history".to_owned(), history.to_string()));
    let logs = reader.request("logs.tail", json!({ "limit": 1000 })).await;
    told.push(("the log".to_owned(), logs.to_string()));
    gateway.terminate();
    let (_, output) = gateway.ended().await;
    told.push(("stdout".to_owned(), output));
    told.push(("the log file".to_owned(), home.log()));
    for (what, text) in told {
        for secret in SECRETS {
            assert!(
                !text.contains(secret),
                "{what} tells {secret:?}: {text:.2000}"
            );
        }
    }
}

/// A device that may write and no more.
async fn writer(daemon: &Daemon, generation: u32) -> Socket {
    let mut socket = daemon.socket().await;
    let mut params = connect_params(generation);
    params["scopes"] = json!(["operator.write"]);
    let hello = socket.hello(params).await;
    assert!(hello["snapshot"]["stateDir"].is_null(), "no admin: {hello}");
    socket
}

#[tokio::test]
async fn attack_41_commands_in_a_message_have_the_rights_of_its_sender() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut owner = daemon.client().await;
    let config = owner.call("config.get", json!({})).await;
    for generation in [3, 4] {
        let mut socket = writer(&daemon, generation).await;
        for (index, text) in [
            "/config set gateway.auth.mode none",
            "/debug on",
            "/verbose full",
            "/elevated on",
            "/exec rm -rf /",
            "/pair approve latest",
            "/restart",
        ]
        .into_iter()
        .enumerate()
        {
            // To us these are words for the model, with nothing carried out on the way.
            let key = format!("v{generation}-{index}");
            let params = json!({ "sessionKey": "main", "message": text, "idempotencyKey": key });
            let ack = socket.call("chat.send", params).await;
            assert_eq!(ack["status"], "started", "{text}");
            let mut ask = model.asked().await;
            assert_eq!(ask.prompt, text);
            ask.text("no").await;
            ask.done().await;
            socket.chat(&key, "final").await;
        }
        for (method, params) in [
            ("system-event", json!({ "text": "forged" })),
            ("device.pair.list", json!({})),
        ] {
            let error = socket.refused(method, params).await;
            let message = error["message"].as_str().unwrap();
            assert!(
                message.starts_with("missing scope: "),
                "{method}: {message}"
            );
        }
    }
    assert_eq!(owner.call("config.get", json!({})).await, config);
    let list: Value = owner.call("device.pair.list", json!({})).await;
    assert_eq!(list["pending"], json!([]));
}
