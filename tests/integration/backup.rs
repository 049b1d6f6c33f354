//! Backups of a gateway that runs, put back on another host; a damaged database at the start; the doctor.

use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;

fn plain() -> Value {
    json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } })
}

async fn openclaw(home: &Home, args: &[&str]) -> String {
    let (code, out, error) = home.run(args).await;
    assert_eq!(code, Some(0), "{args:?}: {out}{error}");
    out
}

#[tokio::test]
async fn a_backup_of_a_running_gateway_brings_its_conversations_to_another_host() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let params = json!({"sessionKey": "main", "message": "remember me", "idempotencyKey": "one"});
    owner.call("chat.send", params).await;
    let mut asked = model.asked().await;
    asked.text("I shall").await;
    asked.done().await;
    owner
        .until(|frame| frame["event"] == "chat" && frame["payload"]["state"] == "final")
        .await;
    let archive = home.state().join("out.tar").display().to_string();
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let create = [
        "backup", "create", "--out", &archive, "--url", &url, "--token", TOKEN,
    ];
    let said = openclaw(&home, &create).await;
    assert!(said.contains("It holds secrets"), "{said}");
    openclaw(&home, &["backup", "verify", &archive]).await;
    // It runs: nothing is put back over it.
    let (code, _, error) = home.run(&["backup", "restore", &archive]).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("openclaw gateway stop"), "{error}");
    gateway.kill().await;

    let other = Home::new();
    openclaw(&other, &["backup", "restore", &archive]).await;
    let gateway = Gateway::start(&other).await;
    let mut owner = gateway.client().await;
    let history = owner
        .call("chat.history", json!({"sessionKey": "main"}))
        .await;
    let text = history.to_string();
    assert!(
        text.contains("remember me") && text.contains("I shall"),
        "{text}"
    );
    drop(owner);
    gateway.kill().await;
    // Without a gateway, too.
    let said = openclaw(&other, &["backup", "create", "--json"]).await;
    let made: Value = serde_json::from_str(&said).unwrap();
    openclaw(
        &other,
        &["backup", "verify", made["path"].as_str().unwrap()],
    )
    .await;
}

#[tokio::test]
async fn a_damaged_database_is_set_aside_and_told_of_until_it_is_gone() {
    let home = Home::with(&plain());
    let gateway = Gateway::start(&home).await;
    gateway.client().await;
    gateway.kill().await;
    let store = home.state().join("gateway/store.redb");
    let mut bytes = std::fs::read(&store).unwrap();
    let end = bytes.len();
    bytes[4_096..end.min(400_000)].fill(0x5a);
    std::fs::write(&store, &bytes).unwrap();
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let health = owner.call("health", json!({})).await;
    assert_eq!(health["ok"], true, "{health}");
    let kept: Vec<_> = std::fs::read_dir(home.state().join("gateway"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.display().to_string().contains("store.redb.damaged-"))
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        std::fs::read(&kept[0]).unwrap(),
        bytes,
        "it is kept as it was"
    );
    assert!(
        home.log().contains("the database was damaged"),
        "{}",
        home.log()
    );
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let doctor = ["doctor", "--json", "--url", &url, "--token", TOKEN];
    let (_, said, error) = home.run(&doctor).await;
    let found: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{error}"));
    let findings = found["findings"].as_array().unwrap();
    let database = |finding: &&Value| finding["id"] == "database";
    let told: Vec<&Value> = findings.iter().filter(database).collect();
    assert_eq!(
        told.len(),
        2,
        "beside the file, and from the gateway: {said}"
    );
    assert!(
        told[0]["fix"].as_str().unwrap().starts_with("rm "),
        "{said}"
    );
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_with_its_command_and_mends_permissions() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut settings = plain();
    // Nobody else has it at this moment.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    settings["gateway"]["port"] = json!(free.local_addr().unwrap().port());
    drop(free);
    let home = Home::with(&settings);
    let file = home.state().join("openclaw.json");
    let open_to_all = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&file, open_to_all).unwrap();
    let (code, said, error) = home.run(&["doctor", "--json"]).await;
    assert_eq!(code, Some(1), "{said}{error}");
    let found: Value = serde_json::from_str(&said).unwrap();
    for finding in found["findings"].as_array().unwrap() {
        let fixed = finding["level"] == "ok" || finding["fix"].is_string();
        assert!(fixed, "without a command: {finding}");
    }
    assert!(
        said.contains(&format!("chmod 600 {}", file.display())),
        "{said}"
    );
    let (code, said, error) = home.run(&["doctor", "--fix"]).await;
    assert_eq!(code, Some(0), "{said}{error}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&file, "{ gateway: { port: 'x' } }").unwrap();
    let (code, said, _) = home.run(&["doctor"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("FAIL  config:") && said.contains("${EDITOR:-vi} "),
        "{said}"
    );
}
