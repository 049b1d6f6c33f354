//! A changed configuration, in the built program: written in place, renamed over, wrong, and asked
//! for by a signal.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::device::Device;
use crate::harness::model::Model;
use crate::harness::socket::{Socket, connect_params};

const NEW: &str = "another-token-9876543210-fedcba-ABC";

/// A configuration with this token, that is read soon after it was written.
fn with_token(token: &str) -> Value {
    json!({ "gateway": {
        "auth": { "mode": "token", "token": token },
        "reload": { "debounceMs": 20 },
    } })
}

/// As editors write: a new file, renamed over the old one.
fn rename_over(home: &Home, text: &str) {
    let path = home.state().join("openclaw.json");
    let new = home.state().join(".openclaw.json.swp");
    fs::write(&new, text).expect("the new file");
    fs::rename(&new, &path).expect("it takes the place of the old one");
}

fn by(token: &str) -> Value {
    let mut params = connect_params(4);
    params["auth"] = json!({ "token": token });
    params
}

async fn changed(socket: &mut Socket) -> Value {
    let event = socket
        .until(|frame| frame["event"] == "config.changed")
        .await;
    event["payload"].clone()
}

async fn refused_with(gateway: &Gateway, params: Value) -> String {
    let (error, code, _) = gateway.socket().await.turned_away(params).await;
    assert_eq!(code, 1008);
    error["details"]["code"]
        .as_str()
        .expect("a code")
        .to_owned()
}

#[tokio::test]
async fn attack_25_a_rotated_token_ends_what_came_in_by_the_old_one_and_nothing_else() {
    let home = Home::with(&with_token(TOKEN));
    let mut gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;

    // A device that was paired without asking, and one that an owner allowed.
    let silent = Device::new(1);
    let mut socket = gateway.socket().await;
    let hello = socket.hello(silent.sign(by(TOKEN), &socket)).await;
    let bound = hello["auth"]["deviceToken"]
        .as_str()
        .expect("a token")
        .to_owned();
    let mut asks = with_token(TOKEN);
    asks["gateway"]["nodes"] = json!({ "pairing": { "autoApproveLocal": false } });
    home.configure(&asks);
    let told = changed(&mut owner).await;
    assert_eq!(
        told["path"],
        home.state().join("openclaw.json").display().to_string()
    );
    assert_eq!(told["hash"].as_str().map(str::len), Some(64));
    let allowed = Device::new(2);
    let mut waiting = gateway.socket().await;
    let params = allowed.sign(by(TOKEN), &waiting);
    let (error, _, reason) = waiting.turned_away(params).await;
    let request = &error["details"]["requestId"];
    // Frame, close and log name the cause, the request and the command.
    let command = format!(
        "openclaw devices approve {}",
        request.as_str().expect("an id")
    );
    let hint = error["details"]["remediationHint"]
        .as_str()
        .expect("a hint");
    assert!(
        hint.contains(&command) && hint.contains("autoApproveLocal"),
        "{hint}"
    );
    assert_eq!(reason, format!("pairing required (not-paired): {command}"));
    let line = gateway.says(&command).await;
    assert!(
        line.contains("autoApproveLocal") && line.contains("pairing.requested"),
        "{line}"
    );
    let line = gateway.says(&command).await;
    assert!(
        line.contains("PAIRING_REQUIRED") && line.contains("connect.refused"),
        "{line}"
    );
    owner
        .call("device.pair.approve", json!({ "requestId": request }))
        .await;
    let mut first = gateway.socket().await;
    let hello = first.hello(allowed.sign(by(TOKEN), &first)).await;
    let own = hello["auth"]["deviceToken"]
        .as_str()
        .expect("a token")
        .to_owned();
    let mut survivor = gateway.socket().await;
    survivor.hello(allowed.sign(by(&own), &survivor)).await;
    let mut by_bound = gateway.socket().await;
    by_bound.hello(silent.sign(by(&bound), &by_bound)).await;

    rename_over(&home, &with_token(NEW).to_string());
    for socket in [&mut owner, &mut socket, &mut first, &mut by_bound] {
        let end = socket.closed_in_the_end().await;
        assert_eq!(end, Some((4001, "gateway auth changed".to_owned())));
    }
    changed(&mut survivor).await;
    assert_eq!(
        refused_with(&gateway, by(TOKEN)).await,
        "AUTH_TOKEN_MISMATCH"
    );
    let mut again = gateway.socket().await;
    let params = silent.sign(by(&bound), &again);
    let (error, _, _) = again.turned_away(params).await;
    assert_eq!(
        error["details"]["code"], "AUTH_TOKEN_MISMATCH",
        "its token ended"
    );
    let mut again = gateway.socket().await;
    again.hello(allowed.sign(by(&own), &again)).await;
    let mut owner = gateway.socket().await;
    owner.hello(by(NEW)).await;
    survivor.call("health", json!({})).await;

    let rows = owner.call("trust.audit.list", json!({})).await;
    let kinds: Vec<&str> = rows["entries"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["kind"].as_str())
        .collect();
    for kind in ["auth.changed", "token.ended", "config.applied"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let log = home.log();
    assert!(
        !log.contains(TOKEN) && !log.contains(NEW),
        "a secret in the log"
    );
}

#[tokio::test]
async fn a_token_written_in_place_counts_at_the_next_connect_and_a_run_goes_on() {
    let mut model = Model::start().await;
    let mut settings = config(&model);
    settings["gateway"]["reload"] = json!({ "debounceMs": 20 });
    let home = Home::with(&settings);
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    owner
        .call(
            "chat.send",
            json!({ "sessionKey": "main", "message": "hi", "idempotencyKey": "run-1" }),
        )
        .await;
    let mut asked = model.asked().await;
    asked.text("half ").await;
    settings["gateway"]["auth"]["token"] = json!(NEW);
    home.configure(&settings);
    let end = owner.closed_in_the_end().await;
    assert_eq!(end, Some((4001, "gateway auth changed".to_owned())));
    assert_eq!(
        refused_with(&gateway, by(TOKEN)).await,
        "AUTH_TOKEN_MISMATCH"
    );
    let mut owner = gateway.socket().await;
    owner.hello(by(NEW)).await;
    asked.text("whole").await;
    asked.done().await;
    owner.chat("run-1", "final").await;
    let history = owner
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert!(history.to_string().contains("half whole"), "{history}");
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_says_where_it_is_wrong() {
    let home = Home::with(&with_token(TOKEN));
    let mut gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    for (text, place) in [
        ("{\n  gateway { }\n}", "openclaw.json:2:"),
        (
            "{ gateway: { auth: { mode: 'maybe' } } }",
            "gateway.auth.mode",
        ),
        ("", "missing or empty"),
    ] {
        rename_over(&home, text);
        let line = gateway.says("is not used").await;
        assert!(line.contains(place), "{line}");
        let status = owner.call("status", json!({})).await;
        let error = status["gateway"]["config"]["error"].as_str();
        assert!(error.is_some_and(|error| error.contains(place)), "{status}");
        let mut other = gateway.client().await;
        other.call("health", json!({})).await;
    }
    // Right again, with a setting that waits for a start and is named.
    let mut moved = with_token(TOKEN);
    moved["logging"] = json!({ "level": "debug", "maxFileBytes": 5_000_000 });
    rename_over(&home, &moved.to_string());
    let line = gateway.says("from the next start on").await;
    assert!(line.contains("logging.maxFileBytes"), "{line}");
    let status = owner.call("status", json!({})).await;
    let config = &status["gateway"]["config"];
    assert_eq!(config["needsRestart"], json!(["logging.maxFileBytes"]));
    assert_eq!(config.get("error"), None);
}

#[tokio::test]
async fn mode_off_waits_for_the_signal() {
    let mut settings = with_token(TOKEN);
    settings["gateway"]["reload"]["mode"] = json!("off");
    let home = Home::with(&settings);
    let gateway = Gateway::start(&home).await;
    settings["gateway"]["auth"]["token"] = json!(NEW);
    home.configure(&settings);
    let mut owner = gateway.client().await;
    gateway.signal(Signal::HUP);
    let end = owner.closed_in_the_end().await;
    assert_eq!(end, Some((4001, "gateway auth changed".to_owned())));
    assert_eq!(
        refused_with(&gateway, by(TOKEN)).await,
        "AUTH_TOKEN_MISMATCH"
    );
    let mut owner = gateway.socket().await;
    owner.hello(by(NEW)).await;
}
