//! The configuration changed over the wire, in the built program: what is in force, what is in the
//! file, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::chat::message;
use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::socket::{Socket, connect_params};

fn file(home: &Home) -> String {
    fs::read_to_string(home.state().join("openclaw.json")).expect("the file")
}

async fn hash(client: &mut Socket) -> Value {
    client.call("config.get", json!({})).await["hash"].clone()
}

/// A patch for the text that is there now; the whole response.
async fn patch(client: &mut Socket, raw: &str) -> Value {
    let base = hash(client).await;
    let params = json!({ "raw": raw, "baseHash": base });
    client.request("config.patch", params).await
}

#[tokio::test]
async fn a_newcomer_configures_a_model_over_the_wire_and_the_next_run_uses_it() {
    let mut model = Model::start().await;
    let home = Home::new();
    let mut gateway = Gateway::start(&home).await;
    let first = file(&home);
    let token = first
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"token\": \""))
        .expect("the token of the first start")
        .trim_end_matches('"')
        .to_owned();
    let mut client = gateway.socket().await;
    let mut params = connect_params(4);
    params["auth"] = json!({ "token": token });
    client.hello(params).await;

    let schema = client.call("config.schema", json!({})).await;
    assert_eq!(
        schema["uiHints"]["models.providers.*.apiKey"]["sensitive"],
        true
    );
    assert!(schema["schema"]["properties"]["models"].is_object());
    let port = client
        .call("config.schema.lookup", json!({ "path": "gateway.port" }))
        .await;
    assert_eq!(port["reloadKind"], "restart", "{port}");
    client
        .refused("config.schema.lookup", json!({ "path": "gateway.ports" }))
        .await;

    let answer = patch(
        &mut client,
        &format!(
            "{{ models: {{ providers: {{ mine: {{ baseUrl: '{}', api: 'openai-completions', apiKey: 'sk-mine-0123456', models: [{{ id: 'small' }}] }} }} }}, agents: {{ defaults: {{ model: 'mine/small' }} }} }}",
            model.url
        ),
    )
    .await;
    assert_eq!(answer["ok"], true, "{answer}");
    let paths = answer["payload"]["changedPaths"].to_string();
    assert!(paths.contains("agents.defaults.model"), "{paths}");
    assert!(!answer.to_string().contains("sk-mine"), "{answer}");
    let backup = answer["payload"]["backup"].as_str().expect("a backup");
    assert_eq!(fs::read_to_string(backup).expect("it is there"), first);
    let text = file(&home);
    assert!(
        text.starts_with("// Configuration of the OpenClaw gateway"),
        "the comments stay: {text}"
    );
    let mode = fs::metadata(home.state().join("openclaw.json"))
        .expect("the file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    // In force when it is said.
    client
        .call("chat.send", message("main", "hello", "k1"))
        .await;
    let mut asked = model.asked().await;
    asked.text("a real answer").await;
    asked.done().await;
    let end = client.chat("k1", "final").await;
    assert!(end.to_string().contains("a real answer"), "{end}");

    let probe = client.request("models.probe", json!({ "provider": "mine" }));
    let (probe, ()) = tokio::join!(probe, async {
        let mut asked = model.asked().await;
        asked.text("OK").await;
        asked.done().await;
    });
    assert_eq!(probe["payload"]["status"], "ok", "{probe}");
    let probe = client.request("models.probe", json!({ "provider": "mine" }));
    let (probe, ()) = tokio::join!(probe, async {
        let asked = model.asked().await;
        asked.fail("401 Unauthorized", "", "no such key").await;
    });
    assert_eq!(probe["payload"]["status"], "auth", "{probe}");
    let error = probe["payload"]["error"].as_str().expect("what is wrong");
    assert!(error.contains("models.providers.mine.apiKey"), "{error}");
    let probe = client
        .call("models.probe", json!({ "provider": "nobody" }))
        .await;
    assert_eq!(probe["status"], "no_model", "{probe}");

    let rows = client.call("trust.audit.list", json!({})).await.to_string();
    assert!(rows.contains("config.written"), "{rows}");
    assert!(!home.log().contains("sk-mine"), "a key in the log");
    gateway.terminate();
    let line = gateway.says("stop").await;
    assert!(!line.is_empty());
}

#[tokio::test]
async fn a_run_under_way_survives_a_change_of_its_model() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    client.call("chat.send", message("main", "hi", "k1")).await;
    let mut asked = model.asked().await;
    asked.text("half ").await;
    let answer = patch(
        &mut client,
        "{ models: { providers: { scripted: { models: [{ id: 'm2' }] } } }, agents: { defaults: { model: { primary: 'scripted/m2' } } } }",
    )
    .await;
    assert_eq!(answer["ok"], true, "{answer}");
    asked.text("whole").await;
    asked.done().await;
    let end = client.chat("k1", "final").await;
    assert!(end.to_string().contains("half whole"), "{end}");
    client
        .call("chat.send", message("main", "again", "k2"))
        .await;
    let asked = model.asked().await;
    asked.fail("401 Unauthorized", "", "x").await;
    let end = client.chat("k2", "error").await;
    let text = end["errorMessage"].as_str().expect("why");
    assert!(text.contains("the API key for m2"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_used_or_was_made_for_another_text_is_not_written() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let before = file(&home);
    let old = hash(&mut client).await;

    let no_base = client
        .request("config.patch", json!({ "raw": "{ ui: {} }" }))
        .await;
    let text = no_base["error"]["message"].as_str().expect("why");
    assert!(
        text.contains("config.get") && text.contains("baseHash"),
        "{text}"
    );
    for (raw, place) in [
        ("{ gateway: { port: 'x' } }", "gateway.port"),
        (
            "{ gateway: { auth: { mode: 'maybe' } } }",
            "gateway.auth.mode",
        ),
        ("{ gateway: ", "params.raw:1:"),
        (
            "{ models: { providers: { other: { apiKey: '__OPENCLAW_REDACTED__' } } } }",
            "models.providers.other.apiKey",
        ),
        (
            "{ agents: { list: [{}] }, models: { providers: { scripted: { models: [] } } } }",
            "replacePaths",
        ),
    ] {
        let answer = patch(&mut client, raw).await;
        let text = answer["error"]["message"].as_str().expect(raw);
        assert!(text.contains(place), "{text}");
        assert_eq!(file(&home), before, "{raw}");
    }

    // Somebody else was faster.
    let answer = patch(&mut client, "{ ui: { seamColor: '#fff' } }").await;
    assert_eq!(answer["ok"], true, "{answer}");
    let stale = client
        .request(
            "config.patch",
            json!({ "raw": "{ ui: null }", "baseHash": old }),
        )
        .await;
    let text = stale["error"]["message"].as_str().expect("why");
    assert!(text.starts_with("config changed since last load"), "{text}");
    let same = patch(&mut client, "{ ui: { seamColor: '#fff' } }").await;
    assert_eq!(same["payload"]["noop"], true, "{same}");

    let mut reader = connect_params(4);
    reader["scopes"] = json!(["operator.read"]);
    let mut socket = gateway.socket().await;
    socket.hello(reader).await;
    let refused = socket
        .request("config.patch", json!({ "raw": "{}", "baseHash": "x" }))
        .await;
    assert_eq!(refused["error"]["code"], "FORBIDDEN");
}

#[tokio::test]
async fn a_shown_text_written_back_keeps_its_secrets_and_a_broken_file_can_be_repaired() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let mut gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let shown = client.call("config.get", json!({})).await;
    let raw = shown["raw"].as_str().expect("its text");
    assert!(
        !raw.contains("sk-scripted") && !raw.contains(TOKEN),
        "{raw}"
    );
    let raw = raw.replacen('{', "{ // mine\n", 1);
    let answer = client
        .call(
            "config.set",
            json!({ "raw": raw, "baseHash": shown["hash"] }),
        )
        .await;
    assert_eq!(answer["changedPaths"], json!([]), "{answer}");
    let text = file(&home);
    assert!(
        text.contains("sk-scripted") && text.contains(TOKEN),
        "{text}"
    );
    assert!(text.contains("// mine"), "{text}");

    fs::write(home.state().join("openclaw.json"), "{ gateway: ").expect("half a file");
    gateway.says("is not used").await;
    let shown = client.call("config.get", json!({})).await;
    assert_eq!(shown["valid"], false, "{shown}");
    let answer = client
        .request(
            "config.patch",
            json!({ "raw": "{ ui: {} }", "baseHash": shown["hash"] }),
        )
        .await;
    assert!(
        answer["error"]["message"]
            .to_string()
            .contains("openclaw.json:1:"),
        "{answer}"
    );
    client
        .call(
            "config.apply",
            json!({ "raw": text, "baseHash": shown["hash"] }),
        )
        .await;
    let shown = client.call("config.get", json!({})).await;
    assert_eq!(shown["valid"], true, "{shown}");
    assert_eq!(file(&home), text);
}

#[tokio::test]
async fn who_changes_the_token_is_answered_before_the_connection_closes() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let answer = patch(
        &mut client,
        "{ gateway: { auth: { token: 'another-token-9876543210-fedcba-ABC' } } }",
    )
    .await;
    assert_eq!(answer["ok"], true, "{answer}");
    let end = client.closed_in_the_end().await;
    assert_eq!(end, Some((4001, "gateway auth changed".to_owned())));
}

#[tokio::test]
async fn a_client_that_writes_without_end_is_slowed_down() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let params = json!({ "raw": "{}", "baseHash": "none" });
    for _ in 0..30 {
        client.request("config.patch", params.clone()).await;
    }
    let refused = client.request("config.patch", params).await;
    assert_eq!(refused["error"]["code"], "UNAVAILABLE", "{refused}");
    assert!(refused["error"]["retryAfterMs"].is_u64(), "{refused}");
}
