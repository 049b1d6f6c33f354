//! One gateway of a host has a session of WhatsApp, and no other: by the connection log of the platform.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::accounts::row_when;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::whatsapp::{Server, program, sidecar};

/// A home whose gateway has the account; `auth` is where it looks for the device's keys.
fn home(server: &Server, model: &Model, runtime: &Path, auth: &Path) -> Home {
    let mut config = config(model);
    config["channels"] = json!({ "whatsapp": {
        "allowFrom": ["+15550001111"], "authDir": auth, "webSocketUrl": server.url(), "nodePath": program(),
    } });
    let mut home = Home::with(&config);
    home.variables.push(("XDG_RUNTIME_DIR", runtime.to_owned()));
    home.variables
        .push(("OPENCLAW_ALLOW_MULTI_GATEWAY", PathBuf::from("1")));
    // What `channels add` installs.
    let own = home.state().join("gateway/whatsapp");
    std::fs::create_dir_all(&own).expect("the sidecar's folder");
    std::fs::copy(sidecar().join("package.json"), own.join("package.json")).expect("the package");
    std::os::unix::fs::symlink(sidecar().join("node_modules"), own.join("node_modules"))
        .expect("the packages");
    home
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the keys").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a key");
    }
}

/// The row of a gateway's account once it is decided: taken in, or refused.
async fn decided(gateway: &Gateway) -> Value {
    let mut client = gateway.client().await;
    row_when(&mut client, "whatsapp", |row| {
        row["connected"] == true || row["lastError"].is_string()
    })
    .await
}

/// Two gateways with two state directories, at the same moment. Exactly one has the session; when it is
/// killed the other one gets it, and never were there two.
async fn race(copied: bool) {
    let (server, model) = (Server::start().await, Model::echoing().await);
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = folder.path().join("run");
    std::fs::create_dir(&runtime).expect("the runtime folder");
    let auth = folder.path().join("device");
    server.link(&auth);
    let other = if copied {
        let other = folder.path().join("copy");
        copy(&auth, &other);
        other
    } else {
        auth.clone()
    };
    let homes = [&auth, &other].map(|auth| home(&server, &model, &runtime, auth));
    let gateways = tokio::join!(Gateway::start(&homes[0]), Gateway::start(&homes[1]));
    let rows = tokio::join!(decided(&gateways.0), decided(&gateways.1));
    let rows = [rows.0, rows.1];
    let owners = rows.iter().filter(|row| row["connected"] == true).count();
    assert_eq!(owners, 1, "{rows:?}");
    assert_eq!(server.connections(), (1, 1));
    let first = usize::from(rows[1]["connected"] == true);
    let (owner, second) = if first == 0 {
        (gateways.0, gateways.1)
    } else {
        (gateways.1, gateways.0)
    };
    let why = rows[1 - first]["lastError"].as_str().unwrap_or_default();
    let pid = format!("pid {}, started 2", owner.pid());
    assert!(why.contains(&pid) && why.contains("WhatsApp"), "{why}");

    // A power cut for the owner only: its connection ends before another one begins.
    owner.kill().await;
    let mut client = second.client().await;
    client
        .call("channels.start", json!({ "channel": "whatsapp" }))
        .await;
    row_when(&mut client, "whatsapp", |row| row["connected"] == true).await;
    let (opened, most) = server.connections();
    assert_eq!((opened, most), (2, 1), "never two live sessions");
}

/// With one folder of keys and with a copy of it, in turns; `tests/run --deep` says how often.
#[tokio::test]
async fn of_two_gateways_one_has_the_session() {
    let times = std::env::var("OPENCLAW_WHATSAPP_RACES").ok();
    let times: usize = times.and_then(|times| times.parse().ok()).unwrap_or(2);
    for time in 0..times {
        race(time % 2 == 1).await;
        println!("race {} of {times}", time + 1);
    }
}
