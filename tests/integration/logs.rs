//! What is written down: never a secret, at no level; and the levels of single modules, while it runs.

use serde_json::{Value, json};

use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::socket::connect_params;

/// Secrets that are put wherever one can be.
const TOKEN: &str = "planted-gateway-secret-0123456789abcdef";
const KEY: &str = "sk-planted-provider-key-77a1";
const GUESS: &str = "planted-wrong-guess-9931";
const BOT: &str = "4242:planted-bot-token-55";
const HEADER: &str = "planted-header-value-3c";
const DOTENV: &str = "planted-dotenv-value-8e";
const TEXT: &str = "planted words of a private message";

fn planted(model: &Model) -> Value {
    let mut settings = config(model);
    settings["gateway"]["auth"]["token"] = json!(TOKEN);
    settings["models"]["providers"]["scripted"]["apiKey"] = json!(KEY);
    settings["models"]["providers"]["scripted"]["headers"] = json!({ "x-secret": HEADER });
    settings["channels"] =
        json!({ "telegram": { "botToken": BOT, "apiRoot": "http://127.0.0.1:9" } });
    settings["logging"] = json!({ "level": "trace", "consoleLevel": "trace" });
    settings
}

#[tokio::test]
async fn no_secret_is_written_down_at_any_level() {
    let mut model = Model::start().await;
    let home = Home::with(&planted(&model));
    std::fs::write(home.state().join(".env"), format!("MY_KEY={DOTENV}\n")).unwrap();
    let gateway = Gateway::start(&home).await;
    let mut params = connect_params(4);
    params["auth"]["token"] = json!(GUESS);
    let mut stranger = gateway.socket().await;
    stranger.ask("connect", params.clone()).await;
    stranger.next().await;
    params["auth"]["token"] = json!(TOKEN);
    let mut owner = gateway.socket().await;
    owner.hello(params).await;
    owner.call("config.get", json!({})).await;
    owner.call("status", json!({})).await;
    let message = json!({"sessionKey": "main", "message": TEXT, "idempotencyKey": "one"});
    owner.call("chat.send", message).await;
    let asked = model.asked().await;
    asked
        .fail("401 Unauthorized", "", &format!("bad key {KEY}"))
        .await;
    owner
        .until(|frame| frame["event"] == "chat" && frame["payload"]["state"] == "error")
        .await;
    owner.ask("cron.add", json!({ "name": GUESS })).await;
    owner.next().await;
    gateway.terminate();
    let (_, console) = gateway.ended().await;
    let log = home.log();
    assert!(
        log.contains("\"level\":\"debug\"") || log.contains("\"level\":\"trace\""),
        "{log}"
    );
    for (place, text) in [("the file", &log), ("the console", &console)] {
        for secret in [TOKEN, KEY, BOT, HEADER, DOTENV] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret is in {place}");
        }
        // Of what a stranger guesses and people write, nothing stands above the finest levels.
        let shown = |line: &&str| line.contains(TEXT) || line.contains("planted-wrong-guess");
        let fine = |line: &str| {
            line.contains("trace")
                || line.contains("TRACE")
                || line.contains("debug")
                || line.contains("DEBUG")
        };
        let line = text.lines().filter(shown).find(|line| !fine(line));
        assert_eq!(line, None, "what somebody wrote is in {place}");
    }
}

#[tokio::test]
async fn the_level_of_a_module_is_changed_while_it_runs() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    gateway.client().await;
    assert!(!home.log().contains("client connected"), "{}", home.log());
    let mut owner = gateway.client().await;
    let set = json!({ "logging": { "levels": { "session": "debug" } } });
    let hash = owner.call("config.get", json!({})).await["hash"].clone();
    let patch = json!({ "raw": set.to_string(), "baseHash": hash });
    owner.call("config.patch", patch).await;
    let status = owner.call("status", json!({})).await;
    let waits = &status["gateway"]["config"]["needsRestart"];
    assert!(waits.is_null(), "{status}");
    gateway.client().await;
    gateway.terminate();
    gateway.ended().await;
    let log = home.log();
    assert!(log.contains("client connected"), "{log}");
}

#[tokio::test]
async fn values_of_the_configuration_are_shown_changed_and_checked() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let at = ["--url", &url, "--token", crate::harness::TOKEN];
    let run = async |args: &[&str]| home.run(&[args, &at].concat()).await;
    let (code, said, error) = run(&["config", "get", "agents.defaults.maxConcurrent"]).await;
    assert_eq!((code, said.trim()), (Some(0), "25"), "{error}");
    let (code, _, error) = run(&["config", "set", "agents.defaults.heartbeat.every", "2h"]).await;
    assert_eq!(code, Some(0), "{error}");
    let (_, said, _) = run(&["status"]).await;
    assert!(said.contains("main every 2h"), "{said}");
    let (code, _, error) = run(&["config", "set", "agents.defaults.heartbeat.every", "soon"]).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("agents.defaults.heartbeat.every"), "{error}");
    let (code, _, error) = run(&["config", "unset", "agents.defaults.heartbeat"]).await;
    assert_eq!(code, Some(0), "{error}");
    // A secret comes by standard input, and stands in the file alone.
    let set = ["config", "set", "cron.webhookToken", "-"];
    let secret = "whsec 0123456789";
    let (code, said, error) = home
        .run_with(&[&set[..], &at].concat(), &format!("{secret}\n"))
        .await;
    assert_eq!(code, Some(0), "{error}");
    assert!(
        !said.contains(secret) && !error.contains(secret),
        "{said}{error}"
    );
    let file = std::fs::read_to_string(home.state().join("openclaw.json")).unwrap();
    let file: Value = json5::from_str(&file).unwrap();
    assert_eq!(file["cron"]["webhookToken"], secret);
    assert!(!home.log().contains(secret));
    let (code, said, _) = run(&["config", "get", "gateway.auth.token"]).await;
    assert_eq!(code, Some(0));
    assert!(!said.contains(crate::harness::TOKEN), "{said}");
    let call = ["gateway", "call", "sessions.list", "--params", "{limit: 1}"];
    let (code, said, error) = run(&call).await;
    assert_eq!(code, Some(0), "{error}");
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert!(answer["sessions"].is_array(), "{said}");
    let (code, said, error) = run(&["approvals", "list"]).await;
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "nothing waits for a yes\n"),
        "{error}"
    );
    let (code, _, _) = home.run(&["config", "validate"]).await;
    assert_eq!(code, Some(0));
    std::fs::write(
        home.state().join("openclaw.json"),
        "{ gateway: { port: 'x' } }",
    )
    .unwrap();
    let (code, said, _) = home.run(&["config", "validate", "--json"]).await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("gateway.port"), "{said}");
    let (code, said, _) = home.run(&["--version", "--json"]).await;
    let version: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &version["version"]),
        (Some(0), &json!(env!("CARGO_PKG_VERSION")))
    );
}
